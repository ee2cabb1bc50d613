"""What checking an event with a schema showed."""

from dataclasses import dataclass

__all__ = ["SchemaCheck"]


@dataclass(frozen=True, slots=True)
class SchemaCheck:
    """The version that found something in warn mode, and what: `payload.total: ...`."""

    version: int
    warnings: tuple[str, ...]
