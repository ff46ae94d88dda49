"""Make bundles: from a study's run, from what `howfar.predict` returns, or from a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from howfar import stats
from howfar.board import bundle
from howfar.board.archive import rounded
from howfar.board.bundle import Bundle, Kind, Seen, Submission
from howfar.board.tasks import Answers, answers_of, task_of, tasks
from howfar.core.errors import HowfarError, NotMade
from howfar.core.project import results_root
from howfar.evaluation.inputs import Evaluable
from howfar.fetch.licences import CONSENT
from howfar.results import policy, tables
from howfar.study.schema import Study

#: Median r over genes of a study's own expression with the task's, below which its people are
#: others with the same names.
_SAME = 0.5
NOT_STATED = "not stated"
_LINE = "one line without <, >, | and `"
_PLAIN = {"name": "small letters and digits, joined by one of . _ -"}


@dataclass(frozen=True)
class Submitted:
    """A bundle that was written: its file, what it says, and what of the table it left out."""

    path: Path
    submission: Submission
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        said = self.submission
        return (
            f"{said.label}, task {said.task}: {said.genes:,} genes, {said.people:,} people, "
            f"mean r across people {said.mean_r:.3f}, in {self.path}"
        )


def submit(
    task: str,
    predictions: pd.DataFrame | Evaluable,
    out: str | Path,
    *,
    label: str = "",
    kind: Kind | None = None,
    licence: str = "",
    made: str = "",
    people_seen: Seen = "unknown",
    genes_seen: Seen = "unknown",
    name: str = "",
) -> Submitted:
    """Write predictions for a public task as a bundle, which `howfar score` and the board take.

    Parameters
    ----------
    task
        A name of ``data/tasks.yaml``: "geuvadis", "ceu89", "demo", "demo_kind", "demo_peaks", or
        "example" to practise.
    predictions
        Numbers, gene_id x sample, on a scale on which differences between people count (the
        logarithm of expression, say); or what `howfar.predict` or `howfar.fit_linear` returns.
    out
        The file to write.
    label, kind, licence, made
        How the board calls the model; network, linear or other; the licence of the predictions;
        how they were made. As the run says where left out.
    people_seen, genes_seen
        Whether the model was trained on expression of the task's people ("no" where each was
        predicted out of fold), and of its genes: "no", "in part", "yes", "unknown".
    name
        Of its file on the board; made of the label where left out.

    Returns
    -------
    Submitted
        `.path`, `.submission` and `.counts`.

    Raises
    ------
    HowfarError
        For an unknown task, people of the task without a prediction, infinite numbers, a private
        study, terms that were not accepted, words that name a person or a folder.

    Examples
    --------
    >>> import tempfile, howfar as hf
    >>> out = tempfile.mkdtemp() + "/bundle.zip"
    >>> linear = hf.fit_linear(hf.example_cohort(), "top1", folds=2)
    >>> hf.submit("example", linear, out, licence="CC0-1.0").submission.genes
    6
    """
    row: dict[str, Any] = {}
    if not isinstance(predictions, pd.DataFrame):
        cohort = getattr(predictions, "cohort", None)
        if cohort is not None:
            policy.require_public(cohort.study, "predictions for a public task")
        row, predictions = predictions.run_row, predictions.predictions.people
    said = {"label": label, "kind": kind, "licence": licence, "made": made, "name": name}
    said |= {"people_seen": people_seen, "genes_seen": genes_seen}
    return _write(answers_of(task_of(task), results_root()), predictions, row, Path(out), said)


def submit_run(
    study: Study, run: str, out: Path, results: Path, task: str = "", **said: Any
) -> Submitted:
    """Write a run of an evaluated study as a bundle; said: as `submit`, the run's where left out.

    task: the one of the study where left out. HowfarError too where the study has other people
    under the task's names.
    """
    policy.require_public(study, "predictions for a public task")
    asked = task or next((each.name for each in tasks().values() if each.study == study.name), "")
    if not asked:
        raise HowfarError(
            "--task",
            found=f"none, and study {study.name} has none of its own",
            expected=f"one of {', '.join(tasks())}",
            do="Give --task.",
        )
    answers, path = answers_of(task_of(asked), results), _individuals(study, results)
    rows = tables.read(path, "individuals")
    runs = tables.read(tables.path_of(results, study.name, "runs"), "runs")
    runs = runs[runs["run_id"].isin(rows["run_id"].unique()) & (runs["kind"] != "truth")]
    if run not in set(runs["run_id"]):
        raise HowfarError(
            "--run",
            found=repr(run),
            expected=f"a model with predictions of people: {', '.join(runs['run_id'])}",
            do="Correct --run.",
        )
    row = runs.set_index("run_id", drop=False).loc[run].dropna().to_dict()
    wide = rows[rows["run_id"] == run].pivot(index="gene_id", columns="sample")
    _require_same_people(study, wide["observed"], answers)
    licence = row.get("licence", "")
    if licence in CONSENT and study.terms is None:
        raise HowfarError(
            f"{study.place}, run {run}",
            found=f"values under the {licence}",
            expected="values that may be given to others",
            do=f"Read {CONSENT[licence][1]}; if they permit what you do, write "
            "`terms: accepted-for-research` in the study file.",
        )
    return _write(answers, wide["predicted"], row, out, said)


def _individuals(study: Study, results: Path) -> Path:
    path = tables.path_of(results, study.name, "individuals")
    if not path.is_file():
        raise NotMade(
            str(path),
            found="no such file",
            expected="predictions beside expression",
            do=f"Run `howfar evaluate --study {study.handle}`.",
        )
    return path


def _require_same_people(study: Study, observed: pd.DataFrame, answers: Answers) -> None:
    """HowfarError where the study's expression isn't that of the task's people."""
    theirs = answers.judged.expression
    mine = observed.reindex(index=theirs.index, columns=theirs.columns)
    r, _ = stats.pearson_rows(mine.to_numpy(float), theirs.to_numpy(float))
    middle = float(np.nanmedian(r)) if np.isfinite(r).any() else np.nan
    if not middle >= _SAME:
        raise HowfarError(
            f"study {study.name}",
            found="other people than the task's: over genes, the median r of their expression "
            f"with the task's is {middle:.2f}",
            expected=f"the people of task {answers.task.name}, r above {_SAME}",
            do=f"Take the files of study {answers.task.study}; simulated ones of this version.",
        )


def _write(
    answers: Answers, people: pd.DataFrame, row: dict[str, Any], out: Path, said: dict[str, Any]
) -> Submitted:
    made, counts = bundle_of(answers, people, row, said)
    return Submitted(out, bundle.write(out, made), counts)


def published(answers: Answers) -> list[Bundle]:
    """Return the task's published predictions as bundles, which are in memory only."""
    words = answers.task.published
    made = (
        bundle_of(answers, people, row, words.get(_kind(row), {}))
        for row, people in answers.published
    )
    return [each for each, _ in made]


def _kind(row: dict[str, Any]) -> Kind:
    return {"network": "network", "linear": "linear", "lead_snp": "linear"}.get(
        row.get("kind", ""), "other"
    )


def bundle_of(
    answers: Answers, people: pd.DataFrame, row: dict[str, Any], said: dict[str, Any]
) -> tuple[Bundle, Counter[str]]:
    """Make a bundle of predictions (gene_id x sample), and count what is left out.

    row: of table `runs`, where there is one; what is `said` goes before it.
    """
    values, counts = _cut(people, answers, "predictions")
    given = {key: value for key, value in said.items() if value}
    licence = str(row.get("licence") or "")
    if licence and given.get("licence", licence) != licence:
        raise HowfarError(
            "--licence",
            found=repr(given["licence"]),
            expected=f"the {licence}, which values of this network carry",
            do="Leave --licence out.",
        )
    label = str(given.get("label") or row.get("label") or "A model")
    fields: dict[str, Any] = {
        "label": label,
        "kind": _kind(row),
        "licence": licence or NOT_STATED,
        "made": _made(row) or NOT_STATED,
        "name": bundle.name_of(label),
        "people_seen": "unknown",
        "genes_seen": "unknown",
    }
    fields |= given | {"task": answers.task.name, "task_sha256": answers.sha256}
    try:
        submission = Submission(**fields, **bundle.summary_of(values, answers))
    except ValidationError as error:
        first = error.errors()[0]
        raise HowfarError(
            f"--{str(first['loc'][0]).replace('_', '-')}",
            found=repr(first["input"]),
            expected=_PLAIN.get(str(first["loc"][0]), _LINE)
            if first["type"] == "string_pattern_mismatch"
            else first["msg"],
            do="Correct it.",
        ) from error
    bundle.check_words(submission, answers, "--made")
    return Bundle(submission, values), counts


def _cut(people: pd.DataFrame, answers: Answers, place: str) -> tuple[np.ndarray, Counter[str]]:
    """Values in the task's order, genes x people, as the bundle keeps them; what was left out."""
    for axis, what in ((people.index, "gene"), (people.columns, "person")):
        if axis.duplicated().any():
            raise HowfarError(
                place,
                found=f"{int(axis.duplicated().sum())} {what}s twice",
                expected=f"each {what} once",
                do="Leave one of them out.",
            )
    try:
        given = people.set_axis(people.index.astype(str)).set_axis(
            people.columns.astype(str), axis=1
        )
        full = given.reindex(index=answers.genes, columns=answers.people).astype(float)
    except (TypeError, ValueError) as error:
        raise HowfarError(
            place,
            found=f"cells that are no numbers ({error})",
            expected="numbers",
            do="Correct it.",
        ) from error
    lacking = full.columns.difference(given.columns)
    if len(lacking) or not given.index.isin(answers.genes).any():
        raise HowfarError(
            place,
            found=f"{len(lacking):,} of the task's {len(answers.people):,} people lacking"
            if len(lacking)
            else f"none of the task's {len(answers.genes):,} genes",
            expected=f"gene ids as rows and people as columns, as study {answers.task.study} has",
            do="Predict all people of the task; a gene may be left out, which counts as r = 0.",
        )
    counts = Counter(
        {
            "genes of the table that the task doesn't have": int(
                (~given.index.isin(full.index)).sum()
            ),
            "people of the table that the task doesn't have": len(given.columns) - full.shape[1],
            "genes of the task without a prediction, which count as r = 0": int(
                full.isna().all(axis=1).sum()
            ),
        }
    )
    values = np.where(answers.asked, full.to_numpy(), np.nan)
    bundle.check_values(values, answers, place)
    return rounded(values), counts


def _made(row: dict[str, Any]) -> str:
    """How a run was made, in words, from its row of table `runs`."""
    shown = ("model", "tracks", "bins", "transform", "context", "alleles", "split", "units")
    words = "; ".join(f"{name}: {row[name]}" for name in shown if row.get(name))
    return words.replace(" > ", ", ")[:800]
