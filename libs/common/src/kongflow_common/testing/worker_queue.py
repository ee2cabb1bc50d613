"""A worker queue that only remembers what it was given."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import orjson

from kongflow_common.ids import new_id
from kongflow_common.outbox.enqueuer import EnqueueOutcome, Refusal
from kongflow_common.outbox.message import Operation, OutboxMessage
from kongflow_common.testing.polling import eventually

__all__ = ["RecordingWorkerQueue"]


class RecordingWorkerQueue:
    """An Enqueuer for tests: records messages, asserts on them, fails when told to.

    As the real one does it recognises a message that is sent again, by its id.

        queue = RecordingWorkerQueue()
        async with OutboxRelay(database, "events", queue, instance="test"):
            ...
            await queue.wait_for("deliverEvent")
        queue.assert_enqueued("deliverEvent", id=str(record.id))
    """

    def __init__(self) -> None:
        self.messages: list[OutboxMessage] = []
        """What was taken, in order, each message once."""
        self.calls: list[list[OutboxMessage]] = []
        """What each call brought, repeats and failed calls included."""
        self._outcomes: dict[UUID, EnqueueOutcome] = {}
        self._failure: Exception | None = None
        self._failures_left: int | None = None
        self._after_taking = False
        self._refusals: dict[str, Refusal] = {}
        self._poisoned: dict[str, Exception] = {}
        self._open = asyncio.Event()
        self._open.set()

    async def enqueue(self, messages: Sequence[OutboxMessage]) -> list[EnqueueOutcome]:
        """Take messages, as the port says."""
        self.calls.append(list(messages))
        await self._open.wait()
        failure = self._next_failure()
        if failure is not None and not self._after_taking:
            raise failure
        for message in messages:
            if message.kind in self._poisoned:
                raise self._poisoned[message.kind]
        outcomes = [self._take(message) for message in messages]
        if failure is not None:
            raise failure
        return outcomes

    def fail_with(
        self, error: Exception, *, times: int | None = None, after_taking: bool = False
    ) -> None:
        """Have calls raise: the next `times`, or all until `recover`.

        With `after_taking` the messages are taken and only the answer is lost.
        """
        self._failure = error
        self._failures_left = times
        self._after_taking = after_taking

    def recover(self) -> None:
        """Take messages again."""
        self._failure = None
        self._poisoned.clear()

    def refuse(self, kind: str, refusal: Refusal | None = None) -> None:
        """Refuse messages of `kind` for good."""
        self._refusals[kind] = refusal or Refusal("INVALID_ARGUMENT", "REFUSED", "as told")

    def poison(self, kind: str, error: Exception) -> None:
        """Have each call that brings a message of `kind` raise `error`."""
        self._poisoned[kind] = error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Answer no call while the block is open."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def of_kind(self, kind: str) -> list[OutboxMessage]:
        """The messages of `kind` that were taken."""
        return [message for message in self.messages if message.kind == kind]

    def assert_enqueued(self, kind: str, **args: object) -> OutboxMessage:
        """Assert that a job of `kind` was enqueued with these arguments among its own.

        Arguments have the names and values of proto JSON. Returns the first that fits.
        """
        for message in self.of_kind(kind):
            if message.operation is Operation.ENQUEUE and _holds(message, args):
                return message
        raise AssertionError(f"no {kind} with {args} among {self._described()}")

    def assert_removed(self, kind: str, job_key: str) -> OutboxMessage:
        """Assert that the job with `job_key` was removed."""
        for message in self.of_kind(kind):
            if message.operation is Operation.REMOVE and message.job_key == job_key:
                return message
        raise AssertionError(f"no removal of {kind} {job_key} among {self._described()}")

    def assert_not_enqueued(self, kind: str, **args: object) -> None:
        """Assert the opposite of `assert_enqueued`."""
        for message in self.of_kind(kind):
            if message.operation is Operation.ENQUEUE and _holds(message, args):
                raise AssertionError(f"{kind} was enqueued with {message.args!r}")

    async def wait_for(
        self, kind: str, count: int = 1, deadline: float = 10.0
    ) -> list[OutboxMessage]:
        """Wait until `count` messages of `kind` were taken; raises AssertionError."""

        def enough() -> list[OutboxMessage]:
            found = self.of_kind(kind)
            if len(found) < count:
                raise AssertionError(f"{len(found)} of {count} {kind}: {self._described()}")
            return found

        return await eventually(enough, deadline)

    def _next_failure(self) -> Exception | None:
        if self._failure is None:
            return None
        failure = self._failure
        if self._failures_left is not None:
            self._failures_left -= 1
            if self._failures_left == 0:
                self._failure = None
        return failure

    def _take(self, message: OutboxMessage) -> EnqueueOutcome:
        known = self._outcomes.get(message.id)
        if known is not None:
            return known
        if message.kind in self._refusals:
            outcome = EnqueueOutcome(refusal=self._refusals[message.kind])
        else:
            outcome = EnqueueOutcome(queued_job_id=str(new_id()))
            self.messages.append(message)
        self._outcomes[message.id] = outcome
        return outcome

    def _described(self) -> list[str]:
        return [
            f"{message.operation.value} {message.kind} {message.args.decode()}"
            for message in self.messages
        ]


def _holds(message: OutboxMessage, args: dict[str, object]) -> bool:
    given = orjson.loads(message.args)
    return all(name in given and given[name] == value for name, value in args.items())
