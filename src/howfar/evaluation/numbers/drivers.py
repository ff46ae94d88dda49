"""Numbers of the variants that drive a network's predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar import stats
from howfar.evaluation.drivers import APPROXIMATION, source_of
from howfar.evaluation.run_comparison import compare_sides, driver_types, mains, support, trusted
from howfar.results import tables
from howfar.results.number_rows import Rows

_SOURCE = "drivers.parquet"
_SIZE = "main_driver_relative_size"
#: bp of the TSS that counts as near; drivers from which a gene has many; shares of the largest.
NEAR, MANY, LEVELS = 1000, 20, (0.1, 0.2)
FINE_MAPPED = "fine_mapped_distance_"


def add_numbers(rows: Rows, result: tables.Tables) -> None:
    """How many drivers, how far away, with the eQTL's sign or not, how large; per run."""
    across, features = result["across"], result["features"]
    known = features[features["feature"] == APPROXIMATION]
    theirs = known["source"].str.startswith(source_of(""))
    _add_approximation(rows, APPROXIMATION, known[~theirs])
    for source, part in known[theirs].groupby("source"):
        run = source.removeprefix(source_of(""))
        _add_approximation(rows, f"{run}.{APPROXIMATION}", part)
    for run, drivers in result["drivers"].groupby("run_id"):
        key = f"{run}.drivers"
        _add_counts(rows, key, drivers)
        _add_distances(rows, key, drivers.dropna(subset=["distance"]))
        _add_slopes(rows, key, drivers)
        if drivers["is_main"].notna().any():
            table = support(drivers, across[across["run_id"] == run], features)
            _add_support(rows, key, table)
            _add_sizes(rows, key, mains(drivers), features)


def _add_counts(rows: Rows, key: str, drivers: pd.DataFrame) -> None:
    counts = drivers.groupby("gene_id").size()
    for what, value, words in (
        ("n", len(drivers), "Drivers, in so many genes."),
        ("median_per_gene", counts.median(), "Median number of drivers of a gene with any."),
        ("most_per_gene", counts.max(), "Most drivers of a gene."),
        ("genes_with_one", (counts == 1).sum(), "Genes with one driver."),
        ("genes_with_many", (counts > MANY).sum(), f"Genes with more than {MANY} drivers."),
    ):
        rows.add(f"{key}.{what}", value, len(counts), words, _SOURCE)


def _add_slopes(rows: Rows, key: str, drivers: pd.DataFrame) -> None:
    types = driver_types(drivers)
    part = drivers[types != "neither"]
    if len(part):
        hits, ids = types[part.index] == "supported", part["gene_id"]
        text = "Share of drivers whose effect has the sign of the eQTL's slope"
        mean, source = stats.weighted_mean, _SOURCE
        rows.over_genes(f"{key}.same_sign", hits, ids, mean, text, source)


def _add_approximation(rows: Rows, key: str, known: pd.DataFrame) -> None:
    """Quartiles of r of the sum of variant effects with the prediction, where it is known."""
    r = known["value"].dropna().astype(float)
    for name, quantile in {"q25": 0.25, "median": 0.5, "q75": 0.75}.items() if len(r) else ():
        text = (
            f"Quantile {quantile} over genes of Pearson r of the sum of a gene's variant effects "
        )
        text += "with the prediction."
        value = r.quantile(quantile)
        rows.add(f"{key}.{name}", value, len(r), text, "features.parquet")


def _add_distances(rows: Rows, key: str, drivers: pd.DataFrame) -> None:
    main = mains(drivers)
    for name, table in (("main", main), ("all", drivers)):
        if len(table):
            far = table["distance"].abs().astype(float)
            text = f"Median distance from the TSS, unsigned, bp: {name} drivers."
            rows.add(f"{key}.{name}.distance", far.median(), len(far), text, _SOURCE)
            text = f"Share nearer than {NEAR:,} bp to the TSS: {name} drivers"
            near = far < NEAR
            mean, ids = stats.weighted_mean, table["gene_id"]
            rows.over_genes(f"{key}.{name}.near", near, ids, mean, text, _SOURCE)
    if len(main):
        along = along_gene(main, rows.genes)
        for what, chosen, words in (
            ("upstream", along < 0, "upstream of the TSS"),
            ("downstream", along > 0, "downstream of the TSS"),
            ("beyond", np.abs(along) > 2 * NEAR, f"beyond {2 * NEAR:,} bp of the TSS"),
        ):
            text = f"Main drivers {words}, of those whose gene's strand is known."
            rows.add(f"{key}.main.{what}", chosen.sum(), len(along), text, _SOURCE)


def along_gene(drivers: pd.DataFrame, genes: pd.DataFrame) -> np.ndarray:
    """Signed distance from the TSS along the gene's strand, bp; drivers of a known strand only."""
    strand = genes.set_index("gene_id")["strand"].reindex(drivers["gene_id"])
    sign = np.where(strand == "-", -1, 1)
    return (drivers["distance"].to_numpy(float) * sign)[strand.isin(["+", "-"]).to_numpy()]


def _add_support(rows: Rows, key: str, table: pd.DataFrame) -> None:
    chosen, source = trusted(table), "drivers.parquet, across.parquet"
    for side in ("positive", "negative"):
        part, mean = chosen[chosen["side"] == side], stats.weighted_mean
        words = f"genes of clearly {side} r"
        text = f"Mean share of a gene's drivers that have the eQTL's sign, {words}"
        ids = part["gene_id"]
        rows.over_genes(f"{key}.{side}.supported", part["supported"], ids, mean, text, source)
        part = table[table["side"] == side]
        hits, ids = part["main"].eq("supported"), part["gene_id"]
        text = f"Share whose main driver has the eQTL's sign, {words}"
        rows.over_genes(f"{key}.{side}.main_supported", hits, ids, mean, text, source)
    if chosen["side"].nunique() > 1:
        sides = compare_sides(chosen, rows.genes, rows.draws, rows.seed)
        text = "Mean share of supported drivers, genes of positive less those of negative r; "
        text += f"interval by bootstrap over {sides.unit}."
        n = len(chosen)
        rows.add(f"{key}.difference", sides.difference, n, text, source, sides.ci)
    sign = np.sign(table["r"]).map({1.0: "supported", -1.0: "unsupported"})
    same = (table["main"] == sign)[table["main"].isin(["supported", "unsupported"])]
    text = (
        "Share of genes whose main driver is supported if r is positive and unsupported if it is "
    )
    text += "negative; by construction where one driver carries the prediction"
    for name, chosen in (("all", table["drivers"] > 0), ("one", table["drivers"] == 1)):
        part = table[chosen & table.index.isin(same.index)]
        if len(part) > 1:
            of = ", genes with one driver" if name == "one" else ""
            hits, ids = same[part.index], part["gene_id"]
            mean = stats.weighted_mean
            rows.over_genes(f"{key}.follows_r.{name}", hits, ids, mean, text + of, source)


def _add_sizes(rows: Rows, key: str, main: pd.DataFrame, features: pd.DataFrame) -> None:
    size = features[features["feature"] == _SIZE].set_index("gene_id")["value"]
    types = driver_types(main)
    for kind in ("supported", "unsupported"):
        ids = main["gene_id"][types == kind]
        ids = ids[ids.isin(size.index)]
        for level in LEVELS if len(ids) else ():
            text = f"Share of {kind} main drivers whose base reaches {level:.0%} of the largest"
            id_, hits = f"{key}.{kind}.size{100 * level:.0f}", size[ids].ge(level)
            rows.over_genes(id_, hits, ids, stats.weighted_mean, text, "features.parquet")


def add_fine_mapped(rows: Rows, result: tables.Tables) -> None:
    """r across people of genes with a fine-mapped eQTL, beside all genes."""
    features, across = result["features"], result["across"]
    names = sorted(n for n in features["feature"].unique() if n.startswith(FINE_MAPPED))
    table = across[(across["population"] == "pooled") & across["pearson"].notna()]
    for run, part in table.groupby("run_id") if names else ():
        for name in ["all", *names]:
            ids = features.loc[features["feature"] == name, "gene_id"]
            chosen = part if name == "all" else part[part["gene_id"].isin(ids)]
            key, r = f"{run}.fine_mapped.{name.removeprefix(FINE_MAPPED)}", chosen["pearson"]
            text, ids = f"Share of genes with r below 0, genes: {name}", chosen["gene_id"]
            mean, source = stats.weighted_mean, "across.parquet, features.parquet"
            rows.over_genes(f"{key}.negative", r < 0, ids, mean, text, source)
            text = f"SD of r across people over genes: {name}."
            rows.add(f"{key}.sd", r.astype(float).std(), len(r), text, source)
