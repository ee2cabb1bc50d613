"""Makes the calls of claimed jobs and settles what becomes of them."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_workerqueue.application.ports import ClaimedJob, FinishedJob, NewJob
from kongflow_workerqueue.application.targets import (
    CallResult,
    KindCatalogue,
    WholeCallFailed,
    WorkKind,
)
from kongflow_workerqueue.domain.discard import Discard
from kongflow_workerqueue.domain.outcome import (
    CANCELLED,
    COMPLETED,
    Answer,
    CallStatus,
    Done,
    Failed,
    Fault,
    HeldAlone,
    SetAside,
    StatusCode,
    TargetUnavailable,
    Transition,
    fault_of,
    read_answer,
    settle,
)
from kongflow_workerqueue.domain.retry import ExponentialRetry
from kongflow_workerqueue.domain.states import WAITING_FOR_KIND, JobState
from kongflow_workerqueue.domain.suspicion import (
    NOT_SUSPECTED,
    SET_ASIDE,
    set_aside_status,
    waiting_alone,
)
from kongflow_workerqueue.worker.finisher import Finisher
from kongflow_workerqueue.worker.outcome_log import OutcomeLog
from kongflow_workerqueue.worker.target_gate import TargetGate

__all__ = ["Call", "CallRunner"]

logger = logging.getLogger(__name__)

_UNKNOWN_KIND_WAIT = timedelta(seconds=60)
_NO_RETRY_POLICY = ExponentialRetry()
_NO_REASON = CallStatus(StatusCode.UNKNOWN)

# Answers to a whole batch that no single job of it can have caused.
_OF_THE_CALL = frozenset({StatusCode.PERMISSION_DENIED})
# Answers that a target which has fallen silent, or is ending, leaves behind.
_MAYBE_SILENCE = frozenset({StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED})


class Call:
    """Jobs of one kind and one environment that go into one call.

    `unsettled` holds those that have no outcome yet, `called_off` those whose outcome does not
    count any more. A call that is `alone` carries suspected jobs whose turn it is. The counts are
    those that arq shows.
    """

    __slots__ = (
        "alone",
        "called_off",
        "completed",
        "failed",
        "jobs",
        "kind_name",
        "retried",
        "task",
        "unsettled",
    )

    def __init__(self, kind_name: str, jobs: Sequence[ClaimedJob], *, alone: bool = False) -> None:
        self.kind_name = kind_name
        self.alone = alone
        self.jobs = jobs
        # By the id's number: a UUID's hash and comparison are Python code.
        self.unsettled: dict[int, ClaimedJob] = {job.id.int: job for job in jobs}
        self.called_off: set[int] = set()
        self.task: asyncio.Task[object] | None = None
        self.completed = 0
        self.failed = 0
        self.retried = 0


class CallRunner:
    """Groups jobs into calls, makes them through the targets' gates, settles each job."""

    def __init__(
        self,
        catalogue: KindCatalogue,
        gates: Mapping[str, TargetGate],
        finisher: Finisher,
        log: OutcomeLog,
        *,
        clock: Clock,
        random: Callable[[], float],
        new_id: Callable[[], UUID],
    ) -> None:
        self._catalogue = catalogue
        self._gates = gates
        self._finisher = finisher
        self._log = log
        self._clock = clock
        self._random = random
        self._new_id = new_id
        self._live: set[Call] = set()

    def in_flight(self) -> list[tuple[UUID, int]]:
        """Lists the (id, turn) of each job that is being called."""
        return [(job.id, job.turn) for call in self._live for job in call.unsettled.values()]

    def call_off(self, entries: Iterable[tuple[UUID, int]]) -> None:
        """Ends the calls of jobs that were cancelled.

        A call that other jobs share goes on; what it answers about these is dropped.
        """
        for id_, turn in entries:
            for call in self._live:
                job = call.unsettled.get(id_.int)
                if job is not None and job.turn == turn and id_.int not in call.called_off:
                    call.called_off.add(id_.int)
                    if call.unsettled.keys() <= call.called_off and call.task is not None:
                        call.task.cancel()

    def calls(self, jobs: Iterable[ClaimedJob], *, alone: bool = False) -> Iterator[Call]:
        """Groups jobs, in the order of their priority and age, into calls."""
        groups: dict[tuple[str, UUID | None, bool], list[ClaimedJob]] = {}
        for job in jobs:
            suspected = job.suspicion != NOT_SUSPECTED
            groups.setdefault((job.kind, job.environment_id, suspected), []).append(job)
        for (kind_name, _, _), group in groups.items():
            kind = self._catalogue.find(kind_name)
            size = kind.max_batch_size if kind is not None else len(group)
            for start in range(0, len(group), size):
                yield Call(kind_name, group[start : start + size], alone=alone)

    async def run(self, call: Call) -> None:
        """Makes a call and settles its jobs; raises nothing but CancelledError."""
        call.task = asyncio.current_task()
        self._live.add(call)
        try:
            await self._make(call)
        except asyncio.CancelledError:
            if not call.unsettled or not call.unsettled.keys() <= call.called_off:
                raise
            for job in list(call.unsettled.values()):
                self._drop(call, job)
        finally:
            self._live.discard(call)

    async def _make(self, call: Call) -> None:
        kind = self._catalogue.find(call.kind_name)
        if kind is None:
            answer = TargetUnavailable(WAITING_FOR_KIND, _UNKNOWN_KIND_WAIT)
            self._settle_all(call, None, [(job, answer) for job in call.jobs])
            return
        gate = self._gates.get(kind.target)
        try:
            if call.jobs[0].suspicion != NOT_SUSPECTED and not call.alone:
                # Somebody made it available; its turn to run is another one.
                self._settle_all(call, kind, [(job, _held_alone(kind)) for job in call.jobs])
            elif call.jobs[0].suspicion >= SET_ASIDE:
                set_aside = SetAside(set_aside_status(kind.target))
                self._settle_all(call, kind, [(job, set_aside) for job in call.jobs])
            elif gate is None:
                # Declared, but this worker has not been told where it is.
                absent = TargetUnavailable(f"target:{kind.target}", _UNKNOWN_KIND_WAIT)
                self._settle_all(call, kind, [(job, absent) for job in call.jobs])
            elif gate.lets_through(kind.kind):
                await self._ask(call, kind, gate, call.jobs)
            else:
                self._park(call, kind, gate, call.jobs)
        except asyncio.CancelledError:
            if gate is not None:
                gate.given_up(kind.kind)
            raise
        except Exception:
            logger.exception("a call of kind %s failed in the worker itself", kind.kind)
            if gate is not None:
                gate.given_up(kind.kind)
            broken = Failed(CallStatus(StatusCode.INTERNAL, "The worker failed."))
            self._settle_all(call, kind, [(job, broken) for job in call.unsettled.values()])

    async def _ask(
        self, call: Call, kind: WorkKind, gate: TargetGate, jobs: Sequence[ClaimedJob]
    ) -> None:
        deadline = self._clock.now() + kind.timeout
        try:
            results = await gate.target.call(kind, jobs, deadline=deadline)
        except WholeCallFailed as failure:
            await self._read_failure(call, kind, gate, jobs, failure)
            return
        self._note_answers(kind, gate, results)
        self._settle_all(
            call,
            kind,
            [
                (job, _read(call, result, gate, kind))
                for job, result in zip(jobs, results, strict=True)
            ],
        )

    async def _read_failure(
        self,
        call: Call,
        kind: WorkKind,
        gate: TargetGate,
        jobs: Sequence[ClaimedJob],
        failure: WholeCallFailed,
    ) -> None:
        status = failure.result.status
        if fault_of(status.code) is Fault.TARGET:
            gate.unanswered(kind.kind, str(failure), connected=failure.connected)
            if failure.lost:
                lost = _held_alone(kind, lost=True)
                self._settle_all(call, kind, [(job, lost) for job in jobs])
            else:
                self._park(call, kind, gate, jobs)
        elif status.code in _MAYBE_SILENCE and not (
            failure.connected and await gate.target.is_ready()
        ):
            # It did not fail at these jobs: it was ending, or does not even say that it is there.
            gate.unanswered(kind.kind, str(failure), connected=False)
            self._park(call, kind, gate, jobs)
        elif len(jobs) == 1 or status.code in _OF_THE_CALL or failure.result.retry_after:
            gate.answered(kind.kind)
            answer = _read(call, failure.result, gate, kind)
            self._settle_all(call, kind, [(job, answer) for job in jobs])
        else:
            gate.answered(kind.kind)
            # One job may be the poison of all: in halves it ends up alone.
            middle = len(jobs) // 2
            await asyncio.gather(
                self._ask(call, kind, gate, jobs[:middle]),
                self._ask(call, kind, gate, jobs[middle:]),
            )

    def _note_answers(
        self, kind: WorkKind, gate: TargetGate, results: Sequence[CallResult]
    ) -> None:
        first = results[0].status
        if all(fault_of(result.status.code) is Fault.TARGET for result in results):
            why = f"{first.code.name}: {first.message}"
            gate.unanswered(kind.kind, why, connected=True)
        else:
            gate.answered(kind.kind)

    def _park(
        self, call: Call, kind: WorkKind, gate: TargetGate, jobs: Sequence[ClaimedJob]
    ) -> None:
        self._settle_all(call, kind, [(job, _parked(call, kind, gate)) for job in jobs])

    def _settle_all(
        self,
        call: Call,
        kind: WorkKind | None,
        answers: Iterable[tuple[ClaimedJob, Answer]],
    ) -> None:
        done: list[ClaimedJob] = []
        for job, answer in answers:
            if job.id.int in call.called_off:
                self._drop(call, job)
                continue
            del call.unsettled[job.id.int]
            if isinstance(answer, Done):
                done.append(job)
                self._finisher.finish(FinishedJob(job.id, job.turn, COMPLETED))
            else:
                self._settle(call, kind, job, answer)
        if done:
            call.completed += len(done)
            self._log.write_completed(done)

    def _drop(self, call: Call, job: ClaimedJob) -> None:
        """Lets go of a job that the ledger has ended already."""
        del call.unsettled[job.id.int]
        self._finisher.finish(FinishedJob(job.id, job.turn, CANCELLED))
        self._log.write(job, CANCELLED)

    def _settle(self, call: Call, kind: WorkKind | None, job: ClaimedJob, answer: Answer) -> None:
        transition = settle(
            answer,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            retry=kind.retry if kind is not None else _NO_RETRY_POLICY,
            random=self._random,
        )
        follow_up = None
        if transition.state is JobState.DISCARDED:
            call.failed += 1
            follow_up = self._follow_up(job, kind, transition)
        elif transition.state is JobState.COMPLETED:
            call.completed += 1
        else:
            call.retried += 1
        self._finisher.finish(FinishedJob(job.id, job.turn, transition, follow_up))
        self._log.write(job, transition)

    def _follow_up(
        self, job: ClaimedJob, kind: WorkKind | None, transition: Transition
    ) -> NewJob | None:
        if kind is None or kind.discarded_kind is None:
            return None
        discarded = kind.discarded_kind
        why = Discard(
            status=transition.error or _NO_REASON,
            attempts=min(job.attempt + int(transition.spends_attempt), job.max_attempts),
            queued_job_id=job.id,
        )
        args = kind.discarded_args(job.args, why)
        return NewJob(
            id=self._new_id(),
            kind=discarded.kind,
            args=args,
            queue=discarded.queue,
            priority=discarded.priority,
            max_attempts=discarded.max_attempts,
            environment_id=job.environment_id,
            traceparent=job.traceparent,
            limits=discarded.limits_for(job.environment_id, args),
        )


def _read(call: Call, result: CallResult, gate: TargetGate, kind: WorkKind) -> Answer:
    if result.status.code is StatusCode.OK and result.snooze is None:
        return Done()
    if fault_of(result.status.code) is Fault.TARGET:
        return _parked(call, kind, gate)
    return read_answer(
        result.status,
        if_unavailable=TargetUnavailable("", timedelta()),
        snooze=result.snooze,
        retry_after=result.retry_after,
    )


def _held_alone(kind: WorkKind, *, lost: bool = False) -> HeldAlone:
    return HeldAlone(waiting_alone(kind.target), lost=lost)


def _parked(call: Call, kind: WorkKind, gate: TargetGate) -> Answer:
    """How a job waits that is held back or could not be asked: a suspect keeps its place."""
    return _held_alone(kind) if call.alone else gate.parked(kind.kind)
