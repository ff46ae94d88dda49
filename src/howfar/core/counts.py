"""What was counted on the way, in words."""

from __future__ import annotations


def describe_warnings(counts) -> str:
    """One line a count, for the end of a run; empty where nothing was counted."""
    return "".join(f"  counted {what}: {n:,}\n" for what, n in sorted(counts.items()) if n)
