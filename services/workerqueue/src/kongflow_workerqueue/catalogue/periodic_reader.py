"""Reads when jobs of a kind are enqueued by the clock, and refuses what could not be called."""

from collections.abc import Iterable, Iterator

import orjson

from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_workerqueue.application.periodic_jobs import DeclaredPeriodicJob
from kongflow_workerqueue.catalogue.kind import Kind, Periodic
from kongflow_workerqueue.catalogue.request_parser import RequestParser, UnreadableArguments
from kongflow_workerqueue.domain.schedule import Schedule
from kongflow_workerqueue.domain.uniqueness import unique_key

__all__ = ["periodic_jobs", "read_periodic"]

_MAX_NAME_LENGTH = 200


def read_periodic(periodic: job_options_pb2.Periodic, kind: str, parser: RequestParser) -> Periodic:
    """Reads one declaration. Raises ValueError."""
    name = periodic.name or kind
    if len(name) > _MAX_NAME_LENGTH:
        raise ValueError(f"periodic: a name is longer than {_MAX_NAME_LENGTH} characters.")
    args = periodic.args.encode() or b"{}"
    try:
        parser.parse(args, with_unknown=False)
    except UnreadableArguments as error:
        raise ValueError(f"periodic {name}: {error}") from error
    return Periodic(name, Schedule(periodic.cron, periodic.time_zone or "UTC"), args)


def periodic_jobs(kinds: Iterable[Kind]) -> Iterator[DeclaredPeriodicJob]:
    """Tells what is enqueued by the clock, and as what. Raises ValueError."""
    names: set[str] = set()
    for kind in kinds:
        for periodic in kind.periodic:
            if periodic.name in names:
                raise ValueError(f"The periodic job {periodic.name} is declared twice.")
            names.add(periodic.name)
            key = None
            if kind.unique is not None:
                json_names = kind.json_names
                # By their JSON names, as those of an enqueue are.
                args = {json_names.get(n, n): v for n, v in orjson.loads(periodic.args).items()}
                key = unique_key(kind.kind, None, kind.queue, args, kind.unique)
            yield DeclaredPeriodicJob(
                name=periodic.name,
                schedule=periodic.schedule,
                kind=kind.kind,
                args=periodic.args,
                queue=kind.queue,
                priority=kind.priority,
                max_attempts=kind.max_attempts,
                unique_key=key,
                unique=kind.unique,
                limits=kind.limits_for(None, periodic.args),
            )
