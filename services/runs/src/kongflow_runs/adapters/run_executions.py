"""The stored side of executions: begun and finished under the fence of the queued job's turn."""

from collections.abc import Mapping
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.tables import SCHEMA
from kongflow_runs.application.ports import ExecutionTurn
from kongflow_runs.domain.errors import OutdatedTurn
from kongflow_runs.domain.execution import Ended, ExecutingRun, TryAgain, Verdict
from kongflow_runs.domain.run import ENDED, RunState

_ENDED = ", ".join(f"'{state.value}'" for state in sorted(ENDED))

_STARTED = PublishedRows(SCHEMA, join="JOIN begun ON begun.id = v.owner AND begun.is_first")

# A turn that is repeated begins anew: the one before it died. An older one does not.
_BEGIN = f"""
WITH run AS (
    SELECT id, started_at IS NULL AS is_first FROM runs.job_runs
    WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid
      AND status IN ('QUEUED', 'STARTED', 'EXECUTING', 'WAITING_TO_EXECUTE')
    FOR UPDATE
), begun AS (
UPDATE runs.job_runs r SET
    status = 'EXECUTING', started_at = coalesce(r.started_at, now()),
    execution_job_id = %(queued_job_id)b::uuid, execution_token = %(token)b::bigint
FROM run
WHERE r.id = run.id AND (r.execution_job_id IS DISTINCT FROM %(queued_job_id)b::uuid
                         OR r.execution_token <= %(token)b::bigint)
RETURNING r.id, r.environment_id, r.event_record_id, r.endpoint_id, r.job_slug,
    r.job_version, r.is_test, r.execution_failure_count,
    r.execution_duration_ms, now() AS at, run.is_first
), logged AS ({_STARTED.insert})
SELECT id, environment_id, event_record_id, endpoint_id, job_slug, job_version, is_test,
    execution_failure_count, execution_duration_ms, at
FROM begun
"""  # nosec B608 - made of constants

_IS_OUTDATED = """
SELECT 1 FROM runs.job_runs
WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid AND status = 'EXECUTING'
  AND execution_job_id = %(queued_job_id)b::uuid AND execution_token > %(token)b::bigint
"""

_MINE = """WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid
  AND status = 'EXECUTING' AND execution_job_id = %(queued_job_id)b::uuid
  AND execution_token = %(token)b::bigint"""

_COUNT = """execution_count = execution_count + 1,
    execution_failure_count = execution_failure_count + %(failed)b::integer,
    execution_duration_ms = execution_duration_ms + %(duration_ms)b::bigint"""

_END = f"""
UPDATE runs.job_runs SET
    status = %(status)b::text, output = %(output)b::jsonb, error = %(error)b::text,
    completed_at = now(), {_COUNT},
    timed_out_at = CASE WHEN %(status)b::text = 'TIMED_OUT' THEN now() END,
    timed_out_reason = CASE WHEN %(status)b::text = 'TIMED_OUT' THEN %(error)b::text END
{_MINE}
RETURNING id
"""  # nosec B608 - made of constants

_AGAIN = f"""
UPDATE runs.job_runs SET status = 'WAITING_TO_EXECUTE', {_COUNT}
{_MINE}
RETURNING id
"""  # nosec B608

_FAIL = f"""
UPDATE runs.job_runs SET
    status = %(status)b::text, output = %(output)b::jsonb, error = %(error)b::text,
    completed_at = now()
WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid AND status NOT IN ({_ENDED})
RETURNING id
"""  # nosec B608


_ABOUT = f"""
SELECT job_slug, job_version FROM runs.job_runs
WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid AND status NOT IN ({_ENDED})
"""  # nosec B608

_NEWS = OutboxRows(SCHEMA, join="JOIN ended ON ended.id = o.owner")
_LOGGED = PublishedRows(SCHEMA, join="JOIN ended ON ended.id = v.owner")


def _and_log(ending: str, *more: str) -> str:
    """The same statement, which logs what it has ended, and does more."""
    also = "".join(f", {each}" for each in more)
    return f"WITH ended AS ({ending}), logged AS ({_LOGGED.insert}){also} SELECT id FROM ended"  # nosec B608


_TELL = f"told AS ({_NEWS.insert})"

END, END_AND_TELL = _and_log(_END), _and_log(_END, _TELL)
FAIL, FAIL_AND_TELL = _and_log(_FAIL), _and_log(_FAIL, _TELL)


class PostgresRunExecutions:
    """The RunExecutions on PostgreSQL."""

    def __init__(self, database: Database, relay: OutboxRelay, news: RunNews) -> None:
        self._pool = database.pool
        self._relay = relay
        self._news = news

    async def begin(
        self, environment_id: UUID, run_id: UUID, turn: ExecutionTurn
    ) -> ExecutingRun | None:
        """Marks a run as executing in this turn; see RunExecutions.begin."""
        parameters = {
            "id": run_id,
            "environment_id": environment_id,
            "queued_job_id": turn.queued_job_id,
            "token": turn.token,
        }
        started = self._news.started(environment_id, run_id, turn.queued_job_id)
        rows = await self._pool.execute(
            _BEGIN, {**parameters, **_STARTED.bind([(run_id, started)])}
        )
        if rows:
            return ExecutingRun(*rows[0])
        if await self._pool.execute(_IS_OUTDATED, parameters):
            raise OutdatedTurn
        return None

    async def finish(
        self, run: ExecutingRun, turn: ExecutionTurn, verdict: Verdict, duration_ms: int
    ) -> bool:
        """Stores what came of an execution; see RunExecutions.finish."""
        parameters: dict[str, object] = {
            "id": run.id,
            "environment_id": run.environment_id,
            "queued_job_id": turn.queued_job_id,
            "token": turn.token,
            "duration_ms": duration_ms,
        }
        if isinstance(verdict, TryAgain):
            return bool(await self._pool.execute(_AGAIN, {**parameters, "failed": 1}))
        parameters |= {"failed": int(verdict.failed), **_end(verdict)}
        event = self._news.ended(
            run.environment_id,
            run.id,
            verdict.state,
            job_slug=run.job_slug,
            job_version=run.version,
        )
        if await self._news.wanted(verdict.state):
            return await self._end_and_tell(END_AND_TELL, parameters, event, run.id)
        return await self._end(END, parameters, event, run.id)

    async def fail(self, environment_id: UUID, run_id: UUID, ended: Ended) -> bool:
        """Ends a run that has not ended, whatever its state."""
        parameters = {"id": run_id, "environment_id": environment_id, **_end(ended)}
        about = await self._pool.execute(_ABOUT, parameters)
        if not about:
            return False
        [(slug, version)] = about
        event = self._news.ended(
            environment_id, run_id, ended.state, job_slug=slug, job_version=version
        )
        if await self._news.wanted(ended.state):
            return await self._end_and_tell(FAIL_AND_TELL, parameters, event, run_id)
        return await self._end(FAIL, parameters, event, run_id)

    async def _end(
        self,
        statement: str,
        parameters: Mapping[str, object],
        event: PublishedEvent,
        run_id: UUID,
    ) -> bool:
        logged = _LOGGED.bind([(run_id, event)])
        return bool(await self._pool.execute(statement, {**parameters, **logged}))

    async def _end_and_tell(
        self,
        statement: str,
        parameters: Mapping[str, object],
        event: PublishedEvent,
        run_id: UUID,
    ) -> bool:
        message = self._news.enqueued(event)
        claimed_by = self._relay.claimed_by_for_new_rows()
        told = _NEWS.bind([message], claimed_by, [run_id])
        ended = await self._end(statement, {**parameters, **told}, event, run_id)
        if ended:
            self._relay.committed([message], claimed_by)
        return ended


def _end(ended: Ended) -> dict[str, object]:
    state: RunState = ended.state
    return {
        "status": state.value,
        "output": None if ended.output is None else ended.output.text.decode(),
        "error": ended.error,
    }
