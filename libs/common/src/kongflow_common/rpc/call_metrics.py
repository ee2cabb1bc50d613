"""Figures about the calls that a server answers, for Prometheus."""

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["CallMetrics"]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class CallMetrics:
    """Counts and times calls by method and status code."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "kongflow_rpc_calls",
            "Calls that were answered, by method and status code.",
            ("method", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "kongflow_rpc_duration_seconds",
            "How long calls took, by method.",
            ("method",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "kongflow_rpc_in_flight",
            "Calls that are under way, by listener.",
            ("listener",),
            registry=registry,
        )

    def method(self, method: str) -> "MethodMetrics":
        """The figures of one method."""
        return MethodMetrics(method, self._calls, self._seconds.labels(method))

    def count_in_flight(self, listener: str) -> "CallCount":
        """A count that is read when somebody asks for it, not with each call."""
        count = CallCount()
        self._in_flight.labels(listener).set_function(count.value)
        return count


class CallCount:
    """How many calls are under way."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0

    def value(self) -> float:
        return float(self.now)


class MethodMetrics:
    """The figures of one method; looking the labels up for each call would cost as much."""

    def __init__(self, method: str, calls: Counter, seconds: Histogram) -> None:
        self._method = method
        self._calls = calls
        self._seconds = seconds
        self._by_code: dict[grpc.StatusCode, Counter] = {}

    def record(self, code: grpc.StatusCode, seconds: float) -> None:
        """Count a call that was answered."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._calls.labels(self._method, code.name)
            self._by_code[code] = counter
        counter.inc()
        self._seconds.observe(seconds)
