"""Dead letters run again in bounded batches, whoever carries the redrive on."""

from functools import partial
from uuid import UUID, uuid4

import pytest

from kongflow_common.ids import new_id
from kongflow_common.rpc.filtering import parse_filter
from kongflow_workerqueue.adapters.ledger_redrives import PostgresRedriveLedger
from kongflow_workerqueue.application.edit_dead_letters import EditDeadLetters
from kongflow_workerqueue.application.ports import FinishedJob, NewJob
from kongflow_workerqueue.application.redrive_queued_jobs import (
    REDRIVE_FIELDS,
    NewRedrive,
    Redrive,
    RedriveState,
)
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.integration.ledger_under_test import BY, LedgerUnderTest, new_job

PARSE = partial(parse_filter, fields=REDRIVE_FIELDS)
EDITS = EditDeadLetters(KindCatalogue(()))


@pytest.fixture
def redrives(ledger: LedgerUnderTest) -> PostgresRedriveLedger:
    return PostgresRedriveLedger(ledger.database, PARSE, EDITS)


async def discarded(
    ledger: LedgerUnderTest, *jobs: NewJob, code: StatusCode = StatusCode.INTERNAL
) -> list[UUID]:
    await ledger.insert(*jobs)
    claimed = await ledger.worker.claim(ledger.worker_id, [(job.id, 1) for job in jobs])
    gone = Transition(JobState.DISCARDED, spends_attempt=True, error=CallStatus(code, "no"))
    await ledger.worker.finish(
        ledger.worker_id, [FinishedJob(job.id, job.turn, gone) for job in claimed]
    )
    return [job.id for job in jobs]


async def begun(
    ledger: PostgresRedriveLedger,
    filter_text: str = "",
    rate: int = 1_000,
    environment_id: UUID | None = None,
) -> UUID:
    new = NewRedrive(new_id(), filter_text, environment_id, rate)
    total = await ledger.count(environment_id, PARSE(filter_text))
    await ledger.begin(new, total, BY)
    return new.id


async def found(ledger: PostgresRedriveLedger, id_: UUID) -> Redrive:
    redrive = await ledger.find(id_, None)
    assert redrive is not None
    return redrive


async def second_passes(ledger: LedgerUnderTest) -> None:
    await ledger.execute("UPDATE workerqueue.redrives SET next_at = now()")


async def states(ledger: LedgerUnderTest) -> dict[str, int]:
    return dict(
        await ledger.execute("SELECT state, count(*) FROM workerqueue.queued_jobs GROUP BY state")
    )


async def test_no_more_than_the_rate_in_a_second_and_on_with_another_server(
    ledger: LedgerUnderTest, redrives: PostgresRedriveLedger
) -> None:
    await discarded(ledger, *[new_job() for _ in range(7)])
    id_ = await begun(redrives, rate=3)
    assert await redrives.advance()
    assert not await redrives.advance()
    assert await states(ledger) == {"available": 3, "discarded": 4}
    assert await redrives.any_unfinished()
    # Nothing of it is in this process's memory.
    another = PostgresRedriveLedger(ledger.database, PARSE, EDITS)
    for _ in range(2):
        await second_passes(ledger)
        assert await another.advance()
    redrive = await found(redrives, id_)
    assert (redrive.total, redrive.redriven, redrive.skipped) == (7, 7, 0)
    assert redrive.state is RedriveState.SUCCEEDED
    assert not await redrives.any_unfinished()
    assert await states(ledger) == {"available": 7}


async def test_a_redriven_job_has_its_attempts_anew_and_fails_only_once_more(
    ledger: LedgerUnderTest, redrives: PostgresRedriveLedger
) -> None:
    [job_id] = await discarded(ledger, new_job())
    await discarded(ledger, new_job())
    id_ = await begun(redrives, rate=1)
    assert await redrives.advance()
    row = await ledger.row(job_id)
    assert (row["state"], row["attempt"], row["turn"], row["finalized_at"]) == (
        "available",
        0,
        2,
        None,
    )
    await ledger.claim_one(job_id, 2)
    gone = Transition(JobState.DISCARDED, spends_attempt=True)
    await ledger.worker.finish(ledger.worker_id, [FinishedJob(job_id, 2, gone)])
    for _ in range(3):
        await second_passes(ledger)
        await redrives.advance()
    assert (await found(redrives, id_)).redriven == 2
    assert (await ledger.row(job_id))["state"] == "discarded"


async def test_a_redriven_job_that_was_set_aside_is_not_suspected_any_more(
    ledger: LedgerUnderTest, redrives: PostgresRedriveLedger
) -> None:
    [job_id] = await discarded(ledger, new_job())
    await ledger.execute("UPDATE workerqueue.queued_jobs SET suspicion = 3 WHERE id = %s", job_id)
    await begun(redrives)
    assert await redrives.advance()
    row = await ledger.row(job_id)
    assert (row["state"], row["suspicion"]) == ("available", 0)


async def test_a_job_whose_place_is_taken_is_skipped_and_stops_no_other(
    ledger: LedgerUnderTest, redrives: PostgresRedriveLedger
) -> None:
    taken = [job_id for key in "ab" for job_id in await discarded(ledger, new_job(job_key=key))]
    await discarded(ledger, *[new_job() for _ in range(5)])
    await ledger.insert(*[new_job(job_key=key) for key in "ab"])
    # Two dead letters that count as the same: one of them may run.
    same = uuid4()
    for _ in range(2):
        await discarded(ledger, new_job(unique_key=same))
    id_ = await begun(redrives)
    assert await redrives.advance()
    redrive = await found(redrives, id_)
    assert (redrive.total, redrive.redriven, redrive.skipped) == (9, 6, 3)
    assert [(await ledger.row(job_id))["state"] for job_id in taken] == ["discarded"] * 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"a", "b", "c"}),
        ("kind = registerJob", {"b"}),
        ("queue = events AND error_code = NOT_FOUND", {"c"}),
        ("error_code != NOT_FOUND", {"a", "b"}),
        ("tag = urgent", {"a"}),
        ("NOT tag = urgent", {"b", "c"}),
        ('end_time < "2020-01-01T00:00:00Z"', set()),
        ('end_time > "2020-01-01T00:00:00Z"', {"a", "b", "c"}),
    ],
)
async def test_which_dead_letters(
    ledger: LedgerUnderTest, redrives: PostgresRedriveLedger, text: str, expected: set[str]
) -> None:
    names = dict(
        zip(
            [
                *await discarded(ledger, new_job(tags=("urgent", "x"))),
                *await discarded(ledger, new_job(kind="registerJob", queue="default")),
                *await discarded(ledger, new_job(), code=StatusCode.NOT_FOUND),
            ],
            "abc",
            strict=True,
        )
    )
    await ledger.insert(new_job())
    condition = PARSE(text)
    assert await redrives.count(None, condition) == len(expected)
    sample = await redrives.sample(None, condition, 10)
    assert {names[job.id] for job in sample} == expected
    assert all(job.args is None for job in sample)
    await begun(redrives, text)
    await redrives.advance()
    available = {
        names[job_id] for job_id in names if (await ledger.row(job_id))["state"] == "available"
    }
    assert available == expected


async def test_it_stays_in_its_environment(
    ledger: LedgerUnderTest, redrives: PostgresRedriveLedger
) -> None:
    mine, other = new_id(), new_id()
    [own] = await discarded(ledger, new_job(environment_id=mine))
    foreign = [
        *await discarded(ledger, new_job(environment_id=other)),
        *await discarded(ledger, new_job()),
    ]
    id_ = await begun(redrives, environment_id=mine)
    assert await redrives.find(id_, other) is None
    await redrives.stop(id_, other, BY)
    assert await redrives.advance()
    assert (await found(redrives, id_)).redriven == 1
    assert (await ledger.row(own))["state"] == "available"
    assert [(await ledger.row(job_id))["state"] for job_id in foreign] == ["discarded"] * 2


async def test_a_stopped_one_goes_no_further(
    ledger: LedgerUnderTest, redrives: PostgresRedriveLedger
) -> None:
    await discarded(ledger, *[new_job() for _ in range(4)])
    id_ = await begun(redrives, rate=1)
    assert await redrives.advance()
    for _ in range(2):
        await redrives.stop(id_, None, BY)
    await second_passes(ledger)
    assert not await redrives.advance()
    redrive = await found(redrives, id_)
    assert (redrive.state, redrive.redriven) == (RedriveState.CANCELLED, 1)
    rows = await ledger.execute(
        "SELECT action, redrive_id, reason FROM workerqueue.audit_entries ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        ("redrive", id_, "because"),
        ("cancel_redrive", id_, "because"),
    ]
