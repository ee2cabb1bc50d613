"""Users' documents between `kongflow.common.v1.Payload` and the text that is stored."""

import math

import orjson
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from kongflow.common.v1 import payload_pb2
from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument, parse_json

__all__ = ["from_payload", "json_of_struct", "to_payload"]

# Beyond it a double does not tell neighbouring integers apart.
_MAX_EXACT_INTEGER = 2.0**53
# Each level is two or three messages, and decoders stop at 100.
_MAX_VALUE_DEPTH = 30


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
    """Hand a document over as a `value`, which people and generic clients read as they wrote it.

    A document that a `value` would not hold exactly (integers that a double cannot tell from
    their neighbours, more levels than a message may nest) is handed over as its text.
    """
    payload = payload_pb2.Payload()
    if _write_value(payload.value, document.load(), _MAX_VALUE_DEPTH):
        return payload
    return payload_pb2.Payload(json=document.text)


def json_of_struct(struct: Struct, field: str) -> JsonDocument:
    """Check a google.protobuf.Struct: a JSON object. Raises InvalidField, naming `field`."""
    return parse_json(orjson.dumps(_from_struct(struct, field)), field=field)


def _write_value(value: Value, content: object, levels: int) -> bool:
    """Write `content` into `value`; False when it does not fit."""
    if isinstance(content, str):
        value.string_value = content
    elif isinstance(content, bool):
        value.bool_value = content
    elif content is None:
        value.null_value = NULL_VALUE
    elif isinstance(content, int | float):
        # An integer of more than 64 bits is read as a float; it cannot be told apart either.
        if abs(content) > _MAX_EXACT_INTEGER and float(content).is_integer():
            return False
        value.number_value = content
        return math.isfinite(content)
    elif not levels:
        return False
    elif isinstance(content, dict):
        # Also an empty object must be there.
        value.struct_value.SetInParent()
        fields = value.struct_value.fields
        return all(_write_value(fields[name], each, levels - 1) for name, each in content.items())
    elif isinstance(content, list):
        value.list_value.SetInParent()
        values = value.list_value.values
        return all(_write_value(values.add(), each, levels - 1) for each in content)
    return True


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
