"""Which version is the newest."""

import pytest

from kongflow_jobs.domain.version_order import newest


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (["1.0.0"], "1.0.0"),
        (["9.0.0", "10.0.0"], "10.0.0"),
        (["1.0.0", "1.1.0", "1.0.1"], "1.1.0"),
        (["1.0.0", "1.0.0-rc.1"], "1.0.0"),
        (["1.0.0+b", "1.0.0+a"], "1.0.0+b"),
        (["9", "10"], "9"),
        (["beta", "alpha"], "beta"),
    ],
)
def test_versions_are_in_semantic_order_and_others_in_that_of_their_text(
    versions: list[str], expected: str
) -> None:
    assert newest(versions) == newest(reversed(versions)) == expected
