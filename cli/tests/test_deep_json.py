"""The reader without a deepest level agrees with the one of the standard library."""

import json
from json import JSONDecodeError, JSONDecoder

import pytest

from kongflow_cli.input.deep_json import parse_deep_json


@pytest.mark.parametrize(
    "text",
    [
        "null",
        " [ ] ",
        "\t{ }\n",
        '[1, -2.5e3, "\\ud800\\n\u00e9", true, false, null, [], {}, [[]], [{}]]',
        '{"a": {"b": [1, {"c": [], "d": {}}], "e": "}"}, "a": 2, "__proto__": 3, "": [[[0]]]}',
        '{ "a" :\r\n[ 1 , 2 ] , "b" : { "c" : 3 } }',
    ],
)
def test_documents(text: str) -> None:
    read = parse_deep_json(text, JSONDecoder())
    assert json.dumps(read) == json.dumps(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "[", "{", "]", "}", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{]"),
        *('{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{"a" 1}', "{1:2}", "{a:1}"),
        *("1 2", "[] []", "tru", '"a', '["a\tb"]', '{"a":1]', "\ufeff[]", "\x0b[]", "[01]"),
    ],
)
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(JSONDecodeError):
        json.loads(text)
    with pytest.raises(JSONDecodeError):
        parse_deep_json(text, JSONDecoder())
