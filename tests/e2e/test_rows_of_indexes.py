"""All rows that the indexes of a program written with the SDK leave, in all contexts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest

from kongflow.endpoints.v1 import endpoint_pb2
from kongflow_jobs.domain.version_order import newest
from tests.e2e.sdk_scene import SdkScene, sdk_scene
from tests.e2e.test_sdk_program import as_list, listed
from tests.local_system import LocalSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

Rows = list[tuple[Any, ...]]

_VERSIONS = """
SELECT j.slug, j.title, j.internal, j.deleted_at, v.version, v.status, v.start_position,
       v.preprocess_runs, v.concurrency_limit, g.name, g.concurrency_limit, q.name, v.trigger,
       v.event_specification, v.properties, v.trigger_link, v.trigger_help, v.endpoint_id
FROM jobs.job_versions v
JOIN jobs.jobs j ON j.id = v.job_id
JOIN jobs.job_queues q ON q.id = v.queue_id
LEFT JOIN jobs.concurrency_limit_groups g ON g.id = v.concurrency_limit_group_id
WHERE v.environment_id = %s
"""
_ALIASES = """
SELECT j.slug, a.name, a.value, v.version, a.pinned
FROM jobs.job_aliases a
JOIN jobs.jobs j ON j.id = a.job_id
JOIN jobs.job_versions v ON v.id = a.version_id
WHERE a.environment_id = %s
"""
_EXAMPLES = """
SELECT j.slug, v.version, e.slug, e.name, e.icon, e.payload
FROM jobs.event_examples e
JOIN jobs.job_versions v ON v.id = e.job_version_id
JOIN jobs.jobs j ON j.id = v.job_id
WHERE v.environment_id = %s
"""
_INTEGRATIONS = """
SELECT j.slug, v.version, u.key, i.slug, i.title, i.auth_source, i.setup_status
FROM jobs.job_integrations u
JOIN jobs.integrations i ON i.id = u.integration_id
JOIN jobs.job_versions v ON v.id = u.version_id
JOIN jobs.jobs j ON j.id = u.job_id
WHERE v.environment_id = %s
"""
_DISPATCHERS = """
SELECT j.slug, d.event, d.source, d.payload_filter, d.context_filter, d.manual, d.enabled,
       d.external_account_id, d.dispatchable,
       (SELECT jsonb_build_object('type', 'JOB_VERSION', 'alias', a.name, 'job_id', a.job_id,
                                  'version_id', a.version_id)
        FROM jobs.job_aliases a
        WHERE a.job_id = j.id AND a.environment_id = d.environment_id AND a.name = 'latest')
FROM events.event_dispatchers d
JOIN jobs.jobs j ON j.id::text = d.dispatchable_id
WHERE d.environment_id = %s
"""
_ALL_DISPATCHERS = "SELECT count(*) FROM events.event_dispatchers WHERE environment_id = %s"
_ITEMS = """
SELECT i.kind, i.key, i.version, i.wish, i.internal, i.outcome, i.changed, i.error, i.metadata
FROM endpoints.endpoint_index_items i WHERE i.index_id = %s
"""
_INDEX = "SELECT status, source, stats, error FROM endpoints.endpoint_indexes WHERE id = %s"
_OTHERS = {
    "sources": ("SOURCE", "key"),
    "webhooks": ("WEBHOOK", "key"),
    "dynamicTriggers": ("DYNAMIC_TRIGGER", "id"),
    "dynamicSchedules": ("DYNAMIC_SCHEDULE", "id"),
    "httpEndpoints": ("HTTP_ENDPOINT", "id"),
}


@pytest.fixture(scope="module")
def scene(system: LocalSystem) -> Iterator[SdkScene]:
    with sdk_scene(system) as scene:
        yield scene


@dataclass
class Expected:
    """What the rows must be after all that the program has said so far."""

    versions: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    disabled: set[tuple[str, str]] = field(default_factory=set)
    changed: dict[str, bool] = field(default_factory=dict)
    """Of the last index: the jobs that it disabled, and whether they were not before."""
    dispatchers: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def take(self, said: dict[str, Any]) -> None:
        """Takes an answer to INDEX_ENDPOINT as 1.5 and 1.6 of the semantics do."""
        self.changed = {}
        before = self.live()
        for job in said["jobs"]:
            if job["enabled"]:
                self.register(job)
            else:
                self.disable(job["id"], job["version"])
        for slug in before - {job["id"] for job in said["jobs"]}:
            self.disable(slug, self.latest(slug))

    def register(self, job: dict[str, Any]) -> None:
        slug, version = job["id"], job["version"]
        self.titles[slug] = job["name"]
        self.versions[slug, version] = job
        self.disabled.discard((slug, version))
        if self.latest(slug) != version:
            return
        match job["trigger"]["type"]:
            case "static":
                rule = job["trigger"]["rule"]
                names, source = as_list(rule["event"]), rule["source"]
                taken = (names, source, rule.get("payload"), rule.get("context"), False)
            case "scheduled":
                taken = (["dev.trigger.scheduled"], "trigger.dev", {}, {}, True)
            case _:
                return
        self.dispatchers[slug] = (*taken, True)

    def disable(self, slug: str, version: str) -> None:
        known = (slug, version) in self.versions
        self.changed[slug] = known and (slug, version) not in self.disabled
        if not known:
            return
        self.disabled.add((slug, version))
        if self.latest(slug) == version and slug in self.dispatchers:
            self.dispatchers[slug] = (*self.dispatchers[slug][:-1], False)

    def latest(self, slug: str) -> str:
        return newest([version for each, version in self.versions if each == slug])

    def live(self) -> set[str]:
        slugs = {slug for slug, _ in self.versions}
        return {slug for slug in slugs if (slug, self.latest(slug)) not in self.disabled}


@dataclass
class EnvironmentRows:
    """The rows of an environment."""

    connection: psycopg.Connection[tuple[Any, ...]]
    environment_id: str

    def read(self, query: str) -> Rows:
        return self.of(query, self.environment_id)

    def of(self, query: str, key: str) -> Rows:
        rows = self.connection.execute(query, (UUID(key),)).fetchall()
        return sorted(rows, key=lambda row: tuple(map(str, row[:5])))


def in_order(rows: Rows) -> Rows:
    return sorted(rows, key=lambda row: tuple(map(str, row[:5])))


def check_jobs(rows: EnvironmentRows, expected: Expected, endpoint_id: str) -> None:
    versions, examples, uses = [], [], []
    for (slug, version), job in expected.versions.items():
        limit = job.get("concurrencyLimit")
        group = limit if isinstance(limit, dict) else {}
        trigger = job["trigger"]
        event = {key: value for key, value in job["event"].items() if key != "examples"}
        versions.append(
            (
                *(slug, expected.titles[slug], bool(job.get("internal")), None, version),
                "DISABLED" if (slug, version) in expected.disabled else "ACTIVE",
                *("LATEST", job["preprocessRuns"], None if group else limit),
                *(group.get("id"), group.get("limit"), "default", trigger, event),
                *(trigger.get("properties"), trigger.get("link"), trigger.get("help")),
                UUID(endpoint_id),
            )
        )
        examples += [
            (slug, version, each["id"], each["name"], each.get("icon"), each.get("payload"))
            for each in job["event"].get("examples", [])
        ]
        uses += [
            (
                *(slug, version, key, config["id"], config["metadata"]["name"]),
                config["authSource"],
                "MISSING_FIELDS" if config["authSource"] == "HOSTED" else "COMPLETE",
            )
            for key, config in job["integrations"].items()
        ]
    assert rows.read(_VERSIONS) == in_order(versions)
    assert rows.read(_EXAMPLES) == in_order(examples)
    assert rows.read(_INTEGRATIONS) == in_order(uses)
    latest = {slug: expected.latest(slug) for slug, _ in expected.versions}
    assert rows.read(_ALIASES) == in_order(
        [(slug, "latest", version, version, False) for slug, version in latest.items()]
    )


def check_dispatchers(rows: EnvironmentRows, expected: Expected) -> None:
    found = rows.read(_DISPATCHERS)
    assert [(row[0], *row[1:7]) for row in found] == in_order(
        [(slug, *taken) for slug, taken in expected.dispatchers.items()]
    )
    for *_, account, dispatchable, latest in found:
        assert account is None
        assert dispatchable == latest
    # And none beside those of the jobs.
    assert rows.read(_ALL_DISPATCHERS) == [(len(found),)]


def check_items(
    rows: EnvironmentRows,
    expected: Expected,
    said: dict[str, Any],
    index: endpoint_pb2.EndpointIndex,
) -> None:
    items: Rows = []
    for job in said["jobs"]:
        enabled, slug = job["enabled"], job["id"]
        wish, outcome = ("REGISTER", "REGISTERED") if enabled else ("DISABLE", "DISABLED")
        changed = enabled or expected.changed[slug]
        internal = bool(job.get("internal"))
        items.append(("JOB", slug, job["version"], wish, internal, outcome, changed, None, job))
    for slug in expected.changed.keys() - {job["id"] for job in said["jobs"]}:
        version = expected.latest(slug)
        internal = bool(expected.versions[slug, version].get("internal"))
        items.append(("JOB", slug, version, "DISABLE", internal, "DISABLED", True, None, None))
    for part, (kind, key) in _OTHERS.items():
        items += [
            (kind, each[key], None, "KEEP", False, "DEFERRED", True, None, each)
            for each in said[part]
        ]
    assert rows.of(_ITEMS, index.id) == in_order(items)
    [(status, source, stats, error)] = rows.of(_INDEX, index.id)
    assert (status, error) == ("SUCCESS", None)
    assert source in {"INTERNAL", "API", "MANUAL"}
    own = [job for job in said["jobs"] if job["enabled"] and not job.get("internal")]
    assert stats["jobs"] == len(own)
    assert stats["disabledJobs"] == sum(expected.changed.values())
    for part in _OTHERS:
        assert stats[part] == len(said[part])


def test_the_database_holds_what_the_program_said_and_no_more(
    system: LocalSystem, scene: SdkScene
) -> None:
    """Changed, disabled, removed, an older version, back again, nothing at all, and back."""
    expected = Expected()
    with psycopg.connect(system.connection()["database_url"], autocommit=True) as connection:
        rows = EnvironmentRows(connection, scene.around.environment.id)
        index = scene.register()
        for variant in ("first", "second", "third", "first", "empty", "first", "first"):
            if expected.versions:
                index = scene.index(variant)
            assert index.state == endpoint_pb2.EndpointIndex.STATE_SUCCESS
            said = listed(scene)
            expected.take(said)
            check_items(rows, expected, said, index)
            check_jobs(rows, expected, scene.endpoint_id)
            check_dispatchers(rows, expected)
