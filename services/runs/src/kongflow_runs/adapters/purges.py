"""What the runs context holds of others, as statements that delete a part of it."""

from typing import Final

from kongflow_common.db.purge import rows_of

__all__ = ["OF_ACCOUNT", "OF_ENVIRONMENT", "OF_PROJECT"]

# Whether they have ended or not: an execution that is under way finds nothing to store.
OF_ENVIRONMENT: Final = (rows_of("runs.job_runs"),)
OF_ACCOUNT: Final = (rows_of("runs.job_runs", "external_account_id"),)

# Its runs go with its environments.
OF_PROJECT: Final = (rows_of("runs.job_counters", "project_id"),)
