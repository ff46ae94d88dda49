"""Counts in words: of what was left out or assumed, and of one."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Things that are counted, and one of them.
_MANY = (
    "alleles bins columns contigs drivers eGenes effects files folds genes haplotypes pairs points "
    "populations records replicates rows samples signals sites times tracks values variants windows"
)
_ONE = {name: name.removesuffix("s") for name in _MANY.split()} | {"people": "person"}
# No part of a longer number or name; PLINK 1 is a program.
_SINGLE = re.compile(rf"(?<![\w.,:/-])(?<!PLINK )(?<![Tt]op )1 ({'|'.join(_ONE)})\b")


def describe_warnings(counts: Mapping[str, int]) -> str:
    """Return one line per count, for the end of a run; empty where nothing was counted."""
    return "".join(f"  counted {what}: {n:,}\n" for what, n in sorted(counts.items()) if n)


def counted(text: str) -> str:
    """Return a sentence with "1 gene" where it says "1 genes", for all that is counted."""
    return _SINGLE.sub(lambda found: f"1 {_ONE[found[1]]}", text)
