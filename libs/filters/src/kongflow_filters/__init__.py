"""Filters: which events a dispatcher takes, by the original's rules.

event_filter      reads a filter and says what is wrong with it
compiled_filter   a filter as closures, asked about values
operators         the 13 operators
match_list        what the original has not: patterns, under one operator of its own
wildcard          texts with stars
simple_case       equal but for the case, letter by letter
address_range     ranges of IP addresses
text_reader       texts folded, or as addresses
text_weight       what conditions take for the characters of an event
ignore_case       what $ignoreCaseEquals takes as equal
equalities        what a filter demands by equality, to find it among many
event_matcher     the conditions of a dispatcher, asked about events
explanation       why a filter does not hold
event_explanation why the conditions of a dispatcher do not hold
excerpt           values as explanations show them
javascript_*      how JavaScript sees JSON values
"""

from kongflow_filters.compiled_filter import CompiledFilter
from kongflow_filters.effort import MAX_EVENT_STEPS
from kongflow_filters.equalities import Equality, Path, Scalar, equalities, scalars_at
from kongflow_filters.event_explanation import EventMismatch, EventMismatchReason, explain_event
from kongflow_filters.event_filter import (
    EventFilter,
    FilterWarning,
    InvalidFilter,
    parse_filter,
    render_path,
)
from kongflow_filters.event_matcher import EventMatcher, MatchTarget
from kongflow_filters.excerpt import Excerpt, excerpt
from kongflow_filters.explanation import Mismatch, MismatchKind, explain, explain_member
from kongflow_filters.javascript_values import MISSING
from kongflow_filters.wildcard import Wildcard

__all__ = [
    "MAX_EVENT_STEPS",
    "MISSING",
    "CompiledFilter",
    "Equality",
    "EventFilter",
    "EventMatcher",
    "EventMismatch",
    "EventMismatchReason",
    "Excerpt",
    "FilterWarning",
    "InvalidFilter",
    "MatchTarget",
    "Mismatch",
    "MismatchKind",
    "Path",
    "Scalar",
    "Wildcard",
    "equalities",
    "excerpt",
    "explain",
    "explain_event",
    "explain_member",
    "parse_filter",
    "render_path",
    "scalars_at",
]
