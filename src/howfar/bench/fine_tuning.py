"""A network trained on a cohort's people, beside linear models of the same people and window.

For each seed people and genes are split anew and a network is trained. r across people is judged in
people not trained on, in the population that was kept, and in genes nobody trained on, where linear
models say nothing. The linear models read the network's own window and the people who train; the
prior's variances come from the network before it saw people. Rows are added seed by seed, and
trainings and linear models are kept among the results, so a killed run goes on.
"""

from __future__ import annotations

import hashlib
import json
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
from howfar.evaluation.trainings import ACROSS
from howfar.genome.intervals import Gene
from howfar.linear.base import fitter
from howfar.linear.cis import training
from howfar.linear.prior import fit_prior
from howfar.prediction.run import open_model, predict_genes
from howfar.prediction.store import outputs_of
from howfar.prediction.transform import transform
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Run, Study
from howfar.training.fine_tune import Prepared, fine_tune, prepare

TUNED, NETWORK, BLUP, ENET, PRIOR = "fine-tuned", "network", "blup", "enet", "prior"
WINDOW, TRUTH = "ceiling_window", "ceiling"
LOOK_UP, OBSERVED = "look_up", "observed"
PEOPLE, POPULATION, GENES = "unseen people", "other population", "unseen genes"


def measure(
    study: Study,
    results: Path,
    out: Path,
    *,
    strategy: str,
    seeds: Sequence[int],
    options: Mapping[str, Any],
    splits: Mapping[str, Any],
    setting: str = "default",
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Train and compare for each seed that `out` lacks, and write its rows; return the table.

    options, splits: of the training (`fine_tune`), the seed aside. setting: what tells these
    trainings from others in `out`. Rows of seed 0 are of r averaged over all seeds by gene.
    """
    kept = pd.read_csv(out) if out.is_file() else pd.DataFrame()
    run, of_seeds = study.runs[0], []
    begin = f"bench-{strategy}" + ("" if setting == "default" else f"-{'_'.join(setting.split())}")
    for seed in seeds:
        cohort = OpenCohort(study)
        given = {"options": {**options, "seed": seed}, "splits": {**splits, "seed": seed}}
        name = f"{begin}-{seed}"
        tuned = fine_tune(cohort, strategy, run, results=results, name=name, say=say, **given)
        prepared = prepare(cohort, strategy, run, name, given["options"], given["splits"])
        scores = tuned.scores[["gene_id", "group", "n", "r"]].assign(method=TUNED)
        of_seeds.append(pd.concat([scores, _kept_linear(prepared, tuned.folder.parent, run)]))
        made, genes = prepared.splits, cohort.panel().genes
        same = {"study": study.name, "strategy": strategy, "setting": setting}
        counts = {
            "trained_people": len(made.of(made.trained[0], "train")),
            "trained_genes": len(made.trained),
            "steps": tuned.config["steps"],
            "epochs": tuned.config["epochs"],
            "train_s": round(tuned.config["seconds"]),
            "date": time.strftime("%Y-%m-%d"),
        }
        if len(kept):
            ours = (kept[list(same)] == pd.Series(same)).all(axis=1)
            kept = kept[~(ours & kept["seed"].isin((seed, 0)))]
        rows = summarised(of_seeds[-1], genes, seed).assign(seed=seed)
        if len(of_seeds) > 1:
            keys = ["gene_id", "group", "method"]
            pooled = pd.concat(of_seeds).groupby(keys, sort=False, as_index=False).mean()
            rows = pd.concat([rows, summarised(pooled, genes, 0).assign(seed=0)])
        kept = pd.concat([kept, rows.assign(**same, **counts)], ignore_index=True)
        with whole(out) as part:
            kept.to_csv(part, index=False, float_format="%.6g")
    return kept


def _kept_linear(prepared: Prepared, folder: Path, run: Run) -> pd.DataFrame:
    """Return `compared` of a training's people, genes and files; kept for trainings of the same."""
    made_of = {k: v for k, v in prepared.made_of.items() if k != "recipe"}
    made_of["baselines"] = prepared.cohort.study.baselines.model_dump(mode="json")
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    file = folder / f"linear-{key}.csv"
    if not file.is_file():
        with one_thread():
            table = compared(prepared.cohort, run, prepared.splits)
        with whole(file) as part:
            table.to_csv(part, index=False)
    return pd.read_csv(file)


def compared(cohort: OpenCohort, run: Run, splits: Any) -> pd.DataFrame:
    """Compute r by gene, group and method, the trained network's aside, and means of genes.

    Columns gene_id, group, method, n, r. Of group `ACROSS` r is a trained gene's mean: over people
    not trained on of expression (OBSERVED) and of the network, and of expression over those who
    train (LOOK_UP).
    """
    model, truth = open_model(run), true_values(cohort.study)
    outputs, samples = outputs_of(run, model), list(cohort.samples)
    values = cohort.require_expression("to compare").values
    folder = resolve(cohort.study.cohort.reference).parent / "truth_variants.csv"
    effects = pd.read_csv(folder) if truth is not None and folder.is_file() else None
    rows: list[tuple[str, str, str, int, float]] = []
    for gene_id in track(splits.genes, len(splits.genes), "linear models: genes"):
        gene = cohort.gene(gene_id)
        y = values.loc[gene_id, samples].to_numpy(float)
        who = {p: np.isin(samples, splits.of(gene_id, p)) for p in ("train", "test", "population")}
        ((_, predicted, index),) = predict_genes(cohort, run, model, outputs, [gene])
        made = {NETWORK: transform(predicted[index], run.transform)}
        if who["train"].any():
            groups = {PEOPLE: who["test"], POPULATION: who["population"]}
            made |= _linear(cohort, run, model, gene, y, who["train"] & np.isfinite(y))
            means = {
                OBSERVED: np.nanmean(y[who["test"]]),
                NETWORK: made[NETWORK][who["test"]].mean(),
                LOOK_UP: np.nanmean(y[who["train"]]),
            }
            count = int(who["test"].sum())
            rows += [(gene_id, ACROSS, name, count, float(m)) for name, m in means.items()]
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
    return pd.DataFrame(rows, columns=["gene_id", "group", "method", "n", "r"])


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


def summarised(table: pd.DataFrame, genes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean r over genes of each method and group with its 95 % interval (block bootstrap).

    Columns group, method, r, ci_low, ci_high, genes, people; gain, gain_low, gain_high: what the
    trained network's r is above the method's, paired by gene. Group `ACROSS` is one correlation
    over genes, of means of people not trained on.
    """

    def interval(values: pd.DataFrame | pd.Series, **how: Any) -> tuple[Any, Any]:
        """Bootstrap blocks of neighbouring genes."""
        blocks, _ = blocks_of(genes, values.index)
        return stats.block_bootstrap(values.to_numpy(float), blocks, seed=seed, **how)

    rows = []
    for group, part in table.groupby("group", sort=False):
        wide = part.pivot(index="gene_id", columns="method", values="r")
        people = int(part["n"].median())
        for method in part["method"].unique():
            r, row = wide[method].dropna(), {"group": group, "method": method}
            if group == ACROSS:
                if method == OBSERVED:
                    continue
                r = wide[[OBSERVED, method]]
                row["r"] = r.corr().iloc[0, 1]
                low, high = interval(r, statistic=stats.weighted_pearson, weighted=True)
            else:
                row["r"], (low, high) = r.mean(), interval(r)
            row |= {"ci_low": low, "ci_high": high, "genes": len(r), "people": people}
            if TUNED in wide and method != TUNED:
                gain = (wide[TUNED] - wide[method]).dropna()
                low, high = interval(gain)
                row |= {"gain": gain.mean(), "gain_low": low, "gain_high": high}
            rows.append(row)
    return pd.DataFrame(rows)
