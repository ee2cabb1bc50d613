"""A server that is as bad as a test wants it."""

from collections.abc import AsyncIterator

import pytest

from libs.common.tests.integration.user_urls.raw_http_server import Server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    yield running
    await running.stop()
