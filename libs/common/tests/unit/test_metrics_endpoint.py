"""Where a process serves its figures."""

import socket
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from kongflow_common.rpc.metrics_endpoint import serve_metrics
from kongflow_common.settings import Misconfigured


def test_figures_are_served_until_it_is_closed(unused_tcp_port: int) -> None:
    registry = CollectorRegistry()
    Counter("kongflow_seen", "What was seen.", registry=registry).inc()
    close = serve_metrics(f"127.0.0.1:{unused_tcp_port}", registry)
    try:
        url = f"http://127.0.0.1:{unused_tcp_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert b"kongflow_seen_total 1.0" in answer.read()
    finally:
        close()
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        pass


@pytest.mark.parametrize("listen", ["nonsense", "127.0.0.1:", "127.0.0.1:99999", "no host:9464"])
def test_what_is_no_address_is_told_by_the_settings_name(listen: str) -> None:
    with pytest.raises(Misconfigured, match="KONGFLOW_METRICS_LISTEN"):
        serve_metrics(listen, CollectorRegistry())


def test_an_address_that_is_taken_is_told_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(Misconfigured, match="in use"):
            serve_metrics(listen, CollectorRegistry())
