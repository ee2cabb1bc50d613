"""Who may call a method: the option that stands beside it in its .proto file."""

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor

# Options that are read before this module is imported come out empty, silently.
from kongflow.common.v1 import access_pb2
from kongflow_common.auth.principals import CallerKind

__all__ = ["AccessNotDeclared", "AccessRule", "access_rule"]

_CALLERS: Mapping[int, CallerKind] = {
    access_pb2.CALLER_SECRET_KEY: CallerKind.SECRET_KEY,
    access_pb2.CALLER_PUBLIC_KEY: CallerKind.PUBLIC_KEY,
    access_pb2.CALLER_OPERATOR: CallerKind.OPERATOR,
    access_pb2.CALLER_SERVICE: CallerKind.SERVICE,
}
_ONLY_SERVICES = frozenset({CallerKind.SERVICE})


class AccessNotDeclared(ValueError):
    """A method does not say, or not consistently, who may call it."""


@dataclass(frozen=True, slots=True)
class AccessRule:
    """Who may call a method; `environment`: the call acts inside one environment."""

    callers: frozenset[CallerKind]
    operator_scope: str
    environment: bool

    @property
    def only_services(self) -> bool:
        """Whether nobody but services is let in."""
        return self.callers == _ONLY_SERVICES

    @property
    def reads_environment(self) -> bool:
        """Whether `kongflow-environment` says where the call acts.

        On methods for services alone it belongs to the envelope of a queued job, and the
        request says where the call acts.
        """
        return self.environment or not self.only_services


def access_rule(method: MethodDescriptor) -> AccessRule:
    """Read a method's option `kongflow.common.v1.access`.

    Raises AccessNotDeclared when it is missing, names no caller, or lets operators in
    without saying which scope they need.
    """
    options = method.GetOptions()
    if not options.HasExtension(access_pb2.access):
        raise AccessNotDeclared(f"{method.full_name} has no option kongflow.common.v1.access")
    access = options.Extensions[access_pb2.access]
    unknown = [each for each in access.callers if each not in _CALLERS]
    if unknown or not access.callers:
        raise AccessNotDeclared(f"{method.full_name} does not say which callers are let in")
    callers = frozenset(_CALLERS[each] for each in access.callers)
    if CallerKind.OPERATOR in callers and not access.operator_scope:
        raise AccessNotDeclared(f"{method.full_name} lets operators in without a scope")
    return AccessRule(callers, access.operator_scope, access.environment)
