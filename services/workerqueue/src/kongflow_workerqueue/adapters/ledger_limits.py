"""The ledger as jobs with limits are admitted from it."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_workerqueue.adapters.job_rows import entry_rows
from kongflow_workerqueue.adapters.ledger_admission import ADMIT_LIMITED, WITHDRAW
from kongflow_workerqueue.adapters.wake_postgres import WAKE_CHANNEL
from kongflow_workerqueue.application.limit_ports import LimitedAdmission
from kongflow_workerqueue.application.ports import Admitted
from kongflow_workerqueue.domain.states import Priority

LANES_A_SWEEP = 500

_WAKE = "SELECT pg_notify(%(channel)b::text, queue) FROM unnest(%(queues)b) AS q(queue)"


class PostgresLimitLedger:
    """LimitLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def admit_limited(
        self,
        lanes: Sequence[tuple[UUID, str | None]],
        *,
        share: int,
        sweep_after: UUID | None = None,
    ) -> LimitedAdmission:
        """Admit jobs under their limits; see LimitLedger.admit_limited."""
        rows = await self._pool.execute(
            ADMIT_LIMITED,
            {
                "lanes": array_parameter("uuid", [lane for lane, _ in lanes]),
                "keys": array_parameter("text", _once_each([key for _, key in lanes])),
                "after": sweep_after,
                "many": LANES_A_SWEEP,
                "share": share,
            },
        )
        admitted: dict[str, list[Admitted]] = {}
        waits: dict[UUID, timedelta] = {}
        next_sweep: UUID | None = None
        is_crowded = False
        for lane, id_, turn, queue, priority, run_at, admitted_at, wait in rows:
            if id_ is not None:
                entry = Admitted(id_, turn, Priority(priority), run_at, admitted_at)
                admitted.setdefault(queue, []).append(entry)
            elif wait is not None:
                waits[lane] = timedelta(microseconds=wait)
            elif lane is not None:
                next_sweep = lane
            else:
                is_crowded = True
        return LimitedAdmission(admitted, waits, next_sweep, is_crowded)

    async def withdraw(self, entries: Sequence[tuple[UUID, int]]) -> None:
        """Take entries back among the unadmitted; see LimitLedger.withdraw."""
        if entries:
            await self._pool.execute(WITHDRAW, entry_rows(entries))

    async def wake(self, queues: Collection[str]) -> None:
        """Tell listening workers; see LimitLedger.wake."""
        parameters = {"channel": WAKE_CHANNEL, "queues": array_parameter("text", sorted(queues))}
        await self._pool.execute(_WAKE, parameters)


def _once_each(keys: Sequence[str | None]) -> list[str | None]:
    """Leave out repeated keys: the lanes that share one are gone through once."""
    seen: set[str] = set()
    kept: list[str | None] = []
    for key in keys:
        kept.append(key if key is not None and key not in seen else None)
        if key is not None:
            seen.add(key)
    return kept
