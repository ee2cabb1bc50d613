"""Waits for an index, and shows what became of it."""

import time

from kongflow.endpoints.v1 import endpoints_service_pb2
from kongflow.endpoints.v1.endpoint_pb2 import EndpointIndex
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow_cli.client.exit_codes import CONFLICT, NO_ANSWER
from kongflow_cli.client.session import Session
from kongflow_cli.errors import CliError
from kongflow_cli.output.cells import Cell, Column, time_of, word

INDEX_FAILED = CONFLICT
"""The exit code for an index that failed, or some of whose items did."""

_LONGEST_SECONDS = 120.0
_PAUSE_SECONDS = 0.1
_ENDED = frozenset({EndpointIndex.STATE_SUCCESS, EndpointIndex.STATE_FAILURE})


def wait_for_index(session: Session, index: EndpointIndex) -> EndpointIndex:
    """The index once it has ended; raises CliError when that takes too long."""
    stub = EndpointsServiceStub(session.channel)
    deadline = time.monotonic() + _LONGEST_SECONDS
    while index.state not in _ENDED:
        if time.monotonic() > deadline:
            raise CliError(
                f"The index {index.id} has not ended within {_LONGEST_SECONDS:.0f} s; "
                "`kongflow endpoints indexes` shows it.",
                NO_ANSWER,
            )
        time.sleep(_PAUSE_SECONDS)
        index = session.call(
            stub.GetEndpointIndex, endpoints_service_pb2.GetEndpointIndexRequest(id=index.id)
        ).endpoint_index
    return index


def _found(index: EndpointIndex) -> Cell:
    if not index.HasField("statistics"):
        return None
    counts = index.statistics
    words = {
        "jobs": counts.jobs,
        "disabled": counts.disabled_jobs,
        "failed": counts.failed,
        "kept for later": counts.deferred,
    }
    return ", ".join(f"{count} {name}" for name, count in words.items() if count or name == "jobs")


def _failed(index: EndpointIndex) -> Cell:
    return "\n".join(f"{item.key}: {item.error_message}" for item in index.failed_items)


INDEX_DETAILS: list[Column[EndpointIndex]] = [
    Column("Index", lambda index: index.id),
    Column("State", lambda index: word(EndpointIndex.State.Name, index.state, "STATE_")),
    Column("Found", _found),
    Column("Failed", _failed),
    Column("Error", lambda index: index.error.message),
    Column("Ended", lambda index: time_of(index, "update_time")),
]
