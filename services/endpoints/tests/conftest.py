"""A migrated database, a queue that records, and programs that answer as told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import SecretStr

from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.http.addresses import AddressPolicy
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_endpoints.adapters.endpoint_program import HttpEndpointProgram
from kongflow_endpoints.adapters.tables import METADATA
from kongflow_endpoints.application.ports import RegistrationRefused
from kongflow_endpoints.domain.endpoint import Endpoint, Place
from kongflow_endpoints.main import endpoint_program

MIGRATIONS = Path(__file__).parents[1] / "migrations"
KEY = SecretStr("tr_dev_secret")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The context's database, migrated and empty."""
    upgrade(database_url, MIGRATIONS, "endpoints")
    async with Database.connect(database_url, pool_size=4, application_name="tests") as database:
        tables = ", ".join(table.fullname for table in METADATA.sorted_tables)
        await database.pool.execute(f"TRUNCATE {tables}")
        yield database


@pytest.fixture
async def relay(
    database: Database, worker_queue: RecordingWorkerQueue
) -> AsyncIterator[OutboxRelay]:
    async with OutboxRelay(database, "endpoints", worker_queue, instance="tests") as relay:
        yield relay


@pytest.fixture
async def program() -> AsyncIterator[HttpEndpointProgram]:
    """Speaks to programs on this machine, with little patience."""
    policy = AddressPolicy(allow_private=True)
    async with endpoint_program(policy, ping_seconds=2.0, index_seconds=2.0) as program:
        yield program


@pytest.fixture
def place() -> Place:
    return Place(new_id(), new_id(), new_id())


@dataclass
class Keys:
    """The keys of all environments are one."""

    key: SecretStr | None = KEY

    async def of_environment(self, environment_id: UUID) -> SecretStr | None:
        return self.key


@dataclass
class KeptJobs:
    """The jobs service in memory; `refused` are slugs that it never takes."""

    live: list[tuple[str, str, bool]] = field(default_factory=list)
    registered: list[tuple[str, int]] = field(default_factory=list)
    disabled: list[tuple[str, str, int]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    away: bool = False

    async def live_jobs(self, endpoint: Endpoint) -> Sequence[tuple[str, str, bool]]:
        self._ask()
        return self.live

    async def register(
        self, place: Place, endpoint_id: UUID, metadata: bytes, generation: int
    ) -> Sequence[str]:
        self._ask()
        slug = orjson.loads(metadata)["id"]
        if slug in self.refused:
            raise RegistrationRefused("metadata.trigger: is refused")
        self.registered.append((slug, generation))
        return ["careful"] if slug == "warned" else ()

    async def disable(self, place: Place, slug: str, version: str, generation: int) -> bool:
        self._ask()
        self.disabled.append((slug, version, generation))
        return slug != "disabled-before"

    def _ask(self) -> None:
        if self.away:
            raise DependencyUnavailable("jobs")


Reply = tuple[int, dict[str, str], bytes]
Handler = Callable[[dict[str, str], bytes], Reply | Awaitable[Reply]]


@dataclass
class Program:
    """A program on a free port; `handle` answers, or its bytes are sent as they are."""

    handle: Handler
    raw: bytes | None = None
    stalls: bool = False
    calls: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
                if name
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            headers[":path"] = head.split(" ", 2)[1]
            self.calls.append(headers)
            self.bodies.append(body)
            if self.stalls:
                await reader.read()
            elif self.raw is not None:
                writer.write(self.raw)
            else:
                reply = self.handle(headers, body)
                status, more, content = reply if isinstance(reply, tuple) else await reply
                lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}"]
                lines += [f"{name}: {value}" for name, value in more.items()]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
            with suppress(ConnectionError):
                await writer.drain()
        writer.close()


Programs = Callable[[Handler], Awaitable[Program]]


@pytest.fixture
async def programs() -> AsyncIterator[Programs]:
    """Starts programs; they end with the test."""
    servers: list[asyncio.Server] = []

    async def start(handle: Handler) -> Program:
        program = Program(handle)
        server = await asyncio.start_server(program.serve, "127.0.0.1", 0)
        servers.append(server)
        program.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
        return program

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


def described(slug: str = "order", version: str = "1.0.0", **changes: Any) -> dict[str, Any]:
    """A job as a program describes it."""
    return {
        "id": slug,
        "name": "Order",
        "version": version,
        "event": {"name": "o", "title": "O", "source": "trigger.dev", "icon": "i"},
        "trigger": {
            "type": "static",
            "title": "o",
            "rule": {"event": "o", "source": "trigger.dev", "payload": {}},
        },
        "integrations": {},
        "startPosition": "latest",
        "enabled": True,
        "preprocessRuns": False,
        **changes,
    }


def holds(*jobs: dict[str, Any], **others: Any) -> bytes:
    """What a program answers to INDEX_ENDPOINT."""
    return orjson.dumps(
        {
            "jobs": jobs,
            "sources": [],
            "webhooks": [],
            "dynamicTriggers": [],
            "dynamicSchedules": [],
            "httpEndpoints": [],
            **others,
        }
    )


def speaks(*jobs: dict[str, Any], slug: str = "shop", **others: Any) -> Handler:
    """A program as the SDK makes one."""

    def handle(headers: dict[str, str], _body: bytes) -> Reply:
        versions = {"trigger-version": "2023-09-29", "trigger-sdk-version": "2.3.18"}
        if headers.get("x-trigger-api-key") != KEY.get_secret_value():
            return 401, {}, b'{"message":"Forbidden"}'
        match headers["x-trigger-action"]:
            case "PING":
                asked = headers.get("x-trigger-endpoint-id")
                if asked == slug:
                    return 200, versions, b'{"ok":true}'
                error = f"Endpoint ID mismatch error. Expected {slug}, got {asked}"
                return 200, versions, orjson.dumps({"ok": False, "error": error})
            case "VALIDATE":
                return 200, versions, orjson.dumps({"ok": True, "endpointId": slug})
            case "INDEX_ENDPOINT":
                return 200, versions, holds(*jobs, **others)
            case _:
                return 405, versions, b'{"message":"Method not allowed"}'

    return handle
