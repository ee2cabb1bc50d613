"""What is enqueued by the clock, as operators see it and step in."""

import re

from google.protobuf.timestamp_pb2 import Timestamp

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.workerqueue.v1 import periodic_jobs_service_pb2 as pb
from kongflow.workerqueue.v1.periodic_job_pb2 import PeriodicJob

JOB = PeriodicJob(
    name="nightly",
    kind="purge",
    cron="30 2 * * *",
    time_zone="Europe/Berlin",
    next_time=Timestamp(),
)


def test_list(system: RecordedSystem, run: Run) -> None:
    paused = PeriodicJob(name="weekly", cron="0 8 * * mon", time_zone="UTC", pause_time=Timestamp())
    system.answers["ListPeriodicJobs"] = pb.ListPeriodicJobsResponse(periodic_jobs=[JOB, paused])
    lines = run("queue", "periodic", "list").out.splitlines()
    assert re.match(r"nightly +on +30 2 \* \* \* +Europe/Berlin ", lines[1])
    assert re.match(r"weekly +paused +0 8 \* \* mon +UTC$", lines[2])


def test_pause_resume_and_run(system: RecordedSystem, run: Run) -> None:
    said = ""
    for method in ("Pause", "Resume", "Run"):
        answer = getattr(pb, f"{method}PeriodicJobResponse")(periodic_job=JOB)
        system.answers[f"{method}PeriodicJob"] = answer
        ended = run("queue", "periodic", method.lower(), "nightly", "--reason", "why")
        assert ended.code == 0, ended.err
        said = ended.out + ended.err
        [request] = system.requests(getattr(pb, f"{method}PeriodicJobRequest"))
        assert (request.name, request.reason) == ("nightly", "why")
    # The last one was answered without a job.
    assert "Nothing was enqueued" in said
