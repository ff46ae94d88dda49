"""Rastogi et al. 2024: averages over genes from the authors' summaries (figures 2a, 6, S3, S4).

Two versions of the summary are public. That of December 2025 is the study's; that of September
2024 differs in the single-sample regression only, and the figures in the repository follow it.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from howfar.published.files import Files
from howfar.published.rastogi2024_methods import BY_RUN, BY_SUMMARY, CLASSES, METHODS, Method
from howfar.results.number_rows import Rows

SUMMARIES = {
    "": "rastogi2024/98d74e9/perf_summary.csv",
    "_2024": "rastogi2024/733ff3d/perf_summary.csv",
}
SCALING = "rastogi2024/fusion_scaling.csv"
FRACTIONS = (20, 40, 60, 80, 100)
_KINDS = {"": "PearsonR", "_abs": "|PearsonR|"}
_NAME = re.compile(r"(?P<name>.+)_data_seed_(?P<seed>\d+)_lr_(?P<rest>.+)")
_OPTION = {
    "x_fraction": re.compile(r"_subsample_ratio_([\d.]+)$"),
    "x_af": re.compile(r"_af_([\d.]+)$"),
}
_UNITS = "mean Pearson r over genes"


def column(gene_class: str, kind: str = "") -> str:
    """The column of a class's mean r (kind '') or mean |r| (kind '_abs')."""
    return f"{gene_class} Genes Avg {_KINDS[kind]}"


def read_summary(files: Files, version: str = "") -> pd.DataFrame:
    """One row per trained model: run_id, replicate, x_fraction and x_af, counts and averages.

    x_fraction: share of the people trained on, x_af: smallest allele frequency kept; both NaN for
    the model as such. Rows are told apart by the model's name: the columns for these settings
    are filled for some models only. Raises HowfarError for an unknown or repeated name.
    """
    name = SUMMARIES[version]
    counts = [f"n_{c}" for c in CLASSES]
    averages = [column(c, kind) for c in CLASSES for kind in _KINDS]
    table = files.table(name, ["Model"], [*counts, *averages])
    named = pd.DataFrame([_named(files, name, model) for model in table["Model"]])
    table = pd.concat([named, table.drop(columns="Model")], axis=1)
    keys = ["run_id", "replicate", "x_fraction", "x_af"]
    if table.duplicated(keys).any() or table[counts + averages].isna().any(axis=None):
        raise files.bad(name, "repeated models or empty cells", "one full row per model")
    return table


def _named(files: Files, source: str, model: str) -> dict:
    """Run, seed and settings of a model from its name."""
    found = _NAME.fullmatch(model)
    method = BY_SUMMARY.get(found["name"] if found else model)
    if method is None:
        raise files.bad(source, f"the model {model!r}", "a model of the study")
    row = {"run_id": method.run_id, "replicate": int(found["seed"]) if found else 0}
    for key, pattern in _OPTION.items():
        given = pattern.search(found["rest"]) if found else None
        row[key] = float(given[1]) if given else np.nan
    return row


def read_scaling(files: Files) -> pd.DataFrame:
    """BLUP by share of the people trained on: percent, replicate and averages; checked."""
    averages = [column(c, kind) for c in CLASSES for kind in _KINDS]
    table = files.table(SCALING, ["Model"], [*averages, "Replicate", "Subsample Ratio"])
    if table.isna().any(axis=None):
        raise files.bad(SCALING, "empty cells", "averages of every fraction and replicate")
    wanted = pd.MultiIndex.from_product([FRACTIONS, (1, 2, 3)])
    found = pd.MultiIndex.from_frame(table[["Subsample Ratio", "Replicate"]].astype(int))
    if set(table["Model"]) != {"BLUP"} or set(found) != set(wanted) or len(found) != len(wanted):
        raise files.bad(SCALING, f"{len(table)} rows", "BLUP, five fractions, three replicates")
    return table.rename(columns={"Subsample Ratio": "percent", "Replicate": "replicate"})


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a summary that are the methods themselves, trained on everybody with all variants."""
    return table[table["x_fraction"].isna() & table["x_af"].isna()]


def _long(
    rows: pd.DataFrame, what: str, x: pd.Series | float = np.nan, kind: str = ""
) -> pd.DataFrame:
    """Rows of table `summary` from columns run_id, replicate and averages, one per class.

    Linear models can't be applied to unseen genes; the files' 0 is left out.
    """
    parts = []
    for gene_class in CLASSES:
        given = rows
        if gene_class == "unseen":
            given = rows[rows["run_id"].map(lambda run: BY_RUN[run].kind == "network")]
        parts.append(
            pd.DataFrame(
                {
                    "set": what,
                    "method": given["run_id"].map(lambda run: BY_RUN[run].label),
                    "group": gene_class,
                    "x": x if np.isscalar(x) else x.reindex(given.index),
                    "replicate": given["replicate"],
                    "value": given[column(gene_class, kind)],
                    "n": given[f"n_{gene_class}"],
                    "units": _UNITS.replace("Pearson r", "|Pearson r|") if kind else _UNITS,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def summaries(tables: dict[str, pd.DataFrame], scaling: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `summary`: performance (both versions), training_size and rare_variants.

    `tables`: of `read_summary` by version. `x` is the share of the people trained on, or the
    smallest allele frequency kept; `replicate` the seed, or the replicate of BLUP. The three
    copies of BLUP on everybody count once.
    """
    parts = [
        _long(plain(table), f"performance{kind}{version}", kind=kind)
        for version, table in tables.items()
        for kind in _KINDS
    ]
    table = tables[""]
    pairs = table[table["run_id"] == "pairwise_regression"]
    whole = plain(pairs)
    tried = pd.concat([pairs[pairs["x_fraction"].notna()], whole])
    parts.append(_long(tried, "training_size", tried["x_fraction"].fillna(1.0)))
    blup = scaling[(scaling["percent"] < 100) | (scaling["replicate"] == 1)]
    blup = blup.assign(run_id="blup", n_random_split=200, n_yri_split=200, n_unseen=0)
    parts.append(_long(blup, "training_size", blup["percent"] / 100))
    filtered = pd.concat([pairs[pairs["x_af"].notna()], whole])
    rare = _long(filtered, "rare_variants", filtered["x_af"].fillna(0.0))
    # Unseen genes are left as they are by the filter: their values are copies.
    parts.append(rare[rare["group"] != "unseen"])
    return pd.concat(parts, ignore_index=True)


def averaged(summary: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `summary`: means over replicates, of set ``<set>.mean``.

    In the place of an interval: the lowest and the highest replicate.
    """
    sets = summary["set"].str.fullmatch(r"(performance(_abs)?(_2024)?|training_size\w*|rare_\w+)")
    keys = ["set", "method", "group", "x", "units"]
    means = summary[sets].groupby(keys, dropna=False, sort=False)
    means = means.agg(
        value=("value", "mean"), n=("n", "first"), ci_low=("value", "min"), ci_high=("value", "max")
    )
    return means.reset_index().assign(set=lambda table: table["set"] + ".mean")


def add_numbers(rows: Rows, table: pd.DataFrame, scaling: pd.DataFrame) -> None:
    """The numbers of figures 2a, 6, S3, S4 and of the rare variants, as the summaries give them.

    They carry no interval: the authors give averages over genes, not the genes.
    """
    for method in METHODS:
        if method.number:
            _performance_numbers(rows, plain(table), method)
    pairs = table[table["run_id"] == "pairwise_regression"]
    for percent in FRACTIONS[:-1]:
        chosen = pairs[pairs["x_fraction"] == percent / 100]
        words = f"pairwise regression trained on {percent} % of the people"
        _class_numbers(rows, f"R.6.ft{percent}", chosen, CLASSES, words, SUMMARIES[""])
    for percent in FRACTIONS:
        chosen = scaling[scaling["percent"] == percent]
        words = f"BLUP trained on {percent} % of the people"
        _class_numbers(rows, f"R.6.blup{percent}", chosen, _tested(), words, SCALING)
    for af, chosen in ((0.0, plain(pairs)), (0.05, pairs[pairs["x_af"] == 0.05])):
        words = f"pairwise regression without variants of training frequency below {af}"
        _class_numbers(rows, f"R.rare.af{af}", chosen, _tested(), words, SUMMARIES[""])
    unseen = table.loc[table["run_id"] == "pairwise_regression", "n_unseen"].iloc[0]
    rows.add(
        "R.split.unseen", unseen, 1, "Unseen genes that the networks were tested on.", SUMMARIES[""]
    )


def _tested() -> dict[str, str]:
    return {c: short for c, short in CLASSES.items() if c != "unseen"}


def _performance_numbers(rows: Rows, table: pd.DataFrame, method: Method) -> None:
    chosen = table[table["run_id"] == method.run_id]
    classes = CLASSES if method.kind == "network" else _tested()
    for kind, prefix in (("", "R"), ("_abs", "R.abs")):
        key = f"{prefix}.{method.number}"
        _class_numbers(rows, key, chosen, classes, method.label, SUMMARIES[""], kind)


def _class_numbers(rows, key, chosen, classes, words, source, kind="") -> None:
    what = "|Pearson r|" if kind else "Pearson r"
    for gene_class, short in classes.items():
        genes = chosen[f"n_{gene_class}"].iloc[0] if f"n_{gene_class}" in chosen else 200
        rows.add(
            f"{key}.{short}",
            chosen[column(gene_class, kind)].mean(),
            genes,
            f"Mean over {len(chosen)} replicate(s) of the mean {what} over {gene_class} genes, as "
            f"the authors' summary gives it: {words}.",
            source,
        )
