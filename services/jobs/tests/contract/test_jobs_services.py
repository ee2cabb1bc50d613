"""The jobs service over a real channel."""

from typing import Any

import grpc
import pytest

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as internal_pb
from kongflow.jobs.internal.v1.jobs_internal_service_pb2_grpc import JobsInternalServiceStub
from kongflow.jobs.v1 import job_pb2
from kongflow.jobs.v1 import jobs_service_pb2 as pb
from kongflow.jobs.v1.jobs_service_pb2_grpc import JobsServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import RemoteError
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.grpc_server import InProcessServer, bearer, in_process_server
from kongflow_jobs.main import grpc_services
from kongflow_jobs.rpc.error_catalog import CATALOG
from services.jobs.tests.conftest import KeptDispatchers, KeptEvents, KeptRuns, described
from services.jobs.tests.contract.conftest import TIMEOUT, register


async def test_a_registered_job_is_read_by_its_environment(
    server: InProcessServer, here: EnvironmentScope, dispatchers: KeptDispatchers
) -> None:
    registered = await register(server, here, described())
    assert dispatchers.calls == 1
    metadata = bearer(server.credentials.add_secret_key(here))
    stub = JobsServiceStub(server.channel)
    job = (await stub.GetJob(pb.GetJobRequest(slug="order"), metadata=metadata)).job
    assert (job.id, job.slug, job.title) == (registered.job_id, "order", "Order")
    assert job.latest_version.id == registered.version_id
    assert job.latest_version.state == job_pb2.JobVersion.STATE_ACTIVE
    assert job.latest_version.trigger == job_pb2.JobVersion.TRIGGER_STATIC
    listed = await stub.ListJobs(
        pb.ListJobsRequest(filter='state = "ACTIVE" AND slug = "order"'), metadata=metadata
    )
    assert [each.id for each in listed.jobs] == [job.id]
    aliases = await stub.ListJobAliases(pb.ListJobAliasesRequest(job_id=job.id), metadata=metadata)
    assert [each.value for each in aliases.job_aliases] == ["1.0.0"]
    queues = await stub.ListJobQueues(pb.ListJobQueuesRequest(), metadata=metadata)
    assert [each.name for each in queues.job_queues] == ["default"]

    stranger = bearer(server.credentials.add_secret_key(server.credentials.add_environment()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetJob(pb.GetJobRequest(id=job.id), metadata=stranger)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_names_are_listed_page_by_page(
    server: InProcessServer, here: EnvironmentScope
) -> None:
    event = {
        **described()["event"],
        "examples": [{"id": f"e{n}", "name": "x", "payload": n} for n in range(5)],
    }
    registered = await register(server, here, described(event=event))
    metadata = bearer(server.credentials.add_secret_key(here))
    stub = JobsServiceStub(server.channel)
    seen: list[str] = []
    token = ""
    while True:
        page = await stub.ListEventExamples(
            pb.ListEventExamplesRequest(
                version_id=registered.version_id, page_size=2, page_token=token
            ),
            metadata=metadata,
        )
        seen += [each.slug for each in page.event_examples]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["e0", "e1", "e2", "e3", "e4"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (described(id=""), "metadata.id"),
        (described(trigger={"type": "nope"}), "metadata.trigger"),
        (
            described(
                trigger={
                    "type": "static",
                    "title": "x",
                    "rule": {"event": "a", "source": "b", "payload": {"a": 5}},
                }
            ),
            "metadata.trigger.rule.payload",
        ),
        (
            described(event={**described()["event"], "examples": [{"id": "a", "name": "A"}] * 2}),
            "metadata.event.examples",
        ),
    ],
)
async def test_what_is_wrong_with_a_description_is_named(
    server: InProcessServer, here: EnvironmentScope, document: dict[str, Any], field: str
) -> None:
    with pytest.raises(RemoteError) as caught:
        await register(server, here, document)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in caught.value.message


async def test_a_registration_counts_only_once_its_dispatcher_is_there(
    server: InProcessServer, here: EnvironmentScope, dispatchers: KeptDispatchers
) -> None:
    dispatchers.away = True
    with pytest.raises(DependencyUnavailable):
        await register(server, here, described())
    assert dispatchers.kept == {}
    dispatchers.away = False
    registered = await register(server, here, described())
    [wish] = dispatchers.kept.values()
    assert str(wish.version_id) == registered.version_id


async def test_disabling_and_resolving(server: InProcessServer, here: EnvironmentScope) -> None:
    registered = await register(server, here, described())
    stub = JobsInternalServiceStub(server.tasks_channel)
    answer = await server.caller("endpoints").call(
        stub.DisableJob,
        internal_pb.DisableJobRequest(
            environment_id=str(here.environment_id),
            project_id=str(here.project_id),
            organization_id=str(here.organization_id),
            slug="order",
            version="1.0.0",
            generation=2,
        ),
        timeout=TIMEOUT,
    )
    assert answer.changed
    found = await server.caller("runs").call(
        stub.ResolveJobVersions,
        internal_pb.ResolveJobVersionsRequest(
            references=[
                internal_pb.JobVersionReference(
                    environment_id=str(here.environment_id), job_id=registered.job_id
                ),
                internal_pb.JobVersionReference(
                    environment_id=str(here.environment_id), job_id=str(new_id())
                ),
            ]
        ),
        timeout=TIMEOUT,
    )
    known, unknown = found.results
    assert (known.found, known.version_id, known.active) == (True, registered.version_id, False)
    assert not unknown.found


async def test_a_test_stores_an_event_of_its_own_and_its_run(
    server: InProcessServer, here: EnvironmentScope, events: KeptEvents, runs: KeptRuns
) -> None:
    event = {**described()["event"], "name": ["first", "second"], "source": "shop"}
    await register(server, here, described(event=event))
    metadata = bearer(server.credentials.add_secret_key(here))
    stub = JobsServiceStub(server.channel)
    request = pb.TestJobRequest(job_slug="order", request_id="once")
    request.payload.json = b'{"n": 1}'
    one = await stub.TestJob(request, metadata=metadata)
    two = await stub.TestJob(request, metadata=metadata)
    assert one == two
    assert one.event_id.startswith("test:first:")
    [(_, stored)] = events.kept.values()
    assert (stored.name, stored.source, stored.is_test) == ("first", "shop", True)
    assert stored.payload is not None
    assert stored.payload.load() == {"n": 1}
    assert {run.is_test for run in runs.asked} == {True}
    three = await stub.TestJob(pb.TestJobRequest(job_slug="order"), metadata=metadata)
    assert three.run_id != one.run_id


async def test_tests_of_one_millisecond_get_one_each(
    database: Database, dispatchers: KeptDispatchers, events: KeptEvents, runs: KeptRuns
) -> None:
    client_services, tasks_services = grpc_services(
        database, dispatchers, events, runs, FixedClock()
    )
    async with in_process_server(
        catalog=CATALOG, client_services=client_services, tasks_services=tasks_services
    ) as server:
        here = server.credentials.add_environment()
        await register(server, here, described())
        stub = JobsServiceStub(server.channel)
        metadata = bearer(server.credentials.add_secret_key(here))
        answers = [
            await stub.TestJob(pb.TestJobRequest(job_slug="order"), metadata=metadata)
            for _ in range(3)
        ]
    first = int(answers[0].event_id.rpartition(":")[2])
    assert [int(each.event_id.rpartition(":")[2]) for each in answers] == [
        first,
        first + 1,
        first + 2,
    ]
    assert len({each.run_id for each in answers}) == 3


async def test_a_job_is_invoked_once_per_key(
    server: InProcessServer, here: EnvironmentScope, events: KeptEvents
) -> None:
    await register(server, here, described(trigger={"type": "invoke"}))
    metadata = bearer(server.credentials.add_secret_key(here))
    stub = JobsServiceStub(server.channel)
    request = pb.InvokeJobRequest(job_slug="order", idempotency_key="key")
    one = await stub.InvokeJob(request, metadata=metadata)
    assert await stub.InvokeJob(request, metadata=metadata) == one
    other = await stub.InvokeJob(pb.InvokeJobRequest(job_slug="order"), metadata=metadata)
    assert other.run_id != one.run_id
    assert {event.name for _, event in events.kept.values()} == {"invoke"}


async def test_what_is_not_there_cannot_be_run(
    server: InProcessServer, here: EnvironmentScope
) -> None:
    metadata = bearer(server.credentials.add_secret_key(here))
    stub = JobsServiceStub(server.channel)
    for call in (
        stub.TestJob(pb.TestJobRequest(job_slug="order"), metadata=metadata),
        stub.TestJob(pb.TestJobRequest(version_id=str(new_id())), metadata=metadata),
        stub.InvokeJob(pb.InvokeJobRequest(job_slug="order"), metadata=metadata),
        stub.DeleteJob(pb.DeleteJobRequest(id=str(new_id())), metadata=metadata),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
