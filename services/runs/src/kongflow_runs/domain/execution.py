"""An execution of a run: what the endpoint is told, and what its answer means."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument, parse_json
from kongflow_protocol.documents import InvalidDocument
from kongflow_protocol.execution import (
    ErrorAnswer,
    InvalidPayloadAnswer,
    LaterAnswer,
    SuccessAnswer,
    UnresolvedAuthAnswer,
    read_execution_answer,
)
from kongflow_runs.domain.run import RunState

__all__ = [
    "Answered",
    "Ended",
    "EndpointLimits",
    "EndpointOutcome",
    "EnvironmentDescription",
    "ExecutedEvent",
    "ExecutingRun",
    "TryAgain",
    "Unreachable",
    "Verdict",
    "WithoutUrl",
    "ended_with",
    "execution_body",
    "judge",
]

MAX_FAILURES = 10
MAX_OUTPUT_BYTES = 3_145_728
MAX_MESSAGE_LENGTH = 2_000
MAX_STACK_LENGTH = 20_000
DEVELOPMENT = "DEVELOPMENT"

# What the road there and back may take of the endpoint's time.
_RESERVED_MS = 350
# Below it an SDK yields before it has done anything, for ever.
_SHORTEST_LIMIT_MS = 1_501
_FIRST_DELAY_MS = 500
_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class ExecutingRun:
    """A run whose execution has begun; `started_at` is that of this execution."""

    id: UUID
    environment_id: UUID
    event_record_id: UUID
    endpoint_id: UUID
    job_slug: str
    version: str
    is_test: bool
    failures: int
    duration_ms: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class ExecutedEvent:
    """The event that a run is for."""

    event_id: str
    name: str
    payload: bytes
    context: bytes
    source_context: bytes
    timestamp: datetime
    deliver_at: datetime
    delivered_at: datetime | None
    account_id: str | None
    account_metadata: bytes


@dataclass(frozen=True, slots=True)
class EnvironmentDescription:
    """The environment of a run, with what it belongs to."""

    environment_id: UUID
    slug: str
    type: str
    project_id: UUID
    project_slug: str
    project_name: str
    organization_id: UUID
    organization_slug: str
    organization_title: str
    runs_enabled: bool
    maximum_execution_ms: int


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """What an endpoint can be asked to do; times in milliseconds."""

    has_url: bool
    run_chunk_execution_ms: int
    start_task_threshold_ms: int
    before_execute_task_threshold_ms: int
    before_complete_task_threshold_ms: int
    after_complete_task_threshold_ms: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The endpoint answered; `timed_out`: its platform ended the execution."""

    status_code: int
    body: bytes
    url: str
    duration_ms: int
    timed_out: bool


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The endpoint could not be asked; `permanent`: nor will it be later."""

    message: str
    url: str
    duration_ms: int
    permanent: bool
    timed_out: bool


@dataclass(frozen=True, slots=True)
class WithoutUrl:
    """The endpoint has no URL."""

    duration_ms: int = 0


EndpointOutcome = Answered | Unreachable | WithoutUrl


@dataclass(frozen=True, slots=True)
class Ended:
    """The run has ended; `output` None is nothing, which JSON's null is not."""

    state: RunState
    output: JsonDocument | None
    error: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The endpoint is asked again after a pause."""

    delay_ms: int


Verdict = Ended | TryAgain


def execution_body(
    run: ExecutingRun,
    event: ExecutedEvent,
    environment: EnvironmentDescription,
    limits: EndpointLimits,
) -> bytes:
    """The body of EXECUTE_JOB. What is not set is left out: the SDK takes null for a mistake."""
    body: dict[str, Any] = {
        "event": _event(event),
        "job": {"id": run.job_slug, "version": run.version},
        "run": {
            "id": str(run.id),
            "isTest": run.is_test,
            "isRetry": False,
            "startedAt": _time(run.started_at),
        },
        "environment": {
            "id": str(environment.environment_id),
            "slug": environment.slug,
            "type": environment.type,
        },
        "organization": {
            "id": str(environment.organization_id),
            "slug": environment.organization_slug,
            "title": environment.organization_title,
        },
        "project": {
            "id": str(environment.project_id),
            "slug": environment.project_slug,
            "name": environment.project_name,
        },
        "tasks": [],
        "connections": {},
        "yieldedExecutions": [],
        "autoYieldConfig": {
            "startTaskThreshold": limits.start_task_threshold_ms,
            "beforeExecuteTaskThreshold": limits.before_execute_task_threshold_ms,
            "beforeCompleteTaskThreshold": limits.before_complete_task_threshold_ms,
            "afterCompleteTaskThreshold": limits.after_complete_task_threshold_ms,
        },
    }
    limit = limits.run_chunk_execution_ms - _RESERVED_MS
    if limit >= _SHORTEST_LIMIT_MS:
        body["runChunkExecutionLimit"] = limit
    if event.account_id is not None:
        body["account"] = {
            "id": event.account_id,
            "metadata": orjson.Fragment(event.account_metadata or b"{}"),
        }
    if event.source_context:
        body["source"] = orjson.Fragment(event.source_context)
    return orjson.dumps(body)


def _event(event: ExecutedEvent) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": event.event_id,
        "name": event.name,
        # As it was sent: what is read and written again may come out as something else.
        "payload": orjson.Fragment(event.payload),
        "context": orjson.Fragment(event.context),
        "timestamp": _time(event.timestamp),
        "deliverAt": _time(event.deliver_at),
    }
    if event.delivered_at is not None:
        described["deliveredAt"] = _time(event.delivered_at)
    return described


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ended_with(state: RunState, message: str, *, failed: bool = False) -> Ended:
    """An end that has no words of the program's."""
    return Ended(state, _document({"message": message}), message, failed)


def judge(
    outcome: EndpointOutcome, run: ExecutingRun, environment: EnvironmentDescription
) -> Verdict:
    """What an execution means for its run (docs/behaviour.md#executing-a-run)."""
    match outcome:
        case WithoutUrl():
            return ended_with(RunState.FAILURE, "Endpoint has no URL set")
        case Unreachable():
            if outcome.permanent:
                return ended_with(RunState.FAILURE, outcome.message, failed=True)
            if outcome.timed_out:
                return _timed_out(outcome.duration_ms)
            return _failed(run, environment, outcome)
        case Answered():
            return _judge_answer(outcome, run, environment)


def _judge_answer(
    answer: Answered, run: ExecutingRun, environment: EnvironmentDescription
) -> Verdict:
    if answer.timed_out:
        return _timed_out(answer.duration_ms)
    if answer.status_code == 200:
        return _judge_body(answer.body)
    if 400 <= answer.status_code < 500:
        return _refused(answer)
    return _failed(run, environment, answer)


def _judge_body(body: bytes) -> Ended:
    try:
        answer = read_execution_answer(body)
        match answer:
            case SuccessAnswer():
                return Ended(RunState.SUCCESS, _output(answer.output))
            case ErrorAnswer():
                return _thrown(answer)
            case InvalidPayloadAnswer():
                return Ended(
                    RunState.INVALID_PAYLOAD, _output(answer.errors), "The payload is invalid"
                )
            case UnresolvedAuthAnswer():
                return Ended(
                    RunState.UNRESOLVED_AUTH,
                    _output(answer.issues),
                    "An integration could not authenticate",
                )
            case LaterAnswer():
                # The place where tasks and waits will go on.
                return ended_with(
                    RunState.FAILURE,
                    f"The job answered {answer.status}, which is not supported yet: "
                    "tasks and waits inside of jobs come with a later version",
                )
    except InvalidDocument as error:
        return ended_with(
            RunState.FAILURE, f"The endpoint's answer is not valid: {error}", failed=True
        )
    except InvalidField as error:
        return ended_with(RunState.FAILURE, f"The output {error.description}")


def _thrown(answer: ErrorAnswer) -> Ended:
    """What a job threw: of an error that is too large to be stored, its beginning."""
    message = _short(answer.message)
    try:
        return Ended(RunState.FAILURE, _output(answer.error), message)
    except InvalidField as error:
        said: dict[str, object] = {"message": message, "problem": f"The error {error.description}"}
        details = orjson.loads(answer.error)
        said |= {
            key: _short(details[key], MAX_STACK_LENGTH)
            for key in ("name", "stack")
            if isinstance(details.get(key), str)
        }
        return Ended(RunState.FAILURE, _document(said), message)


def _short(text: str, most: int = MAX_MESSAGE_LENGTH) -> str:
    """As much of a program's words as lists can show; the output has all of them."""
    return text if len(text) <= most else f"{text[:most]}…"


def _output(text: bytes | None) -> JsonDocument | None:
    if text is None:
        return None
    return parse_json(text, field="output", max_bytes=MAX_OUTPUT_BYTES)


def _refused(answer: Answered) -> Ended:
    """A 4xx ends the run: with the program's own words where it has any."""
    message = f"Endpoint responded with {answer.status_code} status code"
    try:
        said = parse_json(answer.body, field="body").load()
    except InvalidField:
        return ended_with(RunState.FAILURE, message, failed=True)
    if isinstance(said, dict) and isinstance(said.get("message"), str):
        return Ended(RunState.FAILURE, _document(said), _short(said["message"]), failed=True)
    return ended_with(RunState.FAILURE, message, failed=True)


def _timed_out(duration_ms: int) -> Ended:
    message = f"The endpoint did not answer in time: the execution ended after {duration_ms} ms"
    return ended_with(RunState.TIMED_OUT, message, failed=True)


def _failed(
    run: ExecutingRun, environment: EnvironmentDescription, outcome: Answered | Unreachable
) -> Verdict:
    spent = run.duration_ms + outcome.duration_ms
    if spent >= environment.maximum_execution_ms:
        message = f"The run exceeded the maximum of {environment.maximum_execution_ms} ms"
        return ended_with(RunState.TIMED_OUT, message, failed=True)
    failures = run.failures + 1
    if environment.type == DEVELOPMENT or failures >= MAX_FAILURES:
        message = f"Connection could not be established to the endpoint ({outcome.url})"
        return ended_with(RunState.FAILURE, message, failed=True)
    return TryAgain(int(_FIRST_DELAY_MS * _GROWTH**failures))


def _document(value: object) -> JsonDocument:
    return JsonDocument(orjson.dumps(value))
