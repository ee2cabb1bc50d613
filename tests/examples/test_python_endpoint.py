"""The example endpoint in Python, among callers that do not wait for their answers."""

import importlib.util
import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.example_endpoint import PROGRAM

KEY = "tr_dev_example"
JOBS_OF_NOBODY: dict[str, object] = {}


@pytest.fixture(scope="module")
def program() -> Iterator[ModuleType]:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("example_endpoint_program", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.Endpoint.api_key = KEY
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def server(program: ModuleType) -> Iterator[Any]:
    """A server; its end waits for the threads of its calls, so that what they say is said."""

    class Server(program.Server):  # type: ignore[misc, name-defined]
        daemon_threads = False

    with Server(("127.0.0.1", 0), program.Endpoint) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield server
        if serving.is_alive():
            end(server)
        serving.join(10)


def end(server: Any) -> None:
    server.shutdown()
    server.server_close()


def request(action: str, body: bytes = b"", length: int | None = None) -> bytes:
    lines = [
        "POST / HTTP/1.1",
        "host: example",
        f"x-trigger-api-key: {KEY}",
        f"x-trigger-action: {action}",
        f"content-length: {len(body) if length is None else length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def leave(connection: socket.socket) -> None:
    """Closes a connection as one does whose process was killed with answers before it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def leave_amid_a_question(address: Any) -> None:
    connection = socket.create_connection(address, 10)
    connection.sendall(request("EXECUTE_JOB", b'{"job"', length=100))
    leave(connection)


def leave_amid_answers(address: Any) -> None:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect(address)
    # More answers than fit between the two: the server waits to write when its caller leaves.
    connection.sendall(request("INDEX_ENDPOINT") * 4_000)
    leave(connection)


@pytest.mark.parametrize("leaving", [leave_amid_a_question, leave_amid_answers])
def test_it_says_nothing_of_a_caller_that_leaves(
    server: Any, leaving: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    leaving(server.server_address)
    host, port = server.server_address
    ping = Request(
        f"http://{host}:{port}/",
        method="POST",
        headers={
            "x-trigger-api-key": KEY,
            "x-trigger-action": "VALIDATE",
            "connection": "close",
        },
    )
    with urlopen(ping, timeout=10) as answer:
        assert json.load(answer)["ok"]
    end(server)
    assert capsys.readouterr().err == ""


def test_it_tells_of_a_mistake_of_its_own(
    server: Any, program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(program, "index", lambda: JOBS_OF_NOBODY["none"])
    with socket.create_connection(server.server_address, 10) as connection:
        connection.sendall(request("INDEX_ENDPOINT"))
        assert connection.recv(1) == b""
    end(server)
    assert "KeyError" in capsys.readouterr().err
