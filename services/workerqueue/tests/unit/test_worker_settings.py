"""Which queues a worker serves."""

from typing import Any

from kongflow_workerqueue.worker_settings import WorkerSettings

NEEDED: dict[str, Any] = {
    "database_url": "postgresql://",
    "redis_url": "redis://",
    "service_key": "x",
}


def test_the_queues_of_joined_targets_are_served_without_a_setting() -> None:
    settings = WorkerSettings(**NEEDED)
    served = settings.slots_for(["reports", "events", "default"])
    assert served == {**settings.worker_slots, "reports": settings.worker_slots["default"]}


def test_a_worker_that_is_told_its_queues_serves_no_others() -> None:
    settings = WorkerSettings(**NEEDED, worker_slots={"reports": 3})
    assert settings.slots_for(["reports", "events", "mails"]) == {"reports": 3}
