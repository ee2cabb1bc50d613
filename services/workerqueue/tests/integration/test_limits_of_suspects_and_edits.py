"""Limits of jobs that are suspected, and of those that operators edit."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kongflow_workerqueue.application.enqueue_command import Edit
from kongflow_workerqueue.application.ports import ClaimedJob, NewJob
from kongflow_workerqueue.domain.limits import (
    KeyRule,
    LimitRules,
    limits_of,
)
from kongflow_workerqueue.domain.outcome import HeldAlone, Transition, settle
from kongflow_workerqueue.domain.retry import ExponentialRetry
from kongflow_workerqueue.domain.states import JobState
from kongflow_workerqueue.domain.suspicion import waiting_alone
from services.workerqueue.tests.integration.ledger_under_test import (
    BY,
    LedgerUnderTest,
    new_job,
)
from services.workerqueue.tests.integration.limits_under_test import (
    at_most,
    begin,
    finish,
    limited,
    rate,
    serial,
)

ALONE = waiting_alone("events")
OLD = datetime(2020, 1, 1, tzinfo=UTC)
RETRY_LATER = Transition(JobState.RETRYABLE, spends_attempt=True, delay=timedelta(hours=1))
SNOOZE = Transition(JobState.SCHEDULED, spends_attempt=False, delay=timedelta(hours=1))


class TestSuspects:
    """A suspected job runs whatever the limits say, and counts for the others."""

    async def test_its_line_holds_until_it_ends(self, ledger: LedgerUnderTest) -> None:
        first, second = limited(serial()), limited(serial())
        await ledger.insert(first, second)
        await begin(ledger)
        await self._lose(ledger, first.id)
        assert await begin(ledger) == []
        [suspect] = await self._run_alone(ledger)
        assert suspect.id == first.id
        assert await begin(ledger) == []
        await finish(ledger, first.id)
        assert await begin(ledger) == [second.id]

    async def test_it_does_not_wait_for_a_place_but_takes_one(
        self, ledger: LedgerUnderTest
    ) -> None:
        suspected, other, third = (limited(at_most(1)) for _ in range(3))
        await ledger.insert(suspected, other, third)
        assert await begin(ledger) == [suspected.id]
        await self._lose(ledger, suspected.id)
        # While it waits it has no place.
        assert await begin(ledger) == [other.id]
        [suspect] = await self._run_alone(ledger)
        assert suspect.id == suspected.id
        await finish(ledger, other.id)
        assert await begin(ledger) == []
        await finish(ledger, suspected.id)
        assert await begin(ledger) == [third.id]

    async def test_it_takes_no_start_of_its_rate(self, ledger: LedgerUnderTest) -> None:
        job = limited(rate(timedelta(hours=1)))
        await ledger.insert(job)
        assert await begin(ledger) == [job.id]
        arrival = await ledger.execute("SELECT arrival_at FROM workerqueue.rate_limits")
        await self._lose(ledger, job.id)
        [suspect] = await self._run_alone(ledger)
        assert suspect.id == job.id
        assert await ledger.execute("SELECT arrival_at FROM workerqueue.rate_limits") == arrival

    async def _lose(self, ledger: LedgerUnderTest, job_id: UUID) -> None:
        lost = settle(
            HeldAlone(ALONE, lost=True),
            attempt=0,
            max_attempts=3,
            retry=ExponentialRetry(),
            random=lambda: 0.5,
        )
        await finish(ledger, job_id, lost)

    async def _run_alone(self, ledger: LedgerUnderTest) -> Sequence[ClaimedJob]:
        return await ledger.worker.claim_suspects(
            ledger.worker_id, ALONE, quiet=timedelta(), alone=timedelta()
        )


class TestEdits:
    """Keys that a kind takes from arguments are those of the edited ones."""

    OF_KIND = LimitRules(serial=KeyRule("to", ("to",)), rate=rate(timedelta(hours=1), 5).rate)

    async def test_an_edited_job_stands_in_its_new_line(self, ledger: LedgerUnderTest) -> None:
        edited, in_line = self._to("a"), self._to("b")
        await ledger.insert(edited)
        await begin(ledger)
        await finish(ledger, edited.id, Transition(JobState.DISCARDED, spends_attempt=True))
        await ledger.insert(in_line)
        assert await begin(ledger) == [in_line.id]
        await self._edit(ledger, edited.id, "a", "b")
        assert await begin(ledger) == []
        assert (await ledger.row(edited.id))["serial_key"] == ':to:["b"]'
        free = self._to("a")
        await ledger.insert(free)
        assert await begin(ledger) == [free.id]
        await finish(ledger, in_line.id)
        assert await begin(ledger) == [edited.id]

    async def test_what_its_command_gave_it_stays(self, ledger: LedgerUnderTest) -> None:
        own, none = limited(serial("own")), new_job()
        await ledger.insert(own, none)
        gone = Transition(JobState.DISCARDED, spends_attempt=True)
        await begin(ledger)
        await ledger.claim_one(none.id)
        for job in (own, none):
            await finish(ledger, job.id, gone)
            before = await ledger.row(job.id)
            await self._edit(ledger, job.id, "a", "b")
            after = await ledger.row(job.id)
            for column in ("limit_lane", "serial_key", "rate_key"):
                assert after[column] == before[column]

    def _to(self, to: str) -> NewJob:
        return new_job(limits=limits_of(self.OF_KIND, None, {"to": to}))

    async def _edit(self, ledger: LedgerUnderTest, job_id: UUID, former: str, now: str) -> None:
        edit = Edit(
            b"{}",
            None,
            former_limits=limits_of(self.OF_KIND, None, {"to": former}),
            limits=limits_of(self.OF_KIND, None, {"to": now}),
        )
        await ledger.operators.retry(job_id, None, BY, admit_to=["events"], edit=edit)
