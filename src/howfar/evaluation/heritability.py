"""How much of the heritable part of expression a prediction reaches.

A predictor of everything additive in cis has r = sqrt(h2) with expression. Mean r over genes is
set against the mean of sqrt(max(h2, 0)) over the same genes. Estimates of h2 are uncertain: the
bootstrap draws genes with their estimates, so their errors are part of the interval, but the
square root and the floor at 0 bend the mean. `rms` is therefore given too: sqrt(mean h2), negative
estimates left in, in which errors average out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.results import tables
from howfar.stats.blocks import blocks_of

_DERIVED = ("centred", "permuted")
#: Group of genes judged in people of several populations, where the run has others that were judged
#: in one alone, whose group is that population.
MIXED = "mixed"
_FEWEST = 30
_COLUMNS = [
    *("run_id", "label", "group", "source", "genes", "mean_r", "ceiling", "rms"),
    *("ratio", "ci_low", "ci_high", "per_gene"),
]


def sources(result: tables.Tables) -> list[str]:
    """Sources of estimates of h2 in table `features`, in its order."""
    features = result["features"]
    return list(pd.unique(features.loc[features["feature"] == "h2", "source"]))


def per_gene(result: tables.Tables, source: str | None = None) -> pd.DataFrame:
    """Rows of `across` whose gene has a heritability, one group of people per gene.

    The groups are 'pooled' where there is such a row, else the study's populations; where a run was
    judged in several populations for some genes and in one for others (30 or more of each), `MIXED`
    and that population's name, as their people are not alike. source: which
    estimate of h2 (by default the first of the table). Adds columns h2, h2_se, root (the square
    root of h2, 0 below 0), source, and r: `pearson`, 0 where a prediction is constant.
    """
    features = result["features"]
    found = features[features["feature"] == "h2"]
    source = source or (found["source"].iloc[0] if len(found) else None)
    found = found[found["source"] == source].set_index("gene_id")
    rows = _one_group(result["across"])
    rows = rows[rows["gene_id"].isin(found.index) & (rows["n"] > 0)].reset_index(drop=True)
    mine = found.loc[rows["gene_id"]]
    h2 = mine["value"].to_numpy(float)
    more = {"h2": h2, "h2_se": mine["se"].to_numpy(float), "root": np.sqrt(np.maximum(h2, 0))}
    return rows.assign(**more, source=source, r=rows["pearson"].fillna(0).astype(float))


def _one_group(across: pd.DataFrame) -> pd.DataFrame:
    pooled = across[across["population"] == "pooled"]
    others = across[~across["population"].isin(["pooled", *_DERIVED])]
    if not len(pooled):
        return others
    key = ["run_id", "gene_id", "n"]
    alone = others.drop_duplicates(key).set_index(key)["population"]
    names = alone.reindex(pd.MultiIndex.from_frame(pooled[key])).set_axis(pooled.index)
    one = names.notna().groupby(pooled["run_id"]).transform("sum")
    all_genes = names.groupby(pooled["run_id"]).transform("size")
    both = (one >= _FEWEST) & (all_genes - one >= _FEWEST)
    return pooled.assign(population=names.fillna(MIXED).where(both, "pooled"))


def ceilings(result: tables.Tables, source: str | None = None, seed: int = 1) -> pd.DataFrame:
    """Mean sqrt(h2) over the genes of each group: group, source, genes, ceiling, low, high, rms."""
    rows = per_gene(result, source).drop_duplicates(["population", "gene_id"])
    found = []
    for group, part in rows.groupby("population"):
        blocks, _ = blocks_of(result["genes"], part["gene_id"])
        root = part["root"].to_numpy(float)
        low, high = stats.block_bootstrap(
            root, blocks, stats.weighted_mean, seed=seed, weighted=True
        )
        rms = np.sqrt(max(part["h2"].mean(), 0))
        found.append((group, part["source"].iloc[0], len(part), root.mean(), low, high, rms))
    names = ["group", "source", "genes", "ceiling", "ci_low", "ci_high", "rms"]
    return pd.DataFrame(found, columns=names)


def attained(result: tables.Tables, source: str | None = None, seed: int = 1) -> pd.DataFrame:
    """Mean r over mean sqrt(h2), per run and group, with a block-bootstrap interval.

    Runs with r per gene (`per_gene` True): r and h2 of the same genes are drawn together. Runs of
    which only the mean r of a class is public (table `summary`, set 'performance'): the interval
    is that of the ceiling alone, over the genes of the class that have an h2. Columns run_id,
    label, group, source, genes, mean_r, ceiling, rms, ratio, ci_low, ci_high, per_gene.
    """
    rows = per_gene(result, source)
    labels = dict(zip(result["runs"]["run_id"], result["runs"]["label"], strict=True))
    found = [
        _attained(result, run, group, part, seed) | {"label": labels[run]}
        for (run, group), part in rows.groupby(["run_id", "population"], sort=False)
    ]
    known = {row["run_id"] for row in found}
    found += _from_means(result, ceilings(result, source, seed), labels, known)
    return pd.DataFrame(found, columns=_COLUMNS)


def _ratio(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ratio (draws,) of the weighted sums of the two columns of `values`."""
    sums = weights @ values
    return sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)


def _attained(result: tables.Tables, run: str, group: str, part: pd.DataFrame, seed: int) -> dict:
    values = part[["r", "root"]].to_numpy(float)
    blocks, _ = blocks_of(result["genes"], part["gene_id"])
    low, high = stats.block_bootstrap(values, blocks, _ratio, seed=seed, weighted=True)
    return {
        "run_id": run,
        "group": group,
        "source": part["source"].iloc[0],
        "genes": len(part),
        "mean_r": values[:, 0].mean(),
        "ceiling": values[:, 1].mean(),
        "rms": np.sqrt(max(part["h2"].mean(), 0)),
        "ratio": _ratio(values, np.ones((1, len(values))))[0],
        "ci_low": low,
        "ci_high": high,
        "per_gene": True,
    }


def _from_means(result: tables.Tables, limits: pd.DataFrame, labels: dict, known: set) -> list:
    summary = result["summary"]
    means = summary[summary["set"] == "performance"].groupby(["method", "group"])["value"].mean()
    found = []
    for run, label in labels.items():
        for row in limits.itertuples():
            mean = means.get((label, row.group))
            if run not in known and mean is not None:
                entry = {"run_id": run, "label": label, "group": row.group, "source": row.source}
                entry |= {"genes": row.genes, "mean_r": mean, "ceiling": row.ceiling}
                entry |= {"rms": row.rms, "ratio": mean / row.ceiling, "per_gene": False}
                low, high = row.ci_low, row.ci_high
                ends = {"ci_low": mean / high, "ci_high": mean / low if low > 0 else np.nan}
                found.append(entry | ends)
    return found
