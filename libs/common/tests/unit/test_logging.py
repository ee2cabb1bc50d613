"""Log lines."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from kongflow_common.log_lines import redact
from kongflow_common.logging import (
    GatheredLines,
    _LineHandler,
    configure_logging,
    log_each,
)
from kongflow_common.testing.polling import eventually
from kongflow_common.tracing import new_trace, use_trace


@pytest.fixture
def stream() -> Iterator[io.BytesIO]:
    """Log lines as JSON; the root logger is put back as it was."""
    root = logging.getLogger()
    handlers, level, source = root.handlers[:], root.level, logging._srcfile
    factory = logging.getLogRecordFactory()
    lines = io.BytesIO()
    configure_logging("events", "events-1", "INFO", "json", stream=lines)
    yield lines
    root.handlers[:] = handlers
    root.setLevel(level)
    logging._srcfile = source
    logging.setLogRecordFactory(factory)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = True
    logging.captureWarnings(False)


def _lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object(stream: io.BytesIO) -> None:
    trace = new_trace()
    with use_trace(trace):
        logging.getLogger("kongflow.test").info(
            "sent %s\nevents", 3, extra={"fields": {"count": 3, "id": b"x".hex()}}
        )
    (line,) = _lines(stream)
    assert line["message"] == "sent 3\nevents"
    assert line["level"] == "INFO"
    assert line["logger"] == "kongflow.test"
    assert line["service"] == "events"
    assert line["instance"] == "events-1"
    assert line["trace_id"] == trace.trace_id
    assert line["count"] == 3
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None


def test_each_of_many_lines_has_its_own_trace_and_fields(stream: io.BytesIO) -> None:
    logger = logging.getLogger("kongflow.test")
    id_ = uuid4()
    log_each(logger, "run created", [("abc", {"run_id": id_}), ("def", {"n": 2})])
    logger.setLevel(logging.WARNING)
    log_each(logger, "not written", [("abc", {})])
    logger.setLevel(logging.NOTSET)
    one, other = _lines(stream)
    assert (one["message"], one["trace_id"], one["run_id"]) == ("run created", "abc", str(id_))
    assert (other["trace_id"], other["n"], other["level"]) == ("def", 2, "INFO")
    assert "run_id" not in other
    assert datetime.fromisoformat(one["time"]).utcoffset() is not None


async def test_lines_of_one_turn_of_the_loop_are_one_record(stream: io.BytesIO) -> None:
    logger = logging.getLogger("kongflow.test.gathered")
    records: list[logging.LogRecord] = []

    def seen(record: logging.LogRecord) -> bool:
        records.append(record)
        return True

    logger.addFilter(seen)
    gathered = GatheredLines(logger, "event accepted")
    gathered.add("abc", {"n": 1})
    gathered.add("def", {"n": 2})
    assert not records
    await eventually(lambda: len(records) == 1)
    gathered.add("ghi", {"n": 3})
    await eventually(lambda: len(_lines(stream)) == 3)
    assert len(records) == 2
    assert [(line["message"], line["trace_id"], line["n"]) for line in _lines(stream)] == [
        ("event accepted", "abc", 1),
        ("event accepted", "def", 2),
        ("event accepted", "ghi", 3),
    ]


def test_secrets_are_blanked_wherever_they_stand_in_a_line(stream: io.BytesIO) -> None:
    secret = "tr_dev_ABCDEFGHIJKLMNOPQRST"
    logger = logging.getLogger("x")
    logger.info("message " + secret)  # noqa: G003 - as a dependency might
    logger.info("argument %s", secret)
    logger.info("field", extra={"fields": {"value": secret}})
    log_each(logger, "each", [("abc", {"value": secret}), ("def", {"value": secret})])
    lines = _lines(stream)
    assert [line["message"] for line in lines[:2]] == [
        "message tr_[redacted]",
        "argument tr_[redacted]",
    ]
    assert [line["value"] for line in lines[2:]] == ["tr_[redacted]"] * 3
    assert secret.encode() not in stream.getvalue()


def test_a_line_may_speak_for_another_trace(stream: io.BytesIO) -> None:
    with use_trace(new_trace()):
        logging.getLogger("x").info("m", extra={"trace_id": "abc"})
    assert _lines(stream)[0]["trace_id"] == "abc"


def test_fields_cannot_overwrite_the_line(stream: io.BytesIO) -> None:
    forged = {"message": "forged", "trace_id": "forged", "time": "forged", "own": 1}
    logging.getLogger("x").info("the message", extra={"fields": forged})
    (line,) = _lines(stream)
    assert line["message"] == "the message"
    assert line["time"] != "forged"
    assert line["own"] == 1
    assert "trace_id" not in line


def test_exceptions_are_part_of_the_line(stream: io.BytesIO) -> None:
    try:
        raise ValueError("wrong with tr_dev_ABCDEFGHIJKLMNOPQRST")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = _lines(stream)
    assert "ValueError: wrong with tr_[redacted]" in line["exception"]


def test_fields_that_json_cannot_hold_do_not_cost_the_line(stream: io.BytesIO) -> None:
    logging.getLogger("x").info("m", extra={"fields": {"big": 2**70, "odd": object()}})
    (line,) = _lines(stream)
    assert line["message"] == "m"
    assert line["big"] == str(2**70)


def test_a_line_that_is_written_in_parts_arrives_whole() -> None:
    class Narrow(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:7])

    narrow = Narrow()
    record = {"msg": "%(a)s and more", "args": {"a": 1}, "levelno": logging.INFO}
    _LineHandler(narrow).emit(logging.makeLogRecord(record))
    assert narrow.getvalue() == b"1 and more\n"


async def test_lines_of_one_moment_leave_together() -> None:
    writes: list[bytes] = []

    class Stream:
        def write(self, data: bytes) -> int:
            writes.append(data)
            return len(data)

    configure_logging("events", "events-1", "INFO", "json", stream=Stream())
    for number in range(3):
        logging.getLogger("x").info("line %d", number)
    assert writes == []
    await eventually(lambda: bool(writes))
    assert [data.count(b"\n") for data in writes] == [3]


async def test_a_warning_leaves_at_once_with_what_came_before_it(stream: io.BytesIO) -> None:
    logging.getLogger("x").info("before")
    logging.getLogger("x").warning("now")
    assert [line["message"] for line in _lines(stream)] == ["before", "now"]


def test_messages_take_arguments_as_logging_does(stream: io.BytesIO) -> None:
    logging.getLogger("x").info("%s of %s", 1, 2)
    logging.getLogger("x").info("%(a)s", {"a": 3})
    assert [line["message"] for line in _lines(stream)] == ["1 of 2", "3"]


def test_text_is_for_people(stream: io.BytesIO) -> None:
    lines = io.BytesIO()
    configure_logging("events", "events-1", "WARNING", "text", stream=lines)
    logging.getLogger("x").info("too quiet")
    logging.getLogger("x").warning("seen", extra={"fields": {"a": 1}})
    assert lines.getvalue().decode().endswith("WARNING events x seen a=1\n")
    logging.getLogger("x").setLevel(logging.INFO)
    log_each(logging.getLogger("x"), "each", [("abc", {"n": 1}), ("", {"n": 2})])
    logging.getLogger("x").setLevel(logging.NOTSET)
    one, other = lines.getvalue().decode().splitlines()[1:]
    assert one.endswith("INFO    events x each trace_id=abc n=1")
    assert other.endswith("INFO    events x each n=2")
    assert not stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key tr_dev_ABCDEFGHIJKLMNOPQRST.", "key tr_[redacted]."),
        ("'pk_prod_ABCDEFGHIJKLMNOPQRST'", "'pk_[redacted]'"),
        ("op_ABCDEFGHIJKLMNOPQRSTUVWX", "op_[redacted]"),
        ("postgresql://u:p4%24@host:5/db?x=1", "postgresql://u:[redacted]@host:5/db?x=1"),
        ("redis://:secret@host", "redis://:[redacted]@host"),
        ("Bearer eyJhbGciOi.eyJpc3M.abc-_x", "Bearer eyJ[redacted]"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIab+/c=\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----[redacted]-----END PRIVATE KEY-----",
        ),
        ("order.createdtr_dev_ABCDEFGHIJKLMNOPQRST", "order.createdtr_[redacted]"),
        ("n7pk_preview_abcdefghij0123456789_x.", "n7pk_[redacted]."),
        ("ntr_stg_abcdefghij0123456789", "ntr_[redacted]"),
        ("nop_ABCDEFGHIJKLMNOPQRSt.", "nop_[redacted]."),
        ("stop_at str_something_long_here", "stop_at str_something_long_here"),
        ("str_dev_internationaliz ntr_dev_x", "str_dev_internationaliz ntr_dev_x"),
        ("stop_internationalization", "stop_internationalization"),
        ("shop_0123456789abcdef0123456789abcdef", "shop_0123456789abcdef0123456789abcdef"),
        ("http://host:80/path and a@b", "http://host:80/path and a@b"),
        ("https://host/op_x", "https://host/op_x"),
    ],
)
def test_secrets_are_blanked(text: str, expected: str) -> None:
    assert redact(text) == expected
