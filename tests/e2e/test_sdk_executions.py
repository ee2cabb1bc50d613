"""What jobs of a real program are told, and what becomes of what the SDK answers."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import grpc
import orjson
import pytest

from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.tenancy.v1 import environment_pb2
from tests.e2e.sdk_scene import NOTHING, Outcome, SdkScene, document, sdk_scene
from tests.local_system import LocalSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

RETURNED: dict[str, Any] = {
    "undefined": NOTHING,
    "null": None,
    "zero": 0,
    "number": 12.5,
    "large": 1e21,
    "string": "straße 😀",
    "empty": "",
    "boolean": False,
    "list": [1, None, "x", {"y": []}],
    "object": {"a": {"b": None}, "c.d": True},
    "date": "2026-01-02T03:04:05.678Z",
    # JSON has no such number, so JavaScript writes null.
    "nothing": None,
}


@pytest.fixture(scope="module")
def scene(system: LocalSystem) -> Iterator[SdkScene]:
    """The program, registered."""
    with sdk_scene(system) as scene:
        assert scene.register().state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
        yield scene


def only_outcome(scene: SdkScene, name: str, payload: Any, **more: Any) -> Outcome:
    """How the one run of an event ended."""
    [outcome] = scene.outcomes(scene.send(name, payload, **more)).values()
    return outcome


@pytest.mark.parametrize("what", RETURNED)
def test_an_output_is_stored_as_the_sdk_sent_it(scene: SdkScene, what: str) -> None:
    outcome = only_outcome(scene, "return.this", {"what": what})
    answered = outcome.answered
    assert answered["status"] == outcome.state == "SUCCESS"
    assert outcome.output == answered.get("output", NOTHING) == RETURNED[what]
    assert outcome.run.error_message == ""
    assert outcome.run.HasField("output") == ("output" in answered)


def test_a_job_runs_for_a_cloud_event(scene: SdkScene) -> None:
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "trigger.dev", "ext": "a"}
    request = events_pb.SendCloudEventRequest()
    request.cloud_event.json = orjson.dumps(
        {**event, "type": "return.this", "data": {"what": "number"}}
    )
    sent = scene.call(EventsServiceStub, "SendCloudEvent", request).event_record
    [outcome] = scene.outcomes(scene.event(sent.id)).values()
    assert (outcome.state, outcome.output) == ("SUCCESS", RETURNED["number"])


@pytest.mark.parametrize(
    ("what", "message"),
    [("error", "boom"), ("named", "The card was refused"), ("empty", "")],
)
def test_what_a_job_throws_is_stored_with_its_stack(
    scene: SdkScene, what: str, message: str
) -> None:
    outcome = only_outcome(scene, "throw.this", {"what": what})
    assert (outcome.state, outcome.answered["status"]) == ("FAILURE", "ERROR")
    assert outcome.output == outcome.answered["error"]
    assert outcome.output["message"] == outcome.run.error_message == message
    assert "event_jobs.js" in outcome.output["stack"]
    assert outcome.run.execution_count == 1
    assert outcome.run.execution_failure_count == 0


def test_what_is_thrown_and_no_error_is_stored_as_the_sdk_puts_it(scene: SdkScene) -> None:
    outcome = only_outcome(scene, "throw.this", {"what": "text"})
    assert (outcome.state, outcome.answered["status"]) == ("FAILURE", "ERROR")
    assert outcome.output == outcome.answered["error"]
    assert outcome.output["message"] == outcome.run.error_message


def test_a_payload_that_the_schema_refuses_ends_the_run_with_the_issues(scene: SdkScene) -> None:
    outcome = only_outcome(scene, "check.this", {"count": "many"})
    assert outcome.state == outcome.answered["status"] == "INVALID_PAYLOAD"
    assert outcome.output == outcome.answered["errors"]
    assert {tuple(issue["path"]) for issue in outcome.output} == {("id",), ("count",)}
    assert outcome.run.error_message
    good = only_outcome(scene, "check.this", {"id": "x"})
    # What the schema sets is the program's; the event keeps what was sent.
    assert (good.state, good.output) == ("SUCCESS", {"payload": {"id": "x", "count": 1}})
    assert good.told["body"]["event"]["payload"] == {"id": "x"}


def test_a_job_is_told_all_that_the_protocol_says(scene: SdkScene) -> None:
    before = datetime.now().astimezone()
    event = scene.send("context.this", {"n": 1}, context=document({"trace": "t"}))
    [outcome] = scene.outcomes(event).values()
    told, around = outcome.told["body"], scene.around
    assert told["job"] == {"id": "context", "version": "1.2.3"}
    assert told["event"].keys() == {
        *("id", "name", "payload", "context", "timestamp", "deliverAt", "deliveredAt")
    }
    assert told["event"]["id"] == event.event_id
    assert told["event"]["name"] == "context.this"
    assert (told["event"]["payload"], told["event"]["context"]) == ({"n": 1}, {"trace": "t"})
    assert told["run"].keys() == {"id", "isTest", "isRetry", "startedAt"}
    assert told["run"]["id"] == outcome.run.id
    assert (told["run"]["isTest"], told["run"]["isRetry"]) == (False, False)
    assert before <= datetime.fromisoformat(told["run"]["startedAt"]) <= datetime.now().astimezone()
    type_name = environment_pb2.Environment.Type.Name(around.environment.type)
    assert told["environment"] == {
        "id": around.environment.id,
        "slug": around.environment.slug,
        "type": type_name.removeprefix("TYPE_"),
    }
    assert told["organization"] == {
        "id": around.organization.id,
        "slug": around.organization.slug,
        "title": around.organization.title,
    }
    assert told["project"] == {
        "id": around.project.id,
        "slug": around.project.slug,
        "name": around.project.name,
    }
    # What is not set is left out: the SDK takes null for a mistake.
    for key in ("account", "source", "cachedTaskCursor", "noopTasksSet"):
        assert key not in told
    assert None not in told.values()
    assert outcome.told["headers"]["content-type"] == "application/json"
    assert outcome.told["headers"]["x-trigger-version"] == "2023-09-29"


def test_a_job_sees_it_in_its_context(scene: SdkScene) -> None:
    outcome = only_outcome(scene, "context.this", {}, account_id="customer 7")
    seen, told = outcome.output, outcome.told["body"]
    assert told["account"] == {"id": "customer 7", "metadata": {}}
    for part in ("job", "environment", "organization", "project", "account"):
        assert seen[part] == told[part]
    assert seen["event"]["id"] == told["event"]["id"]
    assert seen["run"]["id"] == outcome.run.id
    assert seen["run"]["isTest"] is False
    at = datetime.fromisoformat(seen["run"]["startedAt"])
    assert at == datetime.fromisoformat(told["run"]["startedAt"])


def test_a_run_knows_its_times(scene: SdkScene) -> None:
    run = only_outcome(scene, "return.this", {"what": "zero"}).run
    times = (run.create_time, run.queue_time, run.start_time, run.complete_time)
    assert list(times) == sorted(times, key=lambda time: time.ToNanoseconds())
    assert run.number > 0
    assert run.execution_count == 1
    assert run.execution_duration.ToNanoseconds() > 0
    later = only_outcome(scene, "return.this", {"what": "zero"}).run
    assert later.number == run.number + 1


def test_jobs_are_invoked_by_name(scene: SdkScene) -> None:
    greeted = scene.invoke("greet", {"name": "Eve"})
    assert (greeted.state, greeted.output) == ("SUCCESS", "Good day, Eve!")
    assert greeted.told["body"]["event"]["name"] == "invoke"
    refused = scene.invoke("greet", {"nome": "Eve"})
    assert (refused.state, refused.output) == ("INVALID_PAYLOAD", refused.answered["errors"])
    for slug in ("print-left", "print-right", "order-text"):
        assert scene.invoke(slug, {"n": 1}).output == {"payload": {"n": 1}}


def test_an_invocation_hands_on_its_account_and_context(scene: SdkScene) -> None:
    outcome = scene.invoke(
        "context", {"n": 1}, context=document({"why": "test"}), account_id="customer 8"
    )
    assert outcome.state == "SUCCESS"
    assert outcome.output["account"]["id"] == "customer 8"
    assert outcome.output["event"]["context"] == {"why": "test"}


@pytest.mark.parametrize(
    ("slug", "payload", "output"),
    [
        ("every-hour", {"ts": "2026-01-01T00:00:00.000Z"}, {"ts": "2026-01-01T00:00:00.000Z"}),
        ("nightly", {"ts": "2026-01-01T03:00:00.000Z"}, {"ts": "2026-01-01T03:00:00.000Z"}),
        ("on-dynamic-schedule", {"ts": "2026-01-01T00:00:00Z"}, {"ts": "2026-01-01T00:00:00.000Z"}),
        ("on-dynamic-trigger", {"room": "hall"}, {"payload": {"room": "hall"}}),
        ("on-source", {"room": "cellar"}, {"payload": {"room": "cellar"}}),
        ("on-webhook", {"room": "kitchen"}, {"payload": {"room": "kitchen"}}),
        ("with-examples", {"size": 1}, {"payload": {"size": 1}}),
        ("many-names", {"n": 1}, {"payload": {"n": 1}}),
    ],
)
def test_jobs_that_nothing_starts_yet_are_tested(
    scene: SdkScene, slug: str, payload: Any, output: Any
) -> None:
    outcome = scene.test(slug, payload)
    assert (outcome.state, outcome.output) == ("SUCCESS", output)
    assert outcome.run.test
    assert outcome.told["body"]["run"]["isTest"] is True


def test_a_job_that_waits_fails_and_says_so(scene: SdkScene) -> None:
    """The place where tasks and waits will go on: the SDK asks for them over HTTP."""
    outcome = scene.invoke("waits", {})
    assert (outcome.state, outcome.answered["status"]) == ("FAILURE", "ERROR")
    assert outcome.output == outcome.answered["error"]


def test_a_disabled_job_is_not_executed(scene: SdkScene) -> None:
    asked = len(scene.calls("EXECUTE_JOB"))
    with pytest.raises(grpc.RpcError) as caught:
        scene.invoke("switched-off", {})
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(scene.calls("EXECUTE_JOB")) == asked


@pytest.mark.parametrize(("what", "named"), [("half", "surrogate"), ("nul", "NUL")])
def test_text_that_cannot_be_stored_ends_the_run_and_is_named(
    scene: SdkScene, what: str, named: str
) -> None:
    """JavaScript has halves of characters and NUL; what is stored has neither."""
    outcome = only_outcome(scene, "return.this", {"what": what})
    assert (outcome.state, outcome.answered["status"]) == ("FAILURE", "SUCCESS")
    assert named in outcome.run.error_message
