"""The layers of the package: who imports whom, read from every import, wherever it stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from helpers.places import ROOT, TESTS
from howfar.core.layers import LAYERS

SOURCE = ROOT / "src"
RANK = {package: rank for rank, layer in enumerate(LAYERS) for package in layer}


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module) -> Iterator[str]:
    """Every dotted name that is imported: those inside functions and for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import of {node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports(root: Path) -> dict[str, set[str]]:
    """The modules of `root` that each of its modules imports."""
    files = {module_name(path, root): path for path in root.rglob("*.py")}
    graph = {}
    for name, path in files.items():
        names = imported(ast.parse(path.read_text("utf-8")))
        # "howfar.core.errors.HowfarError" is of the module howfar.core.errors
        modules = (x if x in files else x.rpartition(".")[0] for x in names)
        graph[name] = {module for module in modules if module in files} - {name}
    return graph


def against_the_order(graph: dict[str, set[str]]) -> list[str]:
    """Imports of a package that isn't in a lower layer."""
    wrong = []
    for module, others in graph.items():
        for other in others:
            packages = [name.split(".")[1] for name in (module, other) if name.count(".")]
            if len(packages) < 2 or "__main__" in packages or packages[0] == packages[1]:
                continue
            if RANK[packages[1]] >= RANK[packages[0]]:
                wrong.append(f"{module} imports {other}")
    return sorted(wrong)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a circle of imports; none where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_import_goes_against_the_order_of_the_layers():
    assert not against_the_order(imports(SOURCE))


def test_no_modules_import_each_other_in_a_circle():
    assert not circle(imports(SOURCE))


def test_every_package_has_its_layer_and_no_module_stands_beside_them():
    folders = {path.parent.name for path in (SOURCE / "howfar").glob("*/__init__.py")}
    assert folders <= set(RANK)
    assert len(RANK) == sum(map(len, LAYERS))  # each once
    beside = {path.name for path in (SOURCE / "howfar").glob("*.py")}
    assert beside == {"__init__.py", "__main__.py"}


def test_no_test_imports_another():
    for path in TESTS.rglob("*.py"):
        names = imported(ast.parse(path.read_text("utf-8")))
        tests = [name for name in names if any(p.startswith("test_") for p in name.split("."))]
        assert not tests, f"{path.relative_to(TESTS)} imports {tests}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from howfar.cli.app import app", ["howfar.genome.x imports howfar.cli.app"]),
        ("def f():\n    import howfar.models.base", ["howfar.genome.x imports howfar.models.base"]),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from howfar import study",
            ["howfar.genome.x imports howfar.study"],
        ),
        ("from howfar.core import errors\nfrom howfar.genome import y", []),
    ],
)
def test_an_import_is_seen_wherever_it_stands(tmp_path, text, found):
    for package in ("genome", "study", "models", "cli", "core"):
        (tmp_path / "howfar" / package).mkdir(parents=True)
        (tmp_path / "howfar" / package / "__init__.py").touch()
    for module in ("genome/y", "models/base", "cli/app", "core/errors"):
        (tmp_path / "howfar" / f"{module}.py").touch()
    (tmp_path / "howfar" / "genome" / "x.py").write_text(text + "\n")
    assert against_the_order(imports(tmp_path)) == found


def test_a_circle_is_seen():
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
