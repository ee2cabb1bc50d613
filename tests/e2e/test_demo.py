"""`kongflow demo` in a system that somebody uses."""

import json

import pytest

from tests.example_endpoint import PROGRAM, example_endpoint
from tests.local_system import LocalSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SLUG = "python-example"


def demo(system: LocalSystem) -> str:
    return system.kongflow("demo", "--program", str(PROGRAM)).stdout


def endpoint(system: LocalSystem) -> dict[str, str]:
    found: dict[str, str] = json.loads(system.kongflow("endpoints", "get", SLUG, "--json").stdout)
    return found


def test_it_shows_the_way_of_six_events_and_leaves_nothing_behind(system: LocalSystem) -> None:
    ways = demo(system).split("\n\n")
    assert "3 jobs registered" in ways[0]
    assert [way.splitlines()[0].split()[:2] for way in ways[1:7]] == [
        [f"{n}.", name] for n, name in enumerate(["order.created"] * 4 + ["user.created"] * 2, 1)
    ]
    assert [way.count("success: ") for way in ways[1:7]] == [1, 2, 0, 0, 1, 1]
    assert "matched                     0 jobs" in ways[3]
    assert "failure: 'customer'" in ways[4]
    [delayed] = [line for line in ways[6].splitlines() if "matched" in line]
    assert 2_000 <= int(delayed.split()[0].removeprefix("+")) < 10_000
    # Its program has ended: nothing points at where it was.
    assert endpoint(system)["url"] == ""


def test_the_endpoint_that_was_there_is_there_again(system: LocalSystem) -> None:
    with example_endpoint(system.connection()["api_key"]) as url:
        system.kongflow("endpoints", "create", SLUG, url)
        assert "6. user.created" in demo(system)
        assert endpoint(system)["url"] == url
        ended = system.kongflow("jobs", "test", "audit-order", "--payload", '{"a": 1}')
        assert "success" in ended.stdout
