"""Who steps in, and why: what every change that an operator makes is noted with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Intervention:
    """A caller and a reason.

    `caller` is the kind of caller, `caller_key_id` what its credential is called by; empty for
    one that has no name of its own. `reason` is what the caller said, None when it said nothing.
    """

    caller: str
    caller_name: str
    caller_key_id: str = ""
    reason: str | None = None
