"""No more watches go on than there are places for."""

import pytest

from kongflow_common.watch_places import WatchPlaces


class NoPlace(Exception):
    """What one watch too many gets."""


def test_one_too_many_is_refused_until_a_place_is_given_back() -> None:
    places = WatchPlaces(2, NoPlace)
    with places.take():
        with places.take():
            with pytest.raises(NoPlace, match="2"), places.take():
                pytest.fail("a third was let in")
            # Whoever was refused has taken no place, and gives none back.
            assert places.taken == 2
        assert places.taken == 1
        with places.take():
            assert places.taken == 2
    assert places.taken == 0


def test_a_watch_that_fails_gives_its_place_back() -> None:
    places = WatchPlaces(1, NoPlace)
    with pytest.raises(ZeroDivisionError), places.take():
        raise ZeroDivisionError
    assert places.taken == 0
