"""Planted mix-ups of samples: how many are found, and false alarms among clean people.

Settings are simulated matrices of out-of-fold predictions and expression (which are all that the
comparison sees), or a study whose people are put together anew: each contig's genotypes and
expression of a random person of the same population, so that every draw has new people, no gene
counts twice, and nobody is swapped.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.cohort.opened import OpenCohort
from howfar.core.atomic import whole
from howfar.core.threads import one_thread
from howfar.core.versions import versions_of
from howfar.evaluation.lead_snp import lead_snp_run
from howfar.evaluation.mixups import best_run, spread_variants
from howfar.linear import baseline
from howfar.stats import mixups
from howfar.stats.shares import wilson_interval
from howfar.study.schema import Study

COLUMNS = [
    *("setting", "people", "genes", "r", "sum", "signal", "says", "planted", "amount"),
    *("trials", "found", "ci_low", "ci_high", "draws", "alarms", "pairs", "date", "versions"),
]
#: What is planted: by amount, that many pairs, or the share of another's dosages.
PLANTED = {
    "none": (0,),
    "swapped pairs": (1, 2, 5),
    "replaced": (1,),
    "duplicates": (1,),
    "contaminated": (0.1, 0.25, 0.5),
}
_BY_GENOTYPES = ("duplicates", "contaminated")
_WRONG_CALLS = 0.01
_SUMS = 20  # draws whose sum is taken: it hardly differs between them


@dataclass(frozen=True)
class Draw:
    """People of one draw. predicted, observed: (genes, people). groups: (people,) or None.
    dosages: (people, variants) for kinship, or None.
    """

    predicted: np.ndarray
    observed: np.ndarray
    groups: np.ndarray | None = None
    dosages: np.ndarray | None = None


@dataclass(frozen=True)
class Setting:
    """Where mix-ups are planted: `draw` gives new people. r: of every gene; NaN where it differs.

    draws: by what is planted; none of what isn't named.
    """

    name: str
    draw: Callable[[np.random.Generator], Draw]
    r: float = np.nan
    draws: dict[str, int] = field(default_factory=dict)


def simulated(people: int, genes: int, r: float, draws: dict[str, int]) -> Setting:
    """Every gene predicted with the same r, in new people each time."""

    def draw(rng: np.random.Generator) -> Draw:
        """Draw new people."""
        p, noise = rng.standard_normal((2, genes, people))
        return Draw(p, r * p + np.sqrt(1 - r * r) * noise)

    return Setting(f"simulated, {people} x {genes}, r {r:g}", draw, r, draws)


def grid() -> Iterator[Setting]:
    """The settings of the figure."""
    for people in (89, 421):
        for r in (0.1, 0.22, 0.42):
            for total in (3, 6, 10, 15, 20, 30):
                genes = round(total * (1 - r * r) / (r * r))
                yield simulated(people, genes, r, {"swapped pairs": 4 if genes > 900 else 12})


def of_study(study: Study, results: str | Path, draws: dict[str, int]) -> Setting:
    """A study's people put together anew, from what its linear models predict out of fold."""
    cohort = OpenCohort(study)
    panel, options = cohort.panel(), study.evaluation
    runs = [each.predictions for each in baseline.finished(cohort, results)]
    if not runs:
        runs = [
            lead_snp_run(
                panel, "lead_snp", options.folds, options.seed, options.min_maf, options.cis_window
            )[0]
        ]
    _, genes, predicted, observed = best_run(panel, runs)
    chrom = panel.genes.set_index("gene_id")["chrom"].loc[genes].to_numpy()
    dosages, contigs = spread_variants(panel)
    groups = panel.groups

    def draw(rng: np.random.Generator) -> Draw:
        """Put people together anew, each contig's rows of a random person."""
        p, e, x = predicted.copy(), observed.copy(), dosages.copy()
        for contig in np.unique(chrom):
            order = _within(groups, rng)
            rows = chrom == contig
            p[rows], e[rows] = predicted[rows][:, order], observed[rows][:, order]
            columns = contigs == contig
            x[:, columns] = dosages[order][:, columns]
        return Draw(p, e, groups, x)

    return Setting(study.name, draw, draws=draws)


def _within(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of people that leaves each in its population."""
    order = np.arange(len(groups))
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        order[own] = rng.permutation(own)
    return order


def measure(
    settings: Sequence[Setting],
    out: str | Path,
    say: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Plant mix-ups in all settings and keep the table in `out` (CSV), written after each row.

    Rows that are there with as many draws and the same version of the statistics are taken up.
    """
    out = Path(out)
    versions = " ".join(f"{k} {v}" for k, v in versions_of("evaluation", "stats").items())
    kept = pd.read_csv(out) if out.is_file() else pd.DataFrame(columns=COLUMNS)
    kept = kept[kept["versions"] == versions]
    stamp = {"date": datetime.now(UTC).date().isoformat(), "versions": versions}
    parts = []
    for setting in settings:
        for planted, draws in setting.draws.items():
            for amount in PLANTED[planted]:
                mine = kept[
                    (kept["setting"] == setting.name)
                    & (kept["planted"] == planted)
                    & (kept["amount"].astype(float) == amount)
                    & (kept["draws"] == draws)
                ]
                if mine.empty:
                    mine = pd.DataFrame([row_of(setting, planted, amount, draws) | stamp])
                parts.append(mine)
                with whole(out) as part:
                    done = pd.concat(parts, ignore_index=True)
                    done[COLUMNS].to_csv(
                        part, index=False, float_format="%.5g", lineterminator="\n"
                    )
                say(f"{setting.name}: {planted} {amount:g}")
    return pd.read_csv(out)


def row_of(setting: Setting, planted: str, amount: float, draws: int) -> dict:
    """Plant in so many draws of a setting: a row of the table, without date and versions.

    found: share of what was planted that was named. alarms, pairs: draws in which people were
    named of whom none was touched, by expression and by genotypes, where these are looked at.
    """
    hits, trials, others, seen = 0, 0, np.zeros(2, int), []
    for i in range(draws):
        rng = np.random.default_rng([zlib.crc32(f"{setting.name} {planted} {amount}".encode()), i])
        drawn = setting.draw(rng)
        seen.append([*drawn.predicted.shape, sum_of(drawn) if i < _SUMS else np.nan])
        if planted not in _BY_GENOTYPES:  # kinship takes longer than all else
            drawn = replace(drawn, dosages=None)
        changed, truth = plant(drawn, planted, amount, rng)
        with one_thread():
            fit, named = look(changed)
        seen[-1] += [fit.signal, fit.found]
        trials += len(truth)
        hits += sum(_is_named(each, planted, named) for each in truth)
        touched = set().union(*truth) if truth else set()
        others += [any(not set(each) & touched for each in listed) for listed in named]
    genes, people, total, signal, says = np.nanmean(seen, axis=0)
    row = {"setting": setting.name, "people": int(people), "genes": int(genes), "r": setting.r}
    row |= {"sum": total, "signal": signal, "says": says, "planted": planted, "amount": amount}
    row |= {"trials": trials, "found": hits / trials if trials else np.nan}
    low, high = wilson_interval(hits, trials)
    return (
        row
        | {"ci_low": low, "ci_high": high, "draws": draws}
        | dict(zip(("alarms", "pairs"), others, strict=True))
    )


def sum_of(drawn: Draw) -> float:
    """Sum r^2/(1 - r^2) over genes with r above 0, what chance gives taken off."""
    r = np.clip(mixups.gene_r(drawn.predicted, drawn.observed), 0, 0.99)
    return float((r * r / (1 - r * r)).sum())


def look(drawn: Draw) -> tuple[mixups.Concordance, tuple[list[tuple], list[tuple]]]:
    """Look as `howfar doctor --mixups` does; people named by expression, and pairs by genotypes."""
    fit, suspected = mixups.examine(drawn.predicted, drawn.observed, drawn.groups)
    pairs = [] if drawn.dosages is None else mixups.related(mixups.kinship(drawn.dosages))
    return fit, ([each.people for each in suspected], [pair[:2] for pair in pairs])


def plant(
    drawn: Draw, planted: str, amount: float, rng: np.random.Generator
) -> tuple[Draw, list[set[int]]]:
    """Plant a mix-up; return the people, and whom each planted one touches."""
    p, e = drawn.predicted.copy(), drawn.observed.copy()
    x = None if drawn.dosages is None else drawn.dosages.copy()
    who = rng.permutation(p.shape[1])
    i, j = int(who[0]), int(who[1])
    truth = [{i, j}]
    if planted == "none":
        truth = []
    elif planted == "swapped pairs":
        pairs = who[: 2 * int(amount)].reshape(-1, 2)
        for a, b in pairs:
            e[:, [a, b]] = e[:, [b, a]]
        truth = [{int(a), int(b)} for a, b in pairs]
    elif planted == "replaced":  # by somebody who is not in the cohort: another draw's person
        other = (
            np.arange(p.shape[1])
            if drawn.groups is None
            else np.flatnonzero(drawn.groups == drawn.groups[i])
        )
        p[:, i] = [row[rng.choice(other)] for row in p]
        truth = [{i}]
    elif planted == "duplicates":
        p[:, i] = p[:, j]
        wrong = rng.random(x.shape[1]) < _WRONG_CALLS
        x[i] = np.where(wrong, rng.integers(0, 3, x.shape[1]), x[j])
    else:
        p[:, i] = (1 - amount) * p[:, i] + amount * p[:, j]
        x = x if x is None else x.astype(float)
        if x is not None:
            x[i] = (1 - amount) * x[i] + amount * x[j]
    return Draw(p, e, drawn.groups, x), truth


def _is_named(touched: set[int], planted: str, named: tuple[list[tuple], list[tuple]]) -> bool:
    """Whether a planted mix-up is named: a swap as that swap, others by their person or pair."""
    by_expression, by_genotypes = named
    if planted == "swapped pairs":
        return any(set(each) == touched for each in by_expression)
    if planted == "duplicates":
        return any(set(each) == touched for each in by_genotypes)
    return any(set(each) & touched for each in [*by_expression, *by_genotypes])
