"""A call as it arrives."""

from collections.abc import Iterable
from time import perf_counter
from typing import Any, cast

import grpc

from kongflow_common.auth.authenticator import ENVIRONMENT_METADATA
from kongflow_common.auth.principals import Principal
from kongflow_common.tracing import new_trace, parse_traceparent

__all__ = ["ArrivedCall"]

# Any: grpc hands requests and answers over as whatever the serializers make of them.
_Context = grpc.aio.ServicerContext[Any, Any]


class ArrivedCall:
    """What a call says of itself, and what becomes known of it on its way."""

    __slots__ = ("authorization", "began", "environment_id", "principal", "trace")

    def __init__(self, context: _Context) -> None:
        self.began = perf_counter()
        self.principal: Principal | None = None
        self.authorization: str | None = None
        self.environment_id: str | None = None
        traceparent = ""
        # Names that do not end in -bin have texts for values.
        metadata = cast("Iterable[tuple[str, str]]", context.invocation_metadata() or ())
        for name, value in metadata:
            if name == "authorization":
                self.authorization = value
            elif name == "traceparent":
                traceparent = value
            elif name == ENVIRONMENT_METADATA:
                self.environment_id = value
        self.trace = parse_traceparent(traceparent) or new_trace()
