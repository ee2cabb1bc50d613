"""docs/metrics.md against what processes really expose."""

import asyncio
import re
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from kongflow_common.ids import new_id
from kongflow_common.rpc.call_metrics import CallMetrics
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.ports import ClaimedJob
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, built_in_kinds
from kongflow_workerqueue.domain.states import Priority
from kongflow_workerqueue.main import open_services
from kongflow_workerqueue.worker.timed_target import CallTimes
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import TasksServer

PAGE = Path(__file__).parents[4] / "docs" / "metrics.md"
LINE = re.compile(r"\| `(kongflow_\w+)` \| (\w+) \|([^|]*)\|")
# The server's process registers this one before its services are put together.
FAST_PATH = "kongflow_workerqueue_fast_path_up"


def documented(*headings: str) -> dict[str, tuple[str, set[str]]]:
    """Each metric's type and labels, by its name, from some chapters of the page."""
    chapters = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    texts = [chapter for chapter in chapters if chapter.startswith(headings)]
    assert len(texts) == len(headings)
    return {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for text in texts
        for name, kind, labels in LINE.findall(text)
    }


def named(families: Mapping[str, Metric]) -> dict[str, str]:
    return {name: family.type for name, family in families.items()}


def families_of(text: str) -> dict[str, Metric]:
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(text)
        # When a counter began, which prometheus_client adds by itself.
        if not family.name.endswith("_created")
    }


def check(families: Mapping[str, Metric], lines: Mapping[str, tuple[str, set[str]]]) -> None:
    assert named(families) == {name: kind for name, (kind, _) in lines.items()}
    for name, family in families.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == lines[name][1], name


async def scraped(port: int) -> dict[str, Metric]:
    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text: bytes = answer.read()
            return text.decode()

    return families_of(await asyncio.to_thread(read))


def value(families: Mapping[str, Metric], name: str, **labels: str) -> float:
    """One sample; 0 when there is none yet."""
    family = name.removesuffix("_count").removesuffix("_sum")
    return next(
        (
            sample.value
            for sample in families[family].samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ),
        0.0,
    )


async def test_a_worker_exposes_what_the_page_says(
    queue: QueueUnderTest, target: TasksServer, unused_tcp_port: int
) -> None:
    settings = queue.settings(
        {"events": target.address}, metrics_listen=f"127.0.0.1:{unused_tcp_port}"
    )
    jobs = [deliver_event() for _ in range(5)]
    async with running(settings):
        await queue.enqueue(jobs)
        await eventually(lambda: queue.all_completed(5))
        families = await scraped(unused_tcp_port)
    check(families, documented("A worker"))
    delays = "kongflow_workerqueue_start_delay_seconds"
    assert value(families, f"{delays}_count", kind="deliverEvent") == 5
    assert 0 < value(families, f"{delays}_sum", kind="deliverEvent") < 60
    calls = value(families, "kongflow_workerqueue_call_seconds_count", kind="deliverEvent")
    assert 1 <= calls <= 5
    outcomes = "kongflow_workerqueue_outcomes_total"
    assert value(families, outcomes, kind="deliverEvent", outcome="completed") == 5
    assert value(families, "kongflow_workerqueue_lease_held") == 1
    assert value(families, "kongflow_workerqueue_leases_total") == 1
    assert value(families, "kongflow_workerqueue_target_away_seconds", target="events") == 0


async def test_the_server_exposes_what_the_page_says(queue: QueueUnderTest) -> None:
    registry = CollectorRegistry()
    CallMetrics(registry)
    catalogue = KindCatalogue(built_in_kinds())
    async with open_services(
        queue.database, queue.window, catalogue, window_cap=10, registry=registry
    ):
        families = families_of(generate_latest(registry).decode())
    lines = documented("Every service", "The worker queue's server")
    assert FAST_PATH in lines
    check(families, {name: line for name, line in lines.items() if name != FAST_PATH})


def test_what_was_waited_for_is_no_less_than_nothing() -> None:
    """A clock that was set back shows no negative delay."""
    registry = CollectorRegistry()
    times = CallTimes(registry)
    job = ClaimedJob(
        *(new_id(), 1, "k", b"{}", "q", Priority.LOW, 0, 1, 0, None, None),
        waited=timedelta(seconds=-3),
    )
    times.note_begin("k", [job])
    families = families_of(generate_latest(registry).decode())
    assert value(families, "kongflow_workerqueue_start_delay_seconds_sum", kind="k") == 0
