"""Which addresses a user's URL may lead to."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

__all__ = ["AddressPolicy", "UserUrl", "read_url"]

_SCHEMES = {"http": 80, "https": 443}
_MAX_URL_LENGTH = 2_048
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset(
    {
        # The names and addresses under which clouds tell machines their secrets.
        ipaddress.ip_address("169.254.169.254"),
        ipaddress.ip_address("100.100.100.200"),
        ipaddress.ip_address("168.63.129.16"),
        ipaddress.ip_address("192.0.0.192"),
        ipaddress.ip_address("fd00:ec2::254"),
        ipaddress.ip_address("fd20:ce::254"),
    }
)
_GLOBAL = ipaddress.ip_network("2000::/3")
_CARRIER = ipaddress.ip_network("100.64.0.0/10")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class UserUrl:
    """A URL that may be called, as far as its text tells; `host` without brackets."""

    text: str
    scheme: str
    host: str
    port: int


def read_url(text: str) -> UserUrl:
    """Read a URL of a user. Raises ValueError, saying what is wrong with it."""
    if len(text) > _MAX_URL_LENGTH:
        raise ValueError(f"has {len(text)} characters; at most {_MAX_URL_LENGTH} are allowed")
    if any(character <= " " or character == "\x7f" for character in text) or "\\" in text:
        raise ValueError("holds characters that no URL has")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("must begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold credentials")
    if not parts.hostname:
        raise ValueError("names no host")
    if port == 0:
        raise ValueError("names the port 0")
    return UserUrl(text, parts.scheme, _host(parts), port or _SCHEMES[parts.scheme])


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if "%" in host:
        raise ValueError("names a host with a zone")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise ValueError("names a host that is none") from None
    return host


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What may be connected to.

    Link-local, multicast, unspecified, reserved and metadata addresses never; private ones, this
    machine among them, only with `allow_private`.
    """

    allow_private: bool = False

    def refusal(self, address: str) -> str:
        """Why an address may not be connected to; empty when it may."""
        try:
            found = _inner(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return "it is not an address"
        if found in _METADATA or found.is_link_local:
            return "it is an address of the machine's own network"
        if found.is_multicast or found.is_unspecified:
            return "it is no address of a single machine"
        if isinstance(found, ipaddress.IPv4Address) and found.is_reserved:
            return "it is a reserved address"
        if found.is_loopback or found.is_private or _is_carrier(found):
            return "" if self.allow_private else "it is a private address"
        if isinstance(found, ipaddress.IPv6Address) and found not in _GLOBAL:
            return "it is a reserved address"
        return ""


def _is_carrier(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv4Address) and address in _CARRIER


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
