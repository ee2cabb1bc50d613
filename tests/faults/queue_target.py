"""The target of the queue's campaign, as a process: `python -m tests.faults.queue_target PORT URL`.

It keeps the highest fencing token of each job in a table of its own, as whoever receives jobs
whose effects must not be had twice does, and appends a row for each effect. The first turn of an
execution waits for long before it takes effect, so that a later one may overtake it.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import grpc
from google.rpc import code_pb2, status_pb2

from kongflow.workerqueue.v1.envelope_pb2 import JobResult
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.errors import Contended, DependencyUnavailable
from services.workerqueue.tests.worker.tasks_server import Received, Refusal, TasksServer

SCHEMA = """
CREATE SCHEMA campaign;
CREATE TABLE campaign.job_fences (
    job_id uuid PRIMARY KEY, token bigint NOT NULL, is_done boolean NOT NULL DEFAULT false);
CREATE TABLE campaign.effects (job_id uuid NOT NULL, token bigint NOT NULL);
CREATE TABLE campaign.refusals (job_id uuid NOT NULL, token bigint NOT NULL, why text NOT NULL);
"""

_JOBS = RowParameters("n", job_id="uuid", token="bigint")  # nosec B106

# The rows are locked in the order of their ids, and what is decided holds until the commit.
_RAISE = f"""
INSERT INTO campaign.job_fences AS f (job_id, token)
SELECT job_id, token FROM {_JOBS.source} ORDER BY job_id
ON CONFLICT (job_id) DO UPDATE SET token = greatest(f.token, excluded.token)
RETURNING f.job_id, f.token, f.is_done
"""
_TAKE_EFFECT = f"""
WITH done AS (
    UPDATE campaign.job_fences f SET is_done = true
    FROM {_JOBS.source} WHERE f.job_id = n.job_id RETURNING f.job_id, f.token)
INSERT INTO campaign.effects (job_id, token) SELECT job_id, token FROM done
"""
_REFUSE = f"""
INSERT INTO campaign.refusals (job_id, token, why)
SELECT job_id, token, %(why)b::text FROM {_JOBS.source}
"""

_SLOW = "PerformRunExecution"
_SLOW_SECONDS = 12.0


class Receiver:
    """Carries jobs out at most once each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._answers: dict[tuple[str, int], JobResult] = {}

    async def on_call(self, method: str, jobs: Sequence[Received]) -> None:
        """Carries out the jobs of a call in one transaction."""
        if method == _SLOW and all(job.envelope.fencing_token == 1 for job in jobs):
            await asyncio.sleep(_SLOW_SECONDS)
        try:
            await self._carry_out(jobs)
        except (DependencyUnavailable, Contended) as error:
            raise Refusal(grpc.StatusCode.UNAVAILABLE, str(error)) from error

    def answer(self, job: Received) -> JobResult:
        """What became of a job."""
        return self._answers.pop(_key(job))

    async def _carry_out(self, jobs: Sequence[Received]) -> None:
        pool = self._database.pool
        rows = sorted((job.envelope.queued_job_id, job.envelope.fencing_token) for job in jobs)
        async with pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_RAISE, dict(_JOBS.bind(rows)))
            fences = {row[0]: row[1:] for row in await cursor.fetchall()}
            older = [row for row in rows if fences[row[0]][0] > row[1]]
            repeated = [row for row in rows if row not in older and fences[row[0]][1]]
            new = [row for row in rows if row not in older and row not in repeated]
            await cursor.execute(_TAKE_EFFECT, dict(_JOBS.bind(new)))
            for why, refused in (("older", older), ("repeated", repeated)):
                await cursor.execute(_REFUSE, {**_JOBS.bind(refused), "why": why})
        answers: dict[Any, int] = {
            **dict.fromkeys(older, code_pb2.ABORTED),
            **dict.fromkeys(repeated, code_pb2.ALREADY_EXISTS),
        }
        for job in jobs:
            code = answers.get((job.envelope.queued_job_id, job.envelope.fencing_token), 0)
            self._answers[_key(job)] = JobResult(
                status=status_pb2.Status(code=code) if code else None
            )


def _key(job: Received) -> tuple[str, int]:
    return str(job.envelope.queued_job_id), job.envelope.fencing_token


async def serve(port: int, url: str) -> None:
    """Serves until it is ended."""
    async with Database.connect(url, pool_size=8, application_name="target") as database:
        receiver = Receiver(database)
        server = TasksServer(answer=receiver.answer, on_call=receiver.on_call, port=port)
        await server.start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
