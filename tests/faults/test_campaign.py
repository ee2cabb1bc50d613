"""The campaigns in a short form."""

import pytest

from tests.faults.campaign import faults_under_load, outage_of_every_target
from tests.faults.chaos import Plan
from tests.faults.program import counting_program
from tests.local_system import local_system

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(400)]


async def test_faults_and_an_outage_lose_nothing() -> None:
    plan = Plan(
        seconds=20,
        worker_kills=2,
        events_kills=1,
        runs_kills=1,
        jobs_kills=1,
        endpoints_kills=1,
        valkey_flushes=1,
        valkey_stop_seconds=4,
    )
    with local_system() as system, counting_program(system) as program:
        assert not await faults_under_load(
            system, program, events=400, seed=7, plan=plan, settle_seconds=90
        )
        assert not await outage_of_every_target(
            system, program, events=50, outage_seconds=12, settle_seconds=90
        )
