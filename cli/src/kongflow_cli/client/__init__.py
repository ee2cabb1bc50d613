"""Calls to a running system: where it is, who calls, and what a refusal means."""
