"""What events may be filtered by is said where people look it up."""

import re
from pathlib import Path

import pytest

from kongflow_events.rpc.event_mapping import EVENT_FILTER_FIELDS

ROOT = Path(__file__).parents[4]
NAMES = {field.name for field in EVENT_FILTER_FIELDS}


@pytest.mark.parametrize(
    ("page", "beginning", "end"),
    [
        (
            "protos/kongflow/events/v1/events_service.proto",
            "message ListEventRecordsRequest {",
            "string filter",
        ),
        ("docs/cli.md", "kongflow events list --all --full", "\n\n"),
    ],
)
def test_each_field_is_named(page: str, beginning: str, end: str) -> None:
    text = (ROOT / page).read_text()
    said = text.partition(beginning)[2].partition(end)[0]
    assert set(re.findall(r"`([a-z_]+)`", said)) >= NAMES, said
