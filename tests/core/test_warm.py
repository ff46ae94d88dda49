"""A module in a fork of the warm process does what `python -m` does."""

import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from howfar.core.warm import SOCKET, Warm, warm_command

SAYS = """
import json, os, sys
print(sys.argv[1:], os.getcwd(), os.environ["LETTER"], "json" in sys.modules, __name__)
print("wrong", file=sys.stderr)
sys.exit(3 if sys.argv[1] == "exit" else None)
"""


@pytest.fixture(scope="module")
def warm():
    with Warm(["json", "no_such_module"]) as path:
        yield path


@pytest.fixture
def module(tmp_path):
    """Write a module and return how to run it: as `python -m`, or in a fork."""

    def write(text):
        (tmp_path / "said.py").write_text(text)
        return os.environ | {"PYTHONPATH": str(tmp_path), "LETTER": "é"}

    return write


@pytest.mark.parametrize("word", ["exit", "end"])
def test_a_fork_does_what_python_does(warm, module, tmp_path, word):
    text = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n" + SAYS
    environment, words = module(text), [word, "a b", "ü"]
    ask = {"cwd": tmp_path, "capture_output": True, "text": True}
    plain = subprocess.run([sys.executable, "-m", "said", *words], env=environment, **ask)
    cold = subprocess.run([*warm_command("said"), *words], env=environment, **ask)
    for made in (plain, cold):
        assert made.returncode == (3 if word == "exit" else 0)
        assert made.stderr == "wrong\n" and "é True __main__" in made.stdout
    assert cold.stdout == plain.stdout


def test_a_fork_has_what_was_imported_its_own_streams_and_the_exit_status(warm, tmp_path):
    run = {"cwd": tmp_path, "capture_output": True, "text": True}
    environment = os.environ | {SOCKET: warm, "PYTHONSAFEPATH": "1"}
    made = subprocess.run([*warm_command("json.tool"), "none"], env=environment, **run)
    assert made.returncode == 2 and "none" in made.stderr and not made.stdout
    (tmp_path / "a.json").write_text('{"a": 1}')
    made = subprocess.run([*warm_command("json.tool"), "a.json"], env=environment, **run)
    assert (made.returncode, made.stdout, made.stderr) == (0, '{\n    "a": 1\n}\n', "")


def test_a_fork_ends_with_whoever_asked_for_it(warm):
    """`http.server` never ends by itself."""
    command = [*warm_command("http.server"), "--bind", "127.0.0.1", "0"]
    asking = subprocess.Popen(
        command, env=os.environ | {SOCKET: warm}, stdout=subprocess.PIPE, text=True
    )
    server = [p for p in psutil.Process().children() if "howfar.core.warm" in p.cmdline()]
    assert asking.stdout.readline().startswith("Serving")
    forks = [fork for each in server for fork in each.children()]
    assert forks
    asking.kill()
    until = time.monotonic() + 20
    while not all(map(_ended, forks)):
        assert time.monotonic() < until
        time.sleep(0.05)
    asking.wait()


def _ended(process: psutil.Process) -> bool:
    """Whether a process is gone, or waits for its parent to notice that it has ended."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_warm_process_ends_with_its_starter():
    text = (
        "import os, sys, time\nfrom howfar.core.warm import Warm\n"
        "Warm(['json']).__enter__()\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    starter.stdout.readline()
    until = time.monotonic() + 20
    while not (below := psutil.Process(starter.pid).children()):
        assert time.monotonic() < until
    starter.kill()
    starter.wait()
    with suppress(psutil.NoSuchProcess):
        below[0].wait(timeout=20)
    assert not below[0].is_running()
