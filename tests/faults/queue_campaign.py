"""`python -m tests.faults.queue_campaign`: faults in the middle of the worker queue."""

import argparse
import asyncio
import logging
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import orjson
import psycopg
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.auth.service_tokens import ServiceTokenSigner
from kongflow_common.ids import new_id
from tests.faults.chaos import carry_out
from tests.faults.queue_chaos import QueuePlan, queue_schedule
from tests.faults.queue_scene import SERVICES, QueueScene, queue_scene

logger = logging.getLogger("faults")

_CALLERS = 4
_COMMANDS_A_CALL = 25
_SLOW_IN = 50
_SLOW_COMMANDS_A_CALL = 5
_LATER_SHARE = 0.1
_CALL_SECONDS = 10.0


@dataclass(frozen=True)
class QueueFindings:
    """What the ledger and the target hold."""

    jobs: int
    completed: int
    discarded: int
    attempts_spent_on_faults: int
    with_effect: int
    effects: int
    repeats_refused: int
    older_turns_refused: int
    lapses: int
    turns: int
    suspected: int

    def problems(self, sent: int) -> list[str]:
        """What is not as it must be."""
        wrong = []
        if (self.jobs, self.completed) != (sent, sent):
            wrong.append(f"{sent} jobs: {self.jobs} are stored, {self.completed} completed")
        if self.discarded:
            wrong.append(f"{self.discarded} jobs were discarded")
        if self.attempts_spent_on_faults:
            wrong.append(f"{self.attempts_spent_on_faults} attempts were spent on faults")
        if (self.with_effect, self.effects) != (sent, sent):
            wrong.append(f"{sent} jobs had {self.effects} effects, {self.with_effect} jobs had any")
        return wrong


async def faults_in_the_queue(
    scene: QueueScene, *, jobs: int, seed: int, plan: QueuePlan, settle_seconds: float
) -> list[str]:
    """Enqueues jobs while the plan's faults happen; answers what is wrong afterwards."""
    logger.info("%d jobs within %.0f s, seed %d", jobs, plan.seconds, seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(_enqueue(scene, jobs, seed, within=plan.seconds * 0.9))
        group.create_task(carry_out(queue_schedule(scene, plan, seed)))
    ended = time.monotonic()
    findings = await _settled(scene, jobs, settle_seconds)
    logger.info("all ended %.1f s after the last fault", time.monotonic() - ended)
    cuts = sum(line.cuts for line in scene.lines.values())
    logger.info("%d cuts of %d lines", cuts, len(scene.lines))
    logger.info("starts: %s", {name: kept.starts for name, kept in scene.processes.items()})
    logger.info("%s", findings)
    return findings.problems(jobs)


async def _enqueue(scene: QueueScene, jobs: int, seed: int, *, within: float) -> None:
    """Sends commands as relays do: again and again until the server answers."""
    calls = _calls(jobs, random.Random(seed + 1))
    pause = within * _CALLERS / len(calls)
    signers = {name: ServiceTokenSigner(name, scene.keys[name]) for name in SERVICES}
    channel = grpc.aio.insecure_channel(
        scene.enqueue_address, options=[("grpc.max_reconnect_backoff_ms", 500)]
    )

    async def caller() -> None:
        while calls:
            service, commands = calls.pop()
            request = pb.EnqueueJobsRequest(commands=commands)
            while True:
                token = signers[service].token("workerqueue")
                with suppress(grpc.aio.AioRpcError):
                    await EnqueueServiceStub(channel).EnqueueJobs(
                        request,
                        timeout=_CALL_SECONDS,
                        metadata=(("authorization", f"Bearer {token}"),),
                    )
                    break
                await asyncio.sleep(0.2)
            await asyncio.sleep(pause)

    async with channel:
        await asyncio.gather(*(caller() for _ in range(_CALLERS)))


def _calls(jobs: int, chance: random.Random) -> list[tuple[str, list[pb.EnqueueCommand]]]:
    """All commands, each call those of one service, in the order of chance."""
    slow = jobs // _SLOW_IN
    calls = [
        (service, [make(chance) for _ in range(min(size, count - start))])
        for service, make, count, size in (
            ("events", _delivery, jobs - slow, _COMMANDS_A_CALL),
            ("runs", _execution, slow, _SLOW_COMMANDS_A_CALL),
        )
        for start in range(0, count, size)
    ]
    chance.shuffle(calls)
    return calls


def _delivery(chance: random.Random) -> pb.EnqueueCommand:
    command = _command("deliverEvent", {"eventRecordId": str(uuid4()), "deliveryRevision": 1})
    command.priority = chance.choice(job_options_pb2.Priority.values())
    if chance.random() < _LATER_SHARE:
        later = Timestamp()
        later.FromDatetime(datetime.now(UTC) + timedelta(seconds=chance.uniform(1, 15)))
        command.run_time.CopyFrom(later)
    return command


def _execution(_chance: random.Random) -> pb.EnqueueCommand:
    return _command("performRunExecution", {"runId": str(uuid4())})


def _command(kind: str, args: dict[str, object]) -> pb.EnqueueCommand:
    return pb.EnqueueCommand(
        outbox_id=str(new_id()),
        operation=pb.EnqueueCommand.OPERATION_ENQUEUE,
        kind=kind,
        args=orjson.dumps(args),
    )


async def _settled(scene: QueueScene, jobs: int, seconds: float) -> QueueFindings:
    deadline = time.monotonic() + seconds
    while True:
        findings = await asyncio.to_thread(_read, scene.database_url)
        if findings.completed + findings.discarded >= jobs or time.monotonic() > deadline:
            return findings
        await asyncio.sleep(0.5)


def _read(url: str) -> QueueFindings:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            """
            SELECT
                count(*),
                count(*) FILTER (WHERE state = 'completed'),
                count(*) FILTER (WHERE state = 'discarded'),
                sum(attempt) - count(*) FILTER (WHERE state = 'completed'),
                (SELECT count(DISTINCT job_id) FROM campaign.effects),
                (SELECT count(*) FROM campaign.effects),
                (SELECT count(*) FROM campaign.refusals WHERE why = 'repeated'),
                (SELECT count(*) FROM campaign.refusals WHERE why = 'older'),
                coalesce(sum(lapses), 0),
                max(turn),
                count(*) FILTER (WHERE lost_at IS NOT NULL)
            FROM workerqueue.queued_jobs
            """
        ).fetchone()
    if row is None:
        raise AssertionError("a query of counts answers a row")
    return QueueFindings(*(int(str(value)) for value in row))


async def campaign(*, jobs: int, seed: int, plan: QueuePlan, settle_seconds: float) -> list[str]:
    """Runs the campaign against a worker queue of its own."""
    async with queue_scene() as scene:
        return await faults_in_the_queue(
            scene, jobs=jobs, seed=seed, plan=plan, settle_seconds=settle_seconds
        )


def main() -> int:
    """Runs the campaign; answers 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="make faults-queue", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=150.0, help="how long the faults go on")
    parser.add_argument("--cuts", type=int, default=50, help="how often a line is cut")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--settle", type=float, default=180.0, help="seconds to finish in")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    problems = asyncio.run(
        campaign(
            jobs=options.jobs,
            seed=options.seed,
            plan=QueuePlan(seconds=options.seconds, cuts=options.cuts),
            settle_seconds=options.settle,
        )
    )
    for problem in problems:
        sys.stdout.write(f"WRONG: {problem}\n")
    sys.stdout.write(f"faults-queue: {'FAILED' if problems else 'ok'} (seed {options.seed})\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
