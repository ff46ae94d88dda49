"""Execute notebooks by papermill, each with a study's name and folders as its parameters."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError, no_such_file
from howfar.core.project import project_root
from howfar.core.warm import SOCKET, warm_command
from howfar.results import policy
from howfar.study.reading import load_study
from howfar.study.schema import Study

if TYPE_CHECKING:
    from nbformat import NotebookNode


def find_notebook(name: str) -> Path:
    """Return the file of a notebook, given by its path or by its name in the project."""
    own = project_root() / "notebooks"
    for path in (Path(name), own / name, own / f"{name}.ipynb"):
        if path.is_file():
            return path
    raise no_such_file(
        name,
        f"a notebook's file, or one of {', '.join(sorted(p.stem for p in own.glob('*.ipynb')))}",
        "Correct the name.",
    )


def execute_notebook(source: Path, out: Path, *, study: str | None, results: Path) -> None:
    """Execute a notebook by papermill, whole or not at all.

    study: a name or a file, the notebook's parameter `study`. The kernel works in the current
    folder, so that a relative path to which a notebook writes counts from there. Its figures go
    beside the study's results. Raises HowfarError where a cell fails.
    """
    import papermill
    from traitlets.config import Config

    # An executed notebook is not to show where on a machine it was run: the kernel learns of the
    # results folder from its environment, and of a study's file from the current folder.
    parameters = {"study": _from_here(study)} if study else {}
    with (
        whole(out) as part,
        tempfile.TemporaryDirectory(prefix="howfar-") as sockets,
        patch.dict(os.environ, {"HOWFAR_RESULTS": str(results.resolve())}),
    ):
        if SOCKET in os.environ:
            _write_kernel(Path(sockets))
        # A kernel on sockets of its own: no port open to others, none shared with a neighbour.
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        with _as_one_message(source):
            executed = papermill.execute_notebook(
                source,
                None,
                parameters=parameters,
                progress_bar=False,
                kernel_name="python3",
                cwd=Path.cwd(),
                config=config,
            )
        part.write_text(_page(executed, load_study(study) if study else None, results), "utf-8")


def _write_kernel(folder: Path) -> None:
    """Let the kernel be one of the warm process, under its usual name."""
    kernel = folder / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    words = [*warm_command("ipykernel_launcher"), "-f", "{connection_file}"]
    spec = {"argv": words, "display_name": "Python 3 (ipykernel)", "language": "python"}
    kernel.write_text(json.dumps(spec), "utf-8")
    os.environ["JUPYTER_PATH"] = str(folder)


def _page(executed: NotebookNode, study: Study | None, results: Path) -> str:
    """Return an executed notebook without places, noting whether its study shows people."""
    import nbformat

    notebook = policy.without_places(json.loads(nbformat.writes(executed)), results, study)
    if study is not None:
        notebook["metadata"]["howfar"] = policy.record(study)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


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


def _from_here(study: str) -> str:
    path = Path(study)
    return os.path.relpath(path) if path.suffix in (".yaml", ".yml") else study
