"""The server as a process: its commands, its log, its end."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow_common.auth.service_tokens import ServiceTokenSigner
from kongflow_common.rpc.channel import ServiceCaller, open_channel
from services.workerqueue.tests.contract.server_under_test import command


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@pytest.fixture
def events_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def environment(
    new_database_url: str, valkey_url: str, events_key: Ed25519PrivateKey
) -> dict[str, str]:
    own = Ed25519PrivateKey.generate()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("KONGFLOW_")},
        "KONGFLOW_DATABASE_URL": new_database_url,
        "KONGFLOW_REDIS_URL": valkey_url,
        "KONGFLOW_LISTEN": "127.0.0.1:0",
        "KONGFLOW_TASKS_LISTEN": "127.0.0.1:0",
        "KONGFLOW_TENANCY_TARGET": "127.0.0.1:1",
        "KONGFLOW_SERVICE_KEY": base64_of(own.private_bytes_raw()),
        "KONGFLOW_SERVICE_PUBLIC_KEYS": json.dumps(
            {"events": base64_of(events_key.public_key().public_bytes_raw())}
        ),
    }


def run(command_name: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "kongflow_workerqueue", *command_name.split()],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def serving(environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    assert run("migrate", environment).returncode == 0
    with subprocess.Popen(
        [sys.executable, "-m", "kongflow_workerqueue", "serve"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def line_that_says(process: "subprocess.Popen[str]", message: str) -> dict[str, Any]:
    assert process.stderr is not None
    for line in process.stderr:
        logged: dict[str, Any] = json.loads(line)
        if logged["message"] == message:
            return logged
    raise AssertionError(f"the log ended without {message!r}")


async def test_it_serves_and_ends_cleanly(
    serving: "subprocess.Popen[str]", events_key: Ed25519PrivateKey
) -> None:
    logged = line_that_says(serving, "serving")
    async with open_channel(logged["tasks_listen"]) as channel:
        caller = ServiceCaller(channel, "workerqueue", ServiceTokenSigner("events", events_key))
        stub = EnqueueServiceStub(channel)
        sent = command()
        response = await caller.call(
            stub.EnqueueJobs, pb.EnqueueJobsRequest(commands=[sent]), timeout=20
        )
        assert [result.queued_job_id for result in response.results] == [sent.outbox_id]
    serving.send_signal(signal.SIGTERM)
    line_that_says(serving, "stopped")
    assert serving.wait(timeout=20) == 0


def test_it_migrates_down_and_up_again(environment: dict[str, str]) -> None:
    for command_name in ("migrate", "migrate", "migrate --to base", "migrate"):
        migrated = run(command_name, environment)
        assert migrated.returncode == 0, migrated.stderr


@pytest.mark.parametrize("command_name", ["serve", "worker"])
def test_without_settings_it_says_which_are_missing(command_name: str) -> None:
    ended = run(command_name, {"PATH": os.environ["PATH"]})
    assert ended.returncode == 2
    assert "database_url" in ended.stderr
    assert "redis_url" in ended.stderr
