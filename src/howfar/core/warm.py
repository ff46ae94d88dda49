"""Python modules run in forks of a process that has imported everything: pages in half the time.

Each of a book's seventy notebooks, and its kernel, would import for seconds what the one before
had imported. `Warm` keeps one process with it, which forks itself for each. This file is also the
program that asks for a fork, with nothing but the standard library: `python -I -S warm.py MODULE
ARGUMENTS` does what `python -m MODULE ARGUMENTS` does, and becomes that where nothing listens.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress

#: Environment variable: the socket on which the process listens.
SOCKET = "HOWFAR_WARM"
_MOST = 1 << 20  # bytes of a request


class Warm:
    """Keep a process that has imported `modules`; it ends with the block, or with us."""

    def __init__(self, modules: list[str]) -> None:
        self._modules = modules

    def __enter__(self) -> str:
        """Return the socket's path, for the environment of whoever is to ask."""
        self._folder = tempfile.TemporaryDirectory(prefix="howfar-")
        path = f"{self._folder.name}/socket"
        own = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # as each small step gets
        environment = os.environ | own
        command = [sys.executable, "-m", "howfar.core.warm", path, *self._modules]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        return path

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()
        self._folder.cleanup()


def warm_command(module: str) -> list[str]:
    """Return the command that runs a module; its arguments follow."""
    return [sys.executable, "-I", "-S", __file__, module]


def ask(module: str, arguments: list[str]) -> None:
    """Run a module in a fork of the warm process, and end with its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.environ[SOCKET])
    except (KeyError, OSError):
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
    request = {"module": module, "arguments": arguments, "folder": os.getcwd()}
    text = json.dumps(request | {"environment": dict(os.environ)}).encode()
    socket.send_fds(connection, [len(text).to_bytes(4, "big")], [0, 1, 2])
    connection.sendall(text)
    # The fork ends when this process does, however that happens: it sees the connection close.
    status = connection.recv(1)
    sys.exit(status[0] if status else 1)


def serve(path: str, modules: list[str]) -> None:
    """Import modules, and fork for each request until standard input is closed."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)  # those who ask early wait
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal, meant for whoever started us
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # read as ipykernel is imported
    gc.set_threshold(200_000)  # forks end soon: looking for garbage takes more than it frees
    for module in modules:
        with suppress(ImportError):  # whoever needs it says what lacks
            importlib.import_module(module)
    gc.freeze()  # what forks share is not collected, hence not copied
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _run(connection)
        connection.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _run(connection: socket.socket) -> None:
    """Take the place of one command, in a group of processes of its own; never returns."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        length, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
        text = b""
        while len(text) < int.from_bytes(length, "big"):
            text += connection.recv(_MOST)
        request = json.loads(text)
        for standard, given in enumerate(descriptors):
            os.dup2(given, standard)
            os.close(given)
        # Anew, as a stream that was a file's would seek in what may be a pipe.
        sys.stdout = os.fdopen(1, "w", 1, sys.stdout.encoding, "backslashreplace", closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, sys.stderr.encoding, "backslashreplace", closefd=False)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = [request["module"], *request["arguments"]]
        threading.Thread(target=_end_with, args=[connection], daemon=True).start()
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(ValueError):  # closed
            sys.stdout.flush()
            sys.stderr.flush()
        connection.send(bytes([status]))
        os._exit(status)


def _end_with(connection: socket.socket) -> None:
    """End this command, and the kernel it started, where whoever asked for it is gone."""
    connection.recv(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    if __spec__ is None:
        ask(sys.argv[1], sys.argv[2:])
    else:
        serve(sys.argv[1], sys.argv[2:])
