"""The examples in Python, as their READMEs tell."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.e2e.sdk_scene import new_surroundings
from tests.example_endpoint import example_endpoint
from tests.local_system import LocalSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CLIENT = Path(__file__).resolve().parents[2] / "examples" / "python-client" / "client.py"
TIMEOUT = 90.0


@pytest.fixture(scope="module")
def key(system: LocalSystem) -> Iterator[str]:
    """The key of an environment in which the example program is registered."""
    with grpc.insecure_channel(system.target("tenancy")) as channel:
        key = new_surroundings(system, channel).key
    with example_endpoint(key) as url:
        registered = subprocess.run(
            [
                *(sys.executable, "-m", "kongflow_cli", "endpoints", "create"),
                *("python-example", url),
                *("--target", f"endpoints={system.target('endpoints')}"),
            ],
            env={**os.environ, "KONGFLOW_API_KEY": key},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert registered.returncode == 0, registered.stderr
        assert "3 jobs" in registered.stdout
        yield key


def run_client(surroundings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the client to its end."""
    return subprocess.run(
        [sys.executable, CLIENT, *words],
        env={**os.environ, **surroundings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def told(system: LocalSystem, key: str) -> dict[str, str]:
    return {
        "KONGFLOW_EVENTS": system.target("events"),
        "KONGFLOW_RUNS": system.target("runs"),
        "KONGFLOW_API_KEY": key,
    }


@pytest.mark.parametrize(
    ("name", "payload", "ends"),
    [
        (
            "order.created",
            '{"amount": 250, "customer": "eve", "country": "DE"}',
            [("success", "charge-large-order", {"charged": 250, "customer": "eve"})],
        ),
        (
            "order.created",
            '{"country": "IT"}',
            [("success", "audit-order", {"audited": ["country"]})],
        ),
        ("order.created", '{"amount": 9.5, "country": "FR"}', []),
    ],
)
def test_the_client_sends_an_event_and_sees_its_runs(
    system: LocalSystem, key: str, name: str, payload: str, ends: list[tuple[str, str, Any]]
) -> None:
    completed = run_client(told(system, key), name, payload)
    assert (completed.returncode, completed.stderr) == (0, "")
    sent, matched, *lines = completed.stdout.splitlines()
    assert sent.startswith("sent      ")
    assert matched == f"matched   {len(ends)} job(s)"
    runs = [line.split(maxsplit=2) for line in lines]
    assert [(state, job, json.loads(output)) for state, job, output in runs] == ends


def test_what_a_job_raises_is_shown(system: LocalSystem, key: str) -> None:
    completed = run_client(told(system, key), "order.created", '{"amount": 100, "country": "DE"}')
    state, job, output = completed.stdout.splitlines()[2].split(maxsplit=2)
    assert (state, job) == ("failure", "charge-large-order")
    assert json.loads(output)["name"] == "KeyError"


def test_the_client_finds_a_local_system_by_itself(system: LocalSystem) -> None:
    completed = run_client({"KONGFLOW_STATE_DIR": str(system.state_dir)}, "nobody.listens", "{}")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.splitlines()[1:] == ["matched   0 job(s)"]


def test_the_client_says_what_is_wrong(system: LocalSystem, key: str) -> None:
    completed = run_client(told(system, f"{key}x"), "order.created", "{}")
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "credential" in completed.stderr
    assert "Traceback" not in completed.stderr
    completed = run_client(told(system, key), "order.created", "{")
    assert completed.returncode == 1
    assert "is not a JSON document" in completed.stderr
