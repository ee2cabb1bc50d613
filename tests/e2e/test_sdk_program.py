"""A program written with the published SDK: indexed, indexed again, and started in every way."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from kongflow.endpoints.v1 import endpoint_pb2
from kongflow.endpoints.v1 import endpoints_service_pb2 as endpoints_pb
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.events.v1 import event_record_pb2
from kongflow.jobs.v1 import job_pb2
from kongflow.jobs.v1 import jobs_service_pb2 as jobs_pb
from kongflow.jobs.v1.jobs_service_pb2_grpc import JobsServiceStub
from kongflow_common.http.addresses import AddressPolicy
from kongflow_common.rpc.payload_mapping import from_payload
from kongflow_endpoints.application.ports import Called, NotCalled
from kongflow_endpoints.main import endpoint_program
from tests.differential.oracle import ask
from tests.e2e.sdk_scene import PATH, SdkScene, sdk_scene
from tests.local_system import LocalSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ORDERS: list[dict[str, Any]] = [
    {},
    {"sku": "A-17", "mail": "eve@example.com", "total": 120, "weight": 5, "coupon": "X"},
    {"sku": "a-17", "mail": "eve@example.com", "total": 600, "weight": 20.0, "cancelled": None},
    {"city": "MÁLAGA", "coupon": None, "cancelled": None},
    {"city": "Malaga", "cancelled": True, "weight": 1},
    {"city": "Ma\u0301laga", "total": 10, "weight": 10},
    {"total": 999.5, "weight": 10, "tags": ["new", "vip"], "state": "paid", "channel": "web"},
    {"total": "500", "weight": True, "tags": "vip", "state": "draft", "channel": "fax"},
    {"tags": ["vip"], "state": ["draft"], "channel": None},
    {"tags": ["vip"], "state": 1},
    {
        "customer": {"country": "AT"},
        "lines": [{"sku": "B", "count": 1}, {"sku": "A-1", "count": 2}],
    },
    {"customer": [{"country": "FR"}, {"country": "DE"}], "lines": {"sku": "A-1", "count": 1}},
    {"customer": None, "lines": []},
]


@pytest.fixture(scope="module")
def scene(system: LocalSystem) -> Iterator[SdkScene]:
    with sdk_scene(system) as scene:
        yield scene


@pytest.fixture(scope="module")
def first(scene: SdkScene) -> endpoint_pb2.EndpointIndex:
    """The index that came with the endpoint."""
    return scene.register()


def listed(scene: SdkScene) -> dict[str, Any]:
    """What the SDK answered the last time it was asked what it holds."""
    answer: dict[str, Any] = json.loads(scene.calls("INDEX_ENDPOINT")[-1]["answer"])
    return answer


def oracle_takes(scene: SdkScene, name: str, source: str, payload: Any) -> set[str]:
    """The listed jobs whose rule takes an event, by the SDK's own matcher."""
    rules = {
        job["id"]: job["trigger"]["rule"]
        for job in listed(scene)["jobs"]
        if job["enabled"] and job["trigger"]["type"] == "static"
    }
    asked = [
        (slug, json.dumps({"payload": payload, "filter": rule.get("payload")}))
        for slug, rule in rules.items()
        if name in as_list(rule["event"]) and rule["source"] == source
    ]
    verdicts = ask([line for _, line in asked])
    return {slug for (slug, _), (_, taken) in zip(asked, verdicts, strict=True) if taken == "true"}


def as_list(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def started(scene: SdkScene, name: str, payload: Any, **more: Any) -> set[str]:
    """The jobs that an event started, all of which ended well with its payload."""
    event = scene.send(name, payload, **more)
    outcomes = scene.outcomes(event)
    assert len(outcomes) == event.matched_count
    for outcome in outcomes.values():
        assert outcome.state == "SUCCESS", outcome
        assert outcome.output["payload"] == payload
    return set(outcomes)


def test_an_index_holds_all_that_the_program_does(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex
) -> None:
    assert first.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS, first
    said = listed(scene)
    statistics = first.statistics
    enabled = [job for job in said["jobs"] if job["enabled"] and not job.get("internal")]
    assert len(enabled) > 25
    assert statistics.jobs == len(enabled)
    assert statistics.sources == len(said["sources"]) == 1
    assert statistics.webhooks == len(said["webhooks"]) == 1
    assert statistics.dynamic_triggers == len(said["dynamicTriggers"]) == 1
    assert statistics.dynamic_schedules == len(said["dynamicSchedules"]) == 1
    assert statistics.http_endpoints == len(said["httpEndpoints"]) == 2
    assert (statistics.disabled_jobs, statistics.failed, statistics.deferred) == (0, 0, 6)


def test_the_sdk_does_nothing_for_as_long_as_a_probe_says(scene: SdkScene) -> None:
    async def probe() -> Called | NotCalled:
        policy = AddressPolicy(allow_private=True)
        async with endpoint_program(policy, ping_seconds=1, index_seconds=1) as program:
            url, key = f"{scene.program.url}{PATH}", SecretStr(scene.around.key)
            return await program.probe(url, key, timedelta(seconds=1))

    called = asyncio.run(probe())
    assert isinstance(called, Called)
    assert (called.status_code, json.loads(called.body)) == (200, {"ok": True})
    assert timedelta(seconds=1) <= called.duration < timedelta(seconds=10)


def test_each_item_is_kept_as_the_program_said_it(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex
) -> None:
    said, items = listed(scene), scene.items(first.id)
    kinds = {
        "JOB": ("jobs", "id"),
        "SOURCE": ("sources", "key"),
        "WEBHOOK": ("webhooks", "key"),
        "DYNAMIC_TRIGGER": ("dynamicTriggers", "id"),
        "DYNAMIC_SCHEDULE": ("dynamicSchedules", "id"),
        "HTTP_ENDPOINT": ("httpEndpoints", "id"),
    }
    wanted = {(kind, each[key]): each for kind, (part, key) in kinds.items() for each in said[part]}
    assert items.keys() == wanted.keys()
    for place, each in wanted.items():
        kept = from_payload(items[place].metadata, "metadata")
        assert kept is not None
        assert kept.load() == each
        outcome = endpoint_pb2.EndpointIndexItem.OUTCOME_DEFERRED
        if place[0] == "JOB":
            outcome = endpoint_pb2.EndpointIndexItem.OUTCOME_REGISTERED
            if not each["enabled"]:
                outcome = endpoint_pb2.EndpointIndexItem.OUTCOME_DISABLED
        assert items[place].outcome == outcome, items[place]


def test_the_versions_of_protocol_and_sdk_are_known(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex
) -> None:
    request = endpoints_pb.GetEndpointRequest(id=first.endpoint_id)
    endpoint = scene.call(EndpointsServiceStub, "GetEndpoint", request).endpoint
    assert (endpoint.version, endpoint.sdk_version) == ("2023-09-29", "2.3.18")


def test_calls_carry_the_headers_of_the_protocol(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex
) -> None:
    [ping] = scene.calls("PING")
    [index] = scene.calls("INDEX_ENDPOINT")
    assert json.loads(ping["answer"]) == {"ok": True}
    assert ping["headers"]["x-trigger-endpoint-id"] == scene.slug
    for headers in (ping["headers"], index["headers"]):
        assert headers["x-trigger-api-key"] == scene.around.key
        assert headers["x-trigger-version"] == "2023-09-29"
        assert headers["accept"] == "application/json"
        assert "content-type" not in headers
    assert first.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS


def test_jobs_are_what_the_program_says(scene: SdkScene, first: endpoint_pb2.EndpointIndex) -> None:
    triggers = job_pb2.JobVersion.Trigger
    for each in listed(scene)["jobs"]:
        if not each["enabled"]:
            continue
        job = scene.job(each["id"])
        version = job.latest_version
        assert (job.title, version.version) == (each["name"], each["version"])
        assert job.internal == bool(each.get("internal"))
        assert triggers.Name(version.trigger) == f"TRIGGER_{each['trigger']['type'].upper()}"
        assert version.endpoint_id == first.endpoint_id
        limit = each.get("concurrencyLimit", 0)
        if isinstance(limit, dict):
            assert version.concurrency_limit_group == limit["id"]
        else:
            assert version.concurrency_limit == limit
    request = jobs_pb.ListEventExamplesRequest(
        version_id=scene.job("with-examples").latest_version.id
    )
    examples = scene.call(JobsServiceStub, "ListEventExamples", request).event_examples
    assert {(each.slug, each.name, each.icon) for each in examples} == {
        ("small", "A small one", "account"),
        ("large", "Good day", ""),
    }


@pytest.mark.parametrize("payload", ORDERS, ids=range(len(ORDERS)))
def test_an_order_starts_the_jobs_whose_filters_the_sdks_matcher_says_match(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex, payload: dict[str, Any]
) -> None:
    assert first.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
    wanted = oracle_takes(scene, "order.placed", "trigger.dev", payload)
    assert started(scene, "order.placed", payload) == wanted


def test_the_orders_meet_every_job(scene: SdkScene, first: endpoint_pb2.EndpointIndex) -> None:
    """Each of the jobs on orders takes some of them and, but for one, not all."""
    assert first.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
    taken = [oracle_takes(scene, "order.placed", "trigger.dev", each) for each in ORDERS]
    jobs = {job["id"] for job in listed(scene)["jobs"] if job["id"].startswith("order-")}
    assert set().union(*taken) == jobs
    assert set.intersection(*taken) == {"order-any"}


def test_names_and_sources_are_exact(scene: SdkScene, first: endpoint_pb2.EndpointIndex) -> None:
    assert first.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
    for name in ("user.created", "user.updated"):
        assert started(scene, name, {"n": 1}) == {"many-names"}
    assert started(scene, "user.created", {"n": 1}, source="shop") == {"other-source"}
    assert started(scene, "user.deleted", {"n": 1}) == set()


def test_scheduled_dynamic_and_invoked_jobs_take_no_events(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex
) -> None:
    assert first.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
    for name in ("dev.trigger.scheduled", "trigger.scheduled", "invoke", "toy.happened"):
        assert started(scene, name, {"ts": "2026-01-01T00:00:00Z"}) == set()


def test_a_request_reaches_the_job_of_an_http_endpoint(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex
) -> None:
    assert first.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
    for method, wanted in (("POST", {"on-hook"}), ("PUT", set())):
        event = scene.send(
            "httpendpoint.hooks",
            {
                "url": "https://hooks.example.com/x",
                "method": method,
                "headers": {"content-type": "application/json"},
                "rawBody": '{"n": 1}',
            },
            source="hooks.example.com",
            payload_type=event_record_pb2.EventRecord.PAYLOAD_TYPE_REQUEST,
        )
        outcomes = scene.outcomes(event)
        assert set(outcomes) == wanted
        for outcome in outcomes.values():
            assert outcome.output == {"method": "POST", "body": {"n": 1}}


def test_a_program_that_changes_is_indexed_again(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex
) -> None:
    """Jobs changed, disabled, removed, switched on; a version that is older again."""
    assert first.statistics.disabled_jobs == 0
    order = {"total": 700, "weight": 2}
    second = scene.index("second")
    assert second.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS, second
    assert (second.statistics.disabled_jobs, second.statistics.failed) == (2, 0)
    disabled = job_pb2.JobVersion.STATE_DISABLED
    assert scene.job("order-any").latest_version.state == disabled
    assert scene.job("many-names").latest_version.state == disabled
    assert scene.job("greet").title == "Good evening"
    assert scene.job("order-numbers").latest_version.version == "1.1.0"
    assert started(scene, "user.created", {"n": 2}) == {"switched-off"}
    for total, wanted in ((200, set()), (700, {"order-numbers"})):
        payload = {**order, "total": total}
        took = started(scene, "order.placed", payload)
        assert took == oracle_takes(scene, "order.placed", "trigger.dev", payload)
        assert took & {"order-any", "order-numbers"} == wanted

    third = scene.index("third")
    assert third.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS, third
    # The older version is there again; the latest one stays, and what it takes.
    assert scene.job("order-numbers").latest_version.version == "1.1.0"
    assert "order-numbers" not in started(scene, "order.placed", {**order, "total": 200})
    [taken] = [
        outcome
        for slug, outcome in scene.outcomes(scene.send("order.placed", order)).items()
        if slug == "order-numbers"
    ]
    assert taken.told["body"]["job"]["version"] == "1.1.0"

    assert scene.index("first").state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
    assert scene.job("greet").title == "Good day"
    assert started(scene, "user.created", {"n": 3}) == {"many-names"}
    assert "order-any" in started(scene, "order.placed", order)


def test_a_program_that_holds_nothing_any_more_takes_nothing(
    scene: SdkScene, first: endpoint_pb2.EndpointIndex
) -> None:
    assert scene.index("first").state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
    live = [job for job in listed(scene)["jobs"] if job["enabled"]]
    empty = scene.index("empty")
    assert (empty.statistics.jobs, empty.statistics.disabled_jobs) == (0, len(live))
    assert started(scene, "order.placed", {"total": 700}) == set()
    again = scene.index("first")
    assert again.statistics.jobs == first.statistics.jobs
    assert "order-any" in started(scene, "order.placed", {"total": 700})
