"""Shared by all tests: the optional material beside the project, and a tiny study.

The tiny study has two genes and four people on a contig of 400 A's, so that a model which counts
letters can be checked by hand.
"""

import functools
import gc
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path

import pytest
import typer.testing
from hypothesis import settings

from helpers.places import SHARED, TESTS
from helpers.tiny import CountLetters, make_study
from howfar.prediction import run as predict
from howfar.study.schema import Study

# So that commands which a test starts as a process find the catalogue's model (`inputs.cohort`).
os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])

# The commands are made once, and not for each that a test runs.
typer.testing._get_command = attrgetter("made")

# A module makes some thousands of objects, and garbage is looked for among all that are there.
gc.set_threshold(20_000)

# A busy machine is no failure. A commit meets the same examples each time; the long mode new ones.
settings.register_profile("howfar", deadline=None, derandomize=os.getenv("HOWFAR_LONG") != "1")
settings.load_profile("howfar")


def pytest_collection_finish() -> None:
    """Look for garbage among what tests make alone; a fifth of the time went to modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the project with real data and oracles; skips where it isn't there."""
    if not (SHARED / "realregion").is_dir():
        pytest.skip("the shared folder with real data is not beside this checkout")
    return SHARED


@pytest.fixture(autouse=True)
def results_folder(tmp_path, monkeypatch) -> Path:
    """Each test has a results folder of its own, so that none touches the user's."""
    folder = tmp_path / "results"
    monkeypatch.setenv("HOWFAR_RESULTS", str(folder))
    return folder


@pytest.fixture
def study(tmp_path) -> Study:
    """The tiny study, its files in `tmp_path`."""
    return make_study(tmp_path)


@pytest.fixture
def model(monkeypatch) -> CountLetters:
    """The model that every run of a test loads."""
    made = CountLetters()
    monkeypatch.setattr(predict, "load_model", lambda *_, **__: made)
    return made


@pytest.fixture(scope="session")
def warm_process() -> Iterator[str]:
    """The socket of a process that has imported what pages need, as a book's run keeps one."""
    from howfar.core.warm import SOCKET, Warm, warm_command
    from howfar.workflow import WARM, WARM_NETWORKS

    with Warm([*WARM, *WARM_NETWORKS]) as socket:
        while not os.path.exists(socket):
            time.sleep(0.05)
        environment = os.environ | {SOCKET: socket}  # answered when all is imported
        subprocess.run(warm_command("keyword"), env=environment, check=True)
        yield socket


@pytest.fixture(scope="module")
def warm(warm_process) -> Iterator[None]:
    """Steps, notebooks and kernels that the module starts are forks of that process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOWFAR_WARM", warm_process)
        yield


@pytest.fixture(scope="module")
def shown(view) -> Callable:
    """Figures of the module's `view` by their functions' names; each is drawn once."""
    from howfar import figures

    return functools.cache(lambda name: getattr(figures, name)(view))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small networks are faster on one thread, and other tests may be at work beside these."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
