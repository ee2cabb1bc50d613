"""The campaigns: faults under load, and an outage of every target."""

import asyncio
import logging
import time

from tests.faults.chaos import Plan, carry_out, hold_down, schedule
from tests.faults.load import Sent, distinct, put_dispatcher, send
from tests.faults.verify import wait_for_runs
from tests.local_system import LocalSystem

logger = logging.getLogger("faults")

TARGETS = ("events", "runs")


async def faults_under_load(
    system: LocalSystem, *, events: int, seed: int, plan: Plan, settle_seconds: float
) -> list[str]:
    """Sends events while the plan's faults happen; answers what is wrong afterwards."""
    await put_dispatcher(system)
    sent = Sent()
    started = time.monotonic()
    logger.info("%d events within %.0f s, seed %d", events, plan.seconds, seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(send(system, events, sent=sent, rate=events / plan.seconds))
        group.create_task(carry_out(schedule(system, plan, seed)))
    logger.info("all sent after %.1f s", time.monotonic() - started)
    return _judge(system, sent, events, settle_seconds)


async def outage_of_every_target(
    system: LocalSystem, *, events: int, outage_seconds: float, settle_seconds: float
) -> list[str]:
    """Takes every target down while jobs fall due; answers what is wrong afterwards."""
    await put_dispatcher(system)
    sent = Sent()
    # They fall due when the targets are down.
    await send(system, events, sent=sent, rate=1_000, after_seconds=5)
    logger.info("%d events sent; %s are down for %.0f s", events, TARGETS, outage_seconds)
    await hold_down(system, TARGETS, outage_seconds)
    back = time.monotonic()
    problems = _judge(system, sent, events, settle_seconds)
    logger.info("all done %.1f s after the targets' last kill", time.monotonic() - back)
    return problems


def _judge(system: LocalSystem, sent: Sent, events: int, settle_seconds: float) -> list[str]:
    findings = wait_for_runs(system, sent.record_ids, seconds=settle_seconds)
    logger.info("%s", findings)
    problems = findings.problems(events)
    if sent.refused:
        problems.append(f"{len(sent.refused)} calls were refused, the first: {sent.refused[0]}")
    if distinct(sent.record_ids) != events:
        problems.append(f"{events} events got {distinct(sent.record_ids)} records")
    return problems
