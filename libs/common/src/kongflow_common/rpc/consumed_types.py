"""Which types of integration event anybody consumes, as the worker queue says."""

import logging
import time
from collections.abc import Callable

import grpc

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.fresh_answers import FreshAnswers
from kongflow_common.rpc.channel import RemoteError, ServiceCaller

__all__ = ["ConsumedTypes"]

_logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 0.5
_PAUSE_SECONDS = 1.0
"""How long nobody asks again after there was no answer: publishing does not wait for it."""
_ALL = "all"


class ConsumedTypes:
    """An Interest that believes an answer for a few seconds.

    While there is no answer every type is wanted: what nobody consumes is then published in vain,
    and nothing is missed. `now` is a monotonic clock in seconds.
    """

    def __init__(
        self, worker_queue: ServiceCaller, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._worker_queue = worker_queue
        self._stub = EnqueueServiceStub(worker_queue.channel)
        self._now = now
        self._ask_not_before = now()
        self._answers: FreshAnswers[str, frozenset[str]] = FreshAnswers(
            self._ask, what="the consumed types", now=now
        )

    async def wanted(self, type_name: str) -> bool:
        """Whether any method consumes the type; see Interest.wanted."""
        if self._now() < self._ask_not_before:
            return True
        try:
            types = await self._answers.get(_ALL)
        except (DependencyUnavailable, RemoteError) as error:
            self._ask_not_before = self._now() + _PAUSE_SECONDS
            _logger.debug("the worker queue does not say what is consumed: %s", error)
            return True
        return types is None or type_name in types

    async def close(self) -> None:
        """Give up what is being asked."""
        await self._answers.close()

    async def _ask(self, _key: str) -> frozenset[str]:
        try:
            answer = await self._worker_queue.call(
                self._stub.GetConsumedTypes, pb.GetConsumedTypesRequest(), timeout=_TIMEOUT_SECONDS
            )
        except RemoteError as error:
            if error.code is grpc.StatusCode.UNIMPLEMENTED:
                # An older worker queue, which would not know what to do with an event.
                return frozenset()
            raise
        return frozenset(answer.types)
