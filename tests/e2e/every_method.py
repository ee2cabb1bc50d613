"""Every rpc of the system, found in the descriptors: none can be forgotten."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import kongflow
from kongflow.common.v1 import access_pb2

CONTEXTS = ("tenancy", "events", "jobs", "endpoints", "runs", "workerqueue")


@dataclass(frozen=True)
class Method:
    """An rpc, and where it is served."""

    context: str
    for_services_only: bool
    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        """As gRPC calls it."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def access(self) -> access_pb2.Access:
        """Who may call it."""
        return self.descriptor.GetOptions().Extensions[access_pb2.access]

    def call(self, channel: grpc.Channel) -> Callable[..., Message]:
        """Makes the method callable on a channel; of a stream the first answer counts."""
        request = GetMessageClass(self.descriptor.input_type)
        response = GetMessageClass(self.descriptor.output_type)
        if self.descriptor.server_streaming:
            stream = channel.unary_stream(
                self.path,
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            return partial(_first, stream)
        return channel.unary_unary(
            self.path,
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    def __str__(self) -> str:
        return f"{self.descriptor.containing_service.name}.{self.descriptor.name}"


def _first(
    stream: "grpc.UnaryStreamMultiCallable[Message, Message]", request: Message, **options: Any
) -> Message:
    answers = stream(request, **options)
    try:
        return next(answers)
    finally:
        answers.cancel()


def every_method() -> list[Method]:
    """All rpcs of all packages."""
    found = [
        Method(
            context=module.__name__.split(".")[1],
            for_services_only=any(
                part in ("internal", "tasks") for part in module.__name__.split(".")
            ),
            descriptor=method,
        )
        for module in _stub_modules(kongflow)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]
    return sorted(found, key=lambda method: method.path)


def _stub_modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name.endswith("_pb2"):
            yield importlib.import_module(found.name)
