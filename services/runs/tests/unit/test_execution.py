"""What an endpoint is told, to the byte, and what its answers mean."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from kongflow_runs.domain.execution import (
    Answered,
    Ended,
    ExecutingRun,
    TryAgain,
    Unreachable,
    WithoutUrl,
    execution_body,
    judge,
)
from kongflow_runs.domain.run import RunState
from services.runs.tests.neighbours import AT, EVENT, LIMITS, an_environment, answered

RUN = ExecutingRun(
    id=UUID(int=1),
    environment_id=UUID(int=2),
    event_record_id=UUID(int=3),
    endpoint_id=UUID(int=4),
    job_slug="order",
    version="1.0.0",
    is_test=False,
    failures=0,
    duration_ms=0,
    started_at=AT,
)
PRODUCTION = replace(
    an_environment(),
    environment_id=UUID(int=2),
    project_id=UUID(int=5),
    organization_id=UUID(int=6),
)
UNREACHABLE = Unreachable("no", "http://127.0.0.1/api", 5, permanent=False, timed_out=False)


def test_the_body_says_what_the_sdk_takes_and_nothing_as_null() -> None:
    body = execution_body(RUN, EVENT, PRODUCTION, LIMITS)
    assert body == (
        b'{"event":{"id":"t1","name":"order.created","payload":{"n":1.50},"context":{},'
        b'"timestamp":"2026-11-22T03:20:40.012Z","deliverAt":"2026-11-22T03:20:40.012Z"},'
        b'"job":{"id":"order","version":"1.0.0"},'
        b'"run":{"id":"00000000-0000-0000-0000-000000000001","isTest":false,"isRetry":false,'
        b'"startedAt":"2026-11-22T03:20:40.012Z"},'
        b'"environment":{"id":"00000000-0000-0000-0000-000000000002","slug":"prod",'
        b'"type":"PRODUCTION"},'
        b'"organization":{"id":"00000000-0000-0000-0000-000000000006","slug":"acme",'
        b'"title":"Acme"},'
        b'"project":{"id":"00000000-0000-0000-0000-000000000005","slug":"shop","name":"Shop"},'
        b'"tasks":[],"connections":{},"yieldedExecutions":[],'
        b'"autoYieldConfig":{"startTaskThreshold":750,"beforeExecuteTaskThreshold":1500,'
        b'"beforeCompleteTaskThreshold":750,"afterCompleteTaskThreshold":750},'
        b'"runChunkExecutionLimit":59650}'
    )


def test_what_is_set_is_there() -> None:
    event = replace(
        EVENT,
        delivered_at=AT,
        account_id="acme-1",
        account_metadata=b'{"plan":"pro"}',
        source_context=b'{"id":"key","metadata":{}}',
    )
    body: dict[str, Any] = orjson.loads(execution_body(RUN, event, PRODUCTION, LIMITS))
    assert body["event"]["deliveredAt"] == "2026-11-22T03:20:40.012Z"
    assert body["account"] == {"id": "acme-1", "metadata": {"plan": "pro"}}
    assert body["source"] == {"id": "key", "metadata": {}}


@pytest.mark.parametrize("limit", [0, 350, 1_000, 1_850])
def test_a_limit_under_which_nothing_would_progress_is_left_out(limit: int) -> None:
    body: dict[str, Any] = orjson.loads(
        execution_body(RUN, EVENT, PRODUCTION, replace(LIMITS, run_chunk_execution_ms=limit))
    )
    assert "runChunkExecutionLimit" not in body


def ended(outcome: Answered | Unreachable | WithoutUrl) -> tuple[RunState, Any, str | None]:
    verdict = judge(outcome, RUN, PRODUCTION)
    assert isinstance(verdict, Ended)
    return verdict.state, verdict.output.load() if verdict.output else None, verdict.error


def test_what_the_job_returned_is_stored_as_it_was_sent() -> None:
    success = RunState.SUCCESS
    assert ended(answered(b'{"status":"SUCCESS","output":{"a":[1,null]}}')) == (
        success,
        {"a": [1, None]},
        None,
    )
    nothing = judge(answered(b'{"status":"SUCCESS"}'), RUN, PRODUCTION)
    null = judge(answered(b'{"status":"SUCCESS","output":null}'), RUN, PRODUCTION)
    assert isinstance(nothing, Ended)
    assert isinstance(null, Ended)
    assert nothing.output is None
    assert null.output is not None
    assert null.output.text == b"null"


def test_an_error_ends_the_run_with_all_it_says() -> None:
    error = {"message": "boom", "name": "Error", "stack": "Error: boom\n    at x"}
    body = orjson.dumps({"status": "ERROR", "error": error, "task": {"id": "t"}})
    assert ended(answered(body)) == (RunState.FAILURE, error, "boom")


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        (r"a\ud83d", "a\ufffd"),
        (r"\uDE00b", "\ufffdb"),
        (r"\u0000", "\ufffd"),
        (r"\ud83d\u0000", "\ufffd\ufffd"),
        (r"\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"),
        (r"\ud83d\ude00 \u0000", "\U0001f600 \ufffd"),
        (r"\\ud83d \\u0000 \u0000", r"\ud83d \u0000 " + "\ufffd"),
        (r"\"\n\u00e9\ud83d", '"\n\u00e9\ufffd'),
    ],
)
def test_an_error_keeps_its_message_whatever_is_in_it(written: str, stored: str) -> None:
    """What the parser of JavaScript says of bad input repeats the input."""
    body = f'{{"status":"ERROR","error":{{"message":"{written}","stack":"x {written}"}}}}'
    error = {"message": stored, "stack": f"x {stored}"}
    assert ended(answered(body.encode())) == (RunState.FAILURE, error, stored)


def test_of_an_error_that_is_too_large_the_beginning_is_stored() -> None:
    """Its message stands in lists, so it is short there; what fits is whole in the output."""
    for message, stack in (("the reason", "s" * 4_000_000), ("m" * 4_000_000, "s")):
        error = {"message": message, "name": "Error", "stack": stack, "more": 1}
        body = orjson.dumps({"status": "ERROR", "error": error})
        state, output, shown = ended(answered(body))
        assert state is RunState.FAILURE
        assert shown is not None
        assert shown == output["message"]
        assert shown.removesuffix("\u2026") == message[:2_000]
        assert output["name"] == "Error"
        assert output["stack"].removesuffix("\u2026") == stack[:20_000]
        assert "at most 3145728 are allowed" in output["problem"]
    long = {"message": "m" * 3_000_000}
    body = orjson.dumps({"status": "ERROR", "error": long})
    assert ended(answered(body)) == (RunState.FAILURE, long, "m" * 2_000 + "\u2026")
    refused = {"message": "m" * 100_000}
    assert ended(answered(orjson.dumps(refused), 400))[1:] == (refused, "m" * 2_000 + "\u2026")


def test_other_ends_keep_their_words() -> None:
    errors = [{"path": ["n"], "message": "Required"}]
    body = orjson.dumps({"status": "INVALID_PAYLOAD", "errors": errors})
    assert ended(answered(body))[:2] == (RunState.INVALID_PAYLOAD, errors)
    issues = {"slack": {"id": "slack", "error": "no"}}
    body = orjson.dumps({"status": "UNRESOLVED_AUTH_ERROR", "issues": issues})
    assert ended(answered(body))[:2] == (RunState.UNRESOLVED_AUTH, issues)


@pytest.mark.parametrize(
    "status",
    [
        "RESUME_WITH_TASK",
        "RETRY_WITH_TASK",
        "RESUME_WITH_PARALLEL_TASK",
        "YIELD_EXECUTION",
        "AUTO_YIELD_EXECUTION",
        "AUTO_YIELD_EXECUTION_WITH_COMPLETED_TASK",
        "CANCELED",
    ],
)
def test_the_place_of_tasks_and_waits(status: str) -> None:
    """Tasks and waits come with their own work: until then such an answer ends the run."""
    state, output, error = ended(answered(orjson.dumps({"status": status, "task": {}})))
    assert state is RunState.FAILURE
    assert output == {"message": error}
    assert error is not None
    assert status in error
    assert "not supported yet" in error


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"status":"SOMETHING"}',
        b'{"status":"ERROR"}',
        b'{"status":"INVALID_PAYLOAD","errors":null}',
    ],
)
def test_an_answer_that_is_none_ends_the_run(body: bytes) -> None:
    state, _, error = ended(answered(body))
    assert state is RunState.FAILURE
    assert error is not None
    assert error.startswith("The endpoint's answer is not valid")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (b'"' + b"x" * 3_145_728 + b'"', "3145730 bytes"),
        (b"[" * 201 + b"]" * 201, "200 levels"),
        (b'"\\u0000"', "NUL"),
    ],
)
def test_an_output_that_cannot_be_stored_ends_the_run(output: bytes, words: str) -> None:
    state, _, error = ended(answered(b'{"status":"SUCCESS","output":' + output + b"}"))
    assert state is RunState.FAILURE
    assert error is not None
    assert words in error


def test_a_refusal_ends_the_run_with_the_words_of_the_program() -> None:
    said = b'{"message":"Job not found","more":1}'
    assert ended(answered(said, 404)) == (
        RunState.FAILURE,
        {"message": "Job not found", "more": 1},
        "Job not found",
    )
    message = "Endpoint responded with 403 status code"
    assert ended(answered(b"<html>", 403)) == (RunState.FAILURE, {"message": message}, message)


def test_a_platform_that_ends_the_execution_times_it_out() -> None:
    assert ended(answered(b"", 504, timed_out=True))[0] is RunState.TIMED_OUT
    assert ended(replace(UNREACHABLE, timed_out=True))[0] is RunState.TIMED_OUT


@pytest.mark.parametrize("outcome", [UNREACHABLE, answered(b"", 500), answered(b"", 302)])
def test_an_endpoint_that_is_away_is_asked_again_with_growing_pauses(
    outcome: Answered | Unreachable,
) -> None:
    delays = []
    for failures in range(9):
        verdict = judge(outcome, replace(RUN, failures=failures), PRODUCTION)
        assert isinstance(verdict, TryAgain)
        delays.append(verdict.delay_ms)
    assert delays == [int(500 * 1.5**n) for n in range(1, 10)]
    verdict = judge(outcome, replace(RUN, failures=9), PRODUCTION)
    assert isinstance(verdict, Ended)
    message = "Connection could not be established to the endpoint (http://127.0.0.1/api)"
    assert (verdict.state, verdict.error) == (RunState.FAILURE, message)


def test_in_development_nothing_is_tried_again() -> None:
    verdict = judge(UNREACHABLE, RUN, replace(PRODUCTION, type="DEVELOPMENT"))
    assert isinstance(verdict, Ended)
    assert verdict.state is RunState.FAILURE


def test_a_run_has_only_so_much_time() -> None:
    run = replace(RUN, duration_ms=899_995)
    verdict = judge(UNREACHABLE, run, PRODUCTION)
    assert isinstance(verdict, Ended)
    assert verdict.state is RunState.TIMED_OUT


def test_what_can_never_be_reached_is_not_asked_again() -> None:
    verdict = judge(
        replace(UNREACHABLE, permanent=True, message="The address is forbidden"), RUN, PRODUCTION
    )
    assert isinstance(verdict, Ended)
    assert (verdict.state, verdict.error) == (RunState.FAILURE, "The address is forbidden")
    assert ended(WithoutUrl())[2] == "Endpoint has no URL set"
