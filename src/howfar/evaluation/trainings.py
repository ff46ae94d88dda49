"""Rows of table `summary` on the networks that `howfar finetune` trained on a study's people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar import stats
from howfar.core import sealed
from howfar.core.provenance import digest
from howfar.results import tables
from howfar.stats.blocks import blocks_of
from howfar.training.fine_tune import CONFIG, MADE_OF, SCORES, folder_of
from howfar.training.recipe import Recipe, recipe_of

#: Sets of table `summary`: r by training, its mean over seeds, and the curve of a training.
TRAINED, MEAN, CURVE = "trained", "trained.mean", "trained.curve"
#: The group of `howfar bench finetune` that is one correlation over genes.
ACROSS = "across genes"
#: Options by which trainings of one strategy are told apart, and how a label says them.
_TOLD = ("train", "init", "head", "target", "batch_norm", "mixing", "input", "maf", "others")


def rows(
    study: str, results: Path, inputs: Mapping[str, Path], genes: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, Counter[str]]:
    """Return the rows, and counts of trainings that other files were read for.

    inputs: the study's files by role. A mean is over genes of r in one group of people and genes
    (`fine_tune.GROUPS`), with its block-bootstrap interval; x: people who train a gene; replicate:
    the seed of splits and training, or 1 for the mean over seeds. Of a curve, x is the epoch,
    `group` what is watched in validation, and replicate counts the trainings.
    """
    counts: Counter[str] = Counter()
    now = cache(digest)
    parts, curves = [], []
    for config_file in sorted(folder_of(results, study, "x").parent.glob(f"*/{CONFIG}")):
        folder = config_file.parent
        if not (folder / SCORES).is_file():
            continue
        made = sealed.read_json(folder / MADE_OF)
        if any(
            now(inputs[role]) != kept for role, kept in made["inputs"].items() if role in inputs
        ):
            counts["trainings of other files left out"] += 1
            continue
        config = sealed.read_json(config_file)
        recipe = config["recipe"]
        trains = [len(p.get("train", ())) for p in config["splits"]["people"].values()]
        key = {
            "method": label_of(recipe),
            "x": round(max(trains) * recipe["ratio"]),
            "seed": recipe["seed"],
        }
        parts.append(sealed.read_own_parquet(folder / SCORES).assign(**key))
        curve = _curve(folder, recipe["monitor"])
        curves.append(curve.assign(method=key["method"], replicate=len(parts)))
    if not parts:
        return tables.empty("summary"), counts
    table, found = pd.concat(parts, ignore_index=True), []
    names = ["method", "group", "x"]
    for (method, group, x), part in table.groupby(names, sort=False):
        each = {"method": method, "group": group, "x": x}
        for replicate, one in part.groupby("seed"):
            mean = {"set": TRAINED, "replicate": replicate, "value": one["r"].mean()}
            found.append(each | mean | {"n": len(one)})
        r = part.groupby("gene_id")["r"].mean()
        blocks, _ = blocks_of(genes, r.index)
        low, high = stats.block_bootstrap(r.to_numpy(float), blocks, np.mean, seed=seed)
        mean = {"set": MEAN, "replicate": 1, "value": r.mean(), "n": len(r)}
        found.append(each | mean | {"ci_low": low, "ci_high": high})
    means = pd.DataFrame(found).assign(units="mean r over genes; x: people who train")
    curve = pd.concat(curves, ignore_index=True).assign(set=CURVE, n=1, units="x: epochs")
    return pd.concat([means, curve], ignore_index=True), counts


def label_of(recipe: dict[str, Any]) -> str:
    """Name a training: its strategy, and those of its options that aren't the strategy's own."""
    usual = recipe_of(recipe["strategy"], {})
    known = {field.name for field in fields(Recipe)}
    told = [
        f"{name} {recipe[name]}".replace("_", " ")
        for name in _TOLD
        if name in known and recipe.get(name, getattr(usual, name)) != getattr(usual, name)
    ]
    told += ["from a reference model"] if recipe.get("start") else []
    return ", ".join([recipe["strategy"].replace("_", " "), *told])


def _curve(folder: Path, monitor: str) -> pd.DataFrame:
    """Read what was watched in validation by epoch, 0 before training: columns x, group, value."""
    logs = map(pd.read_csv, sorted((folder / "logs").glob("metrics*.csv")))  # one each time it ran
    log = pd.concat([pd.DataFrame(columns=["epoch"]), *logs], ignore_index=True)
    column = "val_loss" if monitor == "loss" or "val_score" not in log else "val_score"
    if column not in log:
        return pd.DataFrame(columns=["x", "group", "value"])
    kept = log.dropna(subset=[column]).drop_duplicates("epoch", keep="last")
    words = "validation loss" if column == "val_loss" else f"validation {monitor}"
    return pd.DataFrame({"x": kept["epoch"] + 1, "group": words, "value": kept[column]})
