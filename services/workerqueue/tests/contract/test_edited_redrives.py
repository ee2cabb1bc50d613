"""Dead letters are redriven with other arguments over a real channel."""

from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.audit_entry_pb2 import AuditEntry
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.polling import eventually
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    ServerUnderTest,
    fields,
    reason,
    status_of,
)
from services.workerqueue.tests.contract.test_redrives import dead_letters, get, is_over, redrive

FILTER = "kind = deliverEvent"
PATCH = b'{"deliveryRevision": 9}'


async def refusal(server: ServerUnderTest, **request: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await redrive(server, **request)
    return raised.value


async def test_a_dry_run_shows_what_arguments_would_be(server: ServerUnderTest) -> None:
    [good] = await dead_letters(server, 1, args=b'{"eventRecordId": "x"}')
    [bad] = await dead_letters(server, 1, args=b'{"eventRecordId": "y"}')
    await server.database.pool.execute(
        """UPDATE workerqueue.queued_jobs SET args = '{"eventRecordId": [1]}' WHERE id = %(id)s""",
        {"id": bad},
    )
    answer = await redrive(server, filter=FILTER, args_patch=PATCH, validate_only=True)
    assert (answer.redrive.id, answer.redrive.total_count) == ("", 2)
    assert MessageToDict(answer.redrive.args_patch) == {"deliveryRevision": 9}
    assert not answer.redrive.HasField("args")
    shown = {job.id: MessageToDict(job.args) for job in answer.sample}
    assert shown == {
        good: {"eventRecordId": "x", "deliveryRevision": 9},
        bad: {"eventRecordId": [1]},
    }
    [refused] = answer.refused
    assert refused.queued_job_id == bad
    assert "no request of deliverEvent" in refused.description
    job = await server.get(good)
    assert job.state == QueuedJob.STATE_DISCARDED
    assert MessageToDict(job.args) == {"eventRecordId": "x"}


async def test_it_is_carried_out_and_noted(server: ServerUnderTest) -> None:
    ids = await dead_letters(server, 3)
    former = {id_: (await server.get(id_)).args["eventRecordId"] for id_ in ids}
    begun = (
        await redrive(server, filter=FILTER, args_patch=PATCH, reason="the revision was wrong")
    ).redrive
    await eventually(partial(is_over, server, begun.id))
    ended = await get(server, begun.id)
    assert (ended.redriven_count, ended.skipped_count, ended.refused_count) == (3, 0, 0)
    assert MessageToDict(ended.args_patch) == {"deliveryRevision": 9}
    for id_ in ids:
        job = await server.get(id_)
        assert job.state == QueuedJob.STATE_AVAILABLE
        assert MessageToDict(job.args) == {
            "eventRecordId": former[id_],
            "deliveryRevision": 9.0,
        }
    response = await server.stub.ListAuditEntries(
        pb.ListAuditEntriesRequest(filter=f'redrive_id = "{begun.id}"'),
        metadata=bearer(server.operator),
        timeout=TIMEOUT,
    )
    edits = [each for each in response.audit_entries if each.action == AuditEntry.ACTION_EDIT]
    assert {each.queued_job_id: each.former_args["eventRecordId"] for each in edits} == former
    assert {each.reason for each in response.audit_entries} == {"the revision was wrong"}
    assert len(response.audit_entries) == 4


async def test_whole_arguments_are_those_of_each(server: ServerUnderTest) -> None:
    [id_] = await dead_letters(server, 1)
    args = b'{"eventRecordId": "other"}'
    begun = (await redrive(server, filter=FILTER, args=args)).redrive
    await eventually(partial(is_over, server, begun.id))
    assert MessageToDict((await server.get(id_)).args) == {"eventRecordId": "other"}


@pytest.mark.parametrize(
    ("request_fields", "field"),
    [
        ({"args_patch": PATCH}, "filter"),
        ({"filter": "queue = events", "args": b"{}"}, "filter"),
        ({"filter": FILTER, "args": b'{"bogus": 1}'}, "args"),
        ({"filter": FILTER, "args": b""}, "args"),
        ({"filter": FILTER, "args_patch": b"[]"}, "args_patch"),
        ({"filter": "kind = comesLater", "args_patch": PATCH}, "args_patch"),
    ],
)
@pytest.mark.parametrize("validate_only", [True, False])
async def test_a_bad_edit_names_its_field(
    server: ServerUnderTest, request_fields: dict[str, Any], field: str, validate_only: bool
) -> None:
    await dead_letters(server, 1)
    error = await refusal(server, validate_only=validate_only, **request_fields)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(status_of(error)) == [field]


async def test_a_patch_that_fits_none_of_the_sample_begins_nothing(
    server: ServerUnderTest,
) -> None:
    [id_] = await dead_letters(server, 1)
    error = await refusal(server, filter=FILTER, args_patch=b'{"bogus": 1}')
    assert fields(status_of(error)) == ["args_patch"]
    assert id_ in (error.details() or "")
    rows = await server.database.pool.execute("SELECT count(*) FROM workerqueue.redrives")
    assert rows[0][0] == 0


async def test_it_needs_the_scope_of_arguments(server: ServerUnderTest) -> None:
    await dead_letters(server, 1)
    begun = (await redrive(server, filter=FILTER, args_patch=PATCH)).redrive
    credentials = server.server.credentials
    writer = bearer(credentials.add_operator("queue:read", "queue:write"))
    for request in (
        pb.RedriveQueuedJobsRequest(filter=FILTER, validate_only=True, args=b"{}"),
        pb.RedriveQueuedJobsRequest(filter=FILTER, validate_only=True, args_patch=PATCH),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await server.stub.RedriveQueuedJobs(request, metadata=writer, timeout=TIMEOUT)
        assert reason(status_of(raised.value)) == "ARGUMENTS_HIDDEN"
    shown = await server.stub.GetRedrive(
        pb.GetRedriveRequest(id=begun.id), metadata=writer, timeout=TIMEOUT
    )
    assert shown.redrive.id == begun.id
    assert not shown.redrive.HasField("args_patch")
