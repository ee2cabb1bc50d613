"""Identifiers."""

import copy
import pickle
from uuid import UUID

import pytest

from kongflow_common.errors import InvalidField
from kongflow_common.ids import id_text, new_id, parse_id


def test_new_ids_are_version_7_and_sort_by_time() -> None:
    made = [new_id() for _ in range(1000)]
    assert all(each.version == 7 for each in made)
    assert made == sorted(made)
    assert len(set(made)) == 1000


@pytest.mark.parametrize("number", [0, 1, 2**127, 2**128 - 1])
def test_ids_are_uuids_as_any_other(number: int) -> None:
    usual = UUID(int=number)
    read = parse_id(str(usual), "id")
    assert read == usual
    assert hash(read) == hash(usual)
    assert (str(read), repr(read), read.bytes) == (str(usual), repr(usual), usual.bytes)
    assert read.is_safe is usual.is_safe
    assert pickle.loads(pickle.dumps(read)) == copy.deepcopy(read) == usual
    assert id_text(usual) == str(usual)
    with pytest.raises(TypeError):
        read.int = 1  # type: ignore[misc]


def test_parse_accepts_either_case_and_writes_lower_case() -> None:
    made = new_id()
    assert parse_id(str(made).upper(), "id") == made
    assert str(parse_id(str(made).upper(), "id")) == str(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0197f5c44f3c7d6a9c1e2b1f0a9d8e7c",
        "{0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c}",
        "urn:uuid:0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c",
        "0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7g",
        "0197f5c44-f3c-7d6a-9c1e-2b1f0a9d8e7c",
        "0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c\n",
        "0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7 ",
        " 197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c",
        "0x97f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c",
        "0197f5c4-4f3c-7d6a-9c1e-2b1f_a9d8e7c",
        "0197f5c4-4f3c-7d6a-9c1e-2b1f-a9d8e7c",
        "０197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c",
        "０197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c0",
    ],
)
def test_parse_refuses_everything_else(text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        parse_id(text, "event_record.id")
    assert caught.value.field == "event_record.id"
