"""Filters: which events a dispatcher takes, by the original's rules.

event_filter      reads a filter and says what is wrong with it
compiled_filter   a filter as closures, asked about values
operators         the 13 operators
ignore_case       what $ignoreCaseEquals takes as equal
equalities        what a filter demands by equality, to find it among many
event_matcher     the conditions of a dispatcher, asked about events
javascript_*      how JavaScript sees JSON values
"""

from kongflow_filters.compiled_filter import CompiledFilter
from kongflow_filters.equalities import Equality, Path, Scalar, equalities, scalars_at
from kongflow_filters.event_filter import (
    EventFilter,
    FilterWarning,
    InvalidFilter,
    parse_filter,
)
from kongflow_filters.event_matcher import EventMatcher, MatchTarget

__all__ = [
    "CompiledFilter",
    "Equality",
    "EventFilter",
    "EventMatcher",
    "FilterWarning",
    "InvalidFilter",
    "MatchTarget",
    "Path",
    "Scalar",
    "equalities",
    "parse_filter",
    "scalars_at",
]
