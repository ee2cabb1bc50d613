"""One system for all end-to-end tests."""

from collections.abc import Iterator

import grpc
import pytest

from tests.local_system import LocalSystem, local_system


@pytest.fixture(scope="session")
def system() -> Iterator[LocalSystem]:
    """A system that `kongflow up --detach` started."""
    with local_system() as system:
        yield system


@pytest.fixture(scope="module")
def channels(system: LocalSystem) -> Iterator[dict[str, grpc.Channel]]:
    """A channel to each context's clients' listener."""
    opened = {
        name: grpc.insecure_channel(target) for name, target in system.connection()["grpc"].items()
    }
    yield opened
    for channel in opened.values():
        channel.close()
