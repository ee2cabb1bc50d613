"""The published SDK's own schema and matcher, asked in a Node process."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.node_program import node_command, node_environment

PROGRAM = Path(__file__).resolve().parent.parent / "node" / "filter_oracle.js"
TIMEOUT_SECONDS = 120.0


def ask(lines: Sequence[str]) -> list[tuple[str, str]]:
    """For each line `{"payload": ..., "filter": ...}` the verdicts on the payload and the event.

    A verdict is `true`, `false`, `invalid` or `throws`.
    """
    completed = subprocess.run(
        node_command(PROGRAM),
        env=node_environment(),
        input="".join(f"{line}\n" for line in lines),
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )
    answers = [line.split(" ") for line in completed.stdout.splitlines()]
    assert len(answers) == len(lines), f"{len(answers)} answers to {len(lines)} questions"
    return [(alone, event) for alone, event in answers]
