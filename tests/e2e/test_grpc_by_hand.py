"""What somebody with a generic gRPC client sees: `buf curl` over reflection, nothing installed."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.local_system import LocalSystem

pytestmark = pytest.mark.e2e

BUF = Path(sys.executable).parent / "buf"
README = Path(__file__).parents[2] / "README.md"
TIMEOUT = 60.0


def buf_curl(system: LocalSystem, method: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Calls a method of the events service, or lists services."""
    return subprocess.run(
        [
            str(BUF),
            "curl",
            "--http2-prior-knowledge",
            "--protocol",
            "grpc",
            *arguments,
            f"http://{system.target('events')}{method}",
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def key_header(system: LocalSystem) -> tuple[str, str]:
    """The flag that shows the API key."""
    return "--header", f"authorization: Bearer {system.connection()['api_key']}"


def test_reflection_lists_the_clients_services(system: LocalSystem) -> None:
    listed = buf_curl(system, "", "--list-services")
    assert listed.returncode == 0, listed.stderr
    assert "kongflow.events.v1.EventsService" in listed.stdout.splitlines()
    assert "tasks" not in listed.stdout
    # All of them, as the first page that people read shows them.
    assert f"```text\n{listed.stdout}```\n" in README.read_text()


def test_an_event_is_sent_and_read_back(system: LocalSystem) -> None:
    event_id = str(uuid4())
    sent = buf_curl(
        system,
        "/kongflow.events.v1.EventsService/SendEvent",
        *key_header(system),
        "--data",
        json.dumps(
            {
                "event": {
                    "eventId": event_id,
                    "name": "by.hand",
                    "payload": {"value": {"count": 3, "tags": ["a", None]}},
                }
            }
        ),
    )
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout)["eventRecord"]["eventId"] == event_id
    read = buf_curl(
        system,
        "/kongflow.events.v1.EventsService/GetEventRecord",
        *key_header(system),
        "--data",
        json.dumps({"eventId": event_id}),
    )
    assert read.returncode == 0, read.stderr
    record = json.loads(read.stdout)["eventRecord"]
    assert record["name"] == "by.hand"
    # People read what they wrote, not base64.
    assert record["payload"] == {"value": {"count": 3, "tags": ["a", None]}}


def test_without_a_key_the_call_is_refused(system: LocalSystem) -> None:
    refused = buf_curl(
        system, "/kongflow.events.v1.EventsService/SendEvent", "--data", '{"event": {"name": "x"}}'
    )
    assert refused.returncode != 0
    assert json.loads(refused.stderr)["code"] == "unauthenticated"
