"""The methods that Rastogi et al. 2024 compare: what each file calls them, and what we call them.

The order is the order of every figure: the network as released, fine-tuned networks, variants of
the fine-tuning, linear models, the lead SNP.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

#: Classes of genes. random_split: 77 people drawn per gene are the test; yri_split: the 77 Yoruba
#: are, and nobody like them was trained on; unseen: the gene itself was not trained on.
CLASSES = {"random_split": "random", "yri_split": "pop", "unseen": "unseen"}
TESTED = ("random_split", "yri_split")
_UNITS = "ln(TPM + 0.01), corrected"
_TRACK = "5110 CAGE:B lymphoblastoid cell line: GM12878 ENCODE"
_SPLIT = (
    "random_split: 77 random people per gene; yri_split: the 77 Yoruba; unseen: genes on "
    "chromosomes not trained on"
)


@dataclass(frozen=True)
class Method:
    """One method. `summary`: its name in perf_summary.csv without seed and settings; `number`: in
    the ids of `numbers`; `driver`: in drivers.csv; `weights`: in WEIGHTS.tar.gz and the files of
    predictions.
    """

    run_id: str
    label: str
    kind: str
    summary: str
    number: str | None = None
    driver: str | None = None
    weights: str | None = None
    model: str = "Enformer, fine-tuned"
    head: str = ""


def _tuned(run_id: str, label: str, summary: str, number=None, driver=None, head="regression"):
    model = f"Enformer, {label[0].lower()}{label[1:]}"
    return Method(run_id, label, "network", summary, number, driver, None, model, head)


def _linear(run_id: str, label: str, names: tuple[str, str, str, str], kind: str = "linear"):
    summary, number, driver, weights = names
    return Method(run_id, label, kind, summary, number, driver, weights, label)


METHODS: tuple[Method, ...] = (
    Method(
        "enformer",
        "Enformer",
        "network",
        "baseline",
        "Baseline_Enformer",
        "Baseline Enformer",
        "baseline",
        "Enformer",
        "human track",
    ),
    _tuned(
        "single_sample_regression",
        "Single-sample regression",
        "single_regression_counts",
        "Single_Sample_Regression",
        "Single-Sample Regression",
    ),
    _tuned(
        "pairwise_regression",
        "Pairwise regression",
        "regression",
        "Pairwise_Regression",
        "Pairwise Regression",
    ),
    _tuned(
        "pairwise_classification",
        "Pairwise classification",
        "classification",
        "Pairwise_Classification",
        "Pairwise Classification",
        "human track",
    ),
    _tuned(
        "joint_regression",
        "Joint regression (original data)",
        "joint_regression",
        "Joint_Regression_(original_data)",
    ),
    _tuned(
        "joint_classification",
        "Joint classification (original data)",
        "joint_classification",
        "Joint_Classification_(original_data)",
        head="human track",
    ),
    _tuned(
        "joint_regression_mpra",
        "Joint regression (MPRA)",
        "joint_regression_with_Malinois_MPRA",
        "Joint_Regression_(MPRA)",
    ),
    _tuned("pairwise_counts", "Pairwise on counts", "regression_counts"),
    _tuned(
        "pairwise_after_enformer_data",
        "Pairwise after Enformer's data",
        "finetune_regression_on_enformer_data",
    ),
    _tuned("frozen_cnn", "Pairwise, frozen CNN", "regression_freeze_cnn"),
    _tuned("frozen_transformer", "Pairwise, frozen transformer", "regression_freeze_transformer"),
    _tuned(
        "frozen_both",
        "Pairwise, frozen CNN and transformer",
        "regression_freeze_cnn_and_transformer",
    ),
    _tuned(
        "random_initialization",
        "Pairwise, random initialization",
        "regression_random_init",
        None,
        "Pairwise Regression\nwith random initialization",
    ),
    _tuned(
        "single_sample_gene_batches",
        "Single-sample, one gene per batch",
        "single_regression_counts_one_gene_per_batch",
    ),
    _tuned("single_sample_z", "Single-sample on z-scores", "single_regression"),
    _linear("lasso", "Lasso", ("LASSO", "LASSO", "LASSO", "lasso")),
    _linear(
        "elastic_net",
        "Elastic net (PrediXcan)",
        ("Elastic net/\nPrediXcan", "Elastic_net_/_PrediXcan", "Elastic net/\nPrediXcan", "enet"),
    ),
    _linear("blup", "BLUP", ("BLUP", "BLUP", "BLUP", "blup")),
    _linear("bslmm", "BSLMM", ("BSLMM", "BSLMM", "BSLMM", "bslmm")),
    _linear("top_snp", "Lead SNP", ("Top SNP", "Top_SNP", "Top SNP", "top1"), "lead_snp"),
)

BY_RUN = {method.run_id: method for method in METHODS}
BY_SUMMARY = {method.summary: method for method in METHODS}
#: The summary of 2024 writes one name otherwise.
BY_SUMMARY["Elastic Net/\nPrediXcan"] = BY_RUN["elastic_net"]
BY_DRIVER = {method.driver: method for method in METHODS if method.driver}
#: Methods with a weight or an effect per variant, and predictions per person.
WEIGHTED = {method.weights: method for method in METHODS if method.weights}


def runs(study: str) -> pd.DataFrame:
    """Table `runs`: one row per method; windows of 49,152 bp, SNPs only."""
    rows = []
    for method in METHODS:
        row = {
            "run_id": method.run_id,
            "study": study,
            "label": method.label,
            "kind": method.kind,
            "model": method.model,
            "context": 49_152,
            "alleles": "snv",
            "split": _SPLIT,
            "training_fraction": 1.0,
            "units": _UNITS,
        }
        rows.append(row | (_network(method) if method.kind == "network" else _weighted()))
    return pd.DataFrame(rows)


def _network(method: Method) -> dict:
    fields = {"engine": "enformer-pytorch", "bins": "187-196 of 384"}
    if method.head == "human track":
        fields |= {"tracks": _TRACK, "units": "CAGE, linear"}
        return fields | {"transform": "sum_bins > mean_haplotypes > mean_strands"}
    return fields | {"transform": "attention over bins > linear > mean_haplotypes > mean_strands"}


def _weighted() -> dict:
    return {"engine": "FUSION", "transform": "dosages of SNPs in the window, weighted"}
