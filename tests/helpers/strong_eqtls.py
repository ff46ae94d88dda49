"""A study of dosages alone, one strong eQTL a gene, whose people may be swapped."""

import numpy as np
import pandas as pd

from howfar.study.reading import parse_study

PEOPLE, GENES = 60, 30


def write_study(folder, exchange=(), contigs="1 2 3 4 5", male=None):
    """A study of one strong eQTL a gene, dosages alone; `exchange`: whose expression is swapped."""
    rng = np.random.default_rng(6)
    names = [f"P{i}" for i in range(PEOPLE)]
    chroms = [contigs.split()[g % len(contigs.split())] for g in range(GENES)]
    sites, values = [], []
    for g, chrom in enumerate(chroms):
        dosages = rng.binomial(2, rng.uniform(0.2, 0.5), (8, PEOPLE))
        if chrom == "X" and male is not None:
            dosages[:, male] = 2 * (dosages[:, male] > 0)
        sites += [
            [chrom, 10_000 * g + 100 * k + 1, "A", "G", *row] for k, row in enumerate(dosages)
        ]
        values.append(dosages[3] + 0.6 * rng.standard_normal(PEOPLE))
    pd.DataFrame(sites, columns=["CHROM", "POS", "REF", "ALT", *names]).to_csv(
        folder / "d.tsv", sep="\t", index=False
    )
    rows = [[f"G{g}", f"G{g}", chrom, 10_000 * g + 300, "+"] for g, chrom in enumerate(chroms)]
    if male is not None:
        rows.append(["GY", "GY", "Y", 500, "+"])
        values.append(np.where(male, 5, 0) + 0.1 * rng.standard_normal(PEOPLE))
    pd.DataFrame(rows, columns=["gene_id", "name", "chrom", "tss", "strand"]).to_csv(
        folder / "genes.csv", index=False
    )
    frame = pd.DataFrame(values, index=[row[0] for row in rows], columns=names)
    order = list(range(PEOPLE))
    for a, b in exchange:
        order[a], order[b] = b, a
    frame.iloc[:GENES] = frame.iloc[:GENES].to_numpy()[:, order]
    frame.rename_axis("gene_id").to_csv(folder / "e.csv")
    cohort = {"variants": "d.tsv", "genes": "genes.csv", "expression": "e.csv"}
    return parse_study(
        {
            "name": "mixed",
            "title": "t",
            "reality": dict.fromkeys(("genotypes", "expression", "weights"), "made up"),
            "cohort": {key: str(folder / file) for key, file in cohort.items()},
            "baselines": {"models": ["top1"], "window": 2_000},
            "evaluation": {"cis_window": 2_000, "null_draws": 100, "bootstrap": 100},
        },
        "test",
    )
