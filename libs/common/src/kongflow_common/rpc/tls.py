"""TLS by settings: a certificate and its key, and a CA for certificates of both sides."""

from pathlib import Path

import grpc

from kongflow_common.settings import ServiceSettings

__all__ = ["TlsSettingsIncomplete", "channel_credentials", "server_credentials"]


class TlsSettingsIncomplete(ValueError):
    """KONGFLOW_TLS_CERT_FILE and KONGFLOW_TLS_KEY_FILE belong together."""


def server_credentials(
    settings: ServiceSettings, *, require_client_certificate: bool
) -> grpc.ServerCredentials | None:
    """What a listener needs; None when the settings name no certificate.

    With a CA a listener may require that callers show a certificate which it signed (mTLS).
    Raises TlsSettingsIncomplete, and OSError when a file cannot be read.
    """
    pair = _certificate_pair(settings)
    if pair is None:
        return None
    authority = _read(settings.tls_ca_file)
    return grpc.ssl_server_credentials(
        [pair],
        root_certificates=authority,
        require_client_auth=require_client_certificate and authority is not None,
    )


def channel_credentials(settings: ServiceSettings) -> grpc.ChannelCredentials | None:
    """What calls to other services need; None when the settings speak of no TLS."""
    authority = _read(settings.tls_ca_file)
    pair = _certificate_pair(settings)
    if authority is None and pair is None:
        return None
    key, chain = pair if pair is not None else (None, None)
    return grpc.ssl_channel_credentials(
        root_certificates=authority, private_key=key, certificate_chain=chain
    )


def _certificate_pair(settings: ServiceSettings) -> tuple[bytes, bytes] | None:
    key = _read(settings.tls_key_file)
    chain = _read(settings.tls_cert_file)
    if key is None and chain is None:
        return None
    if key is None or chain is None:
        raise TlsSettingsIncomplete(
            "KONGFLOW_TLS_CERT_FILE and KONGFLOW_TLS_KEY_FILE must be set together"
        )
    return key, chain


def _read(path: Path | None) -> bytes | None:
    return path.read_bytes() if path is not None else None
