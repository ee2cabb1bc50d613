"""The command line, run in this process or as a process, against servers that remember."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.tests.calls.recorded_system import RecordedSystem
from kongflow_cli.__main__ import main

_SECONDS = 60


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed, which must be one JSON document."""
        assert self.code == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Ended]


@pytest.fixture(scope="session")
def servers() -> Iterator[RecordedSystem]:
    """The servers of the whole run."""
    system = RecordedSystem()
    system.start()
    yield system
    system.end()


@pytest.fixture
def system(
    servers: RecordedSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RecordedSystem:
    """The servers with an empty memory; the working folder has their dev.json."""
    for name in [name for name in os.environ if name.startswith("KONGFLOW_")]:
        monkeypatch.delenv(name)
    servers.forget()
    servers.write_connection_file(tmp_path / ".kongflow")
    monkeypatch.chdir(tmp_path)
    return servers


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process."""

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        else:
            code = 0
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def run_process(system: RecordedSystem) -> Run:
    """Runs the command line as a process of its own, in the working folder."""

    def run(*arguments: str | bytes, stdin: bytes = b"", **variables: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "kongflow_cli", *arguments],
            input=stdin,
            capture_output=True,
            timeout=_SECONDS,
            env={**os.environ, **variables},
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    return run
