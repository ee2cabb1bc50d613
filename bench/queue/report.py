"""Medians of the rounds, ratios within each round, and the bars: a table and bench-queue.json."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from bench.queue.measures import Figures

OURS, OURS_SINGLE = "kongflow", "kongflow-single"
RECOMMENDED = ("arq", "procrastinate", "pgqueuer", "graphile-worker", "bullmq")

LABELS = {
    "enqueue_1": ("enqueue/s, 1 a request, 1 caller", 0),
    "enqueue_1_16_callers": ("enqueue/s, 1 a request, 16 callers", 0),
    "enqueue_100": ("enqueue/s, 100 a request, 1 caller", 0),
    "enqueue_100_4_callers": ("enqueue/s, 100 a request, 4 callers", 0),
    "drain": ("drained jobs/s, one worker process", 0),
    "latency_p50_ms": ("latency at 25/s: p50 ms", 1),
    "latency_p99_ms": ("latency at 25/s: p99 ms", 1),
    "idle_cpu_percent": ("idle CPU: worker and stores, % of a core", 1),
}


@dataclass
class Report:
    """What each contender showed in each round, in the order of the rounds."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    system_idle: list[float] = field(default_factory=list)

    def add(self, contender: str, figures: Figures) -> None:
        """Adds what a round showed."""
        rounds = self.figures.setdefault(contender, {})
        for figure, value in figures.items():
            rounds.setdefault(figure, []).append(value)

    def table(self) -> Table:
        """A row for each figure, a column for each contender: median and spread."""
        table = Table("figure", *self.figures, title="KongFlow queue bench")
        for figure, (label, digits) in LABELS.items():
            cells = [_cell(rounds.get(figure), digits) for rounds in self.figures.values()]
            table.add_row(label, *cells)
        return table

    def bars(self) -> "list[Bar]":
        """What is wanted, and what this run reached."""
        bars = [
            self._faster("drain", OURS, peer, 1.0)
            for peer in (*RECOMMENDED, "graphile-worker-tuned")
        ]
        bars.append(self._faster("drain", OURS, "bullmq", 3.0, stretch=True))
        bars += [self._faster("drain", OURS_SINGLE, peer, 1.0) for peer in ("arq", "procrastinate")]
        bars += [
            self._faster(figure, OURS, "graphile-worker", 5.0)
            for figure in ("enqueue_100", "enqueue_100_4_callers")
        ]
        bars.append(self._against_single_calls("graphile-worker", 5.0))
        bars.append(self._near("latency_p50_ms", "graphile-worker", 4.0))
        if self.system_idle:
            bars.append(
                Bar(
                    "idle CPU of the whole system, %", statistics.median(self.system_idle), most=3.0
                )
            )
        return [bar for bar in bars if bar is not None]

    def document(self) -> dict[str, Any]:
        """All of it, for bench-queue.json."""
        return {
            "figures": {
                contender: {
                    figure: {"median": statistics.median(rounds), "rounds": rounds}
                    for figure, rounds in figures.items()
                }
                for contender, figures in self.figures.items()
            },
            "system_idle_cpu_percent": self.system_idle,
            "bars": [
                {"bar": bar.name, "wanted": bar.wanted, "reached": bar.reached, "ok": bar.ok}
                for bar in self.bars()
            ],
        }

    def _faster(
        self, figure: str, ours: str, peer: str, times: float, *, stretch: bool = False
    ) -> "Bar | None":
        ratio = self._of_rounds(figure, ours, peer, lambda own, other: own / other)
        name = f"{LABELS[figure][0]}: {ours} / {peer}{' (stretch)' if stretch else ''}"
        return None if ratio is None else Bar(name, ratio, least=times)

    def _against_single_calls(self, peer: str, times: float) -> "Bar | None":
        """Our batches against the peer's call for one job."""
        own = self.figures.get(OURS, {}).get("enqueue_100")
        other = self.figures.get(peer, {}).get("enqueue_1")
        if not own or not other:
            return None
        ratio = statistics.median(a / b for a, b in zip(own, other, strict=True))
        return Bar(f"enqueue/s, 1 caller: {OURS}, 100 a request / {peer}, 1", ratio, least=times)

    def _near(self, figure: str, peer: str, more: float) -> "Bar | None":
        distance = self._of_rounds(figure, OURS, peer, lambda own, other: own - other)
        name = f"{LABELS[figure][0]}: {OURS} - {peer}"
        return None if distance is None else Bar(name, distance, most=more)

    def _of_rounds(
        self, figure: str, ours: str, peer: str, compare: Callable[[float, float], float]
    ) -> float | None:
        """The median of comparisons within one round each: the machine differs between rounds."""
        own = self.figures.get(ours, {}).get(figure)
        other = self.figures.get(peer, {}).get(figure)
        if not own or not other:
            return None
        return statistics.median(compare(*pair) for pair in zip(own, other, strict=True))


@dataclass(frozen=True)
class Bar:
    """A figure, and what it must at least or at most be."""

    name: str
    reached: float
    least: float | None = None
    most: float | None = None

    @property
    def wanted(self) -> str:
        """In words."""
        return f"at least {self.least:g}" if self.most is None else f"at most {self.most:g}"

    @property
    def ok(self) -> bool:
        """Whether it is."""
        return (self.least is None or self.reached >= self.least) and (
            self.most is None or self.reached <= self.most
        )


def bars_table(bars: Sequence[Bar]) -> Table:
    """A row for each bar."""
    table = Table("bar", "wanted", "reached", "")
    for bar in bars:
        table.add_row(bar.name, bar.wanted, f"{bar.reached:.2f}", "yes" if bar.ok else "NO")
    return table


def _cell(rounds: Sequence[float] | None, digits: int) -> str:
    if not rounds:
        return ""
    median = f"{statistics.median(rounds):,.{digits}f}"
    if len(rounds) == 1:
        return median
    return f"{median}\n{min(rounds):,.{digits}f}-{max(rounds):,.{digits}f}"
