"""The queue's campaign in a short form."""

import pytest

from tests.faults.queue_campaign import campaign
from tests.faults.queue_chaos import QueuePlan

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(240)]


async def test_faults_in_the_queue_lose_nothing_and_do_nothing_twice() -> None:
    plan = QueuePlan(
        seconds=25,
        cuts=10,
        worker_kills=1,
        worker_stops=1,
        server_kills=1,
        target_kills=1,
        postgres_restarts=1,
        postgres_kills=0,
        redis_restarts=1,
        redis_flushes=1,
    )
    assert not await campaign(jobs=1_000, seed=7, plan=plan, settle_seconds=90)
