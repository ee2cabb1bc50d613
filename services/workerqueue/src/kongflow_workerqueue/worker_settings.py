"""What a worker is told from outside."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from kongflow_common.settings import ServiceSettings

__all__ = ["WorkerSettings"]

_QueueName = Annotated[str, Field(min_length=1, max_length=128)]
_Slots = Annotated[int, Field(ge=1, le=100_000)]


class WorkerSettings(ServiceSettings):
    """The settings of `python -m kongflow_workerqueue worker`."""

    database_pool_size: int = Field(default=6, ge=2, le=100)

    redis_url: SecretStr

    task_targets: dict[str, str] = Field(default_factory=dict)
    """Where the task methods of each target are: {"events": "host:port"}."""
    task_descriptor_sets: dict[str, Path] = Field(default_factory=dict)
    """The descriptor set (`buf build -o`) of each target that is not one of KongFlow's own."""

    worker_slots: dict[_QueueName, _Slots] = Field(
        min_length=1,
        default={
            "events": 400,
            "runs": 400,
            "execution": 200,
            "indexing": 100,
            "default": 50,
            "maintenance": 10,
        },
    )
    """How many jobs of each queue run at once in this worker. A batch call holds many.

    If it is set, queues that are not named are not served by this worker (`slots_for`).

    Those of `execution` and `indexing` last as long as users' programs do, so nothing else is in
    these queues.
    """

    window_cap: int = Field(default=1_000, ge=10, le=100_000)
    """The most entries in a queue's window."""

    suspect_quiet_seconds: float = Field(default=5.0, ge=0.1, le=300.0)
    """How long a target must have been connected, and no suspected job of it lost, before the next
    suspected job is run at it, once one was lost again."""

    completed_retention_hours: float = Field(default=24.0, ge=1.0)
    """How long jobs are kept that ended well."""
    cancelled_retention_hours: float = Field(default=24.0, ge=1.0)
    """How long jobs are kept that were taken back."""
    discarded_retention_hours: float = Field(default=14 * 24.0, ge=1.0)
    """How long jobs are kept that were given up."""

    def slots_for(self, queues: Iterable[str]) -> Mapping[str, int]:
        """The slots of each queue that this worker serves; `queues` are those that kinds name.

        Without a setting these are served as well, so that the queue of a target that is joined
        needs no setting of its own.
        """
        if "worker_slots" in self.model_fields_set:
            return self.worker_slots
        return {**dict.fromkeys(queues, self.worker_slots["default"]), **self.worker_slots}
