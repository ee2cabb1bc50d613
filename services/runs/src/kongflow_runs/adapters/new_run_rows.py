"""What a new run brings to its row, whether it is stored pending or as a started one."""

from collections.abc import Mapping
from typing import Final

from kongflow_common.db.row_parameters import ColumnType
from kongflow_runs.domain.run import NewRun

__all__ = ["NEW_RUN", "new_run_row"]

NEW_RUN: Final[Mapping[str, ColumnType]] = {
    "id": "uuid",
    "job_id": "uuid",
    "version_alias": "text",
    "version": "text",
    "event_record_id": "uuid",
    "dispatcher_id": "uuid",
    "environment_id": "uuid",
    "organization_id": "uuid",
    "project_id": "uuid",
    "external_account_id": "uuid",
    "is_test": "boolean",
    "internal": "boolean",
    "request_id": "text",
}
"""The columns and their types, in the order of `new_run_row`."""


def new_run_row(run: NewRun) -> tuple[object, ...]:
    """The values of a run."""
    return (
        run.id,
        run.job_id,
        run.selector.alias,
        run.selector.version,
        run.event_record_id,
        run.dispatcher_id,
        run.environment_id,
        run.organization_id,
        run.project_id,
        run.external_account_id,
        run.is_test,
        run.internal,
        run.request_id,
    )
