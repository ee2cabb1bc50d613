"""The example endpoint as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "examples" / "python-endpoint" / "endpoint.py"


@contextmanager
def example_endpoint(api_key: str, program: Path = PROGRAM, *words: str) -> Iterator[str]:
    """Runs the program on a free port; answers its URL."""
    process = subprocess.Popen(
        [sys.executable, program, "--port", "0", *words],
        env={**os.environ, "TRIGGER_API_KEY": api_key},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=10)
