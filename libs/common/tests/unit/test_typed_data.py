"""Data of events as classes: checked where they are published, read whatever their version."""

import math
from typing import Any

import orjson
import pytest

from kongflow_common.errors import InvalidField
from kongflow_common.eventing.declared_data import ProgressUpdated, ProjectCreated, RunCompleted
from kongflow_common.eventing.declared_types import DECLARED_TYPES, DeclaredTypes
from kongflow_common.eventing.envelope import Belonging, PublishedEvent, published_event
from kongflow_common.eventing.event_type import EventType, InvalidEventType
from kongflow_common.eventing.typed_data import EventData, TypedData, event_data, says
from kongflow_common.ids import new_id
from kongflow_common.testing.clocks import FixedClock

PROGRESS: dict[str, Any] = {"projectId": "p", "step": "build", "progress": 40, "message": "on it"}
CREATED: dict[str, Any] = {
    "projectId": "p",
    "name": "Shop",
    "organizationId": "o",
    "createdBy": "ada",
}


def published(name: str, data: TypedData | EventData) -> PublishedEvent:
    return published_event(
        DECLARED_TYPES[name],
        "resource",
        data,
        belonging=Belonging(),
        clock=FixedClock(),
        new_id=new_id,
    )


def refused(name: str, data: TypedData | EventData) -> InvalidField:
    with pytest.raises(InvalidField) as refusal:
        published(name, data)
    return refusal.value


def test_every_declared_type_has_a_class_whose_fields_are_told_of() -> None:
    for type_ in DECLARED_TYPES:
        assert type_.data is not None, type_.name
        # That an account went is all that is told: its name is not kept.
        assert type_.fields or type_.name == "account.deleted"
        assert all(field.meaning for field in type_.fields), type_.name


def test_a_class_is_published_under_the_names_of_the_wire() -> None:
    progress = ProgressUpdated(project_id="p", step="build", progress=40, message="on it")
    assert orjson.loads(published("progress.updated", progress).data) == PROGRESS
    created = ProjectCreated(project_id="p", name="Shop", organization_id="o", created_by="ada")
    assert orjson.loads(published("project.created", created).data) == CREATED


def test_a_document_is_checked_as_a_class_is() -> None:
    assert orjson.loads(published("project.created", CREATED).data) == CREATED


def test_what_there_is_not_is_left_out() -> None:
    assert RunCompleted(state="ABORTED").document() == {"state": "ABORTED"}
    data = {"state": "ABORTED", "jobSlug": None}
    assert orjson.loads(published("run.completed.aborted", data).data) == {"state": "ABORTED"}


@pytest.mark.parametrize(
    ("changes", "field", "why"),
    [
        ({"projectId": 7}, "data.projectId", "must be text"),
        ({"projectId": None}, "data.projectId", "is required"),
        ({"progress": "40"}, "data.progress", "must be a number"),
        ({"progress": True}, "data.progress", "must be a number"),
        ({"progress": math.nan}, "data.progress", "must be a number"),
        ({"progress": -0.5}, "data.progress", "must be 0 or more"),
        ({"progress": 100.1}, "data.progress", "must be 100 or less"),
        ({"project_id": "p"}, "data.project_id", "is no field of the type's data"),
        ({"message": "a\x00b"}, "data", "has a NUL in a text"),
    ],
)
def test_what_is_not_the_data_of_its_type_is_refused(
    changes: dict[str, object], field: str, why: str
) -> None:
    refusal = refused("progress.updated", {**PROGRESS, **changes})
    assert (refusal.field, refusal.description) == (field, why)


def test_a_member_that_is_missing_is_named() -> None:
    assert refused("progress.updated", {"projectId": "p"}).field == "data.step"


def test_letters_that_look_like_a_nul_are_none() -> None:
    data = {**PROGRESS, "message": "\\u0000"}
    assert orjson.loads(published("progress.updated", data).data) == data


def test_a_class_of_another_type_is_refused() -> None:
    created = ProjectCreated(project_id="p", name="Shop", organization_id="o", created_by="ada")
    assert "ProjectUpdated" in refused("project.updated", created).description


def test_a_class_refuses_when_it_is_made() -> None:
    with pytest.raises(InvalidField, match=r"data\.progress"):
        ProgressUpdated(project_id="p", step="build", progress=101, message="")


@event_data
class Renamed(TypedData):
    """The third version."""

    first: str = says("the first name")
    last: str = says("the last name")
    visits: int = says("how often", at_least=0)
    details: EventData | None = says("more", default=None)
    known: bool | None = says("whether it is known", default=None)


def split_name(data: EventData) -> EventData:
    first, _, last = data["name"].partition(" ")
    return {"first": first, "last": last}


def with_visits(data: EventData) -> EventData:
    return {**data, "visits": 0}


RENAMED = EventType(
    "user.renamed", version=3, data=Renamed, upcasts={1: split_name, 2: with_visits}
)
ADA = Renamed(first="Ada", last="Lovelace", visits=0)


@pytest.mark.parametrize(
    ("version", "stored"),
    [
        (1, {"name": "Ada Lovelace"}),
        (2, {"first": "Ada", "last": "Lovelace"}),
        (3, {"first": "Ada", "last": "Lovelace", "visits": 0}),
        # Of a program that knows more members of the version.
        (3, {"first": "Ada", "last": "Lovelace", "visits": 0, "more": 1}),
    ],
)
def test_stored_data_of_every_version_are_read_as_the_newest_class(
    version: int, stored: dict[str, object]
) -> None:
    assert RENAMED.read(version, stored) == ADA


def test_data_that_no_step_makes_good_are_refused_when_read() -> None:
    with pytest.raises(InvalidField, match=r"data\.visits"):
        RENAMED.read(3, {"first": "Ada", "last": "Lovelace", "visits": "7"})
    with pytest.raises(InvalidEventType, match="any data"):
        EventType("user.moved").read(1, {})


def test_the_newest_version_is_what_is_published() -> None:
    event = published_event(
        RENAMED, "r", ADA, belonging=Belonging(), clock=FixedClock(), new_id=new_id
    )
    assert event.version == 3
    types = DeclaredTypes([RENAMED])
    assert types.newest("user.renamed", 3, orjson.loads(event.data))[1] == ADA.document()


def test_fields_say_what_they_are() -> None:
    assert [(field.name, field.kind, field.optional) for field in Renamed.fields] == [
        ("first", "text", False),
        ("last", "text", False),
        ("visits", "integer", False),
        ("details", "object", True),
        ("known", "true or false", True),
    ]


def test_what_no_data_hold_is_refused_where_it_is_declared() -> None:
    class Odd(TypedData):
        at: bytes = says("when")

    with pytest.raises(TypeError, match="at is a"):
        event_data(Odd)
