"""TLS on both listeners, certificates of both sides on the internal one."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.service_tokens import ServiceTokenVerifier
from kongflow_common.rpc.channel import open_channel, service_channel
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.server import GrpcServer
from kongflow_common.rpc.tls import TlsSettingsIncomplete, channel_credentials
from kongflow_common.settings import ServiceSettings
from kongflow_common.testing.echo_service import EchoServicer, call_echo, echo_service
from kongflow_common.testing.grpc_server import (
    ServiceKeys,
    StaticCredentials,
    bearer,
    local_settings,
)
from kongflow_common.testing.refusals import refusal


class Authority:
    """Signs certificates for 127.0.0.1."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key files."""
        key = generate_private_key(SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate_file = self._folder / f"{name}.crt"
        key_file = self._folder / f"{name}.key"
        certificate = self._sign(subject, key, authority=False)
        certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate_file, key_file

    def _sign(
        self, subject: x509.Name, key: EllipticCurvePrivateKey, *, authority: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, SHA256())


def settings_of(authority: Authority | None, pair: tuple[Path, Path] | None) -> ServiceSettings:
    certificate, key = pair if pair is not None else (None, None)
    return local_settings().model_copy(
        update={
            "tls_ca_file": authority.file if authority is not None else None,
            "tls_cert_file": certificate,
            "tls_key_file": key,
        }
    )


async def test_both_sides_show_certificates_where_services_call(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    stranger = Authority(tmp_path, "stranger")
    credentials, keys = StaticCredentials(), ServiceKeys()
    key = credentials.add_secret_key(credentials.add_environment())
    token = keys.signer("events").token("echo")
    server = GrpcServer(
        settings_of(authority, authority.issue("echo")),
        authenticator=Authenticator(credentials, ServiceTokenVerifier("echo", keys.public_keys)),
        catalog=ErrorCatalog("echo.kongflow", {}),
        client_services=[echo_service(EchoServicer())],
        tasks_services=[echo_service(EchoServicer(), "EchoTasksService")],
    )
    await server.start()
    try:
        own = settings_of(authority, authority.issue("events"))
        async with service_channel(server.tasks_listen, own) as channel:
            await call_echo(channel, "Run", bearer(token))
        async with service_channel(server.listen, settings_of(authority, None)) as channel:
            await call_echo(channel, "Send", bearer(key))
        without = settings_of(authority, None)
        foreign = settings_of(authority, stranger.issue("events"))
        for settings in (without, foreign):
            async with service_channel(server.tasks_listen, settings) as channel:
                with refusal(grpc.StatusCode.UNAVAILABLE):
                    await call_echo(channel, "Run", bearer(token))
        async with service_channel(server.listen, settings_of(stranger, None)) as channel:
            with refusal(grpc.StatusCode.UNAVAILABLE):
                await call_echo(channel, "Send", bearer(key))
        async with open_channel(server.listen) as channel:
            with refusal(grpc.StatusCode.UNAVAILABLE):
                await call_echo(channel, "Send", bearer(key))
    finally:
        await server.drain()


def test_a_certificate_without_its_key(tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path, "authority").issue("echo")
    settings = local_settings().model_copy(update={"tls_cert_file": certificate})
    with pytest.raises(TlsSettingsIncomplete):
        channel_credentials(settings)
