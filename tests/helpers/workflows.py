"""Run `howfar run`, killed on the way."""

import hashlib
import os
import signal
import subprocess
import sys
import warnings

import pandas as pd
import yaml

from howfar.core.warm import warm_command
from howfar.results import tables
from howfar.study.schema import study_file

RUN = "demo-cage-a"


def small_study(folder):
    """The demo study in its kind setting, shrunk to seconds, under its own name."""
    study = yaml.safe_load(study_file("demo_kind").read_text())
    del study["drawn_from"]
    study["name"] = "small"
    study["simulate"] |= {"people": 24, "genes": 16}
    study["train"] = {"epochs": 2}
    study["evaluation"] = {"null_draws": 200, "bootstrap": 100, "cis_window": 8192}
    study["effects"] = ["GENE0001"]
    study["baselines"] |= {"models": ["enet", "blup"], "genes": {}}
    study["runs"] = [r for r in study["runs"] if r["id"] == RUN]
    study["cohort"]["expression"] = study["cohort"]["expression"]["A"]
    study["runs"][0]["tracks"] = study["runs"][0]["tracks"]["A"]
    text = yaml.safe_dump(study).replace("results/demo_kind/", "results/small/")
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def forked(command, *, env, **_) -> int:
    """Run Snakemake in a fork of this process, which has imported it; return its exit status."""
    from snakemake.cli import main

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forks of a process with threads; and in the fork
        if (child := os.fork()) == 0:
            os.environ.update(env)
            status = 1
            try:
                main(list(command[3:]))
            except SystemExit as end:
                status = int(end.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def start(study, results, *options) -> subprocess.Popen:
    """Start `howfar run`, in a fork of the process of `Warm` where a test keeps one."""
    command = [*warm_command("howfar"), "--results", str(results), "run", "--study"]
    return subprocess.Popen(
        [*command, str(study), *options],
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
