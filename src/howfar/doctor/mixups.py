"""Look for mixed-up samples: expression that fits other genotypes, duplicates, relatives, sex.

What is suspected goes into ``individuals/mixups.csv`` of the study's results, which never leaves
them; what may be said, numbers alone, into ``mixups.json``. Nobody is relabelled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.core import sealed
from howfar.core.atomic import whole
from howfar.evaluation.lead_snp import lead_snp_run
from howfar.evaluation.mixups import best_run, spread_variants
from howfar.linear import baseline
from howfar.results.predictions import Predictions
from howfar.stats import mixups as statistics

SWAPPED, NOBODY, SEX = "expression of others", "expression of nobody here", "sexes that differ"
#: Most people who are compared with one another: memory and time grow with their square.
MOST_PEOPLE = 5_000
_VARIANTS = 100  # fewest that tell kinship
_COLUMNS = ["suspicion", "what", "expression", "genotypes", "probability", "log_odds"]


@dataclass(frozen=True)
class MixUps:
    """What may be said of a study's mix-ups: numbers, and no person.

    run: whose out-of-fold predictions were compared. signal, found: see `statistics.Concordance`.
    counts: people, of relatives pairs, by what was suspected. file: where they are named.
    """

    people: int
    genes: int
    run: str
    signal: float
    found: float
    counts: dict[str, int]
    file: str

    def sentence(self) -> str:
        """Say in one line what was found, what would be found, and where it is written."""
        swaps = self.counts.get(SWAPPED, 0) + self.counts.get(NOBODY, 0)
        share = int(100 * self.found)
        power = (
            f"signal {self.signal:.1f} over {self.genes:,} genes; would find {share} % of swapped "
            "pairs"
        )
        if self.people > MOST_PEOPLE:
            said = f"not looked for among more than {MOST_PEOPLE:,} people"
        elif self.found < statistics.ENOUGH and not swaps:
            said = f"too little signal to tell whether samples are swapped ({power})"
        else:
            said = f"{'some suspected' if swaps else 'no swapped samples'} ({power})"
        listed = "; ".join(f"{what}: {n:,}" for what, n in self.counts.items() if n)
        return f"mix-ups: {said}" + (f"; {listed}; named in {self.file}" if listed else "")


def look(study_results: Path, cohort: OpenCohort, panel: Panel, runs: list[Predictions]) -> MixUps:
    """Look for mix-ups, write both files, and return what may be said.

    study_results: the study's folder. runs: out-of-fold predictions from genotypes, of which those
    with the largest signal are taken.
    """
    file = study_results / "individuals" / "mixups.csv"
    shown = file.relative_to(study_results.parent.parent) if study_results.parent.name else file
    if panel.expression.shape[1] > MOST_PEOPLE:
        found = MixUps(panel.expression.shape[1], 0, "", 0.0, 0.0, {}, str(shown))
        sealed.write_json(study_results / "mixups.json", asdict(found))
        return found
    run, _, predicted, observed = best_run(panel, runs)
    groups = panel.groups
    fit, suspected = statistics.examine(predicted, observed, groups)
    people = list(panel.expression.columns)
    rows = _swaps(suspected, people) + _relatives(panel, people) + _sexes(cohort, panel, people)
    table = pd.DataFrame(rows, columns=_COLUMNS)
    with whole(file) as part:
        table.to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
    counts = dict(Counter(table["what"]))
    genes = fit.genes
    found = MixUps(len(people), genes, run, fit.signal, fit.found, counts, str(shown))
    sealed.write_json(study_results / "mixups.json", asdict(found))
    return found


def look_at_study(cohort: OpenCohort, results: Path) -> MixUps:
    """Look for mix-ups by linear models that are there, and by lead SNPs fitted now."""
    panel, options = cohort.panel(), cohort.study.evaluation
    linear = [each.predictions for each in baseline.finished(cohort, results)]
    lead, _ = lead_snp_run(
        panel, "lead_snp", options.folds, options.seed, options.min_maf, options.cis_window
    )
    return look(results / cohort.study.name, cohort, panel, [*linear, lead])


def _swaps(suspected: list[statistics.Suspicion], people: list[str]) -> list[list]:
    return [
        [
            number,
            SWAPPED if other >= 0 else NOBODY,
            people[person],
            people[other] if other >= 0 else "",
            each.probability,
            each.log_odds,
        ]
        for number, each in enumerate(suspected, start=1)
        for person, other in zip(each.people, each.proposed, strict=True)
    ]


def _relatives(panel: Panel, people: list[str]) -> list[list]:
    dosages = spread_variants(panel)[0]
    if dosages.shape[1] < _VARIANTS:
        return []
    pairs = statistics.related(statistics.kinship(dosages))
    return [["", degree, people[i], people[j], "", ""] for i, j, degree in pairs]


def _sexes(cohort: OpenCohort, panel: Panel, people: list[str]) -> list[list]:
    """People whose expression of Y genes and heterozygous calls on X are of different sexes."""
    on = {gene.gene_id: gene.chrom.removeprefix("chr").upper() for gene in cohort.listed_genes}
    values = cohort.require_expression("to tell sexes").values[people]
    marks = values[[on.get(gene) == "Y" for gene in values.index]].mean(axis=0).to_numpy(float)
    rows = [gene for gene in panel.expression.index if on.get(gene) == "X"]
    if np.isnan(marks).all() or not rows or panel.dosages is None:
        return []
    calls = np.hstack([panel.dosages(gene)[0] for gene in rows])
    heterozygous = (np.rint(calls) == 1).mean(axis=1)
    male, haploid = _upper_half(marks), _upper_half(-heterozygous)
    if male is None or haploid is None:
        return []
    differ = np.flatnonzero(male != haploid)
    return [["", SEX, people[i], people[i], "", ""] for i in differ]


def _upper_half(values: np.ndarray) -> np.ndarray | None:
    """Which values are in the upper of two groups; None where they are not two groups."""
    order = np.sort(values)
    cuts = range(2, len(order) - 1)
    within = [order[:k].var() * k + order[k:].var() * (len(order) - k) for k in cuts]
    if not within or min(within) > 0.2 * order.var() * len(order):
        return None
    return np.asarray(values >= order[2 + int(np.argmin(within))])
