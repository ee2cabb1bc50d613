"""The relay: takes what is in the outbox to the worker queue, at least once.

Messages that this process has just committed come to it in memory (`committed`), already claimed
by their insertion, and leave in the same turn of the loop. What is left over (after a crash, from
another process, while the worker queue was away, or more than fits into memory) is claimed from
the table: after `wake`, and once a second in any case, every five while idle. A sent message is
deleted a little later; a crash in between sends it again, and the worker queue recognises its id.

Messages with one job key are sent in the order of their ids: one sender, and no claim overtakes an
earlier claim. Between processes that hand over in memory the generation decides.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from prometheus_client import Counter

from kongflow_common.batcher import Batcher
from kongflow_common.db.engine import Database
from kongflow_common.errors import Contended, DependencyUnavailable, ResourceExhausted
from kongflow_common.outbox.claims import OutboxClaims
from kongflow_common.outbox.enqueuer import Enqueuer, Refusal
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.pacing import rest_seconds
from kongflow_common.supervision import BackgroundTasks, Backoff

__all__ = ["OutboxRelay"]

logger = logging.getLogger(__name__)

# A request may have 16 MiB; what stands beside the arguments is small.
_SEND_BYTES = 8 * 1024 * 1024
_SEND_SECONDS = 12.0
# Offered messages older than this would still be sent when others may claim them.
_OFFER_SECONDS = 10.0
_DRAIN_SECONDS = 5.0
_CLAIM_INTERVAL = 1.0
_IDLE_CLAIM_INTERVAL = 5.0
_IDLE_AFTER = 30.0
_BUSY_CLAIM_PAUSE = 0.05
_DEFER_SECONDS = 30.0
_ALARM_INTERVAL = 60.0


_SENT = Counter("kongflow_outbox_sent", "Messages that the worker queue has taken.", ["schema"])
_REFUSED = Counter("kongflow_outbox_refused", "Messages that it refused for good.", ["schema"])
_FAILED = Counter("kongflow_outbox_failed_calls", "Calls that took nothing.", ["schema"])


class OutboxRelay:
    """Sends the messages of `schema`.outbox; runs while its `async with` block is open.

    `instance` names this process in `claimed_by`. Waits and limits are as in the Batcher.
    """

    def __init__(
        self,
        database: Database,
        schema: str,
        enqueuer: Enqueuer,
        *,
        instance: str,
        batch_size: int = 500,
        max_offered: int = 10_000,
        backoff: Backoff | None = None,
    ) -> None:
        self.schema = schema
        self._enqueuer = enqueuer
        self._instance = instance
        self._batch_size = batch_size
        self._max_offered = max_offered
        self._backoff = backoff or Backoff(initial=0.1, longest=2.0)
        self._claims = OutboxClaims(database, schema, instance, batch_size)
        self._deletions: Batcher[UUID, None] = Batcher(
            self._delete, name=f"{schema} outbox deletions", max_items=1000, linger=0.100
        )
        self._tasks = BackgroundTasks()
        self._loop: asyncio.Task[None] | None = None
        self._offered: deque[tuple[OutboxMessage, float]] = deque()
        self._in_flight: list[OutboxMessage] = []
        self._sent: set[UUID] = set()
        """What was sent and is still in the table: not to be sent again by a claim."""
        self._leftovers = True
        """The table may hold unclaimed messages that are older than any offered from now on."""
        self._running = False
        self._failures = 0
        self._failing_since = 0.0
        self._alarmed_at = 0.0
        self._send_limit = batch_size
        self._claimed_at = 0.0
        self._claim_failures = 0
        self._claim_not_before = 0.0
        self._worked_at = 0.0
        self._alarm: asyncio.Future[None] | None = None
        self._alarm_count = 1

    async def __aenter__(self) -> Self:
        self._running = True
        self._worked_at = time.monotonic()
        self._loop = self._tasks.supervise(f"{self.schema} outbox relay", self._run)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Send what was offered, for a short while; delete what was sent, give back the rest."""
        self._running = False
        self._sound_alarm()
        if self._loop is not None:
            await asyncio.wait([self._loop], timeout=_DRAIN_SECONDS)
        await self._tasks.close()
        await self._deletions.close()
        await self._give_back(self._in_flight)

    def claimed_by_for_new_rows(self) -> str | None:
        """What to write into `claimed_by` of rows about to be inserted.

        The name of this relay when it will take them in memory; None when they had better wait
        in the table. Either way `committed` must follow the commit.
        """
        ready = (
            self._running
            and not self._leftovers
            and not self._failures
            and len(self._offered) < self._max_offered
        )
        return self._instance if ready else None

    def committed(self, messages: Sequence[OutboxMessage], claimed_by: str | None) -> None:
        """Say that messages were committed with `claimed_by` as it was told; never fails."""
        if claimed_by is None:
            self.wake()
        else:
            self.offer(messages)

    def offer(self, messages: Sequence[OutboxMessage]) -> None:
        """Hand over messages that were inserted claimed by this relay and are committed now."""
        expires_at = time.monotonic() + _OFFER_SECONDS
        self._offered.extend((message, expires_at) for message in messages)
        if len(self._offered) >= self._alarm_count:
            self._sound_alarm()

    def wake(self) -> None:
        """Have the table looked at now: it holds committed messages that nobody has claimed."""
        self._leftovers = True
        self._sound_alarm()

    async def _run(self) -> None:
        # What an earlier life of this name, or a run that failed, has left claimed.
        self._offered.clear()
        self._leftovers = True
        await self._past_outage(self._claims.release_all())
        while self._running or (self._offered and not self._failures):
            claimed = await self._claimed()
            batch = self._without_sent([*claimed, *self._taken(self._send_limit - len(claimed))])
            if not batch:
                await self._wait(self._idle_seconds(), count=1)
                continue
            self._worked_at = time.monotonic()
            self._in_flight = batch
            size = await self._send(batch)
            self._in_flight = []
            if not self._leftovers:
                await self._wait(rest_seconds(size), count=2 * size)

    # What to send

    async def _claimed(self) -> list[OutboxMessage]:
        now = time.monotonic()
        due = self._leftovers or now - self._claimed_at >= self._claim_interval(now)
        if not due or now < self._claim_not_before or not self._running:
            return []
        # Cleared first: a `wake` during the claim speaks of what the claim may not have seen.
        self._leftovers, before = False, self._leftovers
        try:
            messages = await self._claims.claim()
        except (DependencyUnavailable, Contended):
            self._leftovers = True
            self._claim_failures += 1
            self._claim_not_before = now + self._backoff.delay(self._claim_failures)
            return []
        self._claim_failures = 0
        if messages is None:
            self._leftovers = self._leftovers or before
            self._claim_not_before = now + _BUSY_CLAIM_PAUSE
            return []
        self._claimed_at = now
        if len(messages) >= self._batch_size:
            self._leftovers = True
        return messages

    def _taken(self, most: int) -> list[OutboxMessage]:
        taken: list[OutboxMessage] = []
        now = time.monotonic()
        while self._offered and len(taken) < most:
            message, expires_at = self._offered.popleft()
            if expires_at > now:
                taken.append(message)
            else:
                # Its claim is about to end; whoever claims it then sends it.
                self._leftovers = True
        return taken

    def _without_sent(self, messages: list[OutboxMessage]) -> list[OutboxMessage]:
        if not self._sent:
            return messages
        return [message for message in messages if message.id not in self._sent]

    # Sending

    async def _send(self, batch: list[OutboxMessage]) -> int:
        """Send a batch, or its first part while something is wrong; how many were sent."""
        fitting = self._fitting(batch)
        batch, rest = batch[:fitting], batch[fitting:]
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                outcomes = await self._enqueuer.enqueue(batch)
            if len(outcomes) != len(batch):
                raise RuntimeError(f"{len(outcomes)} outcomes for {len(batch)} messages")
        except (DependencyUnavailable, Contended, ResourceExhausted, TimeoutError) as error:
            await self._back_off([*batch, *rest], error)
            return 0
        except Exception as error:  # noqa: BLE001 - any message may be at fault, none may block
            await self._narrow_down(batch, rest, error)
            return 0
        self._recovered()
        refusals: dict[UUID, Refusal] = {}
        for message, outcome in zip(batch, outcomes, strict=True):
            if outcome.refusal is None:
                self._delete_later(message.id)
            else:
                refusals[message.id] = outcome.refusal
                _alarm_of_refusal(message, outcome.refusal)
        _SENT.labels(self.schema).inc(len(batch) - len(refusals))
        if refusals:
            _REFUSED.labels(self.schema).inc(len(refusals))
            # If this fails the claim runs out and the message is refused, and parked, again.
            await self._past_outage(self._claims.park(refusals))
        if rest:
            await self._release(rest)
        return len(batch)

    def _fitting(self, batch: list[OutboxMessage]) -> int:
        """How many of the messages, from the first one on, go into one call; one at least."""
        size = 0
        for index, message in enumerate(batch[: self._send_limit]):
            size += len(message.args)
            if index and size > _SEND_BYTES:
                return index
        return self._send_limit

    def _delete_later(self, message_id: UUID) -> None:
        self._sent.add(message_id)
        try:
            self._deletions.post(message_id)
        except ResourceExhausted:
            # The database has been away for long; the message is sent again, and recognised.
            self._sent.discard(message_id)

    async def _delete(self, ids: Sequence[UUID]) -> Sequence[None]:
        await self._claims.delete(ids)
        self._sent.difference_update(ids)
        return [None] * len(ids)

    # When it fails

    async def _back_off(self, messages: list[OutboxMessage], error: Exception) -> None:
        """The worker queue did not take anything: give all claims back and wait."""
        now = time.monotonic()
        _FAILED.labels(self.schema).inc()
        self._failures += 1
        if self._failures == 1:
            self._failing_since = self._alarmed_at = now
            reason = "no answer in time" if isinstance(error, TimeoutError) else error
            logger.warning("the worker queue cannot be reached: %s", reason)
        elif now - self._alarmed_at >= _ALARM_INTERVAL:
            self._alarmed_at = now
            logger.error(
                "messages have been waiting for the worker queue for %.0f s",
                now - self._failing_since,
            )
        await self._give_back(messages)
        await asyncio.sleep(self._backoff.delay(self._failures))

    def _recovered(self) -> None:
        if self._failures:
            logger.info(
                "the worker queue takes messages again after %.1f s",
                time.monotonic() - self._failing_since,
            )
            self._failures = 0
        self._send_limit = min(self._send_limit * 2, self._batch_size)

    async def _narrow_down(
        self, batch: list[OutboxMessage], rest: list[OutboxMessage], error: Exception
    ) -> None:
        """One of the messages cannot be sent: find it by smaller and smaller batches."""
        if len(batch) > 1:
            self._send_limit = len(batch) // 2
            await self._give_back([*batch, *rest])
            return
        message = batch[0]
        logger.error(
            "a message could not be sent; it is tried again in %.0f s",
            _DEFER_SECONDS,
            exc_info=error,
            extra={"fields": {"outbox_id": message.id, "kind": message.kind}},
        )
        await self._past_outage(self._claims.defer(message.id, _DEFER_SECONDS))
        await self._give_back(rest)
        # All may be alike: then each costs a call, and this keeps the calls apart.
        await asyncio.sleep(self._backoff.initial)

    async def _give_back(self, messages: list[OutboxMessage]) -> None:
        """Release the claims on `messages` and on all that was offered."""
        offered = [message for message, _ in self._offered]
        self._offered.clear()
        self._leftovers = True
        if messages or offered:
            await self._release([*messages, *offered])

    async def _release(self, messages: Sequence[OutboxMessage]) -> None:
        self._leftovers = True
        await self._past_outage(self._claims.release([message.id for message in messages]))

    async def _past_outage(self, statement: Awaitable[None]) -> None:
        """Carry out what is made good by the end of a claim if the database is away."""
        try:
            await statement
        except (DependencyUnavailable, Contended) as error:
            logger.warning("claims on the outbox stay until they run out: %s", error)

    # Waiting

    def _claim_interval(self, now: float) -> float:
        return _CLAIM_INTERVAL if now - self._worked_at < _IDLE_AFTER else _IDLE_CLAIM_INTERVAL

    def _idle_seconds(self) -> float:
        now = time.monotonic()
        due_at = now if self._leftovers else self._claimed_at + self._claim_interval(now)
        return max(due_at, self._claim_not_before) - now

    async def _wait(self, seconds: float, *, count: int) -> None:
        """Wait for time to pass or for `count` offered messages; `wake` ends it too."""
        if seconds <= 0 or len(self._offered) >= count or not self._running:
            return
        loop = asyncio.get_running_loop()
        self._alarm = loop.create_future()
        self._alarm_count = count
        timer = loop.call_later(seconds, self._sound_alarm)
        try:
            await self._alarm
        finally:
            self._alarm = None
            timer.cancel()

    def _sound_alarm(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)


def _alarm_of_refusal(message: OutboxMessage, refusal: Refusal) -> None:
    logger.error(
        "the worker queue refused a message",
        extra={
            "fields": {
                "outbox_id": message.id,
                "kind": message.kind,
                "code": refusal.code,
                "reason": refusal.reason,
                "detail": refusal.message,
            }
        },
    )
