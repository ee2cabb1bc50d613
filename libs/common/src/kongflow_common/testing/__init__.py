"""What tests of every context use: real servers, and few fakes."""

from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue

__all__ = ["FixedClock", "RecordingWorkerQueue", "eventually"]
