"""The exit codes of commands that call a service; docs/cli.md lists them."""

from collections.abc import Mapping
from typing import Final

import grpc

OTHER: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
NOT_ALLOWED: Final = 4
NO_ANSWER: Final = 5
CONFLICT: Final = 6

_BY_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.OUT_OF_RANGE: USAGE,
    grpc.StatusCode.NOT_FOUND: NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED: NOT_ALLOWED,
    grpc.StatusCode.PERMISSION_DENIED: NOT_ALLOWED,
    grpc.StatusCode.UNAVAILABLE: NO_ANSWER,
    grpc.StatusCode.DEADLINE_EXCEEDED: NO_ANSWER,
    grpc.StatusCode.RESOURCE_EXHAUSTED: NO_ANSWER,
    grpc.StatusCode.ABORTED: NO_ANSWER,
    grpc.StatusCode.ALREADY_EXISTS: CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: CONFLICT,
}


def exit_code_of(status: grpc.StatusCode) -> int:
    """Returns the exit code of a call that ended with this status."""
    return _BY_STATUS.get(status, OTHER)
