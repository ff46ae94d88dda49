"""The worlds that a study file can ask for, simulated and trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from howfar.core.errors import HowfarError, refused_option
from howfar.core.project import resolve
from howfar.study.schema import Study


def _world(study: Study) -> tuple[str, Path, dict[str, Any]]:
    """Return the world a study simulates, the folder of its files, and the other options."""
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
    return world, resolve(study.cohort.reference).parent, options


def simulate_study(study: Study) -> Path:
    """Simulate the study's cohort into the folder its file names; return that folder."""
    world, folder, options = _world(study)
    if world == "region":
        from howfar.simulate import region

        region.simulate(folder, **options)
    else:
        from howfar.simulate.demo.world import simulate

        simulate(folder, **options)
    return folder


def train_study(study: Study) -> list[Path]:
    """Train every model whose weights the study keeps in the results folder; return them."""
    from howfar.simulate.demo.train import Recipe, train

    _, folder, options = _world(study)
    try:
        recipe = Recipe(**study.train)
    except TypeError as error:
        raise HowfarError(
            f"{study.place}, key train",
            found=refused_option(error),
            expected="options of the demo model's training (howfar.simulate.demo.train.Recipe)",
            do="Correct the key.",
        ) from error
    for weights in study.trained_weights:
        train(folder, weights, seed=options.get("seed", 1), recipe=recipe)
    return study.trained_weights
