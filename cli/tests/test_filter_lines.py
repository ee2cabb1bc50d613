"""`kongflow filters match`: pairs in, verdicts out, without a server."""

import io
import json
import subprocess
import sys

import pytest

from kongflow_cli.client.exit_codes import USAGE
from kongflow_cli.errors import CliError
from kongflow_cli.local.filter_lines import verdicts


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


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b'{"payload": {}, "filters": {}}', b'{"payload": NaN}', b"[" * 100_000],
    ids=["broken", "a list", "an unknown key", "NaN", "too deep"],
)
def test_what_is_no_pair_is_named_by_its_line(line: bytes) -> None:
    answered = verdicts([b'{"filter": {}}\n', line])
    assert next(answered) == "true"
    with pytest.raises(CliError, match=r"^Line 2 ") as caught:
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
