"""The page on how the package is built: its layers, and each module in a line."""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd

from howfar.book.markdown import fill, markdown_table
from howfar.core.layers import LAYERS

_PACKAGE = Path(__file__).resolve().parents[1]


def architecture_page() -> str:
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
    modules = (
        f"(package-{name})=\n## `{name}`\n\n{markdown_table(pd.DataFrame(_modules(name)))}"
        for layer in layers
        for name in layer
    )
    return fill(
        "architecture",
        layers=markdown_table(pd.DataFrame(rows)),
        modules="\n\n".join(modules),
    )


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
