"""What a redrive may make of arguments."""

import orjson
import pytest

from kongflow_common.errors import InvalidField
from kongflow_common.rpc.filtering import parse_filter
from kongflow_workerqueue.application.edit_dead_letters import (
    ArgsChange,
    DeadLetter,
    EditDeadLetters,
)
from kongflow_workerqueue.application.redrive_queued_jobs import REDRIVE_FIELDS
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, built_in_kinds

EDITS = EditDeadLetters(KindCatalogue(built_in_kinds()))


def patch(text: str) -> ArgsChange:
    return ArgsChange(text.encode(), is_patch=True)


def whole(text: str) -> ArgsChange:
    return ArgsChange(text.encode(), is_patch=False)


def letter(args: str) -> DeadLetter:
    return DeadLetter("deliverEvent", "events", None, args.encode())


@pytest.mark.parametrize(
    "text",
    [
        "kind = deliverEvent",
        "kind = deliverEvent AND queue = events",
        "(tag = x AND kind = deliverEvent) AND (kind = startRun OR queue = events)",
    ],
)
def test_a_filter_that_names_one_kind_is_taken(text: str) -> None:
    EDITS.check(patch('{"deliveryRevision": 2}'), parse_filter(text, REDRIVE_FIELDS))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "queue = events",
        "kind != deliverEvent",
        "NOT kind = deliverEvent",
        "kind > deliverEvent",
        "kind = deliverEvent OR kind = startRun",
        "kind = deliverEvent AND kind = startRun",
    ],
)
def test_a_filter_that_names_none_or_several_is_refused(text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        EDITS.check(patch("{}"), parse_filter(text, REDRIVE_FIELDS))
    assert caught.value.field == "filter"


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        (patch("[]"), "args_patch", "not a JSON object"),
        (patch("{"), "args_patch", "not a JSON document"),
        (patch(""), "args_patch", "not a JSON document"),
        (whole("[]"), "args", "not a JSON object"),
        (whole('{"deliveryRevision": "many"}'), "args", "no request of deliverEvent"),
        (whole('{"bogus": 1}'), "args", "bogus"),
    ],
)
def test_a_change_that_fits_no_job_is_refused(change: ArgsChange, field: str, said: str) -> None:
    with pytest.raises(InvalidField, match=said) as caught:
        EDITS.check(change, parse_filter("kind = deliverEvent", REDRIVE_FIELDS))
    assert caught.value.field == field


def test_a_kind_that_nobody_declares_cannot_be_checked() -> None:
    with pytest.raises(InvalidField, match="no target declares comesLater"):
        EDITS.check(patch("{}"), parse_filter("kind = comesLater", REDRIVE_FIELDS))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (patch('{"deliveryRevision": 2}'), {"eventRecordId": "x", "deliveryRevision": 2}),
        # Under whichever of its names it is written.
        (patch('{"event_record_id": "y"}'), {"eventRecordId": "y"}),
        (patch('{"eventRecordId": null}'), {}),
        (whole('{"event_record_id": "y"}'), {"event_record_id": "y"}),
    ],
)
@pytest.mark.parametrize("name", ["eventRecordId", "event_record_id"])
def test_an_edit(change: ArgsChange, expected: dict[str, object], name: str) -> None:
    edit = EDITS.edit(letter(f'{{"{name}": "x"}}'), change)
    assert orjson.loads(edit.args) == expected


def test_an_edit_of_what_is_wrong_elsewhere_names_the_patch() -> None:
    with pytest.raises(InvalidField) as caught:
        EDITS.edit(letter('{"eventRecordId": [1]}'), patch('{"deliveryRevision": 2}'))
    assert caught.value.field == "args_patch"
