"""Disables a version of a job."""

from kongflow_jobs.application.ports import Disabling, EventDispatchers, Registry


class DisableJob:
    """Disables a version, and the job's dispatcher when it is the latest.

    Idempotent (docs/behaviour.md#disable-job).
    """

    def __init__(self, registry: Registry, dispatchers: EventDispatchers) -> None:
        self._registry = registry
        self._dispatchers = dispatchers

    async def __call__(self, disabling: Disabling) -> bool:
        """Whether it was active before. Raises DependencyUnavailable."""
        disabled = await self._registry.disable(disabling)
        if disabled.dispatcher is not None:
            await self._dispatchers.put(disabled.dispatcher)
        return disabled.changed
