"""In which order the jobs of a queue go: by run time, each step of priority worth a wait."""

from datetime import datetime, timedelta

from kongflow_workerqueue.domain.states import Priority

AGEING = timedelta(seconds=30)
"""What a step of priority is worth.

Long against a burst, which passes by lower priorities as a whole; short against anybody's
patience: a VERY_LOW job has waited for all it ever waits for after 90 seconds, however many HIGH
ones keep coming. It is part of an index: another value needs a migration.
"""


def effective_time(run_at: datetime, priority: Priority) -> datetime:
    """Return the time that says when it is a job's turn: the earlier, the sooner."""
    return run_at + (priority - Priority.HIGH) * AGEING
