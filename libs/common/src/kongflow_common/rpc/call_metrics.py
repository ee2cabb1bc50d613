"""Figures about the calls that a server answers, for Prometheus.

Counted in plain lists and made into metrics when somebody asks: a Histogram and a Counter of
prometheus_client take a lock each with every call, which costs several times as much.
"""

from bisect import bisect_left
from collections.abc import Iterable

import grpc
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

__all__ = ["CallCount", "CallMetrics", "MethodMetrics"]

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BOUND_LABELS = (*(repr(bound) for bound in _BOUNDS), "+Inf")


class CallCount:
    """How many calls are under way."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0


class MethodMetrics:
    """The figures of one method."""

    __slots__ = ("by_code", "in_bucket", "seconds")

    def __init__(self) -> None:
        self.by_code: dict[grpc.StatusCode, int] = {}
        self.in_bucket = [0] * len(_BOUND_LABELS)
        self.seconds = 0.0

    def record(self, code: grpc.StatusCode, seconds: float) -> None:
        """Count a call that was answered."""
        self.by_code[code] = self.by_code.get(code, 0) + 1
        self.in_bucket[bisect_left(_BOUNDS, seconds)] += 1
        self.seconds += seconds


class CallMetrics(Collector):
    """Counts and times calls by method and status code."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._methods: dict[str, MethodMetrics] = {}
        self._in_flight: dict[str, CallCount] = {}
        registry.register(self)

    def method(self, method: str) -> MethodMetrics:
        """The figures of one method."""
        return self._methods.setdefault(method, MethodMetrics())

    def count_in_flight(self, listener: str) -> CallCount:
        """The calls under way at one listener."""
        return self._in_flight.setdefault(listener, CallCount())

    def collect(self) -> Iterable[Metric]:
        """The figures as they stand; asked for from another thread."""
        calls = CounterMetricFamily(
            "kongflow_rpc_calls",
            "Calls that were answered, by method and status code.",
            labels=("method", "code"),
        )
        durations = HistogramMetricFamily(
            "kongflow_rpc_duration_seconds", "How long calls took.", labels=("method",)
        )
        in_flight = GaugeMetricFamily(
            "kongflow_rpc_in_flight", "Calls that are under way.", labels=("listener",)
        )
        for method, figures in list(self._methods.items()):
            for code, count in list(figures.by_code.items()):
                calls.add_metric((method, code.name), count)
            durations.add_metric((method,), _cumulated(figures.in_bucket), figures.seconds)
        for listener, under_way in list(self._in_flight.items()):
            in_flight.add_metric((listener,), under_way.now)
        return (calls, durations, in_flight)


def _cumulated(in_bucket: list[int]) -> list[tuple[str, float]]:
    total = 0
    buckets = []
    for label, count in zip(_BOUND_LABELS, list(in_bucket), strict=True):
        total += count
        buckets.append((label, float(total)))
    return buckets
