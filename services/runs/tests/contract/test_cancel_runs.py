"""Runs are cancelled, one or all of an event, over a real channel."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import grpc

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as internal_pb
from kongflow.runs.internal.v1.runs_internal_service_pb2_grpc import RunsInternalServiceStub
from kongflow.runs.v1 import run_pb2
from kongflow.runs.v1 import runs_service_pb2 as pb
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.db.engine import Database
from kongflow_common.errors import Contended
from kongflow_common.eventing.publisher import EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import Operation
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.grpc_server import InProcessServer, bearer
from kongflow_common.testing.interest import FixedInterest
from kongflow_common.testing.refusals import refusal
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_runs.adapters.run_canceller import PostgresRunCanceller
from kongflow_runs.adapters.run_news import RunNews
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.application.cancel_run import CancelRunsOfEvent
from kongflow_runs.application.create_run import CreateRun
from services.runs.tests.conftest import a_run
from services.runs.tests.contract.test_runs_service import (
    TIMEOUT,
    create,
    perform,
    read_run,
    request_in,
    started_run,
)
from services.runs.tests.neighbours import Others, answered

CANCELED = run_pb2.Run.STATE_CANCELED
SUCCESS = run_pb2.Run.STATE_SUCCESS


async def cancel(
    server: InProcessServer, environment: EnvironmentScope, run_id: str
) -> run_pb2.Run:
    """Cancels a run as a client does."""
    answer = await RunsServiceStub(server.channel).CancelRun(
        pb.CancelRunRequest(id=run_id),
        metadata=bearer(server.credentials.add_secret_key(environment)),
        timeout=TIMEOUT,
    )
    return answer.run


async def cancel_runs_of(
    server: InProcessServer, environment: EnvironmentScope, event_record_id: str
) -> internal_pb.CancelRunsOfEventResponse:
    """Cancels an event's runs as the events service does."""
    return await server.caller("events").call(
        RunsInternalServiceStub(server.tasks_channel).CancelRunsOfEvent,
        internal_pb.CancelRunsOfEventRequest(
            environment_id=str(environment.environment_id), event_record_id=event_record_id
        ),
        timeout=TIMEOUT,
    )


async def test_a_pending_run_is_cancelled_and_never_started(server: InProcessServer) -> None:
    environment = server.credentials.add_environment()
    (run_id,) = await create(server, request_in(environment))
    cancelled = await cancel(server, environment, run_id)
    assert cancelled.state == CANCELED
    assert cancelled.HasField("complete_time")
    assert await cancel(server, environment, run_id) == cancelled
    assert await create(server, request_in(environment)) != [run_id]


async def test_a_queued_runs_execution_is_dequeued(
    server: InProcessServer, worker_queue: RecordingWorkerQueue, others: Others
) -> None:
    environment = server.credentials.add_environment()
    run_id = await started_run(server, environment)
    assert (await cancel(server, environment, run_id)).state == CANCELED
    await worker_queue.wait_for("performRunExecution", 2)
    enqueued, removed = worker_queue.of_kind("performRunExecution")
    assert (enqueued.operation, removed.operation) == (Operation.ENQUEUE, Operation.REMOVE)
    assert removed.job_key == enqueued.job_key == f"job_run:EXECUTE_JOB:{run_id}"
    assert removed.environment_id == environment.environment_id
    # Its start and its execution may be on their way all the same.
    await perform(server, environment, run_id, str(new_id()))
    assert others.bodies == []
    assert (await read_run(server, environment, run_id)).state == CANCELED


async def test_what_a_program_answers_after_the_cancel_is_dropped(
    server: InProcessServer, others: Others
) -> None:
    environment = server.credentials.add_environment()
    for answer in (
        answered(b'{"status":"SUCCESS","output":1}'),
        answered(b'{"status":"ERROR","error":{"message":"x"}}'),
        answered(b"", 503),
    ):
        run_id = await started_run(server, environment)
        others.outcomes = [answer]

        async def cancel_it(run_id: str = run_id) -> None:
            assert (await read_run(server, environment, run_id)).state == (
                run_pb2.Run.STATE_EXECUTING
            )
            await cancel(server, environment, run_id)

        others.during = cancel_it
        queued_job_id = str(new_id())
        await perform(server, environment, run_id, queued_job_id, 1)
        # An execution that is to be tried again finds the run ended.
        others.during = None
        assert "kongflow-snooze" not in await perform(server, environment, run_id, queued_job_id, 2)
        run = await read_run(server, environment, run_id)
        assert (run.state, run.error_message, run.execution_count) == (CANCELED, "", 0)
        assert not run.HasField("output")
    assert len(others.bodies) == 3


async def test_a_run_that_has_ended_stays_as_it_is(server: InProcessServer, others: Others) -> None:
    environment = server.credentials.add_environment()
    run_id = await started_run(server, environment)
    others.outcomes = [answered(b'{"status":"SUCCESS","output":1}')]
    await perform(server, environment, run_id, str(new_id()))
    ended = await read_run(server, environment, run_id)
    assert ended.state == SUCCESS
    assert await cancel(server, environment, run_id) == ended


async def test_another_environments_run_is_not_cancelled(server: InProcessServer) -> None:
    environment = server.credentials.add_environment()
    (run_id,) = await create(server, request_in(environment))
    with refusal(grpc.StatusCode.NOT_FOUND) as refused:
        await cancel(server, server.credentials.add_environment(), run_id)
    assert refused.reason == "RUN_NOT_FOUND"
    assert (await read_run(server, environment, run_id)).state == run_pb2.Run.STATE_PENDING


async def test_q12_all_unfinished_runs_of_the_event_in_its_environment_only(
    server: InProcessServer, others: Others
) -> None:
    environment = server.credentials.add_environment()
    event_record_id = str(new_id())

    async def new_run(scope: EnvironmentScope, **changes: str) -> str:
        request = request_in(scope)
        request.event_record_id = event_record_id
        for name, value in changes.items():
            if value:
                setattr(request, name, value)
            else:
                request.ClearField(name)  # type: ignore[arg-type]
        (run_id,) = await create(server, request)
        return run_id

    pending = await new_run(environment)
    without_dispatcher = await new_run(environment, dispatcher_id="", request_id="test:1")
    ended = await new_run(environment)
    await cancel(server, environment, ended)
    stranger = server.credentials.add_environment()
    theirs = await new_run(stranger)
    other_event = request_in(environment)
    (others_run,) = await create(server, other_event)

    answer = await cancel_runs_of(server, environment, event_record_id)
    assert set(answer.cancelled_run_ids) == {pending, without_dispatcher}
    assert not answer.failed_run_ids
    for run_id in (pending, without_dispatcher):
        assert (await read_run(server, environment, run_id)).state == CANCELED
    assert (await read_run(server, stranger, theirs)).state == run_pb2.Run.STATE_PENDING
    assert (await read_run(server, environment, others_run)).state == run_pb2.Run.STATE_PENDING
    again = await cancel_runs_of(server, environment, event_record_id)
    assert not again.cancelled_run_ids


async def test_q12_a_run_that_is_being_executed_is_cancelled_as_well(
    server: InProcessServer, others: Others
) -> None:
    environment = server.credentials.add_environment()
    run_id = await started_run(server, environment)
    event_record_id = (await read_run(server, environment, run_id)).event_record_id
    answers: list[internal_pb.CancelRunsOfEventResponse] = []

    async def cancel_them() -> None:
        answers.append(await cancel_runs_of(server, environment, event_record_id))

    others.during = cancel_them
    others.outcomes = [answered(b'{"status":"SUCCESS","output":1}')]
    await perform(server, environment, run_id, str(new_id()))
    assert [list(answer.cancelled_run_ids) for answer in answers] == [[run_id]]
    assert (await read_run(server, environment, run_id)).state == CANCELED


async def test_many_runs_are_cancelled_part_by_part(
    database: Database, relay: OutboxRelay, writer: BatchingRunWriter
) -> None:
    first = a_run()
    runs = [replace(first, id=new_id(), dispatcher_id=new_id()) for _ in range(25)]
    await CreateRun(writer).many(runs)
    news = RunNews(EventPublisher(FixedInterest(), FixedClock(), new_id))
    use_case = CancelRunsOfEvent(PostgresRunCanceller(database, relay, news), runs_at_once=4)
    answers = await asyncio.gather(
        *(use_case(first.environment_id, first.event_record_id) for _ in range(4))
    )
    cancelled = [run_id for answer in answers for run_id in answer.cancelled]
    assert sorted(cancelled) == sorted(run.id for run in runs), "each by one call only"


class _HalfAway:
    """A RunCanceller whose database refuses one part."""

    def __init__(self) -> None:
        self.ids = sorted(new_id() for _ in range(6))

    async def unfinished(
        self, environment_id: UUID, event_record_id: UUID, after: UUID, limit: int
    ) -> Sequence[UUID]:
        return [id_ for id_ in self.ids if id_ > after][:limit]

    async def cancel(self, environment_id: UUID, run_ids: Sequence[UUID]) -> Sequence[UUID]:
        if self.ids[2] in run_ids:
            raise Contended("somebody else holds them")
        return run_ids


async def test_a_part_that_fails_is_named_and_does_not_hold_up_the_others() -> None:
    canceller = _HalfAway()
    answer = await CancelRunsOfEvent(canceller, runs_at_once=2)(new_id(), new_id())
    assert answer.failed == canceller.ids[2:4]
    assert answer.cancelled == canceller.ids[:2] + canceller.ids[4:]


async def unfinished(
    server: InProcessServer, environment: EnvironmentScope, *event_record_ids: str
) -> set[str]:
    """Asks which events have unfinished runs, as the events service does."""
    answer = await server.caller("events").call(
        RunsInternalServiceStub(server.tasks_channel).ListUnfinishedEvents,
        internal_pb.ListUnfinishedEventsRequest(
            environment_id=str(environment.environment_id), event_record_ids=event_record_ids
        ),
        timeout=TIMEOUT,
    )
    return set(answer.event_record_ids)


async def test_events_are_unfinished_until_their_last_run_has_ended(
    server: InProcessServer,
) -> None:
    environment, other = server.credentials.add_environment(), server.credentials.add_environment()
    first, second = request_in(environment), request_in(environment)
    also_first = request_in(environment)
    also_first.event_record_id = first.event_record_id
    asked = request_in(environment)
    asked.ClearField("dispatcher_id")
    asked.request_id = "again"
    ids = await create(server, first, also_first, second, asked)
    events = [first.event_record_id, second.event_record_id, asked.event_record_id]
    assert await unfinished(server, environment, *events, str(new_id())) == set(events)
    assert await unfinished(server, other, *events) == set()
    assert await unfinished(server, environment) == set()
    await cancel(server, environment, ids[0])
    await cancel(server, environment, ids[2])
    assert await unfinished(server, environment, *events) == {events[0], events[2]}
    await cancel(server, environment, ids[1])
    await cancel(server, environment, ids[3])
    assert await unfinished(server, environment, *events) == set()
