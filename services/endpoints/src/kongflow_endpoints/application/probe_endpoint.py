"""Measures how long an endpoint's platform lets an execution last."""

import logging
from datetime import timedelta
from uuid import UUID

from kongflow_endpoints.application.ports import (
    Called,
    EndpointProgram,
    EndpointReader,
    NewUnitOfWork,
    SecretKeys,
)
from kongflow_endpoints.domain.endpoint import LONGEST_CHUNK_MS, Endpoint, measured_chunk

logger = logging.getLogger(__name__)

_OK = 200


class ProbeEndpoint:
    """Has an endpoint do nothing for as long as we would let it (docs/behaviour.md#probe-endpoint).

    It answers after that time, or its platform ends it before: that is how long an execution may
    last there. Anything else says nothing.
    """

    def __init__(
        self,
        reader: EndpointReader,
        program: EndpointProgram,
        keys: SecretKeys,
        unit_of_work: NewUnitOfWork,
        *,
        lasting: timedelta = timedelta(milliseconds=LONGEST_CHUNK_MS),
    ) -> None:
        self._reader = reader
        self._program = program
        self._keys = keys
        self._unit_of_work = unit_of_work
        self._lasting = lasting

    async def __call__(self, environment_id: UUID, endpoint_id: UUID) -> int | None:
        """The limit that the endpoint was given; None when it was left as it is."""
        endpoint = await self._reader.find(environment_id, endpoint_id)
        if endpoint is None or endpoint.url is None:
            return None
        key = await self._keys.of_environment(environment_id)
        if key is None:
            return None
        called = await self._program.probe(endpoint.url, key, self._lasting)
        if not isinstance(called, Called) or not (called.status_code == _OK or called.timed_out):
            _log(endpoint, "endpoint could not be probed", outcome=_said(called))
            return None
        limit = measured_chunk(called.duration)
        async with self._unit_of_work() as uow:
            if not await uow.endpoints.measured(endpoint.id, endpoint.url, limit):
                return None
            await uow.commit()
        _log(endpoint, "endpoint probed", run_chunk_execution_limit=str(limit))
        return limit


def _said(called: object) -> str:
    return f"status {called.status_code}" if isinstance(called, Called) else "no answer"


def _log(endpoint: Endpoint, message: str, **fields: str) -> None:
    logger.info(
        message,
        extra={
            "fields": {
                "endpoint": endpoint.slug,
                "endpoint_id": str(endpoint.id),
                "environment_id": str(endpoint.place.environment_id),
                **fields,
            }
        },
    )
