"""One system for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.local_system import LocalSystem, local_system


@pytest.fixture(scope="session")
def system() -> Iterator[LocalSystem]:
    """A system that `kongflow up --detach` started."""
    with local_system() as system:
        yield system
