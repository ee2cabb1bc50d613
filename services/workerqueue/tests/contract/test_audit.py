"""ListAuditEntries over a real channel."""

from typing import Any
from uuid import UUID, uuid4

import grpc
import orjson
import pytest
from google.protobuf.json_format import MessageToDict

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.audit_entry_pb2 import AuditEntry
from kongflow_common.testing.grpc_server import bearer
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    ServerUnderTest,
    command,
    fields,
    status_of,
)

DISCARDED = Transition(
    JobState.DISCARDED, spends_attempt=True, error=CallStatus(StatusCode.INTERNAL, "it broke")
)


async def entries(
    server: ServerUnderTest,
    *,
    operator: str | None = None,
    environment_id: UUID | None = None,
    **request: Any,
) -> pb.ListAuditEntriesResponse:
    return await server.stub.ListAuditEntries(
        pb.ListAuditEntriesRequest(**request),
        metadata=bearer(operator or server.operator, environment_id=environment_id),
        timeout=TIMEOUT,
    )


async def edited_job(server: ServerUnderTest, environment_id: UUID) -> str:
    """A dead letter that ann had run again with other arguments."""
    args = {"eventRecordId": str(uuid4()), "deliveryRevision": 1}
    [result] = await server.enqueue(
        command(args=orjson.dumps(args), environment_id=str(environment_id))
    )
    await server.finish(result.queued_job_id, DISCARDED)
    ann = server.server.credentials.add_operator("queue:write", "queue:arguments", name="ann")
    other = orjson.dumps({**args, "deliveryRevision": 2})
    await server.stub.RetryQueuedJob(
        pb.RetryQueuedJobRequest(id=result.queued_job_id, reason="misspelt", args=other),
        metadata=bearer(ann),
        timeout=TIMEOUT,
    )
    return result.queued_job_id


async def pause_and_resume(server: ServerUnderTest) -> None:
    operator = bearer(server.operator)
    await server.stub.PauseQueue(
        pb.PauseQueueRequest(queue="events", reason="a break"), metadata=operator, timeout=TIMEOUT
    )
    await server.stub.ResumeQueue(
        pb.ResumeQueueRequest(queue="events"), metadata=operator, timeout=TIMEOUT
    )


async def test_tells_who_did_what_and_why(server: ServerUnderTest) -> None:
    environment = server.server.credentials.add_environment().environment_id
    job_id = await edited_job(server, environment)
    await pause_and_resume(server)
    found = (await entries(server)).audit_entries
    assert [entry.action for entry in found] == [
        AuditEntry.ACTION_RESUME,
        AuditEntry.ACTION_PAUSE,
        AuditEntry.ACTION_RETRY,
        AuditEntry.ACTION_EDIT,
    ]
    assert (found[1].queue, found[1].reason, found[1].environment_id) == ("events", "a break", "")
    edit = found[3]
    assert (edit.caller, edit.caller_name, edit.reason) == ("operator", "ann", "misspelt")
    assert (edit.queued_job_id, edit.kind, edit.queue) == (job_id, "deliverEvent", "events")
    assert edit.environment_id == str(environment)
    assert MessageToDict(edit.former_args)["deliveryRevision"] == 1.0
    assert edit.HasField("create_time")


async def test_former_arguments_need_their_scope(server: ServerUnderTest) -> None:
    await edited_job(server, server.server.credentials.add_environment().environment_id)
    reader = server.server.credentials.add_operator("queue:read")
    found = (await entries(server, operator=reader)).audit_entries
    assert len(found) == 2
    assert not any(entry.HasField("former_args") for entry in found)


async def test_filters_pages_and_environments(server: ServerUnderTest) -> None:
    environment = server.server.credentials.add_environment().environment_id
    other = server.server.credentials.add_environment().environment_id
    job_id = await edited_job(server, environment)
    await edited_job(server, other)
    await pause_and_resume(server)
    for text, count in [
        (f'queued_job_id = "{job_id}"', 2),
        ("queue = events", 6),
        ("action = EDIT", 2),
        ("action != EDIT", 4),
        ("caller_name = ann", 4),
        ("kind = deliverEvent AND action = RETRY", 2),
        (f'environment_id = "{environment}"', 2),
        ('create_time < "2020-01-01T00:00:00Z"', 0),
        ('create_time > "2020-01-01T00:00:00Z"', 6),
    ]:
        assert len((await entries(server, filter=text)).audit_entries) == count, text
    bound = (await entries(server, environment_id=environment)).audit_entries
    assert {entry.queued_job_id for entry in bound} == {job_id}
    seen: list[str] = []
    token = ""
    for size in (4, 2):
        page = await entries(server, page_size=4, page_token=token)
        assert len(page.audit_entries) == size
        seen += [entry.id for entry in page.audit_entries]
        token = page.next_page_token
    assert token == ""
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"filter": "action = ODD"}, "filter"),
        ({"filter": "reason = x"}, "filter"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
    ],
)
async def test_a_bad_request_names_its_field(
    server: ServerUnderTest, request_fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await entries(server, **request_fields)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(status_of(raised.value)) == [field]


async def test_without_the_scope_it_is_refused(server: ServerUnderTest) -> None:
    writer = server.server.credentials.add_operator("queue:write")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await entries(server, operator=writer)
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
