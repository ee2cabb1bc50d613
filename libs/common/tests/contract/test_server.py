import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from kongflow_common.auth.access import AccessNotDeclared
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.service_tokens import ServiceTokenVerifier
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc import server as server_module
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.interceptor import MethodNotImplemented
from kongflow_common.rpc.listener import ListenerNotBound
from kongflow_common.rpc.server import GrpcServer, GrpcService, TasksServiceOpen
from kongflow_common.settings import ServiceSettings
from kongflow_common.testing.echo_service import EchoContext, EchoServicer, call_echo, echo_service
from kongflow_common.testing.grpc_server import (
    InProcessServer,
    ServiceKeys,
    StaticCredentials,
    bearer,
    in_process_server,
    local_settings,
)
from kongflow_common.testing.refusals import refusal
from kongflow_common.tracing import current_trace, format_traceparent, new_trace

CATALOG = ErrorCatalog("echo.kongflow", {})
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


# Any: the types of these stubs name neither their methods nor channels of grpc.aio.
def health_stub(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


def reflection_stub(channel: Any) -> Any:
    return reflection_pb2_grpc.ServerReflectionStub(channel)


async def health(channel: grpc.aio.Channel, service: str = "") -> int:
    answer = await health_stub(channel).Check(
        health_pb2.HealthCheckRequest(service=service), timeout=5
    )
    return int(answer.status)


def build(
    settings: ServiceSettings,
    client_services: list[GrpcService],
    tasks_services: list[GrpcService],
    registry: CollectorRegistry | None = None,
) -> GrpcServer:
    return GrpcServer(
        settings,
        authenticator=Authenticator(
            StaticCredentials(), ServiceTokenVerifier("echo", ServiceKeys().public_keys)
        ),
        catalog=CATALOG,
        client_services=client_services,
        tasks_services=tasks_services,
        registry=registry,
    )


class TestStart:
    @pytest.mark.parametrize("name", ["SilentService", "CallerlessService", "ScopelessService"])
    async def test_refuses_a_method_that_does_not_say_who_may_call_it(self, name: str) -> None:
        with pytest.raises(AccessNotDeclared, match=f"{name}.Send"):
            build(local_settings(), [echo_service(EchoServicer(), name)], [])

    async def test_refuses_a_servicer_that_lacks_a_method(self) -> None:
        class Partly:
            async def Send(  # noqa: N802
                self, request: StringValue, context: EchoContext
            ) -> StringValue:
                raise NotImplementedError

        with pytest.raises(MethodNotImplemented, match="GetEcho"):
            build(local_settings(), [echo_service(Partly())], [])

    async def test_refuses_a_method_that_is_not_async(self) -> None:
        class Blocking(EchoServicer):
            def Send(  # type: ignore[override]  # noqa: N802
                self, request: StringValue, context: EchoContext
            ) -> StringValue:
                return request

        with pytest.raises(MethodNotImplemented, match="Send"):
            build(local_settings(), [echo_service(Blocking())], [])

    async def test_refuses_a_tasks_service_that_lets_others_in(self) -> None:
        with pytest.raises(TasksServiceOpen, match="EchoService"):
            build(local_settings(), [], [echo_service(EchoServicer())])

    async def test_refuses_an_address_that_is_taken(self, server: InProcessServer) -> None:
        settings = local_settings().model_copy(update={"listen": server.server.listen})
        with pytest.raises(ListenerNotBound):
            build(settings, [echo_service(EchoServicer())], [])

    async def test_says_that_it_serves_and_where(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        async with in_process_server(catalog=CATALOG) as server:
            (record,) = (each for each in caplog.records if each.message == "serving")
            assert record.__dict__["fields"] == {
                "listen": server.server.listen,
                "tasks_listen": server.server.tasks_listen,
            }


class TestHealth:
    async def test_without_a_credential_for_all_and_for_each_service(
        self, server: InProcessServer
    ) -> None:
        assert await health(server.channel) == SERVING
        assert await health(server.channel, "kongflow.echo.v1.EchoService") == SERVING
        assert await health(server.tasks_channel) == SERVING
        assert await health(server.tasks_channel, "kongflow.echo.v1.EchoTasksService") == SERVING
        with refusal(grpc.StatusCode.NOT_FOUND):
            await health(server.channel, "kongflow.echo.v1.NoService")

    async def test_follows_the_probe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server_module, "PROBE_INTERVAL_SECONDS", 0.01)
        trouble: list[Exception] = [DependencyUnavailable("postgresql")]

        async def probe() -> None:
            for error in trouble:
                raise error

        async with in_process_server(catalog=CATALOG, probe=probe) as server:
            assert await health(server.channel) == NOT_SERVING
            watch = health_stub(server.tasks_channel).Watch(
                health_pb2.HealthCheckRequest(), timeout=5
            )
            seen = aiter(watch)
            assert (await anext(seen)).status == NOT_SERVING
            trouble.clear()
            assert (await anext(seen)).status == SERVING
            assert await health(server.channel) == SERVING
            trouble.append(ValueError("the probe is broken"))
            assert (await anext(seen)).status == NOT_SERVING
            trouble.clear()
            assert (await anext(seen)).status == SERVING
            watch.cancel()


async def _reflect(
    channel: grpc.aio.Channel, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    async for answer in reflection_stub(channel).ServerReflectionInfo(iter([request]), timeout=5):
        assert isinstance(answer, reflection_pb2.ServerReflectionResponse)
        return answer
    raise AssertionError("reflection did not answer")


class TestReflection:
    async def test_lists_services_for_clients_only(self, server: InProcessServer) -> None:
        listing = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = await _reflect(server.channel, listing)
        names = {each.name for each in answer.list_services_response.service}
        assert names == {
            "kongflow.echo.v1.EchoService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }
        with refusal(grpc.StatusCode.UNIMPLEMENTED):
            await _reflect(server.tasks_channel, listing)

    async def test_describes_a_service(self, server: InProcessServer) -> None:
        answer = await _reflect(
            server.channel,
            reflection_pb2.ServerReflectionRequest(
                file_containing_symbol="kongflow.echo.v1.EchoService"
            ),
        )
        raw = answer.file_descriptor_response.file_descriptor_proto[0]
        assert FileDescriptorProto.FromString(raw).package == "kongflow.echo.v1"

    async def test_is_off_when_the_settings_say_so(self) -> None:
        async with in_process_server(
            catalog=CATALOG, settings=local_settings(reflection=False)
        ) as server:
            with refusal(grpc.StatusCode.UNIMPLEMENTED):
                await _reflect(
                    server.channel, reflection_pb2.ServerReflectionRequest(list_services="")
                )


class TestTraces:
    async def test_a_call_belongs_to_the_trace_it_names(
        self, server: InProcessServer, servicer: EchoServicer, secret_key: str
    ) -> None:
        async def trace_id(_text: str, _context: EchoContext) -> str:
            trace = current_trace()
            assert trace is not None
            return trace.trace_id

        servicer.act = trace_id
        trace = new_trace()
        metadata = (*bearer(secret_key), ("traceparent", format_traceparent(trace)))
        assert await call_echo(server.channel, "Send", metadata) == trace.trace_id
        broken = (*bearer(secret_key), ("traceparent", "00-zz-zz-00"))
        begun = await call_echo(server.channel, "Send", broken)
        assert len(begun) == 32
        assert begun != await call_echo(server.channel, "Send", bearer(secret_key))


class TestLogAndMetrics:
    async def test_a_refused_call_leaves_a_line_and_an_answered_one_does_not(
        self, server: InProcessServer, secret_key: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "kongflow.rpc")
        await call_echo(server.channel, "Send", bearer(secret_key))
        await call_echo(server.channel, "GetEcho", bearer(secret_key))
        with refusal():
            await call_echo(server.channel, "Send")
        lines: list[Mapping[str, object]] = [
            each.__dict__["fields"] for each in caplog.records if each.name == "kongflow.rpc"
        ]
        assert [(line["method"], line["code"]) for line in lines] == [
            ("kongflow.echo.v1.EchoService/Send", "UNAUTHENTICATED"),
        ]
        assert secret_key not in caplog.text

    async def test_calls_are_counted(self, unused_tcp_port: int) -> None:
        settings = ServiceSettings(
            database_url=SecretStr("postgresql://127.0.0.1/none"),
            metrics_listen=f"127.0.0.1:{unused_tcp_port}",
        )
        async with in_process_server(
            catalog=CATALOG, client_services=[echo_service(EchoServicer())], settings=settings
        ) as server:
            key = server.credentials.add_secret_key(server.credentials.add_environment())
            await call_echo(server.channel, "Send", bearer(key))
            with refusal():
                await call_echo(server.channel, "Send", bearer(key), raw=b"\xff")
            url = f"http://127.0.0.1:{unused_tcp_port}/metrics"
            text = await asyncio.to_thread(lambda: urlopen(url, timeout=5).read().decode())
        labels = 'code="%s",method="kongflow.echo.v1.EchoService/Send"'
        assert f"kongflow_rpc_calls_total{{{labels % 'OK'}}} 1.0" in text
        assert f"kongflow_rpc_calls_total{{{labels % 'INVALID_ARGUMENT'}}} 1.0" in text
        assert "kongflow_rpc_duration_seconds_count" in text
        assert 'kongflow_rpc_in_flight{listener="client"} 0.0' in text
