"""The text of the book's page on inputs, good and bad, made by running them."""

from __future__ import annotations

import sys
from importlib import import_module

from howfar.core.errors import HowfarError
from howfar.core.project import project_root


def inputs_page() -> str:
    """Run the catalogue of inputs and say what each ends in, as Markdown.

    The catalogue is a test suite, the folder `tests/inputs` of the source clone. Raises HowfarError
    where it isn't there, and for an input that ends otherwise than the catalogue says.
    """
    folder = project_root() / "tests" / "inputs"
    if not folder.is_dir():
        raise HowfarError(
            str(folder),
            found="no such folder",
            expected="the catalogue of inputs, which is part of the source clone",
            do="Run the command in a clone of the project.",
        )
    sys.path.insert(0, str(folder.parent))
    return import_module("inputs.page").page()
