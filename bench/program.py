"""A local program with jobs that answers at once: what a run costs without the user's part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

SLUG = "bench"
EVENT = "bench.run"

_PONG = orjson.dumps({"ok": True, "endpointId": SLUG})
_DONE = orjson.dumps({"status": "SUCCESS", "output": {"done": True}})
_HEADERS = {"trigger-version": "2023-09-29", "trigger-sdk-version": "bench"}


class Program:
    """What it holds can be changed; `url` is where it listens."""

    def __init__(self) -> None:
        self.url = ""
        self.hold(1, EVENT)

    def hold(self, count: int, event: str) -> None:
        """Holds so many jobs, each with an event of its own: `<event>`, `<event>.1`, ..."""
        kinds = ("sources", "webhooks", "dynamicTriggers", "dynamicSchedules", "httpEndpoints")
        jobs = [_described(f"{event}.{n}" if n else event) for n in range(count)]
        self._held = orjson.dumps({"jobs": jobs, **{kind: [] for kind in kinds}})

    async def answer(self, request: web.Request) -> web.Response:
        """One of the protocol's actions."""
        await request.read()
        match request.headers.get("x-trigger-action"):
            case "EXECUTE_JOB":
                body = _DONE
            case "INDEX_ENDPOINT":
                body = self._held
            case _:
                body = _PONG
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)


@asynccontextmanager
async def served_program() -> AsyncIterator[Program]:
    """Serves the program on a free port, in this process."""
    program = Program()
    application = web.Application()
    application.router.add_post("/", program.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        program.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield program
    finally:
        await runner.cleanup()


def _described(event: str) -> dict[str, Any]:
    rule = {"event": event, "source": "trigger.dev", "payload": {"kind": ["order"]}}
    return {
        "id": event,
        "name": event,
        "version": "1.0.0",
        "enabled": True,
        "event": {"name": event, "title": event, "source": "trigger.dev", "icon": "bench"},
        "trigger": {"type": "static", "title": event, "rule": rule},
        "integrations": {},
        "startPosition": "latest",
        "preprocessRuns": False,
    }
