import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

PROGRAM = """
import asyncio, sys
from kongflow_common.rpc.process import run

async def serve(stop):
    print("up", flush=True)
    if sys.argv[1] == "fails":
        raise RuntimeError("so it is")
    await stop.wait()
    print("drained", flush=True)

sys.exit(run(serve))
"""


def start(mode: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


@pytest.fixture
def serving() -> "Iterator[subprocess.Popen[str]]":
    with start("serves") as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(serving: "subprocess.Popen[str]", number: signal.Signals) -> None:
    assert serving.stdout is not None
    assert serving.stdout.readline() == "up\n"
    serving.send_signal(number)
    out, err = serving.communicate(timeout=20)
    assert (serving.returncode, out, err) == (0, "drained\n", "")


def test_a_failure_is_logged_and_told() -> None:
    with start("fails") as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "so it is" in err
