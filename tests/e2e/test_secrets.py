"""What is said in confidence is neither in a log nor, in clear, in a table of a running system."""

import json
from pathlib import Path
from uuid import uuid4

import grpc
import psycopg
import pytest
from psycopg import sql

from kongflow.common.v1 import payload_pb2
from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.events.v1 import event_record_pb2
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.runs.v1 import run_pb2
from kongflow.runs.v1 import runs_service_pb2 as runs_pb
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow.tenancy.v1 import environment_key_pb2, environment_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2 as tenancy_pb
from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceStub
from tests.example_endpoint import example_endpoint
from tests.local_system import LocalSystem, poll_until

pytestmark = pytest.mark.e2e

TIMEOUT = 20.0
Metadata = tuple[tuple[str, str], ...]
URL_PASSWORD = f"pw-{uuid4().hex}"
IN_PAYLOAD = f"payload-{uuid4().hex}"

_ENDED = {
    run_pb2.Run.STATE_SUCCESS,
    run_pb2.Run.STATE_FAILURE,
    run_pb2.Run.STATE_TIMED_OUT,
    run_pb2.Run.STATE_ABORTED,
}


@pytest.fixture(scope="module")
def key(system: LocalSystem, channels: dict[str, grpc.Channel]) -> str:
    """The secret key of an environment of its own."""
    tenancy = TenancyServiceStub(channels["tenancy"])
    operator = system.operator_metadata
    project = tenancy.ListProjects(
        tenancy_pb.ListProjectsRequest(), metadata=operator, timeout=TIMEOUT
    ).projects[0]
    environment = tenancy.CreateEnvironment(
        tenancy_pb.CreateEnvironmentRequest(
            project_id=project.id,
            slug=f"secrets-{uuid4().hex[:8]}",
            type=environment_pb2.Environment.TYPE_DEVELOPMENT,
        ),
        metadata=operator,
        timeout=TIMEOUT,
    ).environment
    created = tenancy.CreateEnvironmentKey(
        tenancy_pb.CreateEnvironmentKeyRequest(
            environment_id=environment.id, kind=environment_key_pb2.EnvironmentKey.KIND_SECRET
        ),
        metadata=operator,
        timeout=TIMEOUT,
    )
    return str(created.key_text)


@pytest.fixture(scope="module")
def lived(channels: dict[str, grpc.Channel], key: str) -> str:
    """What an environment goes through: an endpoint, one away, refusals, runs that end each way.

    Answers the id of the index, which the logs must know.
    """
    endpoints = EndpointsServiceStub(channels["endpoints"])
    own = (("authorization", f"Bearer {key}"),)
    with example_endpoint(key) as url:
        created = endpoints.CreateEndpoint(
            _endpoint("python-example", url), metadata=own, timeout=TIMEOUT
        )
        index_id = str(created.endpoint_index.id)

        def is_indexed() -> bool:
            request = endpoints_pb.GetEndpointIndexRequest(id=index_id)
            index = endpoints.GetEndpointIndex(
                request, metadata=own, timeout=TIMEOUT
            ).endpoint_index
            assert index.state != endpoint_pb2.EndpointIndex.STATE_FAILURE, index
            return bool(index.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS)

        poll_until(is_indexed, seconds=30, what="the end of the index")
        _refusals(endpoints, own, url)
        good = {"amount": 500, "country": "DE", "customer": IN_PAYLOAD}
        assert _run(channels, own, good) == run_pb2.Run.STATE_SUCCESS
        assert _run(channels, own, {"amount": 500, "country": "DE"}) == run_pb2.Run.STATE_FAILURE
    # Nobody is there any more.
    assert _run(channels, own, good) == run_pb2.Run.STATE_FAILURE
    return index_id


def _endpoint(slug: str, url: str) -> endpoints_pb.CreateEndpointRequest:
    return endpoints_pb.CreateEndpointRequest(endpoint=endpoint_pb2.Endpoint(slug=slug, url=url))


def _refusals(endpoints: EndpointsServiceStub, own: Metadata, url: str) -> None:
    with_password = url.replace("http://", f"http://user:{URL_PASSWORD}@")
    for refused in (with_password, "http://169.254.169.254/", "http://127.0.0.1:9/"):
        with pytest.raises(grpc.RpcError) as caught:
            endpoints.CreateEndpoint(_endpoint("away", refused), metadata=own, timeout=TIMEOUT)
        assert URL_PASSWORD not in str(caught.value)
    # A program that knows another key.
    with (
        example_endpoint(f"tr_dev_{uuid4().hex}") as other,
        pytest.raises(grpc.RpcError) as caught,
    ):
        endpoints.CreateEndpoint(_endpoint("other-key", other), metadata=own, timeout=TIMEOUT)
    assert "Trigger API key is invalid" in str(caught.value)


def _run(channels: dict[str, grpc.Channel], own: Metadata, order: dict[str, object]) -> int:
    """Sends an order; answers how its run ended."""
    events, runs = EventsServiceStub(channels["events"]), RunsServiceStub(channels["runs"])
    event = event_record_pb2.EventRecord(
        name="order.created",
        event_id=str(uuid4()),
        payload=payload_pb2.Payload(json=json.dumps(order).encode()),
    )
    sent = events.SendEvent(events_pb.SendEventRequest(event=event), metadata=own, timeout=TIMEOUT)
    ended: list[int] = []

    def has_ended() -> bool:
        request = runs_pb.ListRunsRequest(filter=f'event_record_id = "{sent.event_record.id}"')
        page = runs.ListRuns(request, metadata=own, timeout=TIMEOUT)
        ended.extend(run.state for run in page.runs if run.state in _ENDED)
        return bool(ended)

    poll_until(has_ended, seconds=60, what="the end of the run")
    return ended[0]


def _logs(system: LocalSystem) -> dict[Path, str]:
    return {
        path: path.read_text(errors="replace")
        for path in sorted((system.state_dir / "logs").rglob("*"))
        if path.is_file()
    }


def test_no_log_holds_a_secret(system: LocalSystem, lived: str, key: str) -> None:
    logs = _logs(system)
    # They tell of what happened, so they could tell of secrets too.
    assert any(lived in text for text in logs.values())
    connection = system.connection()
    secrets = {
        "the key of the environment": key,
        "the first key": connection["api_key"],
        "the operator's token": connection["operator_token"],
        "a URL's password": URL_PASSWORD,
        "a payload": IN_PAYLOAD,
    }
    found = [
        (path.name, what)
        for path, text in logs.items()
        for what, secret in secrets.items()
        if secret in text
    ]
    assert found == []


def test_no_table_holds_a_key_in_clear(system: LocalSystem, lived: str, key: str) -> None:
    assert lived
    tables = """
        SELECT schemaname, tablename FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    """
    connection = system.connection()
    held: list[tuple[str, str]] = []
    with psycopg.connect(connection["database_url"]) as database:
        names = database.execute(tables).fetchall()
        assert len(names) > 20
        for schema, table in names:
            query = sql.SQL("SELECT count(*) FROM {} t WHERE strpos(t::text, %s) > 0").format(
                sql.Identifier(schema, table)
            )
            for secret in (key, connection["api_key"], connection["operator_token"], URL_PASSWORD):
                row = database.execute(query, [secret]).fetchone()
                if row is not None and row[0]:
                    held.append((schema, table))
    assert held == []
