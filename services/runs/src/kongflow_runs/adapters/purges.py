"""What the runs context holds of an environment, as statements that delete a part of it."""

from typing import Final

from kongflow_common.db.purge import rows_of

__all__ = ["OF_ENVIRONMENT"]

# Whether they have ended or not: an execution that is under way finds nothing to store.
OF_ENVIRONMENT: Final = (rows_of("runs.job_runs"),)
