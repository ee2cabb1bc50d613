"""Limits of enqueued jobs over a real channel."""

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.ids import new_id
from services.workerqueue.tests.contract.server_under_test import (
    ServerUnderTest,
    command,
)

Rule = job_options_pb2.Uniqueness


def limits_of(**options: Any) -> dict[str, Any]:
    key = job_options_pb2.LimitKey(key="account", args=["eventRecordId"])
    period = Duration(seconds=1)
    limits: dict[str, Any] = {
        "serial": job_options_pb2.LimitKey(key="line"),
        "concurrency": job_options_pb2.ConcurrencyLimit(key=key, max_running=2),
        "rate": job_options_pb2.RateLimit(key=key, count=4, period=period, burst=3),
    }
    return {**limits, **options}


async def test_limits_are_stored_and_the_first_stands_in_the_window(
    server: ServerUnderTest,
) -> None:
    environment = new_id()
    sent = [command(environment_id=str(environment), **limits_of()) for _ in range(3)]
    results = await server.enqueue(*sent)
    assert [result.status.code for result in results] == [0, 0, 0]
    popped = await server.window.pop("events", 10)
    assert [(str(id_), turn) for id_, turn in popped.entries] == [(sent[0].outbox_id, 1)]
    rows = await server.database.pool.execute(
        "SELECT DISTINCT serial_key, max_running, rate_interval, rate_burst"
        " FROM workerqueue.queued_jobs"
    )
    assert rows == [(f"{environment.hex}:line", 2, 250_000, 3)]
    [(concurrency, rate, args)] = await server.database.pool.execute(
        "SELECT concurrency_key, rate_key, args FROM workerqueue.queued_jobs WHERE id = %s",
        [sent[0].outbox_id],
    )
    assert concurrency == rate == f'{environment.hex}:account:["{args["eventRecordId"]}"]'


async def test_an_empty_limit_is_none(server: ServerUnderTest) -> None:
    sent = command(
        serial=job_options_pb2.LimitKey(),
        concurrency=job_options_pb2.ConcurrencyLimit(key=job_options_pb2.LimitKey()),
        rate=job_options_pb2.RateLimit(),
    )
    [result] = await server.enqueue(sent)
    assert result.status.code == 0
    assert (await server.window.look("events")).length == 1


@pytest.mark.parametrize(
    ("limit", "field"),
    [
        ({"serial": job_options_pb2.LimitKey(key="k" * 257)}, "serial.key"),
        ({"serial": job_options_pb2.LimitKey(args=["a"] * 21)}, "serial.args"),
        (
            {"concurrency": job_options_pb2.ConcurrencyLimit(max_running=1)},
            "concurrency.key.key",
        ),
        (
            {
                "concurrency": job_options_pb2.ConcurrencyLimit(
                    key=job_options_pb2.LimitKey(key="k"), max_running=-1
                )
            },
            "concurrency.max_running",
        ),
        (
            {"rate": job_options_pb2.RateLimit(key=job_options_pb2.LimitKey(key="k"), count=1)},
            "rate",
        ),
        (
            {
                "rate": job_options_pb2.RateLimit(
                    key=job_options_pb2.LimitKey(key="k"),
                    count=1,
                    period=Duration(seconds=86_400 * 366),
                    burst=1_000_000,
                )
            },
            "rate",
        ),
    ],
)
async def test_a_limit_that_cannot_be_kept_is_refused(
    server: ServerUnderTest, limit: dict[str, Any], field: str
) -> None:
    [result] = await server.enqueue(command(**limit))
    assert result.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert field in result.status.message
    assert await server.count() == 0
