"""What stands beside a kind's method: queue, attempts, retries, uniqueness."""

from datetime import timedelta

import pytest

from kongflow_workerqueue.catalogue.catalogue import built_in_kinds
from kongflow_workerqueue.domain.retry import (
    ExponentialRetry,
    FourthPowerRetry,
    ListedRetry,
    RetryPolicy,
)
from kongflow_workerqueue.domain.states import (
    UNFINISHED_STATES,
    WAITING_STATES,
    JobState,
    Priority,
)
from kongflow_workerqueue.domain.uniqueness import Uniqueness
from services.workerqueue.tests.unit.catalogue.mail import CompileKinds, send

ALL = Uniqueness()
KIND_ALONE = Uniqueness(args=None)
OUR_KINDS = {
    "advanceEventReplay": ("maintenance", Priority.LOW, 10, 30, None),
    "autoIndexProductionEndpoints": ("maintenance", Priority.LOW, 3, 120, KIND_ALONE),
    "deliverEvent": ("events", Priority.HIGH, 6, 10, ALL),
    "events.invokeDispatcher": ("events", Priority.HIGH, 6, 10, ALL),
    "expireDispatcher": ("maintenance", Priority.LOW, 3, 10, None),
    "failEndpointIndex": ("default", Priority.NORMAL, 25, 10, ALL),
    "failEventReplay": ("default", Priority.NORMAL, 25, 10, ALL),
    "failRegisterJob": ("default", Priority.NORMAL, 25, 10, ALL),
    "failRun": ("runs", Priority.HIGH, 25, 10, ALL),
    "invokeEphemeralDispatcher": ("execution", Priority.HIGH, 10, 30, None),
    "performEndpointIndexing": (
        "indexing",
        Priority.NORMAL,
        7,
        60,
        Uniqueness(window=timedelta(minutes=15)),
    ),
    "performRunExecution": ("execution", Priority.HIGH, 12, 150, ALL),
    "probeEndpoint": ("maintenance", Priority.LOW, 1, 150, ALL),
    **{
        f"{context}.purgeEnvironment": ("maintenance", Priority.LOW, 12, 240, None)
        for context in ("endpoints", "events", "jobs", "runs", "workerqueue")
    },
    **dict.fromkeys(
        ("events.purgeAccount", "runs.purgeAccount", "jobs.purgeProject", "runs.purgeProject"),
        ("maintenance", Priority.LOW, 12, 240, None),
    ),
    **{
        f"{context}.replayDomainEvent": ("default", Priority.NORMAL, 5, 10, None)
        for context in ("events", "jobs", "runs", "tenancy")
    },
    "purgeOldEvents": ("maintenance", Priority.LOW, 3, 240, KIND_ALONE),
    "purgeOldIndexings": ("maintenance", Priority.LOW, 3, 240, KIND_ALONE),
    "registerJob": (
        "default",
        Priority.NORMAL,
        3,
        30,
        Uniqueness(window=timedelta(minutes=5), states=UNFINISHED_STATES | {JobState.COMPLETED}),
    ),
    "startRun": ("runs", Priority.HIGH, 4, 10, ALL),
}


def test_every_kind_of_ours_has_its_queue_its_attempts_and_its_uniqueness() -> None:
    """Written down twice on purpose: changing one of these is a decision, not a slip."""
    assert {
        kind.kind: (
            kind.queue,
            kind.priority,
            kind.max_attempts,
            kind.timeout.total_seconds(),
            kind.unique,
        )
        for kind in built_in_kinds()
    } == OUR_KINDS


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        ("growth: GROWTH_EXPONENTIAL", ExponentialRetry()),
        ("growth: GROWTH_FOURTH_POWER", FourthPowerRetry()),
        (
            "growth: GROWTH_FOURTH_POWER initial_backoff: {seconds: 2} max_backoff: {seconds: 9}",
            FourthPowerRetry(timedelta(seconds=2), timedelta(seconds=9)),
        ),
        (
            "delays: {seconds: 1} delays: {seconds: 60} delays: {nanos: 500000000}",
            ListedRetry((timedelta(seconds=1), timedelta(minutes=1), timedelta(seconds=0.5))),
        ),
    ],
)
def test_retries_grow_as_the_kind_says(
    compile_kinds: CompileKinds, retry: str, expected: RetryPolicy
) -> None:
    [kind] = compile_kinds(send(f'kind: "mail.send" retry: {{{retry}}}'))
    assert kind.retry == expected


def test_a_kind_says_when_its_jobs_are_the_same(compile_kinds: CompileKinds) -> None:
    [kind] = compile_kinds(
        send(
            'kind: "mail.send" unique: {by_args: true args: "to" by_queue: true '
            "window: {seconds: 900} states: [STATE_AVAILABLE, STATE_SCHEDULED, STATE_RETRYABLE]}"
        )
    )
    assert kind.unique == Uniqueness(
        args=("to",),
        by_queue=True,
        window=timedelta(minutes=15),
        states=WAITING_STATES,
    )
    [kind] = compile_kinds(send('kind: "mail.send" unique: {by_kind: true}'))
    assert kind.unique == Uniqueness(args=None)
