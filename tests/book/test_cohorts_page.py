"""The page of whole cohorts: every file of every recipe, and what the measured run says."""

import pandas as pd

from howfar.book.cohorts_page import cohorts_page
from howfar.cohort.recipes.recipe import load_recipe, names
from howfar.core.project import project_root
from howfar.core.text import as_code


def test_the_page_names_every_file_its_terms_and_what_was_measured():
    page = cohorts_page()
    for name in names():
        recipe = load_recipe(name)
        assert f"## `howfar cohort {name}`" in page
        section = page.split(f"## `howfar cohort {name}`")[1].split("\n## ")[0]
        for key, each in recipe.inputs.items():
            row = next(
                line for line in section.split("\n") if line.startswith(f"| {as_code(key)} |")
            )
            assert "size not verified" in row or not (each.urls and not each.bytes)
            assert "https" not in row or not each.controlled
    table = pd.read_csv(project_root() / "data" / "measured" / "recipe_chain.csv")
    for row in table.itertuples():
        assert f"{100 * row.switches / row.pairs:.2f} % of {row.pairs:,}" in page
    assert (table["back"] == table["lifted"]).all()
