"""What an endpoint answers to PING, VALIDATE and INDEX_ENDPOINT."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import orjson
from pydantic import JsonValue

from kongflow_protocol.documents import (
    Document,
    Filter,
    Identifier,
    InvalidDocument,
    Issue,
    Many,
    Members,
    nul_issue,
    read,
    read_value,
)
from kongflow_protocol.jobs import EventSpecification, JobMetadata

__all__ = [
    "Found",
    "IndexAnswer",
    "InvalidJobs",
    "Pong",
    "TooManyItems",
    "Validated",
    "read_index",
    "read_pong",
    "read_validated",
]

_MAX_SHOWN_ISSUES = 50
_MAX_SHOWN_ID = 100


Item = TypeVar("Item", bound=Document)


class Pong(Document):
    """The answer to PING: `error` says why it is not the endpoint that was meant."""

    ok: bool
    error: str = ""


class Validated(Document):
    """The answer to VALIDATE."""

    ok: bool
    endpoint_id: str = ""
    error: str = ""


class _JobReference(Document):
    id: Identifier
    version: str


class _Source(Document):
    version: str = "1"
    channel: Literal["HTTP", "SQS", "SMTP"]
    integration: JsonValue = None
    key: Identifier
    params: JsonValue = None
    options: JsonValue = None
    events: JsonValue = None
    register_source_job: _JobReference | None = None


class _HttpEndpointReference(Document):
    id: Identifier


class _Webhook(Document):
    key: Identifier
    params: JsonValue = None
    config: Members[Many[str]]
    integration: JsonValue = None
    http_endpoint: _HttpEndpointReference


class _DynamicTrigger(Document):
    id: Identifier
    jobs: Many[_JobReference]
    register_source_job: _JobReference | None = None


class _DynamicSchedule(Document):
    id: Identifier
    jobs: Many[_JobReference]


class _ImmediateResponseFilter(Document):
    method: Many[str] | None = None
    headers: Filter | None = None
    query: Filter | None = None
    body: Filter | None = None


class _HttpEndpoint(Document):
    id: Identifier
    version: str
    enabled: bool
    event: EventSpecification
    immediate_response_filter: _ImmediateResponseFilter | None = None
    skip_triggering_runs: bool = False
    source: str


class InvalidJobs(ValueError):
    """Jobs are not what the protocol says: their ids, and an issue each."""

    def __init__(self, issues: Sequence[tuple[str, Issue]]) -> None:
        super().__init__("jobs have issues")
        self.issues = tuple(issues[:_MAX_SHOWN_ISSUES])


class TooManyItems(ValueError):
    """There is more in an endpoint than is taken."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that an endpoint holds; `metadata` is what it says of it, JSON text.

    `version` is that of jobs, else empty; `enabled` and `internal` are for jobs.
    """

    kind: str
    key: str
    metadata: bytes
    version: str = ""
    enabled: bool = True
    internal: bool = False


@dataclass(frozen=True, slots=True)
class IndexAnswer:
    """All that an endpoint holds."""

    items: tuple[Found, ...]


_OTHERS: tuple[tuple[str, str, type[Document], str], ...] = (
    ("sources", "SOURCE", _Source, "key"),
    ("dynamicTriggers", "DYNAMIC_TRIGGER", _DynamicTrigger, "id"),
    ("dynamicSchedules", "DYNAMIC_SCHEDULE", _DynamicSchedule, "id"),
    ("httpEndpoints", "HTTP_ENDPOINT", _HttpEndpoint, "id"),
    ("webhooks", "WEBHOOK", _Webhook, "key"),
)
_OPTIONAL = frozenset({"httpEndpoints", "webhooks"})


def read_pong(body: bytes) -> Pong:
    """Read an answer to PING. Raises InvalidDocument."""
    return read(Pong, body)


def read_validated(body: bytes) -> Validated:
    """Read an answer to VALIDATE. Raises InvalidDocument."""
    return read(Validated, body)


def read_index(body: bytes, *, max_items: int) -> IndexAnswer:
    """Read an answer to INDEX_ENDPOINT.

    Raises InvalidDocument for the whole, InvalidJobs for what is wrong with jobs, and TooManyItems
    for more than `max_items` things.
    """
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidDocument([Issue("", f"is not JSON: {error}")]) from None
    if not isinstance(raw, dict):
        raise InvalidDocument([Issue("", "is not an object")])
    members = cast("dict[str, Any]", raw)
    jobs = _list(members, "jobs", required=True)
    others = {name: _list(members, name, required=name not in _OPTIONAL) for name, *_ in _OTHERS}
    count = len(jobs) + sum(map(len, others.values()))
    if count > max_items:
        raise TooManyItems(f"{count} items; at most {max_items} are taken")
    items = [*_jobs(jobs)]
    for name, kind, model, key in _OTHERS:
        items += _other(others[name], name, kind, model, key)
    return IndexAnswer(tuple(items))


def _list(members: dict[str, Any], name: str, *, required: bool) -> list[Any]:
    found = members.get(name)
    if found is None and not required:
        return []
    if not isinstance(found, list):
        raise InvalidDocument([Issue(name, "must be a list")])
    return found


def _jobs(jobs: list[Any]) -> list[Found]:
    found: list[Found] = []
    issues: list[tuple[str, Issue]] = []
    seen: set[str] = set()
    for index, raw in enumerate(jobs):
        name = raw.get("id") if isinstance(raw, dict) else None
        shown = name[:_MAX_SHOWN_ID] if isinstance(name, str) and name else f"jobs[{index}]"
        try:
            job, metadata = _read_item(JobMetadata, raw)
        except InvalidDocument as error:
            issues += [(shown, issue) for issue in error.issues]
            if len(issues) >= _MAX_SHOWN_ISSUES:
                break
            continue
        if job.id in seen:
            issues.append((shown, Issue("id", "is the id of two jobs")))
        seen.add(job.id)
        found.append(Found("JOB", job.id, metadata, job.version, job.enabled, job.internal))
    if issues:
        raise InvalidJobs(issues)
    return found


def _read_item(model: type[Item], raw: object) -> tuple[Item, bytes]:
    """A thing as its model, and as the text that is stored. Raises InvalidDocument."""
    item = read_value(model, raw)
    metadata = orjson.dumps(raw)
    # Nearly no document holds these characters, and only a look at all values tells their meaning.
    issue = nul_issue(raw) if b"\\u0000" in metadata else None
    if issue is not None:
        raise InvalidDocument([issue])
    return item, metadata


def _other(raws: list[Any], name: str, kind: str, model: type[Document], key: str) -> list[Found]:
    found: dict[str, Found] = {}
    for index, raw in enumerate(raws):
        try:
            item, metadata = _read_item(model, raw)
        except InvalidDocument as error:
            raise InvalidDocument(
                [
                    Issue(f"{name}[{index}].{issue.path}".rstrip("."), issue.message)
                    for issue in error.issues
                ]
            ) from None
        word = str(getattr(item, key))
        if word in found:
            raise InvalidDocument([Issue(f"{name}[{index}].{key}", "is there twice")])
        found[word] = Found(kind, word, metadata)
    return list(found.values())
