"""The worlds that a study file can ask for, simulated and trained on.

Both write into the study's results folder alone, and over nothing but what they made: a study
copied from another, its `simulate` block left in, names files of the user's own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from howfar.core import sealed
from howfar.core.atomic import only_one, part_of, sweep
from howfar.core.errors import HowfarError, about, refused_option, wrong_option
from howfar.core.project import resolve, results_root
from howfar.core.provenance import sha256_of
from howfar.study.schema import Study

#: In the folder of a simulated world: the SHA-256 of each file that a simulation put there.
_MADE = "simulated.json"
#: What a training writes into a folder of weights.
FILES = ("weights.safetensors", "config.json", "checkpoint.pt")
#: Settings of the demo world, `simulate.setting`, the first where none is named: in the hard one a
#: network fails across people for known reasons (`simulate.hard`); the kind one lets it tell them
#: apart in part.
SETTINGS = ("hard", "kind")


def setting_note(study: Study) -> str | None:
    """Say which setting a study's demo world has, where its file names none; else None."""
    options = study.simulate or {}
    if options.get("world") != "demo" or "setting" in options:
        return None
    return (
        f"{study.name}: `world: demo` without `setting` is the hard setting; until version 0.2 it "
        "was the kind one. Write `setting: hard` or `setting: kind` below `simulate`."
    )


def _world(study: Study) -> tuple[str, Path, dict[str, Any]]:
    """Return the world a study simulates, the folder of its files, and the other options.

    The demo world in its hard setting is "hard".
    """
    options = dict(study.simulate or {})
    world = options.pop("world", None)
    options.pop("from", None)  # fetched files it starts from, see Study.needs
    if world not in ("demo", "region"):
        raise HowfarError(
            f"{study.place}, key simulate",
            found=f"the world {world!r}" if world else "no world to simulate",
            expected="a `simulate` block with `world: demo` or `world: region`",
            do="Name a simulated study, such as demo.",
        )
    if world == "demo":
        setting = options.pop("setting", SETTINGS[0])
        if setting not in SETTINGS:
            place = f"{study.place}, key simulate.setting"
            raise wrong_option(place, setting, " or ".join(SETTINGS))
        world = "hard" if setting == "hard" else world
    folder = resolve(study.cohort.reference).parent
    _check_place(study, "cohort.reference", folder)
    return world, folder, options


def _check_place(study: Study, key: str, folder: Path) -> None:
    """HowfarError where a folder to write to lies outside the study's own, links followed."""
    own = results_root() / study.name
    if Path(os.path.realpath(own)) in Path(os.path.realpath(folder)).parents:
        return
    raise HowfarError(
        f"{study.place}, key {key}",
        found=f"a file in {folder}, and a `simulate` block",
        expected=f"a path below results/{study.name}/, where simulation and training write",
        do="Remove the `simulate` block where the files are your own; else correct the path.",
    )


def _not_ours(path: Path, found: str) -> HowfarError:
    return HowfarError(
        str(path),
        found=found,
        expected="a file as the simulation or training of this study wrote it",
        do="Move it elsewhere, or delete it where an older version of howfar made it.",
    )


def simulate_study(study: Study) -> Path:
    """Simulate the study's cohort into the folder its file names; return that folder.

    HowfarError where the folder holds anything that a simulation did not put there.
    """
    world, folder, options = _world(study)
    with _alone(folder):
        _simulate_into(study, world, folder, options)
    return folder


def _alone(folder: Path) -> AbstractContextManager[Any]:
    """Let one simulation or training at a time work with the world in a folder.

    Two would write each other's files: of two settings, or a checkpoint over a later one.
    """
    return only_one(folder.with_name(f".{folder.name}.lock"), "`howfar simulate` or `train`")


def _simulate_into(study: Study, world: str, folder: Path, options: dict[str, Any]) -> None:
    before = _made_before(folder)
    folder.mkdir(parents=True, exist_ok=True)
    part = part_of(folder / "world")
    shutil.rmtree(part, ignore_errors=True)  # of a killed process with the same number
    part.mkdir()
    try:
        _simulate(study, world, part, options)
        made = {path.name: [sha256_of(path)] for path in sorted(part.iterdir())}
        # Noted before the first file moves, so that a simulation that is killed can be done again.
        both = {name: before.get(name, []) + made.get(name, []) for name in before | made}
        sealed.write_json(folder / _MADE, both)
        for name in made:
            os.replace(part / name, folder / name)
        sealed.write_json(folder / _MADE, before | made)
    finally:
        shutil.rmtree(part)


def _simulate(study: Study, world: str, folder: Path, options: dict[str, Any]) -> None:
    if world == "region":
        from howfar.simulate import region

        region.simulate(folder, **options)
    elif world == "hard":
        from howfar.simulate.hard.setting import Setting
        from howfar.simulate.hard.world import simulate

        size = {key: options.pop(key) for key in ("seed", "people", "genes") if key in options}
        with about(study.place):
            simulate(folder, **size, setting=_made(study, "simulate", Setting, options))
    else:
        from howfar.simulate.demo.world import simulate as simulate_kind

        simulate_kind(folder, **options)


def _made_before(folder: Path) -> dict[str, list[str]]:
    """The noted digests of what a simulation put into the folder; HowfarError for all else."""
    note = folder / _MADE
    made = sealed.read_json(note) if note.is_file() else {}
    sweep(folder)
    for path in sorted(folder.glob("[!.]*")):
        if path.is_symlink():
            raise _not_ours(path, f"a link to {path.resolve()}")
        if path != note and not (path.is_file() and sha256_of(path) in made.get(path.name, [])):
            raise _not_ours(path, "a file that the simulation did not make, or not as it now is")
    return made


def train_study(study: Study) -> list[Path]:
    """Train every model whose weights the study keeps in the results folder; return them.

    HowfarError where files of other origin lie where a model's files go.
    """
    world, folder, options = _world(study)
    if world == "hard":
        from howfar.simulate.hard import train
    else:
        from howfar.simulate.demo import train
    seed = options.get("seed", 1)
    recipe = _made(study, "train", train.Recipe, study.train)
    with _alone(folder):
        _train_all(study, lambda weights: train.train(folder, weights, seed=seed, recipe=recipe))
    return study.trained_weights


def _train_all(study: Study, train: Callable[[Path], Any]) -> None:
    for weights in study.trained_weights:
        _check_place(study, "runs.weights", weights)
        for path in (weights / name for name in FILES):
            if path.is_symlink():
                raise _not_ours(path, f"a link to {path.resolve()}")
            if path.exists() and not sealed.is_sealed(path):
                raise _not_ours(path, "a file that the training did not make")
        train(weights)


def _made(study: Study, key: str, kind: Any, options: dict[str, Any]) -> Any:
    """Make a dataclass of a study file's options; HowfarError for one that it doesn't have."""
    try:
        return kind(**options)
    except TypeError as error:
        raise HowfarError(
            f"{study.place}, key {key}",
            found=refused_option(error),
            expected=f"options of {kind.__module__}.{kind.__name__}",
            do="Correct the key.",
        ) from error
