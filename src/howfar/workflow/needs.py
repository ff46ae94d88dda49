"""What studies and models need of the public files."""

from __future__ import annotations

from collections.abc import Iterable

from howfar.models.registry import MODELS
from howfar.study.reading import load_study
from howfar.study.schema import study_file


def source_groups(names: Iterable[str]) -> dict[str, list[str]]:
    """Return by name the ids of the public files of every model, and of the studies of `names`.

    A name is a model of the registry or a study file's; others are left out.
    """
    groups = {model: list(entry.sources) for model, entry in MODELS.items()}
    for name in names:
        if "/" not in name and study_file(name).is_file():
            groups[name] = [*groups.get(name, []), *load_study(name).needs]
    return groups
