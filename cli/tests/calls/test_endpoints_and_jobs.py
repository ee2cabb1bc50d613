"""`kongflow endpoints` and `kongflow jobs`."""

from cli.tests.calls.conftest import Run
from cli.tests.calls.recorded_system import RecordedSystem
from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.jobs.v1 import job_pb2
from kongflow.jobs.v1 import jobs_service_pb2 as jobs_pb
from kongflow.runs.v1 import run_pb2, runs_service_pb2
from kongflow_cli.client.exit_codes import CONFLICT

ID = "0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c"
INDEX = endpoint_pb2.EndpointIndex


def index(**fields: object) -> endpoint_pb2.EndpointIndex:
    return INDEX(id="i1", **fields)  # type: ignore[arg-type]


def ended(
    index: endpoint_pb2.EndpointIndex,
) -> endpoints_pb.GetEndpointIndexResponse:
    return endpoints_pb.GetEndpointIndexResponse(endpoint_index=index)


class TestEndpoints:
    def test_create_waits_for_the_index(self, system: RecordedSystem, run: Run) -> None:
        system.answers["CreateEndpoint"] = endpoints_pb.CreateEndpointResponse(
            endpoint=endpoint_pb2.Endpoint(slug="shop", url="http://a.example/"),
            endpoint_index=index(state=INDEX.STATE_PENDING),
        )
        system.answers["GetEndpointIndex"] = ended(
            index(
                state=INDEX.STATE_SUCCESS,
                statistics=endpoint_pb2.IndexStatistics(jobs=3, disabled_jobs=1),
            )
        )
        answer = run("endpoints", "create", "shop", "http://a.example/")
        assert answer.code == 0, answer.err
        assert "3 jobs, 1 disabled" in answer.out
        [request] = system.requests(endpoints_pb.CreateEndpointRequest)
        assert (request.endpoint.slug, request.endpoint.url) == ("shop", "http://a.example/")

    def test_no_wait_returns_at_once(self, system: RecordedSystem, run: Run) -> None:
        system.answers["CreateEndpoint"] = endpoints_pb.CreateEndpointResponse(
            endpoint_index=index(state=INDEX.STATE_PENDING)
        )
        answer = run("endpoints", "create", "shop", "http://a.example/", "--no-wait", "--json")
        assert (answer.code, answer.json["state"]) == (0, "STATE_PENDING")
        assert [call.method for call in system.calls] == ["CreateEndpoint"]

    def test_an_index_that_failed_is_no_success(self, system: RecordedSystem, run: Run) -> None:
        system.answers["IndexEndpoint"] = endpoints_pb.IndexEndpointResponse(
            endpoint_index=index(
                state=INDEX.STATE_FAILURE,
                error=endpoint_pb2.IndexError(message="Could not connect to endpoint x"),
            ),
            merged=True,
        )
        answer = run("endpoints", "index", "shop")
        assert answer.code == CONFLICT
        assert "Could not connect to endpoint x" in answer.out
        assert "waits already" in answer.err
        request = system.only_call("IndexEndpoint", endpoints_pb.IndexEndpointRequest)
        assert (request.slug, request.source) == ("shop", INDEX.SOURCE_MANUAL)

    def test_items_that_failed_are_named(self, system: RecordedSystem, run: Run) -> None:
        system.answers["IndexEndpoint"] = endpoints_pb.IndexEndpointResponse(
            endpoint_index=index(
                state=INDEX.STATE_SUCCESS,
                failed_items=[
                    endpoint_pb2.EndpointIndexItem(key="job-a", error_message="no such thing")
                ],
            )
        )
        answer = run("endpoints", "index", ID)
        assert answer.code == CONFLICT
        assert "job-a: no such thing" in answer.out
        assert system.only_call("IndexEndpoint", endpoints_pb.IndexEndpointRequest).id == ID

    def test_get_list_and_items(self, system: RecordedSystem, run: Run) -> None:
        found = endpoint_pb2.Endpoint(id=ID, slug="shop", url="http://a.example/")
        system.answers["GetEndpoint"] = endpoints_pb.GetEndpointResponse(endpoint=found)
        system.answers["ListEndpoints"] = endpoints_pb.ListEndpointsResponse(endpoints=[found])
        assert "http://a.example/" in run("endpoints", "get", "shop").out
        assert "shop" in run("endpoints", "list").out
        system.answers["ListEndpointIndexItems"] = endpoints_pb.ListEndpointIndexItemsResponse(
            endpoint_index_items=[
                endpoint_pb2.EndpointIndexItem(
                    kind=endpoint_pb2.EndpointIndexItem.KIND_JOB,
                    key="job-a",
                    outcome=endpoint_pb2.EndpointIndexItem.OUTCOME_DISABLED,
                )
            ]
        )
        answer = run("endpoints", "items", "i1", "--filter", 'kind = "JOB"')
        assert "disabled" in answer.out
        [request] = system.requests(endpoints_pb.ListEndpointIndexItemsRequest)
        assert request.filter == 'kind = "JOB"'

    def test_update_says_what_changes(self, system: RecordedSystem, run: Run) -> None:
        system.answers["GetEndpoint"] = endpoints_pb.GetEndpointResponse(
            endpoint=endpoint_pb2.Endpoint(id=ID, slug="shop")
        )
        answer = run("endpoints", "update", "shop", "--execution-seconds", "30")
        assert answer.code == 0, answer.err
        [request] = system.requests(endpoints_pb.UpdateEndpointRequest)
        assert list(request.update_mask.paths) == ["run_chunk_execution_limit"]
        assert request.endpoint.run_chunk_execution_limit.seconds == 30

    def test_delete(self, system: RecordedSystem, run: Run) -> None:
        system.answers["GetEndpoint"] = endpoints_pb.GetEndpointResponse(
            endpoint=endpoint_pb2.Endpoint(id=ID, slug="shop")
        )
        assert run("endpoints", "delete", "shop").code == 0
        assert system.requests(endpoints_pb.DeleteEndpointRequest)[0].id == ID


class TestJobs:
    def test_list_and_get(self, system: RecordedSystem, run: Run) -> None:
        job = job_pb2.Job(
            id=ID,
            slug="order",
            latest_version=job_pb2.JobVersion(
                version="1.0.0",
                state=job_pb2.JobVersion.STATE_ACTIVE,
                trigger=job_pb2.JobVersion.TRIGGER_STATIC,
            ),
        )
        job.latest_version.event_specification.json = b'{"name": "order.created"}'
        system.answers["ListJobs"] = jobs_pb.ListJobsResponse(jobs=[job])
        system.answers["GetJob"] = jobs_pb.GetJobResponse(job=job)
        assert "static" in run("jobs", "list").out
        assert "order.created" in run("jobs", "get", "order").out

    def test_test_shows_the_end_of_the_run(self, system: RecordedSystem, run: Run) -> None:
        system.answers["TestJob"] = jobs_pb.TestJobResponse(run_id="r1")
        finished = run_pb2.Run(id="r1", state=run_pb2.Run.STATE_SUCCESS, job_slug="order")
        finished.output.value.string_value = "well done"
        system.answers["GetRun"] = runs_service_pb2.GetRunResponse(run=finished)
        answer = run("jobs", "test", "order", "--payload", '{"n": 1}')
        assert answer.code == 0, answer.err
        assert "well done" in answer.out
        [request] = system.requests(jobs_pb.TestJobRequest)
        assert (request.job_slug, request.payload.json) == ("order", b'{"n": 1}')
        assert request.request_id

    def test_invoke_with_a_key_of_ones_own(self, system: RecordedSystem, run: Run) -> None:
        system.answers["InvokeJob"] = jobs_pb.InvokeJobResponse(run_id="r1")
        answer = run("jobs", "invoke", ID, "--idempotency-key", "k", "--no-wait", "--json")
        assert answer.code == 0, answer.err
        [request] = system.requests(jobs_pb.InvokeJobRequest)
        assert (request.job_id, request.idempotency_key) == (ID, "k")

    def test_the_parts_of_a_job(self, system: RecordedSystem, run: Run) -> None:
        system.answers["GetJob"] = jobs_pb.GetJobResponse(
            job=job_pb2.Job(id=ID, latest_version=job_pb2.JobVersion(id="v1"))
        )
        system.answers["ListJobVersions"] = jobs_pb.ListJobVersionsResponse(
            job_versions=[job_pb2.JobVersion(version="2.0.0")]
        )
        system.answers["ListJobAliases"] = jobs_pb.ListJobAliasesResponse(
            job_aliases=[job_pb2.JobAlias(name="latest", value="2.0.0")]
        )
        example = job_pb2.EventExample(slug="small")
        example.payload.json = b"{}"
        system.answers["ListEventExamples"] = jobs_pb.ListEventExamplesResponse(
            event_examples=[example]
        )
        system.answers["ListJobQueues"] = jobs_pb.ListJobQueuesResponse(
            job_queues=[job_pb2.JobQueue(name="default", max_jobs=100)]
        )
        assert "2.0.0" in run("jobs", "versions", "order").out
        assert "latest" in run("jobs", "aliases", "order").out
        assert "small" in run("jobs", "examples", "order").out
        assert "default" in run("jobs", "queues").out
        assert system.requests(jobs_pb.ListEventExamplesRequest)[0].version_id == "v1"

    def test_delete(self, system: RecordedSystem, run: Run) -> None:
        system.answers["GetJob"] = jobs_pb.GetJobResponse(job=job_pb2.Job(id=ID, slug="order"))
        assert run("jobs", "delete", "order").code == 0
        assert system.requests(jobs_pb.DeleteJobRequest)[0].id == ID
