"""A program whose jobs a test changes while it runs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

Described = dict[str, Any]


def job(
    slug: str,
    event: str | None = None,
    *,
    version: str = "1.0.0",
    payload: Described | None = None,
    enabled: bool = True,
) -> Described:
    """A job as a program describes it; without an event it is invoked only."""
    trigger: Described = {"type": "invoke"}
    if event is not None:
        rule = {"event": event, "source": "trigger.dev", "payload": payload or {}}
        trigger = {"type": "static", "title": event, "rule": rule}
    return {
        "id": slug,
        "name": slug,
        "version": version,
        "enabled": enabled,
        "event": {
            "name": event or slug,
            "title": slug,
            "source": "trigger.dev",
            "icon": "custom-event",
        },
        "trigger": trigger,
        "integrations": {},
        "startPosition": "latest",
        "preprocessRuns": False,
    }


@dataclass
class ChangingProgram:
    """What it holds now, and where it is called. Each job answers who it is and its payload."""

    slug: str
    jobs: list[Described] = field(default_factory=list)
    url: str = ""

    def answer(self, action: str, body: bytes) -> Described:
        """What a call of the server's is answered."""
        if action == "INDEX_ENDPOINT":
            kinds = ("sources", "webhooks", "dynamicTriggers", "dynamicSchedules", "httpEndpoints")
            return {"jobs": self.jobs, **{kind: [] for kind in kinds}}
        if action == "EXECUTE_JOB":
            told = json.loads(body)
            output = {
                "job": told["job"]["id"],
                "version": told["job"]["version"],
                "payload": told["event"]["payload"],
                "isTest": told["run"]["isTest"],
            }
            return {"status": "SUCCESS", "output": output}
        return {"ok": True, "endpointId": self.slug}


Program = TypeVar("Program", bound=ChangingProgram)


class _Server(ThreadingHTTPServer):
    # Many calls come at once; those that do not fit here wait a second and more.
    request_queue_size = 256


@contextmanager
def changing_program(slug: str) -> Iterator[ChangingProgram]:
    """Serves a program of that name on a free port."""
    with served(ChangingProgram(slug)) as program:
        yield program


@contextmanager
def served(program: Program) -> Iterator[Program]:
    """Serves the program on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = json.dumps(program.answer(self.headers["x-trigger-action"], body)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.send_header("trigger-version", "2023-09-29")
            self.send_header("trigger-sdk-version", "test")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name is given
            """Says nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        program.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield program
        finally:
            server.shutdown()
            thread.join()
