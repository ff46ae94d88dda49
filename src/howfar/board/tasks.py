"""Public tasks: genes and people whose measured values are known to all, to be predicted.

``data/tasks.yaml`` is their registry. A task numbers its genes and people: by name, from 0 on. A
bundle knows them by these numbers alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict

from howfar.board import archive
from howfar.cohort.known_values import true_values
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.core.errors import HowfarError
from howfar.core.project import project_root
from howfar.genome.genes import COLUMNS
from howfar.published import geuvadis_public
from howfar.published.files import Files
from howfar.simulate.example import example_cohort
from howfar.study.reading import load_study

_KEPT = ("task.json", "observed.npy", "truth.npy")


class Task(BaseModel):
    """A task of ``data/tasks.yaml``.

    answers: where measured values come from: tables that others published, the study's cohort, a
    file of ``data/tasks`` (simulated), or the example cohort. published: what submissions made of
    published predictions say. against: submissions of the task
    that all others are compared with, by what they are called. practice: it has no place on the
    board. sha256: of genes, people and answers, so that all scores are of the same ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    words: str
    study: str
    answers: Literal["published", "cohort", "kept", "example"]
    published: dict[str, dict[str, str]] = {}
    against: dict[str, str] = {}
    practice: bool = False
    sha256: str

    @property
    def kept(self) -> Path:
        """The file of a simulated task's answers."""
        return project_root() / "data" / "tasks" / f"{self.name}.zip"


@cache
def _tasks(file: Path) -> dict[str, Task]:
    rows = yaml.safe_load(file.read_text("utf-8"))
    return {name: Task(name=name, **row) for name, row in rows.items()}


def tasks() -> Mapping[str, Task]:
    """Return the public tasks by name."""
    return _tasks(project_root() / "data" / "tasks.yaml")


def task_of(name: str) -> Task:
    """Return the task of that name; HowfarError where there is none."""
    if name not in tasks():
        raise HowfarError(
            "name of a task",
            found=repr(name),
            expected=f"one of {', '.join(tasks())}",
            do="Correct the name.",
        )
    return tasks()[name]


@dataclass(frozen=True)
class Answers:
    """A task's measured values.

    panel: expression (genes x people, in the task's order). asked: which of its values are to be
    predicted. known: whose expression the look-up takes; never one that it is judged on. truth:
    genetic values of a simulation, as the expression, or None. published: predictions that others
    published (their row of table `runs`, gene_id x sample), which are read where they were fetched
    and not kept as bundles.
    """

    task: Task
    panel: Panel
    asked: np.ndarray
    known: np.ndarray
    truth: pd.DataFrame | None = None
    published: tuple[tuple[dict[str, Any], pd.DataFrame], ...] = ()

    @property
    def genes(self) -> pd.Index:
        """Ids of the task's genes, in the order of their numbers."""
        return self.panel.expression.index

    @property
    def people(self) -> pd.Index:
        """Ids of the task's people, in the order of their numbers."""
        return self.panel.expression.columns

    @cached_property
    def judged(self) -> Panel:
        """The panel with only what is asked."""
        expression = self.panel.expression.where(self.asked)
        return Panel(expression, self.panel.genes, self.panel.populations, units=self.panel.units)

    @property
    def lookup(self) -> np.ndarray:
        """Mean expression of each gene in the people whose expression the look-up takes."""
        return self.panel.expression.where(self.known).mean(axis=1).to_numpy(float)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of genes, people, what is asked and the answers."""
        groups = [str(each) for each in self.panel.groups]
        names = [self.genes.tolist(), self.people.tolist(), groups]
        values = self.panel.expression.to_numpy()[self.asked].astype("<f4").tobytes()
        asked = np.packbits(self.asked).tobytes()
        return hashlib.sha256(json.dumps(names).encode() + asked + values).hexdigest()


def answers_of(task: Task, folder: Path) -> Answers:
    """Read a task's answers; folder: results, in which fetched files lie.

    HowfarError where a file is not here, and where it has other genes, people or values than the
    task was made with.
    """
    found = _READ[task.answers](task, folder)
    if found.sha256 != task.sha256:
        raise HowfarError(
            f"task {task.name}",
            found=f"genes, people or measured values with SHA-256 {found.sha256[:12]}",
            expected=f"those that the task was made with, {task.sha256[:12]}",
            do=f"Fetch them again: `howfar fetch {task.study}`.",
        )
    return found


def _published(task: Task, folder: Path) -> Answers:
    study = load_study(task.study)
    files = Files(study.needs, study.name, folder / "sources")
    panel, runs = geuvadis_public.tested_people(files)
    panel = _in_order(panel)
    expression = panel.expression
    asked = runs["blup"].loc[expression.index, expression.columns].notna().to_numpy()
    rows = geuvadis_public.runs_table(study.name).set_index("run_id")
    published = tuple((rows.loc[run].dropna().to_dict(), people) for run, people in runs.items())
    known = expression.notna().to_numpy() & ~asked
    return Answers(task, panel, asked, known, published=published)


def _cohort(task: Task, folder: Path) -> Answers:
    """Answers of a cohort of one population; its genotypes aren't opened."""
    cohort = OpenCohort(load_study(task.study))
    values = cohort.require_expression("as a task's answers").values
    rows = [{column: getattr(gene, column) for column in COLUMNS} for gene in cohort.listed_genes]
    genes = pd.DataFrame(rows)
    known = values.loc[values.index.isin(genes["gene_id"])]
    return _all_asked(task, Panel(known, genes, units=cohort.settings.expression_units))


def _example(task: Task, folder: Path) -> Answers:
    return _all_asked(task, example_cohort().panel())


def _kept(task: Task, folder: Path) -> Answers:
    do = "Take the file from a clone of the project again."
    files = archive.read(task.kept, _KEPT, do)
    names = json.loads(files["task.json"])
    genes, people = pd.DataFrame(names["genes"]), pd.DataFrame(names["people"])
    observed, truth = (
        pd.DataFrame(archive.read_array(files[name]), genes["gene_id"], people["sample"])
        for name in _KEPT[1:]
    )
    panel = Panel(observed, genes, people.set_index("sample")["population"], units=names["units"])
    return _all_asked(task, panel, truth)


_READ = {"published": _published, "cohort": _cohort, "kept": _kept, "example": _example}


def _in_order(panel: Panel) -> Panel:
    """The panel with genes and people by name, without dosages."""
    expression = panel.expression.sort_index(axis=0).sort_index(axis=1)
    return Panel(expression, panel.genes, panel.populations, units=panel.units)


def _all_asked(task: Task, panel: Panel, truth: pd.DataFrame | None = None) -> Answers:
    """Answers of all people; the look-up takes the largest population, or a random half."""
    panel = _in_order(panel)
    groups, counts = np.unique(panel.groups, return_counts=True)
    if len(groups) > 1:
        of_lookup = panel.groups == groups[counts.argmax()]
    else:
        of_lookup = np.random.default_rng(1).permutation(panel.expression.shape[1]) % 2 == 0
    given = panel.expression.notna().to_numpy()
    return Answers(task, panel, given, given & of_lookup, truth)


def keep_answers(task: Task) -> Path:
    """Write the answers of a simulated task, from its study's world in the results folder."""
    study = load_study(task.study)
    panel, truth = _in_order(OpenCohort(study).panel()), true_values(study)
    values = panel.expression
    genes = panel.genes.set_index("gene_id", drop=False).loc[values.index, list(COLUMNS)]
    people = [{"sample": s, "population": g} for s, g in zip(values, panel.groups, strict=True)]
    names = {"genes": genes.to_dict("records"), "people": people, "units": panel.units}
    files = {"task.json": json.dumps(names, default=int).encode()}
    for name, frame in zip(_KEPT[1:], (values, truth), strict=True):
        numbers = frame.loc[values.index, values.columns].to_numpy()
        files[name] = archive.array_bytes(archive.rounded(numbers))
    archive.write(task.kept, files)
    return task.kept
