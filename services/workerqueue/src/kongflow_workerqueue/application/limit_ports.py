"""What those ask of the ledger who admit jobs that have limits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.ports import Admitted


@dataclass(frozen=True, slots=True)
class LimitedAdmission:
    """What an admission under limits came to.

    `waits` says how long lanes wait for their rate, `next_sweep` where the next one begins: None
    when this one came to the end. `is_crowded` when jobs were left out because a window holds its
    share of jobs with limits.
    """

    admitted: Mapping[str, Sequence[Admitted]]
    waits: Mapping[UUID, timedelta]
    next_sweep: UUID | None
    is_crowded: bool = False


class LimitLedger(Protocol):
    """The ledger as those ask it who admit jobs that have limits."""

    async def admit_limited(
        self,
        lanes: Sequence[tuple[UUID, str | None]],
        *,
        share: int,
        sweep_after: UUID | None = None,
    ) -> LimitedAdmission:
        """Admit the first jobs of lanes, as far as their limits take them.

        A lane that comes with a concurrency key stands for the others that share it too; with
        `sweep_after` the lanes that follow it are looked at as well. At most `share` admitted jobs
        with limits stand in a queue's window.
        """

    async def withdraw(self, entries: Sequence[tuple[UUID, int]]) -> None:
        """Take (id, turn) entries that found no room in the window back among the unadmitted."""

    async def wake(self, queues: Collection[str]) -> None:
        """Tell listening workers by NOTIFY that these queues have available jobs."""
