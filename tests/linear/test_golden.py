"""Values of the linear models on a small seeded gene don't change without a new version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import golden
from helpers.linear_cohort import small_study
from howfar import linear
from howfar.linear import base, baseline, elastic_net, folds, prs, reml
from howfar.linear.weights import apply, read_weights


def gene() -> tuple[np.ndarray, np.ndarray]:
    """Dosages of 60 people and 25 variants in linkage, and expression that two of them move."""
    rng = np.random.default_rng(11)
    haplotypes = np.cumsum(rng.normal(size=(120, 25)), axis=1) > 0
    x = haplotypes.reshape(60, 2, 25).sum(axis=1).astype(float)
    return x, 3 + 0.8 * x[:, 4] - 0.5 * x[:, 17] + rng.normal(size=60)


def values(folder: Path) -> dict[str, object]:
    x, y = gene()
    found: dict[str, object] = {}
    for name in ("top1", "lasso", "enet", "blup", "bslmm", "prs", "prs_pt"):
        fit = base.fitter(name)(x, y, 3)
        found[f"{name}.status"] = fit.status
        found[f"{name}.selected"] = int(np.count_nonzero(fit.weights))
        found[f"{name}.intercept"] = fit.intercept
        found[f"{name}.weights"] = fit.weights[fit.weights != 0][:6]
        for key in (
            "h2",
            "h2_se",
            "alpha",
            "cv_r2",
            "lambda",
            "z",
            "scale",
            "r2",
            "inner_r",
            "pge",
        ):
            if key in fit.details:
                found[f"{name}.{key}"] = float(fit.details[key])
    found["enet_1se"] = base.fitter("enet", rule="1se")(x, y, 3).intercept
    h2 = reml.heritability(x, y, np.arange(60.0) % 7)
    found["reml"] = [h2.h2, h2.se, h2.p, h2.variance, h2.log_likelihood]
    found["alphas"] = elastic_net.alpha_grid(x, y, 0.5, 5)
    found["path"] = elastic_net.solve(x, y, 1.0, elastic_net.alpha_grid(x, y, 1.0, 8)).coefs[-1]
    single = prs.marginal(x, y)
    found["marginal_p"] = single.p[:4]
    found["index"] = np.flatnonzero(prs.clump(single, prs.squared_correlation(x) > 0.2))
    found["folds"] = folds.fold_of(12, 3, 1)
    populations = np.repeat(["X", "Y"], [50, 30])
    for label, split in {
        "fraction": folds.by_fraction(14, 0.5, 2),
        "population": folds.by_population(populations, "X", "Y", 5, 2),
        "random": folds.by_class("random_split", populations, "Y", 2),
        "yri": folds.by_class("yri_split", populations, "Y", 2),
    }.items():
        found[f"split_{label}"] = split.name
        found[f"split_{label}.trains"] = np.flatnonzero(split.parts[0][0])
        found[f"split_{label}.predicted"] = np.flatnonzero(split.parts[0][1])
    study, dosages, _ = small_study(folder)
    fitted = baseline.run(study, baseline.plan_of(study, "enet"), folder / "results")
    rows = fitted.rows.set_index("gene_id")
    names = ["status", "parts_fitted", "parts", "n_people", "n_variants", "n_selected"]
    found["genes"] = rows[names].to_numpy(str)
    found["intercepts"] = rows["intercept"].to_numpy(float)
    kept = baseline.folder_of(folder / "results", study.name)
    individuals = pd.read_parquet(kept / "enet.parquet")
    found["predicted"] = individuals["predicted"].to_numpy(float)[::17]
    weights = read_weights(kept / "enet.weights.parquet")
    found["variants"] = weights.table["pos"].to_numpy(int)
    variants = baseline.OpenCohort(study).dosages(baseline.OpenCohort(study).genes[0], 400)[1]
    applied, counts = apply(weights, ["near"], lambda _: (dosages, variants))
    found["applied"] = applied.to_numpy()[0, :5]
    found["counts"] = [f"{what}: {count}" for what, count in sorted(counts.items())]
    return found


def test_values_change_only_with_the_version(tmp_path):
    golden.check(Path(__file__).with_name("golden.csv"), linear.VERSION, values(tmp_path))
