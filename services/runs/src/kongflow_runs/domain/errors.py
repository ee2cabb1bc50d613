"""What can go wrong with runs, as facts; rpc/error_catalog.py says what they mean on the wire."""

from uuid import UUID

from kongflow_common.errors import Contended, NotFound, PreconditionFailed


class RunNotFound(NotFound):
    """The run was not found."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(run_id=run_id)


class RunPlaceTaken(PreconditionFailed):
    """The runs of this event record belong to another environment than the call names."""


class OutdatedTurn(Contended):
    """A newer turn of this queued job has begun; this one counts no more."""
