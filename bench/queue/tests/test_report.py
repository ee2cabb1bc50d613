"""What the rounds of the queue bench become."""

import pytest

from bench.queue.program import Tally
from bench.queue.report import Report


def report_of(figure: str, **rounds: list[float]) -> Report:
    report = Report()
    for contender, values in rounds.items():
        for value in values:
            report.add(contender.replace("_", "-"), {figure: value})
    return report


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was twice as fast in the second round: medians by themselves would say 1.5.
    report = report_of("drain", kongflow=[100, 400, 150], bullmq=[50, 100, 100])
    reached = {bar.name: (bar.reached, bar.ok) for bar in report.bars()}
    assert reached == {
        "drained jobs/s, one worker process: kongflow / bullmq": (2.0, True),
        "drained jobs/s, one worker process: kongflow / bullmq (stretch)": (2.0, False),
    }


def test_latency_may_be_four_milliseconds_longer() -> None:
    report = report_of("latency_p50_ms", kongflow=[7.0, 9.0], graphile_worker=[3.0, 4.0])
    [bar] = report.bars()
    assert (bar.reached, bar.wanted, bar.ok) == (4.5, "at most 4", False)


def test_an_idle_system_has_a_bar_of_its_own() -> None:
    report = Report(system_idle=[2.0, 3.5, 2.5])
    [bar] = report.bars()
    assert (bar.reached, bar.ok) == (2.5, True)
    assert report.document()["bars"] == [
        {
            "bar": "idle CPU of the whole system, %",
            "wanted": "at most 3",
            "reached": 2.5,
            "ok": True,
        }
    ]


def test_a_tally_speaks_once_and_leaves_warming_up_out(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally(3)
    for sent in (0, 1, 0, 1):
        tally.note(sent)
    [line] = capsys.readouterr().out.splitlines()
    assert line.count("latencies") == 1
    assert '"latencies": [1' in line
    assert line.count(",") == 2
