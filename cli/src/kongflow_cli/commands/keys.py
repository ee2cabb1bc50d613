"""`kongflow keys`: the keys that open an environment."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow.tenancy.v1.environment_key_pb2 import EnvironmentKey
from kongflow.tenancy.v1.tenancy_service_pb2_grpc import TenancyServiceStub
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, as_operator, pages
from kongflow_cli.client.session import Session
from kongflow_cli.input.repeats import RequestId, request_id_and_hint
from kongflow_cli.input.states import KeyKind
from kongflow_cli.input.time_text import parse_duration, parse_until, to_duration, to_timestamp
from kongflow_cli.output.cells import Column, time_of, word
from kongflow_cli.output.printer import Printer
from kongflow_cli.output.proto_json import to_json

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Keys, which open an environment."
)

_SESSION = as_operator("tenancy")

_COLUMNS: list[Column[EnvironmentKey]] = [
    Column("Id", lambda key: key.id),
    Column("Kind", lambda key: word(EnvironmentKey.Kind.Name, key.kind, "KIND_")),
    Column("Hint", lambda key: key.hint),
    Column("Created", lambda key: time_of(key, "create_time")),
    Column("Expires", lambda key: time_of(key, "expire_time")),
    Column("Revoked", lambda key: time_of(key, "revoke_time")),
    Column("Environment", lambda key: key.environment_id, wide=True),
]

_KeyId = Annotated[str, typer.Argument(metavar="ID", help="Id of the key.")]


@app.command("create")
@with_options(session=_SESSION)
def create_key(
    session: Session,
    environment: Annotated[
        str, typer.Option("--environment", metavar="ID", help="The environment it opens.")
    ],
    kind: Annotated[
        KeyKind, typer.Option(case_sensitive=False, help="What it opens.")
    ] = KeyKind.SECRET,
    expires: Annotated[
        datetime | None,
        typer.Option(parser=parse_until, metavar="TIME", help="In 30d, or at a time; else never."),
    ] = None,
    request_id: RequestId = None,
) -> None:
    """Create a key and print its text, which is not shown again."""
    request_id, repeat = request_id_and_hint(request_id)
    request = tenancy_service_pb2.CreateEnvironmentKeyRequest(
        environment_id=environment,
        kind=EnvironmentKey.Kind.Value(f"KIND_{kind.name}"),
        request_id=request_id,
    )
    if expires is not None:
        request.expire_time.CopyFrom(to_timestamp(expires))
    response = session.call(
        TenancyServiceStub(session.channel).CreateEnvironmentKey, request, repeat=repeat
    )
    _print_with_text(session.printer, response)


@app.command("rotate")
@with_options(session=_SESSION)
def rotate_key(
    session: Session,
    key_id: _KeyId,
    overlap: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_duration,
            metavar="DURATION",
            help="How long the old key works on, at most 30d.",
            show_default="not at all",
        ),
    ] = None,
    request_id: RequestId = None,
) -> None:
    """Create a key in the place of another and print its text, which is not shown again."""
    request_id, repeat = request_id_and_hint(request_id)
    request = tenancy_service_pb2.RotateEnvironmentKeyRequest(id=key_id, request_id=request_id)
    if overlap is not None:
        request.overlap.CopyFrom(to_duration(overlap))
    response = session.call(
        TenancyServiceStub(session.channel).RotateEnvironmentKey, request, repeat=repeat
    )
    _print_with_text(session.printer, response)


@app.command("revoke")
@with_options(session=_SESSION)
def revoke_key(session: Session, key_id: _KeyId) -> None:
    """Revoke a key: within 5 seconds it opens nothing any more."""
    response = session.call(
        TenancyServiceStub(session.channel).RevokeEnvironmentKey,
        tenancy_service_pb2.RevokeEnvironmentKeyRequest(id=key_id),
        repeat="Whether it is revoked is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.environment_key, _COLUMNS)


@app.command("list")
@with_options(session=_SESSION, page=pages)
def list_keys(
    session: Session,
    page: PageOptions,
    environment: Annotated[
        str, typer.Option("--environment", metavar="ID", help="The environment they open.")
    ],
) -> None:
    """List the keys of an environment without their texts, the newest first."""
    stub = TenancyServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[EnvironmentKey], str]:
        request = tenancy_service_pb2.ListEnvironmentKeysRequest(
            page_size=page_size, page_token=page_token, environment_id=environment
        )
        response = session.call(stub.ListEnvironmentKeys, request)
        return list(response.environment_keys), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No keys.")


def _print_with_text(
    printer: Printer,
    response: tenancy_service_pb2.CreateEnvironmentKeyResponse
    | tenancy_service_pb2.RotateEnvironmentKeyResponse,
) -> None:
    if printer.as_json:
        printer.json_object(to_json(response))
        return
    # A line of its own, never folded: `kongflow keys create ... | head -1` is the key.
    printer.line(response.key_text)
    printer.resource(response.environment_key, _COLUMNS)
    printer.remark("The key is not shown again.")
