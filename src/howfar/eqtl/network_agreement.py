"""Agreement of a network's variant effects with eQTL slopes.

Everything is a row of the table `summary`, worked out from the table `effects`, whose `effect` is
the network's and whose `slope`, `slope_se` and `p` are those of the cis-eQTL map.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from howfar import stats
from howfar.stats import top_overlap
from howfar.stats.blocks import blocks_of

#: What variants are grouped by: column, lower edges of the groups, and how an edge is written.
GROUPS: dict[str, tuple[str, tuple[float, ...], str]] = {
    "PIP": ("pip", (0, 0.1, 0.5, 0.9), "{:g}"),
    "|z|": ("z", (0, 2, 4, 8), "{:g}"),
    "distance": ("away", (0, 500, 2_000, 10_000, 50_000), "{:,.0f} bp"),
    "MAF": ("maf", (0, 0.05, 0.1, 0.2, 0.35), "{:g}"),
}
#: Features of a gene that the map gives.
FEATURES = (
    "lead_eqtl_distance",
    "lead_eqtl_log10p",
    "lead_eqtl_log10p_beta",
    "lead_eqtl_q",
    "lead_eqtl_r",
    "lead_eqtl_maf",
    "eqtl_signals",
)
#: Sizes k of the lists of top variants of one gene.
SIZES = (1, 2, 3, 5, 10, 20, 50)
_DRAWS = 1000


def with_slopes(effects: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Put slope, slope_se and p of the map's `pairs` (rows of `nominal`) into table `effects`.

    A variant that the map lacks (too rare, outside its window) has none.
    """
    columns = ["slope", "slope_se", "p"]
    keys = ["gene_id", "variant"]
    plain = effects.drop(columns=columns).astype(dict.fromkeys(keys, object))
    slopes = pairs[keys + columns].astype(dict.fromkeys(keys, object))
    slopes = slopes.drop_duplicates(keys)  # a record may stand in a VCF twice
    return plain.merge(slopes, on=keys, how="left", validate="many_to_one")


def compared(effects: pd.DataFrame) -> pd.DataFrame:
    """Keep rows of `effects` with an effect and a slope other than 0, whose signs can agree.

    Adds `z` (size of slope / SE), `same` (equal signs) and `away` (unsigned distance).
    """
    rows = effects.dropna(subset=["effect", "slope"])
    rows = rows[(rows["effect"] != 0) & (rows["slope"] != 0)]
    same = np.sign(rows["effect"]) == np.sign(rows["slope"])
    z = (rows["slope"] / rows["slope_se"]).abs()
    return rows.assign(z=z, same=same, away=rows["distance"].abs())


def signs(effects: pd.DataFrame, genes: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Compute rows of `summary`, set 'eqtl_sign': share of effects with the slope's sign.

    method: the run. group: 'all', with a 95 % interval by bootstrap over blocks of genes (table
    `genes`), or '<what>: <range>' of `GROUPS` with that of `stats.clustered_share_interval`, as
    linked variants of a gene share their fate. x: the range's place. value, n (variants).
    """
    parts = []
    for run, rows in compared(effects).groupby("run_id", sort=True):
        parts.append(_all_signs(rows, genes, seed).assign(method=run))
        parts += [_sign_groups(rows, what).assign(method=run) for what in GROUPS]
    return _summary(parts, "eqtl_sign", "share of variants with equal signs")


def _summary(parts: Sequence[pd.DataFrame], name: str, units: str) -> pd.DataFrame:
    """Stack parts of the set `name` of table `summary`; an empty frame without any row."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame()
    return pd.concat(parts, ignore_index=True).assign(set=name, replicate=0, units=units)


def _all_signs(rows: pd.DataFrame, genes: pd.DataFrame, seed: int) -> pd.DataFrame:
    same = rows["same"].to_numpy(float)
    blocks, _ = blocks_of(genes, rows["gene_id"])
    low, high = stats.block_bootstrap(same, blocks, stats.weighted_mean, seed=seed, weighted=True)
    row = {"group": "all", "x": 0, "value": same.mean(), "n": len(same)}
    return pd.DataFrame([row | {"ci_low": low, "ci_high": high}])


def _sign_groups(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    column, edges, form = GROUPS[what]
    known = rows.dropna(subset=[column])
    place = np.searchsorted(edges, known[column], side="right") - 1
    names, shares = _ranges(edges, form), []
    for i, part in known.groupby(place):
        counts = part.groupby("gene_id")["same"].agg(["sum", "size"])
        low, high = stats.clustered_share_interval(counts["sum"], counts["size"])
        share = part["same"].mean()
        shares.append((f"{what}: {names[i]}", i, share, len(part), low, high))
    return pd.DataFrame(shares, columns=["group", "x", "value", "n", "ci_low", "ci_high"])


def _ranges(edges: Sequence[float], form: str) -> list[str]:
    """Name the groups: 'below 2', '2 to 4', ..., 'from 8'."""
    texts = [form.format(edge) for edge in edges]
    middle = [f"{a.removesuffix(' bp')} to {b}" for a, b in itertools.pairwise(texts[1:])]
    return [f"below {texts[1]}", *middle, f"from {texts[-1]}"]


def overlaps(
    effects: pd.DataFrame, genes: pd.DataFrame, sizes: Sequence[int] = SIZES, seed: int = 1
) -> pd.DataFrame:
    """Compute rows of `summary`, set 'eqtl_overlap': what a gene's top k by |effect| and p share.

    method: the run; x: k. group 'observed': share of k over the genes with 2k compared variants
    or more, with a 95 % interval by bootstrap over blocks of genes; 'chance': mean and 95 % range
    with each gene's effects turned along its variants at random (neighbours stay neighbours).
    n: genes.
    """
    parts = []
    for run, rows in compared(effects).groupby("run_id", sort=True):
        parts += [_overlap(rows, genes, k, seed).assign(method=run) for k in sizes]
    return _summary(parts, "eqtl_overlap", "share of the k variants")


def _overlap(rows: pd.DataFrame, genes: pd.DataFrame, k: int, seed: int) -> pd.DataFrame:
    rng, observed, chance, names = np.random.default_rng([seed, k]), [], [], []
    for gene, part in rows.groupby("gene_id", sort=True):
        if len(part) < 2 * k:
            continue
        ordered = part.sort_values("distance", kind="stable")  # of position, as turns need
        size, z = ordered["effect"].abs().to_numpy(float), ordered["z"].to_numpy(float)
        own = top_overlap.shared(size, z, [k])
        turned = np.concatenate([own, top_overlap.rotated(size, z, [k])[:, 0]])
        names.append(gene)
        observed.append(own[0] / k)
        chance.append(rng.choice(turned, _DRAWS) / k)
    if not names:
        return pd.DataFrame()
    shares, means = np.array(observed), np.array(chance).mean(axis=0)
    blocks, _ = blocks_of(genes, names)
    ends = stats.block_bootstrap(shares, blocks, stats.weighted_mean, seed=seed, weighted=True)
    by_chance = (means.mean(), *np.quantile(means, [0.025, 0.975]))
    lines = [("observed", shares.mean(), *ends), ("chance", *by_chance)]
    table = pd.DataFrame(lines, columns=["group", "value", "ci_low", "ci_high"])
    return table.assign(x=k, n=len(names))


def lead_only(effects: pd.DataFrame, lead: pd.DataFrame) -> pd.DataFrame:
    """Compute rows of `summary`, set 'eqtl_lead_only': the reference with only the lead variant.

    With one variant a network's prediction is reference + effect x copies, so that its r over
    people is the lead variant's r, with the sign of the network's effect turned against the
    slope's. method: the run; group: the gene; value: this r (covariates of the map removed) with
    Fisher's interval, which knows nothing of the lead being the largest of many; n: people less
    covariates. A lead variant to which the network gives no
    effect, or that is outside its window, has no row.
    """
    leads = lead.dropna(subset=["r"])[["gene_id", "variant", "r", "df"]]
    frame = effects.astype({"gene_id": object, "variant": object})
    frame = frame.merge(leads, on=["gene_id", "variant"])
    frame = frame[frame["effect"].notna() & (frame["effect"] != 0)]
    r = (np.sign(frame["effect"]) * frame["r"]).to_numpy(float)
    n = frame["df"].to_numpy() + 2
    low, high = stats.fisher_interval(r, n)
    rows = {"method": frame["run_id"], "group": frame["gene_id"], "value": r, "n": n}
    rows = pd.DataFrame(rows).assign(ci_low=low, ci_high=high, x=0)
    return _summary([rows], "eqtl_lead_only", "Pearson r")


def signals(lead: pd.DataFrame, conditional: pd.DataFrame) -> pd.DataFrame:
    """Compute rows of `summary`, set 'eqtl_signals': genes (value) by number of signals (x).

    n: genes mapped.
    """
    mapped = lead.loc[lead["status"] == "mapped", "gene_id"]
    each = conditional.groupby("gene_id").size().reindex(mapped, fill_value=0)
    counts = each.value_counts().sort_index()
    rows = pd.DataFrame({"x": counts.index.astype(float), "value": counts.to_numpy(float)})
    rows = rows.assign(method="forward and backward", group="all", n=len(mapped))
    return _summary([rows], "eqtl_signals", "genes")


def covariates(lead: pd.DataFrame, words: str) -> pd.DataFrame:
    """Compute the row of `summary`, set 'eqtl_covariates': what the map took out of expression.

    method: in words (`eqtl.covariates.covariate_words`). value: independent covariates, the most
    of any gene; n: genes mapped.
    """
    mapped = lead[lead["status"] == "mapped"]
    count = (mapped["n"] - mapped["df"] - 2).max() if len(mapped) else 0
    row = {"method": words, "group": "all", "x": 0.0, "value": float(count), "n": len(mapped)}
    return _summary([pd.DataFrame([row])], "eqtl_covariates", "covariates")


def features(lead: pd.DataFrame, conditional: pd.DataFrame, source: str) -> pd.DataFrame:
    """List rows of table `features`: each mapped gene's lead variant, p over variants, signals."""
    mapped = lead[lead["status"] == "mapped"].set_index("gene_id")
    count = conditional.groupby("gene_id").size().reindex(mapped.index, fill_value=0)
    columns = [mapped["distance"].abs()]
    columns += [mapped[name] for name in ("log10p", "log10p_beta", "q", "r", "maf")]
    columns = dict(zip(FEATURES, [*columns, count], strict=True))
    wide = pd.DataFrame(columns).rename_axis("gene_id").reset_index()
    rows = wide.melt("gene_id", var_name="feature", value_name="value")
    return rows.assign(source=source, se=np.nan)
