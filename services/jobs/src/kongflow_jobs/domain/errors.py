"""What can be wrong with a request about jobs, as facts.

KongflowError
├── NotFound
│   ├── JobNotFound
│   └── JobVersionNotFound
└── PreconditionFailed
    └── JobNotDisabled
"""

from kongflow_common.errors import NotFound, PreconditionFailed


class JobNotFound(NotFound):
    """There is no such job in this environment's project."""

    def __init__(self, key: object) -> None:
        super().__init__(f"there is no job {key} here", job=key)


class JobVersionNotFound(NotFound):
    """There is no such version of a job in this environment."""


class JobNotDisabled(PreconditionFailed):
    """All latest versions must be disabled before deleting a job."""
