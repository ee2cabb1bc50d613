"""What a watch tells of its looks."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from kongflow_common.filtering import Filter
from kongflow_workerqueue.application import watch_queued_jobs
from kongflow_workerqueue.application.ports import JobPage, JobPlace, QueuedJob
from kongflow_workerqueue.application.watch_queued_jobs import (
    JobChanges,
    JobStamp,
    Look,
    WatchQueuedJobs,
)
from kongflow_workerqueue.domain.errors import TooManyWatches
from kongflow_workerqueue.domain.states import JobState, Priority

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(number: int, state: JobState = JobState.AVAILABLE, attempt: int = 0) -> QueuedJob:
    return QueuedJob(
        id=UUID(int=number),
        kind="deliverEvent",
        queue="events",
        priority=Priority.NORMAL,
        state=state,
        attempt=attempt,
        max_attempts=6,
        turn=1,
        run_at=NOW,
        created_at=NOW + timedelta(seconds=number),
        attempted_at=None,
        finalized_at=None,
        environment_id=None,
        job_key=None,
        tags=(),
        metadata=None,
        args=None,
        errors=(),
        traceparent=None,
        waiting_for=None,
    )


class Watcher:
    """Shows prepared looks, then nothing; remembers what was known at each."""

    def __init__(self, present: Sequence[QueuedJob], looks: Sequence[Look]) -> None:
        self.present = present
        self.looks = list(looks)
        self.known: list[dict[UUID, JobStamp]] = []

    async def page(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        after: JobPlace | None,
        limit: int,
    ) -> JobPage:
        assert (environment_id, condition, after) == (None, None, None)
        return JobPage(self.present[:limit], None)

    async def look(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        since: datetime | None,
        known: Mapping[UUID, JobStamp],
    ) -> Look:
        assert (environment_id, condition) == (None, None)
        if since is None:
            return Look(NOW)
        self.known.append(dict(known))
        return self.looks.pop(0) if self.looks else Look(NOW)


async def no_pause() -> None:
    """No time passes between looks."""


async def told(watcher: Watcher, count: int, *, with_present: bool = True) -> list[JobChanges]:
    watch = WatchQueuedJobs(watcher, pause=no_pause)
    changes: list[JobChanges] = []
    async with aclosing(watch(None, None, with_present=with_present)) as answers:
        async for each in answers:
            changes.append(each)
            if len(changes) == count:
                break
    assert watch.watches == 0
    return changes


async def test_nothing_is_told_twice_and_what_ceases_to_match_once() -> None:
    retryable = job(1, JobState.RETRYABLE, attempt=1)
    watcher = Watcher(
        [job(2), job(1)],
        [
            Look(NOW, changed=[job(1), job(2)]),
            Look(NOW, moved=[(retryable, True)], changed=[retryable]),
            Look(NOW, moved=[(job(2, JobState.COMPLETED), False)], deleted=[UUID(int=1)]),
        ],
    )
    first, second, third = await told(watcher, 3)
    assert [each.id.int for each in first.jobs] == [1, 2]
    assert first.present
    assert second.jobs == [retryable]
    assert ([each.id.int for each in third.jobs], third.deleted) == ([2], [UUID(int=1)])
    assert len(watcher.known[2]) == 2
    assert not second.present


async def test_a_sign_of_life_after_a_while_of_silence() -> None:
    watcher = Watcher([], [])
    [first, second] = await told(watcher, 2, with_present=False)
    assert first == second == JobChanges([])
    assert len(watcher.known) == 2 * watch_queued_jobs._SIGN_OF_LIFE


async def test_only_those_told_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_queued_jobs, "MAX_KNOWN", 3)
    looks = [Look(NOW, changed=[job(number)]) for number in range(1, 7)]
    watcher = Watcher([], [*looks, Look(NOW, skipped=True)])
    changes = await told(watcher, 7, with_present=False)
    assert [each.id.int for change in changes for each in change.jobs] == [1, 2, 3, 4, 5, 6]
    assert [id_.int for id_ in watcher.known[-1]] == [4, 5, 6]
    assert changes[-1].skipped


async def test_one_too_many_is_refused_before_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_queued_jobs, "MAX_WATCHES", 1)
    watch = WatchQueuedJobs(Watcher([], []), pause=no_pause)
    async with aclosing(watch(None, None, with_present=True)) as first:
        await anext(first)
        with pytest.raises(TooManyWatches):
            await anext(watch(None, None, with_present=True))
    async with aclosing(watch(None, None, with_present=True)) as again:
        await anext(again)
