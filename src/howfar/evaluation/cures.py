"""Rows of table `summary` on cures of a network (`attribution.cures`): means over genes of r."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from howfar import stats
from howfar.attribution import cures, tracks
from howfar.attribution.cures import Options
from howfar.cohort.files import input_files
from howfar.cohort.known_values import true_values
from howfar.cohort.opened import OpenCohort
from howfar.core.project import resolve
from howfar.core.threads import one_thread
from howfar.models.base import SequenceModel
from howfar.models.readout import Readout
from howfar.prediction.run import open_model
from howfar.prediction.store import find_store
from howfar.results import cache
from howfar.results.cache import Key
from howfar.results.policy import require_fitting
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Cures, Run, Study

if TYPE_CHECKING:
    from howfar.simulate.hard.report import Peaks

#: Set of table `summary`: mean r across people. method: a cure; group: which genes and people.
CURES = "cures"
#: Raised where values of these rows alone change.
_COMPARISON = 3
RECIPE = "sagenet2024"  # of weights of all tracks
#: Set of rows on sets of tracks, weighted across genes.
TRACKS = "tracks"
#: Set of rows on accessibility across people.
PEAKS = "peaks"
CEILING = "True genetic value"
ALL = f"all genes, {cures.PEOPLE}"
SEEN, UNSEEN = "genes the network learnt from", "genes it never saw"


def path_of(results: str | Path, study: str) -> Path:
    """Where `howfar cures` writes a study's rows of table `summary`."""
    return Path(results) / study / "cures" / "summary.parquet"


def key_of(cohort: OpenCohort, results: str | Path, options: dict) -> Key:
    """Return the cache key of the rows; options: of the comparison, run and weights included.

    The weights are those of the run's predictions, so that rows of older ones are out of date.
    """
    run = next((each for each in cohort.study.runs if each.id == options["run"]), None)
    store = None if run is None else find_store(cohort, run, results)
    if run is None or store is not None:
        now = None if store is None else store.description.weights_sha256
        options = options | {"weights_sha256": now}
    return _key(cohort, options)


def _key(cohort: OpenCohort, options: dict) -> Key:
    return cache.cohort_key(
        cohort, "cures", options, ["attribution", "evaluation", "linear", "prediction", "stats"]
    )


def load(cohort: OpenCohort, results: str | Path) -> pd.DataFrame:
    """The rows that `run` wrote; none where they are out of date."""
    return cache.read_rows(path_of(results, cohort.study.name), partial(key_of, cohort, results))


def options_of(study: Study) -> Options:
    """Options of the study file's key `cures`, or what they are without it."""
    return Options(**(study.cures or Cures()).model_dump(exclude={"run"}))


def run(study: Study, chosen: Run, results: str | Path, options: Options | None = None) -> Path:
    """Compare the cures of one run's network on a study's cohort; return the path of the rows.

    options: those of the study where left out.
    """
    cohort, path = OpenCohort(study), path_of(results, study.name)
    options = cures.with_populations(options or options_of(study), cohort.panel().groups)
    require_fitting(study, [chosen], "cures")
    model = open_model(chosen)
    named = {"run": chosen.id, "weights_sha256": model.weights_sha256}
    named |= {"version": dict(model.version), "comparison": _COMPARISON}
    key = _key(cohort, asdict(options) | named)
    if not cache.is_current(path, key):
        peaks = _peaks(study, model)
        with one_thread():
            readout, sets = _track_sets(cohort, chosen, model, options)
            watch = peaks and peaks.watch
            data = list(cures.gene_data(cohort, chosen, model, options, watch, readout))
            table = cures.compare(data, cures.splits_of(cohort, options), options)
        genes = cohort.panel().genes
        rows = rows_of(with_ceiling(table, cohort, options), genes, options.seed)
        rows = pd.concat([rows, sets])
        if peaks:
            rows = pd.concat([rows, peak_rows(peaks.table, genes, options.seed)])
        cache.write_rows(path, rows, key, input_files(cohort.study), seed=options.seed)
    return path


def _track_sets(
    cohort: OpenCohort, run: Run, model: SequenceModel, options: Options
) -> tuple[Readout | None, pd.DataFrame]:
    """Weigh tracks of a simulated world's network across genes: all, and some; rows of `summary`.

    Rows of set `TRACKS`: r across the genes of each split (group) of all tracks, of the run's, of
    those that it is told the sign of, and of all but the run's (method). None, and no rows, of
    other studies: networks of thousands of tracks have a run with the key `readout`.
    """
    if not cohort.study.simulate:
        return None, pd.DataFrame()
    reference = tracks.reference_features(cohort, model, RECIPE)
    if reference.fewest < tracks.FEWEST:
        return None, pd.DataFrame()
    names = model.tracks["description"].astype(str).tolist()
    own = [model.tracks.index.get_loc(number) for number in model.track_indices(run.tracks)]
    told = [i for i, name in enumerate(names) if name.startswith(options.tracks)]
    rest = [i for i in range(len(names)) if i not in own]
    sets = {"all tracks": list(range(len(names))), ", ".join(names[i] for i in own): own}
    sets |= {f"{options.tracks} tracks": told, "all but the run's own": rest}
    fits = {
        f"{name} ({len(chosen)})": tracks.fit(reference, RECIPE, tracks=chosen)
        for name, chosen in sets.items()
        if chosen
    }
    parts = [each.r.assign(method=name) for name, each in fits.items()]
    rows = pd.concat(parts).rename(columns={"split": "group", "r": "value"})
    return next(iter(fits.values())).readout, rows.assign(
        set=TRACKS, units="r across genes", replicate=1
    )


def _peaks(study: Study, model: SequenceModel) -> Peaks | None:
    """Measured accessibility of a simulated world's peaks, where the network has such a track."""
    folder = resolve(study.cohort.reference).parent
    there = study.simulate and all((folder / f"peaks.{end}").is_file() for end in ("csv", "bed.gz"))
    has_track = "accessibility" in set(model.tracks["description"])
    if not (there and has_track):
        return None
    from howfar.simulate.hard.report import Peaks  # imports what simulates

    return Peaks(folder, model)


def peak_rows(table: pd.DataFrame, genes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Rows of table `summary` on accessibility across people.

    table: peak, gene_id, r, ceiling. Sets: `PEAKS`, means of the network's r and of the ceiling;
    and its `.r`, one row a peak (method).
    """
    keyed = table.set_index("gene_id")
    rows = [
        {"method": cures.LABELS[cures.NETWORK]} | _mean(keyed["r"], genes, seed),
        {"method": CEILING} | _mean(keyed["ceiling"], genes, seed),
    ]
    means = pd.DataFrame(rows).assign(set=PEAKS, units="mean r over peaks")
    each = table.rename(columns={"peak": "method", "r": "value", "ceiling": "x"})
    each = each.drop(columns="gene_id").assign(set=f"{PEAKS}.r", units="r across people", n=1)
    return pd.concat([means, each]).assign(group="accessibility of peaks", replicate=1)


def with_ceiling(table: pd.DataFrame, cohort: OpenCohort, options: Options) -> pd.DataFrame:
    """Add the r of the true genetic value, on the same genes and people, where it is known."""
    truth = true_values(cohort.study)
    if truth is None:
        return table
    values, panel = truth[cohort.samples], cohort.panel()
    parts = [table]
    for name, split in cures.splits_of(cohort, options).items():
        there = np.flatnonzero(split.fold() >= 0)
        rows = table[(table["split"] == name) & (table["method"] == cures.NETWORK)]
        genes = rows["gene_id"]
        r, _ = stats.pearson_rows(
            values.loc[genes].to_numpy()[:, there], panel.expression.loc[genes].to_numpy()[:, there]
        )
        parts.append(rows.assign(method=CEILING, r=r))
    return pd.concat(parts, ignore_index=True)


def rows_of(table: pd.DataFrame, genes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean r of each method in each group, with block-bootstrap intervals over genes.

    Groups: all genes, those the network and the pooled weights learnt from and those they didn't,
    each in people not trained on; and the population judged. Methods of one gene's people learn
    from that gene's own, wherever it lies.
    """
    people = table[table["split"] == cures.PEOPLE]
    groups = {ALL: people, SEEN: people[people["seen"]], UNSEEN: people[~people["seen"]]}
    groups |= {n: rows for n, rows in table.groupby("split", sort=False) if n != cures.PEOPLE}
    out = []
    for group, rows in groups.items():
        for method, part in rows.groupby("method", sort=False):
            out.append(
                {"method": cures.LABELS.get(method, method), "group": group}
                | _mean(part.set_index("gene_id")["r"], genes, seed)
            )
    return pd.DataFrame(out).assign(set=CURES, units="mean r over genes", replicate=1)


def _mean(r: pd.Series, genes: pd.DataFrame, seed: int) -> dict[str, float | int]:
    blocks, _ = blocks_of(genes, r.index)
    low, high = stats.block_bootstrap(r.to_numpy(float), blocks, np.mean, seed=seed)
    return {"value": r.mean(), "n": len(r), "ci_low": low, "ci_high": high}
