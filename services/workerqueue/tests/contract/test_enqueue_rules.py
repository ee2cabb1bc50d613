"""When jobs are the same, and keys that are debounced, over a real channel."""

from uuid import uuid4

import orjson
import pytest
from google.protobuf.duration_pb2 import Duration

from kongflow.workerqueue.v1 import job_options_pb2
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow_workerqueue.domain.outcome import COMPLETED
from services.workerqueue.tests.contract.server_under_test import (
    ServerUnderTest,
    command,
    fields,
)

Rule = job_options_pb2.Uniqueness
ALL_STATES = [state for state in Rule.State.values() if state]


async def test_what_is_compared_and_in_which_states_is_the_commands_own(
    server: ServerUnderTest,
) -> None:
    by_kind = Rule(by_kind=True, window=Duration(seconds=60), states=ALL_STATES)
    first, second = command(unique=by_kind), command(unique=by_kind)
    results = await server.enqueue(first, second)
    assert [each.queued_job_id for each in results] == [first.outbox_id] * 2
    await server.finish(first.outbox_id, COMPLETED)
    [third] = await server.enqueue(command(unique=by_kind))
    assert (third.queued_job_id, third.unique_skipped_as_duplicate) == (first.outbox_id, True)
    by_queue = Rule(by_queue=True)
    results = await server.enqueue(
        *(command(unique=by_queue, queue=queue) for queue in ("a", "b", "a"))
    )
    assert [each.unique_skipped_as_duplicate for each in results] == [False, False, True]


async def test_a_key_is_debounced(server: ServerUnderTest) -> None:
    wait = {"delay": Duration(seconds=100), "longest_wait": Duration(seconds=30)}
    first, second = command(job_key="k", **wait), command(job_key="k", **wait)
    for sent in (first, second):
        [result] = await server.enqueue(sent)
        assert result.queued_job_id == first.outbox_id
    job = await server.get(first.outbox_id)
    assert job.state == QueuedJob.STATE_SCHEDULED
    assert job.args["eventRecordId"] == orjson.loads(second.args)["eventRecordId"]
    assert job.run_time.ToMicroseconds() - job.create_time.ToMicroseconds() == 30_000_000


def test_the_states_of_a_rule_are_those_of_a_job() -> None:
    of_a_job: dict[str, int] = dict(QueuedJob.State.items())
    assert {name: int(number) for name, number in Rule.State.items()} == of_a_job


@pytest.mark.parametrize("rule", [None, Rule(by_args=True, args=["eventRecordId"])])
async def test_arguments_are_compared_under_their_json_names(
    server: ServerUnderTest, rule: job_options_pb2.Uniqueness | None
) -> None:
    """Else the second would be a job of its own, and by name the third the same as the second."""
    one, other = str(uuid4()), str(uuid4())
    results = await server.enqueue(
        *(
            command(args=orjson.dumps({**args, "deliveryRevision": 1}), unique=rule)
            for args in (
                {"eventRecordId": one},
                {"event_record_id": one},
                {"event_record_id": other},
                {"eventRecordId": other},
            )
        )
    )
    assert [each.unique_skipped_as_duplicate for each in results] == [False, True, False, True]


async def test_a_rule_may_name_what_the_kind_knows(server: ServerUnderTest) -> None:
    results = await server.enqueue(
        *(
            command(unique=Rule(by_args=True, args=[name]), args=args)
            for name, args in (
                ("eventRecord", b'{"eventRecordId": "a"}'),
                ("event_record_id", b'{"eventRecordId": "b"}'),
                ("eventRecordId", b"{}"),
            )
        )
    )
    assert [each.status.code for each in results] == [3, 3, 0]
    assert fields(results[0].status) == ["commands[0].unique.args[0]"]
