"""Asks an endpoint what it holds, and has it registered."""

import logging
from collections.abc import Sequence
from uuid import UUID

from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_endpoints.application.ports import (
    DueIndex,
    EndpointProgram,
    Indexed,
    IndexPerformance,
    JobRegistry,
    SecretKeys,
)
from kongflow_endpoints.application.program_key import NO_KEY
from kongflow_endpoints.domain.endpoint import IndexFailure, ItemKind, NewItem, Wish
from kongflow_protocol.endpoint import Found

logger = logging.getLogger(__name__)

NO_URL = "Endpoint URL is not set"


class PerformEndpointIndexing:
    """Performs an index (docs/behaviour.md#index-endpoint).

    What the endpoint answers ends the index; only what is wrong with us fails the queued job.
    Idempotent: an index whose items are there, or that has ended, is left as it is.
    """

    def __init__(
        self,
        performance: IndexPerformance,
        program: EndpointProgram,
        keys: SecretKeys,
        jobs: JobRegistry,
    ) -> None:
        self._performance = performance
        self._program = program
        self._keys = keys
        self._jobs = jobs

    async def __call__(self, environment_id: UUID, index_id: UUID) -> None:
        """Raises DependencyUnavailable when a service could not be asked."""
        index = await self._performance.begin(environment_id, index_id)
        if index is None or index.fetched:
            return
        found = await self._fetch(index)
        if isinstance(found, IndexFailure):
            await self._performance.fail(environment_id, index_id, found)
            _log(index, "endpoint index failed", why=found.message)
            return
        # In this order: what is settled in between is live by then.
        unsettled = await self._performance.unsettled_jobs(index)
        live = await self._jobs.live_jobs(index.endpoint)
        items = [*map(_item, found.items), *_missing(found, [*unsettled, *live])]
        if await self._performance.store(index, found, items):
            _log(index, "endpoint indexed", items=str(len(items)))

    async def _fetch(self, index: DueIndex) -> Indexed | IndexFailure:
        url = index.endpoint.url
        if url is None:
            return IndexFailure(NO_URL)
        key = await self._keys.of_environment(index.endpoint.place.environment_id)
        if key is None:
            return IndexFailure(NO_KEY)
        return await self._program.index(url, key)


class FailEndpointIndex:
    """Ends an index whose queued job was given up; one that has ended stays as it is."""

    def __init__(self, performance: IndexPerformance) -> None:
        self._performance = performance

    async def __call__(self, environment_id: UUID, index_id: UUID, reason: str) -> None:
        """`reason` is what people are told."""
        await self._performance.fail(environment_id, index_id, IndexFailure(reason))


def _item(found: Found) -> NewItem:
    kind = ItemKind(found.kind)
    wish = Wish.KEEP
    if kind is ItemKind.JOB:
        wish = Wish.REGISTER if found.enabled else Wish.DISABLE
    return NewItem(
        id=new_id(),
        kind=kind,
        key=found.key,
        version=found.version or None,
        wish=wish,
        internal=found.internal,
        metadata=JsonDocument(found.metadata),
    )


def _missing(found: Indexed, live: Sequence[tuple[str, str, bool]]) -> list[NewItem]:
    """The jobs that the program does not hold any more: they are disabled.

    Also those that an earlier index has still to register: its words are older, and count less.
    """
    held = {item.key for item in found.items if item.kind == ItemKind.JOB}
    # One item per job: where two versions are known it is the live one.
    known = {slug: (version, internal) for slug, version, internal in live}
    return [
        NewItem(
            id=new_id(),
            kind=ItemKind.JOB,
            key=slug,
            version=version,
            wish=Wish.DISABLE,
            internal=internal,
            metadata=None,
        )
        for slug, (version, internal) in known.items()
        if slug not in held
    ]


def _log(index: DueIndex, message: str, **fields: str) -> None:
    logger.info(
        message,
        extra={
            "fields": {
                "endpoint_index_id": str(index.id),
                "endpoint": index.endpoint.slug,
                "environment_id": str(index.endpoint.place.environment_id),
                **fields,
            }
        },
    )
