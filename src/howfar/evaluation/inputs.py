"""What the result tables of a study are made from: its cohort, and the predictions on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from howfar.cohort.known_values import true_values
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Dosages, Panel, cached_dosages
from howfar.core.errors import HowfarError, NotMade
from howfar.core.project import resolve
from howfar.core.registry import TABLES
from howfar.eqtl import study_map
from howfar.eqtl.external import ExternalEqtls, read_external
from howfar.eqtl.study_map import Map
from howfar.evaluation.lead_snp import lead_snp_run
from howfar.genome.intervals import Gene
from howfar.linear import baseline
from howfar.linear.baseline import LinearPredictions
from howfar.prediction.store import Store, collect, finished_genes, require_store
from howfar.results.predictions import Predictions
from howfar.study.schema import Evaluation, Run, Study

LEAD_SNP, TRUTH = "lead_snp", "truth"


@dataclass(frozen=True)
class Table:
    """A result table: its name, its rows, and counts of what was left out."""

    name: str
    frame: pd.DataFrame
    counts: Counter[str] = field(default_factory=Counter)


class Evaluable(Protocol):
    """What an evaluation takes: predictions, their row of table `runs`, folds where held out."""

    @property
    def predictions(self) -> Predictions:
        """Predictions of people and of the reference."""

    @property
    def run_row(self) -> dict[str, Any]:
        """The row of table `runs`."""

    @property
    def folds(self) -> pd.DataFrame | None:
        """In which fold each person was held out, gene_id x sample; None: in none."""


@dataclass(frozen=True)
class Inputs:  # frozen, but not slotted: what is derived is made once and kept
    """What a study's result tables are made from; no model is opened.

    networks: predictions of the study's runs, in its order. stores: where each lies, by run_id.
    linear: of the study's linear models. results: the folder with what other commands left.
    """

    cohort: OpenCohort
    panel: Panel
    networks: tuple[Predictions, ...]
    stores: Mapping[str, Store]
    linear: tuple[LinearPredictions, ...]
    results: Path
    _tables: dict[str, Table] = field(default_factory=dict, repr=False)

    def table(self, name: str) -> Table:
        """A result table by the maker registered under its name; made once."""
        if name not in self._tables:
            self._tables[name] = TABLES.load(name)(self)
        return self._tables[name]

    @property
    def study(self) -> Study:
        """The study's file."""
        return self.cohort.study

    @property
    def predicted(self) -> list[Run]:
        """The study's runs whose predictions are there."""
        return [run for run in self.study.runs if run.id in self.stores]

    @property
    def options(self) -> Evaluation:
        """Options of the statistics."""
        return self.study.evaluation

    @cached_property
    def lead_snp(self) -> tuple[Predictions, pd.DataFrame]:
        """Out-of-fold predictions by the lead cis-eQTL, and their folds."""
        options = self.options
        return lead_snp_run(
            self.panel,
            LEAD_SNP,
            options.folds,
            options.seed,
            options.min_maf,
            options.cis_window,
        )

    @cached_property
    def truth(self) -> Predictions | None:
        """The true genetic values of a simulated study."""
        values = true_values(self.study)
        if values is None:
            return None
        return Predictions(TRUTH, values, pd.Series(np.nan, index=values.index))

    @property
    def models(self) -> tuple[Predictions, ...]:
        """Networks and linear models, without the lead SNP."""
        return (*self.networks, *(each.predictions for each in self.linear))

    @property
    def runs(self) -> tuple[Predictions, ...]:
        """All predictions: networks, the lead SNP, linear models, the truth where known."""
        linear = (each.predictions for each in self.linear)
        truth = () if self.truth is None else (self.truth,)
        return (*self.networks, self.lead_snp[0], *linear, *truth)

    @property
    def context(self) -> dict[str, int]:
        """Window of each network with kept predictions, bp."""
        return {run: store.description.context for run, store in self.stores.items()}

    @cached_property
    def _wide_dosages(self) -> Dosages:
        """Dosages as far as any network's window may reach."""
        reach = 2 * max(self.context.values())
        return cached_dosages(lambda gene: self.cohort.dosages(gene, reach))

    def dosages_of(self, run: str) -> Dosages:
        """Dosages of the variants that a run sees, or more: a network, or a linear model."""
        if run in self.stores:
            return self._wide_dosages
        if self.study.baselines.window <= self.options.cis_window and self.panel.dosages:
            return self.panel.dosages
        return lambda gene: self.cohort.dosages(gene, self.study.baselines.window)

    @cached_property
    def external_eqtls(self) -> ExternalEqtls | None:
        """Published slopes, which stand in place of the study's own; None where none are named."""
        options = self.study.eqtl
        if options is None or options.external is None:
            return None
        return read_external(resolve(options.external), list(self.panel.expression.index))

    def published_slopes(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Published slopes of pairs (gene_id, variant), what was met counted."""
        found, counts = self.external_eqtls.slopes(pairs)
        self.cohort.warnings |= counts
        return found

    @cached_property
    def eqtl_map(self) -> Map | None:
        """The study's cis-eQTL map (see `eqtl_map_of`)."""
        return eqtl_map_of(self.cohort, self.panel, self.results)


def read_inputs(study: Study, results: str | Path) -> Inputs:
    """Open a study's cohort and read the predictions that are there; others are counted.

    Raises NotMade where the study has runs or linear models, and none of them is there.
    """
    cohort = OpenCohort(study)
    panel = cohort.panel()
    stores, networks, lacking = {}, [], []
    for run in study.runs:
        try:
            store = require_store(cohort, run, results)
            genes = finished_genes(cohort, run, store)
        except NotMade as error:
            cohort.warnings[f"runs left out: {run.id} ({error.found})"] += 1
            lacking.append(error)
            continue
        stores[run.id] = store
        networks.append(predictions_of(cohort, run, store, genes))
    linear = tuple(baseline.finished(cohort, results))
    if not (networks or linear):
        for model in study.baselines.models:
            baseline.read_finished(cohort, model, results)
        for error in lacking[:1]:
            raise error
    return Inputs(cohort, panel, tuple(networks), stores, linear, Path(results))


def predictions_of(
    cohort: OpenCohort, run: Run, store: Store, genes: Sequence[Gene]
) -> Predictions:
    """Read a run's predictions of a cohort's people, without whom it was trained on."""
    people, reference, regions = collect(store, genes, cohort.samples, run.transform)
    known = None if regions.isna().all() else regions
    return Predictions(run.id, store.description.held_out(people), reference, known)


def eqtl_map_of(cohort: OpenCohort, panel: Panel, results: str | Path) -> Map | None:
    """The study's cis-eQTL map: as the study says, made now if need be, or what `howfar eqtl` made.

    Raises HowfarError where the study says how, and `howfar eqtl` made it in another way.
    """
    study, path = cohort.study, study_map.path_of(results, cohort.study.name, "lead")
    found = study_map.load(study, results)
    if study.eqtl is None:
        cohort.warnings["cis-eQTL maps that are out of date"] += found is None and path.is_file()
        return found
    if found is not None and found.by_hand:
        differ = study_map.key_of(study, study.eqtl).differences(found.key)
        if differ:
            raise HowfarError(
                str(path),
                found=f"a map that `howfar eqtl` made in another way: {', '.join(differ)}",
                expected="the options of the study file's key `eqtl`",
                do=f"Name the options there, or map as it says: `howfar eqtl --study "
                f"{study.handle}`.",
            )
    return study_map.compute(study, cohort, panel, results, study.eqtl)
