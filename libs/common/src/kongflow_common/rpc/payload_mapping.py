"""Users' documents between `kongflow.common.v1.Payload` and the text that is stored."""

import math

import orjson
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from kongflow.common.v1 import payload_pb2
from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument, parse_json

__all__ = ["from_payload", "json_of_struct", "to_payload"]

# Beyond it a double does not tell neighbouring integers apart.
_MAX_EXACT_INTEGER = 2.0**53


def from_payload(payload: payload_pb2.Payload, field: str) -> JsonDocument | None:
    """Check a payload in either form; None when it holds nothing.

    Integral numbers of a `value` are written as integers. Raises InvalidField, naming
    `field`, for what cannot be stored.
    """
    kind = payload.WhichOneof("kind")
    if kind is None:
        return None
    if kind == "json":
        return parse_json(payload.json, field=field)
    return parse_json(orjson.dumps(_from_value(payload.value, field)), field=field)


def to_payload(document: JsonDocument) -> payload_pb2.Payload:
    """Hand a document over as the text that was sent."""
    return payload_pb2.Payload(json=document.text)


def json_of_struct(struct: Struct, field: str) -> JsonDocument:
    """Check a google.protobuf.Struct: a JSON object. Raises InvalidField, naming `field`."""
    return parse_json(orjson.dumps(_from_struct(struct, field)), field=field)


# Written by hand: json_format takes twice as long.
def _from_value(value: Value, field: str) -> object:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        return _from_number(value.number_value, field)
    if kind == "struct_value":
        return _from_struct(value.struct_value, field)
    if kind == "list_value":
        return _from_list(value.list_value, field)
    if kind == "bool_value":
        return value.bool_value
    if kind == "null_value":
        return None
    raise InvalidField(field, "holds a google.protobuf.Value without a kind")


def _from_struct(struct: Struct, field: str) -> dict[str, object]:
    return {name: _from_value(member, field) for name, member in struct.fields.items()}


def _from_list(values: ListValue, field: str) -> list[object]:
    return [_from_value(each, field) for each in values.values]


def _from_number(number: float, field: str) -> float | int:
    if not math.isfinite(number):
        raise InvalidField(field, "holds a number that is not finite")
    if number.is_integer() and abs(number) <= _MAX_EXACT_INTEGER:
        return int(number)
    return number
