"""Circuits: when a call is let through, and how long jobs wait that are held back."""

from datetime import timedelta

from kongflow_workerqueue.worker.circuit import Circuit, Parking


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def circuit_at(time: Time) -> Circuit:
    return Circuit(Parking(time, lambda: 0.5))


def test_closed_it_lets_everything_through() -> None:
    circuit = circuit_at(Time())
    assert all(circuit.lets_through() for _ in range(5))
    assert not circuit.answered()
    assert circuit.open_seconds() == 0


def test_open_it_lets_one_probe_through_after_a_back_off_that_doubles_up_to_two_seconds() -> None:
    time = Time()
    circuit = circuit_at(time)
    assert circuit.unanswered()
    waits = []
    for _ in range(6):
        began = time.now
        while not circuit.lets_through():
            time.now += 0.05
        assert not circuit.lets_through(), "only one at a time"
        waits.append(round(time.now - began, 1))
        assert not circuit.unanswered()
    assert waits == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert circuit.open_seconds() > 6


def test_an_answer_closes_it_and_is_news_once() -> None:
    time = Time()
    circuit = circuit_at(time)
    circuit.unanswered()
    time.now += 1
    assert circuit.lets_through()
    assert circuit.answered()
    assert not circuit.answered()
    assert not circuit.is_open
    assert circuit.lets_through()


def test_calls_that_were_under_way_when_it_opened_do_not_lengthen_the_wait() -> None:
    time = Time()
    circuit = circuit_at(time)
    circuit.unanswered()
    for _ in range(50):
        circuit.unanswered()
    time.now += 0.21
    assert circuit.lets_through()


def test_a_probe_that_tells_nothing_gives_its_place_to_another() -> None:
    time = Time()
    circuit = circuit_at(time)
    circuit.unanswered()
    time.now += 1
    assert circuit.lets_through()
    circuit.given_up()
    assert circuit.lets_through()


def test_a_few_jobs_come_back_for_the_next_probe_and_the_others_much_later() -> None:
    time = Time()
    circuit = circuit_at(time)
    circuit.unanswered()
    waits = [circuit.parking_time() for _ in range(10)]
    assert all(wait <= timedelta(milliseconds=200) for wait in waits[:4])
    assert all(wait == timedelta(seconds=20) for wait in waits[4:])
