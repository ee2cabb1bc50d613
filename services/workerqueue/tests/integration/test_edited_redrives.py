"""Dead letters run again with other arguments, batch by batch."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.adapters import edited_letters
from kongflow_workerqueue.adapters.ledger_redrives import PostgresRedriveLedger
from kongflow_workerqueue.application.edit_dead_letters import (
    ArgsChange,
    DeadLetter,
    EditDeadLetters,
)
from kongflow_workerqueue.application.enqueue_command import Edit
from kongflow_workerqueue.application.redrive_queued_jobs import NewRedrive, RedriveState
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, built_in_kinds
from kongflow_workerqueue.domain.limits import KeyRule, LimitRules, limits_of
from kongflow_workerqueue.domain.outcome import Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.integration.ledger_under_test import BY, LedgerUnderTest, new_job
from services.workerqueue.tests.integration.limits_under_test import begin, finish, limited
from services.workerqueue.tests.integration.test_redrives import PARSE, discarded, found

EDITS = EditDeadLetters(KindCatalogue(built_in_kinds()))
FILTER = "kind = deliverEvent"
PATCH = ArgsChange(b'{"deliveryRevision": 7}', is_patch=True)
WHOLE = ArgsChange(b'{"eventRecordId": "other", "deliveryRevision": 2}', is_patch=False)


def redrives_with(ledger: LedgerUnderTest, edits: EditDeadLetters = EDITS) -> PostgresRedriveLedger:
    return PostgresRedriveLedger(ledger.database, PARSE, edits)


async def begun(
    redrives: PostgresRedriveLedger,
    change: ArgsChange,
    rate: int = 1_000,
    environment_id: UUID | None = None,
) -> UUID:
    new = NewRedrive(new_id(), FILTER, environment_id, rate, change)
    await redrives.begin(new, await redrives.count(environment_id, PARSE(FILTER)), BY)
    return new.id


async def second_passes(ledger: LedgerUnderTest) -> None:
    await ledger.execute("UPDATE workerqueue.redrives SET edit_due_at = now()")


async def edits_noted(ledger: LedgerUnderTest) -> Sequence[Any]:
    return [
        tuple(row)
        for row in await ledger.execute(
            "SELECT queued_job_id, redrive_id, caller, caller_name, caller_key_id, reason, kind,"
            " queue, environment_id, former_args->>'deliveryRevision'"
            " FROM workerqueue.audit_entries WHERE action = 'edit' ORDER BY queued_job_id"
        )
    ]


async def test_each_has_its_arguments_patched_and_its_former_ones_kept(
    ledger: LedgerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edited_letters, "_LETTERS_AT_ONCE", 2)
    environment = new_id()
    jobs = [new_job(environment_id=environment) for _ in range(5)]
    await discarded(ledger, *jobs)
    await ledger.execute("UPDATE workerqueue.queued_jobs SET suspicion = 3")
    redrives = redrives_with(ledger)
    id_ = await begun(redrives, PATCH, rate=3)
    assert await redrives.advance()
    assert not await redrives.advance()
    await second_passes(ledger)
    # Nothing of it is in this process's memory.
    assert await redrives_with(ledger).advance()
    redrive = await found(redrives, id_)
    assert (redrive.state, redrive.redriven, redrive.skipped, redrive.refused) == (
        RedriveState.SUCCEEDED,
        5,
        0,
        0,
    )
    assert redrive.change is not None
    assert orjson.loads(redrive.change.text) == {"deliveryRevision": 7}
    for job in jobs:
        row = await ledger.row(job.id)
        assert (row["state"], row["attempt"], row["turn"]) == ("available", 0, 2)
        assert row["suspicion"] == 0
        assert row["args"] == {**orjson.loads(job.args), "deliveryRevision": 7}
        assert row["environment_id"] == str(environment)
    assert await edits_noted(ledger) == [
        (job.id, id_, "operator", "ops", "op-1", "because", job.kind, job.queue, environment, "1")
        for job in sorted(jobs, key=lambda job: job.id)
    ]


async def test_what_would_be_no_request_stays_as_it_is(ledger: LedgerUnderTest) -> None:
    [bad, *good] = await discarded(
        ledger, new_job(args=b'{"eventRecordId": [1]}'), *[new_job() for _ in range(3)]
    )
    redrives = redrives_with(ledger)
    id_ = await begun(redrives, PATCH)
    assert await redrives.advance()
    redrive = await found(redrives, id_)
    assert (redrive.total, redrive.redriven, redrive.skipped, redrive.refused) == (4, 3, 0, 1)
    row = await ledger.row(bad)
    assert (row["state"], row["args"]) == ("discarded", {"eventRecordId": [1]})
    assert [noted[0] for noted in await edits_noted(ledger)] == sorted(good)


async def test_those_that_become_the_same_are_one(ledger: LedgerUnderTest) -> None:
    jobs = [new_job(unique_key=new_id()) for _ in range(3)]
    await discarded(ledger, *jobs)
    await discarded(ledger, new_job())
    redrives = redrives_with(ledger)
    id_ = await begun(redrives, WHOLE)
    assert await redrives.advance()
    redrive = await found(redrives, id_)
    # The last one never counted as the same as any other, and does not now.
    assert (redrive.redriven, redrive.skipped, redrive.refused) == (2, 2, 0)
    assert len(await edits_noted(ledger)) == 2
    keys = [(await ledger.row(job.id))["unique_key"] for job in jobs]
    expected = EDITS.edit(DeadLetter("deliverEvent", "events", None, None), WHOLE).unique_key
    assert keys.count(str(expected)) == 1
    former = [(await ledger.row(job.id))["args"] for job in jobs]
    assert former.count({"eventRecordId": "other", "deliveryRevision": 2}) == 1


async def test_it_stays_in_its_environment(ledger: LedgerUnderTest) -> None:
    mine, other = new_id(), new_id()
    [own] = await discarded(ledger, new_job(environment_id=mine))
    [foreign] = await discarded(ledger, new_job(environment_id=other))
    redrives = redrives_with(ledger)
    id_ = await begun(redrives, PATCH, environment_id=mine)
    assert await redrives.advance()
    assert (await found(redrives, id_)).redriven == 1
    assert (await ledger.row(own))["args"]["deliveryRevision"] == 7
    row = await ledger.row(foreign)
    assert (row["state"], row["args"]["deliveryRevision"]) == ("discarded", 1)


async def test_keys_of_limits_are_those_of_the_arguments(ledger: LedgerUnderTest) -> None:
    rules = LimitRules(serial=KeyRule("to", args=("to",)))

    class ToB(EditDeadLetters):
        def edit(self, job: DeadLetter, change: ArgsChange) -> Edit:
            former, now = (limits_of(rules, None, {"to": to}) for to in "ab")
            return Edit(b'{"to": "b"}', None, former_limits=former, limits=now)

    of_kind = new_job(limits=limits_of(rules, None, {"to": "a"}))
    own = limited(LimitRules(serial=KeyRule("mine")))
    without = new_job()
    await ledger.insert(of_kind, own)
    assert set(await begin(ledger)) == {of_kind.id, own.id}
    for job in (of_kind, own):
        await finish(ledger, job.id, Transition(JobState.DISCARDED, spends_attempt=True))
    await discarded(ledger, without)
    redrives = redrives_with(ledger, ToB(KindCatalogue(())))
    await begun(redrives, PATCH)
    assert await redrives.advance()
    keys = [(await ledger.row(job.id))["serial_key"] for job in (of_kind, own, without)]
    assert keys == [':to:["b"]', ":mine", None]
    expected = limits_of(rules, None, {"to": "b"})
    assert expected is not None
    assert (await ledger.row(of_kind.id))["limit_lane"] == str(expected.lane)


async def test_a_server_that_knows_nothing_of_edits_leaves_it_alone(
    ledger: LedgerUnderTest,
) -> None:
    await discarded(ledger, new_job())
    await begun(redrives_with(ledger), PATCH)
    # What such a server asks for.
    due = "SELECT count(*) FROM workerqueue.redrives WHERE ended_at IS NULL AND next_at <= now()"
    assert [tuple(row) for row in await ledger.execute(due)] == [(0,)]
