"""Stores what the services' outboxes hold."""

from collections.abc import Iterator, Sequence
from itertools import chain

from kongflow_common.batcher import Batcher
from kongflow_common.errors import KongflowError
from kongflow_workerqueue.application.admit_limited import AdmitLimited
from kongflow_workerqueue.application.catalogue_ports import Catalogue
from kongflow_workerqueue.application.dispatch import Dispatch
from kongflow_workerqueue.application.enqueue_command import EnqueueCommand, ledger_command
from kongflow_workerqueue.application.ports import (
    EnqueueLedger,
    InsertOutcome,
    InsertResult,
    NewJob,
    Removal,
)
from kongflow_workerqueue.application.publish_event import PUBLISH, event_jobs

_CALLS_A_FLUSH = 64
_COMMANDS_A_STATEMENT = 2_000
_BYTES_A_STATEMENT = 4 * 1024 * 1024
"""Of arguments and metadata: what a statement holds is in memory several times over."""

# An event's jobs are its subscribers' affair: the publisher hears of none.
_PUBLISHED = InsertOutcome(InsertResult.INSERTED, None)

_Calls = Sequence[Sequence[NewJob | Removal]]


class EnqueueJobs:
    """Carries commands out, those of concurrent calls in one transaction where they permit it."""

    def __init__(
        self,
        ledger: EnqueueLedger,
        catalogue: Catalogue,
        dispatch: Dispatch,
        admit_limited: AdmitLimited,
    ) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._dispatch = dispatch
        self._admit_limited = admit_limited
        self._batcher: Batcher[Sequence[NewJob | Removal], list[InsertOutcome]] = Batcher(
            self._flush, name="enqueue", max_items=_CALLS_A_FLUSH, max_pending=1_000
        )

    async def __call__(
        self, caller: str, commands: Sequence[EnqueueCommand | Removal | KongflowError]
    ) -> list[InsertOutcome | KongflowError]:
        """Carry out the commands of the service `caller`, with one outcome or error each.

        An error in place of a command is its outcome. Raises DependencyUnavailable, after which
        the same commands are sent again.
        """
        prepared = [self._prepare(caller, command) for command in commands]
        sound = [
            job for each in prepared if not isinstance(each, KongflowError) for job in _jobs(each)
        ]
        outcomes = iter(await self._batcher.submit(sound) if sound else ())
        return [
            each if isinstance(each, KongflowError) else _outcome(each, outcomes)
            for each in prepared
        ]

    def consumed_types(self) -> Sequence[str]:
        """The types of integration event that any kind consumes."""
        return self._catalogue.consumed_types()

    async def close(self) -> None:
        """Finish what is under way."""
        await self._batcher.close()

    def _prepare(
        self, caller: str, command: EnqueueCommand | Removal | KongflowError
    ) -> NewJob | Removal | list[NewJob] | KongflowError:
        if isinstance(command, KongflowError):
            return command
        try:
            if command.kind == PUBLISH and isinstance(command, EnqueueCommand):
                return event_jobs(command, self._catalogue, caller)
            return ledger_command(command, self._catalogue, caller)
        except KongflowError as error:
            return error

    async def _flush(self, calls: _Calls) -> list[list[InsertOutcome]]:
        commands = list(chain.from_iterable(calls))
        outcomes: list[InsertOutcome] = []
        for statement in _statements(commands):
            outcomes += await self._carry_out(statement)
        answers = iter(outcomes)
        return [[next(answers) for _ in call] for call in calls]

    async def _carry_out(self, commands: Sequence[NewJob | Removal]) -> list[InsertOutcome]:
        queues = {each.queue for each in commands if isinstance(each, NewJob)}
        admit_to = await self._dispatch.queues_with_room(queues)
        outcomes = await self._ledger.insert(commands, admit_to=admit_to)
        stored = [
            (command, outcome)
            for command, outcome in zip(commands, outcomes, strict=True)
            if isinstance(command, NewJob)
        ]
        await self._dispatch.hand_over(
            ((job.queue, outcome) for job, outcome in stored if job.limits is None),
            admit_to=admit_to,
        )
        lanes = {
            job.limits.lane: job.limits.concurrency_key
            for job, outcome in stored
            if job.limits is not None and outcome.available
        }
        if lanes:
            await self._admit_limited.try_admit(lanes)
        return outcomes


def _jobs(prepared: NewJob | Removal | list[NewJob]) -> Sequence[NewJob | Removal]:
    return prepared if isinstance(prepared, list) else (prepared,)


def _outcome(
    prepared: NewJob | Removal | list[NewJob], outcomes: Iterator[InsertOutcome]
) -> InsertOutcome:
    if not isinstance(prepared, list):
        return next(outcomes)
    for _ in prepared:
        next(outcomes)
    return _PUBLISHED


def _statements(commands: Sequence[NewJob | Removal]) -> Iterator[Sequence[NewJob | Removal]]:
    """Divide commands, in their order, into what one statement takes."""
    start = size = 0
    for index, command in enumerate(commands):
        weight = _weight(command)
        full = size + weight > _BYTES_A_STATEMENT or index - start == _COMMANDS_A_STATEMENT
        if full and index > start:
            yield commands[start:index]
            start, size = index, 0
        size += weight
    if start < len(commands):
        yield commands[start:]


def _weight(command: NewJob | Removal) -> int:
    if isinstance(command, Removal):
        return 0
    return len(command.args) + len(command.metadata or b"")
