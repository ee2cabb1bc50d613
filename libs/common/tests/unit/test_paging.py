import base64
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongflow_common.errors import InvalidField
from kongflow_common.ids import new_id
from kongflow_common.rpc.paging import PageCursor, PageRequest, page_request

METHOD = "kongflow.events.v1.EventsService/ListEventRecords"
ENVIRONMENT = uuid4()


def as_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def ask(token: str = "", *, size: int = 0, text: str = "", **changed: object) -> PageRequest:
    return page_request(
        method=str(changed.get("method", METHOD)),
        page_size=size,
        page_token=token,
        filter_text=text,
        environment_id=changed.get("environment_id", ENVIRONMENT),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("size", "given_size"), [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000), (2**31 - 1, 1_000)]
)
def test_sizes(size: int, given_size: int) -> None:
    assert ask(size=size).size == given_size


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidField, match="page_size"):
        ask(size=-1)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_token_leads_back_to_its_place(time: datetime) -> None:
    cursor = PageCursor(time, new_id())
    token = ask(text="name = a").next_page_token(cursor)
    assert token.isascii()
    assert ask(token, size=7, text="name = a").after == cursor


@pytest.mark.parametrize(
    "changed",
    [
        {"text": "name = b"},
        {"method": "kongflow.runs.v1.RunsService/ListRuns"},
        {"environment_id": uuid4()},
        {"environment_id": None},
    ],
)
def test_a_token_serves_no_other_list(changed: dict[str, object]) -> None:
    token = ask().next_page_token(PageCursor(datetime.now(UTC), new_id()))
    with pytest.raises(InvalidField) as caught:
        ask(token, **changed)  # type: ignore[arg-type]
    assert caught.value.field == "page_token"


@given(st.text(max_size=80) | st.binary(max_size=60).map(as_text))
def test_nothing_else_is_a_token(token: str) -> None:
    if not token:
        return
    with pytest.raises(InvalidField) as caught:
        ask(token)
    assert caught.value.field == "page_token"


def test_a_token_with_an_impossible_time_is_refused() -> None:
    good = ask().next_page_token(PageCursor(datetime.now(UTC), new_id()))
    raw = bytearray(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    raw[-24:-16] = b"\x7f" + b"\xff" * 7
    with pytest.raises(InvalidField):
        ask(base64.urlsafe_b64encode(bytes(raw)).decode())
