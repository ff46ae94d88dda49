"""The page of whole cohorts: each recipe's files, terms and steps, and what a shrunken run lost."""

from __future__ import annotations

import pandas as pd

from howfar.book.markdown import fill, markdown_table, table_of
from howfar.book.speed_page import circumstances, measured
from howfar.cohort.recipes.chain import STEPS
from howfar.cohort.recipes.recipe import Input, Recipe, load_recipe, names
from howfar.core.text import as_code, as_markdown, as_sentence

_SHOWN = {
    "phaser": "phaser",
    "sites": ("sites", "{:,}"),
    "switch error, all SNVs": "all",
    "MAF 5 % or more": "common",
    "windows equal, 10.5 kb": "windows",
    "filled calls wrong": "wrong",
}
_DOES = ["step", "what it does"]
_FILES = ["file", "what", "from", "size, checksum", "licence"]


def cohorts_page() -> str:
    """Write the page."""
    table = measured("recipe_chain")
    shown = table.assign(
        all=_share(table, "switches", "pairs"),
        common=_share(table, "common_switches", "common_pairs"),
        windows=_share(table, "equal_windows", "windows"),
        wrong=_share(table, "wrong_filled", "filled"),
    )
    return fill(
        "cohorts",
        recipes="\n".join(_section(load_recipe(name)) for name in names()),
        steps=markdown_table(
            pd.DataFrame(
                {"step": [as_code(s.name) for s in STEPS], "what it does": [s.does for s in STEPS]}
            )
        ),
        phased=table_of(shown, _SHOWN),
        first=circumstances(table),
    )


def _share(table: pd.DataFrame, part: str, whole: str) -> pd.Series:
    """Shares in per cent, with what they are of."""
    rows = zip(table[part], table[whole], strict=True)
    return pd.Series([f"{100 * a / b:.2f} % of {b:,}" for a, b in rows], table.index)


def _section(recipe: Recipe) -> str:
    rows = [[as_code(key), *_cells(recipe, key, each)] for key, each in recipe.inputs.items()]
    return "\n".join(
        [
            f"## `howfar cohort {recipe.name}`",
            f"{as_markdown(recipe.title)}: {recipe.people:,} people, {recipe.build}.",
            "",
            as_sentence(recipe.summary),
            "",
            f"- Access: {as_sentence(recipe.access)}",
            f"- Hours: {as_sentence(recipe.hours)}",
            f"- Please cite: {as_markdown(recipe.cite)}",
            "",
            markdown_table(pd.DataFrame(rows, columns=_FILES)),
            "",
        ]
    )


def _cells(recipe: Recipe, key: str, each: Input) -> list[str]:
    if each.controlled:
        whence, stated = f"yours: {each.file}", "not published"
    elif not (each.urls or each.source):
        whence, stated = "yours, optional" if each.optional else "yours", ""
    else:
        source = each.to_fetch(recipe, key)[0]
        whence = source.address.split("/")[2]
        sure = "SHA-256" if source.sha256 else f"MD5 by {each.md5_from}" if each.md5 else "none"
        stated = f"{each.size}; {sure}"
    what = f"{each.what}. {each.note}" if each.note else each.what
    return [as_sentence(text) for text in (what, whence, stated, each.terms)]
