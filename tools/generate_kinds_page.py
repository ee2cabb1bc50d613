"""Write docs/kinds.md: every kind of queued job, as the protos declare it.

`python tools/generate_kinds_page.py` writes the page, with `--check` it only compares.
"""

import argparse
import sys
from datetime import timedelta
from pathlib import Path
from typing import assert_never

from kongflow_workerqueue.catalogue.catalogue import (
    KindCatalogue,
    built_in_kinds,
    built_in_publications,
)
from kongflow_workerqueue.catalogue.kind import Kind
from kongflow_workerqueue.domain.limits import KeyRule
from kongflow_workerqueue.domain.retry import (
    LONGEST_DELAY,
    ExponentialRetry,
    FourthPowerRetry,
    ListedRetry,
)
from kongflow_workerqueue.domain.states import UNFINISHED_STATES, JobState

PAGE = Path(__file__).resolve().parent.parent / "docs" / "kinds.md"

HEAD = (
    "# The kinds of queued jobs\n\n"
    "<!-- Made by tools/generate_kinds_page.py from the option kongflow.workerqueue.v1.job: "
    "`make protos` writes it anew. -->\n\n"
    "What the system itself puts into its [worker queue](behaviour.md#queued-jobs), read from the "
    "methods that are called. Attempts count the first try, timeouts one call, unique jobs those "
    "of one kind and environment that have not ended (and were created no longer ago than the "
    "time that is given), [limits](behaviour.md#limits) those of one environment and key; what an "
    "answer does to a job is under [whose fault it is](behaviour.md#queued-job-outcomes), what the "
    "clock enqueues under [periodic jobs](behaviour.md#periodic-jobs), in UTC here.\n"
)
EVENTS = (
    "## Integration events\n\n"
    "What services [tell the others](behaviour.md#integration-events), from the option "
    "`kongflow.events.v1.publishes`; our own `purgeEnvironment` and `purgeProject` consume "
    "deletions. A type's events are published by one service alone, and once more by events, "
    "which keeps the log: it also enqueues the kinds `replayDomainEvent` of all services "
    "(`enqueuers` in the option).\n\n"
)
COLUMNS = (
    "kind",
    "method",
    "queue",
    "priority",
    "attempts",
    "timeout",
    "retries after",
    "in one call",
    "unique by",
    "limits",
    "when given up",
    "by the clock",
)


def page() -> str:
    """The whole page: a table per target."""
    kinds = list(KindCatalogue(built_in_kinds()))
    parts = [HEAD]
    for target in sorted({kind.target for kind in kinds}):
        rows = [COLUMNS, ("---",) * len(COLUMNS)]
        own = [kind for kind in kinds if kind.target == target]
        rows += [row(kind) for kind in sorted(own, key=lambda each: each.kind.lower())]
        service = own[0].unary.path.split("/")[1]
        lines = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
        parts.append(f"## {target}\n\n`{service}`\n\n{lines}\n")
    parts.append(EVENTS + published_rows())
    return "\n".join(parts)


def published_rows() -> str:
    """A table of the types of event that our own services publish."""
    rows = [("type", "published by"), ("---", "---")]
    rows += [(f"`{each.type}`", each.target) for each in built_in_publications()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def row(kind: Kind) -> tuple[str, ...]:
    """What the table says of a kind, in the order of COLUMNS."""
    return (
        f"`{kind.kind}`",
        kind.unary.path.rpartition("/")[2],
        f"`{kind.queue}`",
        kind.priority.name,
        str(kind.max_attempts),
        length(kind.timeout),
        retries(kind),
        str(kind.max_batch_size) if kind.batch else "one",
        uniqueness(kind),
        limits(kind),
        f"`{kind.discarded_kind.kind}`" if kind.discarded_kind else "–",
        ", ".join(f"`{each.schedule.cron}`" for each in kind.periodic) or "–",
    )


def retries(kind: Kind) -> str:
    """The waits between attempts, without their jitter."""
    if kind.max_attempts == 1:
        return "–"
    match kind.retry:
        case ExponentialRetry(first, longest, multiplier):
            return f"{length(first)}, × {multiplier:g} each time, at most {length(longest)}"
        case FourthPowerRetry(first, longest):
            bound = f", at most {length(longest)}" if longest < LONGEST_DELAY else ""
            return f"{length(first)} × n⁴{bound}"
        case ListedRetry(delays):
            return ", ".join(length(delay) for delay in delays)
        case never:
            assert_never(never)


def uniqueness(kind: Kind) -> str:
    """What two jobs that count as the same have in common, beside kind and environment."""
    rule = kind.unique
    if rule is None:
        return "–"
    compared = []
    if rule.args is not None:
        compared.append(", ".join(f"`{name}`" for name in rule.args) or "all arguments")
    if rule.by_queue:
        compared.append("queue")
    text = ", ".join(compared) or "the kind alone"
    if rule.window is not None:
        text += f", for {length(rule.window)}"
    ended = [state for state in JobState if state in rule.states - UNFINISHED_STATES]
    if ended:
        text += f", also when {' or '.join(ended)}"
    if JobState.RUNNING not in rule.states:
        text += ", until it is called"
    return text


def limits(kind: Kind) -> str:
    """What holds the kind's jobs back beside their time."""
    rules, parts = kind.limits, []
    if rules.serial is not None:
        parts.append(f"one after the other by {limit_key(rules.serial)}")
    if rules.concurrency is not None:
        most = rules.concurrency.max_running
        parts.append(f"{most} at once by {limit_key(rules.concurrency.key)}")
    if rules.rate is not None:
        pace = f"one each {length(rules.rate.interval)}, {rules.rate.burst} at once"
        parts.append(f"{pace} by {limit_key(rules.rate.key)}")
    return "; ".join(parts) or "–"


def limit_key(key: KeyRule) -> str:
    """Which jobs share a limit, beside the environment."""
    return ", ".join(f"`{name}`" for name in (key.key, *key.args))


def length(duration: timedelta) -> str:
    """A duration in its largest whole unit."""
    seconds = duration.total_seconds()
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def main() -> int:
    """Write the page, or compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    wanted = page()
    if not parser.parse_args().check:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print("docs/kinds.md is not what the protos say: `make protos` writes it anew.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
