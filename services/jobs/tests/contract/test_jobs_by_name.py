"""Lists page by page, deleting, and what is answered when neighbours are away."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as internal_pb
from kongflow.jobs.internal.v1.jobs_internal_service_pb2_grpc import JobsInternalServiceStub
from kongflow.jobs.v1 import jobs_service_pb2 as pb
from kongflow.jobs.v1.jobs_service_pb2_grpc import JobsServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import InProcessServer, bearer
from kongflow_common.testing.refusals import refusal
from services.jobs.tests.conftest import KeptEvents, KeptRuns, described
from services.jobs.tests.contract.conftest import TIMEOUT, register

Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
def as_here(server: InProcessServer, here: EnvironmentScope) -> Metadata:
    return bearer(server.credentials.add_secret_key(here))


async def disable(
    server: InProcessServer, scope: EnvironmentScope, generation: int, version: str = "1.0.0"
) -> bool:
    answer = await server.caller("endpoints").call(
        JobsInternalServiceStub(server.tasks_channel).DisableJob,
        internal_pb.DisableJobRequest(
            environment_id=str(scope.environment_id),
            project_id=str(scope.project_id),
            organization_id=str(scope.organization_id),
            slug="order",
            version=version,
            generation=generation,
        ),
        timeout=TIMEOUT,
    )
    return answer.changed


async def pages(call: Callable[[str], Awaitable[Any]], field: str) -> list[list[Any]]:
    """What each page holds."""
    found, token = [], ""
    while True:
        page = await call(token)
        found.append(list(getattr(page, field)))
        token = page.next_page_token
        if not token:
            return found


async def test_jobs_and_versions_are_listed_newest_first(
    server: InProcessServer, here: EnvironmentScope, as_here: Metadata
) -> None:
    for n in range(5):
        await register(server, here, described(f"job-{n}"), n + 1)
        registered = await register(server, here, described(version=f"{n}.0.0"), n + 10)
    stub = JobsServiceStub(server.channel)
    jobs = await pages(
        lambda token: stub.ListJobs(
            pb.ListJobsRequest(page_size=2, page_token=token, filter='slug != "order"'),
            metadata=as_here,
        ),
        "jobs",
    )
    assert [[job.slug for job in page] for page in jobs] == [
        ["job-4", "job-3"],
        ["job-2", "job-1"],
        ["job-0"],
    ]
    versions = await pages(
        lambda token: stub.ListJobVersions(
            pb.ListJobVersionsRequest(job_id=registered.job_id, page_size=4, page_token=token),
            metadata=as_here,
        ),
        "job_versions",
    )
    assert [[each.version for each in page] for page in versions] == [
        ["4.0.0", "3.0.0", "2.0.0", "1.0.0"],
        ["0.0.0"],
    ]


async def test_a_page_is_one_environments(
    server: InProcessServer, here: EnvironmentScope, as_here: Metadata
) -> None:
    for n in range(3):
        await register(server, here, described(f"job-{n}"), n + 1)
    stub = JobsServiceStub(server.channel)
    page = await stub.ListJobs(pb.ListJobsRequest(page_size=1), metadata=as_here)
    stranger = bearer(server.credentials.add_secret_key(server.credentials.add_environment()))
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await stub.ListJobs(
            pb.ListJobsRequest(page_size=1, page_token=page.next_page_token), metadata=stranger
        )
    assert "page_token" in refused.fields


async def test_a_job_that_has_no_version_here_is_not_invoked(
    server: InProcessServer, here: EnvironmentScope, as_here: Metadata, events: KeptEvents
) -> None:
    other = replace(here, environment_id=new_id())
    registered = await register(server, other, described())
    stub = JobsServiceStub(server.channel)
    with refusal(grpc.StatusCode.NOT_FOUND) as refused:
        await stub.InvokeJob(pb.InvokeJobRequest(job_slug="order"), metadata=as_here)
    assert refused.reason == "JOB_VERSION_NOT_FOUND"
    assert refused.message == f"No version found for job order in environment {here.slug}"
    with refusal(grpc.StatusCode.NOT_FOUND) as refused:
        await stub.TestJob(pb.TestJobRequest(job_id=registered.job_id), metadata=as_here)
    assert refused.reason == "JOB_VERSION_NOT_FOUND"
    with refusal(grpc.StatusCode.NOT_FOUND) as refused:
        await stub.TestJob(pb.TestJobRequest(version_id=registered.version_id), metadata=as_here)
    assert refused.reason == "JOB_VERSION_NOT_FOUND"
    with refusal(grpc.StatusCode.NOT_FOUND) as refused:
        await stub.InvokeJob(pb.InvokeJobRequest(job_slug="unknown"), metadata=as_here)
    assert refused.reason == "JOB_NOT_FOUND"
    assert events.kept == {}


async def test_a_job_is_deleted_once_it_is_disabled(
    server: InProcessServer, here: EnvironmentScope, as_here: Metadata
) -> None:
    registered = await register(server, here, described())
    stub = JobsServiceStub(server.channel)
    request = pb.DeleteJobRequest(id=registered.job_id)
    with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused:
        await stub.DeleteJob(request, metadata=as_here)
    assert refused.reason == "JOB_NOT_DISABLED"
    assert refused.preconditions == [("JOB_NOT_DISABLED", f"jobs/{registered.job_id}")]
    assert await disable(server, here, 2)
    await stub.DeleteJob(request, metadata=as_here)
    await stub.DeleteJob(request, metadata=as_here)
    with refusal(grpc.StatusCode.NOT_FOUND):
        await stub.GetJob(pb.GetJobRequest(slug="order"), metadata=as_here)
    assert not (await stub.ListJobs(pb.ListJobsRequest(), metadata=as_here)).jobs
    left_alone = await register(server, here, described(enabled=False), 3)
    assert (left_alone.job_id, left_alone.version_id) == ("", "")
    assert (await register(server, here, described(), 4)).job_id == registered.job_id
    again = await stub.GetJob(pb.GetJobRequest(slug="order"), metadata=as_here)
    assert again.job.id == registered.job_id


async def test_a_disabling_that_overtook_a_registration_is_told(
    server: InProcessServer, here: EnvironmentScope
) -> None:
    assert not await disable(server, here, 5)
    assert (await register(server, here, described(), 4)).job_id == ""
    assert (await register(server, here, described(), 6)).job_id


@pytest.mark.parametrize("generation", [0, -1, 2**62 + 1])
async def test_a_generation_has_bounds(
    server: InProcessServer, here: EnvironmentScope, generation: int
) -> None:
    for call in (
        register(server, here, described(), generation),
        disable(server, here, generation),
    ):
        with pytest.raises(Exception, match="generation"):
            await call


async def test_what_is_cut_off_goes_on_where_it_was(
    server: InProcessServer,
    here: EnvironmentScope,
    as_here: Metadata,
    events: KeptEvents,
    runs: KeptRuns,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The event is there and its run is not: the repeat creates the run, of the same event."""
    await register(server, here, described())
    stub = JobsServiceStub(server.channel)
    create, away = runs.create, True

    async def create_if_there(run: Any) -> Any:
        if away:
            raise DependencyUnavailable("runs")
        return await create(run)

    monkeypatch.setattr(runs, "create", create_if_there)
    invoke = pb.InvokeJobRequest(job_slug="order", idempotency_key="key")
    test = pb.TestJobRequest(job_slug="order", request_id="once")
    for call in (
        lambda: stub.InvokeJob(invoke, metadata=as_here),
        lambda: stub.TestJob(test, metadata=as_here),
    ):
        with refusal(grpc.StatusCode.UNAVAILABLE):
            await call()
    assert len(events.kept) == 2
    away = False
    invoked = [await stub.InvokeJob(invoke, metadata=as_here) for _ in range(2)]
    tested = [await stub.TestJob(test, metadata=as_here) for _ in range(2)]
    assert invoked[0] == invoked[1]
    assert tested[0] == tested[1]
    assert len(events.kept) == len(runs.kept) == 2


async def test_repeats_at_once_are_one_run(
    server: InProcessServer, here: EnvironmentScope, as_here: Metadata
) -> None:
    await register(server, here, described())
    stub = JobsServiceStub(server.channel)
    tests = [pb.TestJobRequest(job_slug="order", request_id="once")] * 10
    invocations = [pb.InvokeJobRequest(job_slug="order", idempotency_key="key")] * 10
    tested = await asyncio.gather(*(stub.TestJob(each, metadata=as_here) for each in tests))
    invoked = await asyncio.gather(
        *(stub.InvokeJob(each, metadata=as_here) for each in invocations)
    )
    assert len({answer.run_id for answer in tested}) == 1
    assert len({answer.run_id for answer in invoked}) == 1
