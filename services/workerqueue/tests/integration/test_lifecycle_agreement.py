"""The statements do to a job what the rules of the domain say, whatever happens in what order."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from kongflow_common.ids import new_id
from kongflow_common.rpc.filtering import parse_filter
from kongflow_workerqueue.adapters.ledger_redrives import PostgresRedriveLedger
from kongflow_workerqueue.application.edit_dead_letters import EditDeadLetters
from kongflow_workerqueue.application.enqueue_command import Edit
from kongflow_workerqueue.application.ports import (
    FinishedJob,
    InsertOutcome,
    InsertResult,
    NewJob,
    Removal,
)
from kongflow_workerqueue.application.redrive_queued_jobs import REDRIVE_FIELDS, NewRedrive
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue
from kongflow_workerqueue.domain.errors import (
    QueuedJobEnded,
    QueuedJobNotDiscarded,
    QueuedJobNotEnded,
    QueuedJobReplaced,
    QueuedJobRunning,
)
from kongflow_workerqueue.domain.lifecycle import (
    IllegalTransition,
    JobEvent,
    Lifecycle,
    debounced,
)
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
from kongflow_workerqueue.domain.retry import ExponentialRetry
from kongflow_workerqueue.domain.states import UNFINISHED_STATES, JobState
from kongflow_workerqueue.domain.uniqueness import Place, Uniqueness
from services.workerqueue.tests.integration.ledger_under_test import BY, LedgerUnderTest, new_job

KEY = "walk"
PLACE = UUID("0190d5a2-0000-7000-8000-00000000000a")
STEPS = 80
INTERNAL = CallStatus(StatusCode.INTERNAL, "no")
ANSWERS: list[Answer] = [
    Done(),
    Failed(INTERNAL),
    Failed(INTERNAL),
    Failed(INTERNAL),
    RefusedForGood(INTERNAL),
    RefusedForGood(INTERNAL),
    Snoozed(timedelta(hours=1)),
    TargetUnavailable("target:events", timedelta(hours=1)),
    HeldAlone("alone:events"),
    HeldAlone("alone:events", lost=True),
    HeldAlone("alone:events", lost=True),
    SetAside(INTERNAL),
]
OTHER_STEPS = [
    *("finish", "finish", "claim", "claim", "replace", "debounce", "debounce"),
    *("delete", "pause", "duplicate", "duplicate", "rival goes"),
    *("time passes", "time passes", "time passes", *[JobEvent.EDIT] * 4),
    *[JobEvent.CLAIM_ALONE] * 6,
]
CLAIMS = {JobEvent.CLAIM, JobEvent.CLAIM_ALONE}
RUNS_AGAIN = {JobEvent.RETRY, JobEvent.EDIT, JobEvent.REDRIVE}

# No sum of steps in time is near one of the bounds: what passes in earnest decides nothing.
WHILE = timedelta(minutes=8)
WINDOW = timedelta(minutes=20)
DELAY = timedelta(minutes=10)
LONGEST_WAIT = timedelta(minutes=30)
SLACK = timedelta(minutes=2)
RULES = [
    Uniqueness(),
    Uniqueness(window=WINDOW),
    Uniqueness(states=UNFINISHED_STATES - {JobState.RUNNING}),
    Uniqueness(states=UNFINISHED_STATES | {JobState.COMPLETED}),
    Uniqueness(window=WINDOW, states=frozenset(JobState)),
]


@dataclass
class Model:
    """What the domain says of the job, and the time that has passed for it."""

    life: Lifecycle
    place: Place | None
    created: datetime
    now: datetime

    def has_place(self) -> bool:
        return self.place is not None and self.place.keeps_out(self.life.state, self.now)


class Walk:
    """One job in the ledger and beside it the same job in the domain.

    Its rival, if there is one, has the place that a duplicate found free.
    """

    def __init__(self, ledger: LedgerUnderTest, seed: int) -> None:
        self._ledger = ledger
        self._redrives = PostgresRedriveLedger(
            ledger.database,
            partial(parse_filter, fields=REDRIVE_FIELDS),
            EditDeadLetters(KindCatalogue(())),
        )
        self._random = random.Random(seed)
        self._rule = RULES[seed % len(RULES)]
        self._paused = False
        self._rival: UUID | None = None
        self.taken: set[str] = set()

    async def begin(self) -> None:
        await self._rival_goes()
        self.job = self._command(job_key=KEY, unique=True)
        [outcome] = await self._ledger.insert(self.job)
        assert outcome.result is InsertResult.INSERTED
        now = datetime.now(UTC)
        self.model = Model(
            Lifecycle(JobState.AVAILABLE, max_attempts=self.job.max_attempts),
            Place.taken(self._rule, now),
            created=now,
            now=now,
        )

    def _command(self, *, unique: bool, **options: Any) -> NewJob:
        if unique:
            options |= {
                "unique_key": PLACE,
                "unique_for": self._rule.window,
                "unique_states": self._rule.states,
            }
        return new_job(**options)

    async def step(self) -> None:
        choice = self._random.choice([*JobEvent, *OTHER_STEPS])
        match choice:
            case "finish":
                await self._finish()
            case "replace":
                await self._replace(debounce=False)
            case "debounce":
                await self._replace(debounce=True)
            case "delete":
                await self._delete()
            case "pause":
                self._paused = not self._paused
                await self._ledger.operators.set_paused("events", BY, paused=self._paused)
            case "duplicate":
                await self._duplicate()
            case "time passes":
                await self._time_passes()
            case "rival goes":
                await self._rival_goes()
            case _:
                await self._happen(JobEvent(choice))

    # What happens to the job

    async def _happen(self, event: JobEvent) -> None:
        before = self.model.life
        took_effect = await self._do(event)
        try:
            expected = before.after(event)
        except IllegalTransition:
            assert not took_effect, event
            return
        if event in CLAIMS and self._paused:
            assert not took_effect
            return
        if event in RUNS_AGAIN and self._is_kept_out():
            assert not took_effect, event
            self.taken.add("kept out")
            return
        assert took_effect, event
        self.taken.add(event)
        self.model.life = expected
        if self.model.place is not None and event in CLAIMS:
            self.model.place = self.model.place.after_claim()
        if self.model.place is not None and event in RUNS_AGAIN and expected != before:
            self.model.place = self.model.place.after_retry(self.model.now)

    def _is_kept_out(self) -> bool:
        """Whether another has the place that the job would take again."""
        place = self.model.place
        return (
            self._rival is not None and place is not None and not place.has_passed(self.model.now)
        )

    async def _do(self, event: JobEvent) -> bool:
        ledger, job_id, turn = self._ledger, self.job.id, self.model.life.turn
        match event:
            case JobEvent.BECOME_DUE:
                await ledger.shift(job_id, "run_at", -timedelta(days=40_000))
                return await ledger.maintenance.make_due(10) != {}
            case JobEvent.CLAIM:
                return bool(await ledger.worker.claim(ledger.worker_id, [(job_id, turn)]))
            case JobEvent.CLAIM_ALONE:
                claimed = await ledger.worker.claim_suspects(
                    ledger.worker_id, "alone:events", quiet=timedelta(), alone=timedelta()
                )
                return claimed != []
            case JobEvent.HAND_BACK:
                return bool(await ledger.worker.hand_back(ledger.worker_id, [(job_id, turn)]))
            case JobEvent.LAPSE:
                await ledger.end_lease(ledger.worker_id)
                taken = await ledger.maintenance.take_back_orphans(10)
                await ledger.lengthen_leases()
                return taken != {}
            case JobEvent.REMOVE:
                removal = Removal(id=new_id(), kind=self.job.kind, job_key=KEY)
                [outcome] = await ledger.insert(removal)
                return outcome.result is InsertResult.REMOVED
            case JobEvent.REDRIVE:
                return await self._redrive()
            case JobEvent.RETRY | JobEvent.EDIT | JobEvent.CANCEL:
                return await self._step_in(event)

    async def _step_in(self, event: JobEvent) -> bool:
        operators = self._ledger.operators
        edit = Edit(b'{"edited": true}', PLACE) if event is JobEvent.EDIT else None
        try:
            if event is JobEvent.CANCEL:
                await operators.cancel(self.job.id, None, BY, follow_up=None)
            else:
                await operators.retry(self.job.id, None, BY, admit_to=[], edit=edit)
        except (QueuedJobEnded, QueuedJobRunning, QueuedJobNotDiscarded, QueuedJobReplaced):
            return False
        return True

    async def _redrive(self) -> bool:
        redrive = NewRedrive(new_id(), "", None, 10)
        await self._redrives.begin(redrive, 1, BY)
        assert await self._redrives.advance()
        done = await self._redrives.find(redrive.id, None)
        assert done is not None
        return done.redriven == 1

    async def _delete(self) -> None:
        try:
            await self._ledger.operators.delete(self.job.id, None, BY)
        except QueuedJobNotEnded:
            assert not self.model.life.may_be_deleted
            return
        assert self.model.life.may_be_deleted
        [outcome] = await self._ledger.insert(self.job)
        assert outcome.repeated
        self.taken.add("delete")
        await self.begin()

    async def _finish(self) -> None:
        transition = settle(
            self._random.choice(ANSWERS),
            attempt=self.model.life.attempt,
            max_attempts=self.model.life.max_attempts,
            retry=ExponentialRetry(),
            random=self._random.random,
        )
        outcome = FinishedJob(self.job.id, self.model.life.turn, transition)
        took_effect = await self._ledger.worker.finish(self._ledger.worker_id, [outcome]) == 1
        try:
            expected = self.model.life.finish(transition)
        except IllegalTransition:
            assert not took_effect
            return
        assert took_effect
        self.model.life = expected

    # What other commands do

    async def _replace(self, *, debounce: bool) -> None:
        state = self.model.life.state
        if state.is_final or state is JobState.RUNNING:
            # The command would store a job of its own.
            return
        unique, due = self._random.random() < 0.7, self._random.random() < 0.5
        run_at = None if due else datetime(2090, 1, 1, tzinfo=UTC)
        when = {"delay": DELAY, "longest_wait": LONGEST_WAIT} if debounce else {"run_at": run_at}
        command = self._command(
            unique=unique, job_key=KEY, max_attempts=self._random.randint(1, 4), **when
        )
        [outcome] = await self._ledger.insert(command)
        if unique and self._rival is not None:
            assert _what(outcome) == (InsertResult.SKIPPED_AS_DUPLICATE, self._rival)
            return
        assert _what(outcome) == (InsertResult.REPLACED, self.job.id)
        model = self.model
        if debounce:
            due = await self._is_debounced()
            self.taken.add("debounced until due" if due else "debounced")
        model.life = model.life.replace(due=due, max_attempts=command.max_attempts)
        if not unique:
            model.place = None
        elif model.place is None or model.place.has_passed(model.now):
            model.place = Place.taken(self._rule, model.now)

    async def _is_debounced(self) -> bool:
        """Whether the run time is what the domain says; answers whether it has come."""
        model = self.model
        expected = debounced(model.now + DELAY, created=model.created, longest_wait=LONGEST_WAIT)
        row = await self._ledger.row(self.job.id)
        created, run_at = (datetime.fromisoformat(row[name]) for name in ("created_at", "run_at"))
        assert abs((run_at - created) - (expected - model.created)) < SLACK
        return expected <= model.now

    async def _duplicate(self) -> None:
        duplicate = new_job(unique_key=PLACE)
        [outcome] = await self._ledger.insert(duplicate)
        if self._rival is not None:
            assert _what(outcome) == (InsertResult.SKIPPED_AS_DUPLICATE, self._rival)
        elif self.model.has_place():
            assert _what(outcome) == (InsertResult.SKIPPED_AS_DUPLICATE, self.job.id)
            self.taken.add("skipped")
        else:
            assert _what(outcome) == (InsertResult.INSERTED, duplicate.id)
            self._rival = duplicate.id
            self.taken.add("rival")
            place = self.model.place
            if place is not None and self.model.life.state in place.rule.states:
                # Its window has passed.
                self.model.place = None
                self.taken.add("gave up")

    async def _time_passes(self) -> None:
        for column in ("created_at", "unique_until"):
            await self._ledger.shift(self.job.id, column, -WHILE)
        self.model.now += WHILE

    async def _rival_goes(self) -> None:
        if self._rival is not None:
            await self._ledger.execute(
                "DELETE FROM workerqueue.queued_jobs WHERE id = %s", self._rival
            )
            self._rival = None

    async def compare(self) -> None:
        row = await self._ledger.row(self.job.id)
        assert self.model.life == Lifecycle(
            state=JobState(row["state"]),
            max_attempts=row["max_attempts"],
            turn=row["turn"],
            attempt=row["attempt"],
            lapses=row["lapses"],
            held_alone=(row["waiting_for"] or "").startswith("alone:")
            and row["state"] != "running",
        )
        assert (row["unique_key"] is not None) == (self.model.place is not None)


def _what(outcome: InsertOutcome) -> tuple[InsertResult, UUID | None]:
    return outcome.result, outcome.job_id


async def test_ledger_and_domain_agree(ledger: LedgerUnderTest) -> None:
    taken: set[str] = set()
    await ledger.lengthen_leases()
    for seed in range(100):
        walk = Walk(ledger, seed)
        await ledger.execute("DELETE FROM workerqueue.queued_jobs")
        await ledger.execute("UPDATE workerqueue.queues SET paused_at = NULL")
        await walk.begin()
        for step in range(STEPS):
            try:
                await walk.step()
                await walk.compare()
            except AssertionError as error:
                error.add_note(f"seed {seed}, step {step}")
                raise
        taken |= walk.taken
    # The walks have been everywhere.
    everywhere = {"debounced", "debounced until due", "delete", "skipped", "rival", "gave up"}
    assert sorted({*JobEvent, *everywhere, "kept out"} - taken) == []
