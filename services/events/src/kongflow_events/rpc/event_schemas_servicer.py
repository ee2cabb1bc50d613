"""EventSchemasService: what clients call."""

from typing import Any

import grpc

from kongflow.events.v1 import event_schemas_service_pb2 as pb
from kongflow.events.v1.event_schemas_service_pb2_grpc import EventSchemasServiceServicer
from kongflow_common.auth.principals import current_environment
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.field_parsing import optional_text, required_text
from kongflow_common.rpc.paging import PageCursor, page_request
from kongflow_common.rpc.payload_mapping import from_payload
from kongflow_events.application.check_event_schema import CheckEventSchema
from kongflow_events.application.delete_event_schema import DeleteEventSchema
from kongflow_events.application.event_schema_queries import EventSchemaQueries
from kongflow_events.application.ports_schemas import SchemaSelection
from kongflow_events.application.register_event_schema import NewSchema, RegisterEventSchema
from kongflow_events.rpc.event_schema_mapping import (
    to_compatibility,
    to_definition,
    to_difference,
    to_mode,
    to_name,
    to_schema,
    to_version,
)

__all__ = ["EventSchemasServicer"]

# Any: the context is used by no method; its request and answer types are the method's.
_Context = grpc.aio.ServicerContext[Any, Any]


class EventSchemasServicer(EventSchemasServiceServicer):
    """Parses, calls the use case, serialises."""

    def __init__(
        self,
        *,
        register: RegisterEventSchema,
        check: CheckEventSchema,
        delete: DeleteEventSchema,
        schemas: EventSchemaQueries,
    ) -> None:
        self._register = register
        self._check = check
        self._delete = delete
        self._schemas = schemas

    async def RegisterEventSchema(
        self, request: pb.RegisterEventSchemaRequest, context: _Context
    ) -> pb.RegisterEventSchemaResponse:
        registered = await self._register(
            NewSchema(
                environment_id=current_environment().environment_id,
                event_name=to_name(request),
                definition=to_definition(request),
                mode=to_mode(request),
                compatibility=to_compatibility(request),
            )
        )
        return pb.RegisterEventSchemaResponse(
            event_schema=to_schema(registered.schema), is_new=registered.is_new
        )

    async def CheckEventSchema(
        self, request: pb.CheckEventSchemaRequest, context: _Context
    ) -> pb.CheckEventSchemaResponse:
        checked = await self._check(
            current_environment().environment_id,
            to_name(request),
            to_definition(request),
            to_compatibility(request),
            from_payload(request.sample, "sample") if request.HasField("sample") else None,
        )
        return pb.CheckEventSchemaResponse(
            compatible=not checked.differences,
            differences=[to_difference(each) for each in checked.differences],
            compared_version=checked.compared_version,
            sample_errors=checked.sample_errors,
        )

    async def GetEventSchema(
        self, request: pb.GetEventSchemaRequest, context: _Context
    ) -> pb.GetEventSchemaResponse:
        schema = await self._schemas.get(
            current_environment().environment_id,
            required_text(request.event_name, "event_name"),
            to_version(request.version),
        )
        return pb.GetEventSchemaResponse(event_schema=to_schema(schema))

    async def ListEventSchemas(
        self, request: pb.ListEventSchemasRequest, context: _Context
    ) -> pb.ListEventSchemasResponse:
        environment_id = current_environment().environment_id
        asked = page_request(
            method="ListEventSchemas",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.event_name,
            environment_id=environment_id,
        )
        page = await self._schemas.list(
            SchemaSelection(
                environment_id=environment_id,
                event_name=optional_text(request.event_name, "event_name"),
                after=asked.after.id if asked.after is not None else None,
                limit=asked.size,
            )
        )
        token = ""
        if not page.complete:
            last = page.items[-1]
            token = asked.next_page_token(PageCursor(last.created_at, last.id))
        return pb.ListEventSchemasResponse(
            event_schemas=[to_schema(each, with_definition=False) for each in page.items],
            next_page_token=token,
        )

    async def DeleteEventSchema(
        self, request: pb.DeleteEventSchemaRequest, context: _Context
    ) -> pb.DeleteEventSchemaResponse:
        name = required_text(request.event_name, "event_name")
        version = to_version(request.version)
        if version is None:
            raise InvalidField("version", "is required")
        await self._delete(current_environment().environment_id, name, version)
        return pb.DeleteEventSchemaResponse()
