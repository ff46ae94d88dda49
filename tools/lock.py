"""Resolve pyproject.toml's `test` extra again: writes requirements.lock and constraints.txt.

Versions stay as they are where they still fit. Arguments are uv's, for example
`--upgrade-package numpy` or `--upgrade`.

requirements.lock holds every package but torch with the SHA-256 of each of its files, for any
platform and for Python from OLDEST on. torch and what it needs for a GPU stay out of it, as its
builds differ between machines. constraints.txt holds the same versions and torch's, without hashes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK, CONSTRAINTS = ROOT / "requirements.lock", ROOT / "constraints.txt"
UV = "uv==0.13.9"
OLDEST = "3.11.5"  # soupsieve's lower bound

LOCK_HEADER = """\
# What pyproject.toml's extra `test` needs but torch, with the SHA-256 of every file.
# Made by `make lock`.
"""
CONSTRAINTS_HEADER = """\
# The versions of requirements.lock, and torch's, without hashes: for torch, whose builds differ
# between machines, and for installations that pick extras. Made by `make lock`.
"""
# One requirement, its hashes and its comment.
_SECTION = re.compile(r"^[a-z0-9].*\n(?:[ #].*\n)*", re.MULTILINE)
_DEVICE = re.compile(r"(cuda|nvidia)-|triton=")  # torch's libraries for GPUs


def main(arguments: list[str]) -> None:
    """Resolve, and write both files."""
    sections = [s for s in _SECTION.findall(resolve(arguments)) if not _DEVICE.match(s)]
    locked = [s for s in sections if not s.startswith("torch==")]
    LOCK.write_text(LOCK_HEADER + "".join(locked))
    versions = [s.splitlines()[0].removesuffix(" \\") for s in sections]
    CONSTRAINTS.write_text(CONSTRAINTS_HEADER + "\n".join(versions) + "\n")


def resolve(arguments: list[str]) -> str:
    """Return uv's resolution with hashes; it prefers the versions of constraints.txt."""
    with tempfile.TemporaryDirectory() as folder:
        environment, output = Path(folder, "uv"), Path(folder, "resolved.txt")
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, UV], check=True)
        output.write_text(CONSTRAINTS.read_text())  # uv keeps the versions of its output file
        command = [environment / "bin" / "uv", "pip", "compile", "--quiet", "--no-config",
                   "--system-certs", "--universal", "--python-version", OLDEST,
                   "--extra", "test", "--generate-hashes", "--no-header",
                   "--annotation-style", "line", "--output-file", output,
                   *arguments, ROOT / "pyproject.toml"]  # fmt: skip
        subprocess.run(command, check=True, cwd=ROOT)
        return output.read_text()


if __name__ == "__main__":
    main(sys.argv[1:])
