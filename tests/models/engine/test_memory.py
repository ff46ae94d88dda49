"""Freed memory is kept, unless the user wants otherwise, and values don't depend on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from howfar.models.engine.memory import give_back, keep_freed

print(keep_freed() if sys.argv[1] == "keep" else None)
size = 24 << 20  # floats: 96 MiB, which glibc would take from the system each time
np.ones(size, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(size, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
give_back()
np.ones(size, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def counted(word: str, **more: str) -> tuple[str, int, int]:
    """(what `keep_freed` returned, page faults of five large arrays, of one after `give_back`)."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", SCRIPT, word], env=plain | more,
                          capture_output=True, text=True, check=True)  # fmt: skip
    kept, taken, after = done.stdout.split()
    return kept, int(taken), int(after) - int(taken)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_blocks_are_kept_and_can_be_given_back():
    kept, taken, after = counted("keep")
    _, without, _ = counted("no")
    assert kept == "True"
    assert taken * 10 < without
    assert after > 10 * taken


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_the_users_own_setting_stands(name):
    value = {"MALLOC_ARENA_MAX": "4", "GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}[name]
    assert counted("keep", **{name: value})[0] == "False"
