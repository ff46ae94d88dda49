"""Licences of public files: what is said before a fetch, and what must be agreed to."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from howfar.fetch.catalogue import LARGE, Source, sources

#: Licences that a user must agree to before anything is fetched: (what they say, where).
CONSENT = {
    "Princeton Academic Use": (
        "For teaching and not-for-profit research only, not for commercial or medical use; not to "
        "be passed on to others without Princeton's written consent; programs based on it count "
        "as derivatives that Princeton owns; its source is to be acknowledged; no warranty",
        "https://github.com/FunctionLab/ExPecto#use-agreement",
    )
}


def licences_to_accept(wanted: Iterable[Source]) -> list[str]:
    """Return the licences among those of `wanted` that a user must agree to (`CONSENT`)."""
    return sorted({s.licence for s in wanted if s.licence in CONSENT})


def announce(wanted: Iterable[Source]) -> str:
    """Return sizes and licences of what is to be fetched, as text; '' where it is little."""
    wanted = list(wanted)
    if sum(s.bytes for s in wanted) <= LARGE and all(s.bytes for s in wanted):
        return ""
    lines = ["To be fetched:"]
    for s in wanted:
        lines.append(f"  {s.id}: {s.size}, licence {s.licence}, from {s.repository}")
        lines += [] if s.bytes else [f"    {s.description}"]
    return "\n".join(lines)


def licence_table(listed: Iterable[Source] | None = None) -> pd.DataFrame:
    """Count files and bytes per study, repository and licence, of `listed` or all files."""
    rows = sources().values() if listed is None else listed
    frame = pd.DataFrame(
        [(s.study, s.repository, s.licence, s.citation, s.bytes) for s in rows],
        columns=["study", "repository", "licence", "citation", "bytes"],
    )
    keys = ["study", "repository", "licence", "citation"]
    return frame.groupby(keys, sort=False, as_index=False).agg(
        files=("bytes", "size"), bytes=("bytes", "sum")
    )
