"""Events in bulk between the wire and the program."""

from collections.abc import Iterator, Sequence
from typing import Final

from google.rpc import status_pb2

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import InvalidField, InvalidFields
from kongflow_common.ids import id_text
from kongflow_common.loop_turns import LoopTurns
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_events.application.event_entry import SendEvent
from kongflow_events.application.send_events import SentEvent
from kongflow_events.rpc.event_mapping import STATES_TO_PROTO, to_send_event, to_tenancy

__all__ = ["check_count", "to_commands", "write_results"]

# An answer has at most 4 MiB; 10,000 results without details take less than 2 MiB.
_MAX_DETAIL_BYTES: Final = 2 * 1024 * 1024
_MAX_BARE_MESSAGE: Final = 100


def check_count(requests: Sequence[object], *, at_most: int) -> None:
    """Check how many events there are. Raises InvalidField."""
    if len(requests) > at_most:
        raise InvalidField("requests", f"has {len(requests)} items; at most {at_most} are allowed")


def to_commands(
    requests: Sequence[pb.SendEventRequest], scope: EnvironmentScope
) -> Iterator[SendEvent | InvalidFields]:
    """Read events one by one, so that no more of them are held than are worked on."""
    tenancy = to_tenancy(scope)
    for request in requests:
        try:
            yield to_send_event(request, tenancy)
        except InvalidFields as error:
            yield error


async def write_results(
    outcomes: Sequence[SentEvent],
    catalog: ErrorCatalog,
    answer: pb.SendEventsResponse | pb.SendEventStreamResponse | pb.SendCloudEventsResponse,
) -> None:
    """Write what became of each event into the answer."""
    turns = LoopTurns()
    room = _MAX_DETAIL_BYTES
    # Made where they stay: a list of them would be copied.
    results = answer.results
    for outcome in outcomes:
        if turns.is_over:
            await turns.pass_on()
        if isinstance(outcome, Exception):
            status = catalog.status_of(outcome)
            room -= status.ByteSize()
            results.add(status=status if room > 0 else _bare(status))
        else:
            result = results.add(
                event_record_id=id_text(outcome.id),
                state=STATES_TO_PROTO[outcome.state],
                is_new=outcome.is_new,
            )
            if (check := outcome.schema_check) is not None:
                result.schema_warnings.extend(check.warnings)


def _bare(status: status_pb2.Status) -> status_pb2.Status:
    return status_pb2.Status(code=status.code, message=status.message[:_MAX_BARE_MESSAGE])
