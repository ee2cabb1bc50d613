"""`kongflow queue jobs watch` and `kongflow queue audit`."""

import json
import signal
import subprocess
import sys

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.audit_entry_pb2 import AuditEntry
from kongflow.workerqueue.v1.queued_job_pb2 import AttemptError, QueuedJob
from kongflow_cli.client.exit_codes import NO_ANSWER, NOT_ALLOWED, USAGE
from kongflow_common.errors import DependencyUnavailable, InvalidField, PermissionDenied

TIME = Timestamp(seconds=1_767_225_600)
# A test runner in the background has SIGINT ignored, and children inherit that. Not a
# `preexec_fn`: it takes a real fork, after which gRPC, whose servers run in this process, has
# threads in the child as well; they abort it when its files are closed.
INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from kongflow_cli.__main__ import main; main()"
)


def answer() -> pb.WatchQueuedJobsResponse:
    broken = AttemptError(attempt=1, status=status_pb2.Status(code=13, message="it broke"))
    return pb.WatchQueuedJobsResponse(
        queued_jobs=[
            QueuedJob(
                id="q1",
                kind="deliverEvent",
                state=QueuedJob.STATE_RETRYABLE,
                attempt=1,
                max_attempts=6,
                create_time=TIME,
                errors=[broken],
            ),
            QueuedJob(
                id="q2", kind="indexEndpoint", state=QueuedJob.STATE_COMPLETED, end_time=TIME
            ),
        ],
        skipped=True,
        deleted_ids=["q0"],
    )


class TestWatch:
    def test_a_line_per_change(self, system: RecordedSystem, run: Run) -> None:
        system.answers["WatchQueuedJobs"] = answer()
        ended = run(
            *("queue", "jobs", "watch", "--state", "failed", "--queue", "events"),
            *("--kind", "deliverEvent", "--filter", "tag = x", "--changes-only"),
        )
        assert ended.code == 0, ended.err
        first, second = ended.out.splitlines()
        assert first == "2026-01-01T00:00:00Z  retryable  deliverEvent  q1  1/6  it broke"
        assert "completed  indexEndpoint  q2" in second
        assert "q0 is deleted" in ended.err
        assert "More has changed" in ended.err
        request = system.only_call("WatchQueuedJobs", pb.WatchQueuedJobsRequest)
        assert request.filter == (
            '(state = "RETRYABLE" OR state = "DISCARDED") AND queue = "events" '
            'AND kind = "deliverEvent" AND tag = x'
        )
        assert not request.with_present

    def test_json_has_a_document_per_line(self, system: RecordedSystem, run: Run) -> None:
        system.answers["WatchQueuedJobs"] = answer()
        ended = run("queue", "jobs", "watch", "--json")
        documents = [json.loads(line) for line in ended.out.splitlines()]
        assert [each["id"] for each in documents] == ["q1", "q2", "q0"]
        assert documents[0]["state"] == "STATE_RETRYABLE"
        assert documents[2] == {"id": "q0", "deleted": True}
        assert system.only_call("WatchQueuedJobs", pb.WatchQueuedJobsRequest).with_present

    @pytest.mark.parametrize("words", [(), ("--changes-only",)])
    def test_it_ends_after_its_time(
        self, system: RecordedSystem, run: Run, words: tuple[str, ...]
    ) -> None:
        system.streams_stay_open = True
        if not words:
            system.answers["WatchQueuedJobs"] = answer()
        ended = run("queue", "jobs", "watch", "--timeout", "0.5", *words)
        assert ended.code == 0, ended.err
        [call] = system.calls
        assert 0 < call.seconds_left < 1

    def test_a_server_that_never_answers_is_told(self, system: RecordedSystem, run: Run) -> None:
        system.streams_stay_open = True
        ended = run("queue", "jobs", "watch", "--timeout", "0.5")
        assert ended.code == NO_ANSWER
        assert "did not answer within 0.5 s" in ended.err

    def test_refusals_have_the_exit_codes_of_other_commands(
        self, system: RecordedSystem, run: Run
    ) -> None:
        for error, code in (
            (InvalidField("filter", "is not understood"), USAGE),
            (PermissionDenied("not for you"), NOT_ALLOWED),
            (DependencyUnavailable("postgresql"), NO_ANSWER),
        ):
            system.answers["WatchQueuedJobs"] = error
            ended = run("queue", "jobs", "watch")
            assert (ended.code, ended.out) == (code, "")
            assert ended.err.startswith("kongflow: ")
        assert run("queue", "jobs", "watch", "--state", "odd").code == USAGE

    def test_lines_come_at_once_and_control_c_ends_it(self, system: RecordedSystem) -> None:
        system.answers["WatchQueuedJobs"] = answer()
        system.streams_stay_open = True
        with subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, "queue", "jobs", "watch"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert "retryable" in process.stdout.readline()
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=30)
            finally:
                process.kill()
        assert process.returncode == 130
        assert "Traceback" not in err


class TestAudit:
    def test_list(self, system: RecordedSystem, run: Run) -> None:
        former = Struct()
        former.update({"id": 1})
        system.answers["ListAuditEntries"] = pb.ListAuditEntriesResponse(
            audit_entries=[
                AuditEntry(
                    id="a1",
                    create_time=TIME,
                    action=AuditEntry.ACTION_EDIT,
                    caller_name="ann",
                    kind="deliverEvent",
                    queued_job_id="q1",
                    reason="misspelt",
                    former_args=former,
                ),
                AuditEntry(id="a2", action=AuditEntry.ACTION_PAUSE, queue="events"),
                AuditEntry(id="a3", action=AuditEntry.ACTION_REDRIVE, redrive_id="r1"),
                AuditEntry(
                    id="a4", action=AuditEntry.ACTION_RUN, queue="events", periodic_job="nightly"
                ),
                AuditEntry(id="a5", action=AuditEntry.ACTION_LIMIT, queue="runs", max_running=20),
                AuditEntry(id="a6", action=AuditEntry.ACTION_LIMIT, queue="indexing"),
            ]
        )
        ended = run(
            *("queue", "audit", "--job", "q1", "--queue", "events", "--action", "cancel_redrive"),
            *("--by", "ann", "--since", "2026-01-01T00:00:00Z", "--wide"),
        )
        assert ended.code == 0, ended.err
        for text in (
            "ann",
            "edit",
            "deliverEvent q1",
            "misspelt",
            '{"id": 1}',
            "queue events",
            "periodic nightly",
            "queue runs: at most 20",
            "queue indexing: no limit",
        ):
            assert text in ended.out
        request = system.only_call("ListAuditEntries", pb.ListAuditEntriesRequest)
        assert request.filter == (
            'queued_job_id = "q1" AND queue = "events" AND action = "CANCEL_REDRIVE" '
            'AND caller_name = "ann" AND create_time >= "2026-01-01T00:00:00+00:00"'
        )
        items = run("queue", "audit", "--json").json["items"]
        assert [item["action"] for item in items][:2] == ["ACTION_EDIT", "ACTION_PAUSE"]

    def test_bad_words(self, system: RecordedSystem, run: Run) -> None:
        assert run("queue", "audit", "--action", "odd").code == USAGE
        assert run("queue", "audit", "--since", "yesterday-ish").code == USAGE
        assert run("queue", "audit", "--environment", "x").code == USAGE
        system.answers["ListAuditEntries"] = PermissionDenied("not for you")
        assert run("queue", "audit").code == NOT_ALLOWED
