"""The runs of an environment that is deleted are deleted, whatever their state."""

from uuid import UUID

from kongflow.runs.tasks.v1 import runs_tasks_service_pb2 as pb
from kongflow.runs.tasks.v1.runs_tasks_service_pb2_grpc import RunsTasksServiceStub
from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import InProcessServer, bearer
from kongflow_runs.adapters.purges import OF_ENVIRONMENT

FILL = """
INSERT INTO runs.job_runs (
    id, job_id, version_alias, event_record_id, dispatcher_id, environment_id, organization_id,
    project_id, external_account_id, status)
SELECT gen_random_uuid(), %(id)s, 'latest', gen_random_uuid(), %(id)s, %(id)s, %(id)s, %(id)s,
       CASE WHEN n %% 2 = 0 THEN %(id)s END,
       (ARRAY['PENDING', 'EXECUTING', 'SUCCESS'])[1 + n %% 3]
FROM generate_series(1, %(rows)s) AS g(n)
"""


async def fill(database: Database, rows: int) -> UUID:
    environment_id = new_id()
    await database.pool.execute(FILL, {"id": environment_id, "rows": rows})
    return environment_id


async def left(database: Database, environment_id: UUID) -> int:
    [(rows,)] = await database.pool.execute(
        "SELECT count(*) FROM runs.job_runs WHERE environment_id = %s", [environment_id]
    )
    return int(rows)


async def test_no_statement_deletes_more_than_it_is_told(database: Database) -> None:
    gone, stays = await fill(database, 12), await fill(database, 3)
    sizes = []
    while rows := await database.pool.execute(OF_ENVIRONMENT[0], {"owner_id": gone, "limit": 5}):
        sizes.append(len(rows))
    assert sizes == [5, 5, 2]
    assert await left(database, stays) == 3


async def test_the_worker_queue_tells_of_it(server: InProcessServer, database: Database) -> None:
    gone, stays = await fill(database, 1_200), await fill(database, 3)
    request = pb.PurgeEnvironmentRequest()
    request.event.resource_id = str(gone)
    answer = await RunsTasksServiceStub(server.tasks_channel).PurgeEnvironment(
        request, metadata=bearer(server.service_token()), timeout=20
    )
    assert answer.deleted == 1_200
    assert (await left(database, gone), await left(database, stays)) == (0, 3)


async def test_the_runs_of_an_account_go_and_no_others(
    server: InProcessServer, database: Database
) -> None:
    account = await fill(database, 30)
    stays = await fill(database, 6)
    request = pb.PurgeAccountRequest()
    request.event.resource_id = str(account)
    answer = await RunsTasksServiceStub(server.tasks_channel).PurgeAccount(
        request, metadata=bearer(server.service_token()), timeout=20
    )
    assert answer.deleted == 15
    # The environment has the account's id: what is left of it are the runs of none.
    assert (await left(database, account), await left(database, stays)) == (15, 6)


async def test_what_is_counted_of_a_project_goes(
    server: InProcessServer, database: Database
) -> None:
    gone, stays = new_id(), new_id()
    await database.pool.execute(
        "INSERT INTO runs.job_counters (project_id, job_id, last_number) "
        "SELECT project_id, gen_random_uuid(), n "
        "FROM unnest(%(ids)s::uuid[]) AS p(project_id), generate_series(1, 3) AS g(n)",
        {"ids": [gone, stays]},
    )
    request = pb.PurgeProjectRequest()
    request.event.resource_id = str(gone)
    answer = await RunsTasksServiceStub(server.tasks_channel).PurgeProject(
        request, metadata=bearer(server.service_token()), timeout=20
    )
    assert answer.deleted == 3
    rows = await database.pool.execute("SELECT DISTINCT project_id FROM runs.job_counters")
    assert rows == [(stays,)]
