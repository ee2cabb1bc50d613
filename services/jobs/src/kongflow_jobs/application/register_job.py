"""Registers a version of a job as a program described it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kongflow_jobs.application.ports import EventDispatchers, Registry
from kongflow_jobs.domain.registration import Registration

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RegisteredJob:
    """The version that is registered, and what is accepted but probably not meant."""

    job_id: UUID
    version_id: UUID
    warnings: Sequence[str]


class RegisterJob:
    """Stores a version, then has its dispatcher take its events (docs/behaviour.md#register-job).

    Idempotent: whoever is cut off between the two does both again, and the dispatcher's
    generation lets only the newest change count.
    """

    def __init__(self, registry: Registry, dispatchers: EventDispatchers) -> None:
        self._registry = registry
        self._dispatchers = dispatchers

    async def __call__(self, registration: Registration) -> RegisteredJob | None:
        """What is registered; None for a job that is deleted and disabled.

        Raises DependencyUnavailable when its dispatcher could not be put, and InvalidField when
        events refuses it.
        """
        registered = await self._registry.register(registration)
        if registered is None:
            return None
        warnings: Sequence[str] = ()
        if registered.dispatcher is not None:
            warnings = await self._dispatchers.put(registered.dispatcher)
        logger.info(
            "job registered",
            extra={
                "fields": {
                    "job": registration.metadata.id,
                    "version": registration.metadata.version,
                    "environment_id": str(registration.place.environment_id),
                }
            },
        )
        return RegisteredJob(registered.job_id, registered.version_id, warnings)
