"""The workflow: what is made from what. `Snakefile` beside this file asks `plan` for the steps.

`run` starts Snakemake on it. A lock on the results folder keeps two runs apart; it is freed by
the operating system when the last process that holds it ends, however that happens.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from howfar.cohort.files import input_files, is_here
from howfar.core import sealed
from howfar.core.atomic import only_one, sweep, whole
from howfar.core.errors import HowfarError
from howfar.core.extras import require_module
from howfar.core.project import book_folder, project_root, resolve
from howfar.core.registry import FIGURES
from howfar.core.versions import versions_of
from howfar.core.warm import SOCKET, Warm
from howfar.fetch import catalogue
from howfar.study.reading import load_study
from howfar.study.schema import Study, study_file
from howfar.workflow.slurm import patient_commands

SNAKEFILE = Path(__file__).with_name("Snakefile")
#: Snakemake profiles that come with the package; of them `cloud` could not be tried.
PROFILES = {p.name: p for p in sorted(Path(__file__).with_name("profiles").iterdir())}
#: The layers whose versions decide each step's result: a raised number makes the step run again.
LAYERS = {
    "simulate": ("simulate",),
    "train": ("simulate",),
    "finetune": ("cohort", "genome", "training"),
    "predict": ("attribution", "cohort", "genome", "prediction"),
    "baseline": ("cohort", "genome", "linear"),
    "cures": ("attribution", "cohort", "evaluation", "genome", "linear", "prediction", "stats"),
    "transfer": ("cohort", "evaluation", "genome", "linear", "stats"),
    "stack": ("cohort", "genome", "linear", "prediction", "stacking", "stats"),
    "evaluate": ("cohort", "eqtl", "evaluation", "genome", "linear", "prediction", "stats"),
    "publish": ("evaluation", "published", "stats"),
}
#: Packages that only lay out pages; their text decides, as they have no values.
PAGES = {
    "notebook": ("figures", "evaluation"),
    "inputs": ("cli", "cohort", "genome", "study"),
    "verify": ("doctor", "models"),
    "book": ("book", "published"),
}
#: Folders of the study's results that each step fills.
_FOLDERS = {
    "baseline": ("baseline",),
    "cures": ("cures",),
    "finetune": ("finetune",),
    "transfer": ("transfer",),
    "stack": ("stacking",),
    "tables": ("tables", "individuals", "eqtl"),
}
#: What each notebook and its kernel would import anew.
WARM = [
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "papermill", "pyarrow.parquet", "seaborn"),
    *("statsmodels.stats.multitest", "howfar.cli"),
    *sorted({f"howfar.{entry.target.partition(':')[0]}" for entry in FIGURES.values()}),
]
#: What trainings and cures would import anew: as long as all of the above. Not predictions, which
#: have more threads than a fork gives torch.
WARM_NETWORKS = ["torch", "enformer_pytorch"]
TARGETS = ("tables", "notebooks", "book")
#: Environment variable: a file to which a command writes its error instead of showing it.
ERRORS = "HOWFAR_ERRORS"
#: What the steps are told: threads that wait sleep, as steps share the cores.
ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}


def versions(step: str) -> dict[str, int] | str:
    """Return what a step's result depends on in the package: versions, or a digest of the text."""
    if step in LAYERS:
        return versions_of(*LAYERS[step])
    package = Path(__file__).resolve().parents[1]
    files = sorted(path for name in PAGES[step] for path in (package / name).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@dataclass(frozen=True)
class Plan:
    """What the workflow makes for one study."""

    study: Study
    file: Path  # the study file
    results: Path
    draws: bool = False  # tables that a study brings are taken where it wasn't computed

    @property
    def folder(self) -> Path:
        """The study's results folder."""
        return self.results / self.study.name

    @property
    def handle(self) -> str:
        """How commands are told of the study: its name, or its file where that lies elsewhere."""
        return self.study.handle

    @property
    def computed(self) -> bool:
        """True where we compute the tables, False where others published them."""
        return self.study.cohort is not None

    @property
    def drawn(self) -> bool:
        """Whether the tables are those that the study brings, as nothing of it was computed."""
        runs = (Path(self.stamp(f"predict.{run.id}")) for run in self.study.runs)
        return self.draws and self.study.drawn_from is not None and not any(map(Path.is_file, runs))

    @property
    def committed(self) -> list[str]:
        """The tables that the study brings."""
        folder = self.study.drawn_from
        return [] if folder is None else sorted(map(str, resolve(folder).glob("*.parquet")))

    @property
    def source_files(self) -> list[str]:
        """Fetched files the study needs; empty unless all of them are here."""
        folder = self.results / "sources"
        complete = all(catalogue.available(self.study.needs, folder=folder).values())
        return [str(catalogue.path(n, folder=folder)) for n in self.study.needs if complete]

    @property
    def inputs(self) -> list[str]:
        """The cohort's files that the workflow doesn't make itself, and the study file."""
        made = [] if self.study.simulate else [str(p) for p in input_files(self.study).values()]
        made += [str(resolve(path)) for path in self.study.eqtl_files]
        return [str(self.file), *made, *self.source_files]

    @property
    def inputs_note(self) -> Path:
        """The file that stands for the inputs: written anew where one of them has changed.

        Snakemake compares times; those of the inputs themselves may lie in the future.
        """
        return self.folder / "steps" / "inputs.sha256"

    def note_inputs(self) -> None:
        """Write the note where the inputs are other ones than at the last run, by size and time."""
        states = [(p, p.stat()) for p in map(Path, self.inputs) if is_here(p)]
        lines = [f"{p} {state.st_size} {state.st_mtime_ns}" for p, state in states]
        text = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        if not self.inputs_note.is_file() or self.inputs_note.read_text() != text:
            with whole(self.inputs_note) as part:
                part.write_text(text)

    def files_of(self, step: str) -> list[Path]:
        """Return what a finished step has left on disk."""
        if step == "simulate":
            return [path for path in input_files(self.study).values() if is_here(path)]
        name, _, run = step.partition(".")
        if name == "train":
            folders = self.trained
        elif name == "predict":
            made = self.folder.glob(f"predictions/{glob.escape(run)}-*")
            own = [path for path in made if path.name.rpartition("-")[0] == run]
            folders = [*own, self.folder / "effects"]
        else:
            folders = [self.folder / each for each in _FOLDERS.get(name, ())]
        kept = (".parquet", ".npz", ".json", ".safetensors")
        return [p for each in folders for p in sorted(each.rglob("[!.]*")) if p.suffix in kept]

    @property
    def _made(self) -> Path:
        return self.folder / "steps" / "made.json"

    def note_made(self) -> None:
        """Note the files of each finished step, so that a deleted one is missed."""
        steps = [path.stem for path in sorted(self._made.parent.glob("*.done"))]
        if steps:
            listed = {
                s: [os.path.relpath(p, self.results) for p in self.files_of(s)] for s in steps
            }
            sealed.write_json(self._made, listed)

    def lost(self) -> Iterator[str]:
        """Stamps of done steps whose files are gone, each with a line that says so."""
        made = sealed.read_json(self._made) if self._made.is_file() else {}
        for step, names in made.items():
            lost = [name for name in names if not (self.results / name).exists()]
            if lost and Path(self.stamp(step)).is_file():
                print(f"howfar: {lost[0]} is gone; step {step} is done again", file=sys.stderr)
                yield self.stamp(step)

    @property
    def possible(self) -> bool:
        """Whether the study's tables can be made from what is here."""
        if self.study.needs and not self.source_files:
            return False
        files = input_files(self.study).values()
        return bool(self.study.simulate) or all(map(is_here, files))

    @property
    def trained(self) -> list[Path]:
        """Weights folders that the workflow trains (those of the demo world's model)."""
        return [f for f in self.study.trained_weights if self.results in f.parents]

    def stamp(self, step: str) -> str:
        """The file that says a step is done."""
        return str(self.folder / "steps" / f"{step}.done")

    @property
    def tables(self) -> list[str]:
        """The stamp of the last step before the notebooks; empty where it can't be made.

        Without expression there is nothing to evaluate: predictions are all.
        """
        if not self.possible:
            return []
        if self.study.cohort is not None and self.study.cohort.expression is None:
            return [self.stamp(f"predict.{run.id}") for run in self.study.runs]
        return [self.stamp("tables")]


def to_import(plans: Sequence[Plan]) -> list[str]:
    """Return what steps that are still to do, and notebooks, would each import."""
    left = [
        p.stamp(step)
        for p in plans
        for step, asked in {
            "train": p.trained,
            "cures": p.study.cures,
            "finetune": p.study.finetune,
        }.items()
        if asked and not Path(p.stamp(step)).is_file()
    ]
    return [*WARM, *(WARM_NETWORKS if left else ())]


def plan(name: str, results: str | Path, draws: bool = False) -> Plan:
    """The plan of a study, given by name or by its file."""
    return Plan(load_study(name), study_file(name).resolve(), Path(results).resolve(), draws)


def visible_gpus() -> list[str]:
    """Numbers of this machine's NVIDIA GPUs, or those that CUDA_VISIBLE_DEVICES names."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [word.strip() for word in named.split(",") if word.strip() not in ("", "-1")]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


def _check_target(target: str, plans: Sequence[Plan]) -> None:
    if target not in TARGETS:
        raise HowfarError(
            "--to", found=repr(target), expected=", ".join(TARGETS), do="Correct --to."
        )
    if target == "book":
        book_folder()
    folder = project_root() / "notebooks"
    pages = [] if target == "tables" else [(p, n) for p in plans for n in p.study.notebooks]
    for each, name in pages:
        if not (folder / f"{name}.ipynb").is_file():
            raise HowfarError(
                f"{each.study.place}, key notebooks",
                found=f"no notebook {name!r} in {folder}",
                expected="names of notebooks there, without .ipynb",
                do="Correct the study file.",
            )


def run(
    studies: Sequence[str],
    results: str | Path = "results",
    *,
    cores: int = 2,
    target: str = "tables",
    shards: int = 1,
    profile: str = "",
    extra: Sequence[str] = (),
    draws: bool = False,
) -> int:
    """Run the workflow for `studies` up to `target` (tables, notebooks or book).

    `shards` splits the genes of each run into as many jobs. Finished steps are kept; a step that
    was cut off is taken up where it stopped. Returns Snakemake's exit status.
    `profile`: one of `PROFILES`, or Snakemake's name or folder of another. On a cluster each
    network asks for `cores` cores; without one (or by `local`) networks may use all cores and run
    one at a time; shards one on each GPU of the machine, where it has several. `extra` goes to
    Snakemake as it is. `draws`: studies that bring tables are not computed (`Plan.drawn`).

    Where a step fails, those that don't need it are still made. HowfarError at the end with what
    steps said; where one said nothing, Snakemake's log is shown.
    """
    require_module("snakemake")
    results = Path(results).resolve()
    plans = [plan(name, results, draws) for name in studies]
    _check_target(target, plans)
    results.mkdir(parents=True, exist_ok=True)
    handles = [each.handle for each in plans]  # Snakemake works elsewhere
    gpus, cluster = visible_gpus(), profile not in ("", "local")
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)),
        *("--directory", str(results), "--cores", str(cores)),
        *("--config", f"results={json.dumps(str(results))}", f"studies={json.dumps(handles)}"),
        *(f"shards={shards}", f"cores={cores}", f"cluster={int(cluster)}"),
        f"drawn={int(draws)}",
        "/".join(["gpus=ids", *gpus]),
        *(("--profile", str(PROFILES.get(profile, profile))) if profile else ()),
        *(() if cluster else ("--resources", f"gpu={max(1, len(gpus))}")),
        *("--nolock", "--rerun-incomplete", "--keep-going"),
        *("--quiet", *(("rules", "host") if extra else ("all",))),
    ]
    dry = "--dry-run" in extra
    do = "Wait for it to end, or give this one another --results folder."
    with only_one(results / ".lock", "run of the workflow", do) as lock:
        sweep(results)
        for each in plans:
            each.note_inputs()
        lost = [stamp for each in plans for stamp in each.lost()]
        again = ["--forcerun", *lost] if lost and dry else []
        for stamp in [] if dry else lost:
            Path(stamp).unlink()
        command += [*extra, *again, "--", target]
        # Steps work in the results folder, from which another project might be found.
        env = (
            ENVIRONMENT
            | {"HOWFAR_PROJECT": str(project_root()), "HOWFAR_FROM": os.getcwd()}
            | os.environ
        )
        env |= {ERRORS: str(results / f".errors.{os.getpid()}")}
        Path(env[ERRORS]).unlink(missing_ok=True)  # of a killed run with the same number
        patient = patient_commands() if profile == "slurm" and not dry else nullcontext()
        no_pages = dry or cluster or target == "tables"
        with nullcontext() if no_pages else Warm(to_import(plans)) as warm, patient as path:
            env |= {SOCKET: warm} if warm else {}
            env |= {"PATH": path} if path else {}
            status = _run_stoppable(command, pass_fds=[lock.fileno()], env=env)
        _forget_host(results)
        for each in [] if dry else plans:
            each.note_made()
        _raise_errors(Path(env[ERRORS]))
        if status not in (0, *_INTERRUPTED):
            _show_log(results)
        return status


#: Exit statuses of a run that was asked to end.
_INTERRUPTED = (-2, -15, 130, 129, 143)


def _raise_errors(note: Path) -> None:
    """Raise what steps have noted as one HowfarError; nothing where they have noted nothing."""
    if not note.is_file():
        return
    errors = [HowfarError(**json.loads(line)) for line in note.read_text("utf-8").splitlines()]
    note.unlink()
    if len(errors) == 1:
        raise errors[0]
    raise HowfarError(
        f"{len(errors)} steps",
        found="\n".join(["", *(f"  {error}" for error in errors)]),
        expected="steps that run to their end",
        do="Correct what these say, and run the same command again: what could be made was made.",
    )


def _show_log(results: Path) -> None:
    """Show the end of Snakemake's latest log, for a failure that is none of ours."""
    logs = sorted((results / ".snakemake" / "log").glob("*.log"))
    for line in logs[-1].read_text("utf-8", "replace").splitlines()[-30:] if logs else ():
        print(line, file=sys.stderr)


def _forget_host(results: Path) -> None:
    """Take the machine's name out of Snakemake's logs, which people send along with questions."""
    for log in (results / ".snakemake" / "log").glob("*.log"):
        lines = log.read_text("utf-8", errors="replace").splitlines(keepends=True)
        if any(line.startswith("host: ") for line in lines):
            with whole(log) as part:
                part.write_text("".join(x for x in lines if not x.startswith("host: ")), "utf-8")


class _Stopped(Exception):
    """A signal that asks for the end."""


def _run_stoppable(command: Sequence[str], **options: Any) -> int:
    """Run a command; return its exit status. SIGTERM and SIGHUP end it and all its children."""

    def stop(number: int, _: object) -> None:
        """Raise, so that children are ended."""
        raise _Stopped(number)

    kinds = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():  # which alone takes signals
        kinds = []
    process = None
    try:
        for kind in kinds:
            signal.signal(kind, stop)
        process = subprocess.Popen(command, **options)
        return process.wait()
    except KeyboardInterrupt:  # which the terminal sends to all
        return 130 if process is None else process.wait()
    except _Stopped as error:
        for kind in kinds:  # a second one, as from a closing terminal, must not stop the ending
            signal.signal(kind, signal.SIG_IGN)
        if process is not None:
            _end_with_children(process.pid)
            process.wait()
        return 128 + int(error.args[0])
    finally:
        for kind in kinds:
            signal.signal(kind, signal.SIG_DFL)


def _end_with_children(pid: int, patience: float = 5) -> None:
    """Ask a process and all below it to end; kill what then still runs.

    Children go first, for a step that ends while its parent lives may be followed by another.
    """
    import psutil

    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        parent.suspend()  # starts nothing more
        try:
            family = [*parent.children(recursive=True), parent]
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    each.terminate()
        finally:
            parent.resume()
        _, alive = psutil.wait_procs(family, timeout=patience)
        for each in alive:
            with suppress(psutil.NoSuchProcess):
                each.kill()
