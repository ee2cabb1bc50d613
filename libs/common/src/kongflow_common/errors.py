"""Errors that every context may raise: facts, without a word about the wire.

A context subclasses the one whose meaning fits, e.g. `class RunNotFound(NotFound)`;
its error catalogue says what each becomes on the wire.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AlreadyExists",
    "Contended",
    "DependencyUnavailable",
    "FieldViolation",
    "InvalidField",
    "InvalidFields",
    "KongflowError",
    "NotFound",
    "PermissionDenied",
    "PreconditionFailed",
    "ResourceExhausted",
    "Unauthenticated",
]


class KongflowError(Exception):
    """The operation failed.

    The first line of a subclass's docstring is its message unless one is given.
    `metadata` holds what a program may want to read: names and ids, never secrets.
    """

    metadata: dict[str, str]

    def __init__(self, message: str | None = None, **metadata: object) -> None:
        super().__init__(message or _first_line(type(self)))
        self.metadata = {key: str(value) for key, value in metadata.items()}

    @property
    def message(self) -> str:
        """What happened, for people."""
        return str(self.args[0])


def _first_line(error: type[KongflowError]) -> str:
    text = (error.__doc__ or KongflowError.__doc__ or "").strip()
    return text.split("\n", 1)[0].rstrip(".")


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request; `field` is its path, e.g. `events[3].name`."""

    field: str
    description: str


class InvalidFields(KongflowError):
    """The request has invalid fields."""

    violations: tuple[FieldViolation, ...]

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        described = "; ".join(f"{each.field}: {each.description}" for each in violations)
        super().__init__(described)
        self.violations = tuple(violations)


class InvalidField(InvalidFields):
    """A field of the request is invalid."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__([FieldViolation(field, description)])

    @property
    def field(self) -> str:
        return self.violations[0].field

    @property
    def description(self) -> str:
        return self.violations[0].description

    def within(self, prefix: str) -> "InvalidField":
        """The same, one level further out: `events[3]` + `name` is `events[3].name`."""
        return InvalidField(f"{prefix}.{self.field}", self.description)


class Unauthenticated(KongflowError):
    """The caller could not be authenticated."""


class PermissionDenied(KongflowError):
    """The caller may not do this."""


class NotFound(KongflowError):
    """The resource was not found."""


class AlreadyExists(KongflowError):
    """The resource exists already."""


class PreconditionFailed(KongflowError):
    """The state of the system does not allow this.

    `subject` names what is in the way, e.g. `organizations/0197...`; empty when the
    message says it all.
    """

    def __init__(
        self, message: str | None = None, *, subject: str = "", **metadata: object
    ) -> None:
        super().__init__(message, **metadata)
        self.subject = subject


class _Retryable(KongflowError):
    """The same request may succeed after `retry_after` seconds."""

    retry_after: float

    def __init__(
        self, message: str | None = None, *, retry_after: float, **metadata: object
    ) -> None:
        super().__init__(message, **metadata)
        self.retry_after = retry_after


class DependencyUnavailable(_Retryable):
    """Something that this service needs does not answer.

    `name` says what: `postgresql`, or the name of another service.
    """

    def __init__(self, name: str, *, retry_after: float = 1.0) -> None:
        super().__init__(
            f"{name} is not available at the moment", retry_after=retry_after, dependency=name
        )
        self.name = name


class Contended(_Retryable):
    """Another transaction was in the way; nothing was changed."""

    def __init__(self, message: str | None = None, *, retry_after: float = 0.1) -> None:
        super().__init__(message, retry_after=retry_after)


class ResourceExhausted(_Retryable):
    """The caller has used up what it may use."""

    def __init__(
        self, message: str | None = None, *, retry_after: float = 1.0, **metadata: object
    ) -> None:
        super().__init__(message, retry_after=retry_after, **metadata)
