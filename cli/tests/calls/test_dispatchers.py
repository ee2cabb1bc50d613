"""`kongflow dispatchers`."""

from uuid import UUID

import pytest

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_dispatcher_pb2 import (
    Dispatchable,
    EventDispatcher,
    JobVersionDispatchable,
)

JOB = "6f2f9a2c-6f0c-4b51-9a0e-0f8f3f1f2d11"


def stored(request: pb.UpsertEventDispatcherRequest) -> pb.UpsertEventDispatcherResponse:
    dispatcher = EventDispatcher()
    dispatcher.CopyFrom(request.event_dispatcher)
    dispatcher.enabled = request.enabled or not request.HasField("enabled")
    return pb.UpsertEventDispatcherResponse(
        event_dispatcher=dispatcher, warnings=["$foo is never looked at"]
    )


def put(system: RecordedSystem) -> pb.UpsertEventDispatcherRequest:
    return system.only_call("UpsertEventDispatcher", pb.UpsertEventDispatcherRequest)


def test_put_with_a_new_job_prints_its_id(system: RecordedSystem, run: Run) -> None:
    system.answers["UpsertEventDispatcher"] = stored
    ended = run("dispatchers", "put", "--event", "order.created")
    assert ended.code == 0, ended.err
    request = put(system)
    job_id = request.event_dispatcher.dispatchable.job_version.job_id
    assert str(UUID(job_id)) == job_id
    assert request == pb.UpsertEventDispatcherRequest(
        event_dispatcher=EventDispatcher(
            dispatchable_id=job_id,
            dispatchable=Dispatchable(job_version=JobVersionDispatchable(job_id=job_id)),
            event_names=["order.created"],
        )
    )
    assert job_id in ended.out


def test_put_names_with_stars(system: RecordedSystem, run: Run) -> None:
    system.answers["UpsertEventDispatcher"] = stored
    ended = run("dispatchers", "put", "--event", "order.*", "--wildcards", "--wide")
    assert ended.code == 0, ended.err
    dispatcher = put(system).event_dispatcher
    assert list(dispatcher.event_names) == ["order.*"]
    assert dispatcher.name_match == EventDispatcher.NAME_MATCH_WILDCARD
    assert ["Wildcards", "yes"] in [line.split() for line in ended.out.splitlines()]


def test_put_everything(system: RecordedSystem, run: Run, run_process: Run) -> None:
    ended = run_process(
        *("dispatchers", "put", "--event", "a", "--event", "b", "--job", JOB, "--id", "mine"),
        *("--filter", '{"total": [1]}', "--context-filter", "-", "--source", "shop"),
        *("--alias", "stable", "--manual", "--disabled", "--account", "acme"),
        *("--generation", str(2**63 - 1)),
        stdin=b'{"who": ["me"]}',
    )
    assert ended.code == 0, ended.err
    assert put(system) == pb.UpsertEventDispatcherRequest(
        event_dispatcher=EventDispatcher(
            dispatchable_id="mine",
            dispatchable=Dispatchable(
                job_version=JobVersionDispatchable(job_id=JOB, alias="stable")
            ),
            event_names=["a", "b"],
            payload_filter=Payload(json=b'{"total": [1]}'),
            context_filter=Payload(json=b'{"who": ["me"]}'),
            source="shop",
            manual=True,
            account_id="acme",
        ),
        generation=2**63 - 1,
        enabled=False,
    )


def test_put_a_version(system: RecordedSystem, run: Run) -> None:
    assert run("dispatchers", "put", "--event", "a", "--version", "1.0.0").code == 0
    job_version = put(system).event_dispatcher.dispatchable.job_version
    assert job_version.WhichOneof("selector") == "version"
    assert job_version.version == "1.0.0"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--event", "a", "--alias", "x", "--version", "1"),
        ("--event", "a", "--job", "not-a-uuid"),
        ("--event", "a", "--generation", str(2**63)),
        ("--event", "a", "--account", ""),
        ("--event", "a", "--id", ""),
    ],
)
def test_mistakes(system: RecordedSystem, run: Run, arguments: tuple[str, ...]) -> None:
    assert run("dispatchers", "put", *arguments).code == 2
    assert system.calls == []


def test_an_empty_filter_is_not_taken_for_none(system: RecordedSystem, run: Run) -> None:
    assert run("dispatchers", "put", "--event", "a", "--filter", "").code == 0
    assert put(system).event_dispatcher.HasField("payload_filter")


def test_warnings_stand_beside_the_result(system: RecordedSystem, run: Run) -> None:
    system.answers["UpsertEventDispatcher"] = stored
    ended = run("dispatchers", "put", "--event", "a", "--filter", '{"a": [1]}', "--json")
    assert ended.json["payload_filter"] == {"value": {"a": [1]}}
    assert ended.json["enabled"] is True
    assert ended.err == "Warning: $foo is never looked at\n"


def test_get_by_either_id(system: RecordedSystem, run: Run) -> None:
    assert run("dispatchers", "get", "some-id").code == 0
    assert run("dispatchers", "get", "--dispatchable-id", "mine").code == 0
    assert run("dispatchers", "get").code == 2
    assert system.requests(pb.GetEventDispatcherRequest) == [
        pb.GetEventDispatcherRequest(id="some-id"),
        pb.GetEventDispatcherRequest(dispatchable_id="mine"),
    ]


def test_list(system: RecordedSystem, run: Run) -> None:
    system.answers["ListEventDispatchers"] = pb.ListEventDispatchersResponse(
        event_dispatchers=[EventDispatcher(id="d1", event_names=["a", "b"], enabled=True)]
    )
    ended = run("dispatchers", "list", "--enabled", "--source", "shop", "--no-manual")
    assert "a, b" in ended.out
    request = system.only_call("ListEventDispatchers", pb.ListEventDispatchersRequest)
    assert request.filter == 'source = "shop" AND enabled = true AND manual = false'
