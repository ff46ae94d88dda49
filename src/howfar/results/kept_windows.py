"""Windows found once: each gene's plan is kept, so that its genotypes aren't read again.

What is kept says where each distinct window's pieces lie on the reference and which bases are
replaced, not the windows: about a hundredth of their bytes. The key holds the digests of genotypes
and FASTA, so a plan goes stale with its source.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from howfar.cohort.opened import OpenCohort
from howfar.genome.intervals import Gene
from howfar.genome.windows import WindowPlan, Windows, windows_of_plan
from howfar.results.cache import Units, cohort_key

FOLDER = "windows"
_ROLES = ("reference", "variants", "samples", "sample_map")
_SETTINGS = ("alleles", "unphased", "max_ref_mismatch")
_OF_PEOPLE = ("index", "skipped")


def keep_windows(cohort: OpenCohort, results: str | Path = "results") -> Path:
    """Keep what a gene's windows are built from; the next time its genotypes aren't read.

    Returns the folder, ``<results>/<study>/windows``. It may be deleted at any time.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort = hf.example_cohort()
    >>> folder = hf.keep_windows(cohort, "results")
    >>> first = cohort.windows(cohort.genes[0], 1_000)
    >>> again = cohort.windows(cohort.genes[0], 1_000)  # read from the folder
    >>> bool((first.sequences == again.sequences).all())
    True
    """
    folder = Path(results) / cohort.study.name / FOLDER
    cohort.builder = _Keeper(cohort, folder).windows
    return folder


class _Keeper:
    def __init__(self, cohort: OpenCohort, folder: Path) -> None:
        self._cohort, self._folder = cohort, folder
        self._units: dict[tuple[int, int, str, tuple[str, ...]], Units] = {}

    def windows(self, gene: Gene, length: int, tss_offset: int, alleles: str) -> Windows:
        """Return a gene's windows, from what is kept where there is anything."""
        cohort, units = self._cohort, self._of(length, tss_offset, alleles)
        place = f"{gene.gene_id} {gene.chrom}.{gene.tss}{gene.strand}"
        if not units.has(place):
            built = cohort.build_windows(gene, length, tss_offset, alleles)
            arrays = {name: getattr(built, name) for name in _OF_PEOPLE}
            for each in fields(WindowPlan):
                arrays[each.name] = _narrow(np.asarray(getattr(built.plan, each.name)))
            units.write(place, arrays, built.counts)
            return built
        unit = units.read(place)
        index, skipped = (unit.arrays.pop(name) for name in _OF_PEOPLE)
        low, high = (int(unit.arrays.pop(name)) for name in ("low", "high"))
        plan = WindowPlan(**unit.arrays, low=low, high=high)
        people = tuple(cohort.samples)
        return windows_of_plan(
            cohort.reference, gene, length, tss_offset, plan, index, people, skipped, unit.counts
        )

    def _of(self, length: int, tss_offset: int, alleles: str) -> Units:
        wanted = (length, tss_offset, alleles, tuple(self._cohort.samples))
        if wanted not in self._units:
            key = cohort_key(
                self._cohort,
                "windows",
                {"length": length, "tss_offset": tss_offset, "alleles": alleles},
                (),
                roles=_ROLES,
                cohort_settings=_SETTINGS,
            )
            self._units[wanted] = Units.open(self._folder, str(length), key)
        return self._units[wanted]


def _narrow(values: np.ndarray) -> np.ndarray:
    """Store int64 that fits as int32: half the bytes."""
    return values.astype(np.int32) if values.dtype == np.int64 and values.ndim else values
