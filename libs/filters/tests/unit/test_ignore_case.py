"""Comparing long texts, whose pieces are compared one after the other."""

import random
from typing import Final

import pytest

from kongflow_filters.ignore_case import IgnoreCaseText

# Letters that change with what follows: marks, letters that join, vowels that change places.
PIECES: Final = [*"aÉl·เกﬁ漢", "e\u0301", "\u0323", "и", "\u0306", "\x00"]


@pytest.mark.parametrize("seed", range(20))
def test_a_long_text_equals_itself_decomposed_or_in_capitals(seed: int) -> None:
    pick = random.Random(seed)
    text = "".join(pick.choices(PIECES, k=3_000))
    assert IgnoreCaseText(text).equals(text)
    assert IgnoreCaseText(text).equals("\u200b" + text.replace("É", "e\u0301"))
    assert IgnoreCaseText(text.replace("ﬁ", "FI")).equals(text)
    assert not IgnoreCaseText(text).equals(text + "x")
    assert not IgnoreCaseText(text + "x").equals(text)
    assert not IgnoreCaseText("x" + text).equals("y" + text)


def test_pieces_are_not_cut_where_the_neighbours_belong_together() -> None:
    equal = [("e\u0301", "É"), ("l·", "Ŀ"), ("и\u0323\u0306", "й\u0323"), ("เก", "กเ")]
    for length in range(250, 260):
        filler = "x" * length
        for one, other in equal:
            assert IgnoreCaseText(filler + one + "é").equals(filler + other + "é")


def test_many_marks_on_one_letter_are_no_trouble() -> None:
    text = "и" + "\u0323" * 20_000 + "\u0306" * 2
    assert IgnoreCaseText(text).equals(text.replace("и", "И"))
    assert not IgnoreCaseText(text).equals(text[:-1])
