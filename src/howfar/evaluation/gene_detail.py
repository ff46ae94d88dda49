"""Rows of table `summary` on single genes: gradients, contributions of variants, people's alleles.

What Sasse et al. 2023 (2G, S2, S7, S12) and Huang et al. 2023 (2a, in a version of our own, as
the study's isn't public) show of their genes, for any cohort.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy

from howfar import stats
from howfar.attribution import profiles
from howfar.evaluation.drivers import attributed
from howfar.evaluation.inputs import Inputs
from howfar.stats.blocks import blocks_of

#: Sets of table `summary`; method: run_id. BASES: group gene, x bp from the TSS, value the gradient
#: as a share of the gene's largest. BY_GRADIENT: group gene, x effect of a variant, value what the
#: gradient says of it, replicate its rank. CLUSTERS: group 'cluster k', x bp from the TSS, value
#: mean SD of 128 bases, n genes. LINEAR: group gene, x r of the sum of effects with the prediction,
#: value the same by gradients, n variants.
BASES, BY_GRADIENT, CLUSTERS, LINEAR = (
    "gradient.bases",
    "gradient.variants",
    "gradient.clusters",
    "gradient.linear",
)
#: Method 'reference', group supported or unsupported (main drivers with and without the sign of the
#: slope), x bp from the driver on the forward strand, value mean |gradient| as a share of the
#: gene's largest within 1 kb of the TSS (Sasse S13, by gradients).
AROUND = "driver_profile"
#: Group gene, x bp from the TSS, value a variant's effect x SD of its copies, with the sign of its
#: correlation with expression; CUMULATED: x rank by size, value r of the sum so far with the
#: prediction.
CONTRIBUTIONS, CUMULATED = "contributions", "contributions.cumulated"
#: Method gene, group 'group k of n people', x group of variants, value mean copies.
MAP = "carried.map"
_REACH, _PROMOTER = 20, 1_000  # bp either side of a driver, and of the TSS
_CLUSTERS, _SHOWN = 5, 2  # clusters of profiles; genes whose every base is kept


def rows(inputs: Inputs) -> pd.DataFrame:
    """All rows of a study; gradients where `howfar effects` made them."""
    parts = list(_of_effects(inputs))
    for run in inputs.predicted:
        units = profiles.find(inputs.cohort, run, inputs.stores[run.id], inputs.results)
        if units is not None:
            parts += _of_gradients(inputs, run.id, units)
    if inputs.study.individuals == "public" and inputs.panel.dosages is not None:
        effects = inputs.table("effects").frame
        for gene in list(effects["gene_id"].unique()[:1]) if len(effects) else []:
            parts.append(people_map(np.asarray(inputs.panel.dosages(gene)[0], float), gene))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _of_effects(inputs: Inputs):
    """Contributions of the variants of each gene with effects, as Huang's figure 2a has them."""
    for each in attributed(inputs, [run.id for run in inputs.predicted]):
        if not len(each.effects):
            continue
        spread = each.copies.std(axis=1)
        there = np.isfinite(each.observed)
        r, _ = stats.pearson_rows(each.copies[:, there], each.observed[there])
        value = each.effects * spread * np.sign(np.nan_to_num(r))
        distance = [v.start0 - (each.tss - 1) for v in each.variants]
        common = {"method": each.run_id, "group": each.gene_id, "n": len(value)}
        frame = pd.DataFrame({"x": np.array(distance, float), "value": value})
        frame["replicate"] = frame.groupby("x").cumcount() + 1
        yield frame.assign(set=CONTRIBUTIONS, units="effect x SD of copies", **common)
        order = np.argsort(-np.abs(value), kind="stable")
        parts = (each.effects[:, None] * each.copies)[order]
        so_far, _ = stats.pearson_rows(np.cumsum(parts, axis=0), each.prediction)
        frame = pd.DataFrame({"x": np.arange(1.0, len(order) + 1), "value": so_far})
        yield frame.assign(set=CUMULATED, units="Pearson r", replicate=1, **common)


def _of_gradients(inputs: Inputs, run: str, units) -> list[pd.DataFrame]:
    genes = [gene for gene in inputs.cohort.genes if units.has(gene.gene_id)]
    kept = {gene.gene_id: units.read(gene.gene_id).arrays for gene in genes}
    parts, shown, near = [], 0, []
    for each in attributed(inputs, [run]):
        arrays = kept.get(each.gene_id)
        if arrays is None:
            continue
        near += _near_driver(each.rows(inputs.options.drivers), each.tss, arrays)
        told = pd.Series(arrays["difference"], arrays["variant"])
        told = told[~told.index.duplicated()].reindex([str(v) for v in each.variants])
        both = told.notna().to_numpy()
        if both.sum() < 3:
            continue
        x, y = each.effects[both], told.to_numpy()[both]
        common = {"method": run, "group": each.gene_id}
        frame = pd.DataFrame({"x": x, "value": y, "replicate": np.arange(1, len(x) + 1)})
        r, n = stats.pearson_rows(x, y)
        parts.append(frame.assign(set=BY_GRADIENT, n=int(n[0]), units="gradient", **common))
        sums = [w @ each.copies[both] for w in (x, y)]
        by = [float(stats.pearson_rows(total, each.prediction)[0][0]) for total in sums]
        line = pd.DataFrame({"x": [by[0]], "value": [by[1]], "n": [len(x)], "replicate": [1]})
        parts.append(line.assign(set=LINEAR, units="Pearson r", **common))
        if shown < _SHOWN:
            shown += 1
            base = arrays["base"].astype(float)
            away = int(arrays["first"][0]) + np.arange(len(base)) - (each.tss - 1)
            frame = pd.DataFrame({"x": away.astype(float), "value": base / np.abs(base).max()})
            units_of = "share of the gene's largest gradient"
            parts.append(frame.assign(set=BASES, units=units_of, replicate=1, n=1, **common))
    if run == inputs.predicted[0].id:  # one profile for a study
        parts += _around(near, inputs.panel.genes)
    return parts + _profiles(run, genes, kept)


def _near_driver(rows: pd.DataFrame, tss: int, arrays: dict) -> list[tuple[str, str, np.ndarray]]:
    """Gene, type and |gradient| around its main driver; nothing where the window doesn't hold it.

    rows: of table `drivers`, one gene's.
    """
    main = rows[rows["is_main"] & np.isfinite(rows["eqtl_slope"].astype(float))]
    base, first = np.abs(arrays["base"].astype(float)), int(arrays["first"][0])
    promoter = base[max(0, tss - 1 - first - _PROMOTER) : max(0, tss - first + _PROMOTER)]
    found = []
    for row in main.itertuples():
        at = tss - 1 + row.distance - first
        if _REACH <= at < len(base) - _REACH and promoter.max(initial=0) > 0:
            agrees = row.effect * row.eqtl_slope > 0
            values = base[at - _REACH : at + _REACH + 1] / promoter.max()
            found.append((row.gene_id, "supported" if agrees else "unsupported", values))
    return found


def _around(near: list[tuple[str, str, np.ndarray]], genes: pd.DataFrame) -> list[pd.DataFrame]:
    """Mean |gradient| around main drivers of each type, with its interval over genes."""
    parts = []
    for kind in ("supported", "unsupported"):
        here = [(gene, values) for gene, its, values in near if its == kind]
        if len(here) < 2:
            continue
        values = np.array([each for _, each in here])
        blocks, _ = blocks_of(genes, [gene for gene, _ in here])
        low, high = stats.block_bootstrap(
            values, blocks, stats.weighted_mean, seed=1, weighted=True
        )
        frame = pd.DataFrame({"x": np.arange(-_REACH, _REACH + 1.0), "value": values.mean(axis=0)})
        frame = frame.assign(ci_low=low, ci_high=high, n=len(here), replicate=1, group=kind)
        units = "share of the gene's largest |gradient| within 1 kb of the TSS"
        parts.append(frame.assign(set=AROUND, method="reference", units=units))
    return parts


def _profiles(run: str, genes: list, kept: dict) -> list[pd.DataFrame]:
    """Clusters of genes by where along the window their gradients lie, read towards the gene."""
    if len(genes) < 2 * _CLUSTERS:
        return []
    turned = [kept[g.gene_id]["base"][:: -1 if g.strand == "-" else 1] for g in genes]
    every = np.array([profiles.profile(np.asarray(base, float)) for base in turned])
    group = profiles.clusters(every, _CLUSTERS)
    arrays = kept[genes[0].gene_id]
    first = int(arrays["first"][0]) - genes[0].start0
    if genes[0].strand == "-":
        first = -(first + len(arrays["base"]) - 1)
    middle = first + profiles.WINDOW * (np.arange(every.shape[1]) + 0.5)
    parts = []
    for number in np.unique(group):
        here = every[group == number]
        frame = pd.DataFrame({"x": middle, "value": here.mean(axis=0)})
        name = {"method": run, "group": f"cluster {number}", "n": len(here)}
        parts.append(frame.assign(set=CLUSTERS, units="SD of 128 bases", replicate=1, **name))
    return parts


def people_map(copies: np.ndarray, gene: str) -> pd.DataFrame:
    """Merge alike variants and people of a gene (Sasse S2): mean copies by group.

    copies: (people, variants). Variants that more than a tenth carry, merged where r >= .9; people
    alike in the same way, groups of ten and fewer dropped; rows and columns in the order of
    average linkage. Empty where fewer than two of either are left.
    """
    copies = np.nan_to_num(copies)
    common = copies[:, (copies > 0).mean(axis=0) > 0.1]
    common = common[:, common.std(axis=0) > 0]
    if min(common.shape) < 2:
        return pd.DataFrame()
    variants = _merged(common.T)
    varies = variants.T[:, variants.std(axis=1) > 0]
    spread = varies.std(axis=1) > 0
    varies = varies[spread]
    if min(varies.shape) < 2:
        return pd.DataFrame()
    group = _alike(varies)
    sizes = np.bincount(group)
    large = [k for k in np.unique(group) if sizes[k] > 10]
    if len(large) < 2:
        return pd.DataFrame()
    people = np.array([varies[group == k].mean(axis=0) for k in large])
    order, across = _order(people), _order(people.T)
    parts = []
    for row, k in enumerate(order):
        name = f"group {row + 1} of {sizes[large[k]]} people"
        frame = pd.DataFrame({"x": np.arange(1.0, len(across) + 1), "value": people[k, across]})
        parts.append(frame.assign(group=name, n=int(sizes[large[k]])))
    every = pd.concat(parts, ignore_index=True)
    return every.assign(set=MAP, method=gene, units="mean copies", replicate=1)


def _alike(values: np.ndarray) -> np.ndarray:
    """Group rows by complete linkage on 1 - r, cut at .1."""
    return hierarchy.fcluster(hierarchy.linkage(values, "complete", "correlation"), 0.1, "distance")


def _merged(values: np.ndarray) -> np.ndarray:
    group = _alike(values)
    return np.array([values[group == k].mean(axis=0) for k in np.unique(group)])


def _order(values: np.ndarray) -> np.ndarray:
    return hierarchy.leaves_list(hierarchy.linkage(values, "average"))
