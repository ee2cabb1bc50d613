"""The window of admitted jobs in Redis, in the keys of stock arq.

Per queue a sorted set `arq:queue:<queue>` of members `<id>:<turn>`, and for each member a key
`arq:job:<member>`, which arq's own tools read with a JSON serializer; beside them
`kongflow:backlog:<queue>` while jobs wait outside the window. They hold nothing that the ledger
does not know: Redis may be emptied, full or away at any moment.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, cast
from uuid import UUID

from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from kongflow_common.supervision import BackgroundTasks, Backoff
from kongflow_workerqueue.adapters.redis_connection import backlog_key, queue_key, wake_channel
from kongflow_workerqueue.application.ports import (
    Admitted,
    PopResult,
    PushResult,
    WindowState,
    WindowUnavailable,
)
from kongflow_workerqueue.domain.ageing import AGEING
from kongflow_workerqueue.domain.states import Priority

__all__ = ["ARQ_FUNCTION", "RedisWindow"]

logger = logging.getLogger(__name__)

ARQ_FUNCTION: Final = "queued_job"
"""The function that arq's tools show; its arguments are the job's id and turn."""

_ID_LENGTH = 36
_JOB_KEY_MILLISECONDS = 86_400_000
_LONGEST_AGEING = (Priority.VERY_LOW - Priority.HIGH) * AGEING
_STEP = 1.0 / 1_024
"""What keeps the entries of a push in their order: a score is a double of milliseconds."""
_LARGEST_POP = 1_000
_PROBE_BACKOFF = Backoff(initial=0.1, longest=1.0)

# KEYS: the queue, its mark of a backlog. ARGV: cap, life of a job key, now, prefix of job keys,
# function, channel, then member and score of each entry in one string: the client takes far
# longer to write an argument than Lua to find a word. Entries after the first that finds no room
# are left out: the caller knows which by their number alone.
_PUSH = """
local length = redis.call('ZCARD', KEYS[1])
local cap = tonumber(ARGV[1])
local accepted = 0
for member, score in string.gmatch(ARGV[7], '(%S+) (%S+)') do
  if not redis.call('ZSCORE', KEYS[1], member) then
    if length >= cap then break end
    redis.call('SET', ARGV[4] .. member,
      '{"t":null,"f":"' .. ARGV[5] .. '","a":["' .. string.sub(member, 1, 36) .. '",'
      .. string.sub(member, 38) .. '],"k":{},"et":' .. ARGV[3] .. '}', 'PX', ARGV[2])
    redis.call('ZADD', KEYS[1], score, member)
    length = length + 1
  end
  accepted = accepted + 1
end
if accepted > 0 then redis.call('PUBLISH', ARGV[6], accepted) end
return {accepted, length, redis.call('EXISTS', KEYS[2])}
"""

# KEYS: the queue, its mark of a backlog. ARGV: the most entries, the prefix of job keys. Returns
# what is left, whether there is a backlog, and the members in one string, first ones first.
_POP = """
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
local backlog = redis.call('EXISTS', KEYS[2])
if #popped == 0 then return {0, backlog, ''} end
local members = {}
local keys = {}
for i = 1, #popped, 2 do
  members[#members + 1] = popped[i]
  keys[#keys + 1] = ARGV[2] .. popped[i]
end
redis.call('DEL', unpack(keys))
return {redis.call('ZCARD', KEYS[1]), backlog, table.concat(members, ' ')}
"""

# KEYS: the queue, its mark of a backlog.
_LOOK = "return {redis.call('ZCARD', KEYS[1]), redis.call('EXISTS', KEYS[2])}"

# KEYS: the mark of a backlog. ARGV: whether there is one, the channel.
_MARK = """
if ARGV[1] == '0' then
  redis.call('DEL', KEYS[1])
elseif redis.call('SET', KEYS[1], 1, 'NX') then
  redis.call('PUBLISH', ARGV[2], 1)
end
return {}
"""


class RedisWindow:
    """The windows of all queues in one Redis.

    While Redis does not answer, calls fail at once instead of waiting for it one by one;
    `probes` asks in the background whether it is back. `on_change` is told when the window begins
    and ceases to work.
    """

    def __init__(
        self,
        redis: ArqRedis,
        probes: BackgroundTasks,
        *,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._redis = redis
        self._probes = probes
        self._on_change = on_change
        self._push = redis.register_script(_PUSH)
        self._pop = redis.register_script(_POP)
        self._look = redis.register_script(_LOOK)
        self._mark = redis.register_script(_MARK)
        self._away = False
        self._refusals: dict[str, bool] = {}
        self._reported = True
        on_change(True)

    @property
    def is_up(self) -> bool:
        """Whether the last push and the last pop worked and Redis answers."""
        return not self._away and not any(self._refusals.values())

    async def push(self, queue: str, entries: Sequence[Admitted], *, cap: int) -> PushResult:
        """Puts entries into a window and wakes the queue's workers.

        Raises WindowUnavailable: nothing was put in, or all of it if only the answer was lost.
        """
        arguments: list[str | int] = [
            cap,
            _JOB_KEY_MILLISECONDS,
            time.time_ns() // 1_000_000,
            job_key_prefix,
            ARQ_FUNCTION,
            wake_channel(queue),
            " ".join(
                [
                    f"{entry.id}:{entry.turn} {_score(entry, place)}"
                    for place, entry in enumerate(entries)
                ]
            ),
        ]
        accepted, length, backlog = await self._call(
            "push", lambda: self._push(keys=_keys(queue), args=arguments)
        )
        return PushResult(
            accepted=int(accepted), state=WindowState(int(length), backlog=bool(backlog))
        )

    async def pop(self, queue: str, limit: int) -> PopResult:
        """Takes up to `limit` entries out of a window, at most 1,000.

        Raises WindowUnavailable; the entries are lost to the window if only the answer was lost.
        """
        remaining, backlog, members = await self._call(
            "pop",
            lambda: self._pop(keys=_keys(queue), args=[min(limit, _LARGEST_POP), job_key_prefix]),
        )
        words = cast("bytes", members).decode(errors="replace").split()
        entries = tuple([entry for word in words if (entry := _entry(word)) is not None])
        return PopResult(entries, int(remaining), backlog=bool(backlog))

    async def look(self, queue: str) -> WindowState:
        """Looks at a window. Raises WindowUnavailable."""
        length, backlog = await self._call("look", lambda: self._look(keys=_keys(queue)))
        return WindowState(int(length), backlog=bool(backlog))

    async def mark_backlog(self, queue: str, *, exists: bool) -> None:
        """Says whether jobs wait outside; see Window.mark_backlog. Raises WindowUnavailable."""
        await self._call(
            "mark",
            lambda: self._mark(keys=[backlog_key(queue)], args=[int(exists), wake_channel(queue)]),
        )

    async def _call(
        self, operation: str, command: Callable[[], Awaitable[object]]
    ) -> list[bytes | int]:
        if self._away:
            raise WindowUnavailable("Redis does not answer.")
        try:
            answer = await command()
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            self._note_away(error)
            raise WindowUnavailable(f"Redis does not answer: {type(error).__name__}.") from error
        except RedisError as error:
            if operation != "mark":
                # Without a mark the window works all the same.
                self._note(operation, refused=True, why=error)
            raise WindowUnavailable(f"Redis refuses a {operation}: {error}") from error
        self._note(operation, refused=False)
        return cast("list[bytes | int]", answer)

    def _note(self, operation: str, *, refused: bool, why: RedisError | None = None) -> None:
        if self._refusals.get(operation, False) is not refused:
            self._refusals[operation] = refused
            if refused:
                logger.warning("Redis refuses a %s: %s", operation, why)
            self._report()

    def _note_away(self, error: Exception) -> None:
        if self._away:
            return
        self._away = True
        logger.warning("Redis does not answer (%s); workers poll PostgreSQL", type(error).__name__)
        self._report()
        # Nobody waits for it: it ends by itself, or with the others of its kind.
        _ = self._probes.supervise("redis probe", self._probe)

    async def _probe(self) -> None:
        failures = 0
        while True:
            failures += 1
            await asyncio.sleep(_PROBE_BACKOFF.delay(failures))
            try:
                await self._redis.ping()
            except (RedisError, OSError):
                continue
            self._away = False
            logger.info("Redis answers again")
            self._report()
            return

    def _report(self) -> None:
        if self._reported is not self.is_up:
            self._reported = self.is_up
            self._on_change(self.is_up)


def _keys(queue: str) -> list[str]:
    return [queue_key(queue), backlog_key(queue)]


def _score(entry: Admitted, place: int) -> float:
    """Places an entry by its effective time, but not before those that were admitted earlier.

    By the effective time alone, what an environment has piled up would pass by each job that
    another one brings later, for as long as the pile lasts.
    """
    at = entry.effective_at
    if entry.admitted_at is not None:
        at = max(at, entry.admitted_at)
    # Stock arq takes a score that lies ahead for a job that waits for its time.
    earliest = (at - _LONGEST_AGEING).timestamp()
    return round(earliest * 1000) + min(place, _LARGEST_POP) * _STEP


def _entry(member: str) -> tuple[UUID, int] | None:
    try:
        return UUID(member[:_ID_LENGTH]), int(member[_ID_LENGTH + 1 :])
    except ValueError:
        # Somebody else's: arq's own enqueue_job, a hand at a console.
        logger.warning("a window held what is no queued job: %.100s", member)
        return None
