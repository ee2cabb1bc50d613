"""Which addresses are connected to, however a URL spells them and wherever its name leads."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kongflow_common.http.addresses import AddressPolicy, read_url
from kongflow_common.http.errors import CallTimedOut, HttpCallFailed, NotReached, UrlRefused
from kongflow_common.http.guarded_client import GuardedHttpClient, RequestLimits
from libs.common.tests.integration.user_urls.raw_http_server import (
    LIMITS,
    LOCAL,
    PUBLIC,
    Names,
    Server,
    answer,
    call,
    says,
)

SHORT = RequestLimits(timeout_seconds=1.0, max_answer_bytes=1_000)

# Ways to say this machine, or a part of its own network, without saying it.
DISGUISES = [
    "http://127.0.0.1.:{port}/",
    "http://127.0.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://\uff11\uff12\uff17.0.0.1:{port}/",
    "http://127\u30020\u30020\u30021:{port}/",
    "http://\u2460\u2461\u2466.0.0.1:{port}/",
    "http://127.0.0.1\u00ad:{port}/",
    "http://[0:0:0:0:0:ffff:7f00:1]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST.:{port}/",
    "http://127%2e0.0.1:{port}/",
    "http://127.0.0.1:{port}#@1.1.1.1/",
    "http://1.1.1.1@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@1.1.1.1/",
    "http:127.0.0.1:{port}/",
    "http:////127.0.0.1:{port}/",
]


@pytest.mark.parametrize("url", DISGUISES)
async def test_a_disguise_gains_nothing(server: Server, url: str) -> None:
    await server.start(says(answer(b"inside")))
    with pytest.raises((UrlRefused, NotReached)):
        await call(url.format(port=read_url(server.url).port), policy=PUBLIC, limits=LIMITS)
    assert server.connections == 0


@pytest.mark.parametrize("host", ["localhost", "LocalHost"])
async def test_a_name_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(UrlRefused, match="private"):
        await call(f"http://{host}:9/", policy=PUBLIC)


@pytest.mark.parametrize(
    "address",
    [
        "168.63.129.16",
        "100.100.100.200",
        "169.254.170.2",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
        "240.0.0.1",
        "fec0::1",
        "5f00::1",
        "100::1:0:0:0:1",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ],
)
@pytest.mark.parametrize("allow_private", [True, False])
def test_some_addresses_are_nobodys(address: str, allow_private: bool) -> None:
    assert AddressPolicy(allow_private=allow_private).refusal(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "127.8.8.8",
        "192.0.2.1",
        "198.18.0.1",
        "::1",
        "fc00::1",
        "2001:db8::1",
        "2001::1",
        "64:ff9b:1::1",
        "64:ff9b::10.0.0.1",
        "2002:0a00:0001::1",
    ],
)
def test_private_addresses_need_leave(address: str) -> None:
    assert PUBLIC.refusal(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fd12::1", "100.64.0.1"])
def test_with_leave_private_addresses_are_called(address: str) -> None:
    assert LOCAL.refusal(address) == ""


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "172.32.0.1"])
def test_public_addresses_are_called(address: str) -> None:
    assert PUBLIC.refusal(address) == ""


async def test_a_refusal_does_not_tell_where_a_name_leads() -> None:
    with pytest.raises(UrlRefused) as refused:
        await call("http://db.internal:9/", policy=PUBLIC, resolver=Names("10.20.30.40"))
    assert "10.20.30.40" not in str(refused.value)


class Hardening(AddressPolicy):
    """Lets an address through once: when its name is resolved."""

    def __init__(self) -> None:
        super().__init__(allow_private=True)
        object.__setattr__(self, "asked", 0)

    def refusal(self, address: str) -> str:
        object.__setattr__(self, "asked", self.asked + 1)
        return "" if self.asked == 1 else f"{address} is no longer good"

    asked: int


async def test_what_is_connected_to_is_judged_once_more(server: Server) -> None:
    await server.start(says(answer(b"inside")))
    url = f"http://shop.example:{read_url(server.url).port}/"
    with pytest.raises(UrlRefused, match="no longer good"):
        await call(url, policy=Hardening(), resolver=Names("127.0.0.1"))
    assert server.connections == 0


async def test_only_the_good_addresses_of_a_name_are_tried(server: Server) -> None:
    await server.start(says(answer(b"well")))

    class Both(Names):
        async def resolve(self, host, port=0, family=socket.AF_INET):  # type: ignore[no-untyped-def]
            bad = await Names("169.254.169.254").resolve(host, port, family)
            return bad + await Names("127.0.0.1").resolve(host, port, family)

    url = f"http://shop.example:{read_url(server.url).port}/"
    assert (await call(url, resolver=Both())).body == b"well"


async def test_a_name_that_nobody_knows_is_not_reached() -> None:
    for host in ("no-such-host.invalid", "a..b", "x" * 64 + ".example"):
        with pytest.raises(NotReached):
            await call(f"http://{host}/", policy=PUBLIC)


async def test_silent_name_servers_hold_one_thread_and_no_other_name(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's own lookup, which a test cannot make silent, is silent for one name."""
    release = threading.Event()
    asked: list[str] = []
    look_up = socket.getaddrinfo

    def silent(host: str, *more: object, **named: object) -> object:
        asked.append(host)
        if host == "silent.example":
            release.wait(30)
        return look_up("127.0.0.1" if host == "well.example" else host, *more, **named)  # type: ignore[arg-type]

    await server.start(says(answer(b"well")))
    port = read_url(server.url).port
    monkeypatch.setattr(socket, "getaddrinfo", silent)
    try:
        async with GuardedHttpClient(LOCAL) as client:

            async def ask(host: str, limits: RequestLimits) -> bytes:
                url = f"http://{host}:{port}/"
                found = await client.request("POST", url, headers={}, body=None, limits=limits)
                return found.body

            held = [asyncio.create_task(ask("silent.example", SHORT)) for _ in range(40)]
            # Long for a busy machine, and well below the time that the silent name takes.
            patient = RequestLimits(timeout_seconds=15.0, max_answer_bytes=1_000)
            assert await ask("well.example", patient) == b"well"
            ended = await asyncio.gather(*held, return_exceptions=True)
        assert all(isinstance(each, CallTimedOut) for each in ended)
        assert asked.count("silent.example") == 1
    finally:
        release.set()


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue is full: connections to it are neither made nor refused."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def test_a_connection_that_is_not_made_in_time_is_none(full_port: int) -> None:
    async with GuardedHttpClient(LOCAL, connect_seconds=0.3) as client:
        with pytest.raises(NotReached, match="no connection"):
            await client.request(
                "POST", f"http://127.0.0.1:{full_port}/", headers={}, body=None, limits=LIMITS
            )


@pytest.fixture
def own_certificate(tmp_path: Path) -> ssl.SSLContext:
    """A certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "both.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_certificate_that_nobody_vouches_for_ends_the_call(
    server: Server, own_certificate: ssl.SSLContext
) -> None:
    url = await server.start(says(answer(b"well")), own_certificate)
    with pytest.raises(NotReached, match="certificate"):
        await call(url)


async def test_https_is_not_spoken_to_one_who_does_not(server: Server) -> None:
    url = await server.start(says(answer(b"well")))
    with pytest.raises(HttpCallFailed):
        await call(url.replace("http://", "https://"), limits=SHORT)
