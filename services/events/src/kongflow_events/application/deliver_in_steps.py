"""Delivers one event to very many dispatchers, a bounded number in each transaction."""

import logging
from datetime import timedelta
from typing import Final

from kongflow_common.tracing import trace_id_of
from kongflow_events.application.deliveries import dispatchers_taking
from kongflow_events.application.ports import DueEvent, EventsUnitOfWork, UnitOfWorkFactory
from kongflow_events.application.task_outcome import DONE, Snooze, TaskOutcome
from kongflow_events.domain.dispatcher_match import MatchableEvent

__all__ = ["DeliverInSteps", "StepBudget"]

_logger = logging.getLogger(__name__)

_DISPATCHERS_IN_A_STEP: Final = 500
_CONTINUE_AFTER: Final = timedelta(milliseconds=10)


class StepBudget:
    """How many steps a call may still take, so that it ends within its deadline."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def take(self) -> bool:
        """Use up one step; False when none is left."""
        self._left -= 1
        return self._left >= 0


class DeliverInSteps:
    """Goes through the candidates in the order of their ids and stores how far it came.

    Each step enqueues its invocations and moves the cursor in one transaction, so that a
    delivery that was interrupted goes on where it stopped and no dispatcher is enqueued twice.
    """

    def __init__(
        self, unit_of_work: UnitOfWorkFactory, dispatchers_in_a_step: int = _DISPATCHERS_IN_A_STEP
    ) -> None:
        self._unit_of_work = unit_of_work
        self._dispatchers_in_a_step = dispatchers_in_a_step

    async def __call__(self, event: DueEvent, traceparent: str, budget: StepBudget) -> TaskOutcome:
        """Done, or snoozed when the budget is used up before the last dispatcher."""
        try:
            matchable = MatchableEvent(
                event.record.payload_type, event.content, event.record.external_account_id
            )
            while budget.take():
                async with self._unit_of_work() as uow:
                    if await self._step(uow, event, matchable, traceparent):
                        return DONE
        except Exception as error:  # noqa: BLE001 - one event must not fail its neighbours
            return error
        return Snooze(_CONTINUE_AFTER)

    async def _step(
        self, uow: EventsUnitOfWork, event: DueEvent, matchable: MatchableEvent, traceparent: str
    ) -> bool:
        """Take one step; True when there is nothing left to do."""
        record = await uow.events.lock(event.record.tenancy.environment_id, event.record.id)
        if (
            record is None
            or record.cancelled_at is not None
            or record.processed_at is not None
            or record.delivery_revision != event.record.delivery_revision
        ):
            return True
        candidates = await uow.dispatchers.candidates(
            record, record.delivery_cursor, self._dispatchers_in_a_step
        )
        matched = await dispatchers_taking(candidates, matchable, record)
        await uow.queue.enqueue_invoke_dispatchers(record, matched, traceparent=traceparent)
        done = len(candidates) < self._dispatchers_in_a_step
        cursor = candidates[-1].id if candidates else record.delivery_cursor
        await uow.events.advance(record, matched=len(matched), cursor=cursor, done=done)
        if done:
            await uow.news.delivered(record, record.matched_count + len(matched))
        await uow.commit()
        if done:
            _logger.info(
                "event delivered",
                extra={
                    "trace_id": trace_id_of(traceparent),
                    "fields": {
                        "event_record_id": str(record.id),
                        "environment_id": str(record.tenancy.environment_id),
                        "matched": record.matched_count + len(matched),
                    },
                },
            )
        return done
