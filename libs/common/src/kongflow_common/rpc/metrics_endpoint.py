"""Serves a process's figures for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, start_http_server

from kongflow_common.settings import Misconfigured

__all__ = ["serve_metrics"]


def serve_metrics(listen: str, registry: CollectorRegistry) -> Callable[[], None]:
    """Serves /metrics at `host:port` from a thread; returns what ends it.

    Raises Misconfigured when nothing can listen there.
    """
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), addr=host.strip("[]"), registry=registry)
    except (OSError, OverflowError, ValueError) as error:
        raise Misconfigured(
            f"KONGFLOW_METRICS_LISTEN={listen}: nothing can listen there: {error}"
        ) from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close
