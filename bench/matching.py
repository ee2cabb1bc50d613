"""`python -m bench.matching`: how long an event takes to find its dispatchers among 100,000.

All wait for one name. Beside it a plain loop asks the same compiled filters one after the other;
what the two find must be the same. Needs no server. `--dispatchers` and `--events` make it shorter.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import orjson
from rich.console import Console
from rich.table import Table

from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_events.domain.dispatcher_index import DispatcherIndex
from kongflow_events.domain.dispatcher_match import (
    CompiledDispatcher,
    MatchableEvent,
    compile_dispatcher,
)
from kongflow_events.domain.event_dispatcher import DispatcherSpecification, EventDispatcher
from kongflow_events.domain.event_record import EventContent, PayloadType

NAME, SOURCE = "order.created", "trigger.dev"
AT_MOST = 200
BAR_MS = 5.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Of every hundred thousand so many have no value that an event could look up.
WITHOUT_VALUE = 2_000


def filter_of(number: int, customers: int) -> dict[str, object]:
    """What the dispatcher of this number demands of a payload."""
    customer = f"c-{number % customers}"
    if number % WITHOUT_VALUE == 0:
        return {"amount": [{"$gt": number % 97 * 100}]}
    if number % 4 == 0:
        return {"customer": {"id": [customer]}, "amount": [{"$gt": number % 50}, {"$lt": 900}]}
    if number % 4 == 1:
        return {"customer": {"id": [customer]}, "region": ["eu", "us"]}
    if number % 4 == 2:
        return {"customer": {"id": [customer, f"c-{(number + 1) % customers}"]}}
    return {"customer": {"id": [customer]}, "tags": [{"$includes": "new"}]}


def dispatchers(count: int, customers: int) -> list[CompiledDispatcher]:
    """Compiled dispatchers for one name."""
    return [
        compile_dispatcher(
            EventDispatcher(
                id=new_id(),
                environment_id=UUID(int=1),
                dispatchable_id=f"job-{number}",
                specification=DispatcherSpecification(
                    event_names=(NAME,),
                    source=SOURCE,
                    payload_filter=JsonDocument(orjson.dumps(filter_of(number, customers))),
                    context_filter=None,
                    manual=False,
                    enabled=True,
                    dispatchable=JsonDocument(b"{}"),
                ),
                account_id=None,
                external_account_id=None,
                generation=1,
                created_at=NOW,
                updated_at=NOW,
            )
        )
        for number in range(count)
    ]


def payloads(count: int, customers: int) -> list[bytes]:
    """Payloads of about 200 bytes, the same in each run."""
    chance = random.Random(1)  # nosec B311 - payloads are no secrets
    return [
        orjson.dumps(
            {
                "customer": {"id": f"c-{chance.randrange(customers)}", "name": "Ada"},
                "amount": chance.randrange(1_000),
                "region": chance.choice(["eu", "us", "asia"]),
                "tags": chance.sample(["new", "paid", "gift", "late"], 2),
                "lines": [{"sku": f"sku-{n}", "count": n} for n in range(3)],
            }
        )
        for _ in range(count)
    ]


def timed(
    payload_texts: Sequence[bytes], match: Callable[[MatchableEvent], Sequence[UUID]]
) -> tuple[list[float], list[frozenset[UUID]]]:
    """Milliseconds of each, the reading of the payload included, and what was found."""
    taken: list[float] = []
    found: list[frozenset[UUID]] = []
    for text in payload_texts:
        began = time.perf_counter()
        event = MatchableEvent(PayloadType.JSON, EventContent(payload=JsonDocument(text)))
        matched = match(event)
        taken.append((time.perf_counter() - began) * 1_000)
        found.append(frozenset(matched))
    return taken, found


def main() -> int:
    """Compiles, measures, prints."""
    parser = argparse.ArgumentParser(prog="python -m bench.matching", description=__doc__)
    parser.add_argument("--dispatchers", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--looped", type=int, default=20, help="events that the plain loop takes")
    options = parser.parse_args()
    customers = max(1, options.dispatchers // 4)
    compiled = dispatchers(options.dispatchers, customers)
    index = DispatcherIndex(version=1)
    for each in compiled:
        index.put(each, 0)
    texts = payloads(options.events, customers)

    def by_index(event: MatchableEvent) -> Sequence[UUID]:
        matched = index.match(NAME, SOURCE, event, at_most=AT_MOST)
        if matched is None:
            raise RuntimeError("there are more candidates than are asked at once")
        return matched.dispatcher_ids

    def by_loop(event: MatchableEvent) -> Sequence[UUID]:
        return [each.id for each in compiled if each.takes(event)]

    quick, found = timed(texts, by_index)
    slow, expected = timed(texts[: options.looped], by_loop)
    if found[: options.looped] != expected:
        raise RuntimeError("the index finds something else than the loop")
    table = Table("", "events", "found", "p50 ms", "p99 ms", "max ms", title="Matching")
    for label, taken, sets in (("index", quick, found), ("plain loop", slow, expected)):
        ordered = sorted(taken)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        table.add_row(
            label,
            f"{len(taken):,}",
            f"{statistics.mean(map(len, sets)):.1f}",
            f"{statistics.median(taken):.3f}",
            f"{p99:.3f}",
            f"{ordered[-1]:.3f}",
        )
    Console(width=100).print(table)
    p99 = sorted(quick)[min(len(quick) - 1, int(len(quick) * 0.99))]
    ratio = statistics.median(slow) / statistics.median(quick)
    print(f"p99 {p99:.3f} ms (bar {BAR_MS} ms); the loop takes {ratio:,.0f} times as long")
    return 1 if p99 > BAR_MS else 0


if __name__ == "__main__":
    sys.exit(main())
