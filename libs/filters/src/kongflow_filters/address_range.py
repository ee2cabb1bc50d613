"""Ranges of IP addresses, `10.0.0.0/8` or `2001:db8::/32`."""

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final, TypeAlias

__all__ = ["Address", "AddressRanges", "parse_address", "parse_range"]

Address: TypeAlias = tuple[int, int]
"""The version and the number that the bits are."""

_Range: TypeAlias = tuple[int, int, int]
"""The version, how many bits at the end are left open, and the number that those before are."""

_AddressOf: TypeAlias = Callable[[str], Address | None]
"""parse_address, or one that remembers."""

_RANGE: Final = re.compile("([0-9A-Fa-f:.]+)/([0-9]{1,3})", re.ASCII)
# What else there is cannot be one, and saying so is cheap.
_ADDRESS: Final = re.compile("[0-9A-Fa-f:.]{2,45}", re.ASCII)
_BITS: Final = {4: 32, 6: 128}


def parse_address(text: str) -> Address | None:
    """The address that the text is, if it is one."""
    if _ADDRESS.fullmatch(text) is None:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.version, int(address)


def parse_range(text: str, address_of: _AddressOf = parse_address) -> _Range:
    """Raises ValueError where the text is no range.

    Bits of the address beyond the length say nothing, as in event patterns elsewhere.
    """
    match = _RANGE.fullmatch(text)
    address = None if match is None else address_of(match[1])
    if match is None or address is None or int(match[2]) > _BITS[address[0]]:
        raise ValueError("must be an IPv4 or IPv6 address, a slash and a number of bits")
    version, number = address
    open_bits = _BITS[version] - int(match[2])
    return version, open_bits, number >> open_bits


class AddressRanges:
    """Several ranges, asked at once. Raises ValueError where a text is none."""

    __slots__ = ("_starts",)

    def __init__(self, texts: Iterable[str], address_of: _AddressOf = parse_address) -> None:
        self._starts: dict[int, dict[int, set[int]]] = {}
        """What addresses begin with, by version and by how many bits are left open."""
        for text in texts:
            version, open_bits, start = parse_range(text, address_of)
            by_open_bits = self._starts.setdefault(version, {})
            by_open_bits.setdefault(open_bits, set()).add(start)

    def hold(self, address: Address) -> bool:
        """Whether one of them has the address; one of the other version has not."""
        version, number = address
        for open_bits, starts in self._starts.get(version, {}).items():
            if number >> open_bits in starts:
                return True
        return False
