"""The stored side of performing indexes: few statements, each a set of rows."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from kongflow_common.db.connection_pool import Connection
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_endpoints.adapters.endpoints_queue import register_job
from kongflow_endpoints.adapters.index_news import INDEX_FAILURE, INDEX_SUCCESS, IndexNews
from kongflow_endpoints.adapters.rows import failure_document, statistics_document
from kongflow_endpoints.adapters.tables import SCHEMA
from kongflow_endpoints.application.ports import DueIndex, DueItem, Indexed, Settled
from kongflow_endpoints.domain.endpoint import (
    Endpoint,
    IndexFailure,
    NewItem,
    Outcome,
    Place,
    Statistics,
    Wish,
)

_ENDPOINT = """e.id, e.slug, e.url, e.environment_id, e.project_id, e.organization_id,
    e.indexing_hook_identifier, e.version, e.sdk_version, e.run_chunk_execution_limit,
    e.start_task_threshold, e.before_execute_task_threshold, e.before_complete_task_threshold,
    e.after_complete_task_threshold, e.created_at, e.updated_at"""

_ENDPOINT_SETTINGS = (
    "indexing_hook_identifier",
    "version",
    "sdk_version",
    "run_chunk_execution_limit",
    "start_task_threshold",
    "before_execute_task_threshold",
    "before_complete_task_threshold",
    "after_complete_task_threshold",
    "created_at",
    "updated_at",
)

_BEGIN = f"""
UPDATE endpoints.endpoint_indexes i SET status = 'STARTED'
FROM endpoints.endpoints e
WHERE i.id = %(id)b::uuid AND i.environment_id = %(environment_id)b::uuid
  AND i.status IN ('PENDING', 'STARTED') AND e.id = i.endpoint_id
RETURNING i.id, i.sequence, i.fetched_at IS NOT NULL, {_ENDPOINT}
"""  # nosec B608 - made of constants

_FAIL = """
UPDATE endpoints.endpoint_indexes SET status = 'FAILURE', error = %(error)b::jsonb
WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid
  AND status IN ('PENDING', 'STARTED') AND fetched_at IS NULL
RETURNING id
"""

_MAY_FAIL = """
SELECT endpoint_id FROM endpoints.endpoint_indexes
WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid
  AND status IN ('PENDING', 'STARTED') AND fetched_at IS NULL
"""

_NEWS_OF_FAILURE = OutboxRows(SCHEMA, join="JOIN failed ON failed.id = o.owner")

_LOG_FAILURE = PublishedRows(SCHEMA, join="JOIN failed ON failed.id = v.owner")

_FAIL_AND_TELL = f"""
WITH failed AS ({_FAIL}), logged AS ({_LOG_FAILURE.insert}), told AS ({_NEWS_OF_FAILURE.insert})
SELECT id FROM failed
"""  # nosec B608

_MARK_FETCHED = """
UPDATE endpoints.endpoint_indexes SET fetched_at = now()
WHERE id = %(id)b::uuid AND status = 'STARTED' AND fetched_at IS NULL
RETURNING id
"""

# An endpoint that was given another URL meanwhile keeps it.
_SAVE_ENDPOINT = """
UPDATE endpoints.endpoints SET
    url = CASE WHEN url = %(url)b::text THEN coalesce(%(moved_to)b::text, url) ELSE url END,
    version = coalesce(%(version)b::text, version),
    sdk_version = coalesce(%(sdk_version)b::text, sdk_version)
WHERE id = %(endpoint_id)b::uuid
"""

_ITEMS = RowParameters(
    "n",
    id="uuid",
    kind="text",
    key="text",
    version="text",
    wish="text",
    internal="boolean",
    outcome="text",
    metadata="jsonb",
)

_ADD_ITEMS = f"""
INSERT INTO endpoints.endpoint_index_items
    (id, index_id, kind, key, version, wish, internal, outcome, metadata)
SELECT n.id, %(index_id)b::uuid, n.kind, n.key, n.version, n.wish, n.internal, n.outcome,
       n.metadata
FROM {_ITEMS.source}
"""  # nosec B608

_MESSAGES = OutboxRows(SCHEMA)
_PUBLISHED = PublishedRows(SCHEMA)

_DUE_ITEMS = """
SELECT i.id, i.index_id, x.endpoint_id, e.environment_id, e.project_id, e.organization_id,
       x.sequence, i.wish, i.key, coalesce(i.version, ''),
       convert_to(i.metadata::text, 'UTF8')
FROM endpoints.endpoint_index_items i
JOIN endpoints.endpoint_indexes x ON x.id = i.index_id
JOIN endpoints.endpoints e ON e.id = x.endpoint_id
WHERE i.id = ANY(%(ids)b) AND x.environment_id = %(environment_id)b::uuid
  AND i.outcome = 'PENDING'
"""

# Whoever settles an item holds its index until the commit: of two last items one sees the other.
_LOCK_INDEXES = """
SELECT id FROM endpoints.endpoint_indexes
WHERE id = ANY(%(ids)b) AND environment_id = %(environment_id)b::uuid
ORDER BY id FOR UPDATE
"""

_UNSETTLED_JOBS = """
SELECT i.key, i.version, i.internal
FROM endpoints.endpoint_indexes x
JOIN endpoints.endpoint_index_items i ON i.index_id = x.id
WHERE x.endpoint_id = %(endpoint_id)b::uuid AND x.sequence < %(sequence)b::bigint
  AND x.status = 'STARTED' AND i.kind = 'JOB' AND i.wish = 'REGISTER' AND i.outcome = 'PENDING'
ORDER BY x.sequence, i.key
"""

_SETTLED = RowParameters(
    "s", id="uuid", index_id="uuid", outcome="text", changed="boolean", error="text",
    warnings="jsonb",
)  # fmt: skip

_SETTLE = f"""
UPDATE endpoints.endpoint_index_items i SET
    outcome = s.outcome, changed = s.changed, error = s.error, warnings = s.warnings
FROM {_SETTLED.source}
WHERE i.id = s.id AND i.index_id = s.index_id AND i.outcome = 'PENDING'
  AND s.index_id = ANY(%(index_ids)b)
"""  # nosec B608

_COUNT = """
SELECT x.id, i.kind, i.outcome, i.internal, i.changed, count(i.id)
FROM endpoints.endpoint_indexes x
LEFT JOIN endpoints.endpoint_index_items i ON i.index_id = x.id
WHERE x.id = ANY(%(ids)b) AND x.status = 'STARTED' AND x.fetched_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM endpoints.endpoint_index_items p
                  WHERE p.index_id = x.id AND p.outcome = 'PENDING')
GROUP BY x.id, i.kind, i.outcome, i.internal, i.changed
"""

_END = """
UPDATE endpoints.endpoint_indexes SET status = 'SUCCESS', stats = %(stats)b::jsonb
WHERE id = %(id)b::uuid
RETURNING endpoint_id
"""


class PostgresIndexPerformance:
    """Implements IndexPerformance."""

    def __init__(self, database: Database, relay: OutboxRelay, news: IndexNews) -> None:
        self._pool = database.pool
        self._relay = relay
        self._news = news

    async def begin(self, environment_id: UUID, index_id: UUID) -> DueIndex | None:
        rows = await self._pool.execute(_BEGIN, {"id": index_id, "environment_id": environment_id})
        if not rows:
            return None
        [(id_, generation, fetched, *values)] = rows
        return DueIndex(id_, _endpoint(values), generation, fetched)

    async def fail(self, environment_id: UUID, index_id: UUID, failure: IndexFailure) -> bool:
        mine = {"id": index_id, "environment_id": environment_id}
        parameters = {**mine, "error": orjson.dumps(failure_document(failure)).decode()}
        found = await self._pool.execute(_MAY_FAIL, mine)
        if not found:
            return False
        event = self._news.failed(environment_id, index_id, found[0][0], failure)
        wanted = await self._news.wanted(INDEX_FAILURE)
        messages = [self._news.enqueued(event)] if wanted else []
        claimed_by = self._relay.claimed_by_for_new_rows()
        failed = await self._pool.execute(
            _FAIL_AND_TELL,
            {
                **parameters,
                **_LOG_FAILURE.bind([(index_id, event)]),
                **_NEWS_OF_FAILURE.bind(messages, claimed_by, [index_id] * len(messages)),
            },
        )
        if failed:
            self._relay.committed(messages, claimed_by)
        return bool(failed)

    async def store(self, index: DueIndex, found: Indexed, items: Sequence[NewItem]) -> bool:
        environment_id = index.endpoint.place.environment_id
        pending = [item for item in items if item.outcome is Outcome.PENDING]
        messages = [register_job(index.id, environment_id, item.id) for item in pending]
        tells = not pending and await self._news.wanted(INDEX_SUCCESS)
        claimed_by = self._relay.claimed_by_for_new_rows()
        async with self._pool.connection() as connection, connection.transaction():
            if not await _fetch(connection, _MARK_FETCHED, {"id": index.id}):
                return False
            await _fetch(
                connection,
                _SAVE_ENDPOINT,
                {
                    "endpoint_id": index.endpoint.id,
                    "url": index.endpoint.url,
                    "moved_to": found.moved_to,
                    "version": found.version,
                    "sdk_version": found.sdk_version,
                },
            )
            await _fetch(
                connection,
                _ADD_ITEMS,
                {"index_id": index.id, **_ITEMS.bind([_item_row(item) for item in items])},
            )
            if not pending:
                ended = await _end_complete(connection, [index.id])
                messages = await self._told(connection, environment_id, ended, tells=tells)
            await _send(connection, messages, claimed_by)
        self._relay.committed(messages, claimed_by)
        return True

    async def unsettled_jobs(self, index: DueIndex) -> Sequence[tuple[str, str, bool]]:
        rows = await self._pool.execute(
            _UNSETTLED_JOBS, {"endpoint_id": index.endpoint.id, "sequence": index.generation}
        )
        return [(key, version or "", internal) for key, version, internal in rows]

    async def due_items(self, environment_id: UUID, item_ids: Sequence[UUID]) -> Sequence[DueItem]:
        rows = await self._pool.execute(
            _DUE_ITEMS,
            {"ids": array_parameter("uuid", item_ids), "environment_id": environment_id},
        )
        return [
            DueItem(
                id=row[0],
                index_id=row[1],
                endpoint_id=row[2],
                place=Place(*row[3:6]),
                generation=row[6],
                wish=Wish(row[7]),
                key=row[8],
                version=row[9],
                metadata=row[10] or b"",
            )
            for row in rows
        ]

    async def settle(self, environment_id: UUID, settled: Sequence[Settled]) -> Sequence[UUID]:
        wanted = sorted({each.index_id for each in settled})
        tells = await self._news.wanted(INDEX_SUCCESS)
        claimed_by = self._relay.claimed_by_for_new_rows()
        async with self._pool.connection() as connection, connection.transaction():
            locked = await _fetch(
                connection,
                _LOCK_INDEXES,
                {"ids": array_parameter("uuid", wanted), "environment_id": environment_id},
            )
            index_ids = [row[0] for row in locked]
            await _fetch(
                connection,
                _SETTLE,
                {
                    **_SETTLED.bind([_settled_row(each) for each in settled]),
                    "index_ids": array_parameter("uuid", index_ids),
                },
            )
            ended = await _end_complete(connection, index_ids)
            messages = await self._told(connection, environment_id, ended, tells=tells)
            await _send(connection, messages, claimed_by)
        self._relay.committed(messages, claimed_by)
        return list(ended)

    async def _told(
        self,
        connection: Connection,
        environment_id: UUID,
        ended: Mapping[UUID, tuple[UUID, dict[str, object]]],
        *,
        tells: bool,
    ) -> list[OutboxMessage]:
        """Log the ends of indexes; the messages to those who consume them, if anybody does."""
        events = [
            self._news.succeeded(environment_id, index_id, endpoint_id, statistics)
            for index_id, (endpoint_id, statistics) in ended.items()
        ]
        if events:
            await _fetch(
                connection, _PUBLISHED.insert, _PUBLISHED.bind([(each.id, each) for each in events])
            )
        return [self._news.enqueued(event) for event in events] if tells else []


async def _send(
    connection: Connection, messages: Sequence[OutboxMessage], claimed_by: str | None
) -> None:
    if messages:
        await _fetch(connection, _MESSAGES.insert, _MESSAGES.bind(messages, claimed_by))


async def _end_complete(
    connection: Connection, index_ids: Sequence[UUID]
) -> dict[UUID, tuple[UUID, dict[str, object]]]:
    """End those of the indexes that have no pending item; their endpoints, and what they found."""
    counts: dict[UUID, list[tuple[Any, ...]]] = {}
    for index_id, *count in await _fetch(
        connection, _COUNT, {"ids": array_parameter("uuid", index_ids)}
    ):
        counts.setdefault(index_id, []).append(tuple(count))
    ended: dict[UUID, tuple[UUID, dict[str, object]]] = {}
    for index_id, rows in counts.items():
        stats = statistics_document(_statistics(rows))
        [(endpoint_id,)] = await _fetch(connection, _END, {"id": index_id, "stats": stats.decode()})
        ended[index_id] = (endpoint_id, orjson.loads(stats))
    return ended


def _endpoint(values: Sequence[Any]) -> Endpoint:
    """Read _ENDPOINT."""
    names = ("id", "slug", "url", "environment_id", "project_id", "organization_id")
    known = dict(zip(names, values[:6], strict=True))
    place = Place(
        known.pop("environment_id"), known.pop("project_id"), known.pop("organization_id")
    )
    rest = dict(zip(_ENDPOINT_SETTINGS, values[6:], strict=True))
    return Endpoint(place=place, **known, **rest)


def _statistics(rows: Sequence[tuple[Any, ...]]) -> Statistics:
    def total(**wanted: object) -> int:
        names = ("kind", "outcome", "internal", "changed")
        return sum(
            row[4]
            for row in rows
            if all(
                dict(zip(names, row, strict=False))[name] == each for name, each in wanted.items()
            )
        )

    return Statistics(
        jobs=total(kind="JOB", outcome="REGISTERED", internal=False),
        sources=total(kind="SOURCE"),
        webhooks=total(kind="WEBHOOK"),
        dynamic_triggers=total(kind="DYNAMIC_TRIGGER"),
        dynamic_schedules=total(kind="DYNAMIC_SCHEDULE"),
        disabled_jobs=total(kind="JOB", outcome="DISABLED", changed=True),
        http_endpoints=total(kind="HTTP_ENDPOINT"),
        failed=total(outcome="FAILED"),
        deferred=total(outcome="DEFERRED"),
    )


def _item_row(item: NewItem) -> tuple[object, ...]:
    return (
        item.id,
        item.kind.value,
        item.key,
        item.version,
        item.wish.value,
        item.internal,
        item.outcome.value,
        None if item.metadata is None else item.metadata.text,
    )


def _settled_row(settled: Settled) -> tuple[object, ...]:
    return (
        settled.item_id,
        settled.index_id,
        settled.outcome.value,
        settled.changed,
        settled.error,
        orjson.dumps(settled.warnings) if settled.warnings else None,
    )


async def _fetch(connection: Connection, statement: str, parameters: dict[str, Any]) -> list[Any]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall() if cursor.description is not None else []
