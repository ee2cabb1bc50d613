"""A context's server: a listener for clients and one for the other services."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from prometheus_client import CollectorRegistry

from kongflow_common.auth.access import access_rule
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc.call_metrics import CallMetrics
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.interceptor import CallLimits, CallPipeline
from kongflow_common.rpc.listener import GrpcService, Listener
from kongflow_common.rpc.metrics_endpoint import serve_metrics
from kongflow_common.rpc.tls import server_credentials
from kongflow_common.settings import ServiceSettings

__all__ = ["GrpcServer", "GrpcService", "ReadinessProbe", "TasksServiceOpen"]

_logger = logging.getLogger(__name__)

CLIENT_LIMITS = CallLimits(max_answer_bytes=4 * 1024 * 1024)
TASKS_LIMITS = CallLimits(max_answer_bytes=16 * 1024 * 1024)

PROBE_INTERVAL_SECONDS = 1.0
PROBE_TIMEOUT_SECONDS = 3.0

ReadinessProbe = Callable[[], Awaitable[None]]
"""Returns when the server can do its work, raises DependencyUnavailable when it cannot."""


class TasksServiceOpen(ValueError):
    """A service on the tasks listener lets somebody other than services in."""


class GrpcServer:
    """Two listeners in one event loop: clients, and the other services (tasks, internal).

    Health follows `probe`: NOT_SERVING while it fails, SERVING again by itself. Raises, when
    it is built, AccessNotDeclared, MethodNotImplemented, TasksServiceOpen, ListenerNotBound
    or TlsSettingsIncomplete: a server that is wrong does not start.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        authenticator: Authenticator,
        catalog: ErrorCatalog,
        client_services: Sequence[GrpcService],
        tasks_services: Sequence[GrpcService] = (),
        probe: ReadinessProbe | None = None,
        registry: CollectorRegistry | None = None,
        client_limits: CallLimits = CLIENT_LIMITS,
        tasks_limits: CallLimits = TASKS_LIMITS,
    ) -> None:
        for service in tasks_services:
            _check_only_services(service)
        self._settings = settings
        self._probe = probe
        self._registry = registry if registry is not None else CollectorRegistry()
        metrics = CallMetrics(self._registry)
        self._client = Listener(
            settings.listen,
            client_services,
            CallPipeline(authenticator, catalog, metrics, client_limits, listener="client"),
            credentials=server_credentials(settings, require_client_certificate=False),
            reflect=settings.reflection,
        )
        self._tasks = Listener(
            settings.tasks_listen,
            tasks_services,
            CallPipeline(authenticator, catalog, metrics, tasks_limits, listener="tasks"),
            credentials=server_credentials(settings, require_client_certificate=True),
            reflect=False,
        )
        self._watch: asyncio.Task[None] | None = None
        self._close_metrics: Callable[[], None] | None = None

    @property
    def listen(self) -> str:
        """Where clients call, with the port that was taken."""
        return self._client.address

    @property
    def tasks_listen(self) -> str:
        """Where the other services call, with the port that was taken."""
        return self._tasks.address

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer calls until `stop` is set, then drain."""
        await self.start()
        try:
            await stop.wait()
        finally:
            await self.drain()

    async def start(self) -> None:
        """Accept calls, and say so in the log."""
        if self._settings.metrics_listen:
            self._close_metrics = serve_metrics(self._settings.metrics_listen, self._registry)
        await self._client.start()
        await self._tasks.start()
        await self._set_serving(await self._is_ready())
        if self._probe is not None:
            self._watch = asyncio.create_task(self._follow_probe())
        _logger.info(
            "serving",
            extra={"fields": {"listen": self.listen, "tasks_listen": self.tasks_listen}},
        )

    async def drain(self) -> None:
        """Say NOT_SERVING, refuse what is new, finish what runs within the drain time, close."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        seconds = self._settings.drain_seconds
        _logger.info("draining", extra={"fields": {"seconds": seconds}})
        await asyncio.gather(self._client.drain(seconds), self._tasks.drain(seconds))
        if self._close_metrics is not None:
            await asyncio.to_thread(self._close_metrics)
            self._close_metrics = None
        _logger.info("stopped")

    async def _follow_probe(self) -> None:
        ready = True
        while True:
            now_ready = await self._is_ready()
            if now_ready is not ready:
                _logger.log(
                    logging.INFO if now_ready else logging.WARNING,
                    "ready again" if now_ready else "not ready",
                )
                ready = now_ready
            await self._set_serving(ready)
            await asyncio.sleep(PROBE_INTERVAL_SECONDS)

    async def _is_ready(self) -> bool:
        if self._probe is None:
            return True
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await self._probe()
        except (DependencyUnavailable, TimeoutError):
            return False
        except Exception:  # the probe's mistake must not end the watch over readiness
            _logger.exception("the readiness probe failed")
            return False
        return True

    async def _set_serving(self, serving: bool) -> None:
        await self._client.set_serving(serving)
        await self._tasks.set_serving(serving)


def _check_only_services(service: GrpcService) -> None:
    for method in service.descriptor.methods:
        if not access_rule(method).only_services:
            raise TasksServiceOpen(f"{method.full_name} is for other callers than services too")
