"""Execute notebooks by papermill, each with a study's name and folders as its parameters."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from howfar.core.errors import HowfarError
from howfar.core.project import project_root


def execute_notebook(source: Path, out: Path, *, study: str | None, results: Path) -> None:
    """Execute a notebook by papermill, whole or not at all.

    study: a name or a file, the notebook's parameter `study`. The kernel works in the current
    folder, so that a relative path to which a notebook writes counts from there. Its figures go
    to ``_figures`` beside the folder of `out`. Raises HowfarError where a cell fails.
    """
    import papermill
    from traitlets.config import Config

    # Relative where they can be: an executed notebook is not to show where on a machine it was run.
    figures = out.resolve().parents[1] / "_figures"
    parameters = {
        "results": _relative_to(project_root(), results.resolve()),
        "output": _relative_to(Path.cwd(), figures),
    }
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
                    cwd=Path.cwd(),
                    config=config,
                )
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _as_one_message(source: Path) -> Iterator[None]:
    """Raise what stops a notebook as a HowfarError about its file."""
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


def _relative_to(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
