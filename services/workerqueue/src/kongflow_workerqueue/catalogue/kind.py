"""A kind of queued job: a method of a target, with the policy that stands beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import orjson
from google.protobuf.message import Message

from kongflow_workerqueue.application.catalogue_ports import ArgsRefused
from kongflow_workerqueue.catalogue.discard_writer import DiscardWriter
from kongflow_workerqueue.catalogue.request_parser import RequestParser, UnreadableArguments
from kongflow_workerqueue.domain.discard import Discard
from kongflow_workerqueue.domain.limits import NO_LIMITS, LimitRules, Limits, limits_of
from kongflow_workerqueue.domain.retry import RetryPolicy
from kongflow_workerqueue.domain.schedule import Schedule
from kongflow_workerqueue.domain.states import Priority
from kongflow_workerqueue.domain.uniqueness import Uniqueness

__all__ = ["CallShape", "Kind", "Periodic"]


@dataclass(frozen=True, slots=True)
class CallShape:
    """A gRPC method: its path on the wire, its request and its answer."""

    path: str
    request_class: type[Message]
    response_class: type[Message]


@dataclass(frozen=True, slots=True)
class Periodic:
    """When jobs of a kind are enqueued by the clock, and with what arguments."""

    name: str
    schedule: Schedule
    args: bytes


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of queued job. `target` names whose method it is.

    `batch` is the method that takes up to `max_batch_size` jobs in one call; without it
    `max_batch_size` is 1. `discarded_kind` is enqueued when a job of the kind is given up, with
    the same arguments, or with what `discard_writer` makes of them. `consumes` names the types of
    integration event that the method is called with, `enqueuers` the services that may enqueue
    the kind beside its target.
    """

    kind: str
    target: str
    queue: str
    priority: Priority
    max_attempts: int
    timeout: timedelta
    retry: RetryPolicy
    unique: Uniqueness | None
    unary: CallShape
    parser: RequestParser
    batch: CallShape | None = None
    max_batch_size: int = 1
    discarded_kind: "Kind | None" = None
    discard_writer: DiscardWriter | None = None
    consumes: tuple[str, ...] = ()
    periodic: tuple[Periodic, ...] = ()
    limits: LimitRules = NO_LIMITS
    enqueuers: tuple[str, ...] = ()

    @property
    def json_names(self) -> Mapping[str, str]:
        """The JSON name of each argument, by every name that it may be written under."""
        return self.parser.json_names

    def check_args(self, args: bytes, *, with_unknown: bool = False) -> None:
        """Raises ArgsRefused unless the JSON object is a request of the kind's method.

        What the request does not know is refused too, unless `with_unknown` lets it pass.
        """
        try:
            self.parser.parse(args, with_unknown=with_unknown)
        except UnreadableArguments as error:
            raise ArgsRefused(str(error)) from error

    def limits_for(self, environment_id: UUID | None, args: bytes) -> Limits | None:
        """Returns the limits that the kind gives a job with these arguments."""
        if self.limits == NO_LIMITS:
            return None
        names = self.json_names
        fields = {names.get(name, name): value for name, value in orjson.loads(args).items()}
        return limits_of(self.limits, environment_id, fields)

    def discarded_args(self, args: bytes, discard: Discard) -> bytes:
        """Returns the arguments of `discarded_kind` for a job that had `args`."""
        return args if self.discard_writer is None else self.discard_writer.write(args, discard)
