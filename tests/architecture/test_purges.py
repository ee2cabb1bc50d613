"""What is stored of an environment or a project is deleted with it, in whatever table it is."""

import importlib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import MetaData, Table

ROOT = Path(__file__).resolve().parents[2]
CONTEXTS = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())

OUTBOX = "there until the worker queue has taken it, seconds as a rule"
# A table that is missing here and in the purges fails: whoever adds one says what becomes of it.
KEPT_OF_ENVIRONMENTS = {
    "endpoints.outbox": OUTBOX,
    "events.outbox": OUTBOX,
    "runs.outbox": OUTBOX,
    "tenancy.outbox": OUTBOX,
    "endpoints.endpoint_indexes": "found by its endpoint",
    "tenancy.environment_keys": "no key is ever given to another environment",
    "workerqueue.audit_entries": "who did what is kept, whatever it was done to",
}
KEPT_OF_PROJECTS = {
    "events.event_records": "deleted with its environment",
    "events.event_replays": "deleted with its environment",
    "events.resource_events": "the log is dropped by the day",
    "endpoints.endpoints": "deleted with its environment",
    "runs.job_runs": "deleted with its environment",
    "tenancy.environments": "marked as deleted together with the project",
}


def tables_with(context: str, column: str) -> Sequence[Table]:
    metadata: MetaData = importlib.import_module(f"kongflow_{context}.adapters.tables").METADATA
    return [table for table in metadata.sorted_tables if column in table.c]


def purged(context: str, name: str) -> set[str]:
    """The tables that the statements of a purge delete from; nothing where there is none."""
    if context == "tenancy":
        # It says itself that an environment is deleted.
        return set()
    purges = importlib.import_module(f"kongflow_{context}.adapters.purges")
    statements: Sequence[str] = getattr(purges, name, ())
    return {table for text in statements for table in re.findall(r"DELETE FROM (\w+\.\w+)\s", text)}


def forgotten(column: str, name: str, kept: dict[str, str]) -> list[str]:
    return [
        table.fullname
        for context in CONTEXTS
        for table in tables_with(context, column)
        if table.fullname not in purged(context, name) | kept.keys()
    ]


def test_nothing_of_an_environment_is_forgotten() -> None:
    assert forgotten("environment_id", "OF_ENVIRONMENT", KEPT_OF_ENVIRONMENTS) == []


def test_nothing_of_a_project_is_forgotten() -> None:
    assert forgotten("project_id", "OF_PROJECT", KEPT_OF_PROJECTS) == []


@pytest.mark.parametrize(
    ("column", "kept"),
    [("environment_id", KEPT_OF_ENVIRONMENTS), ("project_id", KEPT_OF_PROJECTS)],
)
def test_what_is_kept_is_there(column: str, kept: dict[str, str]) -> None:
    tables = {table.fullname for context in CONTEXTS for table in tables_with(context, column)}
    assert kept.keys() <= tables
