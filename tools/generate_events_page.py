"""Write the reference of types into docs/events.md, as they are declared.

`python tools/generate_events_page.py` writes it, with `--check` it only compares.
"""

import argparse
import sys
from pathlib import Path

from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.event_type import EventType, Layer
from kongflow_common.eventing.typed_data import FieldOfData

PAGE = Path(__file__).resolve().parent.parent / "docs" / "events.md"

BEGIN = (
    "<!-- From here to the end made by tools/generate_events_page.py of "
    "kongflow_common.eventing.declared_types: `make protos` writes it anew. -->\n"
)
HEADINGS = {
    Layer.DOMAIN: "### Domain events",
    Layer.INTEGRATION: "### Integration events",
    Layer.REALTIME: "### Realtime events",
}


def reference() -> str:
    """The tables: one per layer."""
    return BEGIN + "".join(f"\n{heading}\n\n{_table(layer)}" for layer, heading in HEADINGS.items())


def _table(layer: Layer) -> str:
    rows = [_row(type_) for type_ in DECLARED_TYPES if type_.layer is layer]
    head = "| type | version | belongs to | when | `data` |\n|---|---|---|---|---|\n"
    return head + "".join(rows)


def _row(type_: EventType) -> str:
    fields = "; ".join(map(_field, type_.fields))
    scope = type_.scope.value
    return f"| `{type_.name}` | {type_.version} | {scope} | {type_.summary} | {fields} |\n"


def _field(field: FieldOfData) -> str:
    optional = ", if any" if field.optional else ""
    return f"`{field.name}` ({field.kind}{optional}): {field.meaning}"


def page(present: str) -> str:
    """The page with the reference as it should be. Raises ValueError without a place for it."""
    prose, mark, _ = present.partition(BEGIN)
    if not mark:
        raise ValueError(f"{PAGE} does not say where the reference begins")
    return prose + reference()


def main() -> int:
    """Write the page, or compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    present = PAGE.read_text(encoding="utf-8")
    if not parser.parse_args().check:
        PAGE.write_text(page(present), encoding="utf-8")
        return 0
    if page(present) == present:
        return 0
    print("docs/events.md is not what the types say: `make protos` writes it anew.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
