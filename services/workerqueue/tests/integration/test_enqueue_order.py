"""A batch does what its commands would do one after the other."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.ports import InsertOutcome, InsertResult, NewJob, Removal
from kongflow_workerqueue.domain.states import UNFINISHED_STATES, JobKeyMode, JobState
from services.workerqueue.tests.integration.ledger_under_test import LedgerUnderTest, new_job

KEYS = ["a", "b", "c"]
PLACES = [UUID(int=number) for number in (1, 2, 3)]
FUTURE = datetime(2090, 1, 1, tzinfo=UTC)
WHAT_COUNTS = (
    "state",
    "turn",
    "args",
    "job_key",
    "unique_key",
    "generation",
    "max_attempts",
    "attempt",
)


class Scenario:
    """Some jobs that are there, and a batch that meets them and itself."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.before = [self._command() for _ in range(6)]
        self.claimed = [each.id for each in self.before if self._random.random() < 0.3]
        self.passed = [each.id for each in self.before if self._random.random() < 0.3]
        self.batch = [self._command() for _ in range(12)]
        self.batch += [self._random.choice([*self.before, *self.batch]) for _ in range(4)]

    def _command(self) -> NewJob | Removal:
        pick = self._random
        generation = pick.choice([0, 0, 1])
        if pick.random() < 0.15:
            key = pick.choice(KEYS)
            return Removal(new_id(), kind="deliverEvent", job_key=key, generation=generation)
        key_of_job = pick.choice([None, *KEYS])
        options: dict[str, Any] = {
            "args": f'{{"n": {pick.randint(0, 9_999)}}}'.encode(),
            "job_key": key_of_job,
            "generation": generation if key_of_job else 0,
            "max_attempts": pick.randint(1, 5),
            "run_at": pick.choice([None, FUTURE]),
        }
        if key_of_job:
            options["job_key_mode"] = pick.choice([JobKeyMode.REPLACE, *JobKeyMode])
        if pick.random() < 0.5:
            options |= {
                "unique_key": pick.choice(PLACES),
                "unique_for": pick.choice([None, timedelta(hours=1)]),
                "unique_states": pick.choice(
                    [UNFINISHED_STATES, UNFINISHED_STATES - {JobState.RUNNING}]
                ),
            }
        return new_job(**options)


async def stand(ledger: LedgerUnderTest, scenario: Scenario) -> None:
    """Bring about what is there before the batch comes."""
    await ledger.execute("TRUNCATE workerqueue.queued_jobs, workerqueue.command_receipts")
    for command in scenario.before:
        await ledger.insert(command)
    for id_ in scenario.passed:
        await ledger.shift(id_, "unique_until", -timedelta(hours=2))
    await ledger.lengthen_leases()
    await ledger.worker.claim(ledger.worker_id, [(id_, 1) for id_ in scenario.claimed])


async def rows(ledger: LedgerUnderTest) -> dict[UUID, dict[str, Any]]:
    found = {}
    for id_ in await ledger.ids():
        row = await ledger.row(id_)
        found[id_] = {column: row[column] for column in WHAT_COUNTS} | {
            "has a window": row["unique_until"] is not None
        }
    return found


def whats(outcomes: Sequence[InsertOutcome]) -> list[tuple[InsertResult, UUID | None, bool]]:
    return [(each.result, each.job_id, each.repeated) for each in outcomes]


@pytest.mark.parametrize("first_seed", range(0, 120, 20))
async def test_a_batch_does_what_its_commands_do_one_after_the_other(
    ledger: LedgerUnderTest, first_seed: int
) -> None:
    for seed in range(first_seed, first_seed + 20):
        scenario = Scenario(seed)
        await stand(ledger, scenario)
        singly: list[InsertOutcome] = []
        for command in scenario.batch:
            singly += await ledger.insert(command)
        expected = await rows(ledger)
        await stand(ledger, scenario)
        together = await ledger.insert(*scenario.batch)
        assert whats(together) == whats(singly), seed
        assert await rows(ledger) == expected, seed
