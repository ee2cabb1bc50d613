"""Times, durations, fields, payloads and envelopes between wire and program."""

import math
from datetime import UTC, datetime, timedelta
from enum import Enum
from uuid import uuid4

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from kongflow.common.v1 import payload_pb2
from kongflow.workerqueue.v1 import envelope_pb2
from kongflow_common.errors import InvalidField, NotFound
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc import field_parsing as fields
from kongflow_common.rpc.envelope import Envelope, envelopes_of_batch, origins_of_batch
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.payload_mapping import from_payload, json_of_struct, to_payload
from kongflow_common.rpc.task_results import Snooze, job_results, parse_snooze, say_snooze
from kongflow_common.rpc.timestamps import (
    from_duration,
    from_timestamp,
    to_duration,
    to_timestamp,
)

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(2100, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


class TestTimes:
    @given(
        st.datetimes(
            min_value=FIRST.replace(tzinfo=None),
            max_value=LAST.replace(tzinfo=None),
            timezones=st.just(UTC),
        )
    )
    def test_there_and_back(self, time: datetime) -> None:
        timestamp = to_timestamp(time)
        assert timestamp.ToDatetime(tzinfo=UTC) == time
        assert from_timestamp(timestamp, "t") == time

    @pytest.mark.parametrize(
        "timestamp",
        [
            Timestamp(seconds=-1),
            Timestamp(seconds=-1, nanos=999_999_999),
            Timestamp(seconds=4_133_980_800),
            Timestamp(seconds=2**62),
            Timestamp(seconds=1, nanos=-1),
            Timestamp(seconds=1, nanos=1_000_000_000),
        ],
    )
    def test_outside_of_1970_to_2100(self, timestamp: Timestamp) -> None:
        with pytest.raises(InvalidField) as caught:
            from_timestamp(timestamp, "deliver_time")
        assert caught.value.field == "deliver_time"

    def test_the_edges(self) -> None:
        assert from_timestamp(Timestamp(), "t") == FIRST
        edge = Timestamp(seconds=4_133_980_799, nanos=999_999_999)
        assert from_timestamp(edge, "t") == LAST

    @given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_500)))
    def test_durations_there_and_back(self, duration: timedelta) -> None:
        assert from_duration(to_duration(duration), "d") == duration

    @pytest.mark.parametrize(
        "duration",
        [
            Duration(seconds=-1),
            Duration(nanos=-1_000),
            Duration(seconds=1, nanos=-1),
            Duration(seconds=1, nanos=1_000_000_000),
            Duration(seconds=2**62),
            Duration(seconds=36_501 * 86_400),
        ],
    )
    def test_durations_that_are_none(self, duration: Duration) -> None:
        with pytest.raises(InvalidField):
            from_duration(duration, "d")

    def test_the_bounds_are_told_in_plain_numbers(self) -> None:
        with pytest.raises(InvalidField, match=r"between 0\.001 and 315360000 seconds"):
            from_duration(
                Duration(seconds=-1),
                "d",
                at_least=timedelta(milliseconds=1),
                at_most=timedelta(days=3_650),
            )


class Color(Enum):
    RED = 1


class TestFields:
    def test_texts(self) -> None:
        assert fields.required_text("é" * 512, "name") == "é" * 512
        assert fields.optional_text("", "name") is None
        for bad in ("", "x" * 513, "a\x00b"):
            with pytest.raises(InvalidField, match="name"):
                fields.required_text(bad, "name")

    def test_lists_name_the_item(self) -> None:
        assert fields.texts(["a", "b"], "tags", max_items=2) == ("a", "b")
        with pytest.raises(InvalidField) as caught:
            fields.texts(["a", ""], "tags", max_items=2)
        assert caught.value.field == "tags[1]"
        for bad in (["a", "b", "c"], []):
            with pytest.raises(InvalidField, match="tags"):
                fields.texts(bad, "tags", max_items=2, required=True)

    def test_ids(self) -> None:
        given_id = uuid4()
        assert fields.required_id(str(given_id).upper(), "id") == given_id
        assert fields.optional_id("", "id") is None
        for bad in ("", "x", given_id.hex, f"{{{given_id}}}"):
            with pytest.raises(InvalidField, match="id"):
                fields.required_id(bad, "id")

    def test_enums(self) -> None:
        members = {1: Color.RED}
        assert fields.required_enum(1, "color", members) is Color.RED
        assert fields.optional_enum(0, "color", members) is None
        for bad in (0, 7):
            with pytest.raises(InvalidField, match="color"):
                fields.required_enum(bad, "color", members)

    def test_numbers(self) -> None:
        assert fields.bounded_int(3, "n", at_least=1, at_most=3) == 3
        for bad in (0, 4):
            with pytest.raises(InvalidField, match="n"):
                fields.bounded_int(bad, "n", at_least=1, at_most=3)

    def test_messages_and_oneofs(self) -> None:
        result = envelope_pb2.JobResult()
        with pytest.raises(InvalidField, match="status"):
            fields.required_message(result, "status")
        result.status.SetInParent()
        fields.required_message(result, "status")
        with pytest.raises(InvalidField, match="one of value, json"):
            fields.required_one_of(payload_pb2.Payload(), "kind")
        assert fields.required_one_of(payload_pb2.Payload(json=b"1"), "kind") == "json"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(
                st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


class TestPayloads:
    @given(JSON)
    def test_a_value_is_the_same_document_as_its_json(self, document: object) -> None:
        value = json_format.Parse(orjson.dumps(document), Value())
        read = from_payload(payload_pb2.Payload(value=value), "payload")
        assert read is not None
        assert read.load() == document

    def test_integral_numbers_become_integers(self) -> None:
        value = Value(list_value=ListValue(values=[Value(number_value=n) for n in (1, -2.0, 1.5)]))
        read = from_payload(payload_pb2.Payload(value=value), "payload")
        assert read == JsonDocument(b"[1,-2,1.5]")

    def test_numbers_beyond_exactness_stay_what_they_are(self) -> None:
        read = from_payload(payload_pb2.Payload(value=Value(number_value=1e300)), "payload")
        assert read is not None
        assert read.load() == 1e300

    def test_json_stays_as_it_was_sent(self) -> None:
        payload = payload_pb2.Payload(json=b'{ "a" : 12345678901234567890 }')
        read = from_payload(payload, "payload")
        assert read is not None
        assert to_payload(read) == payload

    @pytest.mark.parametrize(
        "text",
        [
            b"{}",
            b"[]",
            b"null",
            b'{"a":[1,2.5,-3,null,true,"x",{}],"b":{"c":[[]]}}',
            b"9007199254740992",
            b"[" * 30 + b"]" * 30,
        ],
    )
    def test_people_are_answered_with_a_value(self, text: bytes) -> None:
        payload = to_payload(JsonDocument(text))
        assert payload.WhichOneof("kind") == "value"
        decoded = payload_pb2.Payload.FromString(payload.SerializeToString())
        read = from_payload(decoded, "payload")
        assert read is not None
        assert read.load() == JsonDocument(text).load()

    @pytest.mark.parametrize(
        "text",
        [b"9007199254740993", b"[-12345678901234567890]", b"1e300", b"[" * 31 + b"]" * 31],
    )
    def test_what_a_value_cannot_hold_is_answered_as_text(self, text: bytes) -> None:
        assert to_payload(JsonDocument(text)) == payload_pb2.Payload(json=text)

    def test_nothing_is_nothing(self) -> None:
        assert from_payload(payload_pb2.Payload(), "payload") is None

    @pytest.mark.parametrize(
        "payload",
        [
            payload_pb2.Payload(value=Value()),
            payload_pb2.Payload(value=Value(number_value=math.nan)),
            payload_pb2.Payload(value=Value(number_value=-math.inf)),
            payload_pb2.Payload(value=Value(string_value="a\x00b")),
            payload_pb2.Payload(
                value=Value(struct_value=Struct(fields={"\x00": Value(bool_value=True)}))
            ),
            payload_pb2.Payload(value=Value(string_value="x" * 524_288)),
            payload_pb2.Payload(json=b""),
            payload_pb2.Payload(json=b"{"),
            payload_pb2.Payload(json=b"NaN"),
            payload_pb2.Payload(json=b'"\xff"'),
            payload_pb2.Payload(json=b'"\\ud800"'),
            payload_pb2.Payload(json=b'"\\u0000"'),
            payload_pb2.Payload(json=b"[" * 201 + b"]" * 201),
            payload_pb2.Payload(json=b'"' + b"x" * 524_288 + b'"'),
        ],
    )
    def test_what_cannot_be_stored(self, payload: payload_pb2.Payload) -> None:
        with pytest.raises(InvalidField) as caught:
            from_payload(payload, "event.payload")
        assert caught.value.field == "event.payload"

    def test_structs(self) -> None:
        struct = Struct()
        struct.update({"a": [1, "b", None, {"c": False}]})
        assert orjson.loads(json_of_struct(struct, "s").text) == {"a": [1, "b", None, {"c": False}]}


ENVELOPE = Envelope(
    queued_job_id=uuid4(),
    attempt=2,
    fencing_token=7,
    environment_id=uuid4(),
    idempotency_key="key",
    deadline=datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)
BARE = Envelope(uuid4(), 1, 1, None, "", None, "")


class TestEnvelopes:
    @pytest.mark.parametrize("envelope", [ENVELOPE, BARE])
    def test_there_and_back(self, envelope: Envelope) -> None:
        assert Envelope.from_metadata(envelope.to_metadata()) == envelope
        assert Envelope.from_proto(envelope.to_proto()) == envelope

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("kongflow-queued-job-id", "seven"),
            ("kongflow-attempt", "-1"),
            ("kongflow-attempt", "٣"),
            ("kongflow-fencing-token", "9" * 30),
            ("kongflow-environment", "dev"),
            ("kongflow-deadline", "soon"),
        ],
    )
    def test_metadata_that_cannot_be_read(self, name: str, value: str) -> None:
        metadata = {**dict(ENVELOPE.to_metadata()), name: value}
        with pytest.raises(InvalidField) as caught:
            Envelope.from_metadata(metadata.items())
        assert caught.value.field == name

    def test_a_call_without_a_job(self) -> None:
        with pytest.raises(InvalidField, match="kongflow-queued-job-id"):
            Envelope.from_metadata(None)

    def test_a_batch_has_one_for_each_request(self) -> None:
        protos = [ENVELOPE.to_proto(), BARE.to_proto()]
        assert envelopes_of_batch([1, 2], protos) == [ENVELOPE, BARE]
        with pytest.raises(InvalidField, match="envelopes"):
            envelopes_of_batch([1], protos)
        protos[1].queued_job_id = ""
        with pytest.raises(InvalidField) as caught:
            envelopes_of_batch([1, 2], protos)
        assert caught.value.field == "envelopes[1].queued_job_id"

    def test_the_origins_of_a_batch_are_the_part_of_its_envelopes_that_says_whose_it_is(
        self,
    ) -> None:
        protos = [ENVELOPE.to_proto(), BARE.to_proto()]
        assert origins_of_batch([1, 2], protos) == [
            (ENVELOPE.environment_id, ENVELOPE.traceparent),
            (None, BARE.traceparent),
        ]
        with pytest.raises(InvalidField, match="envelopes"):
            origins_of_batch([1], protos)
        protos[1].environment_id = "dev"
        with pytest.raises(InvalidField) as caught:
            origins_of_batch([1, 2], protos)
        assert caught.value.field == "envelopes.environment_id"


class Trailing:
    metadata: tuple[tuple[str, str], ...] = ()

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.metadata = metadata


class TestTaskResults:
    def test_each_at_its_place(self) -> None:
        done, snoozed, refused = job_results(
            [None, Snooze(timedelta(seconds=1.5)), NotFound(id="7")],
            ErrorCatalog("events.kongflow", {}),
        )
        assert (done.status.code, done.HasField("snooze")) == (0, False)
        assert done.HasField("status")
        assert (snoozed.status.code, snoozed.snooze.ToTimedelta()) == (0, timedelta(seconds=1.5))
        assert (refused.status.code, len(refused.status.details)) == (5, 1)

    @pytest.mark.parametrize("seconds", [0, 0.25, 30, 86_400])
    def test_snooze_there_and_back(self, seconds: float) -> None:
        context = Trailing()
        say_snooze(context, Snooze(timedelta(seconds=seconds)))
        assert parse_snooze(context.metadata) == Snooze(timedelta(seconds=seconds))

    def test_a_snooze_of_decades_stays_one_that_can_be_read(self) -> None:
        context = Trailing()
        say_snooze(context, Snooze(timedelta(days=365 * 70)))
        snooze = parse_snooze(context.metadata)
        assert snooze is not None
        assert snooze.delay > timedelta(days=365 * 9)

    def test_snooze_as_people_write_it(self) -> None:
        assert parse_snooze((("kongflow-snooze", "30s"),)) == Snooze(timedelta(seconds=30))
        assert parse_snooze((("other", "x"),)) is None
        for bad in ("30", "s", "-1s", "nans", "1e99s"):
            with pytest.raises(ValueError, match=r".+"):
                parse_snooze((("kongflow-snooze", bad),))
