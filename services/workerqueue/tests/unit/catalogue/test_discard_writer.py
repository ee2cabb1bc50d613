"""What a discarded method is told: bounded, and nothing in it that could not be read or stored."""

from typing import Any
from uuid import UUID

import orjson
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2 as endpoints_pb
from kongflow_workerqueue.catalogue.discard_writer import DiscardWriter
from kongflow_workerqueue.catalogue.request_parser import RequestParser
from kongflow_workerqueue.domain.discard import Discard
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode

JOB_ID = UUID("0190d5a2-0000-7000-8000-000000000001")
REQUEST = b'{"endpointIndexId": "i", "itemId": "j"}'
POOL = descriptor_pool.Default()
INFO = error_details_pb2.ErrorInfo(reason="NO", domain="jobs.kongflow", metadata={"job": "a"})


def answer(*details: Message) -> bytes:
    status = status_pb2.Status(code=3, message="no")
    for each in details:
        packed = AnyMessage()
        packed.Pack(each)
        status.details.append(packed)
    return status.SerializeToString()


def write(message: str = "no", details: bytes = b"", args: bytes = REQUEST) -> bytes:
    status = CallStatus(StatusCode.INVALID_ARGUMENT, message, details)
    return DiscardWriter(POOL).write(args, Discard(status, 3, JOB_ID))


def told(args: bytes) -> Any:
    """Reads arguments as the worker does when it calls the discarded method."""
    message = endpoints_pb.FailRegisterJobRequest.DESCRIPTOR
    return RequestParser(message, POOL).parse(args)


def test_the_request_and_the_answer_arrive_whole() -> None:
    request = told(write(details=answer(INFO, error_details_pb2.BadRequest())))
    assert request.request == endpoints_pb.RegisterJobRequest(endpoint_index_id="i", item_id="j")
    assert (request.discard.attempts, request.discard.queued_job_id) == (3, str(JOB_ID))
    assert (request.discard.status.code, request.discard.status.message) == (3, "no")
    first, second = request.discard.status.details
    read = error_details_pb2.ErrorInfo()
    assert first.Unpack(read)
    assert read == INFO
    assert second.Is(error_details_pb2.BadRequest.DESCRIPTOR)


def test_an_answer_without_details_has_none() -> None:
    assert list(told(write()).discard.status.details) == []
    assert "details" not in orjson.loads(write())["discard"]["status"]


def test_a_long_message_is_cut() -> None:
    assert told(write("x" * 1_000_000)).discard.status.message == "x" * 2_000


def test_nothing_that_jsonb_refuses_is_written() -> None:
    nul = error_details_pb2.ErrorInfo(reason="N\0")
    args = write("a\0b", answer(nul, INFO))
    assert rb"\u0000" not in args
    assert told(args).discard.status.message == "a\N{REPLACEMENT CHARACTER}b"
    [detail] = told(args).discard.status.details
    assert b"jobs.kongflow" in detail.value


def test_details_that_do_not_fit_are_left_out() -> None:
    large = error_details_pb2.DebugInfo(detail="x" * 9_000)
    args = write(details=answer(INFO, large, large))
    assert len(told(args).discard.status.details) == 2
    assert len(args) < 18 * 1024
    # Six bytes of JSON for each byte of the answer.
    escaped = write(details=answer(error_details_pb2.DebugInfo(detail="\1" * 16_000)))
    assert list(told(escaped).discard.status.details) == []


@pytest.mark.parametrize(
    "strange",
    [
        b"\xff\xff",
        status_pb2.Status(
            details=[AnyMessage(type_url="type.googleapis.com/mail.v1.Unheard", value=b"x")]
        ).SerializeToString(),
        status_pb2.Status(
            details=[
                AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
            ]
        ).SerializeToString(),
        status_pb2.Status(details=[AnyMessage(value=b"x")]).SerializeToString(),
        status_pb2.Status(details=[AnyMessage()]).SerializeToString(),
    ],
)
def test_details_that_cannot_be_read_are_left_out(strange: bytes) -> None:
    request = told(write(details=strange))
    assert (request.discard.status.message, request.request.item_id) == ("no", "j")


def test_the_details_of_a_request_of_a_request_stay() -> None:
    """A discarded method may have one itself: the first request is kept inside the second."""
    once = write()
    twice = orjson.loads(write(args=once))
    assert twice["request"] == orjson.loads(once)
