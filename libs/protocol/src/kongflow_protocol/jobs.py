"""A job as a program describes it in its answer to INDEX_ENDPOINT."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from kongflow_protocol.documents import Document, Filter, Identifier, Many, Members, Names

__all__ = [
    "AuthSource",
    "ConcurrencyGroup",
    "CronSchedule",
    "DisplayProperty",
    "DynamicTrigger",
    "EventExample",
    "EventRule",
    "EventSpecification",
    "IntegrationMetadata",
    "IntervalSchedule",
    "InvokeTrigger",
    "JobIntegrationConfig",
    "JobMetadata",
    "Schedule",
    "ScheduledTrigger",
    "StaticTrigger",
    "Trigger",
    "TriggerHelp",
    "names_of",
]

_LARGEST_INTEGER = 2**31 - 1

Limit = Annotated[int, Field(gt=0, le=_LARGEST_INTEGER)]


class AuthSource(StrEnum):
    """Who holds an integration's credentials."""

    LOCAL = "LOCAL"
    HOSTED = "HOSTED"
    RESOLVER = "RESOLVER"


class DisplayProperty(Document):
    """Something that people are shown."""

    label: str
    text: str
    url: str = ""
    image_url: Many[str] = Field(default=[])


class EventExample(Document):
    """A payload to try a job with."""

    id: Identifier
    name: str
    icon: str | None = None
    payload: JsonValue = None


class EventSpecification(Document):
    """The event that a job takes, for display and tests; not what it is routed by."""

    name: Names
    title: str
    source: Identifier
    icon: str
    filter: Filter = Field(default={})
    properties: Many[DisplayProperty] = Field(default=[])
    examples: Many[EventExample] = Field(default=[])


class EventRule(Document):
    """Which events start a job. A filter that is left out is none."""

    event: Names
    source: Identifier
    payload: Filter | None = None
    context: Filter | None = None


class HelpText(Document):
    """A sentence for people, with a link perhaps."""

    text: str
    link: str = ""


class TriggerHelp(Document):
    """What people are told while a job has no runs."""

    no_runs: HelpText | None = None


class StaticTrigger(Document):
    """Events of given names."""

    type: Literal["static"]
    title: str | Many[str]
    rule: EventRule
    properties: Many[DisplayProperty] = Field(default=[])
    link: str = ""
    help: TriggerHelp | None = None


class IntervalOptions(Document):
    """Every so many seconds."""

    seconds: Annotated[int, Field(ge=20, le=2_592_000)]


class IntervalSchedule(Document):
    """A schedule that begins with its registration."""

    type: Literal["interval"]
    options: IntervalOptions
    account_id: Identifier | None = None
    metadata: JsonValue = None


class CronOptions(Document):
    """At the times that an expression names, in UTC."""

    cron: Identifier


class CronSchedule(Document):
    """A schedule by the clock."""

    type: Literal["cron"]
    options: CronOptions
    account_id: Identifier | None = None
    metadata: JsonValue = None


Schedule = Annotated[IntervalSchedule | CronSchedule, Field(discriminator="type")]


class ScheduledTrigger(Document):
    """A schedule."""

    type: Literal["scheduled"]
    schedule: Schedule


class DynamicTrigger(Document):
    """A dynamic trigger or dynamic schedule, named by its id."""

    type: Literal["dynamic"]
    id: Identifier


class InvokeTrigger(Document):
    """Only a call by the job's name."""

    type: Literal["invoke"]


Trigger = Annotated[
    StaticTrigger | ScheduledTrigger | DynamicTrigger | InvokeTrigger, Field(discriminator="type")
]


class IntegrationMetadata(Document):
    """What an integration is called."""

    id: Identifier
    name: str
    instructions: str = ""


class JobIntegrationConfig(Document):
    """An integration that a job uses."""

    id: Identifier
    metadata: IntegrationMetadata
    auth_source: AuthSource = Field(strict=False)


class ConcurrencyGroup(Document):
    """A limit that several jobs share."""

    id: Identifier
    limit: Limit


class JobMetadata(Document):
    """A version of a job."""

    id: Identifier
    name: Annotated[str, StringConstraints(max_length=512)]
    version: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    event: EventSpecification
    trigger: Trigger
    integrations: Members[JobIntegrationConfig]
    internal: bool = False
    enabled: bool
    start_position: Literal["initial", "latest"]
    preprocess_runs: bool
    concurrency_limit: Limit | ConcurrencyGroup | None = None


def names_of(names: Names) -> list[str]:
    """One name or several, as a list."""
    return [names] if isinstance(names, str) else list(names)
