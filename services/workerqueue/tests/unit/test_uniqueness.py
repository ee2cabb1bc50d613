from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongflow_workerqueue.domain.states import UNFINISHED_STATES, WAITING_STATES, JobState
from kongflow_workerqueue.domain.uniqueness import MAX_WINDOW, Uniqueness, unique_key

ENVIRONMENT = UUID("0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c")
ARGS = st.dictionaries(st.text(max_size=5), st.integers(-5, 5) | st.text(max_size=3), max_size=4)


@given(args=ARGS)
def test_the_order_of_the_arguments_does_not_matter(args: dict[str, object]) -> None:
    backwards = dict(reversed(args.items()))
    assert unique_key("k", ENVIRONMENT, "q", args, Uniqueness()) == unique_key(
        "k", ENVIRONMENT, "q", backwards, Uniqueness()
    )


@given(one=ARGS, other=ARGS)
def test_other_arguments_are_another_job(one: dict[str, object], other: dict[str, object]) -> None:
    same = unique_key("k", None, "q", one, Uniqueness()) == unique_key(
        "k", None, "q", other, Uniqueness()
    )
    assert same == (one == other)


def test_kind_and_environment_count() -> None:
    keys = {
        unique_key(kind, environment, "q", {}, Uniqueness())
        for kind in ("k", "kk")
        for environment in (None, ENVIRONMENT)
    }
    assert len(keys) == 4


def test_only_named_arguments_are_compared() -> None:
    by_id = Uniqueness(("id",))
    assert unique_key("k", None, "q", {"id": 1, "at": 2}, by_id) == unique_key(
        "k", None, "q", {"id": 1, "at": 3}, by_id
    )
    assert unique_key("k", None, "q", {"id": 1}, by_id) != unique_key(
        "k", None, "q", {"id": 2}, by_id
    )
    assert unique_key("k", None, "q", {}, by_id) != unique_key("k", None, "q", {"id": None}, by_id)


def test_the_queue_counts_only_if_it_is_compared() -> None:
    def keys(rule: Uniqueness) -> set[UUID]:
        return {unique_key("k", None, queue, {"a": 1}, rule) for queue in ("q", "p", '{"a":1}')}

    assert len(keys(Uniqueness())) == 1
    assert len(keys(Uniqueness(by_queue=True))) == 3
    assert len(keys(Uniqueness(args=None, by_queue=True))) == 3
    assert not keys(Uniqueness(args=None, by_queue=True)) & keys(Uniqueness(by_queue=True))


def test_arguments_count_only_if_they_are_compared() -> None:
    by_kind = Uniqueness(args=None)
    assert unique_key("k", None, "q", {"a": 1}, by_kind) == unique_key("k", None, "p", {}, by_kind)
    assert unique_key("k", None, "q", {}, by_kind) != unique_key("l", None, "q", {}, by_kind)


def test_the_keys_of_stored_jobs_stay_as_they_are() -> None:
    """During an upgrade the jobs of both versions are each other's duplicates."""
    args: dict[str, object] = {"eventRecordId": "e", "deliveryRevision": 1}
    assert unique_key("deliverEvent", ENVIRONMENT, "events", args, Uniqueness()) == UUID(
        "72ab65e0-47ab-2fd7-3e5c-ca627a5959b5"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"states": frozenset({JobState.AVAILABLE, JobState.RUNNING})},
        {"states": UNFINISHED_STATES - {JobState.RETRYABLE}},
        {"states": WAITING_STATES | {JobState.COMPLETED}},
        {"window": timedelta()},
        {"window": MAX_WINDOW + timedelta(seconds=1)},
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        Uniqueness(**wrong)
