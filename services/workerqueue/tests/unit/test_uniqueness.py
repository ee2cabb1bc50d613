from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from kongflow_workerqueue.domain.uniqueness import Uniqueness, unique_key

ENVIRONMENT = UUID("0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c")
ARGS = st.dictionaries(st.text(max_size=5), st.integers(-5, 5) | st.text(max_size=3), max_size=4)


@given(args=ARGS)
def test_the_order_of_the_arguments_does_not_matter(args: dict[str, object]) -> None:
    backwards = dict(reversed(args.items()))
    assert unique_key("k", ENVIRONMENT, args, Uniqueness()) == unique_key(
        "k", ENVIRONMENT, backwards, Uniqueness()
    )


@given(one=ARGS, other=ARGS)
def test_other_arguments_are_another_job(one: dict[str, object], other: dict[str, object]) -> None:
    same = unique_key("k", None, one, Uniqueness()) == unique_key("k", None, other, Uniqueness())
    assert same == (one == other)


def test_kind_and_environment_count() -> None:
    keys = {
        unique_key(kind, environment, {}, Uniqueness())
        for kind in ("k", "kk")
        for environment in (None, ENVIRONMENT)
    }
    assert len(keys) == 4


def test_only_named_arguments_are_compared() -> None:
    by_id = Uniqueness(("id",))
    assert unique_key("k", None, {"id": 1, "at": 2}, by_id) == unique_key(
        "k", None, {"id": 1, "at": 3}, by_id
    )
    assert unique_key("k", None, {"id": 1}, by_id) != unique_key("k", None, {"id": 2}, by_id)
    assert unique_key("k", None, {}, by_id) != unique_key("k", None, {"id": None}, by_id)
