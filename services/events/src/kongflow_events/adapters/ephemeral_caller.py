"""Tells the URLs of ephemeral dispatchers of events, as the original does."""

from datetime import UTC
from http import HTTPStatus
from typing import Final

import orjson

from kongflow_common.http.errors import HttpCallFailed, UrlRefused
from kongflow_common.http.guarded_client import GuardedHttpClient, RequestLimits
from kongflow_common.rpc.deadline import time_left
from kongflow_events.application.read_event_record import ExecutedEvent
from kongflow_events.domain.errors import EphemeralCallFailed, EphemeralUrlRefused

__all__ = ["HttpEphemeralCaller"]

# Nobody reads it, but an answer that was cut off could not be told from a failure.
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


class HttpEphemeralCaller:
    """Implements EphemeralCaller. Redirects are not followed: they count as failures."""

    def __init__(self, client: GuardedHttpClient, *, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds

    async def call(self, url: str, event: ExecutedEvent) -> None:
        try:
            answer = await self._client.request(
                "POST",
                url,
                headers={"content-type": "application/json"},
                body=_body(event),
                limits=RequestLimits(time_left(self._timeout_seconds), _MAX_ANSWER_BYTES),
            )
        except UrlRefused as error:
            raise EphemeralUrlRefused(str(error)) from None
        except HttpCallFailed as error:
            raise EphemeralCallFailed(f"Failed to invoke ephemeral dispatcher: {error}") from None
        if not 200 <= answer.status < 300:
            raise EphemeralCallFailed(
                f"Failed to invoke ephemeral dispatcher: {_text(answer.status)} [{answer.status}]"
            )


def _text(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Status"


def _body(event: ExecutedEvent) -> bytes:
    timestamp = event.timestamp.astimezone(UTC).isoformat(timespec="milliseconds")
    body: dict[str, object] = {
        "id": event.event_id,
        "source": event.source,
        "name": event.name,
        # As they are stored: numbers keep their digits.
        "payload": orjson.Fragment(event.payload.text),
        "context": orjson.Fragment(event.context.text),
        "timestamp": timestamp.replace("+00:00", "Z"),
    }
    if event.account_id is not None:
        body["accountId"] = event.account_id
    return orjson.dumps(body)
