"""How long the conditions of a filter take with the characters of an event.

Steps count how often a condition is asked; this is about those that take longer for longer texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from kongflow_filters.event_filter import EventFilter, FilterNode, alternatives_of
from kongflow_filters.javascript_values import array_index
from kongflow_filters.match_list import EXTENSION, count_foldings, count_wildcards, has_ranges
from kongflow_filters.operators import IGNORE_CASE_EQUALS, is_scalar_list
from kongflow_filters.text_reader import OF_ADDRESS, OF_KEY, OF_LETTERS, OF_READ, OF_SCAN

__all__ = ["TextWeight", "looks_into_texts", "scans_of", "text_weight_of"]


@dataclass(frozen=True, slots=True)
class TextWeight:
    """For each character, and so much more for each that is not ASCII; PER_STEP are a step."""

    of_any: int = 0
    of_others: int = 0

    @property
    def most(self) -> int:
        """For any character."""
        return self.of_any + self.of_others

    def __add__(self, other: "TextWeight") -> "TextWeight":
        return TextWeight(self.of_any + other.of_any, self.of_others + other.of_others)


def text_weight_of(event_filter: EventFilter) -> TextWeight:
    """What all conditions take together, each asked about a text once."""
    return _weight(event_filter.tree)


def looks_into_texts(key: str) -> bool:
    """Whether a key finds something in a text: its characters have to be counted for it."""
    return key == "length" or array_index(key) is not None


def scans_of(item: Mapping[str, object]) -> int:
    """What the condition takes for each character, besides what the reader of texts counts."""
    return OF_SCAN * count_wildcards(item[EXTENSION]) if EXTENSION in item else 0


def _weight(tree: FilterNode) -> TextWeight:
    weight = TextWeight()
    for key, node in tree.items():
        groups = alternatives_of(key, node)
        if groups is not None:
            for group in groups:
                for each in group:
                    weight += _weight(each)
            continue
        if looks_into_texts(key):
            weight += TextWeight(OF_READ)
        if isinstance(node, Mapping):
            weight += _weight(node)
        elif not is_scalar_list(node):
            for item in node:
                weight += _weight_of_condition(cast("Mapping[str, object]", item))
    return weight


def _weight_of_condition(item: Mapping[str, object]) -> TextWeight:
    if IGNORE_CASE_EQUALS in item:
        return TextWeight(OF_READ, OF_KEY)
    if EXTENSION not in item:
        return TextWeight()
    entries = cast("Sequence[object]", item[EXTENSION])
    foldings = count_foldings(entries)
    addresses = OF_ADDRESS if has_ranges(entries) else 0
    return TextWeight(scans_of(item) + addresses + OF_READ * foldings, OF_LETTERS * foldings)
