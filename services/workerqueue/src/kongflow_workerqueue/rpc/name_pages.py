"""Page tokens of lists that go by name and belong to no environment."""

import base64
import binascii

from kongflow_common.errors import InvalidField


def token_after(name: str) -> str:
    """Write the token of the page that begins after a name."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def name_before(page_token: str) -> str:
    """Read the name after which a page begins."""
    try:
        return base64.b64decode(page_token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidField("page_token", "is not a page token") from None
