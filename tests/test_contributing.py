"""CONTRIBUTING.md: every place that it names is there."""

from __future__ import annotations

import re

import howfar.core.registry as registry
from helpers.places import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_every_path_is_there():
    paths = set(re.findall(r"`((?:src|tests|data|book|notebooks)/[^` ]*)`", TEXT))
    assert len(paths) > 25
    for path in paths:
        folder = path.partition("<")[0].rpartition("/")[0] if "<" in path else path
        assert (ROOT / folder).exists(), path


def test_every_registry_has_its_line():
    registries = {
        name for name, value in vars(registry).items() if isinstance(value, registry.Registry)
    }
    named = set(re.findall(r"`([A-Z_]+)`", TEXT)) | {"FIGURES"}  # "the registry of figures"
    assert registries <= named


def test_every_template_of_a_page_is_used():
    book = ROOT / "src" / "howfar" / "book"
    code = "\n".join(path.read_text("utf-8") for path in book.glob("*.py"))
    for template in (book / "templates").glob("*.md"):
        assert re.search(rf'fill\(\s*"{template.stem}"', code), template.name
