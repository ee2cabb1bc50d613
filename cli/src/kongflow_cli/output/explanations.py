"""Why a filter does not hold, in the cells of a table."""

import json

from kongflow.events.v1.match_explanation_pb2 import DispatcherVerdict, MatchExplanation, ShownValue
from kongflow_cli.output.cells import Cell, Column, Word, word, yes_or_no
from kongflow_cli.output.proto_json import document_of

__all__ = [
    "VERDICT_COLUMNS",
    "found_cell",
    "place_cell",
    "reason_cell",
    "verdict_cell",
    "wanted_cell",
]

_LONGEST = 60


def verdict_cell(matched: bool) -> Cell:
    """A word for a verdict."""
    return Word("matched" if matched else "unmatched")


def reason_cell(explanation: MatchExplanation) -> Cell:
    """The condition that does not hold; nothing where all do."""
    if not explanation.reason:
        return None
    return word(MatchExplanation.Reason.Name, explanation.reason, "REASON_")


def place_cell(explanation: MatchExplanation) -> Cell:
    """Where in the event; without a place, what is wrong."""
    return explanation.path or explanation.message


def wanted_cell(explanation: MatchExplanation) -> Cell:
    """What must be there."""
    if not explanation.HasField("wanted"):
        return None
    wanted = _shown(explanation.wanted)
    match explanation.kind:
        case MatchExplanation.KIND_NO_ELEMENT:
            return f"an element: {wanted}"
        case MatchExplanation.KIND_NO_MEMBERS:
            return wanted
        case _:
            return f"{explanation.operator or 'one of'} {wanted}"


def found_cell(explanation: MatchExplanation) -> Cell:
    """What is there."""
    if explanation.kind == MatchExplanation.KIND_UNREADABLE:
        return "not readable"
    if explanation.kind == MatchExplanation.KIND_TOO_LARGE:
        return "more values than the filter may ask"
    return _shown(explanation.found) if explanation.HasField("found") else None


def _shown(value: ShownValue) -> str:
    match value.WhichOneof("kind"):
        case "whole":
            text = json.dumps(document_of(value.whole), ensure_ascii=False)
        case "beginning":
            text = value.beginning
        case "missing":
            return "missing"
        case _:
            return value.described
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


VERDICT_COLUMNS: list[Column[DispatcherVerdict]] = [
    Column("Verdict", lambda verdict: verdict_cell(verdict.matched)),
    Column("Belongs to", lambda verdict: verdict.dispatchable_id),
    Column("Why not", lambda verdict: reason_cell(verdict.explanation)),
    Column("Where", lambda verdict: place_cell(verdict.explanation)),
    Column("Wanted", lambda verdict: wanted_cell(verdict.explanation)),
    Column("Found", lambda verdict: found_cell(verdict.explanation)),
    Column("Changed since", lambda verdict: yes_or_no(verdict.changed_since), wide=True),
    Column("Id", lambda verdict: verdict.dispatcher_id, wide=True),
]
