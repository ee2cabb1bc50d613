"""The contexts that runs asks, in memory."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from kongflow_common.clock import SystemClock
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.eventing.publisher import EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.testing.interest import FixedInterest
from kongflow_runs.domain.execution import (
    Answered,
    EndpointLimits,
    EndpointOutcome,
    EnvironmentDescription,
    ExecutedEvent,
)
from kongflow_runs.domain.start import ResolvedVersion, Startable
from kongflow_runs.main import Neighbours

AT = datetime(2026, 11, 22, 3, 20, 40, 12_000, tzinfo=UTC)
LIMITS = EndpointLimits(True, 60_000, 750, 1_500, 750, 750)
EVENT = ExecutedEvent(
    event_id="t1",
    name="order.created",
    payload=b'{"n":1.50}',
    context=b"{}",
    source_context=b"",
    timestamp=AT,
    deliver_at=AT,
    delivered_at=None,
    account_id=None,
    account_metadata=b"",
)


def a_version(**changes: object) -> ResolvedVersion:
    values: dict[str, object] = {
        "version_id": new_id(),
        "version": "1.0.0",
        "job_slug": "order",
        "endpoint_id": new_id(),
        "queue_id": new_id(),
        "active": True,
        "preprocess": False,
        "hosted_integrations": False,
        **changes,
    }
    return ResolvedVersion(**values)  # type: ignore[arg-type]


def an_environment(type_: str = "PRODUCTION", **changes: object) -> EnvironmentDescription:
    values: dict[str, object] = {
        "environment_id": new_id(),
        "slug": "prod",
        "type": type_,
        "project_id": new_id(),
        "project_slug": "shop",
        "project_name": "Shop",
        "organization_id": new_id(),
        "organization_slug": "acme",
        "organization_title": "Acme",
        "runs_enabled": True,
        "maximum_execution_ms": 900_000,
        **changes,
    }
    return EnvironmentDescription(**values)  # type: ignore[arg-type]


def answered(body: bytes, status_code: int = 200, **changes: object) -> Answered:
    values: dict[str, object] = {
        "url": "http://127.0.0.1/api",
        "duration_ms": 12,
        "timed_out": False,
        **changes,
    }
    return Answered(status_code=status_code, body=body, **values)  # type: ignore[arg-type]


@dataclass
class Others:
    """Answers for all the neighbours; what is None is not there."""

    version: ResolvedVersion | None = field(default_factory=a_version)
    environment: EnvironmentDescription | None = field(default_factory=an_environment)
    event: ExecutedEvent | None = EVENT
    endpoint_limits: EndpointLimits | None = LIMITS
    outcomes: list[EndpointOutcome] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    away: bool = False
    interest: FixedInterest = field(default_factory=FixedInterest)
    """In the runs' events: nobody's unless a test says so."""
    during: Callable[[], Awaitable[object]] | None = None
    """What happens while a program executes."""

    @property
    def neighbours(self) -> Neighbours:
        return Neighbours(
            versions=self,
            environments=self,
            events=self,
            endpoints=self,
            news=EventPublisher(self.interest, SystemClock(), new_id),
        )

    async def resolve(self, runs: Sequence[Startable]) -> Sequence[ResolvedVersion | None]:
        self._ask("jobs")
        return [self.version] * len(runs)

    async def describe(self, environment_id: UUID) -> EnvironmentDescription | None:
        self._ask("tenancy")
        return self.environment

    async def read(self, environment_id: UUID, event_record_id: UUID) -> ExecutedEvent | None:
        self._ask("events")
        return self.event

    async def limits(self, environment_id: UUID, endpoint_id: UUID) -> EndpointLimits | None:
        self._ask("endpoints")
        return self.endpoint_limits

    async def execute(
        self, environment_id: UUID, endpoint_id: UUID, body: bytes, *, timeout_ms: int
    ) -> EndpointOutcome:
        self._ask("endpoints")
        self.bodies.append(body)
        if self.during is not None:
            await self.during()
        return self.outcomes.pop(0)

    def _ask(self, name: str) -> None:
        if self.away:
            raise DependencyUnavailable(name)
