"""What is kept of a study: by step and run, its size, and whether it is stale and why."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from howfar.attribution import profiles, variant_effects
from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.core.project import resolve
from howfar.core.provenance import digest
from howfar.core.registry import LINEAR_MODELS
from howfar.core.sealed import Older
from howfar.core.versions import versions_of
from howfar.eqtl import study_map
from howfar.linear import baseline
from howfar.prediction import store as prediction
from howfar.prediction.store import store_key
from howfar.results.cache import Key, Units, kept_key
from howfar.study.schema import Eqtl, Run, Study
from howfar.training import fine_tune

_OLDER = "made by an older version of howfar"
_DAMAGED = "damaged"
_NETWORK = ("options.network",)


@dataclass(frozen=True)
class Kept:
    """One kept result: a folder or file, the step and run it is of, and why it is stale."""

    step: str
    run: str
    path: Path
    reasons: tuple[str, ...] = ()

    @property
    def stale(self) -> bool:
        """Whether it would not be used."""
        return bool(self.reasons)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        files = [self.path] if self.path.is_file() else self.path.rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file())

    def describe(self) -> str:
        """Return one line: what it is, how large, current or why not."""
        state = f"stale: {', '.join(self.reasons)}" if self.stale else "current"
        return f"{self.step} {self.run}: {self.path.name}, {self.size / 1e6:.1f} MB, {state}"


def list_kept(study: Study, results: str | Path) -> list[Kept]:
    """Return what is kept of a computed study's steps; nothing for published tables."""
    if study.cohort is None:
        return []
    cohort, folder = OpenCohort(study), Path(results) / study.name
    return [
        *_predictions(cohort, folder),
        *_effects(cohort, folder),
        *_attributions(cohort, folder),
        *_linear(cohort, folder),
        *_trainings(cohort, folder),
        *_eqtl(study, folder),
        *_rows(cohort, folder),
    ]


def remove(item: Kept) -> int:
    """Delete a kept result; return how many bytes it took. HowfarError where a link leads to it."""
    linked = [path for path in (item.path, *item.path.parents[:2]) if path.is_symlink()]
    if linked:
        raise HowfarError(
            str(linked[0]),
            found=f"a link to {linked[0].resolve()}",
            expected="a folder or file that howfar made",
            do="Remove the link; what it leads to is left as it is.",
        )
    size = item.size
    if item.path.is_dir():
        shutil.rmtree(item.path)
    else:
        item.path.unlink()
    return size


def _folders(parent: Path) -> Iterator[Path]:
    """Folders of units, and what an older version left beside them."""
    yield from (path for path in sorted(parent.glob("*")) if not path.name.startswith("."))


def _run_of(study: Study, path: Path) -> Run | None:
    name = path.name.rpartition("-")[0]
    return next((run for run in study.runs if run.id == name), None)


def _key_on_disk(path: Path) -> dict[str, Any]:
    """The key beside a folder of units, or in a table; what is wrong where it is damaged."""
    try:
        if path.is_dir():
            return Units(path).key
        return kept_key(path) if path.suffix == ".parquet" else {}
    except Older:
        return {}
    except HowfarError as error:
        return {_DAMAGED: error.found}


def _differences(key: Key | None, path: Path, ignore: Iterable[str] = ()) -> tuple[str, ...]:
    kept = _key_on_disk(path)
    if _DAMAGED in kept:
        return (kept[_DAMAGED],)
    if not kept:
        return (_OLDER,)
    return (
        ("nothing of the study asks for it",)
        if key is None
        else tuple(key.differences(kept, ignore))
    )


def _predictions(cohort: OpenCohort, folder: Path) -> Iterator[Kept]:
    for path in _folders(folder / "predictions"):
        run = _run_of(cohort.study, path)
        key = None if run is None else store_key(cohort, run, {})
        name = run.id if run else path.name.rpartition("-")[0]
        yield Kept("predictions", name, path, _differences(key, path, _NETWORK))


def _effects(cohort: OpenCohort, folder: Path) -> Iterator[Kept]:
    gradients = profiles.folder_of(folder.parent, cohort.study.name)
    of_effects = (p for p in _folders(folder / "effects") if p.is_dir() and p != gradients)
    for step, paths, key_of in (
        ("effects", of_effects, variant_effects.effects_key),
        ("gradients", _folders(gradients), profiles.key_of),
    ):
        for path in paths:
            run = _run_of(cohort.study, path)
            store = None if run is None else prediction.find_store(cohort, run, folder.parent)
            key = None if run is None or store is None else key_of(run, store)
            yield Kept(step, path.name.rpartition("-")[0], path, _differences(key, path))


def _attributions(cohort: OpenCohort, folder: Path) -> Iterator[Kept]:
    """Blocks of `howfar attribute`: any gene, method and window that was once asked for."""
    asked = [f"options.{name}" for name in ("gene", "method", "on", "window", "transform")]
    for parent in (folder / "attribution", folder / "individuals" / "attribution"):
        for path in _folders(parent):
            run = _run_of(cohort.study, path)
            key = None if run is None else store_key(cohort, run, {})
            if key is not None:
                more = versions_of("attribution")
                key = replace(key, step="attribute", versions=dict(key.versions) | more)
            reasons = _differences(key, path, [*_NETWORK, *asked])
            yield Kept("attribution", path.name.rpartition("-")[0], path, reasons)


def _linear(cohort: OpenCohort, folder: Path) -> Iterator[Kept]:
    """Finished genes and tables of linear models; the split of people stands in their key."""
    for path in _folders(folder / "baseline"):
        model = path.name.rpartition("-")[0] if path.is_dir() else path.name.split(".")[0]
        key = None
        if model in LINEAR_MODELS:
            kept = _key_on_disk(path)
            plan = baseline.plan_of(
                cohort.study, model, kept.get("options", {}).get("split", "nested")
            )
            key = baseline.key_of(cohort, plan)
        yield Kept("linear model", model, path, _differences(key, path))


def _trainings(cohort: OpenCohort, folder: Path) -> Iterator[Kept]:
    """Networks that `howfar finetune` trained, and files beside them; stale by files or code."""
    now = versions_of(*fine_tune.LAYERS)
    inputs = {role: digest(path) for role, path in input_files(cohort.study).items()}
    for path in _folders(folder / "finetune"):
        made, reasons = path / fine_tune.MADE_OF, []
        try:
            kept = sealed.read_json(made) if made.is_file() else {}
        except HowfarError as error:
            kept, reasons = {}, [error.found]
        for name, current in (("inputs", inputs), ("versions", now)):
            was = kept.get(name, current)
            reasons += [
                f"{name}.{k}" for k in sorted(was.keys() | current) if was.get(k) != current.get(k)
            ]
        yield Kept("training", path.stem, path, tuple(reasons))


def _eqtl(study: Study, folder: Path) -> Iterator[Kept]:
    for path in _folders(folder / "eqtl"):
        kept = _key_on_disk(path)
        options = kept.get("options", {})
        signals = kept.get("step") == "eqtl signals"
        chosen = {} if signals else options
        own = study.eqtl or Eqtl()
        if own.covariates is None:  # those of a command
            key = study_map.key_as_kept(study, {**kept, "options": own.model_dump() | chosen})
        elif resolve(own.covariates).is_file():
            key = study_map.key_of(study, own.model_copy(update=chosen))
        else:
            yield Kept("eQTL map", path.stem, path, (f"{own.covariates}: no such file",))
            continue
        if signals:  # they hang on the map's own key
            key = replace(key, step="eqtl signals", options=options)
        yield Kept("eQTL map", path.stem, path, _differences(key, path))


def _rows(cohort: OpenCohort, folder: Path) -> Iterator[Kept]:
    from howfar.evaluation import cures, transfer
    from howfar.stacking import compare

    steps = {
        "transfer": (transfer.path_of, lambda options: transfer.key_of(cohort, options)),
        "stack": (
            compare.path_of,
            lambda options: compare.key_of(cohort, folder.parent, options),
        ),
        "cures": (
            cures.path_of,
            lambda options: cures.key_of(cohort, folder.parent, options),
        ),
    }
    for step, (path_of, key_of) in steps.items():
        path = path_of(folder.parent, cohort.study.name)
        if path.is_file():
            kept = _key_on_disk(path)
            key = key_of(kept["options"]) if "options" in kept else None
            yield Kept(step, step, path, _differences(key, path))
