"""Ranges of IP addresses, `10.0.0.0/8` or `2001:db8::/32`."""

import re
from ipaddress import ip_address, ip_network
from typing import Final

__all__ = ["AddressRange"]

_RANGE: Final = re.compile("[0-9A-Fa-f:.]+/[0-9]{1,3}", re.ASCII)
_LONGEST_ADDRESS: Final = 45


class AddressRange:
    """The addresses that begin with the same bits. Raises ValueError where the text is none."""

    __slots__ = ("_network",)

    def __init__(self, text: str) -> None:
        reason = "must be an IPv4 or IPv6 address, a slash and a number of bits"
        if _RANGE.fullmatch(text) is None:
            raise ValueError(reason)
        try:
            # Bits of the address beyond these say nothing, as in event patterns elsewhere.
            self._network = ip_network(text, strict=False)
        except ValueError:
            raise ValueError(reason) from None

    def holds(self, text: str) -> bool:
        """Whether the text is an address of the range; one of the other version is not."""
        if len(text) > _LONGEST_ADDRESS or "%" in text:
            return False
        try:
            return ip_address(text) in self._network
        except ValueError:
            return False
