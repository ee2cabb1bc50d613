"""What the worker queue's server is told from outside, beside what every service is."""

from pathlib import Path

from pydantic import Field, SecretStr

from kongflow_common.settings import ServiceSettings


class WorkerQueueSettings(ServiceSettings):
    """Settings of `python -m kongflow_workerqueue serve`."""

    redis_url: SecretStr
    window_cap: int = Field(default=1_000, ge=10, le=100_000)
    """The most jobs that stand in the window of a queue; the same as the workers'."""
    task_descriptor_sets: dict[str, Path] = Field(default_factory=dict)
    """The descriptor set (`buf build -o`) of each target that is not one of KongFlow's own."""
