"""New runs that are stored as started ones, with one statement."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import psycopg

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_runs.adapters.new_run_rows import NEW_RUN, new_run_row
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.start_messages import StartMessages, TracedStart
from kongflow_runs.adapters.tables import SCHEMA
from kongflow_runs.domain.run import NewRun, RunState
from kongflow_runs.domain.start import StartedAs

_RUNS = RowParameters(
    "r",
    **NEW_RUN,
    status="text",
    version_id="uuid",
    job_slug="text",
    job_version="text",
    endpoint_id="uuid",
    queue_id="uuid",
    preprocess="boolean",
    error="text",
    output="jsonb",
    counter="integer",
    behind_last="integer",
)
_COUNTERS = RowParameters("c", project_id="uuid", job_id="uuid", drawn="bigint")
# Whoever owns them is stored, or nothing is.
_MESSAGES = OutboxRows(SCHEMA)
_LOGGED = PublishedRows(SCHEMA)

# No place may be held: numbers that are drawn are used, and what is sent and logged has happened.
# Counters come in one order, and all of them before the first run, as the last numbers are read
# as a whole; so transactions wait for each other, but never in a circle.
ADD_STARTED = f"""
WITH drawn AS (
    INSERT INTO runs.job_counters AS counter (project_id, job_id, last_number)
    SELECT {_COUNTERS.columns} FROM {_COUNTERS.source}
    ON CONFLICT (project_id, job_id)
        DO UPDATE SET last_number = counter.last_number + excluded.last_number
    RETURNING project_id, job_id, last_number
), enqueued AS ({_MESSAGES.insert}), logged AS ({_LOGGED.insert})
INSERT INTO runs.job_runs (
    {", ".join(NEW_RUN)}, status, version_id, job_slug, job_version,
    endpoint_id, queue_id, preprocess, error, output, number, queued_at, completed_at)
SELECT {", ".join(f"r.{column}" for column in NEW_RUN)}, r.status, r.version_id, r.job_slug,
    r.job_version, r.endpoint_id, r.queue_id, r.preprocess, r.error, r.output,
    (SELECT array_agg(last_number ORDER BY project_id, job_id) FROM drawn)[r.counter]
        - r.behind_last,
    CASE WHEN r.counter IS NOT NULL THEN now() END,
    CASE WHEN r.error IS NOT NULL THEN now() END
FROM {_RUNS.source}
"""  # nosec B608 - made of constants

_Numbers = Mapping[int, tuple[int, int]]
_NO_NUMBER = (None, None)


class StartedRuns:
    """Stores new runs numbered and queued, or however else they go on."""

    def __init__(self, database: Database, relay: OutboxRelay, news: RunNews) -> None:
        self._pool = database.pool
        self._relay = relay
        self._news = news
        self._messages = StartMessages(news)

    async def add(self, runs: Sequence[tuple[NewRun, StartedAs]]) -> bool:
        """Store all of them, in the order given; False, and nothing, where a place is held."""
        # In the log a run is created before it ends: ids are its order.
        created = [(run.id, self._news.created(run)) for run, _ in runs]
        sent, ended = await self._messages.sent_and_logged(
            [TracedStart(plan, run.environment_id, run.traceparent) for run, plan in runs]
        )
        messages = [message for _, message in sent]
        claimed_by = self._relay.claimed_by_for_new_rows()
        try:
            await self._pool.execute(
                ADD_STARTED,
                {
                    **_bound(runs),
                    **_MESSAGES.bind(messages, claimed_by),
                    **_LOGGED.bind([*created, *ended]),
                },
            )
        except psycopg.errors.UniqueViolation:
            return False
        self._relay.committed(messages, claimed_by)
        return True


def _bound(runs: Sequence[tuple[NewRun, StartedAs]]) -> dict[str, object]:
    """The parameters of the runs and of the counters that their numbers are drawn from."""
    counters, numbers = _numbers(runs)
    return {**_COUNTERS.bind(counters), **_RUNS.bind([_row(*each, numbers) for each in runs])}


def _numbers(
    runs: Sequence[tuple[NewRun, StartedAs]],
) -> tuple[list[tuple[UUID, UUID, int]], _Numbers]:
    """How many numbers are drawn from which counters, and what makes each run's of them.

    That is, by the number of the run's id, the place of its counter and how many runs of the same
    job come after it. Within a job numbers are in the order of ids.
    """
    by_job: dict[tuple[int, int], list[NewRun]] = {}
    for run, plan in runs:
        if plan.state is RunState.QUEUED:
            by_job.setdefault((run.project_id.int, run.job_id.int), []).append(run)
    counters: list[tuple[UUID, UUID, int]] = []
    numbers: dict[int, tuple[int, int]] = {}
    for place, job in enumerate(sorted(by_job), start=1):
        queued = sorted(by_job[job], key=lambda run: run.id.int, reverse=True)
        counters.append((queued[0].project_id, queued[0].job_id, len(queued)))
        for behind_last, run in enumerate(queued):
            numbers[run.id.int] = (place, behind_last)
    return counters, numbers


def _row(run: NewRun, plan: StartedAs, numbers: _Numbers) -> tuple[object, ...]:
    version, output = plan.version, plan.output
    return (
        *new_run_row(run),
        plan.state.value,
        version.version_id if version else None,
        version.job_slug if version else None,
        version.version if version else None,
        version.endpoint_id if version else None,
        version.queue_id if version else None,
        version.preprocess if version else False,
        plan.error,
        output.text if output else None,
        *numbers.get(run.id.int, _NO_NUMBER),
    )
