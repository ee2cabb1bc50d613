"""The examples in Node, as their READMEs tell."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.jobs.v1 import jobs_service_pb2 as jobs_pb
from kongflow.jobs.v1.jobs_service_pb2_grpc import JobsServiceStub
from kongflow.runs.v1 import run_pb2
from tests.e2e.sdk_scene import SdkScene, document, output_of, sdk_scene
from tests.local_system import LocalSystem
from tests.node_program import ROOT, node_command, node_environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ENDPOINT = ROOT / "examples" / "node-endpoint" / "endpoint.js"
CLIENT = ROOT / "examples" / "node-client" / "client.js"
TIMEOUT = 90.0


@pytest.fixture(scope="module")
def scene(system: LocalSystem) -> Iterator[SdkScene]:
    """The example program, registered."""
    with sdk_scene(system, ENDPOINT, slug="node-example") as scene:
        endpoint = endpoint_pb2.Endpoint(slug=scene.slug, url=scene.program.url)
        created = scene.call(
            EndpointsServiceStub,
            "CreateEndpoint",
            endpoints_pb.CreateEndpointRequest(endpoint=endpoint),
        )
        index = scene.index_end(created.endpoint_index.id)
        assert index.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS, index
        assert (index.statistics.jobs, index.statistics.failed) == (3, 0)
        yield scene


def run_client(system: LocalSystem, key: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the client to its end."""
    surroundings = {
        "KONGFLOW_EVENTS": system.target("events"),
        "KONGFLOW_RUNS": system.target("runs"),
        "KONGFLOW_API_KEY": key,
    }
    return subprocess.run(
        node_command(CLIENT, *words),
        env=node_environment(surroundings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize(
    ("payload", "ends"),
    [
        (
            '{"amount": 250, "customer": "eve"}',
            [("success", "charge-large-order", {"charged": 250, "customer": "eve"})],
        ),
        ('{"amount": 9.5, "customer": "eve"}', []),
        (
            '{"amount": 100}',
            [
                (
                    "invalid_payload",
                    "charge-large-order",
                    [{"path": ["customer"], "message": "Required"}],
                )
            ],
        ),
    ],
)
def test_the_client_sends_an_event_and_sees_its_runs(
    system: LocalSystem, scene: SdkScene, payload: str, ends: list[tuple[str, str, Any]]
) -> None:
    completed = run_client(system, scene.around.key, "order.created", payload)
    assert (completed.returncode, completed.stderr) == (0, "")
    sent, matched, *lines = completed.stdout.splitlines()
    assert sent.startswith("sent      ")
    assert matched == f"matched   {len(ends)} job(s)"
    told = [line.split(maxsplit=2) for line in lines]
    assert [(state, job, json.loads(output)) for state, job, output in told] == ends


def test_the_client_finds_a_local_system_by_itself(system: LocalSystem) -> None:
    completed = subprocess.run(
        node_command(CLIENT, "nobody.listens", "{}"),
        env=node_environment({"KONGFLOW_STATE_DIR": str(system.state_dir)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.splitlines()[1:] == ["matched   0 job(s)"]


def test_the_client_says_what_is_wrong(system: LocalSystem, scene: SdkScene) -> None:
    completed = run_client(system, f"{scene.around.key}x", "order.created", "{}")
    assert completed.returncode == 1
    assert "UNAUTHENTICATED" in completed.stderr
    completed = run_client(system, scene.around.key, "order.created", "{")
    assert completed.returncode == 1
    assert "INVALID_ARGUMENT" in completed.stderr


def test_the_programs_invoked_job_returns_or_throws(scene: SdkScene) -> None:
    def invoke(dividend: int, divisor: int) -> tuple[int, Any]:
        request = jobs_pb.InvokeJobRequest(
            job_slug="divide", payload=document({"dividend": dividend, "divisor": divisor})
        )
        run = scene.ended(scene.call(JobsServiceStub, "InvokeJob", request).run_id)
        return run.state, output_of(run)

    assert invoke(9, 4) == (run_pb2.Run.STATE_SUCCESS, 2.25)
    state, error = invoke(1, 0)
    assert (state, error["name"]) == (run_pb2.Run.STATE_FAILURE, "RangeError")
    assert error["message"] == "Nothing can be divided by 0"
