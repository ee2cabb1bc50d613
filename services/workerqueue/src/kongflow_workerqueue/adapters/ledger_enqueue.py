"""Carries commands out on the ledger.

One statement for those that meet nothing, which is nearly all, one for those that replace what
waits under their job key, and one for those that only met a job that counts as the same; what
bears on other commands of its batch, or meets anything else, is resolved singly.
"""

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.errors import Contended
from kongflow_workerqueue.adapters.job_rows import (
    INSERT_NEW_JOBS,
    NEW_JOBS,
    entry_rows,
    new_job_row,
)
from kongflow_workerqueue.adapters.ledger_admission import WITHDRAW
from kongflow_workerqueue.adapters.ledger_keys import (
    find_repeats,
    replace_holders,
    resolve,
    skip_duplicates,
)
from kongflow_workerqueue.application.ports import (
    Admitted,
    InsertOutcome,
    InsertResult,
    NewJob,
    Removal,
)
from kongflow_workerqueue.domain.states import JobKeyMode

WAKE_CHANNEL = "kongflow_workerqueue"

_ROUNDS = 3


class PostgresEnqueueLedger:
    """EnqueueLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(
        self, commands: Sequence[NewJob | Removal], *, admit_to: Collection[str] = ()
    ) -> list[InsertOutcome]:
        """Carry out commands; see EnqueueLedger.insert.

        Raises DependencyUnavailable, Contended, and psycopg.DataError when PostgreSQL cannot
        hold a value, in which case nothing but commands with job keys may have been stored.
        """
        outcomes: dict[int, InsertOutcome] = {}
        plain = _without_rivals(commands)
        if plain:
            inserted = await self._insert_plain(list(plain.values()), admit_to)
            outcomes = {
                index: inserted[job.id] for index, job in plain.items() if job.id in inserted
            }
        left = [index for index in range(len(commands)) if index not in outcomes]
        if left:
            repeats = await find_repeats(self._database.pool, [commands[i].id for i in left])
            outcomes |= {i: repeats[commands[i].id] for i in left if commands[i].id in repeats}
            keyed = {
                index: job
                for index, job in plain.items()
                if index not in outcomes and _replaces(job)
            }
            if keyed:
                replaced = await replace_holders(
                    self._database.pool, list(keyed.values()), admit_to
                )
                outcomes |= {i: replaced[job.id] for i, job in keyed.items() if job.id in replaced}
            left = [index for index in left if index not in outcomes]
        for only_unique, run in groupby(left, lambda index: _is_only_unique(commands[index])):
            outcomes |= await self._resolve([*run], commands, admit_to, only_unique=only_unique)
        return [outcomes[index] for index in range(len(commands))]

    async def _resolve(
        self,
        run: Sequence[int],
        commands: Sequence[NewJob | Removal],
        admit_to: Collection[str],
        *,
        only_unique: bool,
    ) -> dict[int, InsertOutcome]:
        """Resolve the commands at these places; `only_unique` ones do not bear on each other."""
        skipped: dict[UUID, InsertOutcome] = {}
        if only_unique:
            jobs = [job for index in run if isinstance(job := commands[index], NewJob)]
            skipped = await skip_duplicates(self._database.pool, jobs)
        outcomes: dict[int, InsertOutcome] = {}
        for index in run:
            command = commands[index]
            # A command that is there twice is skipped once; its repeat is found as any other.
            if command.id in skipped:
                outcomes[index] = skipped.pop(command.id)
            else:
                outcomes[index] = await resolve(self._database.pool, command, admit_to)
        return outcomes

    async def _insert_plain(
        self, jobs: Sequence[NewJob], admit_to: Collection[str]
    ) -> dict[UUID, InsertOutcome]:
        parameters: dict[str, Any] = {
            **NEW_JOBS.bind([new_job_row(job) for job in jobs]),
            "admit_to": array_parameter("text", list(admit_to)),
        }
        priorities = {job.id: job.priority for job in jobs}
        for round_ in range(_ROUNDS):
            try:
                rows = await self._database.pool.execute(INSERT_NEW_JOBS, parameters)
                break
            except Contended:
                # Another server stores jobs that count as the same, in another order.
                if round_ == _ROUNDS - 1:
                    raise
        else:
            raise AssertionError("unreachable")
        return {
            id_: InsertOutcome(
                InsertResult.INSERTED,
                id_,
                available=available,
                admitted=(
                    Admitted(id_, turn, priorities[id_], run_at, admitted_at)
                    if admitted_at
                    else None
                ),
            )
            for id_, turn, run_at, available, admitted_at in rows
        }

    async def withdraw(self, entries: Sequence[tuple[UUID, int]]) -> None:
        """Take entries back among the unadmitted; see EnqueueLedger.withdraw."""
        if entries:
            await self._database.pool.execute(WITHDRAW, entry_rows(entries))

    async def wake(self, queues: Collection[str]) -> None:
        """Tell listening workers; see EnqueueLedger.wake."""
        await self._database.pool.execute(
            "SELECT pg_notify(%(channel)b::text, queue) FROM unnest(%(queues)b) AS q(queue)",
            {"channel": WAKE_CHANNEL, "queues": array_parameter("text", sorted(queues))},
        )


def _replaces(job: NewJob) -> bool:
    return job.job_key is not None and job.job_key_mode is JobKeyMode.REPLACE


def _is_only_unique(command: NewJob | Removal) -> bool:
    return isinstance(command, NewJob) and command.job_key is None and bool(command.unique_key)


def _without_rivals(commands: Sequence[NewJob | Removal]) -> dict[int, NewJob]:
    """Pick the jobs, by their places, that no earlier command of the same batch bears on.

    One statement has no order of its own: what shares an id, a job key or a unique key with an
    earlier command waits for its turn.
    """
    ids: set[UUID] = set()
    keys: set[tuple[str, str, UUID | None]] = set()
    uniques: set[UUID] = set()
    plain: dict[int, NewJob] = {}
    for index, command in enumerate(commands):
        met = command.id in ids
        ids.add(command.id)
        if command.job_key is not None:
            key = (command.job_key, command.kind, command.environment_id)
            met = met or key in keys
            keys.add(key)
        if isinstance(command, Removal):
            continue
        if command.unique_key is not None:
            met = met or command.unique_key in uniques
            uniques.add(command.unique_key)
        if not met:
            plain[index] = command
    return plain
