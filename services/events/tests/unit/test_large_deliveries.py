"""Deliveries of large events to large filters, without a database."""

import asyncio

import pytest

from kongflow_events.application.deliveries import dispatchers_taking
from services.events.tests.unit.test_dispatcher_index import dispatcher, event
from services.events.tests.unit.test_time_runs_out import RECORD

KEYS = {f"k{number}": [{"$exists": False}] for number in range(39)}
LARGE = {"a": {**KEYS, "z": [{"$exists": True}]}}


async def test_other_calls_are_answered_between_large_filters() -> None:
    candidates = [dispatcher(LARGE) for _ in range(5)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    # Each of them takes longer than filters may in a row.
    shown = event({"a": [{}] * 5_000 + [{"z": 1}]})
    taking = await dispatchers_taking(candidates, shown, RECORD)
    running.cancel()
    assert taking == [each.id for each in candidates]
    assert turns >= 5


async def test_what_is_left_when_filters_ask_too_much_is_given_up_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    large = [dispatcher({"a": {"b": [{"$gt": 0}]}}) for _ in range(9)]
    small = dispatcher({"c": [1]})
    # 600,000 steps each.
    shown = event({"a": [{"b": 0}] * 200_000 + [{"b": 1}], "c": 1})
    taking = await dispatchers_taking([*large, small], shown, RECORD)
    assert taking == [*(each.id for each in large[:6]), small.id]
    [line] = [line for line in caplog.records if "ask too much" in line.getMessage()]
    assert line.__dict__["fields"]["event_record_id"] == str(RECORD.id)
    caplog.clear()
    assert await dispatchers_taking(large, shown, RECORD) == []
    assert not caplog.records
