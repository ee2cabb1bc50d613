"""Who makes the call that this task works on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

__all__ = [
    "CallerKind",
    "EnvironmentScope",
    "Principal",
    "bind_principal",
    "current_environment",
    "current_environment_or_none",
    "current_principal",
    "use_principal",
]

_EVERYTHING = "*"


class CallerKind(Enum):
    """What kind of credential the caller showed."""

    SECRET_KEY = "secret_key"
    PUBLIC_KEY = "public_key"
    OPERATOR = "operator"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class EnvironmentScope:
    """The environment that a call acts in, with what it belongs to.

    `type` is in capitals, for example `DEVELOPMENT`; `runs_enabled` is the organization's.
    """

    environment_id: UUID
    project_id: UUID
    organization_id: UUID
    slug: str
    type: str
    runs_enabled: bool


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls.

    `name` is the operator's or the service's name, and the environment's slug for a key.
    `key_id` is the id of the key or of the operator; empty for a service. `environment` is
    the key's own, or the one that an operator or a service named for this call.
    """

    kind: CallerKind
    name: str
    scopes: frozenset[str] = frozenset()
    environment: EnvironmentScope | None = None
    key_id: str = ""
    log_fields: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """What log lines say of the caller; made once, as a principal makes many calls."""

    def __post_init__(self) -> None:
        fields = {"caller": self.kind.value, "caller_name": self.name}
        if self.environment is not None:
            fields["environment_id"] = str(self.environment.environment_id)
        object.__setattr__(self, "log_fields", fields)

    def may(self, scope: str) -> bool:
        """Whether an operator holds `scope`; `*` stands for every scope."""
        return scope in self.scopes or _EVERYTHING in self.scopes


_principal: ContextVar[Principal | None] = ContextVar("kongflow_principal", default=None)


def current_principal() -> Principal:
    """The caller of the call that this task works on.

    Raises LookupError outside of a call, which is a mistake of the program.
    """
    principal = _principal.get()
    if principal is None:
        raise LookupError("there is no call here whose caller could be told")
    return principal


def current_environment() -> EnvironmentScope:
    """The environment that the call acts in.

    Raises LookupError where a call has none: only methods with `environment: true` in their
    access option always have one, so this is a mistake of the program.
    """
    environment = current_principal().environment
    if environment is None:
        raise LookupError("the call acts in no environment; its access option does not ask for one")
    return environment


def current_environment_or_none() -> EnvironmentScope | None:
    """The environment that the call acts in; None when it acts above environments."""
    return current_principal().environment


def bind_principal(principal: Principal) -> None:
    """Make `principal` the caller for the rest of this task, which is one call's own."""
    _principal.set(principal)


@contextmanager
def use_principal(principal: Principal) -> Iterator[None]:
    """Do the work inside the block in the name of `principal`; for tests and tools."""
    token = _principal.set(principal)
    try:
        yield
    finally:
        _principal.reset(token)
