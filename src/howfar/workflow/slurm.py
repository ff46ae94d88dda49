"""SLURM's commands that wait for a controller which is away.

The executor plugin (2.8.0) hangs where its status command fails, as when the controller was killed
while it looked. These wait till the controller answers again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from howfar.core.extras import require_module

COMMANDS = ("sbatch", "squeue", "scontrol")
_LOOKS, _SECONDS = 360, 5  # half an hour; then the command fails as it would
_SCRIPT = """#!/bin/sh
looks={looks}
until '{scontrol}' ping 2>/dev/null | grep -q ' is UP' || [ $looks -eq 0 ]; do
  looks=$((looks - 1))
  sleep {seconds}
done
exec '{real}' "$@"
"""


@contextmanager
def patient_commands() -> Iterator[str]:
    """A PATH on which `COMMANDS`, those that are there, wait for the controller."""
    require_module("snakemake_executor_plugin_slurm")
    path = os.environ.get("PATH", "")
    scontrol = shutil.which("scontrol")
    with TemporaryDirectory(prefix="howfar-slurm-") as folder:
        for name in COMMANDS if scontrol else ():
            real = shutil.which(name)
            if real is not None:
                script = Path(folder, name)
                text = {"real": real, "scontrol": scontrol, "looks": _LOOKS, "seconds": _SECONDS}
                script.write_text(_SCRIPT.format(**text))
                script.chmod(0o755)
        yield os.pathsep.join([folder, path])
