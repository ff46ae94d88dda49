"""What is here and what is missing, in words a user can act on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from howfar.cohort.files import input_files, is_here, require_inputs
from howfar.core.errors import HowfarError
from howfar.core.extras import missing_extra
from howfar.core.project import resolve
from howfar.doctor.kept import list_kept
from howfar.doctor.looks import look_at
from howfar.doctor.verdicts import keep, models_table
from howfar.fetch import catalogue
from howfar.genome.genotypes.check import check_variants
from howfar.simulate.worlds import setting_note
from howfar.study.reading import load_study
from howfar.study.schema import Study, study_names

_MODELS_AND_COHORT = ["torch", "enformer-pytorch", "cyvcf2", "pyfaidx"]
_BOOK = ["papermill", "jupyter-book", "snakemake", "pandas", "seaborn", "statsmodels"]
_MADE_HERE = "(the workflow makes it)"
_PROGRAMS = {
    "bcftools": "property tests and `howfar bench haplotypes`",
    "samtools": "`howfar bench haplotypes`",
    "chromium": "the browser check of the book",
}


def report(study: str | None, results: Path) -> str:
    """Report on one study, or on all that the project has, as lines of text."""
    return examine(study, results)[0]


def examine(study: str | None, results: Path) -> tuple[str, bool]:
    """Return the report, and whether the one study that is named lacks something.

    What the workflow makes itself is not lacking.
    """
    named = None if study is None else load_study(study)
    parts = [_software(), _device(), _models(results, named)]
    if named is None:
        return "\n".join(parts + [_study(load_study(n), results) for n in study_names()]), False
    looks = _looks(named)
    parts += [_study(named, results, looks), _kept(named, results)]
    return "\n".join(filter(None, parts)), any(map(_lacks, "\n".join(parts[3:]).splitlines()))


def _lacks(line: str) -> bool:
    return "LACKING: " in line or ("MISSING" in line and _MADE_HERE not in line)


def _looks(study: Study) -> list[str]:
    return [f"  {look.what}: {look.seen}" for look in look_at(study)]


def verified(model: str, weights: Path | None, device: str, results: Path) -> tuple[str, bool]:
    """Verify a model and record the outcome; return its report and whether a candidate fits.

    What other weights than the fetched ones give is reported and not recorded.
    """
    from howfar.doctor.reproduce import verify

    found = verify(model, weights, folder=results / "sources", device=device)
    text = found.summary()
    if weights is None:
        text += f"recorded in {keep(model, found.outcome(), results)}\n"
    return text, found.verified


def check_genotypes(study: Study) -> Iterator[HowfarError]:
    """Yield every fault of a study's genotype files, which are read whole."""
    require_inputs(study)
    yield from check_variants(resolve(study.cohort.variants))


def _software() -> str:
    lines = ["Software"]
    for name in (*_MODELS_AND_COHORT, *_BOOK):
        try:
            lines.append(f"  {name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"  {name}: MISSING. Run `make setup`.")
    for name, use in _PROGRAMS.items():
        state = "found" if shutil.which(name) else "not found (optional)"
        lines.append(f"  {name}: {state}; for {use}")
    return "\n".join(lines) + "\n"


def _device() -> str:
    try:
        import torch
    except ModuleNotFoundError:
        return f"Device\n  cpu; {missing_extra('torch')}\n"

    if not torch.cuda.is_available():
        return f"Device\n  cpu, {torch.get_num_threads()} threads; no GPU is seen\n"
    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    lines = [f"  {p.name}, {p.total_memory / 2**30:.0f} GiB" for p in found]
    return "\n".join(["Device", *lines]) + "\n"


def _models(results: Path, study: Study | None) -> str:
    """Say which weights are here: of the study's networks, of all without a study."""
    asked = {run.model for run in study.runs} if study else None
    lines = ["Models (`model` of a run; `howfar models` says more)"]
    for row in models_table(results):
        if asked is not None and row["name"] not in asked:
            continue
        here = {"yes": "weights here", "no": "weights MISSING"}.get(row["present"], "")
        parts = [part for part in (here, row["verified"]) if part]
        parts += [row["needs"]] if row["present"] != "yes" else []
        lines.append(f"  {row['name']}: {'; '.join(parts)}")
    return "\n".join([*lines, "  or package.module:loader, for one of your own\n"])


def _study(study: Study, results: Path, looks: Sequence[str] = ()) -> str:
    lines = [f"Study {study.name}: {study.title}", *_inputs(study), *_sources(study, results)]
    for run in study.runs:
        if run.weights:
            lines.append(_present(f"weights of {run.id}", resolve(run.weights), study))
    lines += looks
    lines += [f"  {note}"] if (note := setting_note(study)) else []
    made = results / study.name / "tables" / "runs.parquet"
    lines.append(f"  result tables: {'made' if made.is_file() else 'not made yet'}")
    lacking = any("MISSING" in line or _lacks(line) for line in lines)
    lines.append(f"  {_advice(study, lacking, made.is_file())}")
    return "\n".join(lines) + "\n"


def _kept(study: Study, results: Path) -> str:
    """What is kept of the study, and what of it is stale; needs its input files."""
    if study.cohort is None or not all(map(is_here, input_files(study).values())):
        return ""
    items = list_kept(study, results)
    stale = sum(item.size for item in items if item.stale)
    lines = ["Kept", *(f"  {item.describe()}" for item in items)]
    if stale:
        advice = f"howfar clean --study {study.handle} --stale"
        lines.append(f"  {stale / 1e6:.1f} MB are stale; `{advice}` removes them")
    return "\n".join(lines if items else [*lines, "  nothing yet"]) + "\n"


def _present(what: str, path: Path, study: Study) -> str:
    made_here = f" {_MADE_HERE}" if study.simulate else ""
    state = "here" if path.exists() else f"MISSING{made_here}: {path}"
    return f"  {what}: {state}"


def _inputs(study: Study) -> list[str]:
    return [_present(role, path, study) for role, path in input_files(study).items()]


def _sources(study: Study, results: Path) -> list[str]:
    have = catalogue.available(study.needs, folder=results / "sources")
    return [f"  {need}: {'here' if here else 'MISSING'}" for need, here in have.items()]


def _advice(study: Study, lacking: bool, made: bool) -> str:
    if made and not lacking:
        return "nothing is lacking"
    if lacking and study.needs:
        names = " ".join(study.fetch_names)
        return (
            f"run `howfar fetch {names}`, then `howfar run --study {study.handle} --to notebooks`"
        )
    if lacking and not study.simulate:
        return "correct what is missing or lacking above, in the study file or the files"
    return f"run `howfar run --study {study.handle} --to notebooks`"
