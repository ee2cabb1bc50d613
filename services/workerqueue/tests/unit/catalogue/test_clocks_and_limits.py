"""Kinds that the clock enqueues, and the limits of kinds."""

from datetime import timedelta

import pytest

from kongflow_workerqueue.catalogue.kind_reader import InvalidKind
from kongflow_workerqueue.catalogue.periodic_reader import periodic_jobs
from kongflow_workerqueue.domain.limits import (
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    RateRule,
)
from kongflow_workerqueue.domain.schedule import Schedule
from kongflow_workerqueue.domain.uniqueness import Uniqueness, unique_key
from services.workerqueue.tests.unit.catalogue.mail import CompileKinds, send


def test_a_kind_may_be_enqueued_by_the_clock(compile_kinds: CompileKinds) -> None:
    kinds = compile_kinds(
        send(
            'kind: "mail.send" unique: {by_args: true} '
            'periodic: {cron: "30 2 * * *" time_zone: "Europe/Berlin"} '
            'periodic: {name: "weekly" cron: "0 8 * * mon" args: "{\\"to\\": \\"all\\"}"}'
        )
    )
    nightly, weekly = periodic_jobs(kinds)
    assert (nightly.name, nightly.kind, nightly.args) == ("mail.send", "mail.send", b"{}")
    assert nightly.schedule == Schedule("30 2 * * *", "Europe/Berlin")
    assert (weekly.name, weekly.schedule.time_zone) == ("weekly", "UTC")
    assert weekly.args == b'{"to": "all"}'
    # As an enqueue of the same arguments would be.
    assert weekly.unique_key == unique_key(
        "mail.send", None, weekly.queue, {"to": "all"}, Uniqueness()
    )


def test_periodic_jobs_have_the_limits_of_their_kind(compile_kinds: CompileKinds) -> None:
    kinds = compile_kinds(
        send(
            'kind: "mail.send" serial: {args: "to"} '
            'periodic: {cron: "0 8 * * mon" args: "{\\"to\\": \\"all\\"}"}'
        )
    )
    [job] = periodic_jobs(kinds)
    assert job.limits is not None
    assert job.limits.serial_key == ':mail.send:["all"]'


@pytest.mark.parametrize(
    ("periodic", "says"),
    [
        ('cron: "61 * * * *"', "no moment"),
        ('cron: "* * * * *" time_zone: "Mars/Olympus"', "no time zone"),
        ('cron: "* * * * *" args: "{\\"to\\": 1}"', "periodic mail.send"),
        ('cron: "* * * * *" args: "{\\"nobody\\": \\"all\\"}"', "periodic mail.send"),
    ],
)
def test_a_clock_that_nobody_could_read_is_refused(
    compile_kinds: CompileKinds, periodic: str, says: str
) -> None:
    with pytest.raises(InvalidKind, match=says):
        compile_kinds(send(f'kind: "mail.send" periodic: {{ {periodic} }}'))


def test_two_periodic_jobs_of_one_name_are_refused(compile_kinds: CompileKinds) -> None:
    kinds = compile_kinds(
        send('kind: "mail.send" periodic: {cron: "0 1 * * *"} periodic: {cron: "0 2 * * *"}')
    )
    with pytest.raises(ValueError, match=r"mail\.send is declared twice"):
        list(periodic_jobs(kinds))


def test_limits_are_read(compile_kinds: CompileKinds) -> None:
    [kind] = compile_kinds(
        """
        rpc Send(SendRequest) returns (SendResponse) {
          option (kongflow.workerqueue.v1.job) = {
            kind: "send"
            serial: {args: "to"}
            concurrency: {key: {key: "mail"} max_running: 3}
            rate: {key: {key: "mail" args: "to"} count: 10 period: {seconds: 60}}
          };
        }
        """
    )
    rate = RateRule(KeyRule("mail", ("to",)), timedelta(seconds=6), 1)
    assert kind.limits == LimitRules(
        serial=KeyRule("send", ("to",)),
        concurrency=ConcurrencyRule(KeyRule("mail"), 3),
        rate=rate,
    )
    limits = kind.limits_for(None, b'{"to": "x"}')
    assert limits is not None
    assert limits.serial_key == ':send:["x"]'


@pytest.mark.parametrize(
    "limit",
    [
        'serial: {args: "nobody"}',
        'concurrency: {key: {key: "k"}}',
        'rate: {key: {key: "k"} count: 1}',
        'rate: {key: {key: "k" args: "nobody"} count: 1 period: {seconds: 1}}',
    ],
)
def test_limits_that_cannot_be_kept_are_refused(compile_kinds: CompileKinds, limit: str) -> None:
    with pytest.raises(InvalidKind, match=limit.partition(":")[0]):
        compile_kinds(
            f"""
            rpc Send(SendRequest) returns (SendResponse) {{
              option (kongflow.workerqueue.v1.job) = {{ kind: "send" {limit} }};
            }}
            """
        )
