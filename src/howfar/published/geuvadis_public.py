"""Real Geuvadis people whose expression and predictions are public (rastogi2024, huang2023; hg19).

Enformer without fine-tuning and five linear models against the observed expression of the test
people: correlations are computed from individual values, not copied.
"""

from __future__ import annotations

import pandas as pd

from howfar.cohort.panel import Panel
from howfar.evaluation import row_zero
from howfar.evaluation.across import across_table
from howfar.evaluation.features import features_table
from howfar.evaluation.individuals import individuals_table
from howfar.evaluation.within import within_table
from howfar.published import huang2023
from howfar.published.files import Files, gene_rows, long_features
from howfar.results import tables
from howfar.results.predictions import Predictions
from howfar.study.schema import Study

ENFORMER = huang2023.ENFORMER_PEOPLE
SAMPLES = "rastogi2024/samples.csv"
CLASSES = "rastogi2024/gene_class.csv"  # which genes were tested on whom
HERITABILITY = "rastogi2024/heritability.all_samples.tsv"
POPULATIONS = {"YRI": "YRI", "Non-YRI": "EUR"}
LINEAR = {
    "top_snp": ("rastogi2024/top1.csv", "Lead SNP", "lead_snp"),
    "lasso": ("rastogi2024/lasso.csv", "Lasso", "linear"),
    "elastic_net": ("rastogi2024/enet.csv", "Elastic net (PrediXcan)", "linear"),
    "blup": ("rastogi2024/subset_100/replicate_1/blup.csv", "BLUP", "linear"),
    "bslmm": ("rastogi2024/bslmm.csv", "BSLMM", "linear"),
}
_SPLIT = "200 genes: 77 random test people each; 200 genes: 77 Yoruba, trained on the others"
#: People of one population without whom a gene has no row of it.
FEWEST = 30
_UNITS = "ln(TPM + 0.01), corrected"


def load(study: Study, files: Files) -> dict[str, pd.DataFrame]:
    """Tables runs, genes, features, reference, across, within and individuals.

    A constant prediction has r missing (rastogi2024 counts it as 0). `within` is of Enformer only:
    linear predictions contain each gene's training mean.
    """
    genes = huang2023.gene_list(files)
    panel = _panel(files, genes)
    observed = panel.expression
    reference = huang2023.reference(files, genes, observed)
    level = reference[reference["run_id"] == "enformer"].set_index("gene_id")["prediction"]
    runs = [
        # Linear models learn each gene's level from people and predict none from a reference.
        Predictions(
            run, people, (level if run == "enformer" else level * float("nan"))[people.index]
        )
        for run, people in _predictions(files, genes, observed)
    ]
    across = across_table(panel, runs, seed=study.evaluation.seed)
    individuals = individuals_table(panel, runs)
    return {
        "runs": runs_table(study.name),
        "genes": panel.genes,
        "features": _features(files, genes, panel, set(runs[-1].people.index)),
        "reference": reference,
        "across": _enough(across),
        "within": within_table(panel, runs),
        "summary": tables.stack("summary", [row_zero.rows(panel, study.evaluation)], study.name),
        "individuals": individuals.dropna(subset=["predicted", "observed"]),
    }


def tested_people(files: Files) -> tuple[Panel, dict[str, pd.DataFrame]]:
    """The linear models' genes with their expression in all people, and predictions by run.

    Predictions, of the linear models and of Enformer, are of the test people of each gene.
    """
    genes = huang2023.gene_list(files)
    panel = _panel(files, genes)
    runs = dict(_predictions(files, genes, panel.expression))
    del runs["enformer"]  # on more genes and people than the others
    observed = panel.expression.loc[runs["blup"].index]
    return Panel(observed, panel.genes, panel.populations, units=panel.units), runs


def _panel(files: Files, genes: pd.DataFrame) -> Panel:
    observed = huang2023.observed_expression(files, genes)
    people = _populations(files, list(observed.columns))
    return Panel(observed, genes.drop(columns="key"), people, units="ln TPM")


def _enough(across: pd.DataFrame) -> pd.DataFrame:
    """`across` without rows of nobody, or of so few people of one population.

    The linear models were tested on 6 to 22 Yoruba for half of the genes, trained on others of
    them, and on 77 for the other half, none of whom had trained: only the latter are kept.
    """
    few = across["population"].isin(POPULATIONS.values()) & (across["n"] < FEWEST)
    return across[(across["n"] > 0) & ~few]


def _populations(files: Files, people: list[str]) -> pd.Series:
    """The population of each person, by sample."""
    frame = files.table(SAMPLES, ["sample", "population"], [])
    unknown = set(frame["population"]) - set(POPULATIONS)
    if unknown or frame["sample"].duplicated().any() or set(frame["sample"]) != set(people):
        raise files.bad(
            SAMPLES,
            f"{len(frame)} people, populations {sorted(set(frame['population']))}",
            f"the {len(people)} people of the expression table, {sorted(POPULATIONS)}",
        )
    return frame.set_index("sample")["population"].map(POPULATIONS)


def _predictions(files: Files, genes: pd.DataFrame, observed: pd.DataFrame):
    """Pairs (run id, predictions of genes by people), people in the order of `observed`.

    `enformer_split` is Enformer on exactly the genes and people of the linear models.
    """
    enformer = huang2023.people_matrix(files, ENFORMER, genes, observed)
    linear = {
        run: huang2023.people_matrix(files, source, genes, observed)
        for run, (source, *_) in LINEAR.items()
    }
    tested = linear["elastic_net"].notna()
    if any(not frame.notna().equals(tested.loc[frame.index]) for frame in linear.values()):
        raise files.bad(LINEAR["blup"][0], "other test people than the elastic net", "the same")
    yield "enformer", enformer
    yield "enformer_split", enformer.loc[tested.index].where(tested)
    yield from linear.items()


def _features(files: Files, genes: pd.DataFrame, panel: Panel, tested: set[str]) -> pd.DataFrame:
    return pd.concat(
        [
            huang2023.lead_eqtls(files, genes),
            features_table(panel, huang2023.OBSERVED),
            _heritability(files, genes, tested),
        ],
        ignore_index=True,
    )


def _heritability(files: Files, genes: pd.DataFrame, tested: set[str]) -> pd.DataFrame:
    """Heritability and standard error by GCTA REML; unconstrained, so it may be below 0."""
    frame = files.table(HERITABILITY, ["gene"], ["h2", "se", "p"], header=False, sep=r"\s+")
    frame["gene"] = frame["gene"].str.split("/").str[-1]
    frame = gene_rows(files, HERITABILITY, frame.set_index("gene"), huang2023.ids_of(genes))
    if frame.index.duplicated().any() or set(frame.index) != tested:
        raise files.bad(
            HERITABILITY,
            f"{len(frame)} rows, {int(frame.index.duplicated().sum())} of repeated genes",
            f"one row for each of the {len(tested)} genes of the linear models",
        )
    rows = long_features(frame, "GCTA REML, 421 people", {"h2": "h2"})
    return rows.assign(se=frame["se"].reindex(rows["gene_id"]).to_numpy())


def runs_table(study: str) -> pd.DataFrame:
    """Enformer on people, on the linear models' people, the linear models, other references."""
    linear = [
        {
            "run_id": run,
            "study": study,
            "label": label,
            "kind": kind,
            "model": label,
            "transform": "dosages of SNPs in the window, weighted",
            "units": _UNITS,
            "context": 49_152,
            "alleles": "snv",
            "split": _SPLIT,
            "training_fraction": 1.0,
            "engine": "FUSION",
        }
        for run, (_, label, kind) in LINEAR.items()
    ]
    others = huang2023.model_runs(study)
    others = others[others["run_id"] != "enformer"].to_dict("records")
    return pd.DataFrame([*_enformer_runs(study), *linear, *others])


def _enformer_runs(study: str) -> list[dict]:
    base = {
        "study": study,
        "kind": "network",
        "model": "Enformer",
        "tracks": "5110 CAGE:B lymphoblastoid cell line: GM12878 ENCODE",
        "bins": "187-196 of 384",
        "transform": "people: sum_bins > mean_haplotypes > mean_strands",
        "units": "CAGE, linear",
        "context": 49_152,
        "alleles": "snv",
        "engine": "enformer-pytorch",
    }
    note = base["transform"] + "; reference sequence: 196,608 bp, as published by huang2023"
    return [
        base | {"run_id": "enformer", "label": "Enformer", "transform": note},
        base
        | {
            "run_id": "enformer_split",
            "label": "Enformer (test people)",
            "split": _SPLIT,
        },
    ]
