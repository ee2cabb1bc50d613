"""Limits over real channels: whose arguments make their keys, and who is shown them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from google.protobuf.duration_pb2 import Duration

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.audit_entry_pb2 import AuditEntry
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_workerqueue.catalogue.catalogue import read_catalogue
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode, Transition
from kongflow_workerqueue.domain.states import JobState
from services.workerqueue.tests.consumers import CONSUMER, compile_target, consumer
from services.workerqueue.tests.contract.server_under_test import (
    TIMEOUT,
    ServerUnderTest,
    command,
    fields,
    server_under_test,
)

LIMITS = """
    serial: {key: "mailbox" args: "sentTo"}
    concurrency: {key: {key: "mail"} max_running: 3}
    rate: {key: {args: "sentTo"} count: 10 period: {seconds: 60}}
"""
SEND = f"""
    rpc Send(SendRequest) returns (SendResponse) {{
      option (kongflow.workerqueue.v1.job) = {{kind: "courier.send" {LIMITS}}};
    }}
"""
MESSAGES = f"""
    {CONSUMER}
    message SendRequest {{ string sent_to = 1; string text = 2; }}
    message SendResponse {{}}
"""
DISCARDED = Transition(
    JobState.DISCARDED, spends_attempt=True, error=CallStatus(StatusCode.INTERNAL, "it broke")
)


@pytest.fixture
async def server(
    ledger_url: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[ServerUnderTest]:
    note = consumer("Note", '"run.completed.success"', 'serial: {key: "notes"}')
    target = compile_target(tmp_path, SEND + note, messages=MESSAGES)
    catalogue = read_catalogue({"events": target})
    async with server_under_test(ledger_url, valkey_url, catalogue) as server:
        yield server


async def sent(server: ServerUnderTest, **options: Any) -> str:
    """Enqueue a job and return its id."""
    options = {"kind": "courier.send", "args": b'{"sentTo": "ann"}', **options}
    [result] = await server.enqueue(command(**options))
    assert result.status.code == 0, result.status
    return result.queued_job_id


async def test_keys_are_made_of_arguments_by_their_json_names(server: ServerUnderTest) -> None:
    for args in (b'{"sent_to": "ann"}', b'{"sentTo": "ann"}'):
        job = await server.get(await sent(server, args=args))
        assert job.serial_key == 'mailbox:["ann"]'
        assert job.concurrency_key == "mail"
        assert job.rate_key == 'courier.send:["ann"]'


@pytest.mark.parametrize(
    ("limit", "field"),
    [
        ({"serial": {"args": ["nobody"]}}, "serial.args[0]"),
        ({"serial": {"key": "k", "args": ["sentTo", "nobody"]}}, "serial.args[1]"),
        ({"serial": {"args": ["sent_to"]}}, "serial.args[0]"),
        (
            {"concurrency": {"key": {"args": ["nobody"]}, "max_running": 1}},
            "concurrency.key.args[0]",
        ),
        (
            {"rate": {"key": {"args": ["nobody"]}, "count": 1, "period": Duration(seconds=1)}},
            "rate.key.args[0]",
        ),
    ],
)
async def test_a_key_of_an_unknown_argument_is_refused(
    server: ServerUnderTest, limit: dict[str, Any], field: str
) -> None:
    told = command(kind="courier.send", args=b'{"sentTo": "ann"}', **limit)
    [result] = await server.enqueue(told)
    assert StatusCode(result.status.code) is StatusCode.INVALID_ARGUMENT
    assert fields(result.status) == [f"commands[0].{field}"]
    assert await server.count() == 0


async def test_jobs_of_an_event_have_the_limits_of_their_kind(server: ServerUnderTest) -> None:
    environment = new_id()
    event = {
        "id": str(new_id()),
        "type": "run.completed.success",
        "version": 1,
        "timestamp": "1700000000000",
        "resourceId": "run-1",
    }
    told = command(
        kind="publishIntegrationEvent",
        args=orjson.dumps(event),
        environment_id=str(environment),
    )
    await server.enqueue(told, service="runs")
    [listed] = (await server.list()).queued_jobs
    job = await server.get(listed.id)
    assert (job.kind, job.serial_key) == ("courier.Note", "notes")


async def test_lists_and_operators_without_the_scope_see_no_keys(server: ServerUnderTest) -> None:
    job_id = await sent(server)
    [listed] = (await server.list()).queued_jobs
    reader = server.server.credentials.add_operator("queue:read", name="ann")
    read = await server.stub.GetQueuedJob(
        pb.GetQueuedJobRequest(id=job_id), metadata=bearer(reader), timeout=TIMEOUT
    )
    for job in (listed, read.queued_job):
        assert job.id == job_id
        assert [job.serial_key, job.concurrency_key, job.rate_key] == ["", "", ""]


async def test_edited_arguments_make_other_keys(server: ServerUnderTest) -> None:
    job_id = await sent(server)
    await server.database.pool.execute(
        "UPDATE workerqueue.queued_jobs SET rate_key = NULL,"
        " rate_interval = NULL, rate_burst = NULL, admitted_at = now()"
    )
    await server.finish(job_id, DISCARDED)
    response = await server.stub.RetryQueuedJob(
        pb.RetryQueuedJobRequest(id=job_id, args=b'{"sent_to": "bob"}'),
        metadata=bearer(server.operator),
        timeout=TIMEOUT,
    )
    job = response.queued_job
    assert (job.serial_key, job.concurrency_key, job.rate_key) == ('mailbox:["bob"]', "mail", "")
    [(edited,)] = await server.database.pool.execute(
        "SELECT limit_lane FROM workerqueue.queued_jobs"
    )
    other = await sent(server, args=b'{"sentTo": "bob"}')
    [(lane,)] = await server.database.pool.execute(
        "SELECT limit_lane FROM workerqueue.queued_jobs WHERE id = %s", [UUID(other)]
    )
    assert edited == lane


async def test_the_audit_trail_says_what_a_limit_was_set_to(server: ServerUnderTest) -> None:
    for most in (3, 0):
        await server.stub.LimitQueue(
            pb.LimitQueueRequest(queue="events", max_running=most, reason="slow"),
            metadata=bearer(server.operator),
            timeout=TIMEOUT,
        )
    response = await server.stub.ListAuditEntries(
        pb.ListAuditEntriesRequest(filter="action = LIMIT"),
        metadata=bearer(server.operator),
        timeout=TIMEOUT,
    )
    told = [(each.action, each.queue, each.max_running) for each in response.audit_entries]
    assert told == [(AuditEntry.ACTION_LIMIT, "events", 0), (AuditEntry.ACTION_LIMIT, "events", 3)]
