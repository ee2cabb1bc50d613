"""Jobs of a program that changes: what events start, and what is started by name."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import grpc
import pytest

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.events.v1 import event_record_pb2
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.jobs.v1 import job_pb2
from kongflow.jobs.v1 import jobs_service_pb2 as jobs_pb
from kongflow.jobs.v1.jobs_service_pb2_grpc import JobsServiceStub
from kongflow.runs.v1 import run_pb2
from kongflow.runs.v1 import runs_service_pb2 as runs_pb
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow_common.rpc.payload_mapping import from_payload
from tests.e2e.changing_program import ChangingProgram, changing_program, job
from tests.local_system import LocalSystem, poll_until

pytestmark = pytest.mark.e2e

TIMEOUT = 20.0
PENDING = {
    run_pb2.Run.STATE_PENDING,
    run_pb2.Run.STATE_QUEUED,
    run_pb2.Run.STATE_STARTED,
    run_pb2.Run.STATE_EXECUTING,
}


@dataclass
class Scene:
    """A system, and a program that it knows from the first index on."""

    system: LocalSystem
    program: ChangingProgram
    channels: dict[str, grpc.Channel]
    endpoint_id: str = ""

    def call(self, stub: Callable[[grpc.Channel], Any], method: str, request: Any) -> Any:
        context = type(request).DESCRIPTOR.full_name.split(".")[1]
        return getattr(stub(self.channels[context]), method)(
            request, metadata=self.system.metadata, timeout=TIMEOUT
        )

    def index(self, *jobs: dict[str, Any]) -> None:
        """Has the program hold these jobs, and waits for the end of its index."""
        index_id = self.begin_index(*jobs)
        poll_until(lambda: self.is_indexed(index_id), seconds=30, what="the end of the index")

    def begin_index(self, *jobs: dict[str, Any]) -> str:
        """Has the program hold these jobs and asks for an index; answers its id."""
        self.program.jobs = list(jobs)
        if self.endpoint_id:
            request = endpoints_pb.IndexEndpointRequest(id=self.endpoint_id)
            index_id = self.call(EndpointsServiceStub, "IndexEndpoint", request).endpoint_index.id
        else:
            created = self.call(
                EndpointsServiceStub,
                "CreateEndpoint",
                endpoints_pb.CreateEndpointRequest(
                    endpoint=endpoint_pb2.Endpoint(slug=self.program.slug, url=self.program.url)
                ),
            )
            self.endpoint_id, index_id = created.endpoint.id, created.endpoint_index.id
        return str(index_id)

    def is_indexed(self, index_id: str) -> bool:
        """Whether an index has ended, and well."""
        request = endpoints_pb.GetEndpointIndexRequest(id=index_id)
        index = self.call(EndpointsServiceStub, "GetEndpointIndex", request).endpoint_index
        assert index.state != endpoint_pb2.EndpointIndex.STATE_FAILURE, index
        return bool(index.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS)

    def is_fetched(self, index_id: str) -> bool:
        """Whether it is known what an index found."""
        request = endpoints_pb.ListEndpointIndexItemsRequest(endpoint_index_id=index_id)
        return bool(self.call(EndpointsServiceStub, "ListEndpointIndexItems", request).ListFields())

    def send(self, name: str, payload: Any, event_id: str = "") -> list[dict[str, Any]]:
        """Sends an event; answers what its runs came to, once it is processed."""
        sent = self.call(
            EventsServiceStub,
            "SendEvent",
            events_pb.SendEventRequest(
                event=event_record_pb2.EventRecord(
                    name=name, event_id=event_id or str(uuid4()), payload=document(payload)
                )
            ),
        ).event_record
        found: list[event_record_pb2.EventRecord] = []

        def is_processed() -> bool:
            request = events_pb.GetEventRecordRequest(id=sent.id)
            found[:] = [self.call(EventsServiceStub, "GetEventRecord", request).event_record]
            return bool(found[0].HasField("processed_time"))

        poll_until(is_processed, seconds=30, what="the event is processed")
        matched = found[0].matched_count
        poll_until(lambda: len(self.runs(sent.id)) == matched, seconds=30, what="its runs")
        return [self.outcome(run_id) for run_id in self.runs(sent.id)]

    def runs(self, event_record_id: str) -> list[str]:
        request = runs_pb.ListRunsRequest(filter=f'event_record_id = "{event_record_id}"')
        return [run.id for run in self.call(RunsServiceStub, "ListRuns", request).runs]

    def outcome(self, run_id: str) -> dict[str, Any]:
        """What a run's job returned."""
        found: list[run_pb2.Run] = []

        def is_done() -> bool:
            request = runs_pb.GetRunRequest(id=run_id)
            found[:] = [self.call(RunsServiceStub, "GetRun", request).run]
            return found[0].state not in PENDING

        poll_until(is_done, seconds=30, what="the end of the run")
        assert found[0].state == run_pb2.Run.STATE_SUCCESS, found[0]
        output = from_payload(found[0].output, "output")
        assert output is not None
        return cast("dict[str, Any]", output.load())

    def invoke(self, slug: str, payload: Any, key: str = "") -> jobs_pb.InvokeJobResponse:
        request = jobs_pb.InvokeJobRequest(
            job_slug=slug, payload=document(payload), idempotency_key=key
        )
        return cast("jobs_pb.InvokeJobResponse", self.call(JobsServiceStub, "InvokeJob", request))

    def registered(self) -> int:
        """How many of the endpoint's jobs are there, as far as a page shows; 0 with jobs away."""
        request = jobs_pb.ListJobsRequest(
            filter=f'endpoint_id = "{self.endpoint_id}" AND state = "ACTIVE"', page_size=1000
        )
        try:
            return len(self.call(JobsServiceStub, "ListJobs", request).jobs)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return 0

    def job(self, slug: str) -> job_pb2.Job:
        request = jobs_pb.GetJobRequest(slug=slug)
        return cast("job_pb2.Job", self.call(JobsServiceStub, "GetJob", request).job)


def document(value: Any) -> Payload:
    return Payload(json=json.dumps(value).encode())


@pytest.fixture
def scene(system: LocalSystem) -> Iterator[Scene]:
    contexts = ("endpoints", "events", "jobs", "runs")
    channels = {name: grpc.insecure_channel(system.target(name)) for name in contexts}
    with changing_program(f"jobs-{uuid4().hex[:8]}") as program:
        yield Scene(system, program, channels)
    for channel in channels.values():
        channel.close()


@pytest.fixture
def name() -> str:
    """Of a job and its event, known to no other test."""
    return f"job-{uuid4().hex[:8]}"


def test_the_newest_description_takes_the_events(scene: Scene, name: str) -> None:
    """Contents A, B and A again: an event right after each index meets what it says."""
    small, large = {"n": [{"$lt": 10}]}, {"n": [{"$gte": 10}]}
    for content in (small, large, small):
        scene.index(job(name, name, payload=content))
        taken = [run["payload"] for n in (1, 50) for run in scene.send(name, {"n": n})]
        assert taken == [{"n": 1 if content is small else 50}]


def test_events_go_to_the_latest_version(scene: Scene, name: str) -> None:
    versions, latest = [], []
    for version in ("9.0.0", "10.0.0", "9.0.0"):
        scene.index(job(name, name, version=version))
        latest.append(scene.job(name).latest_version.version)
        [run] = scene.send(name, {})
        versions.append(run["version"])
    assert versions == latest == ["9.0.0", "10.0.0", "10.0.0"]


def test_jobs_that_are_disabled_or_gone_take_no_events(scene: Scene, name: str) -> None:
    disabled, gone, other = (f"{name}-{each}" for each in ("disabled", "gone", "other"))
    scene.index(*(job(each, name) for each in (disabled, gone, other)))
    assert {run["job"] for run in scene.send(name, {})} == {disabled, gone, other}
    scene.index(job(disabled, name, enabled=False), job(other, name))
    assert [run["job"] for run in scene.send(name, {})] == [other]
    assert scene.job(gone).latest_version.state == job_pb2.JobVersion.STATE_DISABLED
    scene.index(job(disabled, name), job(gone, name), job(other, name))
    assert {run["job"] for run in scene.send(name, {})} == {disabled, gone, other}


def test_a_job_that_is_invoked_only_no_longer_takes_events(scene: Scene, name: str) -> None:
    scene.index(job(name, name))
    assert len(scene.send(name, {})) == 1
    scene.index(job(name))
    assert scene.send(name, {}) == []
    assert scene.outcome(scene.invoke(name, {"n": 1}).run_id)["payload"] == {"n": 1}


def test_a_known_key_answers_with_its_first_run(scene: Scene, name: str) -> None:
    other = f"{name}-other"
    scene.index(job(name), job(other))
    first = scene.invoke(name, {"n": 1}, key=name)
    assert scene.invoke(name, {"n": 2}, key=name) == first
    assert scene.invoke(other, {"n": 3}, key=name) == first
    assert scene.runs(first.event_record_id) == [first.run_id]
    assert scene.outcome(first.run_id) == {
        "job": name,
        "version": "1.0.0",
        "payload": {"n": 1},
        "isTest": False,
    }
    assert scene.invoke(name, {}).run_id != first.run_id
    with pytest.raises(grpc.RpcError) as caught:
        scene.invoke("nowhere", {}, key=name)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_key_that_is_a_sent_events_id_gets_a_run_of_its_own(scene: Scene, name: str) -> None:
    scene.index(job(name, name))
    [_] = scene.send(name, {"sent": True}, event_id=name)
    invoked = scene.invoke(name, {"invoked": True}, key=name)
    assert len(scene.runs(invoked.event_record_id)) == 2
    assert scene.outcome(invoked.run_id)["payload"] == {"sent": True}


def test_a_test_is_seen_by_the_job_it_is_for_alone(scene: Scene, name: str) -> None:
    scene.index(job(name, name), job(f"{name}-other", name))
    request = jobs_pb.TestJobRequest(
        job_slug=name, payload=document({"n": 1}), request_id=str(uuid4())
    )
    one = scene.call(JobsServiceStub, "TestJob", request)
    assert scene.call(JobsServiceStub, "TestJob", request) == one
    assert one.event_id.startswith(f"test:{name}:")
    assert scene.runs(one.event_record_id) == [one.run_id]
    outcome = scene.outcome(one.run_id)
    assert (outcome["job"], outcome["payload"], outcome["isTest"]) == (name, {"n": 1}, True)
    found = scene.call(
        EventsServiceStub, "GetEventRecord", events_pb.GetEventRecordRequest(id=one.event_record_id)
    ).event_record
    assert (found.test, found.internal) == (True, True)
    assert found.state == event_record_pb2.EventRecord.STATE_DELIVERED


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_an_index_survives_the_death_of_those_it_asks(scene: Scene, name: str) -> None:
    """Killed between a job's commit and its dispatcher, and anywhere else: all comes right."""
    scene.index(job(f"{name}-gone", name))
    wanted = [job(f"{name}-{n}", f"{name}.{n % 20}") for n in range(400)]
    index_id = scene.begin_index(*wanted)
    during = known = 0
    for process in ("jobs", "events", "jobs", "worker", "jobs", "events"):

        def goes_on(known: int = known) -> bool:
            return scene.registered() > known or scene.is_indexed(index_id)

        poll_until(goes_on, seconds=30, what="another job is registered", interval=0.02)
        if scene.is_indexed(index_id):
            break
        known = scene.registered()
        last = scene.system.signal(process, signal.SIGKILL)

        def is_back(process: str = process, last: int | None = last) -> bool:
            return scene.system.pid(process) not in {None, last}

        poll_until(is_back, seconds=30, what=f"{process} is started again", interval=0.02)
        during += last is not None
    assert during >= 2, "the index was too fast for this test"
    poll_until(
        lambda: scene.is_indexed(index_id), seconds=120, what="the end of the index", interval=0.5
    )
    for n in range(20):
        taken = {run["job"] for run in scene.send(f"{name}.{n}", {})}
        assert taken == {each["id"] for each in wanted if each["event"]["name"] == f"{name}.{n}"}
    assert scene.send(name, {}) == []


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_jobs_that_wait_to_be_registered_are_overtaken_by_an_index_without_them(
    scene: Scene, name: str
) -> None:
    """With events away registrations wait; the program drops their jobs meanwhile."""
    kept = job(f"{name}-kept", name)
    scene.index(kept)
    with held_down(scene.system, "events"):
        older = scene.begin_index(kept, *(job(f"{name}-{n}", name) for n in range(300)))
        # Some are stored and wait for their dispatchers; the others are not even asked for.
        poll_until(lambda: scene.registered() > 1, seconds=30, what="jobs are registered")
        newer = scene.begin_index(kept)
        poll_until(lambda: scene.is_fetched(newer), seconds=30, what="the newer one is fetched")
    for index_id in (older, newer):
        poll_until(lambda each=index_id: scene.is_indexed(each), seconds=90, what="its end")
    assert scene.registered() == 1
    assert [run["job"] for run in scene.send(name, {})] == [f"{name}-kept"]


@contextmanager
def held_down(system: LocalSystem, process: str) -> Iterator[None]:
    """Kills a process whenever it is started again."""
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.05):
            system.signal(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()
