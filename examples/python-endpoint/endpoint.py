"""A program whose jobs KongFlow runs: plain Python, the standard library alone.

    TRIGGER_API_KEY=tr_dev_... python endpoint.py --port 8030

It speaks the protocol of trigger.dev v2. A server asks it by POST what it holds (INDEX_ENDPOINT)
and has it execute a job (EXECUTE_JOB); the header `x-trigger-action` says which. There is no
signature: whoever knows the key of the environment may call.
"""

import argparse
import contextlib
import hmac
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ENDPOINT_ID = "python-example"
PROTOCOL_VERSION = "2023-09-29"
MAX_BODY_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Job:
    """A job: which events start it, and what it does with their payloads."""

    id: str
    name: str
    event: str
    run: Callable[[Any, dict[str, Any]], Any]
    filter: dict[str, Any] = field(default_factory=dict)
    version: str = "1.0.0"

    def described(self) -> dict[str, Any]:
        """As INDEX_ENDPOINT tells of it."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "enabled": True,
            "event": {
                "name": self.event,
                "title": self.name,
                "source": "trigger.dev",
                "icon": "custom-event",
            },
            "trigger": {
                "type": "static",
                "title": self.event,
                "rule": {"event": self.event, "source": "trigger.dev", "payload": self.filter},
            },
            "integrations": {},
            "startPosition": "latest",
            "preprocessRuns": False,
        }


def charge(payload: Any, _context: dict[str, Any]) -> dict[str, Any]:
    """Fails for orders without a customer, as programs do."""
    return {"charged": payload["amount"], "customer": payload["customer"]}


def welcome(payload: Any, context: dict[str, Any]) -> str:
    return f"Welcome, {payload.get('name', 'stranger')}! (run {context['run']['id']})"


def audit(payload: Any, _context: dict[str, Any]) -> dict[str, Any]:
    return {"audited": sorted(payload)}


JOBS = {
    job.id: job
    for job in (
        Job(
            "charge-large-order",
            "Charge a large order",
            "order.created",
            charge,
            {"amount": [{"$gte": 100}]},
        ),
        Job(
            "audit-order",
            "Audit an order",
            "order.created",
            audit,
            {"country": [{"$anythingBut": ["DE", "FR"]}]},
        ),
        Job(
            "welcome-user",
            "Welcome a user",
            "user.created",
            welcome,
            {"email": [{"$endsWith": "@example.com"}]},
        ),
    )
}


def execute(execution: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Runs a job and answers what came of it: what a job raises is an answer too."""
    job = JOBS.get(str(execution.get("job", {}).get("id")))
    if job is None:
        return 404, {"message": "Job not found"}
    try:
        output = job.run(execution["event"].get("payload"), execution)
    except Exception as error:  # noqa: BLE001 - whatever it is, the server is told
        return 200, {
            "status": "ERROR",
            "error": {
                "message": str(error),
                "name": type(error).__name__,
                "stack": traceback.format_exc(),
            },
        }
    return 200, {"status": "SUCCESS", "output": output}


def index() -> dict[str, Any]:
    """All that this program holds."""
    return {
        "jobs": [job.described() for job in JOBS.values()],
        "sources": [],
        "webhooks": [],
        "dynamicTriggers": [],
        "dynamicSchedules": [],
        "httpEndpoints": [],
    }


class Endpoint(BaseHTTPRequestHandler):
    """Answers a server's calls."""

    protocol_version = "HTTP/1.1"
    api_key = ""

    def do_POST(self) -> None:
        try:
            body = self._body()
        except ValueError as error:
            self._answer(400, {"message": str(error)})
            return
        given = self.headers.get("x-trigger-api-key")
        action = self.headers.get("x-trigger-action")
        if given is None:
            self._answer(401, {"message": "Unauthorized: missing x-trigger-api-key header"})
        elif not hmac.compare_digest(given.encode(), self.api_key.encode()):
            self._answer(
                401,
                {
                    "message": "Forbidden: client apiKey mismatch: Make sure you are using the "
                    "correct API Key for your environment"
                },
            )
        elif action is None:
            self._answer(400, {"message": "Missing x-trigger-action header"})
        else:
            self._act(action, body)

    def _act(self, action: str, body: bytes) -> None:
        if action == "PING":
            self._answer(200, self._pong())
        elif action == "VALIDATE":
            self._answer(200, {"ok": True, "endpointId": ENDPOINT_ID})
        elif action == "INDEX_ENDPOINT":
            self._answer(200, index())
        elif action == "EXECUTE_JOB":
            try:
                execution = json.loads(body)
            except ValueError:
                self._answer(400, {"message": "Invalid execution"})
                return
            self._answer(*execute(execution))
        else:
            self._answer(405, {"message": "Method not allowed"})

    def _pong(self) -> dict[str, Any]:
        asked = self.headers.get("x-trigger-endpoint-id")
        if asked is None:
            return {"ok": False, "error": "Missing endpoint ID"}
        if asked != ENDPOINT_ID:
            error = f"Endpoint ID mismatch error. Expected {ENDPOINT_ID}, got {asked}"
            return {"ok": False, "error": error}
        return {"ok": True}

    def _body(self) -> bytes:
        length = int(self.headers.get("content-length") or 0)
        if not 0 <= length <= MAX_BODY_BYTES:
            raise ValueError("The body is too large")
        return self.rfile.read(length)

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("trigger-version", PROTOCOL_VERSION)
        self.send_header("trigger-sdk-version", "python-example")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name is given
        """Says nothing of calls: what became of them is with the server."""


class Server(ThreadingHTTPServer):
    """Takes many calls at once, and ends with the program."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a caller that left before it had its answer: it will ask again."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Listens until it is ended."""
    parser = argparse.ArgumentParser(description="An endpoint with three jobs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8030, help="0 is a free one")
    options = parser.parse_args()
    Endpoint.api_key = os.environ.get("TRIGGER_API_KEY", "")
    if not Endpoint.api_key:
        parser.error("TRIGGER_API_KEY is not set")
    with Server((options.host, options.port), Endpoint) as server:
        print(f"listening on http://{options.host}:{server.server_port}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
