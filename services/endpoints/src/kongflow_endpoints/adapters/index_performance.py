"""The stored side of performing indexes: few statements, each a set of rows."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from kongflow_common.db.connection_pool import Connection
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_endpoints.adapters import index_statements as sql
from kongflow_endpoints.adapters.endpoints_queue import probe_endpoint, register_job
from kongflow_endpoints.adapters.index_news import INDEX_FAILURE, INDEX_SUCCESS, IndexNews
from kongflow_endpoints.adapters.rows import failure_document, statistics_document
from kongflow_endpoints.application.ports import DueIndex, DueItem, Indexed, Settled
from kongflow_endpoints.domain.endpoint import (
    Endpoint,
    IndexFailure,
    LimitOrigin,
    NewItem,
    Outcome,
    Place,
    Statistics,
    Wish,
)

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
    "environment_type",
)


class PostgresIndexPerformance:
    """Implements IndexPerformance."""

    def __init__(self, database: Database, relay: OutboxRelay, news: IndexNews) -> None:
        self._pool = database.pool
        self._relay = relay
        self._news = news

    async def begin(self, environment_id: UUID, index_id: UUID) -> DueIndex | None:
        rows = await self._pool.execute(
            sql.BEGIN, {"id": index_id, "environment_id": environment_id}
        )
        if not rows:
            return None
        [(id_, generation, fetched, *values)] = rows
        return DueIndex(id_, _endpoint(values), generation, fetched)

    async def fail(self, environment_id: UUID, index_id: UUID, failure: IndexFailure) -> bool:
        mine = {"id": index_id, "environment_id": environment_id}
        parameters = {**mine, "error": orjson.dumps(failure_document(failure)).decode()}
        found = await self._pool.execute(sql.MAY_FAIL, mine)
        if not found:
            return False
        event = self._news.failed(environment_id, index_id, found[0][0], failure)
        wanted = await self._news.wanted(INDEX_FAILURE)
        messages = [self._news.enqueued(event)] if wanted else []
        claimed_by = self._relay.claimed_by_for_new_rows()
        failed = await self._pool.execute(
            sql.FAIL_AND_TELL,
            {
                **parameters,
                **sql.LOG_FAILURE.bind([(index_id, event)]),
                **sql.NEWS_OF_FAILURE.bind(messages, claimed_by, [index_id] * len(messages)),
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
            if not await _fetch(connection, sql.MARK_FETCHED, {"id": index.id}):
                return False
            await _fetch(
                connection,
                sql.SAVE_ENDPOINT,
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
                sql.ADD_ITEMS,
                {"index_id": index.id, **sql.ITEMS.bind([_item_row(item) for item in items])},
            )
            if not pending:
                ended = await _end_complete(connection, [index.id])
                messages = await self._told(connection, environment_id, ended, tells=tells)
            if index.endpoint.may_be_probed and await _fetch(
                connection, sql.WANT_PROBE, {"id": index.endpoint.id}
            ):
                messages.append(probe_endpoint(index.endpoint.id, environment_id))
            await _send(connection, messages, claimed_by)
        self._relay.committed(messages, claimed_by)
        return True

    async def unsettled_jobs(self, index: DueIndex) -> Sequence[tuple[str, str, bool]]:
        rows = await self._pool.execute(
            sql.UNSETTLED_JOBS, {"endpoint_id": index.endpoint.id, "sequence": index.generation}
        )
        return [(key, version or "", internal) for key, version, internal in rows]

    async def due_items(self, environment_id: UUID, item_ids: Sequence[UUID]) -> Sequence[DueItem]:
        rows = await self._pool.execute(
            sql.DUE_ITEMS,
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
                sql.LOCK_INDEXES,
                {"ids": array_parameter("uuid", wanted), "environment_id": environment_id},
            )
            index_ids = [row[0] for row in locked]
            await _fetch(
                connection,
                sql.SETTLE,
                {
                    **sql.SETTLED.bind([_settled_row(each) for each in settled]),
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
                connection,
                sql.PUBLISHED.insert,
                sql.PUBLISHED.bind([(each.id, each) for each in events]),
            )
        return [self._news.enqueued(event) for event in events] if tells else []


async def _send(
    connection: Connection, messages: Sequence[OutboxMessage], claimed_by: str | None
) -> None:
    if messages:
        await _fetch(connection, sql.MESSAGES.insert, sql.MESSAGES.bind(messages, claimed_by))


async def _end_complete(
    connection: Connection, index_ids: Sequence[UUID]
) -> dict[UUID, tuple[UUID, dict[str, object]]]:
    """End those of the indexes that have no pending item; their endpoints, and what they found."""
    counts: dict[UUID, list[tuple[Any, ...]]] = {}
    for index_id, *count in await _fetch(
        connection, sql.COUNT, {"ids": array_parameter("uuid", index_ids)}
    ):
        counts.setdefault(index_id, []).append(tuple(count))
    ended: dict[UUID, tuple[UUID, dict[str, object]]] = {}
    for index_id, rows in counts.items():
        stats = statistics_document(_statistics(rows))
        [(endpoint_id,)] = await _fetch(
            connection, sql.END, {"id": index_id, "stats": stats.decode()}
        )
        ended[index_id] = (endpoint_id, orjson.loads(stats))
    return ended


def _endpoint(values: Sequence[Any]) -> Endpoint:
    """Read sql.ENDPOINT."""
    names = ("id", "slug", "url", "environment_id", "project_id", "organization_id")
    known = dict(zip(names, values[:6], strict=True))
    place = Place(
        known.pop("environment_id"), known.pop("project_id"), known.pop("organization_id")
    )
    rest = dict(zip(_ENDPOINT_SETTINGS, values[6:-1], strict=True))
    origin = LimitOrigin(values[-1])
    return Endpoint(place=place, run_chunk_execution_limit_origin=origin, **known, **rest)


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
