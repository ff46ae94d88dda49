"""The pages on Python and on the architecture, and the crosswalk."""

from __future__ import annotations

import re

import howfar
from helpers.places import ROOT
from howfar.book.api_page import api_page, docstring_as_markdown
from howfar.book.architecture_page import architecture_page
from howfar.cli.app import app
from howfar.core.layers import LAYERS

DOCSTRING = """Fit something, by least squares.

Parameters
----------
values : float64 (n,)
    What is fitted.
names
    Of the rows.

Examples
--------
>>> 1 + 1
2

Further words."""


def test_a_docstring_becomes_markdown():
    assert docstring_as_markdown(DOCSTRING).splitlines() == [
        "Fit something, by least squares.",
        "",
        "**Parameters**",
        "",
        "- `values : float64 (n,)`",
        "    What is fitted.",
        "- `names`",
        "    Of the rows.",
        "",
        "**Examples**",
        "",
        "",
        "```python",
        ">>> 1 + 1",
        "2",
        "```",
        "",
        "Further words.",
    ]


def test_the_page_on_python_has_every_public_name():
    text = api_page()
    for name in howfar.__all__:
        assert f"\n## `{name}`\n" in text
    assert "load_study(name: str) -> Study" in text
    assert text.count("```") % 2 == 0


def test_the_architecture_has_every_package_and_module_with_its_docstring():
    text = architecture_page()
    source = ROOT / "src" / "howfar"
    packages = [name for layer in LAYERS for name in layer if (source / name).is_dir()]
    for height, layer in enumerate(LAYERS, start=1):
        for name in set(layer) & set(packages):
            assert f"| {height} | [`{name}`](#package-{name}) | " in text
    assert text.index("`cli`") < text.index("`core`")
    for path in source.rglob("*/*.py"):
        if path.name != "__init__.py":
            module = ".".join(path.relative_to(source).with_suffix("").parts[1:])
            assert re.search(rf"^\| `{re.escape(module)}` \| \S", text, re.MULTILINE), path


def test_the_crosswalk_names_the_commands_that_train_linear_models():
    text = (ROOT / "book" / "crosswalk.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    linear = [row for row in rows if "predixcan" in row or "fusion/" in row]
    assert len(linear) >= 2 and all("no counterpart: linear" not in row for row in linear)
    assert any("`howfar baseline" in row for row in linear)
    commands = {c.name or c.callback.__name__ for c in app.registered_commands}
    named = set(re.findall(r"`howfar ([a-z-]+)", text))
    assert named <= commands | {"bench"}
