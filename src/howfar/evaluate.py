"""From predictions and expression to the result tables of `tables.py`.

Every function takes frames (gene_id x sample) and returns one table; none reads or writes a file.
What is computed per gene and how is in `stats`, `null` and `eqtl`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # scikit-learn requires it

from . import null, stats, tables
from .eqtl import lead_eqtl, lead_snp_prediction
from .errors import HowfarError
from .intervals import Variant

#: Rows of `across` that are no population of the study.
RESERVED = ("pooled", "centred", "permuted")
#: Fewest blocks for which chromosomes (then 1-Mb regions) carry a bootstrap.
MIN_BLOCKS = 5
#: Quantile bins of a feature in which mean r is given.
TREND_BINS = 6

# The products of one gene are small: threads that wait for each other cost more than they give,
# tenfold and more where other work shares the cores.
one_thread = partial(threadpool_limits, limits=1)

Dosages = Callable[[str], tuple[np.ndarray, list[Variant]]]


@dataclass(frozen=True)
class Panel:
    """What was observed in a cohort.

    `expression`: gene_id x sample, NaN where missing. `genes`: table `genes`. `populations`: of
    each sample, or None. `dosages`: gene_id to (people, variants) float32 in the columns' order
    of `expression`, missing NaN, and the variants; or None without genotypes. `units` of the
    expression; `log_scale`: it is a logarithm, to `log_base`.
    """

    expression: pd.DataFrame
    genes: pd.DataFrame
    populations: pd.Series | None = None
    dosages: Dosages | None = None
    units: str = "expression"
    log_scale: bool = True
    log_base: float = math.e

    def __post_init__(self) -> None:
        lacking = self.expression.index.difference(self.genes["gene_id"])
        repeats = (
            self.expression.index.duplicated().sum() + self.expression.columns.duplicated().sum()
        )
        if len(lacking) or repeats:
            raise HowfarError(
                "expression of the gene table's genes",
                found=f"{len(lacking)} genes that the gene table lacks, {repeats} repeated rows "
                "or columns",
                expected="each gene and sample once, all genes in the gene table",
                do="Check the gene ids and their versions in both files.",
            )
        self._check_populations()

    def _check_populations(self) -> None:
        if self.populations is None:
            return
        listed = self.populations[~self.populations.index.duplicated()]
        groups = listed.reindex(self.expression.columns)
        clash = sorted(set(groups.dropna()) & set(RESERVED))
        repeats = len(self.populations) - len(listed)
        if groups.isna().any() or clash or repeats:
            raise HowfarError(
                "populations",
                found=f"{int(groups.isna().sum())} people of {len(groups)} without population, "
                f"{repeats} listed twice"
                + (f", and a population named {clash[0]!r}" if clash else ""),
                expected=f"one for each person with expression, none named {', '.join(RESERVED)}",
                do="Complete the sample table, or leave its population column out.",
            )

    @property
    def groups(self) -> np.ndarray:
        """Population of each column of `expression`, one name for all where unknown."""
        if self.populations is None:
            return np.full(self.expression.shape[1], "all", dtype=object)
        return self.populations.reindex(self.expression.columns).to_numpy(dtype=object)

    def covariates(self) -> np.ndarray | None:
        """Populations as 0/1 columns (people, populations - 1); None if there is only one."""
        names = np.unique(self.groups)[1:]
        return (self.groups[:, None] == names).astype(float) if len(names) else None


@dataclass(frozen=True)
class Predictions:
    """One run's predictions.

    `people`: gene_id x sample, or None where only the reference was predicted. `reference`: of the
    reference genome, by gene_id. `regions`: the model's 'train', 'valid' or 'test' by gene_id, or
    None where unknown.
    """

    run_id: str
    people: pd.DataFrame | None
    reference: pd.Series
    regions: pd.Series | None = None


# --- tables ----------------------------------------------------------------------------------


def reference_table(panel: Panel, runs: Iterable[Predictions]) -> pd.DataFrame:
    """Table `reference`: each run's prediction for the reference beside mean expression.

    The mean is over the people with expression, in the panel's units and scale. Genes without
    expression are kept with a missing mean.
    """
    observed = panel.expression.mean(axis=1)
    parts = [
        pd.DataFrame(
            {
                "run_id": run.run_id,
                "gene_id": run.reference.index,
                "prediction": run.reference.to_numpy(float),
                "observed_mean": observed.reindex(run.reference.index).to_numpy(),
                "region": None
                if run.regions is None
                else run.regions.reindex(run.reference.index).to_numpy(),
            }
        )
        for run in runs
        if run.reference.notna().any()
    ]
    return _stack("reference", parts)


def across_table(
    panel: Panel, runs: Sequence[Predictions], draws: int = 10_000, seed: int = 1
) -> pd.DataFrame:
    """Table `across`: correlation over people of prediction and expression, gene by gene.

    Populations: 'pooled' (everybody); where there is more than one, each of them and 'centred'
    (population means removed from both sides, p and interval with as many fewer degrees of
    freedom); 'permuted' (predictions exchanged between people of one population, so that what is
    left is due to populations and chance). p: two-sided t; q: Benjamini-Hochberg over the genes of
    the run and population. null_*: gene-specific null of `draws` random weightings of the gene's
    variants, for 'pooled' and only with genotypes; p_null is the calibrated p.
    """
    parts = [part for run in runs for part in _across_run(panel, run, seed)]
    table = _stack("across", parts)
    if panel.dosages is None or table.empty:
        return table
    return _with_null(panel, table, draws, seed)


def _across_run(panel: Panel, run: Predictions, seed: int) -> Iterable[pd.DataFrame]:
    predicted, observed, groups = _aligned(panel, run)
    if predicted is None:
        return
    genes = predicted.index
    x, y = predicted.to_numpy(float), observed.to_numpy(float)
    yield _correlated(run.run_id, genes, "pooled", x, y)
    names = np.unique(groups)
    if len(names) > 1:
        for name in names:
            chosen = groups == name
            yield _correlated(run.run_id, genes, name, x[:, chosen], y[:, chosen])
        both = np.isnan(x) | np.isnan(y)
        cx = stats.centre_within(np.where(both, np.nan, x), groups)
        cy = stats.centre_within(np.where(both, np.nan, y), groups)
        removed = sum((~both[:, groups == name]).any(axis=1) for name in names) - 1
        yield _correlated(run.run_id, genes, "centred", _settled(cx, x), _settled(cy, y), removed)
    yield _correlated(run.run_id, genes, "permuted", _permuted(x, y, groups, seed), y)


def _aligned(panel: Panel, run: Predictions):
    """Predictions and expression on the genes and people of both, and the people's groups."""
    if run.people is None:
        return None, None, None
    genes = run.people.index.intersection(panel.expression.index, sort=False)
    shared = panel.expression.columns.isin(run.people.columns)
    people = panel.expression.columns[shared]
    if not len(genes) or not len(people):
        raise HowfarError(
            f"run {run.run_id}",
            found=f"{len(genes)} genes and {len(people)} people in common with the expression",
            expected="predictions and expression of the same genes and people",
            do="Check gene-id versions and sample names.",
        )
    return run.people.loc[genes, people], panel.expression.loc[genes, people], panel.groups[shared]


def _settled(centred: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Rows that are constant within each group set to 0: what is left of them is rounding."""
    scale = np.nanmax(np.abs(np.nan_to_num(original)), axis=1, keepdims=True)
    rest = np.nanmax(np.abs(np.nan_to_num(centred)), axis=1, keepdims=True)
    return np.where((rest <= 1e-13 * scale) & ~np.isnan(centred), 0.0, centred)


def _permuted(x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """`x` with people exchanged within groups, among each gene's complete pairs.

    One random order of people serves every gene, so that genes stay as dependent as they are.
    """
    order = np.random.default_rng(seed).permutation(x.shape[1])
    permuted = np.full(x.shape, np.nan)
    for row, given in enumerate(~(np.isnan(x) | np.isnan(y))):
        for group in np.unique(groups[given]):
            members = np.flatnonzero(given & (groups == group))
            permuted[row, members] = x[row, members[np.argsort(order[members])]]
    return permuted


def _correlated(run_id, genes, population, x, y, removed: int | np.ndarray = 0) -> pd.DataFrame:
    r, n = stats.pearson_rows(x, y)
    rho, _ = stats.spearman_rows(x, y)
    few = n - removed < stats.MIN_PAIRS  # as good as two points, which always lie on a line
    r, rho = np.where(few, np.nan, r), np.where(few, np.nan, rho)
    p = np.where(np.isnan(r), np.nan, stats.correlation_p(r, n - 2 - removed))
    low, high = stats.fisher_interval(r, n - removed)
    return pd.DataFrame(
        {
            "run_id": run_id,
            "gene_id": genes,
            "population": population,
            "n": n,
            "pearson": r,
            "spearman": rho,
            "p": p,
            "q": stats.benjamini_hochberg(p),
            "ci_low": low,
            "ci_high": high,
        }
    )


def _with_null(panel: Panel, table: pd.DataFrame, draws: int, seed: int) -> pd.DataFrame:
    """`table` with the null of each gene; a gene's draws are shared by all runs."""
    pooled = table.index[table["population"] == "pooled"]
    found = {column: np.full(len(table), np.nan) for column in ("null_mean", "null_sd", "p_null")}
    pearson = table["pearson"].to_numpy(float)
    with one_thread():
        for gene, rows in table.loc[pooled].groupby("gene_id", sort=False).indices.items():
            at = pooled[rows]
            dosages, _ = panel.dosages(gene)
            r_k = null.gene_null(dosages, panel.expression.loc[gene].to_numpy(float), draws, seed)
            # One variant, or perfect linkage: draws differ by rounding alone.
            sd = r_k.std() if np.ptp(r_k) > 1e-12 else 0.0
            found["null_mean"][at], found["null_sd"][at] = r_k.mean(), sd
            found["p_null"][at] = [null.calibrated(r, r_k) for r in pearson[at]]
    return table.assign(**found)


def within_table(panel: Panel, runs: Iterable[Predictions]) -> pd.DataFrame:
    """Table `within`: correlation across genes within each person, people sorted by r.

    `population` is the person's ('pooled' where unknown), `rank` counts from 1 at the highest
    Pearson r of the population; nobody is named. Runs without a reference prediction are left
    out: such a model is told each gene's level by the people it was trained on.
    """
    parts = []
    for run in runs:
        predicted, observed, groups = _aligned(panel, run)
        if predicted is None or run.reference.isna().all():
            continue
        x, y = predicted.to_numpy(float).T, observed.to_numpy(float).T
        (r, n), (rho, _) = stats.pearson_rows(x, y), stats.spearman_rows(x, y)
        part = pd.DataFrame({"n_genes": n, "pearson": r, "spearman": rho})
        part["population"] = "pooled" if panel.populations is None else groups
        part = part.sort_values("pearson", ascending=False, na_position="last")
        part["rank"] = part.groupby("population").cumcount() + 1
        parts.append(part.assign(run_id=run.run_id))
    return _stack("within", parts)


def features_table(
    panel: Panel, source: str, min_maf: float = 0.05, window: int | None = None
) -> pd.DataFrame:
    """Table `features`: median and coefficient of variation of expression, and the lead cis-eQTL.

    The coefficient of variation is SD / mean on the linear scale: logarithms are raised back to
    `panel.log_base`. Lead eQTL: populations as covariates; variants of `panel.dosages` within
    window // 2 bp of the TSS (all, if None). source: the study's name.
    """
    values = panel.expression
    rows = [
        _feature(values.index, "median_expression", values.median(axis=1)),
        _feature(values.index, "cv_expression", _variation(panel)),
    ]
    if panel.dosages is not None:
        rows.append(_lead_features(panel, min_maf, window))
    table = pd.concat(rows, ignore_index=True).assign(source=source)
    return tables.validate("features", table, "evaluation")


def _variation(panel: Panel) -> pd.Series:
    """SD / mean of each gene on the linear scale; missing where the mean is not above 0."""
    values = panel.expression
    # The ratio has no units: dividing by a gene's largest value first keeps powers in range.
    if panel.log_scale:
        linear = panel.log_base ** values.sub(values.max(axis=1), axis=0)
    else:
        largest = values.abs().max(axis=1)
        linear = values.div(largest.where(largest > 0, 1.0), axis=0)
    mean = linear.mean(axis=1)
    return linear.std(axis=1) / mean.where(mean > 0)


def _feature(genes, name: str, value) -> pd.DataFrame:
    return pd.DataFrame({"gene_id": genes, "feature": name, "value": np.asarray(value, float)})


def _lead_features(panel: Panel, min_maf: float, window: int | None) -> pd.DataFrame:
    tss = panel.genes.set_index("gene_id")["tss"]
    covariates, found = panel.covariates(), []
    for gene in panel.expression.index:
        dosages, variants = panel.dosages(gene)
        dosages, variants = _near(dosages, variants, int(tss[gene]), window)
        lead = lead_eqtl(
            dosages, variants, int(tss[gene]), panel.expression.loc[gene].to_numpy(float), min_maf,
            covariates,
        )  # fmt: skip
        if lead is None:
            continue
        values = (lead.distance, lead.log10p, lead.r, lead.maf)
        names = ("distance", "log10p", "r", "maf")
        found += [(gene, f"lead_eqtl_{n}", float(v)) for n, v in zip(names, values, strict=True)]
    return pd.DataFrame(found, columns=["gene_id", "feature", "value"])


def _near(dosages, variants, tss: int, window: int | None):
    if window is None:
        return dosages, variants
    kept = [i for i, v in enumerate(variants) if abs(v.start0 - (tss - 1)) <= window // 2]
    return dosages[:, kept], [variants[i] for i in kept]


def individuals_table(
    panel: Panel, runs: Iterable[Predictions], folds: dict[str, pd.DataFrame] | None = None
) -> pd.DataFrame:
    """Table `individuals`: every prediction beside the expression it is for; may be private.

    folds: run_id to the fold (gene_id x sample) in which each prediction was held out.
    """
    parts = []
    for run in runs:
        predicted, observed, _ = _aligned(panel, run)
        if predicted is None:
            continue
        genes, people = predicted.shape
        fold = (folds or {}).get(run.run_id)
        part = pd.DataFrame(
            {
                "run_id": run.run_id,
                "gene_id": np.repeat(predicted.index.to_numpy(), people),
                "sample": np.tile(predicted.columns.to_numpy(), genes),
                "predicted": predicted.to_numpy(float).ravel(),
                "observed": observed.to_numpy(float).ravel(),
            }
        )
        if fold is not None:
            part["fold"] = fold.loc[predicted.index, predicted.columns].to_numpy().ravel()
        parts.append(part)
    return _stack("individuals", parts)


def lead_snp_run(
    panel: Panel,
    run_id: str = "lead_snp",
    folds: int = 5,
    seed: int = 1,
    min_maf: float = 0.05,
    window: int | None = None,
) -> tuple[Predictions, pd.DataFrame]:
    """The lead-SNP-only prediction of every gene and person, out of fold, and the folds.

    The same people share a fold for all genes. There is no reference prediction (missing): a
    variant says nothing about a gene's level.
    """
    if panel.dosages is None:
        raise HowfarError(
            f"run {run_id}", found="a study without genotypes", expected="genotypes",
            do="Leave this run out.",
        )  # fmt: skip
    tss = panel.genes.set_index("gene_id")["tss"]
    genes, people = panel.expression.index, panel.expression.columns
    predicted, fold = np.full((len(genes), len(people)), np.nan), None
    for i, gene in enumerate(genes):
        dosages, _ = _near(*panel.dosages(gene), int(tss[gene]), window)
        predicted[i], fold = lead_snp_prediction(
            dosages, panel.expression.loc[gene].to_numpy(float), folds, seed, min_maf
        )
    frame = pd.DataFrame(predicted, index=genes, columns=people)
    assigned = pd.DataFrame(np.tile(fold, (len(genes), 1)), index=genes, columns=people)
    return Predictions(run_id, frame, pd.Series(np.nan, index=genes, dtype=float)), assigned


def evaluate(
    panel: Panel,
    runs: Sequence[Predictions],
    source: str,
    draws: int = 10_000,
    min_maf: float = 0.05,
    window: int | None = None,
    seed: int = 1,
) -> dict[str, pd.DataFrame]:
    """The tables genes, reference, across, within and features of a study, by name."""
    return {
        "genes": tables.validate("genes", panel.genes, "evaluation"),
        "reference": reference_table(panel, runs),
        "across": across_table(panel, runs, draws, seed),
        "within": within_table(panel, runs),
        "features": features_table(panel, source, min_maf, window),
    }


def _stack(name: str, parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    return tables.stack(name, parts, "evaluation")


# --- over genes ------------------------------------------------------------------------------


def blocks_of(genes: pd.DataFrame, gene_ids: Sequence[str]) -> tuple[np.ndarray, str]:
    """The block of each gene for a block bootstrap, and what a block is, in words.

    Chromosomes; where the genes lie on fewer than 5, regions of 1 Mb; where those are fewer than 5
    (or positions are unknown), genes, which takes them as independent.
    """
    place = genes.set_index("gene_id").reindex(gene_ids)
    chrom, tss = place["chrom"].astype("string"), pd.to_numeric(place["tss"])
    if chrom.nunique() >= MIN_BLOCKS and chrom.notna().all():
        return chrom.to_numpy(dtype=object), "chromosomes"
    if chrom.notna().all() and tss.notna().all():
        regions = chrom + ":" + (tss.astype("Int64") // 1_000_000).astype("string")
        if regions.nunique() >= MIN_BLOCKS:
            return regions.to_numpy(dtype=object), "1-Mb regions"
    return np.asarray(gene_ids, dtype=object), "genes, taken as independent"


def with_feature(result: tables.Tables, run_id: str, feature: str) -> pd.DataFrame:
    """Pooled rows of `across` of a run with the column `feature`; genes with both only."""
    across, features = result["across"], result["features"]
    rows = across[(across["run_id"] == run_id) & (across["population"] == "pooled")]
    values = features[features["feature"] == feature].drop_duplicates("gene_id")
    return rows.merge(
        values[["gene_id", "value"]].rename(columns={"value": feature}), on="gene_id"
    ).dropna(subset=["pearson", feature])


def binned_trend(
    feature: np.ndarray,
    r: np.ndarray,
    blocks: np.ndarray,
    bins: int | Sequence[float] = TREND_BINS,
    draws: int = 2000,
    seed: int = 1,
) -> pd.DataFrame:
    """Mean of `r` in bins of `feature`, with intervals by block bootstrap.

    bins: edges (ascending; a bin is closed below and open above, the last closed on both sides),
    or how many quantile bins. Genes without either value or outside the edges are left out.
    Returns low, high, centre (median of the feature), mean, ci_low, ci_high and n_genes; a bin
    without genes has missing values.
    """
    feature, r, blocks = np.asarray(feature, float), np.asarray(r, float), np.asarray(blocks)
    kept = np.isfinite(feature) & ~np.isnan(r)  # -log10 p of a perfect correlation is infinite
    feature, r, blocks = feature[kept], r[kept], blocks[kept]
    if isinstance(bins, int | np.integer) and feature.size:
        edges = np.unique(np.quantile(feature, np.linspace(0, 1, int(bins) + 1)))
    else:
        edges = np.atleast_1d(np.asarray(bins, float))
    if edges.size < 2 or (np.diff(edges) <= 0).any():
        raise HowfarError(
            "bins of a trend", found=f"{edges.size} edges", expected="two or more, ascending",
            do="Correct the edges; a feature with one value has no trend.",
        )  # fmt: skip
    code = np.digitize(feature, edges[1:-1])
    inside = (feature >= edges[0]) & (feature <= edges[-1])
    rows = []
    for b in range(edges.size - 1):
        chosen = inside & (code == b)
        values = r[chosen]
        ci = (np.nan, np.nan)
        if chosen.any():
            ci = stats.block_bootstrap(
                values, blocks[chosen], stats.weighted_mean, draws, seed, weighted=True
            )
        rows.append(
            {
                "low": edges[b],
                "high": edges[b + 1],
                "centre": np.median(feature[chosen]) if chosen.any() else np.nan,
                "mean": values.mean() if chosen.any() else np.nan,
                "ci_low": ci[0],
                "ci_high": ci[1],
                "n_genes": int(chosen.sum()),
            }
        )
    return pd.DataFrame(rows)
