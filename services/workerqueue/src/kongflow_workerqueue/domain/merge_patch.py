"""JSON merge patches (RFC 7396): a document that says what is to change in another."""

from collections.abc import Mapping

__all__ = ["merge_patch"]


def merge_patch(document: object, patch: object) -> object:
    """Return the document as the patch changes it.

    Members of an object replace those of the document, objects within them likewise, null takes a
    member away; anything else replaces the document.
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(document) if isinstance(document, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
