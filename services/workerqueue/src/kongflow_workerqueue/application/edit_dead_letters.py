"""Reads other arguments for the dead letters of a redrive, all of one kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import orjson

from kongflow_common.errors import InvalidField
from kongflow_common.filtering import And, Comparison, Filter, Operator
from kongflow_common.payload import MAX_PAYLOAD_BYTES, parse_json
from kongflow_workerqueue.application.catalogue_ports import Catalogue, KindPolicy
from kongflow_workerqueue.application.enqueue_command import MAX_ARGS_DEPTH, Edit, edit_of
from kongflow_workerqueue.domain.merge_patch import merge_patch

__all__ = ["ArgsChange", "DeadLetter", "EditDeadLetters"]


@dataclass(frozen=True, slots=True)
class ArgsChange:
    """What arguments become: `text`, a JSON object, or what it makes of them as a merge patch."""

    text: bytes
    is_patch: bool

    @property
    def field(self) -> str:
        """The field of a request that it comes in."""
        return "args_patch" if self.is_patch else "args"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What of a discarded job its edit depends on; `args` is a UTF-8 JSON object."""

    kind: str
    queue: str
    environment_id: UUID | None
    args: bytes | None


class EditDeadLetters:
    """Makes edits of dead letters, each a request of its kind."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def check(self, change: ArgsChange, condition: Filter | None) -> None:
        """Raise InvalidField unless the change may be made to some job that the filter takes."""
        kind = _kind_of(condition)
        if kind is None:
            raise InvalidField("filter", "must name the one kind whose arguments are edited")
        if self._catalogue.find(kind) is None:
            raise InvalidField(change.field, f"cannot be checked: no target declares {kind}")
        if change.is_patch:
            _read_patch(change)
        else:
            self.edit(DeadLetter(kind, "", None, b"{}"), change)

    def edit(self, job: DeadLetter, change: ArgsChange) -> Edit:
        """Make the edit of one job. Raises InvalidField, for the change."""
        policy = self._catalogue.find(job.kind)
        text = change.text
        if change.is_patch and policy is not None:
            text = _patched(job, _read_patch(change), policy)
        try:
            return edit_of(job, text, self._catalogue)
        except InvalidField as error:
            raise InvalidField(change.field, error.description) from error


def _read_patch(change: ArgsChange) -> dict[str, object]:
    patch = parse_json(
        change.text, field=change.field, max_bytes=MAX_PAYLOAD_BYTES, max_depth=MAX_ARGS_DEPTH
    ).load()
    if not isinstance(patch, dict):
        raise InvalidField(change.field, "is not a JSON object")
    return cast("dict[str, object]", patch)


def _patched(job: DeadLetter, patch: Mapping[str, object], policy: KindPolicy) -> bytes:
    # A member of either may be written under one of two names.
    args, changes = (
        {policy.json_names.get(name, name): value for name, value in fields.items()}
        for fields in (orjson.loads(job.args or b"{}"), patch)
    )
    return orjson.dumps(merge_patch(args, changes))


def _kind_of(condition: Filter | None) -> str | None:
    """The one kind that a filter takes, if it says so in so many words."""
    if isinstance(condition, Comparison):
        is_kind = condition.field == "kind" and condition.operator is Operator.EQUAL
        return str(condition.value) if is_kind else None
    if isinstance(condition, And):
        kinds = {kind for item in condition.items if (kind := _kind_of(item)) is not None}
        return kinds.pop() if len(kinds) == 1 else None
    return None
