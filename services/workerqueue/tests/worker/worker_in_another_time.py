"""A worker whose clock is wrong: `python -m ... SECONDS` runs one that is so far ahead."""

import importlib
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine

from kongflow_workerqueue.main import worker


def main() -> int:
    ahead = float(sys.argv[1])
    channel: Any = importlib.import_module("grpc.aio._channel")
    to_deadline = channel._timeout_to_deadline

    def on_the_right_clock(timeout: float | None) -> Any:
        # gRPC computes deadlines in Python and compares them to the machine's own clock, which
        # is right here.
        return None if timeout is None else to_deadline(timeout) - ahead

    channel._timeout_to_deadline = on_the_right_clock
    # With tick the clock goes on from there.
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=ahead), tick=True):
        return worker()


if __name__ == "__main__":
    sys.exit(main())
