"""`kongflow schemas`: JSON Schemas that events are checked with as they come in."""

from enum import Enum
from typing import Annotated, Any

import typer

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import event_schema_pb2
from kongflow.events.v1 import event_schemas_service_pb2 as pb
from kongflow.events.v1.event_schema_pb2 import EventSchema, SchemaDifference
from kongflow.events.v1.event_schemas_service_pb2_grpc import EventSchemasServiceStub
from kongflow_cli.client.exit_codes import CONFLICT
from kongflow_cli.client.listing import print_list
from kongflow_cli.client.option_groups import with_options
from kongflow_cli.client.options import PageOptions, in_environment, pages
from kongflow_cli.client.session import Session
from kongflow_cli.input.documents import Documents
from kongflow_cli.output.cells import Column, time_of, word, yes_or_no
from kongflow_cli.output.documents import document_cell
from kongflow_cli.output.proto_json import to_json

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Schemas that events are checked with."
)

_SESSION = in_environment("events")


class ModeWord(Enum):
    """What becomes of an event that does not fit."""

    REJECT = "reject"
    WARN = "warn"
    OFF = "off"


class CompatibilityWord(Enum):
    """How a version has to stand to the one before."""

    BACKWARD = "backward"
    FORWARD = "forward"
    FULL = "full"
    NONE = "none"


_COLUMNS: list[Column[EventSchema]] = [
    Column("Events", lambda schema: schema.event_name),
    Column("Version", lambda schema: str(schema.version)),
    Column("Mode", lambda schema: word(EventSchema.Mode.Name, schema.mode, "MODE_")),
    Column("Created", lambda schema: time_of(schema, "create_time")),
    Column("Updated", lambda schema: time_of(schema, "update_time"), wide=True),
    Column("Id", lambda schema: schema.id, wide=True),
]
_DETAILS: list[Column[EventSchema]] = [
    *_COLUMNS,
    Column("Schema", lambda schema: document_cell(schema, "schema")),
]
_DIFFERENCES: list[Column[SchemaDifference]] = [
    Column("Where", lambda difference: difference.path),
    Column("What", lambda difference: difference.reason),
    Column("Undecided", lambda difference: yes_or_no(difference.undecided)),
]

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the events.")]
_Schema = Annotated[
    str, typer.Option("--schema", metavar="JSON", help="The schema; or @file, or -.")
]
_Compatibility = Annotated[
    CompatibilityWord,
    typer.Option(case_sensitive=False, help="How it has to stand to the version before."),
]


def _compatibility(chosen: CompatibilityWord) -> Any:
    return event_schema_pb2.Compatibility.Value(f"COMPATIBILITY_{chosen.name}")


@app.command("register")
@with_options(session=_SESSION)
def register_schema(
    session: Session,
    name: _Name,
    schema: _Schema,
    *,
    mode: Annotated[
        ModeWord, typer.Option(case_sensitive=False, help="What becomes of what does not fit.")
    ] = ModeWord.REJECT,
    compatibility: _Compatibility = CompatibilityWord.BACKWARD,
) -> None:
    """Register a schema as the next version, or change the mode of the newest."""
    document = Documents().read("--schema", schema)
    response = session.call(
        EventSchemasServiceStub(session.channel).RegisterEventSchema,
        pb.RegisterEventSchemaRequest(
            event_schema=EventSchema(
                event_name=name,
                schema=Payload(json=document),
                mode=EventSchema.Mode.Value(f"MODE_{mode.name}"),
            ),
            compatibility=_compatibility(compatibility),
        ),
        repeat="Whether it is registered is not known; to repeat the command is harmless.",
    )
    session.printer.resource(response.event_schema, _COLUMNS)


@app.command("check")
@with_options(session=_SESSION)
def check_schema(
    session: Session,
    name: _Name,
    schema: _Schema,
    *,
    compatibility: _Compatibility = CompatibilityWord.BACKWARD,
    sample: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="A payload to check with it; or @file, or -."),
    ] = None,
) -> None:
    """Say whether a schema could be registered, and what of a sample does not fit."""
    documents = Documents()
    request = pb.CheckEventSchemaRequest(
        event_schema=EventSchema(
            event_name=name, schema=Payload(json=documents.read("--schema", schema))
        ),
        compatibility=_compatibility(compatibility),
    )
    if sample is not None:
        request.sample.json = documents.read("--sample", sample)
    response = session.call(EventSchemasServiceStub(session.channel).CheckEventSchema, request)
    if session.printer.as_json:
        session.printer.json_object(to_json(response))
    else:
        if response.differences:
            session.printer.items(iter(response.differences), _DIFFERENCES, "No differences.")
        elif response.compared_version:
            session.printer.line(f"It is compatible with version {response.compared_version}.")
        else:
            session.printer.line("It would be the first version.")
        for error in response.sample_errors:
            session.printer.line(f"The sample does not fit: {error}")
    if not response.compatible or response.sample_errors:
        raise typer.Exit(CONFLICT)


@app.command("get")
@with_options(session=_SESSION)
def get_schema(
    session: Session,
    name: _Name,
    version: Annotated[
        int, typer.Option(min=0, help="Which version.", show_default="the newest")
    ] = 0,
) -> None:
    """Show a schema."""
    response = session.call(
        EventSchemasServiceStub(session.channel).GetEventSchema,
        pb.GetEventSchemaRequest(event_name=name, version=version),
    )
    session.printer.resource(response.event_schema, _DETAILS)


@app.command("list")
@with_options(session=_SESSION, page=pages)
def list_schemas(
    session: Session,
    page: PageOptions,
    name: Annotated[str, typer.Option(help="Only for events of this name.")] = "",
) -> None:
    """List schemas, the newest first."""
    stub = EventSchemasServiceStub(session.channel)

    def fetch(page_size: int, page_token: str) -> tuple[list[EventSchema], str]:
        response = session.call(
            stub.ListEventSchemas,
            pb.ListEventSchemasRequest(page_size=page_size, page_token=page_token, event_name=name),
        )
        return list(response.event_schemas), response.next_page_token

    print_list(session.printer, page, fetch, _COLUMNS, "No schemas.")


@app.command("delete")
@with_options(session=_SESSION)
def delete_schema(
    session: Session,
    name: _Name,
    version: Annotated[int, typer.Option(min=1, help="Which version.")],
) -> None:
    """Delete a version of a schema; the one before is the newest then."""
    session.call(
        EventSchemasServiceStub(session.channel).DeleteEventSchema,
        pb.DeleteEventSchemaRequest(event_name=name, version=version),
        repeat="Whether it is deleted is not known; to repeat the command is harmless.",
    )
    session.printer.remark(f"Version {version} is deleted.")
