"""When something is due by the clock, the days on which clocks are changed included."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from kongflow_workerqueue.domain.schedule import InvalidSchedule, Schedule


def moments(schedule: Schedule, after: datetime, count: int) -> list[str]:
    """The next moments, as the clock on the wall shows them."""
    zone = ZoneInfo(schedule.time_zone)
    found = []
    for _ in range(count):
        after = schedule.next_after(after)
        assert after.tzinfo is UTC
        found.append(f"{after.astimezone(zone):%d %H:%M %Z}")
    return found


def wall(zone: str, *when: int) -> datetime:
    return datetime(*when, tzinfo=ZoneInfo(zone))  # type: ignore[arg-type,misc]


BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def test_the_next_moment_is_after_this_one() -> None:
    at_noon = Schedule("0 12 * * *")
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert at_noon.next_after(noon - timedelta(microseconds=1)) == noon
    assert at_noon.next_after(noon) == noon + timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "eve", "summer"),
    [
        (BERLIN, wall(BERLIN, 2026, 3, 28, 12), "CEST"),
        (NEW_YORK, wall(NEW_YORK, 2026, 3, 7, 12), "EDT"),
    ],
)
def test_what_falls_into_the_missing_hour_is_due_once_at_its_end(
    zone: str, eve: datetime, summer: str
) -> None:
    """At two the clock is put on to three."""
    day = eve.day + 1
    assert moments(Schedule("30 2 * * *", zone), eve, 2) == [
        f"{day:02} 03:00 {summer}",
        f"{day + 1:02} 02:30 {summer}",
    ]


@pytest.mark.parametrize(
    ("zone", "eve", "hour", "summer", "winter"),
    [
        (BERLIN, wall(BERLIN, 2026, 10, 24, 12), 2, "CEST", "CET"),
        (NEW_YORK, wall(NEW_YORK, 2026, 10, 31, 12), 1, "EDT", "EST"),
    ],
)
def test_what_falls_into_the_repeated_hour_is_due_once(
    zone: str, eve: datetime, hour: int, summer: str, winter: str
) -> None:
    day = eve + timedelta(days=1)
    after = eve + timedelta(days=2)
    assert moments(Schedule(f"30 {hour} * * *", zone), eve, 2) == [
        f"{day:%d} {hour:02}:30 {summer}",
        f"{after:%d} {hour:02}:30 {winter}",
    ]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
@pytest.mark.parametrize("month", [3, 10, 11])
def test_what_runs_through_all_hours_goes_on_evenly(zone: str, month: int) -> None:
    schedule = Schedule("*/20 * * * *", zone)
    moment = datetime(2026, month, 1, tzinfo=UTC)
    for _ in range(30 * 24 * 3):
        following = schedule.next_after(moment)
        assert following - moment == timedelta(minutes=20)
        moment = following


@pytest.mark.parametrize(
    ("cron", "zone", "says"),
    [
        ("", "UTC", "five fields"),
        ("* * * *", "UTC", "five fields"),
        ("* * * * * *", "UTC", "five fields"),
        ("@daily", "UTC", "five fields"),
        ("60 * * * *", "UTC", "no moment"),
        ("0 0 30 2 *", "UTC", "no moment"),
        ("0 0 * * *", "Europe/Bielefeld", "no time zone"),
        ("0 0 * * *", "../etc/passwd", "no time zone"),
        ("0 0 * * *", "", "no time zone"),
    ],
)
def test_what_is_none_is_refused(cron: str, zone: str, says: str) -> None:
    with pytest.raises(InvalidSchedule, match=says):
        Schedule(cron, zone)
