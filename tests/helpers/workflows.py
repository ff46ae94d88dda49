"""Run `howfar run`, killed on the way."""

import hashlib
import os
import signal
import subprocess
import sys

import pandas as pd

from howfar.results import tables


def start(study, results) -> subprocess.Popen:
    command = [sys.executable, "-m", "howfar", "--results", str(results), "run", "--study"]
    return subprocess.Popen(
        [*command, str(study)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def content(results, study="small") -> dict[str, str]:
    """A digest of each result table's rows and schema, provenance times left out."""
    found = {}
    for path in sorted((results / study).glob("*/*.parquet")):
        if path.parent.name not in ("tables", "individuals"):
            continue  # the simulated world's own files
        block = tables.read_provenance(path)
        block.pop("created")
        rows = pd.read_parquet(path)
        text = rows.to_csv(float_format="%.17g") + str(rows.dtypes.to_dict()) + str(block)
        found[path.name] = hashlib.sha256(text.encode()).hexdigest()
    return found


def run_killed(study, results, moments) -> int:
    """Start, kill -9 after each of `moments` (seconds), start again to the end; the kills made."""
    kills = 0
    for moment in moments:
        process = start(study, results)
        try:
            process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
    process = start(study, results)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return kills
