"""The worlds that a study file can ask for, simulated and trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from howfar.core.errors import HowfarError, about, refused_option, wrong_option
from howfar.core.project import resolve
from howfar.study.schema import Study

#: Settings of the demo world, `simulate.setting`: in the hard one a network fails across people
#: for known reasons (`simulate.hard`); the kind one lets it tell them apart in part.
SETTINGS = ("kind", "hard")


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
    return world, resolve(study.cohort.reference).parent, options


def simulate_study(study: Study) -> Path:
    """Simulate the study's cohort into the folder its file names; return that folder."""
    world, folder, options = _world(study)
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
    return folder


def train_study(study: Study) -> list[Path]:
    """Train every model whose weights the study keeps in the results folder; return them."""
    world, folder, options = _world(study)
    if world == "hard":
        from howfar.simulate.hard import train
    else:
        from howfar.simulate.demo import train
    recipe = _made(study, "train", train.Recipe, study.train)
    for weights in study.trained_weights:
        train.train(folder, weights, seed=options.get("seed", 1), recipe=recipe)
    return study.trained_weights


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
