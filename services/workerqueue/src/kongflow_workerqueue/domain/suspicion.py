"""When a job is suspected of ending whoever runs it, and when it is set aside.

A job that was in flight when its target's connection was lost may be the reason, and so may each
of its neighbours: it is suspected, and from then on runs apart from the others. The first suspect
of a target runs alone; as long as all goes well two follow, then four, and so on, so what an outage
made suspects of runs again soon. Whoever is lost in such a group runs alone from then on. Only what
happens while it runs alone counts against it, so an outage, which hits many at once, sets nothing
aside. Whatever it answers clears it.
"""

from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode

__all__ = [
    "LAPSES_UNTIL_SUSPECTED",
    "LOSSES_UNTIL_SET_ASIDE",
    "NOT_SUSPECTED",
    "SET_ASIDE",
    "SUSPECTED",
    "SUSPECTED_AGAIN",
    "set_aside_status",
    "waiting_alone",
]

NOT_SUSPECTED = 0
SUSPECTED = 1
"""The suspicion against a job whose connection was lost among others."""
SUSPECTED_AGAIN = 2
"""The suspicion against a job that was lost among suspects, too. It shares no call with any."""
LOSSES_UNTIL_SET_ASIDE = 3
SET_ASIDE = SUSPECTED_AGAIN + LOSSES_UNTIL_SET_ASIDE
"""The suspicion against a job that is not called any more."""
LAPSES_UNTIL_SUSPECTED = 2
"""How many workers die under a job before it is suspected. One may die of anything, and what it
ran is to run again at once."""

_ALONE = "alone:"


def waiting_alone(target: str) -> str:
    """Name what a suspected job waits for: its turn to be the only suspect at its target."""
    return f"{_ALONE}{target}"


def set_aside_status(target: str) -> CallStatus:
    """Say why a job is discarded that was set aside."""
    return CallStatus(
        StatusCode.ABORTED,
        f"JOB_SET_ASIDE: {LOSSES_UNTIL_SET_ASIDE} times the connection to {target}, or the "
        "worker itself, was lost while this job ran alone.",
    )
