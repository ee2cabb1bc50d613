"""From the `authorization` of a call to who makes it."""

import hashlib
from dataclasses import replace

from kongflow_common.auth.access import AccessRule
from kongflow_common.auth.credentials import CredentialResolver
from kongflow_common.auth.errors import (
    CallerNotAllowed,
    CredentialInvalid,
    CredentialMissing,
    EnvironmentNotAllowed,
    EnvironmentNotFound,
    EnvironmentRequired,
    OperatorScopeMissing,
)
from kongflow_common.auth.principals import CallerKind, Principal
from kongflow_common.auth.service_tokens import ServiceTokenVerifier
from kongflow_common.ids import parse_id

__all__ = ["ENVIRONMENT_METADATA", "Authenticator"]

ENVIRONMENT_METADATA = "kongflow-environment"

_SCHEME = "bearer "
_MAX_CREDENTIAL_LENGTH = 4_096
_KINDS = {
    "tr_": CallerKind.SECRET_KEY,
    "pk_": CallerKind.PUBLIC_KEY,
    "op_": CallerKind.OPERATOR,
}
_KEYS = frozenset({CallerKind.SECRET_KEY, CallerKind.PUBLIC_KEY})


class Authenticator:
    """Finds out who calls, and lets in whom the method's access rule names."""

    def __init__(self, resolver: CredentialResolver, verifier: ServiceTokenVerifier) -> None:
        self._resolver = resolver
        self._verifier = verifier

    async def admit(
        self, rule: AccessRule, authorization: str | None, environment_id: str | None
    ) -> Principal:
        """Tell who calls, with the environment that the call acts in.

        Takes the values of the metadata `authorization` and `kongflow-environment`. Raises
        the errors of kongflow_common.auth.errors, InvalidField for an environment that is
        no id, DependencyUnavailable while tenancy cannot be asked.
        """
        principal = await self._identify(authorization)
        kind = principal.kind
        if kind not in rule.callers:
            raise CallerNotAllowed(caller=kind.value)
        if kind is CallerKind.OPERATOR and not principal.may(rule.operator_scope):
            raise OperatorScopeMissing(scope=rule.operator_scope)
        if kind in _KEYS:
            if environment_id is not None:
                raise EnvironmentNotAllowed
            return principal
        if environment_id is not None and rule.reads_environment:
            return await self._within(principal, environment_id)
        if rule.environment:
            raise EnvironmentRequired
        return principal

    async def _identify(self, authorization: str | None) -> Principal:
        if not authorization:
            raise CredentialMissing
        if len(authorization) > _MAX_CREDENTIAL_LENGTH:
            raise CredentialInvalid
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise CredentialMissing
        credential = authorization[len(_SCHEME) :].strip()
        kind = _KINDS.get(credential[:3])
        if kind is None:
            return self._verifier.verify(credential)
        digest = hashlib.sha256(credential.encode(errors="replace")).digest()
        principal = await self._resolver.principal(digest)
        if principal is None or principal.kind is not kind:
            raise CredentialInvalid
        return principal

    async def _within(self, principal: Principal, environment_id: str) -> Principal:
        environment = await self._resolver.environment(
            parse_id(environment_id, ENVIRONMENT_METADATA)
        )
        if environment is None:
            raise EnvironmentNotFound(environment_id=environment_id)
        return replace(principal, environment=environment)
