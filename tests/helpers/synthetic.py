"""Small result tables with known numbers, for the tests of figures, notebooks and book."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers.figure_views import numbers_of
from howfar import stats
from howfar.results import tables

RUNS = [
    # run_id, label, kind, model, how strongly predictions follow expression across people
    ("net", "Small Enformer", "network", "enformer", 0.05),
    ("blup", "BLUP", "linear", "BLUP", 0.35),
    ("lead", "Lead SNP", "lead_snp", "lead SNP", 0.3),
    ("truth", "True genetic value", "truth", "truth", 0.5),
]
GENES, PEOPLE = 60, 80


def write(results: Path, study: str = "demo", seed: int = 1, numbers: bool = True) -> None:
    """Every result table of a made-up study with four runs, 60 genes and 80 people."""
    rng = np.random.default_rng(seed)
    frames = _frames(rng, study)
    for name, frame in frames.items():
        tables.write(tables.path_of(results, study, name), name, frame, {})
    if numbers:
        found = numbers_of(tables.load(study, results))
        tables.write(tables.path_of(results, study, "numbers"), "numbers", found, {})


def _frames(rng: np.random.Generator, study: str) -> dict[str, pd.DataFrame]:
    genes = [f"GENE{i:03d}" for i in range(GENES)]
    level = rng.normal(5, 2, GENES)
    observed = level[:, None] + rng.normal(size=(GENES, PEOPLE))
    frames: dict[str, list[pd.DataFrame]] = {"reference": [], "across": [], "individuals": []}
    for run, _, _, _, strength in RUNS:
        noise = rng.normal(size=observed.shape)
        side = np.where(rng.random(GENES) < 0.4, -1, 1) if run == "net" else np.ones(GENES)
        predicted = (side * strength)[:, None] * (observed - level[:, None]) + noise
        frames["across"] += _across(run, genes, predicted, observed, rng)
        frames["individuals"].append(_individuals(run, genes, predicted, observed))
    frames["reference"].append(_reference(genes, level, rng))
    return {
        "runs": _runs(study),
        "genes": _genes(genes),
        "features": _features(genes, level, rng),
        **{name: pd.concat(parts, ignore_index=True) for name, parts in frames.items()},
    }


def _runs(study: str) -> pd.DataFrame:
    rows = [(run, label, kind, model) for run, label, kind, model, _ in RUNS]
    return pd.DataFrame(rows, columns=["run_id", "label", "kind", "model"]).assign(study=study)


def _genes(genes: list[str]) -> pd.DataFrame:
    chrom = [f"chr{i % 8 + 1}" for i in range(GENES)]
    tss = [1_000_000 + 40_000 * i for i in range(GENES)]
    return pd.DataFrame(
        {"gene_id": genes, "name": [g.lower() for g in genes], "chrom": chrom, "tss": tss}
    ).assign(strand="+")


def _reference(genes: list[str], level: np.ndarray, rng) -> pd.DataFrame:
    region = np.where(np.arange(GENES) % 3 == 0, "test", "train")
    prediction = np.exp(0.5 * level + rng.normal(size=GENES))
    return pd.DataFrame(
        {"gene_id": genes, "prediction": prediction, "observed_mean": level, "region": region}
    ).assign(run_id="net")


def _across(run, genes, predicted, observed, rng) -> list[pd.DataFrame]:
    half = np.arange(PEOPLE) < PEOPLE // 2
    order = rng.permutation(PEOPLE)
    parts = {
        "pooled": (predicted, observed),
        "AFR": (predicted[:, half], observed[:, half]),
        "EUR": (predicted[:, ~half], observed[:, ~half]),
        "permuted": (predicted[:, order], observed),
    }
    found = []
    for population, (x, y) in parts.items():
        r, n = stats.pearson_rows(x, y)
        low, high = stats.fisher_interval(r, n)
        p = stats.correlation_p(r, n - 2)
        frame = pd.DataFrame({"gene_id": genes, "n": n, "pearson": r, "p": p})
        frame = frame.assign(run_id=run, population=population, ci_low=low, ci_high=high)
        frame["q"] = stats.benjamini_hochberg(p)
        if population == "pooled":
            p_null = np.where(np.arange(GENES) == 7, np.nan, np.clip(p * 2, 0, 1))
            frame = frame.assign(null_mean=0.09, null_sd=0.06, p_null=p_null)
        found.append(frame)
    return found


def _features(genes: list[str], level: np.ndarray, rng) -> pd.DataFrame:
    values = {
        "lead_eqtl_distance": rng.integers(5, 4000, GENES).astype(float),
        "lead_eqtl_log10p": rng.uniform(1, 30, GENES),
        "lead_eqtl_r": rng.uniform(-0.6, 0.6, GENES),
        "lead_eqtl_maf": rng.uniform(0.05, 0.5, GENES),
        "median_expression": level,
        "cv_expression": rng.uniform(0.1, 1, GENES),
    }
    parts = [pd.DataFrame({"gene_id": genes, "feature": f, "value": v}) for f, v in values.items()]
    return pd.concat(parts).assign(source="made up")


def _individuals(run, genes, predicted, observed) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run_id": run,
            "gene_id": np.repeat(genes, PEOPLE),
            "sample": np.tile([f"SECRET{i:03d}" for i in range(PEOPLE)], GENES),
            "predicted": predicted.ravel(),
            "observed": observed.ravel(),
        }
    )
