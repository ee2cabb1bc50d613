import asyncio
import logging
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import (
    Contended,
    DependencyUnavailable,
    FieldViolation,
    InvalidField,
    InvalidFields,
    KongflowError,
    NotFound,
    PreconditionFailed,
    ResourceExhausted,
)
from kongflow_common.rpc.error_catalog import ErrorCatalog, ErrorSpec
from kongflow_common.testing.echo_service import EchoContext, EchoServicer, call_echo, echo_service
from kongflow_common.testing.grpc_server import InProcessServer, bearer, in_process_server
from kongflow_common.testing.refusals import Refusal, refusal


class EchoTaken(KongflowError):
    """The echo is taken."""


class EchoNotFound(NotFound):
    """The echo was not found."""


class EchoAsleep(PreconditionFailed):
    """The echo is asleep."""


CATALOG = ErrorCatalog(
    "echo.kongflow",
    {
        EchoTaken: ErrorSpec(grpc.StatusCode.ALREADY_EXISTS, "ECHO_TAKEN"),
        EchoNotFound: ErrorSpec(grpc.StatusCode.NOT_FOUND, "ECHO_NOT_FOUND"),
        EchoAsleep: ErrorSpec(grpc.StatusCode.FAILED_PRECONDITION, "ECHO_ASLEEP"),
    },
)


async def refused_with(error: BaseException) -> Refusal:
    """What a caller sees when the servicer raises `error`."""
    servicer = EchoServicer()

    async def fail(_text: str, _context: EchoContext) -> str:
        raise error

    servicer.act = fail
    async with in_process_server(
        catalog=CATALOG, tasks_services=[echo_service(servicer, "EchoTasksService")]
    ) as server:
        with refusal() as refused:
            await call_echo(server.tasks_channel, "Run", bearer(server.service_token()))
    return refused


class TestCatalogue:
    async def test_an_error_of_the_context(self) -> None:
        refused = await refused_with(EchoTaken(echo="e1"))
        assert refused.code is grpc.StatusCode.ALREADY_EXISTS
        assert refused.message == "The echo is taken"
        assert (refused.reason, refused.info.domain) == ("ECHO_TAKEN", "echo.kongflow")
        assert dict(refused.info.metadata) == {"echo": "e1"}
        assert refused.retry_seconds is None

    async def test_a_precondition_says_what_is_in_the_way(self) -> None:
        refused = await refused_with(EchoAsleep(subject="echoes/e1"))
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.preconditions == [("ECHO_ASLEEP", "echoes/e1")]

    async def test_bad_fields_are_named(self) -> None:
        refused = await refused_with(
            InvalidFields([FieldViolation("a.b", "is required"), FieldViolation("c", "is odd")])
        )
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.reason == "FIELD_INVALID"
        assert refused.fields == {"a.b": "is required", "c": "is odd"}

    @pytest.mark.parametrize(
        ("error", "code", "seconds"),
        [
            (
                DependencyUnavailable("postgresql", retry_after=1.5),
                grpc.StatusCode.UNAVAILABLE,
                1.5,
            ),
            (ResourceExhausted(retry_after=2), grpc.StatusCode.RESOURCE_EXHAUSTED, 2),
            (Contended(), grpc.StatusCode.ABORTED, 0.1),
        ],
    )
    async def test_what_may_be_tried_again_says_when(
        self, error: Exception, code: grpc.StatusCode, seconds: float
    ) -> None:
        refused = await refused_with(error)
        assert refused.code is code
        assert refused.retry_seconds == seconds

    async def test_one_failure_of_a_task_group_is_that_failure(self) -> None:
        refused = await refused_with(ExceptionGroup("group", [EchoTaken()]))
        assert refused.reason == "ECHO_TAKEN"

    async def test_an_error_of_any_length_arrives(self) -> None:
        violations = [
            FieldViolation(f"events[{index}].{'€' * 500}", "€\n" * 5_000) for index in range(50)
        ]
        refused = await refused_with(InvalidFields(violations))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.reason == "FIELD_INVALID"
        assert len(refused.fields) > 1
        wide = {f"key{index}": "€" * 5_000 for index in range(50)}
        refused = await refused_with(EchoAsleep("€" * 50_000, subject="€" * 500, **wide))
        assert refused.reason == "ECHO_ASLEEP"

    async def test_text_that_is_no_text_arrives(self) -> None:
        refused = await refused_with(InvalidField("name\ud800", "holds \udfff"))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


class TestTheUnexpected:
    async def test_nothing_of_it_reaches_the_caller(self, caplog: pytest.LogCaptureFixture) -> None:
        refused = await refused_with(ValueError("postgresql://kongflow:s3cret@db/kongflow"))
        assert refused.code is grpc.StatusCode.INTERNAL
        assert refused.reason == "INTERNAL"
        seen = repr(refused.error) + repr(refused.status)
        assert "s3cret" not in seen
        assert "ValueError" not in seen
        error_id = refused.info.metadata["error_id"]
        assert error_id in refused.message
        (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
        assert record.__dict__["fields"]["error_id"] == error_id
        assert record.exc_info is not None

    async def test_several_failures_of_a_task_group_are_unexpected(self) -> None:
        refused = await refused_with(ExceptionGroup("group", [EchoTaken(), ValueError("s3cret")]))
        assert refused.code is grpc.StatusCode.INTERNAL

    async def test_the_base_of_all_errors_is_unexpected(self) -> None:
        refused = await refused_with(KongflowError("s3cret"))
        assert refused.code is grpc.StatusCode.INTERNAL
        assert "s3cret" not in repr(refused.status)

    async def test_a_cancellation_from_inside_is_answered(self) -> None:
        refused = await refused_with(asyncio.CancelledError())
        assert refused.code is grpc.StatusCode.INTERNAL

    async def test_a_timeout_from_inside_is_unexpected(self) -> None:
        refused = await refused_with(TimeoutError())
        assert refused.code is grpc.StatusCode.INTERNAL

    async def test_an_answer_of_another_type(self) -> None:
        class Wrong(EchoServicer):
            async def Run(  # noqa: N802
                self, request: StringValue, context: EchoContext
            ) -> StringValue:
                await super().Send(request, context)
                return None  # type: ignore[return-value]

        async with in_process_server(
            catalog=CATALOG, tasks_services=[echo_service(Wrong(), "EchoTasksService")]
        ) as server:
            with refusal(grpc.StatusCode.INTERNAL):
                await call_echo(server.tasks_channel, "Run", bearer(server.service_token()))


class TestWhatServicersSayThemselves:
    async def test_an_abort_passes(self, server: InProcessServer, servicer: EchoServicer) -> None:
        async def abort(_text: str, context: EchoContext) -> str:
            await context.abort(grpc.StatusCode.DATA_LOSS, "so it is")
            raise AssertionError

        servicer.act = abort
        with refusal(grpc.StatusCode.DATA_LOSS) as refused:
            await call_echo(server.tasks_channel, "Run", bearer(server.service_token()))
        assert refused.message == "so it is"
        assert refused.reason == ""

    async def test_an_abort_that_was_swallowed_stays_an_abort(
        self, server: InProcessServer, servicer: EchoServicer
    ) -> None:
        async def abort(_text: str, context: EchoContext) -> str:
            try:
                await context.abort(grpc.StatusCode.DATA_LOSS, "so it is")
            except grpc.aio.AbortError:
                raise ValueError("s3cret") from None

        servicer.act = abort
        with refusal(grpc.StatusCode.DATA_LOSS):
            await call_echo(server.tasks_channel, "Run", bearer(server.service_token()))

    async def test_trailing_metadata_arrive(
        self, server: InProcessServer, servicer: EchoServicer
    ) -> None:
        async def snooze(text: str, context: EchoContext) -> str:
            context.set_trailing_metadata((("kongflow-snooze", "30s"),))
            return text

        servicer.act = snooze
        invoke: Any = server.tasks_channel.unary_unary("/kongflow.echo.v1.EchoTasksService/Run")
        pending = invoke(b"", metadata=bearer(server.service_token()), timeout=5)
        assert await pending == b""
        assert ("kongflow-snooze", "30s") in tuple(await pending.trailing_metadata())


class TestRequests:
    async def test_what_cannot_be_decoded_is_the_callers_mistake(
        self, server: InProcessServer, secret_key: str
    ) -> None:
        for raw in (b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"):
            with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
                await call_echo(server.channel, "Send", bearer(secret_key), raw=raw)
            assert refused.reason == "REQUEST_NOT_DECODABLE"

    async def test_a_method_that_does_not_exist(
        self, server: InProcessServer, secret_key: str
    ) -> None:
        with refusal(grpc.StatusCode.UNIMPLEMENTED):
            await call_echo(server.channel, "Shout", bearer(secret_key))

    async def test_task_methods_are_not_on_the_client_listener(
        self, server: InProcessServer
    ) -> None:
        with refusal(grpc.StatusCode.UNIMPLEMENTED):
            await call_echo(server.channel, "Run", bearer(server.service_token()))

    async def test_a_request_of_more_than_16_mib(
        self, server: InProcessServer, secret_key: str
    ) -> None:
        with refusal(grpc.StatusCode.RESOURCE_EXHAUSTED):
            await call_echo(
                server.channel, "Send", bearer(secret_key), raw=b"\x0a" + b"x" * 16 * 1024 * 1024
            )

    async def test_an_answer_of_more_than_4_mib(
        self,
        server: InProcessServer,
        servicer: EchoServicer,
        environment: EnvironmentScope,
        secret_key: str,
    ) -> None:
        async def shout(_text: str, _context: EchoContext) -> str:
            return "x" * 4 * 1024 * 1024

        servicer.act = shout
        with refusal(grpc.StatusCode.OUT_OF_RANGE) as refused:
            await call_echo(server.channel, "Send", bearer(secret_key))
        assert refused.reason == "ANSWER_TOO_LARGE"
        answer = await call_echo(server.tasks_channel, "Run", bearer(server.service_token()))
        assert len(answer) == 4 * 1024 * 1024
