"""`kongflow runs` and `kongflow queue`."""

import re

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Struct
from google.rpc import error_details_pb2, status_pb2

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.runs.v1 import runs_service_pb2
from kongflow.runs.v1.run_pb2 import Run as RunMessage
from kongflow.workerqueue.v1 import workerqueue_service_pb2
from kongflow.workerqueue.v1.queue_pb2 import Queue, QueueStats
from kongflow.workerqueue.v1.queued_job_pb2 import AttemptError, QueuedJob
from kongflow.workerqueue.v1.redrive_pb2 import Redrive
from kongflow_cli.client.exit_codes import CONFLICT, USAGE
from kongflow_common.auth.principals import CallerKind
from kongflow_common.errors import PreconditionFailed


def test_get_run(system: RecordedSystem, run: Run) -> None:
    system.answers["GetRun"] = runs_service_pb2.GetRunResponse(
        run=RunMessage(id="r1", state=RunMessage.STATE_SUCCESS, number=7, version_alias="latest")
    )
    ended = run("runs", "get", "r1")
    assert "success" in ended.out
    assert "latest" in ended.out
    # As proto JSON has it: 64-bit numbers are texts.
    assert run("runs", "get", "r1", "--json").json["number"] == "7"


def test_list_runs(system: RecordedSystem, run: Run) -> None:
    ended = run(
        *("runs", "list", "--job", "j", "--event", "e", "--dispatcher", "d", "--test"),
        *("--state", "Failure", "--state", "timed_out"),
    )
    assert ended.code == 0, ended.err
    request = system.only_call("ListRuns", runs_service_pb2.ListRunsRequest)
    assert request.filter == (
        '(state = "FAILURE" OR state = "TIMED_OUT") AND job_slug = "j" AND event_record_id = "e" '
        'AND dispatcher_id = "d" AND test = true'
    )
    assert system.calls[0].principal.kind is CallerKind.SECRET_KEY


def test_cancel_run(system: RecordedSystem, run: Run) -> None:
    system.answers["CancelRun"] = runs_service_pb2.CancelRunResponse(
        run=RunMessage(id="r1", state=RunMessage.STATE_CANCELED)
    )
    assert "canceled" in run("runs", "cancel", "r1").out
    request = system.only_call("CancelRun", runs_service_pb2.CancelRunRequest)
    assert request == runs_service_pb2.CancelRunRequest(id="r1")


class TestQueue:
    def job(self, **fields: object) -> QueuedJob:
        known = AnyMessage()
        known.Pack(error_details_pb2.ErrorInfo(reason="RUN_AWAY"))
        unknown = AnyMessage(type_url="type.example.com/not.Known", value=b"\x01")
        arguments = Struct()
        arguments.update({"id": "0197", "revision": 1})
        return QueuedJob(
            id="q1",
            kind="deliverEvent",
            state=QueuedJob.STATE_DISCARDED,
            attempt=2,
            max_attempts=5,
            args=arguments,
            errors=[
                AttemptError(
                    attempt=1,
                    status=status_pb2.Status(code=13, message="it broke", details=[known, unknown]),
                )
            ],
        )

    def test_get(self, system: RecordedSystem, run: Run) -> None:
        system.answers["GetQueuedJob"] = workerqueue_service_pb2.GetQueuedJobResponse(
            queued_job=self.job()
        )
        ended = run("queue", "jobs", "get", "q1")
        assert "2/5" in ended.out
        assert "it broke" in ended.out
        # Not 1.0, though a Struct has doubles only; the order of its members is not kept.
        assert re.search(r'"revision": 1,?\n', ended.out)
        assert system.calls[0].principal.kind is CallerKind.OPERATOR
        details = run("queue", "jobs", "get", "q1", "--json").json["errors"][0]["status"]["details"]
        assert details[0]["reason"] == "RUN_AWAY"
        assert details[1]["value"] == {"type_url": "type.example.com/not.Known", "value": "AQ=="}

    def test_get_shows_the_keys_of_limits(self, system: RecordedSystem, run: Run) -> None:
        system.answers["GetQueuedJob"] = workerqueue_service_pb2.GetQueuedJobResponse(
            queued_job=QueuedJob(
                id="q1", serial_key="line", concurrency_key="mail", rate_key='account:["a"]'
            )
        )
        ended = run("queue", "jobs", "get", "q1")
        assert ended.code == 0, ended.err
        for name, key in (("Serial key", "line"), ("Concurrency key", "mail")):
            assert re.search(rf"^{name} +{key}$", ended.out, re.MULTILINE), ended.out
        assert 'account:["a"]' in ended.out

    def test_retry(self, system: RecordedSystem, run: Run) -> None:
        assert run("queue", "jobs", "retry", "q1").code == 0
        request = system.only_call("RetryQueuedJob", workerqueue_service_pb2.RetryQueuedJobRequest)
        assert (request.id, request.args) == ("q1", b"")

    def test_retry_with_other_arguments(self, system: RecordedSystem, run: Run) -> None:
        assert run("queue", "jobs", "retry", "q1", "--args", '{"id": 1}').code == 0
        request = system.only_call("RetryQueuedJob", workerqueue_service_pb2.RetryQueuedJobRequest)
        assert request.args == b'{"id": 1}'

    def test_empty_arguments_are_not_taken_for_none(self, system: RecordedSystem, run: Run) -> None:
        ended = run("queue", "jobs", "retry", "q1", "--args", "")
        assert (ended.code, system.calls) == (USAGE, [])
        assert "must not be empty" in ended.err

    @pytest.mark.parametrize("command", ["list", "watch"])
    def test_empty_filters_are_refused(
        self, system: RecordedSystem, run: Run, command: str
    ) -> None:
        assert run("queue", "jobs", command, "--filter", "").code == USAGE
        assert system.calls == []

    def test_cancel_says_why_and_shows_the_job(self, system: RecordedSystem, run: Run) -> None:
        system.answers["CancelQueuedJob"] = workerqueue_service_pb2.CancelQueuedJobResponse(
            queued_job=QueuedJob(id="q1", state=QueuedJob.STATE_CANCELLED)
        )
        ended = run("queue", "jobs", "cancel", "q1", "--reason", "a mistake")
        assert ended.code == 0, ended.err
        assert "cancelled" in ended.out
        request = system.only_call(
            "CancelQueuedJob", workerqueue_service_pb2.CancelQueuedJobRequest
        )
        assert (request.id, request.reason) == ("q1", "a mistake")

    def test_cancel_of_an_ended_job_is_refused(self, system: RecordedSystem, run: Run) -> None:
        system.answers["CancelQueuedJob"] = PreconditionFailed("q1 has ended", subject="q1")
        ended = run("queue", "jobs", "cancel", "q1")
        assert ended.code == CONFLICT
        assert "has ended" in ended.err

    def test_delete(self, system: RecordedSystem, run: Run) -> None:
        ended = run("queue", "jobs", "delete", "q1")
        assert (ended.code, ended.out) == (0, "")
        assert "deleted" in ended.err
        request = system.only_call(
            "DeleteQueuedJob", workerqueue_service_pb2.DeleteQueuedJobRequest
        )
        assert request.id == "q1"
        assert run("queue", "jobs", "delete", "q1", "--json").json == {}

    def test_failed_means_both(self, system: RecordedSystem, run: Run) -> None:
        ended = run(
            *("queue", "jobs", "list", "--state", "failed", "--state", "discarded"),
            *("--queue", "events", "--kind", "deliverEvent", "--priority", "very_low"),
        )
        assert ended.code == 0, ended.err
        request = system.only_call("ListQueuedJobs", workerqueue_service_pb2.ListQueuedJobsRequest)
        assert request.filter == (
            '(state = "RETRYABLE" OR state = "DISCARDED") AND queue = "events" '
            'AND kind = "deliverEvent" AND priority = "VERY_LOW"'
        )
        assert system.calls[0].environment is None

    def test_of_one_environment(self, system: RecordedSystem, run: Run) -> None:
        ended = run("queue", "jobs", "list", "--environment", system.environment_id)
        assert ended.code == 0, ended.err
        assert system.calls[0].metadata["kongflow-environment"] == system.environment_id


class TestQueues:
    def test_list(self, system: RecordedSystem, run: Run) -> None:
        paused = Queue(name="mail", waiting_count=2)
        paused.pause_time.GetCurrentTime()
        busy = Queue(name="events", available_count=7, running_count=20)
        busy.oldest_wait.FromSeconds(90)
        busy.max_running = 20
        system.answers["ListQueues"] = workerqueue_service_pb2.ListQueuesResponse(
            queues=[busy, paused]
        )
        lines = run("queue", "list").out.splitlines()
        assert re.match(r"events +on +7 +20 +0 +20 +0:01:30$", lines[1])
        assert re.match(r"mail +paused +0 +0 +2 +now$", lines[2])
        assert [each["name"] for each in run("queue", "list", "--json").json["items"]] == [
            "events",
            "mail",
        ]
        assert system.calls[0].principal.kind is CallerKind.OPERATOR

    def test_stats(self, system: RecordedSystem, run: Run) -> None:
        system.answers["GetQueueStats"] = workerqueue_service_pb2.GetQueueStatsResponse(
            queue_stats=QueueStats(
                queue=Queue(name="events"),
                discarded_count=3,
                last_minute=QueueStats.Throughput(completed_count=90, cancelled_count=1),
                environments=[
                    QueueStats.EnvironmentShare(environment_id="e1", unfinished_count=5),
                    QueueStats.EnvironmentShare(unfinished_count=1, running_count=1),
                ],
            )
        )
        out = run("queue", "stats", "events").out
        assert "90 completed (1.5/s), 0 discarded, 1 cancelled" in out
        assert "e1: 5 unfinished, 0 running" in out
        assert "above all: 1 unfinished, 1 running" in out
        request = system.only_call("GetQueueStats", workerqueue_service_pb2.GetQueueStatsRequest)
        assert request.queue == "events"

    @pytest.mark.parametrize("command", ["pause", "resume", "stats"])
    def test_a_queue_is_of_no_environment(
        self, system: RecordedSystem, run: Run, command: str
    ) -> None:
        """Who names one expects the others to go on."""
        ended = run("queue", command, "events", "--environment", str(system.environment_id))
        assert (ended.code, system.calls) == (USAGE, [])

    def test_pause_and_resume(self, system: RecordedSystem, run: Run) -> None:
        assert run("queue", "pause", "events", "--reason", "deploy").code == 0
        assert run("queue", "resume", "events").code == 0
        [pause] = system.requests(workerqueue_service_pb2.PauseQueueRequest)
        assert (pause.queue, pause.reason) == ("events", "deploy")
        [resume] = system.requests(workerqueue_service_pb2.ResumeQueueRequest)
        assert (resume.queue, resume.reason) == ("events", "")

    def test_limit(self, system: RecordedSystem, run: Run) -> None:
        assert run("queue", "limit", "events", "--max-running", "5", "--reason", "calm").code == 0
        request = system.only_call("LimitQueue", workerqueue_service_pb2.LimitQueueRequest)
        assert (request.queue, request.max_running, request.reason) == ("events", 5, "calm")
        assert run("queue", "limit", "events").code == 2


class TestRedrive:
    def test_dry_run(self, system: RecordedSystem, run: Run) -> None:
        system.answers["RedriveQueuedJobs"] = workerqueue_service_pb2.RedriveQueuedJobsResponse(
            redrive=Redrive(total_count=12),
            sample=[QueuedJob(id="q1", kind="deliverEvent", state=QueuedJob.STATE_DISCARDED)],
        )
        ended = run(
            *("queue", "jobs", "redrive", "--kind", "deliverEvent", "--queue", "events"),
            *("--error-code", "INTERNAL", "--filter", "tag = a", "--rate", "7", "--dry-run"),
        )
        assert "q1" in ended.out
        assert "12 would run again, 7 each second; nothing was done." in ended.err
        request = system.only_call(
            "RedriveQueuedJobs", workerqueue_service_pb2.RedriveQueuedJobsRequest
        )
        assert request.filter == (
            'kind = "deliverEvent" AND queue = "events" AND error_code = "INTERNAL" AND tag = a'
        )
        assert (request.jobs_per_second, request.validate_only) == (7, True)
        answer = run("queue", "jobs", "redrive", "--dry-run", "--json").json
        assert answer["redrive"]["total_count"] == "12"
        assert len(answer["sample"]) == 1

    def test_a_dry_run_shows_other_arguments(self, system: RecordedSystem, run: Run) -> None:
        job = QueuedJob(id="q1", kind="deliverEvent", state=QueuedJob.STATE_DISCARDED)
        job.args.update({"eventRecordId": "x", "deliveryRevision": 2})
        answer = workerqueue_service_pb2.RedriveQueuedJobsResponse(
            redrive=Redrive(total_count=12), sample=[job]
        )
        answer.refused.add(queued_job_id="q2", description="is no request of deliverEvent")
        system.answers["RedriveQueuedJobs"] = answer
        ended = run(
            *("queue", "jobs", "redrive", "--kind", "deliverEvent", "--dry-run"),
            *("--args-patch", '{"deliveryRevision": 2}'),
        )
        assert '{"deliveryRevision": 2, "eventRecordId": "x"}' in ended.out
        assert "q2 would stay: is no request of deliverEvent" in ended.err
        request = system.only_call(
            "RedriveQueuedJobs", workerqueue_service_pb2.RedriveQueuedJobsRequest
        )
        assert request.args_patch == b'{"deliveryRevision": 2}'
        assert not request.HasField("args")

    def test_arguments_are_replaced_or_patched(self, system: RecordedSystem, run: Run) -> None:
        redrive = Redrive(id="r1", total_count=9, redriven_count=4, refused_count=2)
        redrive.args.update({"runId": "r"})
        system.answers["RedriveQueuedJobs"] = workerqueue_service_pb2.RedriveQueuedJobsResponse(
            redrive=redrive
        )
        words = ("queue", "jobs", "redrive", "--kind", "startRun", "--args", '{"runId": "r"}')
        ended = run(*words, "--args-patch", "{}")
        assert (ended.code, system.calls) == (USAGE, [])
        ended = run(*words)
        assert ended.code == 0, ended.err
        assert "4/9, 2 refused" in ended.out
        assert '{"runId": "r"}' in ended.out
        [request] = system.requests(workerqueue_service_pb2.RedriveQueuedJobsRequest)
        assert request.args == b'{"runId": "r"}'
        assert not request.HasField("args_patch")

    def test_an_empty_filter_is_not_taken_for_all(self, system: RecordedSystem, run: Run) -> None:
        ended = run("queue", "jobs", "redrive", "--filter", "")
        assert (ended.code, system.calls) == (USAGE, [])
        assert "must not be empty" in ended.err

    @pytest.mark.parametrize("options", [(), ("--all", "--kind", "deliverEvent")])
    def test_either_some_or_all_run_again(
        self, system: RecordedSystem, run: Run, options: tuple[str, ...]
    ) -> None:
        ended = run("queue", "jobs", "redrive", *options)
        assert (ended.code, system.calls) == (USAGE, [])
        assert "Either options say which run again, or --all." in ended.err

    def test_begin_look_and_stop(self, system: RecordedSystem, run: Run) -> None:
        redrive = Redrive(
            id="r1",
            state=Redrive.STATE_RUNNING,
            jobs_per_second=100,
            total_count=9,
            redriven_count=4,
            skipped_count=1,
        )
        system.answers["RedriveQueuedJobs"] = workerqueue_service_pb2.RedriveQueuedJobsResponse(
            redrive=redrive
        )
        system.answers["GetRedrive"] = workerqueue_service_pb2.GetRedriveResponse(redrive=redrive)
        system.answers["CancelRedrive"] = workerqueue_service_pb2.CancelRedriveResponse(
            redrive=redrive
        )
        for command in (
            ("redrive", "--all", "--reason", "well again"),
            ("redrive-status", "r1"),
            ("redrive-stop", "r1", "--reason", "no"),
        ):
            ended = run("queue", "jobs", *command)
            assert ended.code == 0, ended.err
            assert "4/9, 1 skipped" in ended.out
        [begun] = system.requests(workerqueue_service_pb2.RedriveQueuedJobsRequest)
        assert (begun.reason, begun.filter, begun.validate_only) == ("well again", "", False)
        [stopped] = system.requests(workerqueue_service_pb2.CancelRedriveRequest)
        assert (stopped.id, stopped.reason) == ("r1", "no")

    def test_a_rate_has_bounds(self, system: RecordedSystem, run: Run) -> None:
        assert run("queue", "jobs", "redrive", "--rate", "0").code == USAGE
        assert not system.calls
