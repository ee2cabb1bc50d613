"""What a service sees of the queued jobs: those of its own kinds."""

from kongflow_common.filtering import And, Comparison, Filter, Operator, Or
from kongflow_workerqueue.application.ports import Catalogue, QueuedJob
from kongflow_workerqueue.domain.errors import QueuedJobNotFound

__all__ = ["OwnKinds"]


class OwnKinds:
    """Bounds what services see; `service` is None for everybody else, who is not bounded here."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def check(self, job: QueuedJob, service: str | None) -> QueuedJob:
        """Return the job. Raises QueuedJobNotFound for one that is not the service's to see."""
        policy = self._catalogue.find(job.kind)
        if service is not None and (policy is None or policy.target != service):
            raise QueuedJobNotFound(job.id)
        return job

    def within(self, condition: Filter | None, service: str | None) -> Filter | None:
        """Narrow a list's condition down to what the service sees."""
        if service is None:
            return condition
        # No kind has an empty name: a service without kinds sees none.
        kinds = self._catalogue.kinds_of(service) or ("",)
        own = Or(tuple(Comparison("kind", Operator.EQUAL, kind) for kind in kinds))
        return own if condition is None else And((own, condition))
