import pytest

from kongflow_common.errors import InvalidField
from kongflow_tenancy.domain.slug import MAX_LENGTH, check_slug


@pytest.mark.parametrize("slug", ["a", "7", "acme", "a-b", "a--b", "1-2-3", "x" * MAX_LENGTH])
def test_a_slug_stays_as_it_is(slug: str) -> None:
    assert check_slug(slug) == slug


@pytest.mark.parametrize(
    "text",
    [
        "-a",
        "a-",
        "-",
        "Acme",
        "a_b",
        "a.b",
        "a b",
        "a\n",
        "a\x00",
        "ä",
        "٣",
        "x" * (MAX_LENGTH + 1),
    ],
)
def test_what_is_no_slug_is_refused(text: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_slug(text)
    assert refused.value.field == "slug"


def test_a_missing_slug_is_said_to_be_required() -> None:
    with pytest.raises(InvalidField) as refused:
        check_slug("", "project.slug")
    assert (refused.value.field, refused.value.description) == ("project.slug", "is required")
