"""The statements that store new events."""

from typing import Final

import pytest

from kongflow_events.adapters.new_event_rows import (
    ADD_EVENTS,
    ADD_EVENTS_WITH_ACCOUNTS,
    EVENTS,
    INVOCATIONS,
)

# Beyond these psycopg reads a statement anew each time that it is executed: 50 us.
MOST_CHARACTERS: Final = 4_096
MOST_PARAMETERS: Final = 50


@pytest.mark.parametrize("statement", [ADD_EVENTS, ADD_EVENTS_WITH_ACCOUNTS])
def test_psycopg_keeps_what_it_has_read_of_them(statement: str) -> None:
    assert len(statement) <= MOST_CHARACTERS
    assert len({**EVENTS.bind([]), **INVOCATIONS.bind([]), "claimed_by": None}) <= MOST_PARAMETERS
