"""Failed attempts as the ledger's `errors` column holds them.

[{"attempt": 1, "at": "2026-01-31T12:00:00+00:00",
  "status": {"code": 13, "message": "...", "details": "<base64 of google.rpc.Status>"}}]
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kongflow_workerqueue.application.ports import AttemptError
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode

MAX_MESSAGE_LENGTH = 4_096
MAX_DETAILS_BYTES = 16_384


def dump_status(status: CallStatus) -> dict[str, object]:
    """Write a status, of bounded size: a target may answer with whatever it likes."""
    # jsonb holds no NUL.
    message = status.message[:MAX_MESSAGE_LENGTH].replace("\0", "\N{REPLACEMENT CHARACTER}")
    dumped: dict[str, object] = {"code": int(status.code), "message": message}
    if 0 < len(status.details) <= MAX_DETAILS_BYTES:
        dumped["details"] = b64encode(status.details).decode()
    return dumped


def read_errors(errors: Sequence[Mapping[str, Any]] | None) -> tuple[AttemptError, ...]:
    """Read the column."""
    return tuple(
        AttemptError(
            attempt=error["attempt"],
            at=datetime.fromisoformat(error["at"]),
            status=CallStatus(
                code=StatusCode.read(error["status"]["code"]),
                message=error["status"]["message"],
                details=b64decode(error["status"].get("details", "")),
            ),
        )
        for error in errors or ()
    )
