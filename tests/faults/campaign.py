"""The campaigns: faults under load, and an outage of every target."""

import asyncio
import logging
import time

from tests.faults.chaos import Plan, carry_out, hold_down, schedule
from tests.faults.load import Sent, distinct, send
from tests.faults.program import CountingProgram
from tests.faults.verify import wait_for_runs
from tests.local_system import LocalSystem

logger = logging.getLogger("faults")

TARGETS = ("events", "jobs", "endpoints", "runs")


async def faults_under_load(
    system: LocalSystem,
    program: CountingProgram,
    *,
    events: int,
    seed: int,
    plan: Plan,
    settle_seconds: float,
) -> list[str]:
    """Sends events while the plan's faults happen; answers what is wrong afterwards."""
    sent = Sent()
    started = time.monotonic()
    logger.info("%d events within %.0f s, seed %d", events, plan.seconds, seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(send(system, events, sent=sent, rate=events / plan.seconds))
        group.create_task(carry_out(schedule(system, plan, seed)))
    logger.info("all sent after %.1f s", time.monotonic() - started)
    return await _judge(system, program, sent, events, settle_seconds)


async def outage_of_every_target(
    system: LocalSystem,
    program: CountingProgram,
    *,
    events: int,
    outage_seconds: float,
    settle_seconds: float,
) -> list[str]:
    """Takes every target down while jobs fall due; answers what is wrong afterwards."""
    sent = Sent()
    # They fall due when the targets are down.
    await send(system, events, sent=sent, rate=1_000, after_seconds=5)
    logger.info("%d events sent; %s are down for %.0f s", events, TARGETS, outage_seconds)
    await hold_down(system, TARGETS, outage_seconds)
    back = time.monotonic()
    problems = await _judge(system, program, sent, events, settle_seconds)
    logger.info("all done %.1f s after the targets' last kill", time.monotonic() - back)
    return problems


async def _judge(
    system: LocalSystem, program: CountingProgram, sent: Sent, events: int, settle_seconds: float
) -> list[str]:
    findings = await asyncio.to_thread(
        wait_for_runs, system, sent.record_ids, seconds=settle_seconds
    )
    logger.info("%s", findings)
    problems = findings.problems(events)
    if sent.refused:
        problems.append(f"{len(sent.refused)} calls were refused, the first: {sent.refused[0]}")
    if distinct(sent.record_ids) != events:
        problems.append(f"{events} events got {distinct(sent.record_ids)} records")
    effects = [program.effects[event_id] for event_id in set(sent.event_ids)]
    logger.info("side effects: %d for %d events", sum(effects), len(effects))
    if missing := effects.count(0):
        problems.append(f"{missing} events had no side effect")
    return problems
