"""Rows of endpoints and their indexes as values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Row

from kongflow_common.payload import JsonDocument
from kongflow_endpoints.domain.endpoint import (
    Endpoint,
    EndpointIndex,
    IndexFailure,
    IndexItem,
    IndexSource,
    IndexStatus,
    ItemKind,
    LimitOrigin,
    Outcome,
    Place,
    Statistics,
)

_LONGEST_MESSAGE = 20_000

_STATISTICS = {
    "jobs": "jobs",
    "sources": "sources",
    "webhooks": "webhooks",
    "dynamic_triggers": "dynamicTriggers",
    "dynamic_schedules": "dynamicSchedules",
    "disabled_jobs": "disabledJobs",
    "http_endpoints": "httpEndpoints",
    "failed": "failed",
    "deferred": "deferred",
}
"""As the original's clients know them."""


def to_endpoint(row: Row[Any]) -> Endpoint:
    """Read a row of endpoints."""
    return Endpoint(
        id=row.id,
        slug=row.slug,
        url=row.url,
        place=Place(row.environment_id, row.project_id, row.organization_id),
        indexing_hook_identifier=row.indexing_hook_identifier,
        version=row.version,
        sdk_version=row.sdk_version,
        run_chunk_execution_limit=row.run_chunk_execution_limit,
        start_task_threshold=row.start_task_threshold,
        before_execute_task_threshold=row.before_execute_task_threshold,
        before_complete_task_threshold=row.before_complete_task_threshold,
        after_complete_task_threshold=row.after_complete_task_threshold,
        created_at=row.created_at,
        updated_at=row.updated_at,
        environment_type=row.environment_type,
        run_chunk_execution_limit_origin=LimitOrigin(row.run_chunk_execution_limit_origin),
    )


def to_index(row: Row[Any], failed: Sequence[IndexItem] = ()) -> EndpointIndex:
    """Read a row of indexes."""
    return EndpointIndex(
        id=row.id,
        endpoint_id=row.endpoint_id,
        status=IndexStatus(row.status),
        source=IndexSource(row.source),
        reason=row.reason,
        data=_document(row.data),
        statistics=None if row.stats is None else _statistics(row.stats),
        error=None if row.error is None else _failure(row.error),
        failed_items=tuple(failed),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def to_item(row: Row[Any], metadata: object = None) -> IndexItem:
    """Read a row of items."""
    return IndexItem(
        id=row.id,
        kind=ItemKind(row.kind),
        key=row.key,
        version=row.version,
        outcome=Outcome(row.outcome),
        error=row.error,
        warnings=tuple(row.warnings or ()),
        metadata=_document(metadata),
    )


def statistics_document(statistics: Statistics) -> bytes:
    """What is stored of statistics."""
    return orjson.dumps({_STATISTICS[name]: count for name, count in asdict(statistics).items()})


def failure_document(failure: IndexFailure) -> dict[str, object]:
    """What is stored of a failure: programs have a say in it, and jsonb holds no NUL."""
    message = failure.message[:_LONGEST_MESSAGE].replace("\x00", "\ufffd")
    raw = {} if failure.raw is None else {"raw": failure.raw.load()}
    return {"message": message, **raw}


def _statistics(stored: Mapping[str, int]) -> Statistics:
    return Statistics(**{name: stored.get(key, 0) for name, key in _STATISTICS.items()})


def _failure(stored: Mapping[str, Any]) -> IndexFailure:
    return IndexFailure(stored["message"], _document(stored.get("raw")))


def _document(value: object) -> JsonDocument | None:
    return None if value is None else JsonDocument(orjson.dumps(value))
