"""Table `numbers`: each number that the central figures show, under an id, with its definition."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.panel import RESERVED
from howfar.core.threads import one_thread
from howfar.evaluation import model_agreement as agreement
from howfar.evaluation.trends import TREND_BINS, binned_trend, with_feature
from howfar.results import tables
from howfar.results.number_rows import NOWHERE, Rows
from howfar.stats import null
from howfar.stats.blocks import blocks_of

_TREND_SOURCE = "across.parquet, features.parquet"


def numbers_table(result: tables.Tables, draws: int = 2000, seed: int = 1) -> pd.DataFrame:
    """Table `numbers`: each number that the central figures show, with interval and definition.

    Ids are ``<study>.<run>.<figure>.<what>``. Intervals are 95 %, by block bootstrap over
    `evaluate.blocks_of` the genes, unless the definition says otherwise.
    """
    with one_thread():
        return _all_numbers(result, draws, seed)


def _all_numbers(result: tables.Tables, draws: int, seed: int) -> pd.DataFrame:
    numbers = Rows(study=result.study)
    for run_id, rows in result["reference"].groupby("run_id"):
        _reference_numbers(numbers, run_id, rows, result["genes"], draws, seed)
    for (run_id, population), rows in _with_free(result["across"]).groupby(
        ["run_id", "population"]
    ):
        _across_numbers(numbers, run_id, population, rows, result["genes"], draws, seed)
    for run_id, rows in result["within"].groupby("run_id"):
        _within_numbers(numbers, run_id, rows)
    for run_id in result["across"]["run_id"].unique():
        _trend_numbers(numbers, run_id, result, draws, seed)
    _agreement_numbers(numbers, result, draws, seed)
    return numbers.frame()


def _estimate(statistic, values: np.ndarray):
    return statistic(values, np.ones((1, len(values))))[0]


def _reference_numbers(numbers, run_id, rows, genes, draws, seed) -> None:
    parts = {"": rows} | {f".{region}": part for region, part in rows.groupby("region")}
    for suffix, part in parts.items():
        part = part.dropna(subset=["prediction", "observed_mean"])
        if len(part) < stats.MIN_PAIRS:
            continue
        pairs = part[["prediction", "observed_mean"]].to_numpy(float)
        blocks, unit = blocks_of(genes, part["gene_id"])
        place = f" of the model's {suffix[1:]} regions" if suffix else ""
        for key, name, statistic in (
            ("pearson", "Pearson r", stats.weighted_pearson),
            ("spearman", "Spearman rho", stats.weighted_spearman),
        ):
            numbers.add(
                f"{run_id}.reference.{key}{suffix}", _estimate(statistic, pairs), len(part),
                f"{name} over genes{place} of the reference prediction with mean "
                f"expression (median where the study says so); interval by bootstrap over {unit}.",
                "reference.parquet",
                stats.block_bootstrap(pairs, blocks, statistic, draws, seed, weighted=True),
            )  # fmt: skip


_ACROSS = {
    "pooled": "all people",
    "centred": "all people with population means removed",
    "permuted": "people permuted within population (a control)",
}


def _averages(r: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean, median, mean size and negative share (draws, 4)."""
    columns = (r, np.abs(r), (r < 0).astype(float))
    mean, size, negative = (stats.weighted_mean(c, weights) for c in columns)
    return np.column_stack([mean, stats.weighted_median(r, weights), size, negative])


def _with_free(across: pd.DataFrame) -> pd.DataFrame:
    """`across` with `free`: n, for 'centred' less the population means removed but one."""
    index = ["run_id", "gene_id"]
    inner = across[~across["population"].isin(RESERVED) & (across["n"] > 0)]
    removed = inner.groupby(index).size().sub(1).rename("removed")
    removed = across[index].join(removed, on=index)["removed"].fillna(0).astype(float)
    n = across["n"].astype(float)
    return across.assign(free=n.where(across["population"] != "centred", n - removed))


def _ends(low: float, high: float) -> tuple[float, float]:
    """An interval; none where all draws are equal, as for the share of genes all of one sign."""
    return (low, high) if low < high else NOWHERE


def _across_numbers(numbers, run_id, population, rows, genes, draws, seed) -> None:
    key, source = f"{run_id}.across.{population}", "across.parquet"
    people = _ACROSS.get(population, f"people of {population}")
    numbers.add(f"{key}.genes_tested", rows["pearson"].notna().sum(), len(rows),
                f"Genes with a correlation over {people}; the rest have a constant prediction or "
                "expression, or too few people.", source)  # fmt: skip
    _significance_numbers(numbers, key, rows, people)
    rows = rows.dropna(subset=["pearson"]).astype({"n": float})
    if len(rows) < 2:
        return
    if rows["n"].notna().any():
        numbers.add(f"{key}.median_people", rows["n"].median(), len(rows),
                    f"Median number of people per gene, over {people}.", source)  # fmt: skip
    r = rows["pearson"].to_numpy(float)
    blocks, unit = blocks_of(genes, rows["gene_id"])
    low, high = stats.block_bootstrap(r, blocks, _averages, draws, seed, weighted=True)
    names = {
        "mean_r": "Mean over genes of Pearson r",
        "median_r": "Median over genes of Pearson r",
        "mean_abs_r": "Mean over genes of |Pearson r|",
        "share_negative": "Share of genes with negative Pearson r",
    }
    for i, (what, words) in enumerate(names.items()):
        numbers.add(f"{key}.{what}", _estimate(_averages, r)[i], len(rows),
                    f"{words} of prediction and expression over {people}; interval by bootstrap "
                    f"over {unit}.", source, _ends(low[i], high[i]))  # fmt: skip
    for what, value in (("min_r", r.min()), ("max_r", r.max())):
        numbers.add(f"{key}.{what}", value, len(rows),
                    f"{'Lowest' if what == 'min_r' else 'Highest'} Pearson r of a gene over "
                    f"{people}.", source)  # fmt: skip
    _spread_numbers(numbers, key, rows, blocks, people, unit, draws, seed)


def _spread_numbers(numbers, key, rows, blocks, people, unit, draws, seed) -> None:
    found = stats.spread(rows["pearson"], rows["free"], blocks, draws, seed)
    if not found.genes:  # a published table that doesn't say how many people there were
        return
    typical = float(rows["free"].median())
    source, nowhere = "across.parquet", (np.nan, np.nan)
    for what, value, ci, words in (
        ("observed_sd", found.observed_sd, nowhere, "SD over genes of Pearson r"),
        ("sampling_sd", found.sampling_sd, nowhere,
         "SD of r that sampling alone gives at these numbers of people, were every gene's true r "
         "the mean, (1 - r^2) / sqrt(n - 1)"),
        ("true_sd", found.true_sd, found.true_sd_ci,
         f"SD over genes of the true r: the variance of r less the mean sampling variance, "
         f"(1 - r^2)^2 / (n - 1); interval by bootstrap over {unit}"),
        ("share_truly_negative", found.share_truly_negative, found.share_truly_negative_ci,
         "Share of genes with a truly negative r, if true r is normal over genes, which it is only "
         f"roughly; interval by bootstrap over {unit}"),
        ("smallest_detectable_r", stats.smallest_detectable_r(typical), nowhere,
         "Smallest true |r| that a test at 0.05 finds with power 0.8 at the median number of "
         "people"),
    ):  # fmt: skip
        numbers.add(f"{key}.{what}", value, found.genes, f"{words}, over {people}.", source, ci)


def _significance_numbers(numbers, key, rows, people) -> None:
    source = "across.parquet"
    if rows["q"].notna().any():
        found = rows[rows["q"] <= 0.05]
        numbers.add(f"{key}.significant", len(found), len(rows),
                    "Genes with r different from 0 at a false discovery rate of 5 % (t test, "
                    f"Benjamini-Hochberg), over {people}.", source)  # fmt: skip
        numbers.add(f"{key}.significant_negative", (found["pearson"] < 0).sum(), len(rows),
                    "Of the significant genes, those with negative r.", source)  # fmt: skip
    if rows["null_sd"].isna().all():
        return
    r, m, s = (rows[c].to_numpy(float) for c in ("pearson", "null_mean", "null_sd"))
    words = {
        "as_published": "T = (|r| - m) / sqrt(s / 50)",
        "standard_error": "T = (|r| - m) / (s / sqrt(50)), a mistake for judging one gene",
        "calibrated_from_moments": "T = (|r| - m) / (s sqrt(1 + 1/50))",
    }
    p = {rule: (null.RULES[rule](r, m, s), text) for rule, text in words.items()}
    if rows["p_null"].notna().any():
        p["calibrated"] = (rows["p_null"].to_numpy(float), "p = (1 + #{r_k >= |r|}) / (K + 1)")
    for rule, (values, text) in p.items():
        q = stats.benjamini_hochberg(np.where(np.isnan(values), 1, values))
        count = np.count_nonzero(q <= 0.05)
        numbers.add(f"{key}.significant_{rule}", count, len(rows),
                    f"Genes beyond the gene-specific null at a false discovery rate of 5 %, "
                    f"{text}, over {people}; genes without p count as 1.", source)  # fmt: skip


def _within_numbers(numbers, run_id, rows) -> None:
    r = rows["pearson"].dropna()
    if r.empty:
        return
    for what, value in (("median_r", r.median()), ("min_r", r.min()), ("max_r", r.max())):
        name = {"median_r": "Median", "min_r": "Lowest", "max_r": "Highest"}[what]
        numbers.add(f"{run_id}.within.{what}", value, len(r),
                    f"{name} over people of the Pearson r across genes within one person.",
                    "within.parquet")  # fmt: skip


def _agreement_numbers(numbers, result, draws, seed) -> None:
    """How far two runs agree: on people, gene by gene, and all that `agreement` compares."""
    found = result.frames.get("agreement", tables.empty("agreement")).dropna(subset=["pearson"])
    for (run, other), rows in found.groupby(["run_id", "other_id"]):
        blocks, unit = blocks_of(result["genes"], rows["gene_id"])
        r = rows["pearson"].to_numpy(float)
        ci = stats.block_bootstrap(r, blocks, _averages, draws, seed, weighted=True)
        for i, what in ((1, "median"), (3, "share_negative")):
            name = "Median" if what == "median" else "Share below 0"
            numbers.add(f"{run}.agreement.{other}.{what}", _estimate(_averages, r)[i], len(r),
                        f"{name} over genes of Pearson r over people of the two runs' "
                        f"predictions; interval by bootstrap over {unit}.", "agreement.parquet",
                        _ends(ci[0][i], ci[1][i]))  # fmt: skip
    for each in agreement.comparisons(result):
        blocks, unit = each.blocks or blocks_of(result["genes"], each.both["gene_id"])
        pairs = each.both[["first", "second"]].to_numpy(float)
        ci = stats.block_bootstrap(
            pairs, blocks, stats.weighted_spearman, draws, seed, weighted=True
        )
        numbers.add(each.id, _estimate(stats.weighted_spearman, pairs), len(pairs),
                    f"Spearman rho of {each.words}; interval by bootstrap over {unit}.",
                    each.source, ci)  # fmt: skip


def _trend_numbers(numbers, run_id, result, draws, seed) -> None:
    for feature in sorted(result["features"]["feature"].unique()):
        rows = with_feature(result, run_id, feature)
        if len(rows) < 10 or rows[feature].nunique() < 2:
            continue
        blocks, unit = blocks_of(result["genes"], rows["gene_id"])
        r = rows["pearson"].to_numpy(float)
        for what, values in (("r", r), ("abs_r", np.abs(r))):
            pairs = np.column_stack([rows[feature].to_numpy(float), values])
            statistic = stats.weighted_spearman
            ci = stats.block_bootstrap(pairs, blocks, statistic, draws, seed, weighted=True)
            numbers.add(
                f"{run_id}.trend.{feature}.{what}", _estimate(statistic, pairs), len(rows),
                f"Spearman rho over genes of {feature} ({tables.FEATURES.get(feature, feature)}) "
                f"with {'|r|' if what == 'abs_r' else 'r'} over people; interval by bootstrap over "
                f"{unit}.",
                _TREND_SOURCE, ci,
            )  # fmt: skip
        if len(rows) >= 5 * TREND_BINS and rows[feature].nunique() > TREND_BINS:
            trend = binned_trend(rows[feature], r, blocks, draws=draws, seed=seed)
            _bin_numbers(numbers, f"{run_id}.trend.{feature}", feature, trend, unit)


def _bin_numbers(numbers, key, feature, trend, unit) -> None:
    for i, row in enumerate(trend.itertuples(), start=1):
        numbers.add(
            f"{key}.bin{i}.mean_r", row.mean, row.n_genes,
            f"Mean r over people of the genes with {feature} from {row.low:.6g} to {row.high:.6g} "
            f"(quantile bin {i} of {len(trend)}); interval by bootstrap over {unit}.",
            _TREND_SOURCE, (row.ci_low, row.ci_high),
        )  # fmt: skip
