"""Where a result came from: enough, beside the file itself, to make it again."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from howfar.core import sealed
from howfar.core.project import project_root
from howfar.core.versions import VERSIONED, versions_of

#: A text that is a path as folders name users: absolute, of a user, or from the current folder.
_ABSOLUTE = re.compile(r"(/[^/\s][^/\n]*/|~[\w.-]*/|\.\.?/)[^\n]*$")
_PACKAGES = ("howfar", "numpy", "pandas", "scipy", "torch", "cyvcf2", "pyfaidx", "msprime")


def sha256_of(path: str | Path) -> str:
    """Hex SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, read once while its size, time and inode stay the same.

    Of a folder, that of its files' names and digests.
    """
    if (folder := Path(path)).is_dir():
        files = sorted(each for each in folder.rglob("*") if each.is_file())
        lines = [f"{each.relative_to(folder)} {digest(each)}\n" for each in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    status = Path(path).stat()
    return _digest_of(str(path), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=1024)
def _digest_of(path: str, size: int, changed: int, inode: int) -> str:
    return sha256_of(path)


@cache
def commit() -> str:
    """The git commit of the project, with '+' when the tree differs from it; '' outside git."""

    def git(*words: str) -> str:
        """What git prints; '' where it fails."""
        done = subprocess.run(
            ["git", *words], cwd=project_root(), capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "HEAD")
    return head + "+" if head and git("status", "--porcelain", "-uno") else head


def _versions() -> dict[str, str]:
    """Return the versions of the packages that decide values and are installed."""
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):  # an extra that isn't installed
            found[name] = version(name)
    return found


def block(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str | Path] | None = None,
    warnings: Mapping[str, int] | None = None,
    **extra: Any,
) -> dict[str, Any]:
    """The provenance block of a result.

    `parameters` are the call's, in which a file stands by its name alone, as folders name users;
    `inputs` maps a role to a file, which is recorded by SHA-256;
    `warnings` counts what was met on the way, by its name; `extra` takes seed, device, precision.
    """
    # What was never met is left out: a run that was cut off doesn't ask for all of it again.
    met = {name: count for name, count in sorted((warnings or {}).items()) if count}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": _versions(),
        "versions": versions_of(*VERSIONED),
        "parameters": without_folders(parameters),
        "inputs": {
            role: {"file": Path(path).name, "sha256": digest(path)}
            for role, path in (inputs or {}).items()
        },
        **({} if warnings is None else {"warnings": met}),
        **extra,
    }


def without_folders(value: Any) -> Any:
    """Return `value` with every file in it, a Path or an absolute path as text, by its name."""
    if isinstance(value, Mapping):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(each) for each in value]
    if isinstance(value, Path) or (isinstance(value, str) and _ABSOLUTE.match(value)):
        return Path(value).name
    return value


def write(path: str | Path, block: Mapping[str, Any]) -> None:
    """Write a provenance block as sealed JSON, whole or not at all."""
    sealed.write_json(path, block)
