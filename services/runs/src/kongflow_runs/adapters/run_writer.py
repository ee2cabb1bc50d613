"""New runs, those of many callers in one statement."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import orjson

from kongflow_common.batcher import Batcher
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.ids import id_text
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_runs.adapters.new_run_rows import NEW_RUN, new_run_row
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.started_runs import StartedRuns
from kongflow_runs.adapters.tables import SCHEMA
from kongflow_runs.domain.errors import RunPlaceTaken
from kongflow_runs.domain.run import CreatedRun, NewRun, RunState
from kongflow_runs.domain.start import StartedAs

START_RUN = "startRun"

RUNS = RowParameters("r", **NEW_RUN, version_id="uuid")
STARTS = OutboxRows(SCHEMA, join="JOIN stored ON stored.id = o.owner")
LOGGED = PublishedRows(SCHEMA, join="JOIN stored ON stored.id = v.owner")

ADD_RUNS = f"""
WITH stored AS (
    INSERT INTO runs.job_runs ({", ".join(NEW_RUN)}, version_id)
    SELECT {RUNS.columns} FROM {RUNS.source}
    ON CONFLICT DO NOTHING
    RETURNING id
), enqueued AS ({STARTS.insert}), logged AS ({LOGGED.insert})
SELECT id FROM stored
"""  # nosec B608 - made of constants

PLACES = RowParameters(
    "p",
    place="integer",
    environment_id="uuid",
    event_record_id="uuid",
    dispatcher_id="uuid",
    job_id="uuid",
    request_id="text",
)
# The environment bounds the answer: an id that is another environment's is not told. Each branch
# has an index of its own, and is written so that no plan made on an empty table takes another: the
# limit keeps it from reading an index as a whole to join it, IS TRUE from walking an environment.
FIND_HOLDERS = f"""
WITH p AS MATERIALIZED (SELECT * FROM {PLACES.source})
SELECT p.place, holder.id FROM p CROSS JOIN LATERAL (
    SELECT run.id FROM runs.job_runs run
    WHERE run.event_record_id = p.event_record_id AND run.dispatcher_id = p.dispatcher_id
      AND run.job_id = p.job_id AND (run.environment_id = p.environment_id) IS TRUE
    LIMIT 1) AS holder
WHERE p.request_id IS NULL
UNION ALL
SELECT p.place, holder.id FROM p CROSS JOIN LATERAL (
    SELECT run.id FROM runs.job_runs run
    WHERE run.environment_id = p.environment_id AND run.request_id = p.request_id
    LIMIT 1) AS holder
WHERE p.request_id IS NOT NULL
"""  # nosec B608

_Planned = tuple[NewRun, StartedAs | None]


class BatchingRunWriter:
    """The RunWriter on PostgreSQL: calls that wait at the same time become one transaction.

    Or two, where some runs are stored as started ones and others pending. Those that would be
    started are pending too when the place of one among them is held.
    """

    def __init__(self, database: Database, relay: OutboxRelay, news: RunNews) -> None:
        self._database = database
        self._relay = relay
        self._news = news
        self._started = StartedRuns(database, relay, news)
        self._batcher: Batcher[_Planned, CreatedRun] = Batcher(self._flush, name="new runs")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._batcher.close()

    async def create_many(self, runs: Sequence[_Planned]) -> Sequence[CreatedRun | Exception]:
        """Stores each run as its plan says, or pending; see RunWriter.create_many."""
        return await self._batcher.submit_all(runs)

    async def _flush(self, runs: Sequence[_Planned]) -> Sequence[CreatedRun | Exception]:
        # In one order everywhere: transactions that create the same runs wait for each other.
        ordered = sorted(runs, key=_place)
        planned = [(run, plan) for run, plan in ordered if plan is not None]
        pending = [run for run, plan in ordered if plan is None]
        created: dict[int, CreatedRun] = {}
        if planned and await self._started.add(planned):
            created = {run.id.int: CreatedRun(run.id, plan.state) for run, plan in planned}
        else:
            pending = [run for run, _ in ordered]
        if pending:
            created |= await self._add_pending(pending)
        return [
            created.get(run.id.int) or RunPlaceTaken(event_record_id=run.event_record_id)
            for run, _ in runs
        ]

    async def _add_pending(self, runs: Sequence[NewRun]) -> dict[int, CreatedRun]:
        """Store the runs with their queued starts; who holds their places, by their own ids."""
        messages = [_start(run) for run in runs]
        claimed_by = self._relay.claimed_by_for_new_rows()
        rows = await self._database.pool.execute(
            ADD_RUNS,
            {
                **RUNS.bind([(*new_run_row(run), run.version_id) for run in runs]),
                **STARTS.bind(messages, claimed_by, [run.id for run in runs]),
                **LOGGED.bind([(run.id, self._news.created(run)) for run in runs]),
            },
        )
        created = {id_.int: CreatedRun(id_, RunState.PENDING) for (id_,) in rows}
        self._relay.committed(
            [message for run, message in zip(runs, messages, strict=True) if run.id.int in created],
            claimed_by,
        )
        if len(created) < len(runs):
            created |= await self._find_holders([run for run in runs if run.id.int not in created])
        return created

    async def _find_holders(self, runs: Sequence[NewRun]) -> dict[int, CreatedRun]:
        rows = await self._database.pool.execute(
            FIND_HOLDERS,
            PLACES.bind(
                [
                    (
                        place,
                        run.environment_id,
                        run.event_record_id,
                        run.dispatcher_id,
                        run.job_id,
                        run.request_id,
                    )
                    for place, run in enumerate(runs)
                ]
            ),
        )
        return {runs[place].id.int: CreatedRun(holder, None) for place, holder in rows}


def _place(planned: _Planned) -> tuple[int, int, int, str]:
    run, _ = planned
    # By the ids' numbers: UUIDs are compared by Python code.
    dispatcher = run.dispatcher_id.int if run.dispatcher_id is not None else 0
    return run.event_record_id.int, dispatcher, run.job_id.int, run.request_id or ""


def _start(run: NewRun) -> OutboxMessage:
    return OutboxMessage.enqueue(
        START_RUN,
        orjson.dumps({"runId": id_text(run.id)}),
        environment_id=run.environment_id,
        traceparent=run.traceparent,
    )
