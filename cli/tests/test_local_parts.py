"""The parts of the supervisor that need no process."""

import json
import os
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

from kongflow_cli.errors import CliError
from kongflow_cli.local.console import Console
from kongflow_cli.local.log_files import LogFile
from kongflow_cli.local.log_lines import LineFormatter, LineStyle
from kongflow_cli.local.port_book import choose_ports
from kongflow_cli.local.secret_file import load_or_make
from kongflow_cli.local.state_folder import StateFolder, write_private
from kongflow_cli.local.watched_program import BackOff
from kongflow_embedded.ports import free_ports

PLAIN = LineStyle(name_width=8, colour=False)


def show(line: bytes, name: str = "events", style: LineStyle = PLAIN) -> list[str]:
    return LineFormatter(name, 1, style).format([line], "12:00:00.000")


def record(**fields: object) -> bytes:
    return json.dumps({"time": "t", "service": "events", "logger": "l", **fields}).encode()


def test_a_record_is_shown_with_its_message_and_fields() -> None:
    line = record(level="INFO", message="serving", listen="127.0.0.1:1", note="two words", n=3)
    assert show(line) == ['12:00:00.000 events   serving listen=127.0.0.1:1 note="two words" n=3']


def test_a_level_other_than_info_is_shown() -> None:
    assert show(record(level="ERROR", message="no")) == ["12:00:00.000 events   ERROR no"]


def test_a_stack_trace_keeps_its_lines() -> None:
    (text,) = show(record(level="ERROR", message="no", exception="Traceback:\n  line 1"))
    assert text.splitlines()[1:] == ["    Traceback:", "      line 1"]


def test_what_is_no_record_is_shown_as_it_is() -> None:
    assert show(b"{not json") == ["12:00:00.000 events   {not json"]
    assert show(b"[1]") == ["12:00:00.000 events   [1]"]
    assert show(b"\xff\xfe") == ["12:00:00.000 events   \ufffd\ufffd"]


@pytest.mark.parametrize("message", ["\x1b]0;title\x07", "a\rb", "\x9b2J", "\u202e reversed"])
def test_terminal_commands_in_a_message_are_made_visible(message: str) -> None:
    for line in (record(level="INFO", message=message), message.encode()):
        (text,) = show(line)
        assert not set(text) & {"\x1b", "\r", "\x9b", "\x07", "\u202e"}
        assert "\\" in text


def test_colour_only_where_it_is_wanted() -> None:
    line = record(level="WARNING", message="careful", n=1)
    assert "\x1b" not in show(line)[0]
    assert "\x1b[33mWARNING" in show(line, style=LineStyle(name_width=8, colour=True))[0]


def test_of_postgres_only_trouble_is_shown() -> None:
    formatter = LineFormatter("postgres", 0, PLAIN)
    prefix = b"2026-11-22 06:37:03.552 UTC [4771] "
    lines = [
        prefix + b"LOG:  database system is ready to accept connections",
        prefix + b"ERROR:  division by zero",
        prefix + b"STATEMENT:  SELECT 1/0",
        prefix + b"LOG:  checkpoint starting",
        prefix + b"HINT:  of the line before",
    ]
    shown = formatter.format(lines, "12:00:00.000")
    assert [text.split(":  ")[1] for text in shown] == ["division by zero", "SELECT 1/0"]


def test_of_valkey_only_warnings_are_shown() -> None:
    assert show(b"155:M 22 Nov 2026 06:57:43.711 * Ready to accept connections", "valkey") == []
    assert show(b"155:M 22 Nov 2026 06:57:43.711 # Out of memory", "valkey") != []


def test_a_log_file_is_bounded(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", max_bytes=100, kept=2)
    for number in range(100):
        log.append([f"line {number}".encode()])
    log.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["x.log", "x.log.1", "x.log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    text = "".join((tmp_path / name).read_text() for name in reversed(names))
    assert text.splitlines()[-1] == "line 99"
    numbers = [int(line.split()[1]) for line in text.splitlines()]
    assert numbers == list(range(numbers[0], 100))


def test_a_log_file_goes_on_where_it_was(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        log = LogFile(tmp_path / "x.log")
        log.append([text])
        log.close()
    assert (tmp_path / "x.log").read_text() == "one\ntwo\n"
    assert stat.S_IMODE((tmp_path / "x.log").stat().st_mode) == 0o600


def test_a_held_terminal_holds_up_nobody_and_is_told_what_it_missed() -> None:
    reading, writing = os.pipe()
    console = Console(writing)
    while console.has_room:
        console.show(["x" * 100_000])
    console.show(["missed"])
    with FileIO(reading) as terminal:
        read_until(terminal, lambda _: console.has_room)
        console.show(["after"])
        text = read_until(terminal, lambda text: text.endswith(b"after\n"))
        console.close()
    os.close(writing)
    assert text.endswith(b"x\n(1 lines not shown, see the log files)\nafter\n")
    assert b"missed" not in text


def read_until(terminal: FileIO, is_enough: Callable[[bytes], bool]) -> bytes:
    """Reads as a terminal that takes lines again; returns the end of what it read."""
    text = b""
    while not is_enough(text):
        text = (text + terminal.read(65_536))[-1000:]
    return text


def test_ports_are_kept_and_differ(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    ports = choose_ports(tmp_path / "ports.json", names)
    assert len(set(ports.values())) == 3
    assert choose_ports(tmp_path / "ports.json", names) == ports
    more = choose_ports(tmp_path / "ports.json", [*names, "d"])
    assert {name: more[name] for name in names} == ports
    assert len(set(more.values())) == 4


def test_two_names_never_keep_the_same_port(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / "ports.json").write_text(json.dumps({"a": port, "b": port}))
    ports = choose_ports(tmp_path / "ports.json", ["a", "b"])
    assert ports["a"] != ports["b"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": "x", "b": 0}', '{"a": 99999, "b": null}'])
def test_a_damaged_port_file_is_made_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    ports = choose_ports(tmp_path / "ports.json", ["a", "b"])
    assert set(ports) == {"a", "b"}
    assert json.loads((tmp_path / "ports.json").read_text()) == ports


def test_secrets_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = load_or_make(path, ["events"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make(path, ["events"]) == made
    assert made.api_key.startswith("tr_dev_")
    assert made.public_key.startswith("pk_dev_")
    assert made.api_key not in repr(made)


def test_a_new_service_gets_a_key_and_the_others_keep_theirs(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "secret", ["events"])
    grown = load_or_make(tmp_path / "secret", ["events", "runs"])
    assert grown.service_keys["events"] == made.service_keys["events"]
    assert grown.service_keys["runs"] != made.service_keys["events"]
    assert load_or_make(tmp_path / "secret", ["events", "runs"]) == grown


def test_no_secrets_are_made_for_data_that_others_opened(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    made = load_or_make(tmp_path / "secret", [], data=data)
    data.mkdir()
    assert load_or_make(tmp_path / "secret", [], data=data) == made
    (tmp_path / "secret").unlink()
    with pytest.raises(CliError, match=r"secret is missing.*kongflow reset"):
        load_or_make(tmp_path / "secret", [], data=data)
    assert not (tmp_path / "secret").exists()


def test_a_secret_file_open_to_others_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    load_or_make(path, [])
    path.chmod(0o644)
    load_or_make(path, [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"service_keys": 3}', "\x00"])
def test_a_damaged_secret_file_is_never_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    path.write_text(content)
    with pytest.raises(CliError, match="does not hold"):
        load_or_make(path, [])
    assert path.read_text() == content


def test_back_off_doubles_to_its_limit_and_begins_anew_after_a_steady_life() -> None:
    back_off = BackOff()
    assert [back_off.pause_after(0.1) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert back_off.pause_after(10.0) == 0.2


def test_a_private_file_is_never_seen_half_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    with path.open() as earlier:
        write_private(path, "new")
        assert earlier.read() == "old"
    assert path.read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path / "state")
    state.make()
    with state.locked():
        assert state.supervisor() is not None
        with pytest.raises(CliError, match="already runs"), state.locked():
            pass
    assert state.supervisor() is None
    with state.locked():
        pass
