"""What is sent and logged with the starts of runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

import orjson

from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.ids import id_text
from kongflow_common.outbox.message import OutboxMessage
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.domain.run import ENDED, RunState
from kongflow_runs.domain.start import StartedAs

__all__ = ["PERFORM_RUN_EXECUTION", "StartMessages", "TracedStart", "execution", "execution_key"]

PERFORM_RUN_EXECUTION = "performRunExecution"


class TracedStart(NamedTuple):
    """How a run of an environment goes on, and the trace that it belongs to."""

    plan: StartedAs
    environment_id: UUID
    traceparent: str


class StartMessages:
    """Makes the messages and events of starts, each with its run."""

    def __init__(self, news: RunNews) -> None:
        self._news = news

    async def sent_and_logged(
        self, starts: Sequence[TracedStart]
    ) -> tuple[list[tuple[UUID, OutboxMessage]], list[tuple[UUID, PublishedEvent]]]:
        """Executions of the queued runs, and of those that end at their start who is told so."""
        sent = [
            (plan.run_id, execution(plan.run_id, environment_id, traceparent))
            for plan, environment_id, traceparent in starts
            if plan.state is RunState.QUEUED
        ]
        ended = [start for start in starts if start.plan.state in ENDED]
        logged = [(start.plan.run_id, self._ended(start)) for start in ended]
        wanted = {
            state: await self._news.wanted(state) for state in {start.plan.state for start in ended}
        }
        for start, (run_id, event) in zip(ended, logged, strict=True):
            if wanted[start.plan.state]:
                message = self._news.enqueued(event)
                sent.append((run_id, replace(message, traceparent=start.traceparent)))
        return sent, logged

    def _ended(self, start: TracedStart) -> PublishedEvent:
        version = start.plan.version
        return self._news.ended(
            start.environment_id,
            start.plan.run_id,
            start.plan.state,
            job_slug=version.job_slug if version else None,
            job_version=version.version if version else None,
        )


def execution_key(run_id: UUID) -> str:
    """The job key of a run's execution."""
    return f"job_run:EXECUTE_JOB:{run_id}"


def execution(run_id: UUID, environment_id: UUID, traceparent: str) -> OutboxMessage:
    """The message that has a run executed."""
    return OutboxMessage.enqueue(
        PERFORM_RUN_EXECUTION,
        orjson.dumps({"runId": id_text(run_id)}),
        environment_id=environment_id,
        job_key=execution_key(run_id),
        traceparent=traceparent,
    )
