"""Execute notebooks by papermill."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from howfar.core.errors import HowfarError
from howfar.core.project import project_root


def execute_notebook(source: Path, out: Path, *, study: str | None, results: Path) -> None:
    """Execute a template by papermill, whole or not at all; `study` is a name or a file.

    The kernel works in the project's folder and is given paths relative to it, so that no page
    shows where on a machine the project lies.
    """
    import papermill
    from traitlets.config import Config

    figures = out.resolve().parents[1] / "_figures"
    parameters = {"results": _in_project(results), "output": _in_project(figures)}
    if study:
        parameters["study"] = study
    part = out.with_name(f".{out.stem}.{os.getpid()}.ipynb")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="howfar-") as sockets:
            # A kernel on sockets of its own: no port open to others, none shared with a neighbour.
            config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
            with _as_one_message(source):
                papermill.execute_notebook(
                    source,
                    part,
                    parameters=parameters,
                    progress_bar=False,
                    kernel_name="python3",
                    cwd=project_root(),
                    config=config,
                )
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _as_one_message(source: Path) -> Iterator[None]:
    """What stops a notebook, as a HowfarError about its file."""
    from papermill.exceptions import PapermillExecutionError

    try:
        yield
    except PapermillExecutionError as error:
        raise HowfarError(
            f"{source}, cell {error.cell_index}",
            found=f"{error.ename}: {error.evalue}",
            expected="a notebook that runs to its end",
            do="Correct what the message says; a notebook of your own, in its cell.",
        ) from error
    except ValueError as error:  # of nbformat
        raise HowfarError(
            str(source),
            found=f"no notebook ({str(error).splitlines()[0][:200]})",
            expected="a Jupyter notebook",
            do="Name a notebook of the folder notebooks/.",
        ) from error


def _in_project(path: Path) -> str:
    path, root = path.resolve(), project_root()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
