"""A whole study on a real SLURM of one machine, jobs and controller killed: equal tables."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from helpers.workflows import content, small_study, start
from howfar import workflow
from howfar.core.errors import HowfarError
from howfar.workflow import PROFILES, slurm

DAEMONS = ("munged", "slurmctld", "slurmd")
CONF = Path("/etc/slurm")
LONG = pytest.mark.skipif(
    os.getenv("HOWFAR_LONG") != "1"
    or os.getuid() != 0
    or not all(map(shutil.which, DAEMONS))
    or (CONF / "slurm.conf").exists(),
    reason="HOWFAR_LONG=1: minutes, as root, with Debian's slurm-wlm and no SLURM configured",
)
WAIT = 900  # seconds, of anything


def until(true: Callable[[], object], what: str) -> None:
    """Wait until something is true."""
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, f"{what} never came"
        time.sleep(1)


def told(*command: str) -> str:
    """What a command of SLURM prints; nothing while its controller is away."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


class Cluster:
    """SLURM on this machine, with two "GPUs"."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.running = folder, {}
        host = socket.gethostname()
        own = {"StateSaveLocation": "state", "SlurmdSpoolDir": "spool"}
        own |= {"SlurmctldPidFile": "c.pid", "SlurmdPidFile": "d.pid"}
        own |= {"SlurmctldLogFile": "c.log", "SlurmdLogFile": "d.log"}
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        lines = [
            *("ClusterName=howfar", f"SlurmctldHost={host}", "SlurmUser=root"),
            *("ProctrackType=proctrack/linuxproc", "TaskPlugin=task/none", "MpiDefault=none"),
            *("SelectType=select/cons_tres", "SelectTypeParameters=CR_Core_Memory"),
            *("ReturnToService=2", "GresTypes=gpu", "AuthType=auth/munge"),
            *(f"{key}={folder / name}" for key, name in own.items()),
            f"NodeName={host} CPUs={os.cpu_count()} RealMemory={memory} Gres=gpu:2",
            "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
        ]
        CONF.mkdir(exist_ok=True)
        (CONF / "slurm.conf").write_text("\n".join(lines) + "\n")
        (CONF / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
        for name in ("state", "spool"):
            (folder / name).mkdir()
        Path("/run/munge").mkdir(exist_ok=True)
        shutil.chown("/run/munge", "munge", "munge")
        self.start("munged", "runuser", "-u", "munge", "--", "munged", "--foreground")
        until(Path("/run/munge/munge.socket.2").exists, "munge")
        self.start("slurmctld", "slurmctld", "-D", "-c")
        self.start("slurmd", "slurmd", "-D")
        until(lambda: "idle" in told("sinfo", "-h", "-o", "%t"), "an idle node")

    def start(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.out").open("ab")
        self.running[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()

    def end(self) -> None:
        for process in reversed(self.running.values()):
            process.terminate()
            process.wait(60)
        for name in ("slurm.conf", "gres.conf"):
            (CONF / name).unlink()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    yield made
    made.end()


def running() -> list[str]:
    """Numbers of the cluster's jobs that ask for a GPU and whose work has begun (a step of srun).

    One whose srun asks a killed controller for its step asks again after five minutes.
    """
    lines = told("squeue", "-h", "-t", "R", "-O", "JobID:20,tres-per-job:40").splitlines()
    steps = told("squeue", "-h", "-s", "-o", "%i").split()
    jobs = [line.split()[0] for line in lines if "gpu" in line]
    return [job for job in jobs if f"{job}.0" in steps]


@LONG
@pytest.mark.slow
def test_a_study_with_a_killed_job_controller_and_run_ends_in_equal_tables(cluster, tmp_path):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    study = small_study(tmp_path)
    calm, results = tmp_path / "calm", tmp_path / "results"
    output, _ = (process := start(study, calm)).communicate()
    assert process.returncode == 0, output

    options, begun = ("--profile", "slurm", "--shards", "2", "--cores", "1"), time.monotonic()
    process = start(study, results, *options)
    until(lambda: len(running()) == 2, "two shards at once, one on each GPU")
    killed = running()[0]
    subprocess.run(["scancel", "-s", "KILL", "--full", killed], check=True)
    # SLURM starts a job that ends while the controller is away again, unless it is told not to (as
    # the profile does), and then drains the node; so the controller hears of this one.
    until(lambda: killed not in told("squeue", "-h", "-o", "%i").split(), "the killed job's end")
    cluster.kill("slurmctld")
    time.sleep(15)  # in which the run looks for its jobs
    cluster.start("slurmctld", "slurmctld", "-D")  # without -c, which forgets the jobs
    done = results / "small" / "steps"
    until(lambda: list(done.glob("shard.*.done")), "a shard that is done")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    told("scancel", "--user", "root")
    until(lambda: not told("squeue", "-h"), "an empty queue")

    output, _ = (process := start(study, results, *options)).communicate(timeout=WAIT)
    print(f"{time.monotonic() - begun:.0f} s on the cluster")
    assert process.returncode == 0, output
    assert content(results) == content(calm)
    assert len(content(calm)) == 12


@pytest.mark.parametrize("name", ["local", "slurm", "cloud"])
def test_profiles_come_with_the_package(name, tmp_path, monkeypatch):
    keys = yaml.safe_load((PROFILES[name] / "config.yaml").read_text())
    executor = {"local": None, "slurm": "slurm", "cloud": "kubernetes"}[name]
    assert keys.get("executor") == executor and keys["retries"]
    ran = []
    monkeypatch.setattr(workflow, "_run_stoppable", lambda command, **_: ran.extend(command) or 0)
    monkeypatch.setattr(slurm, "require_module", lambda _: None)
    assert workflow.run(["demo"], tmp_path, profile=name) == 0
    assert str(PROFILES[name]) == ran[ran.index("--profile") + 1]
    assert f"cluster={int(name != 'local')}" in ran
    assert ("--resources" in ran) == (name == "local")


def test_without_the_plugin_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "snakemake_executor_plugin_slurm", None)
    monkeypatch.setattr("howfar.core.extras.is_installed", lambda _: False)
    with pytest.raises(HowfarError, match=r"howfar\[slurm\]"), slurm.patient_commands():
        pass


def test_commands_wait_for_the_controller(tmp_path, monkeypatch):
    bin_, monkey = tmp_path / "bin", monkeypatch
    bin_.mkdir()
    up = tmp_path / "up"
    ping = f'[ "$1" = ping ] && {{ [ -e {up} ] && echo "Slurmctld at x is UP"; touch {up}; }}'
    for name, text in {"scontrol": ping, "squeue": 'echo "squeue $*"'}.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_ / name).chmod(0o755)
    monkey.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    monkey.setattr(slurm, "require_module", lambda _: None)
    monkey.setattr(slurm, "_SECONDS", 0.1)
    with slurm.patient_commands() as path:
        command, here = ["squeue", "a b"], path.split(":")[0]
        found = subprocess.run(command, env={"PATH": path}, capture_output=True, text=True)
        assert {"scontrol", "squeue"} <= set(os.listdir(here))
    assert found.stdout == "squeue a b\n" and up.exists() and not os.path.exists(here)
