"""Which event a command is about: its record's id or the sender's."""

from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.errors import CliError

__all__ = ["one_event"]


def one_event(record_id: str | None, event_id: str | None) -> dict[str, str]:
    """The field of a request that names the event; raises CliError unless one is given."""
    match record_id, event_id:
        case str(), None:
            return {"id": record_id}
        case None, str():
            return {"event_id": event_id}
        case _:
            raise CliError("Either ID or --event-id says which event.", USAGE)
