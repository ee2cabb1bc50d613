"""Reads the kinds out of a tasks service's descriptors, and refuses what could not be called."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Literal

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message_factory import GetMessageClass

from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.eventing.publisher import PUBLISH
from kongflow_common.settings import Misconfigured
from kongflow_workerqueue.catalogue.discard_writer import DiscardWriter
from kongflow_workerqueue.catalogue.event_reader import check_consumer, consumed_types
from kongflow_workerqueue.catalogue.kind import CallShape, Kind
from kongflow_workerqueue.catalogue.limit_reader import read_limits
from kongflow_workerqueue.catalogue.periodic_reader import read_periodic
from kongflow_workerqueue.catalogue.request_parser import RequestParser
from kongflow_workerqueue.domain.retry import (
    ExponentialRetry,
    FourthPowerRetry,
    ListedRetry,
    RetryPolicy,
)
from kongflow_workerqueue.domain.states import UNFINISHED_STATES, JobState, Priority
from kongflow_workerqueue.domain.uniqueness import Uniqueness

__all__ = ["InvalidKind", "read_kinds"]

_DEFAULT_QUEUE = "default"
_DEFAULT_MAX_ATTEMPTS = 25
_DEFAULT_TIMEOUT = Duration(seconds=60)
_DEFAULT_BATCH_SIZE = 100
# What consumers of integration events have instead.
_EVENTS_QUEUE = "events"
_EVENTS_MAX_ATTEMPTS = 3
_EVENTS_RETRY = ExponentialRetry(initial_backoff=timedelta(seconds=2))
_LARGEST_BATCH_SIZE = 10_000
# What the ledger stores: a kind beyond it could be declared, and no job of it ever enqueued.
_MAX_ATTEMPTS = 1_000
_MAX_KIND_LENGTH = 200
_MAX_QUEUE_LENGTH = 128

_ENVELOPE = "kongflow.workerqueue.v1.Envelope"
_JOB_RESULT = "kongflow.workerqueue.v1.JobResult"
_DISCARD = "kongflow.workerqueue.v1.Discard"


class InvalidKind(Misconfigured):
    """A method's job options do not fit the service that it stands in."""


def read_kinds(file: FileDescriptorProto, pool: DescriptorPool, target: str) -> list[Kind]:
    """Reads the kinds of every service in a file whose descriptors are in `pool`.

    The options are read from the file's bytes and not from the descriptors of the pool: those
    were parsed when their module was imported, and options whose extension was not yet known at
    that moment stay unknown fields. Raises InvalidKind.
    """
    kinds: list[Kind] = []
    for service in file.service:
        name = f"{file.package}.{service.name}" if file.package else service.name
        kinds += _ServiceReader(service, pool.FindServiceByName(name), pool, target).kinds()
    return kinds


def _options(method: MethodDescriptorProto) -> job_options_pb2.JobOptions | None:
    if not method.options.HasExtension(job_options_pb2.job):
        return None
    return method.options.Extensions[job_options_pb2.job]


def _consumes(method: MethodDescriptorProto, service: ServiceDescriptor) -> tuple[str, ...]:
    try:
        types = consumed_types(method)
    except ValueError as error:
        raise InvalidKind(f"{service.full_name}.{method.name}: {error}") from None
    if types and _options(method) is None:
        raise InvalidKind(f"{service.full_name}.{method.name} consumes events and is no kind.")
    return types


class _ServiceReader:
    def __init__(
        self,
        proto: ServiceDescriptorProto,
        service: ServiceDescriptor,
        pool: DescriptorPool,
        target: str,
    ) -> None:
        self._service = service
        self._pool = pool
        self._target = target
        self._options = {
            method.name: options
            for method in proto.method
            if (options := _options(method)) is not None
        }
        self._consumes = {method.name: _consumes(method, service) for method in proto.method}
        self._kinds: dict[str, Kind] = {}

    def kinds(self) -> Iterator[Kind]:
        for method_name in self._options:
            yield self._kind(method_name, within=())

    def _kind(self, method_name: str, within: tuple[str, ...]) -> Kind:
        if method_name not in self._kinds:
            if method_name in within:
                raise InvalidKind(f"{self._service.full_name}: discarded methods form a circle.")
            try:
                self._kinds[method_name] = self._read(method_name, (*within, method_name))
            except ValueError as error:
                raise InvalidKind(f"{self._service.full_name}.{method_name}: {error}") from None
        return self._kinds[method_name]

    def _read(self, method_name: str, within: tuple[str, ...]) -> Kind:
        options = self._options[method_name]
        if not options.kind:
            raise InvalidKind("the kind has no name.")
        if options.kind == PUBLISH:
            raise InvalidKind(f"{PUBLISH} stands for the kinds that consume an event.")
        if len(options.kind) > _MAX_KIND_LENGTH:
            raise InvalidKind(f"the kind's name is longer than {_MAX_KIND_LENGTH} characters.")
        if len(options.queue) > _MAX_QUEUE_LENGTH:
            raise InvalidKind(f"the queue's name is longer than {_MAX_QUEUE_LENGTH} characters.")
        if options.max_attempts > _MAX_ATTEMPTS:
            raise InvalidKind(f"max_attempts is more than {_MAX_ATTEMPTS}.")
        method = self._method(method_name)
        consumes = self._consumes[method_name]
        if consumes:
            check_consumer(method)
        unary = self._shape(method)
        parser = RequestParser(method.input_type, self._pool)
        discarded, discard_writer = self._discarded(options, method, within)
        batch = None
        if options.batch_method:
            batch = self._shape(self._batch_method(options.batch_method, method))
        return Kind(
            kind=options.kind,
            target=self._target,
            queue=options.queue or (_EVENTS_QUEUE if consumes else _DEFAULT_QUEUE),
            priority=Priority(options.priority or Priority.NORMAL),
            max_attempts=_at_least(
                1,
                options.max_attempts
                or (_EVENTS_MAX_ATTEMPTS if consumes else _DEFAULT_MAX_ATTEMPTS),
            ),
            timeout=_positive(options.timeout if options.HasField("timeout") else _DEFAULT_TIMEOUT),
            retry=_retry(options.retry, _EVENTS_RETRY if consumes else ExponentialRetry()),
            unique=_uniqueness(options.unique, method),
            unary=unary,
            parser=parser,
            batch=batch,
            max_batch_size=_batch_size(options),
            discarded_kind=discarded,
            discard_writer=discard_writer,
            consumes=consumes,
            periodic=tuple(read_periodic(each, options.kind, parser) for each in options.periodic),
            limits=read_limits(options, method.input_type),
            enqueuers=tuple(options.enqueuers),
        )

    def _method(self, name: str) -> MethodDescriptor:
        method = self._service.methods_by_name.get(name)
        if method is None:
            raise InvalidKind(f"the service has no method {name}.")
        if method.client_streaming or method.server_streaming:
            raise InvalidKind(f"{name} streams; a queued job is one request and one answer.")
        return method

    def _shape(self, method: MethodDescriptor) -> CallShape:
        return CallShape(
            path=f"/{self._service.full_name}/{method.name}",
            request_class=GetMessageClass(method.input_type),
            response_class=GetMessageClass(method.output_type),
        )

    def _batch_method(self, name: str, unary: MethodDescriptor) -> MethodDescriptor:
        if name in self._options:
            raise InvalidKind(f"the batch method {name} is a kind itself.")
        batch = self._method(name)
        _demand_fields(
            batch.input_type.fields,
            {"requests": (1, unary.input_type.full_name), "envelopes": (2, _ENVELOPE)},
            f"the request of {name}",
        )
        _demand_fields(
            batch.output_type.fields, {"results": (1, _JOB_RESULT)}, f"the answer of {name}"
        )
        return batch

    def _discarded(
        self,
        options: job_options_pb2.JobOptions,
        method: MethodDescriptor,
        within: tuple[str, ...],
    ) -> tuple[Kind | None, DiscardWriter | None]:
        name = options.discarded_method
        if not name:
            return None, None
        if name not in self._options:
            raise InvalidKind(f"the discarded method {name} is not a kind.")
        request, told = method.input_type.full_name, self._method(name).input_type
        if told.full_name == request:
            return self._kind(name, within), None
        fields = {field.name: (field.number, _single_message(field)) for field in told.fields}
        if fields != {"request": (1, request), "discard": (2, _DISCARD)}:
            raise InvalidKind(
                f"the request of the discarded method {name} must be {request}, or hold exactly "
                f"{request} request = 1, {_DISCARD} discard = 2."
            )
        return self._kind(name, within), DiscardWriter(self._pool)


def _single_message(field: FieldDescriptor) -> str | None:
    """The message that a field holds: None unless it is one, once, whatever the others hold."""
    if field.is_repeated or field.message_type is None or field.containing_oneof is not None:
        return None
    return field.message_type.full_name


def _demand_fields(
    fields: Sequence[FieldDescriptor], demanded: dict[str, tuple[int, str]], where: str
) -> None:
    found = {
        field.name: (field.number, field.message_type.full_name)
        for field in fields
        if field.is_repeated and field.message_type is not None
    }
    if found != demanded or len(fields) != len(demanded):
        shape = ", ".join(f"repeated {of} {name} = {at}" for name, (at, of) in demanded.items())
        raise InvalidKind(f"{where} must hold exactly {shape}.")


def _batch_size(options: job_options_pb2.JobOptions) -> int:
    if not options.batch_method:
        if options.max_batch_size:
            raise InvalidKind("max_batch_size is given without a batch method.")
        return 1
    size = _at_least(1, options.max_batch_size or _DEFAULT_BATCH_SIZE)
    if size > _LARGEST_BATCH_SIZE:
        raise InvalidKind(f"max_batch_size is more than {_LARGEST_BATCH_SIZE}.")
    return size


def _at_least(least: int, number: int) -> int:
    if number < least:
        raise InvalidKind(f"a number is less than {least}: {number}.")
    return number


def _positive(duration: Duration) -> timedelta:
    length = duration.ToTimedelta()
    if length <= timedelta():
        raise InvalidKind("a duration is not positive.")
    return length


def _retry(policy: job_options_pb2.RetryPolicy, default: ExponentialRetry) -> RetryPolicy:
    try:
        if policy.delays:
            return _listed(policy)
        if policy.growth == job_options_pb2.RetryPolicy.GROWTH_FOURTH_POWER:
            return _fourth_power(policy)
        return ExponentialRetry(
            initial_backoff=_backoff(policy, "initial_backoff", default.initial_backoff),
            max_backoff=_backoff(policy, "max_backoff", default.max_backoff),
            multiplier=policy.multiplier or default.multiplier,
        )
    except ValueError as error:
        raise InvalidKind(f"retry: {error}") from error


def _fourth_power(policy: job_options_pb2.RetryPolicy) -> FourthPowerRetry:
    if policy.multiplier:
        raise ValueError("multiplier is for GROWTH_EXPONENTIAL.")
    default = FourthPowerRetry()
    return FourthPowerRetry(
        initial_backoff=_backoff(policy, "initial_backoff", default.initial_backoff),
        max_backoff=_backoff(policy, "max_backoff", default.max_backoff),
    )


def _listed(policy: job_options_pb2.RetryPolicy) -> ListedRetry:
    others = [field.name for field, _ in policy.ListFields() if field.name != "delays"]
    if others:
        raise ValueError(f"{others[0]} is given beside delays.")
    if len(policy.delays) > _MAX_ATTEMPTS:
        raise ValueError(f"more than {_MAX_ATTEMPTS} delays.")
    return ListedRetry(tuple(_positive(delay) for delay in policy.delays))


def _backoff(
    policy: job_options_pb2.RetryPolicy,
    name: Literal["initial_backoff", "max_backoff"],
    default: timedelta,
) -> timedelta:
    return _positive(getattr(policy, name)) if policy.HasField(name) else default


def _uniqueness(unique: job_options_pb2.Uniqueness, method: MethodDescriptor) -> Uniqueness | None:
    if unique.args and not unique.by_args:
        raise InvalidKind("unique names arguments but is not by_args.")
    if not (unique.by_args or unique.by_queue or unique.by_kind):
        if unique.ListFields():
            raise InvalidKind("unique has a window or states but compares nothing.")
        return None
    known = {field.json_name for field in method.input_type.fields}
    for name in unique.args:
        # Compared would be what no request has: all jobs of the kind would be the same.
        if name not in known:
            raise InvalidKind(f"unique: {method.input_type.full_name} has no field {name} in JSON.")
    try:
        return Uniqueness(
            args=tuple(unique.args) if unique.by_args else None,
            by_queue=unique.by_queue,
            window=_positive(unique.window) if unique.HasField("window") else None,
            states=frozenset(_JOB_STATES[state] for state in unique.states) or UNFINISHED_STATES,
        )
    except (ValueError, KeyError) as error:
        raise InvalidKind(f"unique: {error}") from error


_JOB_STATES = {
    number: JobState(name.removeprefix("STATE_").lower())
    for name, number in job_options_pb2.Uniqueness.State.items()
    if number
}
