"""A bundle: predictions for a task, with how they were made, in one checked file.

A zip of ``submission.json`` and ``predictions.npy`` (float64, genes x people of the task, NaN where
none is asked or given). Genes and people are numbers of the task: the bundle names nobody.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from howfar import stats
from howfar.board import archive
from howfar.board.tasks import Answers
from howfar.core.errors import HowfarError, damaged_file

_FILES = ("submission.json", "predictions.npy")
_DO = "Write it again by `howfar submit`."
#: How far a re-computed mean r may be from the stated one: rounding.
_TOLERANCE = 1e-6
#: What no text may hold: folders of a machine.
_FOLDER = re.compile(r"(?:^|\s)(?:~?/|[A-Za-z]:\\)\S*[/\\]\S*")

Line = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f<>|`]+$")]
Text = Annotated[str, Field(min_length=1, max_length=800, pattern=r"^[^\x00-\x1f<>|`]+$")]
Seen = Literal["no", "in part", "yes", "unknown"]
Kind = Literal["network", "linear", "other"]


class Submission(BaseModel):
    """What a bundle says of its predictions.

    name: of its file. licence: of the predictions. made: how they were made. people_seen,
    genes_seen: whether the model was trained on expression of the task's people (each person's
    prediction by a model that hadn't seen them: no), or on its genes. genes, people, mean_r: what
    is predicted, and its score, which is computed again. sha256: of all else in the bundle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1
    task: str
    task_sha256: str
    name: Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$")]
    label: Line
    kind: Kind
    licence: Line
    made: Text
    people_seen: Seen
    genes_seen: Seen
    genes: Annotated[int, Field(ge=1)]
    people: Annotated[int, Field(ge=3)]
    mean_r: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
    sha256: str = ""

    @property
    def file(self) -> str:
        """The name of its file among the project's."""
        return f"{self.task}.{self.name}.zip"

    @property
    def mark(self) -> str:
        """What of the task may have been in the model's training, in words; '' for nothing."""
        seen = {"people": self.people_seen, "genes": self.genes_seen}
        words = {"yes": "", "in part": " in part", "unknown": " perhaps"}
        return ", ".join(what + words[how] for what, how in seen.items() if how != "no")


@dataclass(frozen=True)
class Bundle:
    """A submission and its predictions, genes x people in the task's order."""

    submission: Submission
    values: np.ndarray

    def frame(self, answers: Answers) -> pd.DataFrame:
        """Predictions by gene id and person; only genes that are predicted."""
        frame = pd.DataFrame(self.values, answers.genes, answers.people)
        return frame[np.isfinite(self.values).any(axis=1)]


def mean_r(values: np.ndarray, answers: Answers) -> float:
    """Mean over the task's genes of r across people; a gene without r counts as 0."""
    r, _ = stats.pearson_rows(values, answers.judged.expression.to_numpy(float))
    return float(np.nan_to_num(r).mean())


def digest(said: Mapping[str, Any], content: bytes) -> str:
    """SHA-256 of a submission's fields, but for its own, and of the predictions' bytes."""
    rest = {key: value for key, value in said.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode() + b"\n" + content).hexdigest()


def write(path: Path, bundle: Bundle) -> Submission:
    """Write a bundle, and return what it says, its digest filled in."""
    content = archive.array_bytes(bundle.values)
    signed = bundle.submission.model_copy(
        update={"sha256": digest(bundle.submission.model_dump(), content)}
    )
    text = json.dumps(signed.model_dump(), indent=1, sort_keys=True) + "\n"
    archive.write(path, {_FILES[0]: text.encode(), _FILES[1]: content})
    return signed


def read_submission(path: Path) -> Submission:
    """Read what a bundle says, its digest checked; HowfarError where it is damaged."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Submission, bytes]:
    files = archive.read(path, _FILES, _DO)
    try:
        submission = Submission.model_validate_json(files[_FILES[0]])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its text"
        raise HowfarError(
            f"{path}, {_FILES[0]}",
            found=f"{where}: {first['msg']}",
            expected="what `howfar submit` writes (version 1)",
            do=_DO,
        ) from error
    if submission.sha256 != digest(submission.model_dump(), files[_FILES[1]]):
        words = "its digest doesn't fit its predictions and words"
        raise damaged_file(path, words, "what `howfar submit` wrote", _DO)
    return submission, files[_FILES[1]]


def read(path: Path, answers: Answers) -> Bundle:
    """Read a bundle and check it against its task; HowfarError for what can't be scored."""
    submission, content = _read(path)
    if submission.task_sha256 != answers.sha256 or submission.task != answers.task.name:
        raise HowfarError(
            str(path),
            found=f"predictions for {submission.task} {submission.task_sha256[:12]}",
            expected=f"for {answers.task.name} {answers.sha256[:12]}: these genes, people, values",
            do=_DO,
        )
    try:
        values = archive.read_array(content)
    except Exception as error:  # a crafted array may raise anything
        raise damaged_file(path, error, "a matrix of predictions", _DO) from error
    check_values(values, answers, str(path))
    check_words(submission, answers, str(path))
    found = summary_of(values, answers)
    stated = {name: getattr(submission, name) for name in found}
    off = abs(found["mean_r"] - submission.mean_r) > _TOLERANCE
    if off or any(found[name] != stated[name] for name in ("genes", "people")):
        raise HowfarError(
            str(path),
            found=f"a score that isn't that of its predictions: {_words(stated)}",
            expected=_words(found),
            do=_DO,
        )
    return Bundle(submission, values)


def summary_of(values: np.ndarray, answers: Answers) -> dict[str, int | float]:
    """Count what is predicted, and compute mean r: fields of `Submission`."""
    given = np.isfinite(values)
    counts = {"genes": int(given.any(axis=1).sum()), "people": int(given.any(axis=0).sum())}
    return counts | {"mean_r": mean_r(values, answers)}


def _words(score: dict[str, int | float]) -> str:
    return f"{score['genes']} genes, {score['people']} people, mean r {score['mean_r']:.6f}"


def check_values(values: np.ndarray, answers: Answers, place: str) -> None:
    """Raise HowfarError unless each gene has numbers for all people it is asked of, or none."""
    if values.shape != answers.asked.shape:
        raise HowfarError(
            place,
            found=f"{values.shape[0]} genes x {values.shape[1]} people",
            expected=f"{answers.asked.shape[0]} x {answers.asked.shape[1]}, as the task has",
            do=_DO,
        )
    given = ~np.isnan(values)
    wrong = np.isinf(values) | (given != (answers.asked & given.any(axis=1, keepdims=True)))
    if not wrong.any() and given.any():
        return
    gene, person = np.argwhere(wrong)[0] if wrong.any() else (0, 0)
    found = f"{int((wrong & answers.asked).sum()):,} values missing or infinite"
    if (wrong & ~answers.asked).any():
        found += f", {int((wrong & ~answers.asked).sum()):,} that nobody asked for"
    raise HowfarError(
        f"{place}, gene {answers.genes[gene]}, person {person} of the task",
        found=found if wrong.any() else "no prediction",
        expected="a number for each person whom the task asks for, or an empty gene",
        do="Predict all these people, or leave the gene out: it then counts as r = 0.",
    )


def check_words(submission: Submission, answers: Answers, place: str) -> None:
    """Raise HowfarError for words that name a person or a folder of a machine."""
    texts = (submission.label, submission.licence, submission.made, submission.name)
    words = set(re.findall(r"[\w.-]+", " ".join(texts)))
    people = set(map(str, answers.people))
    named = words & (people | {name.replace("NA", "GM", 1) for name in people})  # a cell line's
    folders = [found for text in texts for found in _FOLDER.findall(text)]
    if named or folders:
        raise HowfarError(
            place,
            found="a person's identifier" if named else f"a folder of a machine,{folders[0]!r}",
            expected="words without either",
            do="Say it in other words (label, licence, made).",
        )


def name_of(label: str) -> str:
    """Make the name of a submission's file of its label."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower())[:40].strip("-") or "model"
