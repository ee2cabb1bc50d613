"""Generations, dispatchables, and what is kept of compiled dispatchers."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.domain.dispatchable import (
    Dispatchable,
    DynamicTrigger,
    Ephemeral,
    JobVersion,
    UnparsableDispatchable,
    parse_dispatchable,
    write_dispatchable,
)
from kongflow_events.domain.event_dispatcher import DispatcherSpecification, EventDispatcher

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def dispatcher(generation: int = 1, payload_filter: bytes | None = None) -> EventDispatcher:
    return EventDispatcher(
        id=new_id(),
        environment_id=new_id(),
        dispatchable_id="job",
        specification=DispatcherSpecification(
            event_names=("order.created",),
            source="trigger.dev",
            payload_filter=JsonDocument(payload_filter) if payload_filter else None,
            context_filter=None,
            manual=False,
            enabled=True,
            dispatchable=write_dispatchable(JobVersion(new_id())),
        ),
        account_id=None,
        external_account_id=None,
        generation=generation,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(("given", "next_"), [(None, 6), (4, None), (5, None), (6, 6), (99, 99)])
def test_only_a_newer_generation_is_next(given: int | None, next_: int | None) -> None:
    assert dispatcher(5).next_generation(given) == next_


@pytest.mark.parametrize(
    "version", [JobVersion(new_id()), JobVersion(new_id(), "beta"), JobVersion(new_id(), None, "1")]
)
def test_dispatchable_is_read_as_it_was_written(version: JobVersion) -> None:
    assert parse_dispatchable(write_dispatchable(version)) == version


JOB = b'"job_id": "0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c"'


@pytest.mark.parametrize(
    "stored",
    [
        b"null",
        b"[]",
        b"{}",
        b'{"type": "EPHEMERAL"}',
        b'{"type": "JOB_VERSION"}',
        b'{"type": "JOB_VERSION", "job_id": "x"}',
        b'{"type": "JOB_VERSION", "job_id": 7}',
        b'{"type": "JOB_VERSION", %b, "alias": ""}' % JOB,
        b'{"type": "JOB_VERSION", %b, "alias": 7}' % JOB,
        b'{"type": "DYNAMIC_TRIGGER"}',
        b'{"type": "DYNAMIC_TRIGGER", "id": "x"}',
        b'{"type": "EPHEMERAL", "expires_at": "2026-05-01T12:00:00+00:00"}',
        b'{"type": "EPHEMERAL", "url": "http://a/", "expires_at": 5}',
        b'{"type": "EPHEMERAL", "url": "http://a/", "expires_at": "2026-05-01T12:00:00"}',
        b'{"type": "JOB_VERSION", %b, "version": ""}' % JOB,
        b'{"type": "JOB_VERSION", %b, "version": "1", "alias": "latest"}' % JOB,
    ],
)
def test_what_is_no_dispatchable_cannot_be_read(stored: bytes) -> None:
    with pytest.raises(UnparsableDispatchable):
        parse_dispatchable(JsonDocument(stored))


def test_dispatchable_without_a_selector_means_the_latest() -> None:
    version = parse_dispatchable(JsonDocument(b'{"type": "JOB_VERSION", %b}' % JOB))
    assert isinstance(version, JobVersion)
    assert (version.alias, version.version) == ("latest", None)


@pytest.mark.parametrize(
    "dispatchable",
    [
        JobVersion(new_id()),
        JobVersion(new_id(), None, "1.0.0", new_id()),
        DynamicTrigger(new_id()),
        Ephemeral("http://example.com/a", datetime(2026, 5, 1, 12, tzinfo=UTC)),
    ],
)
def test_what_is_written_is_read_again(dispatchable: Dispatchable) -> None:
    assert parse_dispatchable(write_dispatchable(dispatchable)) == dispatchable


def test_compiled_dispatcher_is_kept_for_its_generation_only() -> None:
    kept = CompiledDispatchers()
    first = dispatcher(payload_filter=b'{"a": [1]}')
    compiled = kept.compile(first)
    assert kept.compile(first) is compiled
    assert kept.get(first.id, 1) is compiled
    assert kept.get(first.id, 2) is None
    newer = kept.compile(replace(first, generation=2))
    assert newer is not compiled
    assert kept.get(first.id, 1) is None
    assert len(kept) == 1


def test_what_was_used_longest_ago_goes_first() -> None:
    kept = CompiledDispatchers(max_dispatchers=2)
    first, second, third = dispatcher(), dispatcher(), dispatcher()
    kept.compile(first)
    kept.compile(second)
    kept.get(first.id, 1)
    kept.compile(third)
    assert kept.get(second.id, 1) is None
    assert kept.get(first.id, 1) is not None


def test_filters_that_are_kept_are_bounded_by_their_size() -> None:
    kept = CompiledDispatchers(max_filter_bytes=100)
    for _ in range(5):
        kept.compile(dispatcher(payload_filter=b'{"a": ["%b"]}' % (b"x" * 60)))
    assert len(kept) == 1


def test_stored_filter_that_is_not_valid_takes_nothing_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    compiled = CompiledDispatchers().compile(dispatcher(payload_filter=b'{"a": 1}'))
    assert compiled.matcher.rejected is not None
    assert "takes nothing" in caplog.text
