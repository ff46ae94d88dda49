"""A recipe of a cohort: its files, their addresses and terms, and the options of its steps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from howfar.core.errors import HowfarError, no_such_file
from howfar.core.project import project_root
from howfar.fetch.catalogue import Source, sources
from howfar.genome.genotypes.open import variant_files


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(_Strict):
    """A file of a recipe, or several that belong together (the three of PLINK 2)."""

    what: str
    urls: list[str] = []  # none: the user's own; {chrom}: one for each of 1..`chroms`
    source: str = ""  # an id of data/sources.csv instead
    chroms: int = 0
    bytes: list[int] = []
    sha256: list[str] = []
    md5: list[str] = []
    md5_from: str = ""  # who states it
    licence: str = "yours"
    note: str = ""
    file: str = ""  # its name where it is given out under controlled access
    controlled: bool = False
    optional: bool = False

    def to_fetch(self, recipe: Recipe, name: str) -> list[Source]:
        """Return what is fetched for it: none for a file that the user brings."""
        if self.source:
            return [sources()[self.source]]
        listed = []
        for k, url in enumerate(self.urls):
            each = [url.replace("{chrom}", str(c)) for c in range(1, self.chroms + 1)] or [url]
            for one in each:
                file = f"{recipe.name}/{name}/{one.rpartition('/')[2]}"
                size, sha256 = (self.bytes[k], self.sha256[k]) if self.sha256 else (0, "")
                place = (one, size, sha256, self.licence, recipe.cite, self.what)
                listed.append(Source(file, recipe.name, *place))
        return listed

    @property
    def terms(self) -> str:
        """Licence, the catalogue's where the file stands there."""
        return sources()[self.source].licence if self.source else self.licence

    @property
    def size(self) -> str:
        """Size in words, where somebody states it."""
        if self.source:
            return sources()[self.source].size
        return f"{sum(self.bytes) / 1e6:,.1f} MB" if self.bytes else "size not verified"


class Recipe(_Strict):
    """A cohort's recipe, a file of ``data/recipes``."""

    name: str
    title: str
    summary: str
    people: int  # that the study should have
    build: str  # of the reference that the chain ends on
    cite: str
    access: str
    hours: str
    inputs: dict[str, Input]
    steps: dict[str, dict[str, Any]]
    study: dict[str, Any]


def folder() -> Path:
    """Return the folder of the recipes."""
    return project_root() / "data" / "recipes"


def names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def load_recipe(name: str) -> Recipe:
    """Read the recipe of that name; HowfarError where there is none, or it is wrong."""
    if name not in names():
        raise HowfarError(
            "howfar cohort",
            found=f"recipe {name!r}",
            expected=f"one of {', '.join(names())}",
            do="Correct the name; for files of your own, `howfar template` writes a study.",
        )
    path = folder() / f"{name}.yaml"
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise HowfarError(
            str(path),
            found=f"no recipe ({error})",
            expected="the keys of a recipe",
            do="Restore the file.",
        ) from error


def parse_have(recipe: Recipe, words: Iterable[str]) -> dict[str, Path]:
    """Return the user's files by key, from words ``key=path``; HowfarError for a wrong one.

    Genotypes may be any that `open_variants` reads: one name, with {chrom} for one per contig.
    """
    given: dict[str, Path] = {}
    for word in words:
        key, _, path = word.partition("=")
        if key not in recipe.inputs | _EXTRA or not path or key in given:
            raise HowfarError(
                f"--have {word}",
                found="a key that is no input, or is given twice, or has no path",
                expected=f"KEY=PATH, the key one of {', '.join(recipe.inputs | _EXTRA)}",
                do="Correct the option.",
            )
        given[key] = Path(path).absolute()
        files = variant_files(given[key]) if key == "genotypes" else {key: given[key]}
        for file in files.values():
            if not file.is_file():
                raise no_such_file(file, f"the file of --have {key}", "Correct the path.")
    return given


#: What may be given to any recipe beside its own files.
_EXTRA = {
    "chain": Input(what="chain to the build of `reference`: a liftover is then done"),
    "people": Input(what="people to keep, one a line"),
    "map": Input(what="genetic map for the phaser"),
}
