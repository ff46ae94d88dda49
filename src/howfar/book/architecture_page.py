"""The page on how the package is built: its layers, and each module in a line."""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd

from howfar.book.markdown import markdown_table
from howfar.core.layers import LAYERS

_PACKAGE = Path(__file__).resolve().parents[1]
_HEAD = """# Architecture

A package imports only from packages below it in this table; packages of one row don't import each
other, and there is no circle between modules. A test reads every import and fails on one that goes
against this order (`tests/test_layers.py`). Where a change goes is in `CONTRIBUTING.md`.
"""


def architecture() -> str:
    """Draw the layers, the highest first, and list the modules of every package."""
    layers = [[name for name in layer if (_PACKAGE / name).is_dir()] for layer in LAYERS]
    rows = [
        {
            "layer": height,
            "package": f"[`{name}`](#package-{name})",
            "holds": _summary(_PACKAGE / name / "__init__.py"),
        }
        for height, layer in reversed(list(enumerate(layers, start=1)))
        for name in layer
    ]
    parts = [_HEAD, markdown_table(pd.DataFrame(rows))]
    for name in (name for layer in layers for name in layer):
        parts.append(f"(package-{name})=\n## `{name}`")
        parts.append(markdown_table(pd.DataFrame(_modules(name))))
    return "\n\n".join(parts) + "\n"


def _modules(package: str) -> list[dict[str, str]]:
    """List the modules of a package, those of its sub-packages too."""
    folder = _PACKAGE / package
    modules = {
        ".".join(path.relative_to(folder).with_suffix("").parts): _summary(path)
        for path in sorted(folder.rglob("*.py"))
        if path.name != "__init__.py"
    }
    empty = {"(the package itself)": _summary(folder / "__init__.py")}
    return [{"module": f"`{name}`", "holds": text} for name, text in (modules or empty).items()]


def _summary(module: Path) -> str:
    """Return the first line of a module's docstring, without importing it."""
    docstring = ast.get_docstring(ast.parse(module.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0]
