"""The Valkey launcher, on real servers."""

import socket
import stat
from collections.abc import Iterator

import pytest

from kongflow_embedded.processes import process_identity
from kongflow_embedded.temporary import RunningServer, temporary_valkey
from kongflow_embedded.valkey import ValkeyServer


@pytest.fixture
def valkey() -> Iterator[RunningServer[ValkeyServer]]:
    with temporary_valkey() as running:
        yield running


def ask(valkey: RunningServer[ValkeyServer], *commands: str, password: str | None = None) -> str:
    """Sends commands on one connection, after AUTH; returns the last answer's first line."""
    lines = (f"AUTH {password or valkey.server.password}", *commands)
    with socket.create_connection(("127.0.0.1", valkey.port), timeout=5) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
        with connection.makefile("r", newline="\r\n") as answers:
            found = [answers.readline().strip() for _ in lines]
    return found[-1]


def test_password_is_needed(valkey: RunningServer[ValkeyServer]) -> None:
    assert ask(valkey, "PING") == "+PONG"
    assert ask(valkey, "PING", password="guess").startswith("-NOAUTH")


def test_settings_file_keeps_the_password_to_its_owner(
    valkey: RunningServer[ValkeyServer],
) -> None:
    mode = (valkey.server.folder / "valkey.conf").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_keys_survive_a_crash(valkey: RunningServer[ValkeyServer]) -> None:
    assert ask(valkey, "SET kept yes") == "+OK"
    valkey.kill()
    assert not valkey.server.is_ready()
    valkey.start()
    assert ask(valkey, "EXISTS kept") == ":1"


def test_keys_survive_an_orderly_end(valkey: RunningServer[ValkeyServer]) -> None:
    assert ask(valkey, "SET kept yes") == "+OK"
    valkey.stop()
    valkey.start()
    assert ask(valkey, "EXISTS kept") == ":1"


def test_settings_can_be_overridden() -> None:
    with temporary_valkey({"maxmemory": "1"}) as running:
        assert ask(running, "SET key value").startswith("-OOM")


def test_another_servers_port_is_not_taken_for_ready(valkey: RunningServer[ValkeyServer]) -> None:
    stranger = ValkeyServer(folder=valkey.server.folder, port=valkey.port, password="other")
    assert not stranger.is_ready()


def test_nothing_is_left_after_the_block() -> None:
    with temporary_valkey() as running:
        folder, pid = running.server.folder, running.pid
    assert not folder.exists()
    assert process_identity(pid) is None
