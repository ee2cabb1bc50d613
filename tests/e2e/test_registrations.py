"""Registrations at their edges: an event right behind an index, jobs given up, slow programs."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
from psycopg import sql

from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.events.v1 import event_record_pb2
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.runs.v1 import run_pb2
from kongflow.runs.v1 import runs_service_pb2 as runs_pb
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from tests.e2e.changing_program import ChangingProgram, Described, job, served
from tests.e2e.test_jobs import Scene, document, name, scene
from tests.local_system import LocalSystem, poll_until

__all__ = ["name", "scene"]

pytestmark = pytest.mark.e2e

# 1000 is what is promised; fewer show a mistake that is always there.
INDEXES = int(os.environ.get("KONGFLOW_TEST_INDEXES", "40"))
SOON = 0.002
WORKER_SLOTS = 200


@pytest.mark.timeout(60 + INDEXES)
def test_an_event_right_behind_its_index_is_matched(scene: Scene, name: str) -> None:
    """Each index brings a new name of events, and the event is sent as soon as it has ended."""
    matched = []
    for n in range(INDEXES):
        index_id = scene.begin_index(job(name, f"{name}.{n}"))
        poll_until(
            lambda each=index_id: scene.is_indexed(each),
            seconds=30,
            what="the end of the index",
            interval=SOON,
        )
        matched.append(processed(scene, send(scene, f"{name}.{n}")).matched_count)
    assert matched == [1] * INDEXES


def send(scene: Scene, event_name: str) -> str:
    """Sends an event; answers the id of its record."""
    event = event_record_pb2.EventRecord(
        name=event_name, event_id=str(uuid4()), payload=document({})
    )
    request = events_pb.SendEventRequest(event=event)
    return str(scene.call(EventsServiceStub, "SendEvent", request).event_record.id)


def processed(scene: Scene, record_id: str) -> event_record_pb2.EventRecord:
    """An event's record, once it is processed."""
    found: list[event_record_pb2.EventRecord] = []
    request = events_pb.GetEventRecordRequest(id=record_id)

    def is_processed() -> bool:
        found[:] = [scene.call(EventsServiceStub, "GetEventRecord", request).event_record]
        return found[0].HasField("processed_time")

    poll_until(is_processed, seconds=30, what="the event is processed", interval=SOON)
    return found[0]


def test_a_registration_that_is_given_up_ends_its_item_and_its_index(
    scene: Scene, name: str
) -> None:
    """The database refuses one job's row as often as the queue tries, and all the others' not."""
    poison = f"{name}-poison"
    with rows_refused(scene.system, "jobs", "jobs", "slug", poison):
        index_id = scene.begin_index(job(name, name), job(poison, name))
        poll_until(lambda: scene.is_indexed(index_id), seconds=60, what="the end of the index")
    index = scene.call(
        EndpointsServiceStub, "GetEndpointIndex", endpoints_pb.GetEndpointIndexRequest(id=index_id)
    ).endpoint_index
    assert (index.statistics.jobs, index.statistics.failed) == (1, 1)
    [failed] = index.failed_items
    assert failed.key == poison
    assert failed.outcome == endpoint_pb2.EndpointIndexItem.OUTCOME_FAILED
    assert failed.error_message.startswith("Given up after 3 attempts: ")
    # Nothing is there of it, and the other job is as live as ever.
    assert [run["job"] for run in scene.send(name, {})] == [name]
    with pytest.raises(grpc.RpcError) as caught:
        scene.job(poison)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    # The next index makes it good.
    scene.index(job(name, name), job(poison, name))
    assert {run["job"] for run in scene.send(name, {})} == {name, poison}


@contextmanager
def rows_refused(
    system: LocalSystem, schema: str, table: str, column: str, value: str
) -> Iterator[None]:
    """The database fails to store rows with a value, whoever writes them."""
    names = {
        "trigger": sql.Identifier("refuse_rows_in_tests"),
        "function": sql.Identifier(schema, "refuse_rows_in_tests"),
        "table": sql.Identifier(schema, table),
    }
    condition = sql.SQL("NEW.{} = {}").format(sql.Identifier(column), sql.Literal(value))
    begin = (
        (
            "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'refused in a test'; END $$"
        ),
        (
            "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW "
            "WHEN ({condition}) EXECUTE FUNCTION {function}()"
        ),
    )
    end = ("DROP TRIGGER {trigger} ON {table}", "DROP FUNCTION {function}()")
    with psycopg.connect(system.connection()["database_url"], autocommit=True) as connection:
        for statement in begin:
            connection.execute(sql.SQL(statement).format(**names, condition=condition))
        try:
            yield
        finally:
            for statement in end:
                connection.execute(sql.SQL(statement).format(**names))


class SlowProgram(ChangingProgram):
    """Executions last until they are let go."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.let_go = threading.Event()
        self.executing = 0
        self._lock = threading.Lock()

    def answer(self, action: str, body: bytes) -> Described:
        """Answers as others do, executions late."""
        if action == "EXECUTE_JOB":
            with self._lock:
                self.executing += 1
            self.let_go.wait(60)
        return super().answer(action, body)


@pytest.mark.timeout(120)
def test_slow_programs_do_not_hold_up_the_start_of_runs(scene: Scene, name: str) -> None:
    with served(SlowProgram(scene.program.slug)) as program:
        scene.program = program
        scene.index(job(name))
        slow = [scene.invoke(name, {}).run_id for _ in range(WORKER_SLOTS)]
        poll_until(
            lambda: program.executing == WORKER_SLOTS, seconds=30, what="all slots are taken"
        )
        # Its execution has to wait for a slot; it is started, which says what it will execute.
        last = scene.invoke(name, {}).run_id
        poll_until(
            lambda: run_of(scene, last).state == run_pb2.Run.STATE_QUEUED,
            seconds=10,
            what="the run is started",
        )
        assert program.executing == WORKER_SLOTS
        program.let_go.set()
        for run_id in (*slow, last):
            scene.outcome(run_id)


def run_of(scene: Scene, run_id: str) -> Any:
    return scene.call(RunsServiceStub, "GetRun", runs_pb.GetRunRequest(id=run_id)).run
