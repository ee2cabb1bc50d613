"""`kongflow filters match`: pairs in, verdicts out, without a server."""

import io
import json
import re
import subprocess
import sys

import pytest

from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.errors import CliError
from kongflow_cli.local.filter_lines import MAX_FILTER_DEPTH, verdicts


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ('{"payload": {"n": 5}, "filter": {"n": [{"$gt": 4}]}}', "true"),
        ('{"payload": {"n": 4}, "filter": {"n": [{"$gt": 4}]}}', "false"),
        ('{"payload": {"n": 4}, "filter": {"n": 4}}', "invalid"),
        ('{"payload": {"n": 4}, "filter": {"n": [{"$unknown": 4}]}}', "invalid"),
        ('{"payload": {"n": 4}, "filter": []}', "invalid"),
        ('{"payload": [], "filter": {}}', "false"),
        ('{"payload": [{"n": 1}, {"n": 2}], "filter": {"n": [2]}}', "true"),
        ('{"payload": null, "filter": {"n": [{"$exists": false}]}}', "true"),
        ('{"payload": {"n": 4}}', "true"),
        ('{"filter": {"n": [1]}}', "false"),
        ('{"payload": {"s": "\\ud800"}, "filter": {"s": ["\\ud800"]}}', "true"),
        ('{"payload": {"n": 1e999}, "filter": {"n": [{"$gt": 5}]}}', "true"),
    ],
)
def test_a_line_gets_the_verdict_of_a_dispatcher(line: str, verdict: str) -> None:
    assert list(verdicts([line.encode()])) == [verdict]


def test_empty_lines_are_passed_over_and_the_order_is_kept() -> None:
    lines = b'\n{"filter": {}}\n  \n{"filter": 1}\n'
    assert list(verdicts(io.BytesIO(lines))) == ["true", "invalid"]


def nested(levels: int, inner: str) -> str:
    """A text so many levels deep."""
    return '{"a": ' * levels + inner + "}" * levels


@pytest.mark.parametrize("levels", [1_000, 1_100, 10_000, 100_000])
def test_a_payload_may_be_as_deep_as_it_likes(levels: int) -> None:
    exists = '{"a": {"a": {"a": [{"$exists": true}]}}}'
    lines = (
        f'{{"payload": {nested(levels, "1")}, "filter": {exists}}}\n'
        f'{{"payload": {{"a": {"[" * levels}{"]" * levels}}}, "filter": {exists}}}\n'
        f'{{"payload": {nested(levels, "{}")}, "filter": 1}}\n'
        f'{{"payload": {nested(levels, "[]")}, "filter": {{"a": [1]}}}}\n'
    )
    assert list(verdicts(io.BytesIO(lines.encode()))) == ["true", "false", "invalid", "false"]


@pytest.mark.parametrize("levels", [150, 250, 1_100, MAX_FILTER_DEPTH - 1])
def test_a_filter_may_be_as_deep_as_the_schema_takes(levels: int) -> None:
    lines = [
        f'{{"payload": {nested(levels, value)}, "filter": {nested(levels, "[1]")}}}'.encode()
        for value in ("1", "2")
    ]
    lists, first = (
        "[[" * levels + "]]" * levels,
        '{"0": ' * (levels - 1) + "[]" + "}" * (levels - 1),
    )
    lines.append(f'{{"payload": {lists}, "filter": {first}}}'.encode())
    assert list(verdicts(lines)) == ["true", "false", "true"]


def test_alternatives_may_be_as_deep() -> None:
    one_of = '{"a": ["x"]}'
    for _ in range((MAX_FILTER_DEPTH - 2) // 4):
        one_of = '{"$kongflow": [{"$or": [{"a": ["y"]}, ' + one_of + "]}]}"
    line = f'{{"payload": {{"a": "x"}}, "filter": {one_of}}}'
    assert list(verdicts([line.encode()])) == ["true"]


@pytest.mark.parametrize("levels", [MAX_FILTER_DEPTH, 100_000])
def test_a_filter_that_is_too_deep_is_invalid_and_costs_no_other_line(levels: int) -> None:
    deep = f'{{"filter": {nested(levels, "[1]")}}}'.encode()
    assert list(verdicts([deep, b'{"filter": {}}'])) == ["invalid", "true"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "is not JSON: Expecting"),
        (b"[]", "is not an object"),
        (b'{"payload": {}, "filters": {}}', 'has an unknown member "filters"; known are payload'),
        (b'{"payload": NaN}', "is not JSON: NaN is no JSON value"),
        (b'\xff\xfe{\x00"\x00', "is not UTF-8"),
        (b'{"payload": "\xff"}', "is not UTF-8"),
        (b"[" * 100_000, "is not JSON: Expecting value"),
        (b"[" * 100_000 + b"]" * 100_001, "is not JSON: Extra data"),
        (b'{"payload": ' + b"[" * 100_000 + b"}", "is not JSON: Expecting value"),
        (b'{"payload": ' + b"[" * 5_000 + b"1 2", "is not JSON: Expecting ',' delimiter"),
        (b'{"payload": ' + b'{"a" ' * 5_000, "is not JSON: Expecting ':' delimiter"),
        (b'{"payload": ' + b'{"a":' * 5_000 + b"{a", "is not JSON: Expecting property name"),
        (b'{"payload": ' + b"[" * 5_000 + b"NaN", "is not JSON: NaN is no JSON value"),
    ],
)
def test_what_is_no_pair_is_named_by_its_line(line: bytes, why: str) -> None:
    answered = verdicts([b'{"filter": {}}\n', line])
    assert next(answered) == "true"
    with pytest.raises(CliError, match=rf"^Line 2 {re.escape(why)}") as caught:
        next(answered)
    assert caught.value.exit_code == USAGE


def test_the_command_reads_and_writes_lines() -> None:
    lines = "".join(
        json.dumps({"payload": {"n": n}, "filter": {"n": [{"$gte": 10}]}}) + "\n" for n in range(20)
    )
    ended = subprocess.run(
        [sys.executable, "-m", "kongflow_cli", "filters", "match"],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == ["false"] * 10 + ["true"] * 10


def test_the_command_says_in_a_sentence_what_is_wrong() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "kongflow_cli", "filters", "match"],
        input='{"filter": {}}\nnonsense\n',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == USAGE
    assert ended.stdout == "true\n"
    assert ended.stderr.startswith("kongflow: Line 2 is not JSON: ")
