"""Checking users' JSON."""

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kongflow_common.errors import InvalidField
from kongflow_common.payload import MAX_DEPTH, MAX_PAYLOAD_BYTES, are_plain, parse_json


def test_text_is_kept_as_it_was_sent() -> None:
    raw = b'{ "a": 12345678901234567890123, "b": 1.10 }'
    document = parse_json(raw, field="payload")
    assert document.text == raw
    assert isinstance(document.load(), dict)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"{} {}", "JSON"),
        (b"NaN", "JSON"),
        (b"[Infinity]", "JSON"),
        (b"1e400", "JSON"),
        (b'"\xff"', "JSON"),
        (b"\xef\xbb\xbf{}", "JSON"),
        (b'"\\ud800"', "JSON"),
        (b'"\xed\xa0\x80"', "JSON"),
        (b'"a\x00b"', "JSON"),
        (b'{"a": ["\\u0000"]}', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b"1e-16384", "decimal places"),
        (b"[1E-99999999999999999999]", "decimal places"),
        (b"0." + b"1" * 16_384, "decimal places"),
        (b"0." + b"1" * 9000 + b"e-9000", "decimal places"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "levels"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "levels"),
        (b"[" * 100_000 + b"]" * 100_000, f"nested more than {MAX_DEPTH} levels"),
        (b'"' + b"x" * (MAX_PAYLOAD_BYTES - 1) + b'"', "bytes"),
    ],
)
def test_what_jsonb_cannot_hold_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(InvalidField, match=said) as caught:
        parse_json(raw, field="payload.json")
    assert caught.value.field == "payload.json"
    assert not are_plain([b"{}", raw, b"{}"])


@pytest.mark.parametrize(
    "raw",
    [
        b"null",
        b'"\\\\u0000"',
        b'"1e-99999"',
        b'"' + b"1" * 20_000 + b'"',
        b"1e-16383",
        b"1e-0000001",
        b"0." + b"1" * 16_383,
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b"[" + b"[]," * 1000 + b"{}]",
        b'"' + b"x" * (MAX_PAYLOAD_BYTES - 2) + b'"',
        '"\\ud83d\\ude00 😀"'.encode(),
    ],
)
def test_what_only_looks_bad_is_taken(raw: bytes) -> None:
    assert parse_json(raw, field="payload").text == raw


def test_short_documents_are_seen_to_be_good_together() -> None:
    # As exponents go this UUID would be one, if it were a number.
    documents = [b'"0197f5c4-4f3e-7123-9c1e-123456789012"', b"{}", b"[1e-3]", b'"\\n"', b"1"]
    assert are_plain(documents)
    assert are_plain([])
    assert not are_plain([*documents, b'"' + b"x" * 400 + b'"']), "one that is long"


@pytest.mark.parametrize("end", [b"", b" ", b"\n"])
def test_an_exponent_is_found_wherever_its_number_ends(end: bytes) -> None:
    for raw in (b"1e-99999" + end, b"[1e-99999" + end + b"]", b'{"a":1E-99999' + end + b"}"):
        with pytest.raises(InvalidField, match="decimal places"):
            parse_json(raw, field="payload")
    with pytest.raises(InvalidField, match="decimal places"):
        parse_json(b"[1e-99999" + end + b",1]", field="payload")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=30,
)


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(_holds_nul(each) for each in value)
    return False


@given(json_values)
def test_any_value_without_nul_survives(value: object) -> None:
    raw = orjson.dumps(value)
    if _holds_nul(value):
        with pytest.raises(InvalidField):
            parse_json(raw, field="payload")
    else:
        assert parse_json(raw, field="payload").load() == value


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(raw: bytes) -> None:
    try:
        document = parse_json(raw, field="payload")
    except InvalidField:
        return
    value = document.load()
    assert not (isinstance(value, float) and math.isnan(value))


@pytest.mark.parametrize("number", [b"1e300", b"1e+0000000300", b"1E-300", b"1.5e-999"])
def test_numbers_that_jsonb_would_write_out_at_length_are_refused(number: bytes) -> None:
    # PostgreSQL writes each as hundreds of digits, fifty times what was sent.
    with pytest.raises(InvalidField, match="written out"):
        parse_json(b"[" + b",".join([number] * 2_000) + b"]", field="payload")


def test_some_large_numbers_and_words_that_look_like_them_are_taken() -> None:
    word = b'"3e300 is the beginning of a hash"'
    document = b"[" + b",".join([b"1e300"] * 1_000 + [word] * 5_000) + b"]"
    assert parse_json(document, field="payload").text == document
