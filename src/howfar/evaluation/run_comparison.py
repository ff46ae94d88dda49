"""Two runs compared gene by gene, and the drivers of a network's predictions compared with eQTLs.

All functions take result tables (`tables.py`) and return frames or plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.panel import FEWEST
from howfar.results import tables
from howfar.stats import null
from howfar.stats.blocks import blocks_of

#: |r| across people, and r of the sum of variant effects with the prediction, above which genes
#: enter the comparison of drivers with eQTLs (Sasse et al. 2023, Fig. 2E).
STRONG, TRUSTED = 0.2, 0.2


# --- the rule for significance ---------------------------------------------------------------


_COLUMNS = {"own_null": "p_null", "t_test": "p"}


def beyond_null(rows: pd.DataFrame, rule: str = "as_published", level: float = 0.05) -> pd.Series:
    """Which rows of `across` lie beyond their gene-specific null at a false discovery rate.

    rule: a name in `null.RULES`, or 'own_null' or 't_test' for columns p_null and p. A row without
    p counts as p = 1 among the tests, as in Sasse et al. 2023. Returns booleans in the rows' order.
    """
    q = stats.benjamini_hochberg(null_p(rows, rule).fillna(1))
    return pd.Series(q <= level, index=rows.index)


def null_p(rows: pd.DataFrame, rule: str = "as_published") -> pd.Series:
    """p of each row of `across` under `rule` (see `beyond_null`); missing where r is."""
    if rule in _COLUMNS:
        return rows[_COLUMNS[rule]].astype(float)
    values = (rows[c].to_numpy(float) for c in ("pearson", "null_mean", "null_sd"))
    return pd.Series(null.RULES[rule](*values), index=rows.index)


def false_positive_rate(
    sd: np.ndarray | float, ratio: np.ndarray | float, rule: str, level: float = 0.05
) -> np.ndarray | float:
    """How often one more random weighting has p <= `level`, by the tail of simulated draws.

    sd: of the null's |r_k|; ratio: their mean over sd. rule: a name in `null.RULES`. The smallest
    z = (|r| - m) / s that the rule calls is found on a grid, and `null.tail` says how often chance
    reaches it.
    """
    sd, ratio = np.broadcast_arrays(np.asarray(sd, float), np.asarray(ratio, float))
    z = np.linspace(-1, 12, 2601)
    mean = (sd * ratio)[..., None]
    p = null.RULES[rule](mean + z * sd[..., None], mean, sd[..., None])
    passed = p <= level
    share = null.tail(z[passed.argmax(axis=-1)], ratio)
    return np.where(passed.any(axis=-1), share, 0.0)[()]


# --- which rows count ------------------------------------------------------------------------


def judged(across: pd.DataFrame) -> pd.DataFrame:
    """`across` with r = 0 for constant predictions, as every mean over genes counts them.

    r stays missing where no run has one for those people and that gene: their expression is
    constant; where the run has too few people, and where n is missing, as for a value nobody
    published.
    """
    known = across.groupby(["gene_id", "population"])["pearson"].transform("count") > 0
    constant = across["pearson"].isna() & (across["n"].fillna(0) >= FEWEST) & known
    names = ["pearson", "spearman"]
    return across.assign(**{name: across[name].mask(constant, 0.0) for name in names})


def with_judged(result: tables.Tables) -> tables.Tables:
    """The tables with `across` as `judged`."""
    return tables.Tables(result.study, result.frames | {"across": judged(result["across"])})


def comparable(across: pd.DataFrame, kinds: Mapping[str, str]) -> list[str]:
    """Runs whose mean over genes may stand beside the others': on half of the genes or more.

    across: as `judged`. kinds: kind of each run. Half of those of the network on most genes; of
    any run's where there is no network.
    """
    rows = across[(across["population"] == "pooled") & across["pearson"].notna()]
    counts = rows.groupby("run_id").size()
    networks = [run for run in counts.index if kinds.get(run) == "network"]
    most = counts[networks].max() if networks else counts.max()
    return list(counts.index[2 * counts >= most]) if len(counts) else []


# --- two runs --------------------------------------------------------------------------------


def paired(across: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Genes with r over all people in both runs: gene_id, first, second, difference.

    difference: first - second.
    """
    rows = across[(across["population"] == "pooled") & across["pearson"].notna()]
    wide = {
        run: rows[rows["run_id"] == run].set_index("gene_id")["pearson"] for run in (first, second)
    }
    both = pd.DataFrame({"first": wide[first], "second": wide[second]}).dropna()
    both["difference"] = both["first"] - both["second"]
    return both.rename_axis("gene_id").reset_index()


def common_genes(across: pd.DataFrame) -> pd.DataFrame:
    """Pooled rows of `across` of the genes that all runs have: run_id, gene_id, n, pearson.

    Runs on fewer than half of the genes are left out, as they would leave few to all others. A
    constant prediction has r = 0.
    """
    table = across[(across["population"] == "pooled") & (across["n"] > 0)]
    sizes = table.groupby("run_id").size()
    table = table[table["run_id"].isin(sizes.index[sizes >= sizes.max() / 2])]
    counts = table.groupby("gene_id")["run_id"].nunique()
    kept = counts.index[counts == table["run_id"].nunique()]
    table = table[table["gene_id"].isin(kept)][["run_id", "gene_id", "n", "pearson"]]
    return table.assign(pearson=table["pearson"].fillna(0)).reset_index(drop=True)


def by_class(across: pd.DataFrame) -> pd.DataFrame:
    """r of every run (columns) by population and gene_id; 0 where a row has none."""
    table = across.assign(r=across["pearson"].fillna(0))
    return table.pivot(index=["population", "gene_id"], columns="run_id", values="r")


@dataclass(frozen=True)
class Pair:
    """Two runs over the same genes; *_ci: (low, high) by bootstrap over `unit`.

    `wins`: genes where the first run's r is higher; `losses`: where the second's is; the rest are
    equal. `r`: Pearson r over genes of the two runs' r.
    """

    genes: int
    means: tuple[float, float]
    difference: float
    difference_ci: tuple[float, float]
    wins: int
    losses: int
    r: float
    r_ci: tuple[float, float]
    unit: str

    def turned(self) -> Pair:
        """The same with the second run first."""
        low, high = self.difference_ci
        return replace(
            self,
            means=self.means[::-1],
            difference=-self.difference,
            difference_ci=(-high, -low),
            wins=self.losses,
            losses=self.wins,
        )


def summarise_pair(
    rows: pd.DataFrame, genes: pd.DataFrame, draws: int = 2000, seed: int = 1
) -> Pair:
    """Means, mean difference with interval, and wins of the rows of `paired`."""
    blocks, unit = blocks_of(genes, rows["gene_id"])
    values = rows[["first", "second"]].to_numpy(float)
    once = np.ones((1, len(values)))

    def interval(of: np.ndarray, statistic) -> tuple[float, float]:
        """Ends of the bootstrap interval of `statistic` of the genes' values."""
        low, high = stats.block_bootstrap(of, blocks, statistic, draws, seed, weighted=True)
        return float(low), float(high)

    difference = rows["difference"].to_numpy(float)
    return Pair(
        genes=len(rows),
        means=tuple(values.mean(axis=0)),
        difference=difference.mean(),
        difference_ci=interval(difference, stats.weighted_mean),
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
        r=float(stats.weighted_pearson(values, once)[0]),
        r_ci=interval(values, stats.weighted_pearson),
        unit=unit,
    )


# --- drivers ---------------------------------------------------------------------------------


def driver_types(drivers: pd.DataFrame) -> pd.Series:
    """Each driver's type: 'supported' or 'unsupported' by the eQTL's sign, or 'neither'.

    Supported: effect and eQTL slope have the same sign; neither: one of them is zero or missing
    (Sasse et al. 2023).
    """
    sign = np.sign(drivers["effect"].astype(float)) * np.sign(drivers["eqtl_slope"].astype(float))
    named = sign.map({1.0: "supported", -1.0: "unsupported"}).fillna("neither")
    return named.rename("type")


def mains(drivers: pd.DataFrame) -> pd.DataFrame:
    """The drivers that are their gene's main one."""
    return drivers[drivers["is_main"].fillna(False).astype(bool)]


def support(drivers: pd.DataFrame, across: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """One run's genes with drivers: how many, and which share the eQTL's sign supports.

    drivers, across: rows of one run. Returns gene_id, r (over all people), drivers, supported and
    unsupported (shares), main (type of the main driver), approximation (feature
    linear_approximation_r, NaN where unknown) and side: 'positive' for r > 0.2, 'negative' for
    r < -0.2, else missing.
    """
    types, main = driver_types(drivers), mains(drivers)
    gene = drivers["gene_id"]
    table = pd.DataFrame(
        {
            "drivers": types.groupby(gene).size(),
            "supported": types.eq("supported").groupby(gene).mean(),
            "unsupported": types.eq("unsupported").groupby(gene).mean(),
            "main": types[main.index].set_axis(main["gene_id"]),
        }
    )
    rows = across[across["population"] == "pooled"].set_index("gene_id")["pearson"]
    table["r"] = rows.reindex(table.index).astype(float)
    known = features[~_of_other_runs(features["source"], across["run_id"])]
    table["approximation"] = _feature(known, "linear_approximation_r").reindex(table.index)
    table["side"] = np.select(
        [table["r"] > STRONG, table["r"] < -STRONG], ["positive", "negative"], ""
    )
    table["side"] = table["side"].replace("", None)
    return table.rename_axis("gene_id").reset_index()


def _of_other_runs(sources: pd.Series, runs: pd.Series) -> pd.Series:
    """Which sources of features are runs ("run <id>"), and not of these."""
    return sources.str.startswith("run ") & ~sources.isin([f"run {run}" for run in runs.unique()])


def _feature(features: pd.DataFrame, name: str) -> pd.Series:
    rows = features[features["feature"] == name].drop_duplicates("gene_id")
    return rows.set_index("gene_id")["value"].astype(float)


def trusted(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `support` on one side whose sum of variant effects stands for the prediction.

    Where the study gives no such correlation at all, every gene on a side.
    """
    chosen = table[table["side"].notna()]
    if chosen["approximation"].isna().all():
        return chosen
    return chosen[chosen["approximation"] > TRUSTED]


@dataclass(frozen=True)
class SideDifference:
    """Share of supported drivers, genes of positive less genes of negative r.

    `p`: Mann-Whitney, two-sided, of genes as if independent; `ci`: block bootstrap over `unit`.
    """

    positive: int
    negative: int
    difference: float
    ci: tuple[float, float]
    p: float
    unit: str


def compare_sides(
    table: pd.DataFrame, genes: pd.DataFrame, draws: int = 2000, seed: int = 1
) -> SideDifference:
    """Compare the supported share of the positive and the negative genes of `trusted`."""
    from scipy.stats import mannwhitneyu

    positive = table["side"].eq("positive").to_numpy()
    blocks, unit = blocks_of(genes, table["gene_id"])
    counts = int(positive.sum()), int((~positive).sum())
    if not all(counts):
        return SideDifference(*counts, np.nan, (np.nan, np.nan), np.nan, unit)
    share = table["supported"].to_numpy(float)
    values = np.column_stack([share, positive])
    low, high = stats.block_bootstrap(values, blocks, _side_gap, draws, seed, weighted=True)
    difference = float(_side_gap(values, np.ones((1, len(values))))[0])
    p = float(mannwhitneyu(share[positive], share[~positive]).pvalue)
    return SideDifference(*counts, difference, (float(low), float(high)), p, unit)


def _side_gap(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of the first column where the second is 1, less where it is 0; NaN without either."""
    share, positive = values.T
    up, down = weights @ positive, weights @ (1 - positive)
    with np.errstate(invalid="ignore", divide="ignore"):
        return weights @ (share * positive) / up - weights @ (share * (1 - positive)) / down


def share_interval(
    hits: pd.Series, gene_ids: pd.Series, genes: pd.DataFrame, draws: int = 2000, seed: int = 1
) -> tuple[float, float]:
    """Interval of a mean of `hits` (any numbers), resampling the blocks of their genes."""
    if not len(hits):
        return float("nan"), float("nan")
    blocks, _ = blocks_of(genes, gene_ids)
    values = hits.to_numpy(float)
    low, high = stats.block_bootstrap(
        values, blocks, stats.weighted_mean, draws, seed, weighted=True
    )
    return float(low), float(high)
