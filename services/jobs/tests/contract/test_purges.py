"""What jobs hold of deleted environments and projects is deleted, over a real channel."""

from typing import Any
from uuid import UUID

import grpc
import pytest

from kongflow.jobs.tasks.v1 import jobs_tasks_service_pb2 as pb
from kongflow.jobs.tasks.v1.jobs_tasks_service_pb2_grpc import JobsTasksServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.db.engine import Database
from kongflow_common.testing.grpc_server import InProcessServer, bearer
from kongflow_jobs.adapters.purges import OF_ENVIRONMENT, OF_PROJECT
from services.jobs.tests.conftest import described
from services.jobs.tests.contract.conftest import TIMEOUT, register

OF_ENVIRONMENTS = (
    "job_aliases",
    "job_versions",
    "job_queues",
    "concurrency_limit_groups",
    "job_dispatchers",
    "version_generations",
    "test_requests",
)

FILL_REQUESTS = """
INSERT INTO jobs.test_requests (environment_id, request_id, version_id, event_id, event_record_id)
SELECT %(id)s, 'r' || n, %(id)s, 'e', %(id)s FROM generate_series(1, 3) AS g(n)
"""
FILL_GROUPS = """
INSERT INTO jobs.concurrency_limit_groups (id, name, concurrency_limit, environment_id)
SELECT gen_random_uuid(), 'g' || n, 1, %(id)s FROM generate_series(1, 3) AS g(n)
"""


async def left(database: Database, environment_id: UUID) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table in OF_ENVIRONMENTS:
        [(rows,)] = await database.pool.execute(
            f"SELECT count(*) FROM jobs.{table} WHERE environment_id = %s", [environment_id]
        )
        counts[table] = rows
    return counts


async def filled(server: InProcessServer, database: Database, scope: EnvironmentScope) -> None:
    for number in range(3):
        await register(server, scope, described(f"job-{number}"))
    for statement in (FILL_REQUESTS, FILL_GROUPS):
        await database.pool.execute(statement, {"id": scope.environment_id})


def event_of(request: Any, resource_id: object) -> Any:
    request.event.resource_id = str(resource_id)
    return request


async def test_all_of_the_environment_goes_and_nothing_else(
    server: InProcessServer, database: Database, here: EnvironmentScope
) -> None:
    there = server.credentials.add_environment()
    for scope in (here, there):
        await filled(server, database, scope)
    before = await left(database, there.environment_id)
    assert min(before.values()) > 0, before
    tasks = JobsTasksServiceStub(server.tasks_channel)
    answer = await tasks.PurgeEnvironment(
        event_of(pb.PurgeEnvironmentRequest(), here.environment_id),
        metadata=bearer(server.service_token()),
        timeout=TIMEOUT,
    )
    assert answer.deleted == sum(before.values())
    assert set((await left(database, here.environment_id)).values()) == {0}
    assert await left(database, there.environment_id) == before
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
        await tasks.PurgeEnvironment(
            event_of(pb.PurgeEnvironmentRequest(), ""),
            metadata=bearer(server.service_token()),
            timeout=TIMEOUT,
        )


async def test_the_jobs_of_a_project_go(
    server: InProcessServer, database: Database, here: EnvironmentScope
) -> None:
    there = server.credentials.add_environment()
    for scope in (here, there):
        await filled(server, database, scope)
    answer = await JobsTasksServiceStub(server.tasks_channel).PurgeProject(
        event_of(pb.PurgeProjectRequest(), here.project_id),
        metadata=bearer(server.service_token()),
        timeout=TIMEOUT,
    )
    assert answer.deleted == 6
    rows = await database.pool.execute("SELECT DISTINCT project_id FROM jobs.jobs")
    assert rows == [(there.project_id,)]


async def test_no_statement_deletes_more_than_it_is_told(
    server: InProcessServer, database: Database, here: EnvironmentScope
) -> None:
    await filled(server, database, here)
    await register(server, server.credentials.add_environment(), described("job-1"))
    for owner_id, statements in (
        (here.project_id, OF_PROJECT[:1]),
        (here.environment_id, OF_ENVIRONMENT),
        (here.project_id, OF_PROJECT[1:]),
    ):
        for statement in statements:
            sizes = []
            while rows := await database.pool.execute(
                statement, {"owner_id": owner_id, "limit": 2}
            ):
                sizes.append(len(rows))
            assert max(sizes, default=0) <= 2
    assert (await database.pool.execute("SELECT count(*) FROM jobs.job_versions"))[0][0] == 1
