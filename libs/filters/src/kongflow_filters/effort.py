"""How much filters may ask of one event: the process does nothing else meanwhile."""

from collections.abc import Sequence
from typing import Final, cast

from kongflow_filters.text_reader import PER_STEP
from kongflow_filters.text_weight import TextWeight

__all__ = ["MAX_EVENT_STEPS", "MAX_STEPS", "TINY_STEPS", "UNCOUNTED_STEPS", "Effort"]

MAX_STEPS: Final = 2_000_000
"""Of one filter: about a second."""
MAX_EVENT_STEPS: Final = 4_000_000
"""Of all filters that are asked about one event."""
UNCOUNTED_STEPS: Final = 50_000
"""Filters that cannot take more are not counted, and so are ten times as quick."""
TINY_STEPS: Final = 5_000
"""Of filters that cannot take more nothing is asked at all."""

_NO_TEXTS: Final = TextWeight()


class Effort:
    """The steps that the filters of one event take together.

    `size` is how long the documents of the event are as JSON. Beyond `at_most` steps every filter
    whose steps have to be counted is given up.
    """

    __slots__ = (
        "_documents",
        "_elements",
        "_left",
        "_spent",
        "_texts",
        "_uncounted",
        "size",
        "values",
    )

    def __init__(self, size: int, *documents: object, at_most: int = MAX_EVENT_STEPS) -> None:
        # Each value but the first has a comma or a bracket before it.
        self.values = size // 2 + 1
        """At most so many values are in documents of this length."""
        self.size = size
        """No more characters are in them either."""
        self._documents = documents
        self._elements = -1
        self._texts: tuple[int, int] | None = None
        self._left = at_most
        self._spent = 0
        self._uncounted = 0

    @property
    def cost(self) -> int:
        """The steps that were taken, and what those that were not counted may have been worth."""
        return self._spent + self._uncounted // 10

    @property
    def spent(self) -> int:
        """The steps that were counted."""
        return self._spent

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left for filters that have to be counted."""
        return self._left <= 0

    @property
    def allowance(self) -> int:
        """How many steps the next filter may take."""
        return min(MAX_STEPS, self._left)

    def spend(self, steps: int) -> bool:
        """Takes so many steps off what is left; False when there were fewer."""
        fits = steps <= self._left
        self._left -= min(steps, self._left)
        self._spent += steps
        return fits

    def may_count(self, weight: int, texts: TextWeight) -> bool:
        """False where a filter is so light, or the event so small, that nobody has to look."""
        return weight * self.values > TINY_STEPS or texts.most * self.size > TINY_STEPS * PER_STEP

    def counts(self, weight: int, texts: TextWeight = _NO_TEXTS) -> bool:
        """Whether a filter that takes so many steps for each value may take too many in all.

        `texts` is what it takes for the characters of the event.
        """
        if not self.may_count(weight, texts):
            return False
        # A condition is asked once, and once more for each element of a list at most.
        if self._elements < 0:
            self._elements = sum(map(_elements, self._documents))
        steps = weight * (self._elements + 1)
        reading = self._reading(texts) if texts.most else 0
        if steps + reading > UNCOUNTED_STEPS:
            return True
        # To read takes as long whether it is counted or not.
        self._uncounted += steps + 10 * reading
        return False

    def _reading(self, texts: TextWeight) -> int:
        """How many steps the characters of the event take."""
        if self._texts is None:
            self._texts = _characters(self._documents)
        characters, others = self._texts
        return (texts.of_any * characters + texts.of_others * others) // PER_STEP


def _elements(document: object) -> int:
    """How many elements the lists of a document have."""
    count = 0
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if type(value) is dict:
            members = cast("dict[str, object]", value).values()
            waiting += [each for each in members if type(each) in (dict, list)]
        elif type(value) is list:
            elements = cast("list[object]", value)
            count += len(elements)
            waiting += [each for each in elements if type(each) in (dict, list)]
    return count


def _characters(documents: Sequence[object]) -> tuple[int, int]:
    """How many characters the texts have, and those of them that are not plain ASCII."""
    characters = others = 0
    waiting = list(documents)
    while waiting:
        value = waiting.pop()
        if type(value) is str:
            characters += len(value)
            others += 0 if value.isascii() else len(value)
        elif type(value) is dict:
            waiting += cast("dict[str, object]", value).values()
        elif type(value) is list:
            waiting += cast("list[object]", value)
    return characters, others
