"""How many commands go into one statement."""

from collections.abc import Collection, Sequence
from uuid import UUID

import pytest

from kongflow_common.ids import new_id
from kongflow_workerqueue.application.admit_limited import AdmitLimited
from kongflow_workerqueue.application.dispatch import Dispatch
from kongflow_workerqueue.application.enqueue_command import EnqueueCommand
from kongflow_workerqueue.application.enqueue_jobs import EnqueueJobs
from kongflow_workerqueue.application.limit_ports import LimitedAdmission
from kongflow_workerqueue.application.ports import (
    Admitted,
    InsertOutcome,
    InsertResult,
    NewJob,
    PopResult,
    PushResult,
    Removal,
    WindowState,
)
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue
from kongflow_workerqueue.domain.states import JobKeyMode

MIB = 1024 * 1024


class NoWindow:
    """Takes nothing."""

    async def push(self, queue: str, entries: Sequence[Admitted], *, cap: int) -> PushResult:
        raise NotImplementedError

    async def pop(self, queue: str, limit: int) -> PopResult:
        raise NotImplementedError

    async def look(self, queue: str) -> WindowState:
        return WindowState(1_000)

    async def mark_backlog(self, queue: str, *, exists: bool) -> None:
        raise NotImplementedError


class NoLimits:
    """Is not asked: no job has limits."""

    async def admit_limited(
        self,
        lanes: Sequence[tuple[UUID, str | None]],
        *,
        share: int,
        sweep_after: UUID | None = None,
    ) -> LimitedAdmission:
        raise NotImplementedError

    async def withdraw(self, entries: Sequence[tuple[UUID, int]]) -> None:
        raise NotImplementedError

    async def wake(self, queues: Collection[str]) -> None:
        raise NotImplementedError


class Statements:
    """Remembers what each statement held."""

    def __init__(self) -> None:
        self.stored: list[list[UUID]] = []
        self.bytes: list[int] = []

    async def insert(
        self, commands: Sequence[NewJob | Removal], *, admit_to: Collection[str] = ()
    ) -> list[InsertOutcome]:
        self.stored.append([command.id for command in commands])
        self.bytes.append(sum(len(each.args) for each in commands if isinstance(each, NewJob)))
        return [InsertOutcome(InsertResult.INSERTED, command.id) for command in commands]

    async def withdraw(self, entries: Sequence[tuple[UUID, int]]) -> None:
        raise NotImplementedError

    async def wake(self, queues: Collection[str]) -> None:
        raise NotImplementedError


def command(size: int) -> EnqueueCommand:
    return EnqueueCommand(
        id=new_id(),
        kind="k",
        args=b'{"a": "' + b"x" * size + b'"}',
        queue=None,
        job_key=None,
        job_key_mode=JobKeyMode.REPLACE,
        generation=0,
        run_at=None,
        priority=None,
        max_attempts=0,
        tags=(),
        metadata=None,
        environment_id=None,
        traceparent=None,
        unique=None,
    )


@pytest.mark.parametrize(
    ("sizes", "statements"),
    [
        ([10] * 10_000, [2_000] * 5),
        ([10] * 2_001, [2_000, 1]),
        ([400 * 1024] * 30, [10, 10, 10]),
        ([500 * 1024, *[10] * 1_999], [2_000]),
        ([10], [1]),
    ],
)
async def test_a_statement_holds_so_many_commands_and_so_many_bytes(
    sizes: list[int], statements: list[int]
) -> None:
    ledger = Statements()
    window = NoWindow()
    enqueue = EnqueueJobs(
        ledger,
        KindCatalogue([]),
        Dispatch(window, ledger, cap=10),
        AdmitLimited(NoLimits(), window, cap=10),
    )
    commands = [command(size) for size in sizes]
    outcomes = await enqueue("events", commands)
    await enqueue.close()
    assert [len(each) for each in ledger.stored] == statements
    assert max(ledger.bytes) <= 4 * MIB
    assert [id_ for statement in ledger.stored for id_ in statement] == [
        each.id for each in commands
    ]
    assert [outcome.job_id for outcome in outcomes if isinstance(outcome, InsertOutcome)] == [
        each.id for each in commands
    ]
