"""Where a program may send an index that asks it: every other place ends the index."""

import pytest
from pydantic import SecretStr

from kongflow_endpoints.domain.endpoint import IndexFailure
from kongflow_endpoints.main import endpoint_program
from libs.common.tests.integration.user_urls.raw_http_server import LOCAL, Server, answer, says

KEY = SecretStr("tr_dev_confidential")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (b"http://[x", "is not a URL"),
        (b"//[", "is not a URL"),
        (b"http://127.0.0.1:99999/", "is not a URL"),
        (b"http://user:hidden@127.0.0.1/", "must not hold credentials"),
        (b"file:///etc/passwd", "must begin with http"),
        (b"//evil.example/", "another host"),
        (b"http://169.254.169.254/latest", "another host"),
        (b"\xff\xfe://x", "redirecting too many times"),
    ],
)
async def test_a_redirect_to_no_good_place_ends_the_index(location: bytes, words: str) -> None:
    server = Server()
    url = await server.start(says(answer(b"", b"location: " + location, status=b"302 Found")))
    async with endpoint_program(LOCAL, ping_seconds=2, index_seconds=3) as program:
        found = await program.index(url, KEY)
    await server.stop()
    assert isinstance(found, IndexFailure)
    for held in ("hidden", KEY.get_secret_value()):
        assert held not in repr(found)
    assert words in found.message
