"""The statements do to a job what the rules of the domain say, whatever happens in what order."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.ports import FinishedJob, InsertResult, Removal
from kongflow_workerqueue.domain.errors import QueuedJobEnded, QueuedJobRunning
from kongflow_workerqueue.domain.lifecycle import IllegalTransition, JobEvent, Lifecycle
from kongflow_workerqueue.domain.outcome import (
    Answer,
    CallStatus,
    Done,
    Failed,
    HeldAlone,
    RefusedForGood,
    SetAside,
    Snoozed,
    StatusCode,
    TargetUnavailable,
    settle,
)
from kongflow_workerqueue.domain.retry import RetryPolicy
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.integration.ledger_under_test import BY, LedgerUnderTest, new_job

KEY = "walk"
STEPS = 60
INTERNAL = CallStatus(StatusCode.INTERNAL, "no")
ANSWERS: list[Answer] = [
    Done(),
    Failed(INTERNAL),
    Failed(INTERNAL),
    Failed(INTERNAL),
    RefusedForGood(INTERNAL),
    Snoozed(timedelta(hours=1)),
    TargetUnavailable("target:events", timedelta(hours=1)),
    HeldAlone("alone:events"),
    HeldAlone("alone:events", lost=True),
    HeldAlone("alone:events", lost=True),
    SetAside(INTERNAL),
]


class Walk:
    """One job in the ledger and beside it the same job in the domain."""

    def __init__(self, ledger: LedgerUnderTest, seed: int) -> None:
        self._ledger = ledger
        self._random = random.Random(seed)
        self.job = new_job(job_key=KEY)
        self.model = Lifecycle(JobState.AVAILABLE, max_attempts=self.job.max_attempts)

    async def begin(self) -> None:
        await self._ledger.insert(self.job)

    async def step(self) -> None:
        choice = self._random.choice([*JobEvent, "finish", "finish", "claim", "replace"])
        if choice == "finish":
            await self._finish()
        elif choice == "replace":
            await self._replace()
        else:
            await self._happen(JobEvent(choice))

    async def _happen(self, event: JobEvent) -> None:
        took_effect = await self._do(event)
        try:
            expected = self.model.after(event)
        except IllegalTransition:
            assert not took_effect
            return
        assert took_effect
        self.model = expected

    async def _do(self, event: JobEvent) -> bool:
        ledger, job_id, turn = self._ledger, self.job.id, self.model.turn
        match event:
            case JobEvent.BECOME_DUE:
                await ledger.shift(job_id, "run_at", -timedelta(days=40_000))
                return await ledger.maintenance.make_due(10) != {}
            case JobEvent.CLAIM:
                return bool(await ledger.worker.claim(ledger.worker_id, [(job_id, turn)]))
            case JobEvent.CLAIM_ALONE:
                claimed = await ledger.worker.claim_suspect(
                    ledger.worker_id, "alone:events", quiet=timedelta(), alone=timedelta()
                )
                return claimed is not None
            case JobEvent.HAND_BACK:
                return bool(await ledger.worker.hand_back(ledger.worker_id, [(job_id, turn)]))
            case JobEvent.LAPSE:
                await ledger.end_lease(ledger.worker_id)
                taken = await ledger.maintenance.take_back_orphans(10)
                await ledger.execute(
                    "UPDATE workerqueue.worker_leases SET expires_at = now() + interval '1 hour'"
                )
                return taken != {}
            case JobEvent.REMOVE:
                removal = Removal(id=new_id(), kind=self.job.kind, job_key=KEY)
                [outcome] = await ledger.insert(removal)
                return outcome.result is InsertResult.REMOVED
            case JobEvent.RETRY | JobEvent.CANCEL:
                return await self._step_in(event)

    async def _step_in(self, event: JobEvent) -> bool:
        operators = self._ledger.operators
        try:
            if event is JobEvent.CANCEL:
                await operators.cancel(self.job.id, None, BY, follow_up=None)
            else:
                await operators.retry(self.job.id, None, BY, admit_to=[])
        except (QueuedJobEnded, QueuedJobRunning):
            return False
        return True

    async def _finish(self) -> None:
        transition = settle(
            self._random.choice(ANSWERS),
            attempt=self.model.attempt,
            max_attempts=self.model.max_attempts,
            retry=RetryPolicy(),
            random=self._random.random,
        )
        outcome = FinishedJob(self.job.id, self.model.turn, transition)
        took_effect = await self._ledger.worker.finish(self._ledger.worker_id, [outcome]) == 1
        try:
            expected = self.model.finish(transition)
        except IllegalTransition:
            assert not took_effect
            return
        assert took_effect
        self.model = expected

    async def _replace(self) -> None:
        if self.model.state.is_final or self.model.state is JobState.RUNNING:
            # The command would store a job of its own.
            return
        due = self._random.random() < 0.5
        command = new_job(
            job_key=KEY,
            run_at=None if due else datetime(2090, 1, 1, tzinfo=UTC),
            max_attempts=self._random.randint(1, 4),
        )
        [outcome] = await self._ledger.insert(command)
        assert (outcome.result, outcome.job_id) == (InsertResult.REPLACED, self.job.id)
        self.model = self.model.replace(due=due, max_attempts=command.max_attempts)

    async def compare(self) -> None:
        row = await self._ledger.row(self.job.id)
        assert self.model == Lifecycle(
            state=JobState(row["state"]),
            max_attempts=row["max_attempts"],
            turn=row["turn"],
            attempt=row["attempt"],
            lapses=row["lapses"],
            held_alone=(row["waiting_for"] or "").startswith("alone:")
            and row["state"] != "running",
        )


@pytest.mark.parametrize("seed", range(6))
async def test_ledger_and_domain_agree(ledger: LedgerUnderTest, seed: int) -> None:
    walk = Walk(ledger, seed)
    await walk.begin()
    for _ in range(STEPS):
        await walk.step()
        await walk.compare()
