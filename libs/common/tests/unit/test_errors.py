"""Errors as facts."""

from kongflow_common.errors import (
    DependencyUnavailable,
    InvalidField,
    KongflowError,
    NotFound,
    PreconditionFailed,
)


class RunNotFound(NotFound):
    """The run was not found.

    More, which is not the message.
    """


def test_message_is_the_first_line_of_the_docstring() -> None:
    error = RunNotFound(run_id=7)
    assert error.message == "The run was not found"
    assert str(error) == "The run was not found"
    assert error.metadata == {"run_id": "7"}


def test_a_class_without_docstring_has_a_message_all_the_same() -> None:
    class Unexplained(KongflowError):
        pass

    assert Unexplained().message == "The operation failed"


def test_invalid_field_can_be_moved_outwards() -> None:
    error = InvalidField("name", "is required").within("events[3]")
    assert error.field == "events[3].name"
    assert error.message == "events[3].name: is required"


def test_retry_and_subject() -> None:
    assert DependencyUnavailable("postgresql").metadata == {"dependency": "postgresql"}
    assert DependencyUnavailable("postgresql", retry_after=3).retry_after == 3
    assert PreconditionFailed("no", subject="runs/1").subject == "runs/1"
