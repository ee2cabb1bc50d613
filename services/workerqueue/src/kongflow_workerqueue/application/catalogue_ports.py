"""What the worker queue's use cases ask of the catalogue of kinds that targets declare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.domain.limits import LimitRules, Limits
from kongflow_workerqueue.domain.states import Priority
from kongflow_workerqueue.domain.uniqueness import Uniqueness


class ArgsRefused(Exception):
    """The arguments are no request of their kind; the message says why."""


class KindPolicy(Protocol):
    """What the enqueuing server needs to know of a kind."""

    @property
    def kind(self) -> str:
        """The name of the kind."""

    @property
    def target(self) -> str:
        """The target whose method the kind is: the service of this name enqueues it."""

    @property
    def enqueuers(self) -> Sequence[str]:
        """The other services that enqueue it too."""

    @property
    def queue(self) -> str:
        """The queue of jobs that name none."""

    @property
    def priority(self) -> Priority:
        """The priority of jobs that name none."""

    @property
    def max_attempts(self) -> int:
        """The attempts of jobs that name none."""

    @property
    def unique(self) -> Uniqueness | None:
        """When two jobs of the kind count as the same unless the command says otherwise."""

    @property
    def limits(self) -> LimitRules:
        """The limits of jobs whose commands say nothing of them."""

    @property
    def json_names(self) -> Mapping[str, str]:
        """The JSON name of each argument, by every name that it may be written under."""

    def limits_for(self, environment_id: UUID | None, args: bytes) -> Limits | None:
        """Return the limits that the kind gives a job with these arguments, a JSON object."""

    def check_args(self, args: bytes, *, with_unknown: bool = False) -> None:
        """Raise ArgsRefused unless the JSON object is a request of the kind's method.

        What the request does not know is refused too, unless `with_unknown` lets it pass.
        """


@dataclass(frozen=True, slots=True)
class EventHead:
    """What an integration event says about itself, as it stands there; `timestamp` in ms.

    `replay_of` is empty for an event that happened.
    """

    id: str
    type: str
    version: int
    timestamp: int
    resource_id: str
    replay_of: str = ""


class Catalogue(Protocol):
    """The kinds of queued job that the targets declare."""

    def find(self, kind: str) -> KindPolicy | None:
        """Return the policy of a kind, None when no target declares it."""

    def consumers(self, type_: str) -> Sequence[KindPolicy]:
        """Return the kinds that are called with each event of a type."""

    def consumed_types(self) -> Sequence[str]:
        """Return the types of event that any kind consumes."""

    def publisher(self, type_: str) -> str | None:
        """Return the target that alone publishes events of a type; None if nobody does."""

    def read_event(self, event: bytes) -> EventHead:
        """Read a JSON object as an integration event; raises ArgsRefused."""
