"""The example in Node of a service whose methods are called by the worker queue."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.rpc import code_pb2

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as runs_pb
from kongflow.runs.internal.v1.runs_internal_service_pb2_grpc import RunsInternalServiceStub
from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as enqueue_pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_common.auth.service_tokens import ServiceTokenSigner, parse_private_key
from kongflow_common.ids import new_id
from tests.e2e.node_target import TIMEOUT, Warehouse, warehouse
from tests.local_system import poll_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

RESERVE = "/warehouse.tasks.v1.WarehouseTasksService/ReserveStock"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with warehouse(tmp_path_factory.mktemp("warehouse")) as target:
        yield target


def target_signer(target: Warehouse) -> ServiceTokenSigner:
    """Signs as the target does."""
    return ServiceTokenSigner("warehouse", parse_private_key(target.identity["service_key"]))


def enqueue(target: Warehouse, kind: str, args: Mapping[str, object]) -> int:
    """Has a job enqueued in the name of the target; answers the code."""
    command = enqueue_pb.EnqueueCommand(
        outbox_id=str(new_id()),
        operation=enqueue_pb.EnqueueCommand.OPERATION_ENQUEUE,
        kind=kind,
        args=json.dumps(args).encode(),
    )
    with grpc.insecure_channel(target.identity["workerqueue"]) as channel:
        answer = EnqueueServiceStub(channel).EnqueueJobs(
            enqueue_pb.EnqueueJobsRequest(commands=[command]),
            metadata=(("authorization", f"Bearer {target_signer(target).token('workerqueue')}"),),
            timeout=TIMEOUT,
        )
    [result] = answer.results
    return int(result.status.code)


def test_a_method_in_node_runs_as_a_queued_job(target: Warehouse) -> None:
    [job_id] = target.enqueue("chair")
    job = target.ended(job_id)
    assert job.kind == "warehouse.reserveStock"
    assert (job.state, job.attempt, job.max_attempts) == (QueuedJob.STATE_COMPLETED, 1, 3)
    assert dict(job.args) == {"orderId": "order-1", "sku": "chair", "quantity": 1.0}
    assert "reserved chair for order-1, attempt 1, alone" in target.program.log


def test_many_jobs_come_in_one_call(target: Warehouse) -> None:
    ids = target.enqueue("chair", "120")
    assert len(set(ids)) == 120
    for job_id in ids:
        assert target.ended(job_id).state == QueuedJob.STATE_COMPLETED
    for order in range(1, 121):
        assert target.said(f"reserved chair for order-{order}, attempt 1, ")
    sizes = {int(line.rpartition(" ")[2]) for line in target.said("attempt 1, one of ")}
    assert max(sizes) > 1
    assert max(sizes) <= 50


def test_what_is_too_early_is_called_again_without_spending_an_attempt(target: Warehouse) -> None:
    [job_id] = target.enqueue("lamp")
    job = target.ended(job_id)
    assert (job.state, job.attempt) == (QueuedJob.STATE_COMPLETED, 1)
    assert not job.errors
    assert job.turn >= 3
    assert len(target.said("snoozed lamp for order-1, attempt 1")) == job.turn - 1


def test_what_failed_is_tried_again_when_the_target_wishes(target: Warehouse) -> None:
    [job_id] = target.enqueue("desk")
    job = target.ended(job_id)
    assert (job.state, job.attempt) == (QueuedJob.STATE_COMPLETED, 3)
    codes = [(error.attempt, error.status.code) for error in job.errors]
    assert codes == [(1, code_pb2.ABORTED), (2, code_pb2.ABORTED)]
    # The kind's own policy would wait 20 s and then 40 s.
    waited = job.end_time.ToDatetime() - job.errors[0].time.ToDatetime()
    assert 0.9 < waited.total_seconds() < 15


def test_what_failed_too_often_is_given_up_and_the_target_is_told(target: Warehouse) -> None:
    [job_id] = target.enqueue("sofa")
    job = target.ended(job_id)
    assert (job.state, job.attempt) == (QueuedJob.STATE_DISCARDED, 3)
    told = "given up sofa for order-1, attempt 3, The shelf of sofa is locked"
    poll_until(lambda: told in target.program.log, seconds=TIMEOUT, what="the target is told")


def test_what_will_never_do_is_given_up_at_once(target: Warehouse) -> None:
    [job_id] = target.enqueue("ghost")
    job = target.ended(job_id)
    assert (job.state, job.attempt) == (QueuedJob.STATE_DISCARDED, 1)
    [error] = job.errors
    assert error.status.code == code_pb2.INVALID_ARGUMENT
    told = "given up ghost for order-1, attempt 1, There are no goods called ghost"
    poll_until(lambda: told in target.program.log, seconds=TIMEOUT, what="the target is told")


def test_nobody_else_reaches_the_target(target: Warehouse) -> None:
    identity = target.identity
    own = target_signer(target)
    # Signed by the target itself, for itself: right audience, wrong issuer.
    disguised = ServiceTokenSigner("workerqueue", parse_private_key(identity["service_key"]))
    key = target.system.connection()["api_key"]
    credentials = [
        "",
        "nonsense",
        "a.b.c",
        key,
        own.token("warehouse"),
        disguised.token("warehouse"),
    ]
    with grpc.insecure_channel(identity["listen"]) as channel:
        reserve: Any = channel.unary_unary(RESERVE)
        for credential in credentials:
            with pytest.raises(grpc.RpcError) as refused:
                reserve(b"", metadata=(("authorization", f"Bearer {credential}"),), timeout=TIMEOUT)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED, credential


def test_the_targets_identity_puts_in_its_own_kinds_and_is_good_for_nothing_else(
    target: Warehouse,
) -> None:
    args = {"eventRecordId": str(uuid4())}
    assert enqueue(target, "deliverEvent", args) == code_pb2.PERMISSION_DENIED
    signer = target_signer(target)
    ports = json.loads((target.system.state_dir / "ports.json").read_text())
    with (
        grpc.insecure_channel(f"127.0.0.1:{ports['runs-tasks']}") as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        RunsInternalServiceStub(channel).CreateRun(
            runs_pb.CreateRunRequest(),
            metadata=(("authorization", f"Bearer {signer.token('runs')}"),),
            timeout=TIMEOUT,
        )
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_identity_is_nobody_elses_to_read(target: Warehouse) -> None:
    folder: Path = target.system.state_dir / "targets"
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "warehouse.json").stat().st_mode & 0o077 == 0


def test_the_end_of_a_run_is_told_to_who_consumes_it(target: Warehouse) -> None:
    told = target.system.kongflow("demo").stdout
    ended = {
        "run.completed.success": told.count("ended                     success"),
        "run.completed.failure": told.count("ended                     failure"),
    }
    assert all(ended.values()), told
    runs = sum(ended.values())
    poll_until(
        lambda: len(target.said("run.completed.")) >= runs, seconds=TIMEOUT, what="the runs' ends"
    )
    for type_, count in ended.items():
        assert len(target.said(type_)) == count
    jobs = [target.ended(job.id) for job in target.queued_jobs("warehouse.noteRun")]
    assert len(jobs) == runs, "one for each event"
    for job in jobs:
        assert (job.state, job.queue, job.max_attempts) == (
            QueuedJob.STATE_COMPLETED,
            "events",
            3,
        )
        event = MessageToDict(job.args)["event"]
        [line] = target.said(event["resourceId"])
        assert line.startswith(f"{event['type']} {event['resourceId']}, of ")
        assert list(job.tags) == [event["type"]]
        # It belongs to the environment and to the trace of the run.
        assert job.environment_id
        assert job.traceparent


def test_a_target_publishes_what_is_its_own(target: Warehouse) -> None:
    def publish(type_: str) -> int:
        event = {
            "id": str(new_id()),
            "type": type_,
            "version": 1,
            "timestamp": "1700000000000",
            "resourceId": "chair",
        }
        return enqueue(target, "publishIntegrationEvent", event)

    assert publish("stock.counted") == code_pb2.OK
    assert publish("run.completed.success") == code_pb2.PERMISSION_DENIED
