"""Calls of one command to one service."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from kongflow_cli.client.call_failed import CallFailed
from kongflow_cli.client.connection import Connection
from kongflow_cli.errors import CliError
from kongflow_cli.output.printer import Printer

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response", bound=Message)

_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_ENVIRONMENT_METADATA = "kongflow-environment"
_CA_FILE = "KONGFLOW_TLS_CA_FILE"
_CLOCKS_DIFFER_SECONDS = 1.0


class Session:
    """A channel, who calls, and where the answers are printed."""

    def __init__(
        self,
        connection: Connection,
        channel: grpc.Channel,
        printer: Printer,
        connection_to: Callable[[str], Connection],
    ) -> None:
        self._connection = connection
        self.channel = channel
        self.printer = printer
        self._connection_to = connection_to

    def beside(self, context: str) -> AbstractContextManager["Session"]:
        """A session with another service of the same system, in the same name."""
        return open_session(self._connection_to(context), self.printer, self._connection_to)

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[_Request, _Response]",
        request: _Request,
        *,
        repeat: str = "",
    ) -> _Response:
        """Calls a method of a stub on `channel`; the connection says how long it may take.

        Nothing is tried again. `repeat` tells the user how to do so without harm when it stays
        unknown whether the call was carried out. Raises CallFailed.
        """
        connection = self._connection
        try:
            return method(request, timeout=connection.timeout, metadata=self._metadata())
        except grpc.RpcError as error:
            raise CallFailed(error, connection, connection.timeout, repeat) from None

    def stream(
        self,
        method: "grpc.UnaryStreamMultiCallable[_Request, _Response]",
        request: _Request,
        *,
        seconds: float | None = None,
        may_be_silent: bool = False,
    ) -> Iterator[_Response]:
        """Calls a method that answers for as long as its caller listens.

        With `seconds` it ends after that time, which is a failure only if there was no answer
        at all and it may not be silent. Raises CallFailed.
        """
        connection = self._connection
        end = time.monotonic() + seconds if seconds is not None else None
        answers = method(request, timeout=seconds, metadata=self._metadata())
        answered = may_be_silent
        try:
            for answer in answers:
                answered = True
                yield answer
        except grpc.RpcError as error:
            # The servers end what takes very long with the same code, then before the end.
            is_over = end is not None and time.monotonic() > end - _CLOCKS_DIFFER_SECONDS
            if not (is_over and answered and answers.code() is grpc.StatusCode.DEADLINE_EXCEEDED):
                raise CallFailed(error, connection, seconds or connection.timeout, "") from None
        finally:
            answers.cancel()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        connection = self._connection
        metadata: tuple[tuple[str, str], ...] = (
            ("authorization", f"Bearer {connection.credential}"),
        )
        if connection.environment is None:
            return metadata
        return (*metadata, (_ENVIRONMENT_METADATA, str(connection.environment)))


@contextmanager
def open_session(
    connection: Connection, printer: Printer, connection_to: Callable[[str], Connection]
) -> Iterator[Session]:
    """Opens the channel for the length of the block; nothing is sent before the first call.

    `connection_to` says how another service of the system is reached.
    """
    # What goes wrong is told in a sentence; gRPC's own log lines would stand beside it.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    options = [
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        # A person who tries again should not wait for it.
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
    ]
    channel = (
        grpc.secure_channel(connection.address, _tls_credentials(), options)
        if connection.tls
        else grpc.insecure_channel(connection.address, options)
    )
    with channel:
        yield Session(connection, channel, printer, connection_to)


def _tls_credentials() -> grpc.ChannelCredentials:
    path = os.environ.get(_CA_FILE)
    if not path:
        return grpc.ssl_channel_credentials()
    try:
        return grpc.ssl_channel_credentials(root_certificates=Path(path).read_bytes())
    except OSError as error:
        raise CliError(f"{path}, named by {_CA_FILE}, cannot be read: {error.strerror}.") from None
