"""Short names of organizations, projects and environments."""

import re

from kongflow_common.errors import InvalidField

MAX_LENGTH = 63

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


def check_slug(text: str, field: str = "slug") -> str:
    """Answers the slug as it is; raises InvalidField when it is none."""
    if not text:
        raise InvalidField(field, "is required")
    if len(text) > MAX_LENGTH:
        raise InvalidField(field, f"is longer than {MAX_LENGTH} characters")
    if _SLUG.fullmatch(text) is None:
        raise InvalidField(
            field, "consists of lower-case letters, digits and hyphens, and no hyphen at an end"
        )
    return text
