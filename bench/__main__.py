"""`python -m bench`: measures the system that runs in the state folder and prints a table."""

import argparse
import asyncio
import json
import statistics
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from bench.bulk import CALLERS as BULK_CALLERS
from bench.bulk import PAYLOADS, bulk_eps
from bench.end_to_end import EndToEnd, end_to_end
from bench.latency import Latency, latency_at
from bench.program import served_program
from bench.reference import beside_reference
from bench.runs import index_seconds, register, runs_per_second
from bench.send_event import send_for
from bench.startup import ready_warm_seconds
from bench.system import (
    System,
    put_dispatchers,
    read_system,
    resident_megabytes,
    state_dir_from_environment,
)

ROUNDS = 3
SEND_SECONDS = 4.0
CALLERS = (1, 16, 64)
RATES = (25, 100)
SERVERS = ("postgres", "valkey")


class Report:
    """Collects medians and spreads, for the table and for bench.json."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.table = Table("figure", "median", "spread", title="KongFlow bench")

    def add(self, label: str, rounds: Sequence[float], digits: int = 0) -> float:
        """Adds a figure of several rounds; answers its median."""
        median = statistics.median(rounds)
        spread = f"{min(rounds):,.{digits}f} - {max(rounds):,.{digits}f}" if len(rounds) > 1 else ""
        self.table.add_row(label, f"{median:,.{digits}f}", spread)
        return round(median, 3)


async def measure_load(system: System, report: Report, rounds: int) -> None:
    """Figures (a) to (e)."""
    name = await put_dispatchers(system)
    await send_for(system, name=name, callers=16, seconds=2.0)  # warms caches, plans, channels
    references: list[float] = []
    sends: dict[int, list[float]] = {callers: [] for callers in CALLERS}
    roads: list[EndToEnd] = []
    latencies: dict[int, list[Latency]] = {rate: [] for rate in RATES}
    for _ in range(rounds):
        for rate in RATES:
            latencies[rate].append(await latency_at(system, name, rate))
        road, reference = await beside_reference(
            system.database_url, lambda: end_to_end(system, name)
        )
        roads.append(road)
        references.append(reference)
        for callers in CALLERS:
            # Its events match no dispatcher: the figure is about accepting them.
            rps = await send_for(system, name="bench.none", callers=callers, seconds=SEND_SECONDS)
            sends[callers].append(rps)
    values = report.values
    values["reference_tps"] = report.add("reference: transactions/s, 16 callers", references)
    values["send_event_rps"] = {
        str(callers): report.add(f"SendEvent/s, {callers} callers", sends[callers])
        for callers in CALLERS
    }
    values["end_to_end_eps"] = report.add(
        "end to end: events/s, 10,000 from 64 callers", [road.events_per_second for road in roads]
    )
    ratio = report.add(
        "end to end / reference",
        [road.events_per_second / tps for road, tps in zip(roads, references, strict=True)],
        2,
    )
    values["end_to_end_ratio"] = ratio
    values["latency_ms"] = {
        str(rate): {
            "p50": report.add(f"latency at {rate}/s: p50 ms", [x.p50 for x in latencies[rate]], 1),
            "p99": report.add(f"latency at {rate}/s: p99 ms", [x.p99 for x in latencies[rate]], 1),
        }
        for rate in RATES
    }
    add_cpu(report, roads)


async def measure_bulk(system: System, report: Report, rounds: int) -> None:
    """Figure (j)."""
    await put_dispatchers(system)
    await bulk_eps(system, PAYLOADS["40 bytes"], 1)  # warms caches, plans, channels
    references: list[float] = []
    rates: dict[tuple[str, int], list[float]] = {
        (size, callers): [] for size in PAYLOADS for callers in BULK_CALLERS
    }

    async def measure_all() -> None:
        for (size, callers), of_rounds in rates.items():
            of_rounds.append(await bulk_eps(system, PAYLOADS[size], callers))

    for _ in range(rounds):
        _, reference = await beside_reference(system.database_url, measure_all)
        references.append(reference)
    figures: dict[str, dict[str, float]] = {}
    for (size, callers), of_rounds in rates.items():
        label = f"in bulk, {size}, {callers} callers"
        figures[f"{size}, {callers}"] = {
            "eps": report.add(f"{label}: events/s", of_rounds),
            "ratio": report.add(
                f"{label} / reference",
                [eps / tps for eps, tps in zip(of_rounds, references, strict=True)],
                2,
            ),
        }
    report.values["bulk"] = figures


async def measure_runs(system: System, report: Report, rounds: int) -> None:
    """Figures (h) and (i)."""
    references: list[float] = []
    runs: list[float] = []
    async with served_program() as program:
        await register(system, program)
        await runs_per_second(system)  # warms caches, plans, channels
        for _ in range(rounds):
            rate, reference = await beside_reference(
                system.database_url, lambda: runs_per_second(system)
            )
            runs.append(rate)
            references.append(reference)
        indexes = [
            await index_seconds(system, program, f"bench.index.{uuid4().hex}")
            for _ in range(rounds)
        ]
    report.values["runs_eps"] = report.add("finished runs/s, 2,000 from 64 callers", runs)
    report.values["runs_ratio"] = report.add(
        "finished runs / reference",
        [eps / tps for eps, tps in zip(runs, references, strict=True)],
        2,
    )
    report.values["index_1000_jobs_s"] = report.add("index of 1,000 new jobs: seconds", indexes, 1)


def add_cpu(report: Report, roads: Sequence[EndToEnd]) -> None:
    """Figure (e): each process and their sum."""
    per_process = {
        process: report.add(f"CPU ms per event: {process}", [r.cpu_ms[process] for r in roads], 3)
        for process in roads[0].cpu_ms
    }
    per_process["total"] = report.add(
        "CPU ms per event: all", [sum(road.cpu_ms.values()) for road in roads], 3
    )
    report.values["cpu_ms_per_event"] = per_process


def add_memory(report: Report, system: System) -> None:
    """Figure (g): our processes; the two servers are shown but not counted."""
    by_process = resident_megabytes(system)
    for process, megabytes in by_process.items():
        report.add(f"resident MB: {process}", [megabytes])
    ours = sum(value for process, value in by_process.items() if process not in SERVERS)
    report.values["rss_mb"] = report.add("resident MB: all our processes", [ours])


def main() -> None:
    """Runs the whole bench and writes bench.json into the state folder."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--no-startup", action="store_true", help="leave out the second system")
    options = parser.parse_args()
    system = read_system(state_dir_from_environment())
    report = Report()
    asyncio.run(measure_load(system, report, options.rounds))
    asyncio.run(measure_bulk(system, report, options.rounds))
    asyncio.run(measure_runs(system, report, options.rounds))
    add_memory(report, system)
    if not options.no_startup:
        report.values["ready_warm_s"] = report.add(
            "second start: seconds to ready", [ready_warm_seconds()], 1
        )
    Console().print(report.table)
    target = system.state_dir / "bench.json"
    target.write_text(json.dumps(report.values, indent=2) + "\n")
    Console().print(f"written: {target.name}")


if __name__ == "__main__":
    main()
