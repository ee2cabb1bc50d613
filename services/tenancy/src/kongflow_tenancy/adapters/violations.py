"""What a violated constraint means to tenancy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import IntegrityError

from kongflow_common.errors import KongflowError


@contextmanager
def constraints_as_errors(meanings: Mapping[str, KongflowError]) -> Iterator[None]:
    """Raises for a violated constraint what it means, by the constraint's name."""
    try:
        yield
    except IntegrityError as error:
        cause = error.orig
        name = cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
        meaning = meanings.get(name or "")
        if meaning is None:
            raise
        raise meaning from error
