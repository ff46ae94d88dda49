"""A network trained on a cohort's people, beside linear models of the same people and window.

For each seed people and genes are split anew and a network is trained. r across people is judged in
people not trained on, in the population that was kept, and in genes nobody trained on, where linear
models say nothing. The linear models read the network's own window and the people who train; the
prior's variances come from the network before it saw people. Rows are added seed by seed, so a
killed run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar import stats
from howfar.attribution.variant_effects import gene_effects
from howfar.cohort.known_values import true_values
from howfar.cohort.opened import OpenCohort
from howfar.core.atomic import whole
from howfar.core.progress import track
from howfar.core.project import resolve
from howfar.core.threads import one_thread
from howfar.eqtl.lead import column_means
from howfar.genome.intervals import Gene
from howfar.linear.base import fitter
from howfar.linear.cis import training
from howfar.linear.prior import fit_prior
from howfar.prediction.run import open_model, predict_genes
from howfar.prediction.store import outputs_of
from howfar.prediction.transform import transform
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Run, Study
from howfar.training.fine_tune import fine_tune, prepare

TUNED, NETWORK, BLUP, ENET, PRIOR = "fine-tuned", "network", "blup", "enet", "prior"
WINDOW, TRUTH, LOOK_UP = "ceiling_window", "ceiling", "look_up"
PEOPLE, POPULATION, GENES = "unseen people", "other population", "unseen genes"
ACROSS = "across genes"


def measure(
    study: Study,
    results: Path,
    out: Path,
    *,
    strategy: str,
    seeds: Sequence[int],
    options: Mapping[str, Any],
    splits: Mapping[str, Any],
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Train and compare for each seed that `out` lacks, and write its rows; return the table.

    options, splits: of the training (`fine_tune`), the seed aside.
    """
    kept = pd.read_csv(out) if out.is_file() else pd.DataFrame(columns=["strategy", "seed"])
    run = study.runs[0]
    for seed in seeds:
        if ((kept["strategy"] == strategy) & (kept["seed"] == seed)).any():
            continue
        begun, cohort = time.perf_counter(), OpenCohort(study)
        given = {"options": {**options, "seed": seed}, "splits": {**splits, "seed": seed}}
        name = f"bench-{strategy}-{seed}"
        tuned = fine_tune(cohort, strategy, run, results=results, name=name, say=say, **given)
        made = prepare(cohort, strategy, run, name, given["options"], given["splits"]).splits
        with one_thread():
            table, means = compared(cohort, run, made)
        scores = tuned.scores[tuned.scores["group"].isin((PEOPLE, POPULATION, GENES))]
        table = pd.concat([scores.assign(method=TUNED), table], ignore_index=True)
        rows = summarised(table, means, cohort.panel().genes, seed)
        kept = pd.concat(
            [
                kept,
                rows.assign(
                    strategy=strategy,
                    seed=seed,
                    trained_people=len(made.of(made.trained[0], "train")),
                    trained_genes=len(made.trained),
                    steps=tuned.config["steps"],
                    epochs=tuned.config["epochs"],
                    train_s=round(tuned.config["seconds"]),
                    seconds=round(time.perf_counter() - begun),
                    date=time.strftime("%Y-%m-%d"),
                ),
            ],
            ignore_index=True,
        )
        with whole(out) as part:
            kept.to_csv(part, index=False, float_format="%.6g")
    return kept


def compared(cohort: OpenCohort, run: Run, splits: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute r by gene, group and method, the trained network's aside, and means of genes.

    The table has gene_id, group, method, n, r. means: by trained gene, over people not trained on
    of expression (`observed`) and of the network, and of expression over those who train (LOOK_UP).
    """
    model, truth = open_model(run), true_values(cohort.study)
    outputs, samples = outputs_of(run, model), list(cohort.samples)
    values = cohort.require_expression("to compare").values
    folder = resolve(cohort.study.cohort.reference).parent / "truth_variants.csv"
    effects = pd.read_csv(folder) if truth is not None and folder.is_file() else None
    means, rows = {}, []
    for gene_id in track(splits.genes, len(splits.genes), "linear models: genes"):
        gene = cohort.gene(gene_id)
        y = values.loc[gene_id, samples].to_numpy(float)
        who = {p: np.isin(samples, splits.of(gene_id, p)) for p in ("train", "test", "population")}
        ((_, predicted, index),) = predict_genes(cohort, run, model, outputs, [gene])
        made = {NETWORK: transform(predicted[index], run.transform)}
        if who["train"].any():
            groups = {PEOPLE: who["test"], POPULATION: who["population"]}
            made |= _linear(cohort, run, model, gene, y, who["train"] & np.isfinite(y))
            means[gene_id] = {
                "observed": np.nanmean(y[who["test"]]),
                NETWORK: made[NETWORK][who["test"]].mean(),
                LOOK_UP: np.nanmean(y[who["train"]]),
            }
        else:
            groups = {GENES: who["test"]}
        if truth is not None:
            made[TRUTH] = truth.loc[gene_id, samples].to_numpy(float)
        if effects is not None:
            of_gene = effects[effects["gene_id"] == gene_id].set_index("variant")["effect_a"]
            made[WINDOW] = _window_value(cohort, gene, model.layout.context, of_gene)
        for group, people in groups.items():
            here = people & np.isfinite(y)
            if here.sum() >= stats.MIN_PAIRS:
                for method, value in made.items():
                    r = np.nan_to_num(stats.pearson_rows(value[here], y[here])[0][0])
                    rows.append((gene_id, group, method, int(here.sum()), float(r)))
    table = pd.DataFrame(rows, columns=["gene_id", "group", "method", "n", "r"])
    return table, pd.DataFrame.from_dict(means, orient="index")


def _linear(
    cohort: OpenCohort, run: Run, model: Any, gene: Gene, y: np.ndarray, trains: np.ndarray
) -> dict[str, np.ndarray]:
    """Predict everybody by linear models of the network's window, fitted on who trains."""
    dosages, variants = cohort.dosages(gene, model.layout.context)
    x, kept = training(dosages, trains, cohort.study.baselines.min_maf)
    seed = cohort.study.baselines.seed
    fits = {name: fitter(name)(x[trains], y[trains], seed) for name in (BLUP, ENET)}
    given = gene_effects(cohort, run, model, outputs_of(run, model), gene)
    effect = given.set_index("variant")["effect"].reindex([str(variants[k]) for k in kept])
    fits[PRIOR] = fit_prior(x[trains], y[trains], seed, effect.fillna(0).to_numpy(float))
    return {name: fit.predict(x) for name, fit in fits.items()}


def _window_value(cohort: OpenCohort, gene: Gene, context: int, effects: pd.Series) -> np.ndarray:
    """Add the true effects of the variants in a window over each person's alleles."""
    dosages, variants = cohort.dosages(gene, context)
    x = np.where(np.isnan(dosages), column_means(dosages), dosages)
    return x @ effects.reindex([str(v) for v in variants]).fillna(0).to_numpy(float)


def summarised(
    table: pd.DataFrame, means: pd.DataFrame, genes: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Mean r over genes of each method and group with its 95 % interval (block bootstrap).

    Columns group, method, r, ci_low, ci_high, genes, people. Group `ACROSS` is one correlation
    over genes, of means of people not trained on.
    """
    rows = []
    for (group, method), part in table.groupby(["group", "method"], sort=False):
        r = part.set_index("gene_id")["r"]
        blocks, _ = blocks_of(genes, r.index)
        low, high = stats.block_bootstrap(r.to_numpy(float), blocks, np.mean, seed=seed)
        rows.append((group, method, r.mean(), low, high, len(r), int(part["n"].median())))
    people = int(table.loc[table["group"] == PEOPLE, "n"].median())
    blocks, _ = blocks_of(genes, means.index)
    for method in (NETWORK, LOOK_UP):
        pairs = means[["observed", method]].to_numpy(float)
        low, high = stats.block_bootstrap(
            pairs,
            blocks_of(genes, means.index)[0],
            stats.weighted_pearson,
            seed=seed,
            weighted=True,
        )
        r = float(np.corrcoef(pairs.T)[0, 1])
        rows.append((ACROSS, method, r, low, high, len(pairs), people))
    names = ["group", "method", "r", "ci_low", "ci_high", "genes", "people"]
    return pd.DataFrame(rows, columns=names)
