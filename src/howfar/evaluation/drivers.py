"""Table `drivers`: the few variants that carry each run's predictions, beside the eQTL's slope.

A network's effects are those of `howfar effects`; a linear model's are its weights, and the
prediction is then the sum of weights times copies. People are those with expression.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from howfar.attribution import drivers
from howfar.core.errors import HowfarError
from howfar.core.registry import DRIVER_RULES
from howfar.evaluation.inputs import Inputs, Table
from howfar.genome.intervals import Variant
from howfar.results import policy, tables

#: Feature: r over people of the sum of a gene's variant effects with the run's prediction.
APPROXIMATION = "linear_approximation_r"


@dataclass(frozen=True)
class Attributed:
    """One run's effects on one gene, all arrays over the same variants or people.

    copies: (variants, people), missing calls as the reference. prediction, observed: (people,).
    tss: 1-based.
    """

    run_id: str
    gene_id: str
    tss: int
    variants: list[Variant]
    effects: np.ndarray
    copies: np.ndarray
    prediction: np.ndarray
    observed: np.ndarray

    def rows(self, rule: str) -> pd.DataFrame:
        """Rows of table `drivers`, by a rule of the registry."""
        return pd.DataFrame(self.columns(rule))

    def columns(self, rule: str) -> dict[str, Any]:
        """Columns of these rows: sequences of one length."""
        found = DRIVER_RULES.load(rule)(self.effects, self.copies, self.prediction)
        chosen = found["variant"].to_numpy(int)
        slopes = drivers.slopes(self.copies[chosen], self.observed) if len(chosen) else []
        variants = [self.variants[i] for i in chosen]
        return {
            "run_id": [self.run_id] * len(chosen),
            "gene_id": [self.gene_id] * len(chosen),
            "variant": [str(v) for v in variants],
            "effect": self.effects[chosen],
            "eqtl_slope": slopes,
            "distance": [v.start0 - (self.tss - 1) for v in variants],
            "gain": found["gain"],
            "carriers": (self.copies[chosen] > 0).sum(axis=1),
            "is_main": found.index == found["gain"].idxmax() if len(found) else [],
        }


def make(inputs: Inputs) -> Table:
    """Table `drivers`, by the rule of the study's file.

    Weights of linear models are trained on people: those of a private study stay out.
    """
    runs = [run.id for run in inputs.predicted]
    if policy.shows_people(inputs.study) or inputs.study.weights == "shareable":
        runs += [each.predictions.run_id for each in inputs.linear]
    return Table("drivers", drivers_of(inputs, runs, inputs.options.drivers))


def drivers_of(inputs: Inputs, runs: list[str], rule: str) -> pd.DataFrame:
    """Table `drivers` of some runs by one rule."""
    parts = [gene.columns(rule) for gene in attributed(inputs, runs)]
    # One frame of all: one a gene takes longer than the drivers themselves.
    columns = {
        name: list(chain.from_iterable(p[name] for p in parts)) for name in (parts or [{}])[0]
    }
    frame = tables.stack("drivers", [pd.DataFrame(columns)], "drivers")
    if inputs.external_eqtls is None or frame.empty:
        return frame
    slopes = inputs.published_slopes(frame).rename(columns={"slope": "eqtl_slope"})
    keys = ["gene_id", "variant"]
    plain = frame.drop(columns="eqtl_slope").astype(dict.fromkeys(keys, object))
    beside = plain.merge(slopes[[*keys, "eqtl_slope"]], on=keys, how="left")
    return tables.stack("drivers", [beside[frame.columns]], "published eQTLs")


def approximations(inputs: Inputs, runs: list[str] | None = None) -> pd.DataFrame:
    """Rows of table `features`: `APPROXIMATION` of each run and gene with effects.

    runs: None: all networks. A linear model's is 1: its prediction is such a sum.
    """
    runs = [run.id for run in inputs.predicted] if runs is None else runs
    rows = [
        (gene.gene_id, APPROXIMATION, drivers.approximation(*_three(gene)), source_of(gene.run_id))
        for gene in attributed(inputs, runs)
    ]
    return pd.DataFrame(rows, columns=["gene_id", "feature", "value", "source"])


def source_of(run: str) -> str:
    """Source, in table `features`, of what is known of a gene by one run."""
    return f"run {run}"


def _three(gene: Attributed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return gene.effects, gene.copies, gene.prediction


def attributed(inputs: Inputs, runs: list[str]) -> Iterator[Attributed]:
    """Yield the runs' effects of variants, gene by gene, with people's copies and predictions."""
    effects = inputs.table("effects").frame
    given = {run: part for run, part in effects.groupby("run_id")}
    given |= {
        each.predictions.run_id: each.weights.rename(columns={"weight": "effect"})
        for each in inputs.linear
    }
    networks = {run.run_id: run.people for run in inputs.networks}
    tss = inputs.panel.genes.set_index("gene_id")["tss"]
    for run in (run for run in runs if run in given):
        for gene, part in given[run].groupby("gene_id"):
            people = networks.get(run)
            known_to = [inputs.panel.expression] + ([] if people is None else [people])
            if not all(gene in frame.index for frame in known_to):
                continue
            copies, variants = inputs.dosages_of(run)(gene)
            effect = part.set_index("variant")["effect"].astype(float)
            place = pd.Index([str(v) for v in variants]).get_indexer(effect.index)
            chosen, known = place[place >= 0], effect.to_numpy()[place >= 0]
            copies = np.nan_to_num(copies[:, chosen].T.astype(float))
            samples = inputs.panel.expression.columns
            yield Attributed(
                run,
                gene,
                int(tss[gene]),
                [variants[i] for i in chosen],
                known,
                copies,
                known @ copies if people is None else people.loc[gene, samples].to_numpy(float),
                inputs.panel.expression.loc[gene].to_numpy(float),
            )


def chosen_run(inputs: Inputs, run: str) -> str:
    """Check the name of a run, or of a linear model, that has effects; the first if ''."""
    having = list(dict.fromkeys(inputs.table("effects").frame["run_id"]))
    having += [each.predictions.run_id for each in inputs.linear]
    if not having or (run and run not in having):
        raise HowfarError(
            f"study {inputs.study.name}, run {run!r}" if run else f"study {inputs.study.name}",
            found="no effects of variants",
            expected=f"a run with effects: {', '.join(having) or 'none yet'}",
            do=f"Run `howfar effects --study {inputs.study.handle}` first.",
        )
    return run or having[0]
