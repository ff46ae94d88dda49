"""What a step of a chain is given, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from howfar.cohort.recipes.recipe import Recipe


@dataclass
class Job:
    """One step, of genotypes for one of their files.

    options: of the step. files: by role, inputs and what earlier steps made. work: an empty folder;
    what a step returns from there is kept. unit, source: the contig and its file of genotypes, or
    ``all`` and the only file.
    """

    recipe: Recipe
    options: dict[str, Any]
    files: dict[str, Path]
    work: Path
    unit: str = ""
    source: Path = Path()
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def target(self) -> Path:
        """The file of genotypes that the step makes."""
        return self.work / unit_file(self.unit)


def unit_file(unit: str) -> str:
    """Return the name of the file of a contig, or of all."""
    return "all.vcf.gz" if unit == "all" else f"chr{unit.removeprefix('chr')}.vcf.gz"
