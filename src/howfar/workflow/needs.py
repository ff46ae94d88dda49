"""What studies and models need of the public files, and whether it is here."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from howfar.cohort.files import require_inputs
from howfar.core.errors import HowfarError
from howfar.fetch import catalogue, fetching
from howfar.models.registry import MODELS
from howfar.study.reading import load_study
from howfar.study.schema import study_file
from howfar.workflow import plan


def source_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Return by name the ids of the public files of every model, and of the studies of `names`.

    A name is a model of the registry or a study file's; others are left out.
    """
    groups = {model: list(entry.sources) for model, entry in MODELS.items()}
    for name in names:
        if "/" not in name and study_file(name).is_file():
            groups[name] = [*groups.get(name, []), *load_study(name).needs]
    return groups


def needed(names: Iterable[str]) -> list[str]:
    """Return the models of `names`, and the ids of the files that the studies among them need."""
    models = {name for name in names if name in MODELS}
    studies = [load_study(name) for name in names if name not in MODELS]
    return sorted(models.union(*(study.needs for study in studies)))


def fetch_missing(names: Iterable[str], results: Path) -> None:
    """Fetch the published tables of studies; where that fails, say so and go on without."""
    needs = sorted({need for name in names for need in load_study(name).needs})
    folder = results / "sources"
    missing = [n for n, here in catalogue.available(needs, folder=folder).items() if not here]
    if not missing:
        return
    try:
        print(fetching.fetch(missing, folder=folder).summary())
    except HowfarError as error:
        print(f"howfar: going on without some published tables. {error}", file=sys.stderr)


def require(names: Iterable[str], results: Path) -> None:
    """Raise HowfarError for the first study whose tables can't be made from what is here."""
    for each in (plan(name, results) for name in names):
        if each.possible:
            continue
        if each.study.cohort and not each.study.simulate:
            require_inputs(each.study)
        raise HowfarError(
            f"study {each.study.name}",
            found="not all of the public files it is made from",
            expected=f"the {len(each.study.needs)} files that `howfar doctor --study "
            f"{each.handle}` lists",
            do=f"Run `howfar fetch {' '.join(each.study.fetch_names)}` with a network or a mirror.",
        )
