"""Counts of what was left out or assumed, in words."""

from __future__ import annotations

from collections.abc import Mapping


def describe_warnings(counts: Mapping[str, int]) -> str:
    """Return one line per count, for the end of a run; empty where nothing was counted."""
    return "".join(f"  counted {what}: {n:,}\n" for what, n in sorted(counts.items()) if n)
