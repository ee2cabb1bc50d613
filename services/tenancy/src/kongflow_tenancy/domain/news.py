"""The integration events that tenancy publishes."""

from typing import Final

from kongflow_common.eventing.declared_types import DECLARED_TYPES

ENVIRONMENT_DELETED: Final = DECLARED_TYPES["environment.deleted"]
PROJECT_DELETED: Final = DECLARED_TYPES["project.deleted"]
