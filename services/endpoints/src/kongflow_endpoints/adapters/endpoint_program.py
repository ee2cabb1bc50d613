"""Speaks the protocol of trigger.dev v2 to programs (docs/behaviour.md#endpoint-protocol)."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urljoin, urlsplit

import orjson
from pydantic import SecretStr

from kongflow_common.errors import InvalidField
from kongflow_common.http.addresses import read_url
from kongflow_common.http.errors import (
    AnswerTooLarge,
    CallTimedOut,
    HttpCallFailed,
    NotReached,
    UrlRefused,
)
from kongflow_common.http.guarded_client import GuardedHttpClient, HttpAnswer, RequestLimits
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.deadline import time_left
from kongflow_endpoints.application.ports import Called, Indexed, NotCalled
from kongflow_endpoints.domain.endpoint import IndexFailure
from kongflow_endpoints.domain.errors import EndpointPingFailed
from kongflow_protocol.documents import InvalidDocument
from kongflow_protocol.endpoint import (
    InvalidJobs,
    TooManyItems,
    read_index,
    read_pong,
    read_validated,
)

__all__ = ["HttpEndpointProgram"]

MAX_INDEX_BYTES: Final = 16 * 1024 * 1024
MAX_ITEMS: Final = 10_000
MAX_REDIRECTS: Final = 6
# An execution's output, and what stands around it.
MAX_EXECUTION_BYTES: Final = 8 * 1024 * 1024
# Platforms say in pages of their own that they ended something.
MAX_PROBE_BYTES: Final = 1024 * 1024
PROBE_GRACE_SECONDS: Final = 10.0

_API_VERSION: Final = "2023-09-29"
_USER_AGENT: Final = "triggerdotdev-server/2.0.0"
_INVALID_KEY: Final = "Trigger API key is invalid"
_UNREADABLE: Final = (
    "Could not parse response from endpoint. Make sure it points to the correct URL "
    "(you might be missing /api/trigger)"
)
_WRONG_FORMAT: Final = "There's an issue with the format of your Jobs"
_SMALL_BYTES: Final = 65_536
_MAX_VERSION_LENGTH: Final = 100
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FOR_GOOD: Final = frozenset({301, 308})
_RAW_BYTES: Final = 2_000
# Whether a platform has ended an execution shows in different ways.
_TIMEOUT_STATUSES: Final = frozenset({408, 504})


class HttpEndpointProgram:
    """Implements EndpointProgram. `index_seconds` is for a whole index, redirects included.

    `executing` makes the calls of executions, `client` all others. Redirects stay with the host
    that was registered, or go to one of `redirect_hosts`: every call carries the environment's
    secret key.
    """

    def __init__(
        self,
        client: GuardedHttpClient,
        executing: GuardedHttpClient,
        *,
        ping_seconds: float,
        index_seconds: float,
        redirect_hosts: frozenset[str] = frozenset(),
    ) -> None:
        self._client = client
        self._executing = executing
        self._ping_seconds = ping_seconds
        self._index_seconds = index_seconds
        self._redirect_hosts = redirect_hosts

    async def ping(self, url: str, slug: str, key: SecretStr) -> str | None:
        answer = await self._ask(url, key, "PING", {"x-trigger-endpoint-id": slug})
        try:
            pong = read_pong(answer.body)
        except InvalidDocument:
            raise EndpointPingFailed(_UNREADABLE) from None
        if not pong.ok:
            raise EndpointPingFailed(pong.error or f"Endpoint {url} responded with error: none")
        version = answer.headers.get("trigger-version")
        return version if version and len(version) <= _MAX_VERSION_LENGTH else None

    async def validate(self, url: str, key: SecretStr) -> str:
        answer = await self._ask(url, key, "VALIDATE", {})
        try:
            validated = read_validated(answer.body)
        except InvalidDocument:
            raise EndpointPingFailed(_UNREADABLE) from None
        if not validated.ok or not validated.endpoint_id:
            raise EndpointPingFailed(
                f"Endpoint {url} responded with error: {validated.error or 'none'}"
            )
        return validated.endpoint_id

    async def _ask(
        self, url: str, key: SecretStr, action: str, more: Mapping[str, str]
    ) -> HttpAnswer:
        # Who asks for it and waits no longer is still told that it was the program that stalls.
        limits = RequestLimits(time_left(self._ping_seconds), _SMALL_BYTES)
        try:
            answer = await self._client.request(
                "POST", url, headers={**_headers(key, action), **more}, body=None, limits=limits
            )
        except UrlRefused as error:
            raise InvalidField("url", str(error)) from None
        except HttpCallFailed as error:
            raise EndpointPingFailed(_not_connected(url, error)) from None
        if answer.status == 401:
            raise EndpointPingFailed(_INVALID_KEY)
        if not 200 <= answer.status < 300:
            raise EndpointPingFailed(
                f"Could not connect to endpoint {url}. Status code: {answer.status}"
            )
        return answer

    async def index(self, url: str, key: SecretStr) -> Indexed | IndexFailure:
        left = self._index_seconds
        at, moved_to, for_good = url, None, True
        for followed in range(MAX_REDIRECTS + 1):
            try:
                answer = await self._client.request(
                    "POST",
                    at,
                    headers=_headers(key, "INDEX_ENDPOINT"),
                    body=None,
                    limits=RequestLimits(max(left, 0.001), MAX_INDEX_BYTES),
                )
            except AnswerTooLarge:
                return IndexFailure(
                    f"Endpoint {at} answered with more than {MAX_INDEX_BYTES // 2**20} MiB"
                )
            except CallTimedOut:
                return IndexFailure(
                    f"Endpoint {at} did not answer within {self._index_seconds:g} seconds"
                )
            except HttpCallFailed as error:
                return IndexFailure(_not_connected(at, error))
            left -= answer.duration_seconds
            if answer.status not in _REDIRECTS:
                # Large ones take a while, and others want their turn.
                return await asyncio.to_thread(_read_index, at, answer, moved_to)
            location = answer.headers.get("location")
            if not location:
                return IndexFailure(
                    f"Endpoint {at} is redirecting but no location header is present"
                )
            if followed == MAX_REDIRECTS:
                break
            try:
                target = urljoin(at, location)
            except ValueError:
                return IndexFailure(f"Endpoint {at} is redirecting to a URL that is not a URL")
            refusal = self._refusal(at, target)
            if refusal:
                return IndexFailure(refusal)
            # The new place stays as long as each step on the way to it is for good.
            for_good = for_good and answer.status in _FOR_GOOD
            moved_to = target if for_good else moved_to
            at = target
        return IndexFailure(f"Endpoint {url} is redirecting too many times")

    def _refusal(self, at: str, target: str) -> str:
        """Why a redirect is not followed; empty when it is."""
        try:
            new = read_url(target)
        except ValueError as error:
            return f"Endpoint {at} is redirecting to a URL that {error}"
        old = read_url(at)
        if old.scheme == "https" and new.scheme == "http":
            return f"Endpoint {at} is redirecting from https to http: register the new URL"
        same = new.host == old.host and (new.port == old.port or new.scheme != old.scheme)
        if not same and new.host not in self._redirect_hosts:
            return (
                f"Endpoint {at} is redirecting to another host ({urlsplit(target).netloc}): "
                "register the new URL"
            )
        return ""

    async def execute(
        self, url: str, key: SecretStr, body: bytes, timeout: timedelta
    ) -> Called | NotCalled:
        limits = RequestLimits(timeout.total_seconds(), MAX_EXECUTION_BYTES)
        return await self._do_within(url, key, "EXECUTE_JOB", body, limits)

    async def probe(self, url: str, key: SecretStr, lasting: timedelta) -> Called | NotCalled:
        body = orjson.dumps({"timeout": lasting // timedelta(milliseconds=1)})
        # What it answers comes when the time is over, so we wait a little longer.
        seconds = time_left(lasting.total_seconds() + PROBE_GRACE_SECONDS)
        limits = RequestLimits(seconds, MAX_PROBE_BYTES)
        return await self._do_within(url, key, "PROBE_EXECUTION_TIMEOUT", body, limits)

    async def _do_within(
        self, url: str, key: SecretStr, action: str, body: bytes, limits: RequestLimits
    ) -> Called | NotCalled:
        headers = {**_headers(key, action), "content-type": "application/json"}
        try:
            answer = await self._executing.request(
                "POST", url, headers=headers, body=body, limits=limits
            )
        except CallTimedOut as error:
            waited = timedelta(seconds=limits.timeout_seconds)
            return NotCalled(str(error), permanent=False, timed_out=True, duration=waited)
        except (UrlRefused, AnswerTooLarge) as error:
            return NotCalled(str(error), permanent=True, timed_out=False, duration=timedelta())
        except NotReached as error:
            return NotCalled(str(error), permanent=False, timed_out=False, duration=timedelta())
        return Called(
            status_code=answer.status,
            body=answer.body,
            run_metadata=answer.headers.get("x-trigger-run-metadata", "")[:_RAW_BYTES],
            timed_out=_ended_by_platform(answer),
            duration=timedelta(seconds=answer.duration_seconds),
        )


def _headers(key: SecretStr, action: str) -> dict[str, str]:
    return {
        "x-trigger-api-key": key.get_secret_value(),
        "x-trigger-action": action,
        "x-trigger-version": _API_VERSION,
        "accept": "application/json",
        "user-agent": _USER_AGENT,
    }


def _not_connected(url: str, error: HttpCallFailed) -> str:
    message = f"Could not connect to endpoint {url}"
    # The original's words where it has any: its tools look for them.
    return message if isinstance(error, NotReached) else f"{message}: {error}"


def _read_index(url: str, answer: HttpAnswer, moved_to: str | None) -> Indexed | IndexFailure:
    if answer.status == 401:
        return IndexFailure(_said(answer.body) or _INVALID_KEY)
    if not 200 <= answer.status < 300:
        return IndexFailure(f"Could not connect to endpoint {url}. Status code: {answer.status}")
    version = answer.headers.get("trigger-version") or None
    sdk_version = answer.headers.get("trigger-sdk-version") or None
    if any(len(each or "") > _MAX_VERSION_LENGTH for each in (version, sdk_version)):
        return IndexFailure("Your headers are invalid")
    try:
        found = read_index(answer.body, max_items=MAX_ITEMS)
    except InvalidJobs as error:
        lines = "\n".join(
            f'- Job "{job}": {issue.message} at "{issue.path}".' for job, issue in error.issues
        )
        return IndexFailure(f"Your Jobs have issues:\n{lines}")
    except TooManyItems as error:
        return IndexFailure(f"Endpoint {url} holds too much: {error}")
    except InvalidDocument as error:
        return IndexFailure(_WRONG_FORMAT, _raw(str(error), answer.body))
    return Indexed(found.items, moved_to, version, sdk_version)


def _said(body: bytes) -> str:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    message = said.get("message") if isinstance(said, dict) else None
    return message[:_RAW_BYTES] if isinstance(message, str) else ""


def _raw(issue: str, body: bytes) -> JsonDocument:
    """The beginning of what was answered, for whoever looks into it."""
    shown = body[:_RAW_BYTES].decode(errors="replace").replace("\x00", "\ufffd")
    return JsonDocument(orjson.dumps({"issue": issue, "answer": shown}))


def _ended_by_platform(answer: HttpAnswer) -> bool:
    if answer.status in _TIMEOUT_STATUSES:
        return True
    if answer.headers.get("x-vercel-error") == "FUNCTION_INVOCATION_TIMEOUT":
        return True
    if answer.status == 502 and b"TIME_LIMIT" in answer.body:
        return True
    return (
        answer.status == 503
        and "cf-ray" in answer.headers
        and b"Worker exceeded resource limits" in answer.body
    )
