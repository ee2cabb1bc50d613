"""The fast way to a request message accepts exactly what json_format accepts."""

import orjson
import pytest
from google.protobuf import descriptor_pool, json_format, struct_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as pb
from kongflow_workerqueue.catalogue.request_parser import RequestParser, UnreadableArguments

POOL = descriptor_pool.Default()
PARSER = RequestParser(pb.DeliverEventRequest.DESCRIPTOR, POOL)

NAMES = st.sampled_from(
    ["eventRecordId", "event_record_id", "deliveryRevision", "delivery_revision", "other"]
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**40), max_value=2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["7", "1e2", "-1", "2147483648", "x"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@pytest.mark.parametrize("with_unknown", [True, False])
@settings(deadline=None)
@given(fields=st.dictionaries(NAMES, VALUES, max_size=4))
def test_as_json_format_reads_them(fields: dict[str, object], with_unknown: bool) -> None:
    # What cannot be written as JSON cannot be stored as arguments.
    try:
        raw = orjson.dumps(fields)
    except (TypeError, UnicodeEncodeError):
        return
    expected: Message | None
    try:
        expected = json_format.ParseDict(
            orjson.loads(raw), pb.DeliverEventRequest(), ignore_unknown_fields=with_unknown
        )
    except (json_format.ParseError, ValueError, TypeError):
        expected = None
    try:
        found: Message | None = PARSER.parse(raw, with_unknown=with_unknown)
    except UnreadableArguments:
        found = None
    assert found == expected


def test_messages_within_messages_are_read() -> None:
    parser = RequestParser(struct_pb2.Struct.DESCRIPTOR, POOL)
    assert parser.parse(b'{"a": {"b": [1, null]}}') == json_format.ParseDict(
        {"a": {"b": [1, None]}}, struct_pb2.Struct()
    )


def test_a_message_of_another_pool_is_read() -> None:
    pool = descriptor_pool.DescriptorPool()
    file = FileDescriptorProto(name="other.proto", package="other", syntax="proto3")
    message = file.message_type.add(name="Note")
    message.field.add(
        name="text",
        number=1,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )
    pool.Add(file)
    parser = RequestParser(pool.FindMessageTypeByName("other.Note"), pool)
    assert str(parser.parse(b'{"text": "hello"}')) == 'text: "hello"\n'


@pytest.mark.parametrize("raw", [b'{"eventRecordId": "\xff"}', b'{"eventRecordId": "\\ud800"}'])
def test_text_that_is_no_text_is_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableArguments):
        PARSER.parse(raw)
