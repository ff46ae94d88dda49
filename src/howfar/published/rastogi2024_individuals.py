"""Rastogi et al. 2024: performance worked out again from people, and heritability per gene.

Observed expression (float16) and the predictions of five linear models and of Enformer as released
are public for the test people of 400 genes; those of the fine-tuned networks aren't.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.panel import Panel
from howfar.evaluation.across import across_table
from howfar.published import huang2023
from howfar.published.files import Files, gene_rows, long_features
from howfar.published.rastogi2024_methods import BY_RUN, CLASSES, TESTED
from howfar.published.rastogi2024_performance import FRACTIONS
from howfar.results.number_rows import Rows
from howfar.results.predictions import Predictions
from howfar.stats.blocks import blocks_of

CLASS_FILE = "rastogi2024/gene_class.csv"
SAMPLES = "rastogi2024/samples.csv"
BLUP = "rastogi2024/subset_{}/replicate_{}/blup.csv"
PREDICTIONS = {
    "enformer": "rastogi2024/baseline_enformer.384_bins.rc.csv",
    "top_snp": "rastogi2024/top1.csv",
    "lasso": "rastogi2024/lasso.csv",
    "elastic_net": "rastogi2024/enet.csv",
    "blup": BLUP.format(100, 1),
    "bslmm": "rastogi2024/bslmm.csv",
}
#: Sets of people in whom GCTA estimated heritability: name in `features.source`, by key of ids.
HERITABILITY = {
    "all_samples": "GCTA REML, 421 people",
    "test_samples": "GCTA REML, test people",
    "test_samples_with_train_variants": "GCTA REML, test people, training variants",
}
_COUNTS = ", ".join(huang2023.COUNTS)


def gene_classes(files: Files, genes: pd.DataFrame) -> pd.Series:
    """The class of each of the 500 genes by gene id."""
    table = files.table(CLASS_FILE, ["gene", "class"], []).set_index("gene")
    table = gene_rows(files, CLASS_FILE, table, huang2023.ids_of(genes))
    if table.index.duplicated().any() or set(table["class"]) != set(CLASSES):
        raise files.bad(CLASS_FILE, "repeated genes or other classes", f"one of {list(CLASSES)}")
    return table["class"]


def split_sizes(files: Files) -> pd.Series:
    """Number of people by label, 'YRI' and 'Non-YRI'."""
    table = files.table(SAMPLES, ["sample", "population"], [])
    if table["sample"].duplicated().any() or set(table["population"]) != {"YRI", "Non-YRI"}:
        raise files.bad(SAMPLES, "repeated people or other labels", "'YRI' or 'Non-YRI' each once")
    return table["population"].value_counts()


# --- performance -----------------------------------------------------------------------------


def across(
    files: Files, genes: pd.DataFrame, observed: pd.DataFrame, classes: pd.Series, seed: int
) -> pd.DataFrame:
    """Table `across` of Enformer as released and the linear models; population: the gene's class.

    A gene of random_split has its 77 test people, one of yri_split the 77 Yoruba; an unseen gene
    (Enformer only) everybody whose expression is public, 129 to 149 of the 421. r is missing where
    a prediction is constant; the study counts that as 0.
    """
    predicted = {
        run: huang2023.people_matrix(files, name, genes, observed)
        for run, name in PREDICTIONS.items()
    }
    tested = _tested(files, predicted, classes)
    allowed = observed.reindex(classes.index).notna()
    allowed.loc[tested.index] &= tested
    predicted["enformer"] = predicted["enformer"].where(allowed)
    listed = genes.drop(columns="key")
    parts = []
    for gene_class in CLASSES:
        rows = classes.index[classes == gene_class]
        panel = Panel(observed.loc[rows], listed, units="ln TPM")
        runs = [
            Predictions(run, frame.loc[rows], pd.Series(dtype=float))
            for run, frame in predicted.items()
            if rows.isin(frame.index).all()
        ]
        table = across_table(panel, runs, seed=seed)
        parts.append(table[table["population"] == "pooled"].assign(population=gene_class))
    return pd.concat(parts, ignore_index=True)


def _tested(files: Files, predicted: dict[str, pd.DataFrame], classes: pd.Series) -> pd.DataFrame:
    """Who each of the 400 genes was tested on: those with predictions, the same in every file."""
    tested = predicted["elastic_net"].notna()
    for run, name in PREDICTIONS.items():
        if run != "enformer" and not predicted[run].notna().equals(
            tested.loc[predicted[run].index]
        ):
            raise files.bad(name, "other test people than in the elastic net's file", "the same")
    expected = classes.index[classes.isin(TESTED)]
    if set(tested.index) != set(expected) or tested.sum(axis=1).nunique() != 1:
        raise files.bad(
            PREDICTIONS["elastic_net"],
            f"{len(tested)} genes with {sorted(set(tested.sum(axis=1)))} people",
            f"the {len(expected)} genes of random_split and yri_split, as many people each",
        )
    return tested


def means(table: pd.DataFrame, genes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows of table `summary`, set performance_again: mean r over genes from `across`.

    A missing r (constant prediction) counts as 0; intervals by block bootstrap over genes. Set
    performance_again.negative: the share of genes with r below 0.
    """
    rows, below = [], []
    for (run, gene_class), part in table.groupby(["run_id", "population"], sort=False):
        values = part["pearson"].fillna(0).to_numpy(float)
        blocks, _ = blocks_of(genes, part["gene_id"])
        low, high = stats.block_bootstrap(
            values, blocks, stats.weighted_mean, seed=seed, weighted=True
        )
        rows.append((BY_RUN[run].label, gene_class, values.mean(), len(values), low, high))
        below.append((BY_RUN[run].label, gene_class, (values < 0).mean(), len(values)))
    found = pd.DataFrame(rows, columns=["method", "group", "value", "n", "ci_low", "ci_high"])
    found = found.assign(set="performance_again", units="mean Pearson r over genes")
    negative = pd.DataFrame(below, columns=["method", "group", "value", "n"])
    negative = negative.assign(set="performance_again.negative", units="share of genes")
    return pd.concat([found, negative], ignore_index=True)


def blup_again(
    files: Files, genes: pd.DataFrame, observed: pd.DataFrame, classes: pd.Series
) -> pd.DataFrame:
    """Rows of table `summary`, set training_size_again: BLUP's mean r from individual predictions.

    `x`: share of the people trained on; a constant or missing prediction counts as 0.
    """
    rows = []
    for percent in FRACTIONS:
        for replicate in (1, 2, 3) if percent < 100 else (1,):
            name = BLUP.format(percent, replicate)
            predicted = huang2023.people_matrix(files, name, genes, observed)
            r, _ = stats.pearson_rows(predicted.to_numpy(), observed.loc[predicted.index])
            r = pd.Series(np.nan_to_num(r), predicted.index)
            for gene_class, values in r.groupby(classes.reindex(r.index)):
                rows.append((gene_class, percent / 100, replicate, values.mean(), len(values)))
    table = pd.DataFrame(rows, columns=["group", "x", "replicate", "value", "n"])
    return table.assign(
        set="training_size_again", method=BY_RUN["blup"].label, units="mean Pearson r over genes"
    )


def add_performance(rows: Rows, table: pd.DataFrame) -> None:
    """Numbers of figure 2a worked out from people: mean r, a missing r counting as 0."""
    for run in ("top_snp", "lasso", "elastic_net", "bslmm", "enformer"):
        for gene_class in TESTED:
            part = table[(table["run_id"] == run) & (table["population"] == gene_class)]
            key = f"R.ind.{BY_RUN[run].weights}.{CLASSES[gene_class]}"
            source = f"{PREDICTIONS[run]}, {_COUNTS}"
            rows.over_genes(
                key,
                part["pearson"].fillna(0),
                part["gene_id"],
                stats.weighted_mean,
                f"Mean over {gene_class} genes of Pearson r of the predictions of "
                f"{BY_RUN[run].label} with observed expression (float16) over the 77 test people; "
                "constant or missing predictions count as 0",
                source,
            )
            if run == "enformer":
                rows.add(
                    f"{key}.neg",
                    (part["pearson"] < 0).sum(),
                    len(part),
                    f"Genes of {gene_class} with r below 0.",
                    source,
                )


# --- heritability ----------------------------------------------------------------------------


def heritability(files: Files, genes: pd.DataFrame, classes: pd.Series) -> pd.DataFrame:
    """Rows of `features`: h2 with standard error per gene, by the people it was estimated in.

    GCTA REML without constraint: estimates below 0 are left as they are.
    """
    tested = set(classes.index[classes.isin(TESTED)])
    parts = []
    for key, source in HERITABILITY.items():
        name = f"rastogi2024/heritability.{key}.tsv"
        table = files.table(name, ["gene"], ["h2", "se", "p"], header=False, sep=r"\s+")
        table["gene"] = table["gene"].str.split("/").str[-1]
        table = gene_rows(files, name, table.set_index("gene"), huang2023.ids_of(genes))
        if table.index.duplicated().any() or set(table.index) != tested:
            raise files.bad(name, f"{len(table)} genes", f"each of {len(tested)} genes once")
        rows = long_features(table, source, {"h2": "h2"})
        parts.append(rows.assign(se=table["se"].reindex(rows["gene_id"]).to_numpy()))
    return pd.concat(parts, ignore_index=True)


def add_heritability(rows: Rows, features: pd.DataFrame, classes: pd.Series) -> None:
    """Mean over genes of sqrt(max(h2, 0)) per class and set of people."""
    for key, source in HERITABILITY.items():
        part = features[(features["feature"] == "h2") & (features["source"] == source)]
        for gene_class in TESTED:
            mine = part[part["gene_id"].map(classes) == gene_class]
            rows.over_genes(
                f"R.h2.{key}.{gene_class}",
                np.sqrt(mine["value"].clip(lower=0)),
                mine["gene_id"],
                stats.weighted_mean,
                f"Mean over {gene_class} genes of sqrt(max(h2, 0)), {source}",
                f"rastogi2024/heritability.{key}.tsv",
            )


def add_split(rows: Rows, sizes: pd.Series) -> None:
    """People by label."""
    for key, label in (("yri", "YRI"), ("nonyri", "Non-YRI")):
        rows.add(f"R.split.{key}", sizes[label], sizes.sum(), f"People labelled {label}.", SAMPLES)
