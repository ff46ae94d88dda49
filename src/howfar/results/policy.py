"""The policy on people and licences: what may leave a results folder, and what may be fitted.

Result tables, figures, notebooks and exports ask this module. Of a private study nothing leaves
that describes one person or fewer than `min_people`: no point, no weights trained on its people,
no mean or r of a handful, no allele that few carry.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.cohort.files import input_files
from howfar.cohort.panel import Panel
from howfar.core.errors import HowfarError
from howfar.core.project import project_root, resolve
from howfar.fetch.licences import CONSENT, NO_FITTING, bound
from howfar.models.base import SequenceModel
from howfar.models.registry import MODELS, licence_of
from howfar.results import tables
from howfar.study.schema import Run, Study

#: Names of donors in descriptions of tracks.
_DONORS = r"\b(?:GM|NA|HG)\d{5}\b"
#: Fewest people behind a value of a private study, where its file doesn't say `min_people`.
MIN_PEOPLE = 10
NO_POINTS = "Points of single people are not shown: the study's file says individuals: private."
#: Figures with one point a person, which a study that is private no more has leaves behind.
_POINT_FIGURES = ("across_examples", "carried")
#: Sets of table `summary` whose `n`, or `x`, counts people.
_PEOPLE_BEHIND = {
    "linear_approximation": "n",
    **dict.fromkeys(("training_people", "calibration", "transfer", "transfer_loss"), "x"),
    **dict.fromkeys(("sweep_people", "sweep_people.mean"), "x"),
}
#: The other sets of a computed study: means over genes or variants, of populations that `group`
#: names. A set that is in neither list doesn't leave a private study.
_OF_GENES = re.compile(
    r"cures\w*|driver_halves|eqtl_\w+|false_positives|overlap\w*|recovered(\.known)?|row_zero"
    r"|gradient\.(bases|clusters)|signs\.\w+|stacking\.\w+|sweep_(maf|window)(\.mean)?"
    r"|tissues|trained(\.mean|\.curve)?"
)


def shows_people(study: Study) -> bool:
    """Whether points of single people may be shown, never with an identifier."""
    return study.individuals == "public"


def min_people(study: Study) -> int:
    """Fewest people behind a shared value; 1 where people, or the published tables, are public."""
    if study.min_people is not None:
        return study.min_people
    return 1 if shows_people(study) or study.cohort is None else MIN_PEOPLE


def record(study: Study) -> dict[str, str | int]:
    """What tables note of the policy that they were made under."""
    return {"individuals": study.individuals, "min_people": min_people(study)}


def require_current(study: Study, results: str | Path) -> None:
    """Raise HowfarError where a cohort's tables were made under a laxer policy than its file's."""
    path = tables.path_of(results, study.name, "runs")
    if study.cohort is None or not path.is_file():
        return
    kept = tables.read_provenance(path).get("policy", {})
    if kept.get("min_people", 1) < min_people(study):
        raise HowfarError(
            str(path),
            found=f"tables with values of {kept.get('min_people', 1)} or more people",
            expected=f"of {min_people(study)} or more, as the study's file says (min_people)",
            do=f"Run `howfar evaluate --study {study.handle}`.",
        )


def require_shown(page: Path, kept: Mapping[str, Any], study: Study) -> None:
    """Raise HowfarError where a page was made when its study showed people, which it doesn't now.

    kept: the `record` that the page carries.
    """
    if kept.get("individuals") == "public" and not shows_people(study):
        raise HowfarError(
            str(page),
            found="a page from when the study was public",
            expected="one without people, as the study's file says individuals: private",
            do=f"Run `howfar run --study {study.handle} --to notebooks`.",
        )


def require_public(study: Study, what: str) -> None:
    """Raise HowfarError where a study's people are private, of whom `what` would leave."""
    if not shows_people(study):
        raise HowfarError(
            study.place,
            found=f"individuals: private, and {what} asked for",
            expected="individuals: public, as they hold values of single people",
            do="Give none, or change the study's file if all people agreed.",
        )


# --- licences --------------------------------------------------------------------------------


def licence_of_run(run: Run) -> str:
    """Return the licence that a run's values carry; '' where none is known.

    That of its network, or what the run states as `licence`. Conditions are inherited: a table of
    predictions has those of the model that `made` names, a fine-tuned network those of the one
    that it began from, as its folder says; no statement takes them away.
    """
    known = _licence_of_network(run.model)
    sources = [known, run.licence, str(run.options.get("made", "")), *began_from(run.weights)]
    inherited = (bound(words) for words in sources)
    return next(filter(None, inherited), run.licence or known)


def began_from(weights: Path | None) -> Iterator[str]:
    """Yield what a fine-tuned network's folder says of the networks it began from, if it is one."""
    config = None if weights is None else resolve(weights) / "config.json"
    if config is None or not config.is_file():
        return
    with suppress(HowfarError, ValueError, AttributeError):  # of another network, or damaged
        base = json.loads(config.read_text("utf-8")).get("base") or {}
        yield from (str(base.get("model", "")), str(base.get("licence", "")))
        if base.get("weights"):
            yield from began_from(Path(base["weights"]))


def require_fitting(study: Study, runs: Iterable[Run | SequenceModel], what: str) -> None:
    """Raise HowfarError where a run's licence forbids `what`, which fits to its values.

    runs: of the study, or a network. A study's ``terms: accepted-for-research`` permits it.
    """
    for run in runs if study.terms is None else ():
        if isinstance(run, Run):
            name, licence = run.model, licence_of_run(run)
        else:
            name, licence = run.name, licence_of_model(run)
        if licence in NO_FITTING:
            words, where = NO_FITTING[licence]
            raise HowfarError(
                f"{study.place}, {what} with model {name}",
                found=f'the {licence}: "{words}" ({where})',
                expected="values that something may be fitted to",
                do=f"Read {CONSENT[licence][1]}; if they permit what you do, write "
                "`terms: accepted-for-research` in the study file.",
            )


def licence_of_model(model: SequenceModel) -> str:
    """Return the licence of a loaded network's values: `made`, where it has it, says of what."""
    return bound(getattr(model, "made", "")) or _licence_of_network(model.name)


def _licence_of_network(name: str) -> str:
    return licence_of(name) if name in MODELS else ""


def licence_notice(runs: pd.DataFrame) -> str:
    """Return what captions say of runs (table `runs`) whose values carry conditions; else ''."""
    bound = runs[runs["licence"].isin(list(NO_FITTING))]
    parts = [
        f"Values of {', '.join(dict.fromkeys(rows['label']))} are under the {licence}: not for "
        "commercial use, nor to train other models."
        for licence, rows in bound.groupby("licence")
    ]
    donors = bound["tracks"].astype(str).str.findall(_DONORS).map(len).sum()
    if donors:
        parts.append(
            f"{donors} of their tracks were measured in cell lines of single 1000 Genomes donors: "
            "of these people, and in part of their relatives, no prediction is of somebody unseen."
        )
    return " ".join(parts)


# --- small numbers ---------------------------------------------------------------------------


def shareable(
    study: Study, frames: Mapping[str, pd.DataFrame], panel: Panel
) -> tuple[dict[str, pd.DataFrame], Counter[str]]:
    """Leave out of result tables what fewer than `min_people` stand behind; count it.

    An allele counts by the fewest people who can carry its copies, two each. Populations are left
    out too where those left out are else fewer than `min_people` together, as the difference of
    all people and the others would show them; and so is every set of table `summary` of which it
    isn't known who stands behind it. Table `individuals` stays whole: it
    never leaves, but as `points`.
    """
    fewest = min_people(study)
    if fewest <= 1:
        return dict(frames), Counter()
    measured = panel.expression.notna().sum(axis=1)
    sizes = Counter(panel.groups)
    small = _hidden(sizes, fewest)
    kept: dict[str, pd.DataFrame] = {}
    counts: Counter[str] = Counter()
    for name, frame in frames.items():
        few = _few(name, frame, measured, panel.expression.shape[1], fewest)
        if name == "summary":
            few |= _names_one_of(frame["group"], small)
        if "population" in frame:
            few |= frame["population"].isin(small)
        if name == "reference":  # the prediction is nobody's: only the mean goes
            kept[name] = frame.assign(observed_mean=frame["observed_mean"].mask(few))
            few &= frame["observed_mean"].notna()
        else:
            kept[name] = frame[~few].reset_index(drop=True)
        what = f"values of fewer than {fewest} people, left out of table `{name}`"
        counts[what] += int(few.sum())
    return kept, +counts


def _hidden(sizes: Mapping[str, int], fewest: int) -> list[str]:
    """Populations that are left out: the smallest, till none or `fewest` people are left out."""
    hidden: list[str] = []
    people = 0
    for group, size in sorted(sizes.items(), key=lambda item: item[1]):
        if size >= fewest and not 0 < people < fewest:
            break
        hidden.append(group)
        people += size
    return hidden


def _few(
    name: str, frame: pd.DataFrame, measured: pd.Series, people: int, fewest: int
) -> pd.Series:
    """Which rows of a table fewer than `fewest` people, or copies of an allele, stand behind."""
    none = pd.Series(False, index=frame.index)
    if frame.empty:
        return none
    if name in ("across", "agreement"):
        return _below(frame["n"], fewest)
    if name == "within":
        return frame.groupby(["run_id", "population"])["rank"].transform("size") < fewest
    if name == "drivers":
        return _below(frame["carriers"], fewest)
    if name == "effects":
        return _below(_carriers(frame["maf"], people), fewest)
    if name == "summary":
        behind = {s: frame[c] for s, c in _PEOPLE_BEHIND.items()}
        parts = [(frame["set"] == s) & _below(count, fewest) for s, count in behind.items()]
        known = frame["set"].isin(list(behind)) | frame["set"].str.fullmatch(_OF_GENES)
        return pd.concat([*parts, ~known], axis=1).any(axis=1)
    if name not in ("reference", "features"):
        return none
    there = frame["gene_id"].map(measured).fillna(0)
    few = _below(there, fewest)
    if name == "reference":
        return few
    # A simulation's known heritability is of no people.
    few &= ~frame["source"].str.startswith("Known ")
    rare = (frame["feature"] == "lead_eqtl_maf") & _below(_carriers(frame["value"], there), fewest)
    lead = frame["feature"].str.startswith("lead_eqtl_")
    return few | (lead & frame["gene_id"].isin(frame.loc[rare, "gene_id"]))


def _names_one_of(texts: pd.Series, groups: Sequence[str]) -> pd.Series:
    """Which texts, such as 'EUR to YRI', name one of these populations."""
    if not groups:
        return pd.Series(False, index=texts.index)
    names = "|".join(re.escape(str(group)) for group in groups)
    return texts.astype(str).str.contains(rf"(?<!\w)(?:{names})(?!\w)")


def _carriers(maf: pd.Series, people: pd.Series | int) -> pd.Series:
    """Fewest carriers of the rarer allele among so many people: each may have two copies."""
    return ((2 * maf.astype(float) * people).round() / 2).apply(np.ceil)


def _below(count: pd.Series, fewest: int) -> pd.Series:
    """Which counts are smaller; an unknown one is."""
    return ~(count.astype(float) >= fewest)


# --- points ----------------------------------------------------------------------------------


def points(individuals: pd.DataFrame) -> pd.DataFrame:
    """Table `points` of table `individuals`: values without anything that links them over genes.

    Sample and fold go; what is left is in the order of the values, equal ones being the same row.
    """
    return tables.validate("points", individuals.drop(columns=["sample", "fold"]), "points")


def read_points(study: Study, results: str | Path) -> pd.DataFrame:
    """Table `points` of a study; HowfarError unless it says ``individuals: public``."""
    if not shows_people(study):
        raise HowfarError(
            f"study {study.name}",
            found="individuals: private",
            expected="individuals: public, as points of single people are asked for",
            do="Leave the figure out, or change the study's file if all people agreed.",
        )
    exported = tables.path_of(results, study.name, "points")
    if exported.exists():
        return tables.read(exported, "points")
    if "individuals" not in tables.names_of(results, study.name):
        return tables.empty("points")
    return points(tables.read(tables.path_of(results, study.name, "individuals"), "individuals"))


def remove_points(study: Study, figures: str | Path) -> list[Path]:
    """Delete a private study's figures and notebooks of people, left from when it was public.

    figures: the folder of its figures, beside which lies that of its executed notebooks.
    """
    if shows_people(study):
        return []
    left = [p for name in _POINT_FIGURES for p in Path(figures).glob(f"{name}.{study.name}.*")]
    pages = sorted(Path(figures).with_name("notebooks").glob("*.ipynb"))
    left += [page for page in pages if _was_public(page)]
    for path in left:
        path.unlink()
    return left


def _was_public(page: Path) -> bool:
    """Whether an executed notebook is of a public study, or doesn't say."""
    try:
        metadata = json.loads(page.read_text("utf-8"))["metadata"]
        return bool(metadata["howfar"]["individuals"] != "private")
    except (ValueError, KeyError, TypeError):
        return True


# --- files -----------------------------------------------------------------------------------


def files_that_leave(study: Study, folder: Path) -> Iterator[Path]:
    """The files of a study's results folder that may be copied elsewhere as they are.

    Tables and descriptions of predictions; linear weights where the file says
    ``weights: shareable``. Points leave by `points` alone.
    """
    yield from sorted((folder / "tables").glob("*.parquet"))
    yield from sorted(folder.glob("predictions/*/run.json"))
    yield from sorted(folder.glob("predictions/*/key.json"))
    if study.weights == "shareable":
        yield from sorted(folder.glob("baseline/*.weights.parquet"))


def figures_that_leave(study: Study, folder: Path) -> Iterator[Path]:
    """A study's figures, with the data behind them, that may be copied elsewhere.

    Of private people none with points of people, and none from before the tables, which may have
    been drawn when the study's file permitted more.
    """
    private = not shows_people(study) and study.cohort is not None
    made = (folder / "tables" / "runs.parquet").stat().st_mtime
    for path in sorted((folder / "figures").glob("*.*")):
        held = path.name.split(".")[0] in _POINT_FIGURES or path.stat().st_mtime < made
        if path.is_file() and not (private and held):
            yield path


# --- places ----------------------------------------------------------------------------------


def without_places(value: Any, results: Path, study: Study | None = None) -> Any:
    """Return a notebook (JSON) whose texts hold no folder of this machine, as folders name users.

    Folders of the results, the project, Python, the user, the study's file and its input files.
    """
    files = [] if study is None else [study._file, *_files_of(study)]
    named = [Path(file).absolute() for file in files if file is not None]
    parents = {path.parent for file in named for path in (file, file.resolve())}
    # A notebook's parameter names the study's file from the current folder.
    relative = {Path(os.path.relpath(folder)) for folder in parents}
    folders = dict.fromkeys(parents, ".")
    folders |= dict.fromkeys((project_root(), Path.cwd(), Path(sys.prefix)), ".")
    folders |= {Path.home(): "~", results.resolve(): "results"}
    known = {str(folder): short for folder, short in folders.items() if folder.name}
    above = {f"{folder}/": "./" for folder in relative if ".." in folder.parts and folder.name}
    parts = [rf"{re.escape(folder)}(?![\w-])" for folder in sorted(known, key=len, reverse=True)]
    parts += [rf"(?<![\w./-]){re.escape(f)}" for f in sorted(above, key=len, reverse=True)]
    pattern, known = re.compile("|".join(parts)), known | above
    return _replaced(value, lambda text: pattern.sub(lambda found: known[found[0]], text))


def _files_of(study: Study) -> list[Path]:
    weights = [resolve(path) for run in study.runs for path in run.weight_files]
    return [*input_files(study).values(), *weights]


def _replaced(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        # An image's bytes as text are no words.
        return {
            key: each if str(key).startswith("image/") else _replaced(each, change)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_replaced(each, change) for each in value]
    return change(value) if isinstance(value, str) else value
