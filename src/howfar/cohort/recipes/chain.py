"""The chain of a recipe: named steps that go on where they were cut off.

Each finished step (of genotypes, each file of a step) has a stamp in ``<folder>/steps``: digests
of what it read, its options, what it counted and wrote. A step whose stamp still fits is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from howfar import cohort
from howfar.cohort.recipes import genotypes, tables
from howfar.cohort.recipes.job import Job, unit_file
from howfar.cohort.recipes.recipe import Input, Recipe
from howfar.core import sealed
from howfar.core.atomic import only_one, whole
from howfar.core.errors import HowfarError, about
from howfar.core.provenance import sha256_of
from howfar.fetch.fetching import fetch_sources
from howfar.genome.genotypes.open import variant_files

GENOTYPES = "genotypes"
#: Ends of what lies beside a file of genotypes.
_BESIDE = (".csi", ".tbi", genotypes.FILLED, genotypes.REJECTED)


@dataclass(frozen=True)
class Step:
    """A step: its name, what it does, what it reads, and the function that does it.

    each: it is done for each file of genotypes by itself; `make` then returns that file alone.
    """

    name: str
    does: str
    make: Callable[[Job], dict[str, Path]]
    reads: tuple[str, ...] = ()
    each: bool = False


STEPS = [
    Step(
        "check",
        "checksums, people in common, contigs, phase, ploidy, REF",
        genotypes.check,
        (
            *[
                "genotypes",
                "reference",
                "chain",
                "expression",
                "counts",
                "sample_map",
                "people",
                "populations",
            ],
        ),
    ),
    Step("liftover", "Picard LiftoverVcf", genotypes.liftover, ("chain", "reference"), True),
    Step("normalise", "bcftools norm", genotypes.normalise, ("reference", "chain"), True),
    Step("filter", "people, kinds of variants, missing calls", genotypes.select, ("keep",), True),
    Step("phase", "SHAPEIT4, Beagle or Eagle", genotypes.phase, ("map",), True),
    Step(
        "expression",
        "samples renamed, the study's recipe",
        tables.expression,
        (
            "expression",
            "counts",
            "tpm",
            "sample_map",
            "populations",
            "expression_covariates",
            "keep",
        ),
    ),
    Step(
        "genes", "TSS and strand", tables.genes, ("genes", "gene_list", "expression_table", "chain")
    ),
    Step(
        "covariates",
        "populations, covariates of eQTLs",
        tables.covariates,
        ("covariates", "populations", "keep"),
    ),
    Step(
        "study",
        "the study file",
        tables.study,
        (
            "genotypes",
            "reference",
            "expression_table",
            "gene_table",
            "sample_table",
            "covariate_table",
        ),
    ),
]
FETCH = "fetch"
NAMES = [FETCH, *(step.name for step in STEPS)]


@dataclass(frozen=True)
class Done:
    """A finished step: its counts, by file where there are several, and the seconds it took."""

    name: str
    seconds: float
    counts: Counter[str]
    notes: list[str]
    kept: bool


class Chain:
    """A recipe in a folder. have: the user's files by key. options: of steps, over the recipe's."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        have: Mapping[str, Path] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        cores: int = 1,
    ) -> None:
        self.recipe, self.folder, self.cores = recipe, folder, cores
        self.have, self.options = dict(have or {}), options or {}
        self._digests = _Digests(folder / "steps" / "digests.json")

    def lacking(self) -> dict[str, Input]:
        """Return the inputs that only the user can bring, and has not."""
        return {
            key: each
            for key, each in self.recipe.inputs.items()
            if not (each.optional or each.urls or each.source or key in self.have)
        }

    def plan(self) -> str:
        """Say what the chain takes and does: files, sizes, licences, access, steps, hours."""
        lines = [
            self.recipe.title,
            self.recipe.summary.strip(),
            f"Access: {self.recipe.access}",
            "",
        ]
        lines.append("Files (--have KEY=PATH gives one of yours):")
        for key, each in self.recipe.inputs.items():
            place, words = self._whence(key, each)
            lines.append(f"  {key}: {each.what}; {each.terms}; {words}")
            lines += [f"    {url}" for url in place]
            lines += [f"    {each.note}"] if each.note else []
        lines.append("Steps:")
        for step in STEPS:
            there = any((self.folder / "steps").glob(f"{step.name}.*json"))
            lines.append(f"  {step.name}: {step.does}{' (made before)' if there else ''}")
        return "\n".join([*lines, f"Hours: {self.recipe.hours.strip()}", self.recipe.cite])

    def _whence(self, key: str, each: Input) -> tuple[list[str], str]:
        if key in self.have:
            return [], f"given: {self.have[key].name}"
        if each.controlled:
            return [], f"NOT GIVEN: you must have it{f', {each.file}' if each.file else ''}"
        if not (each.urls or each.source):
            return [], "optional, yours" if each.optional else "NOT GIVEN: you must have it"
        files = each.to_fetch(self.recipe, key)
        urls = [f.url for f in files] if len(files) < 4 else each.urls
        stated = f"MD5 stated by {each.md5_from}" if each.md5 else "SHA-256 stated"
        known = stated if each.md5 or all(f.sha256 for f in files) else "checksum not stated"
        return urls, f"fetched, {each.size}, {known}"

    def run(self, until: str = "", say: Callable[[str], None] = lambda text: None) -> list[Done]:
        """Do all steps that remain, up to `until`, which is made anew; return all that are done."""
        if until not in ("", *NAMES):
            raise HowfarError(
                "--step",
                found=repr(until),
                expected=f"one of {', '.join(NAMES)}",
                do="Correct the name of the step.",
            )
        with only_one(self.folder / ".lock", f"howfar cohort {self.recipe.name}"):
            files = self._fetch()
            say(f"{FETCH}: {len(self.have)} files given, {len(files) - len(self.have)} fetched")
            done: list[Done] = []
            for step in STEPS:
                if until == FETCH:
                    break
                with about(f"howfar cohort {self.recipe.name}, step {step.name}"):
                    done.append(self._step(step, files, anew=step.name == until))
                say(_told(done[-1]))
                if step.name == until:
                    break
            return done

    def _fetch(self) -> dict[str, Path]:
        """Bring what isn't given; return all inputs by role, genotypes as they are named."""
        if lacking := self.lacking():
            key, each = next(iter(lacking.items()))
            raise HowfarError(
                f"howfar cohort {self.recipe.name}, input {key}",
                found="no file given",
                expected=f"{each.what}" + (f", {each.file}" if each.file else ""),
                do=f"{self.recipe.access} Then give --have {key}=PATH.",
            )
        files, place = dict(self.have), self.folder / "fetched"
        for key, each in self.recipe.inputs.items():
            if key in files or not (listed := each.to_fetch(self.recipe, key)):
                continue
            report = fetch_sources(listed, place)
            for error in report.failed.values():
                raise error
            first = place / listed[0].id
            chroms = first.with_name(each.urls[0].rpartition("/")[2]) if each.chroms else first
            files[key] = chroms
            for source, md5 in zip(listed, each.md5, strict=False):
                if source.id in report.fetched:
                    _check_md5(place / source.id, md5, each.md5_from)
        return files

    def _step(self, step: Step, files: dict[str, Path], anew: bool) -> Done:
        """Do a step for each of its files, and put what it made into `files`."""
        units = _units(files) if step.each else {"": Path()}
        with ThreadPoolExecutor(self.cores) as pool:
            jobs = {u: pool.submit(self._job, step, u, p, files, anew) for u, p in units.items()}
        stamps = {unit: job.result() for unit, job in jobs.items()}
        if step.each:
            files[GENOTYPES] = self._together(step, units, stamps, files[GENOTYPES])
        else:
            made = stamps[""]["products"]
            files |= {role: self.folder / path for role, path in made.items()}
        counts = sum((Counter(stamp["counts"]) for stamp in stamps.values()), Counter())
        notes = list(dict.fromkeys(note for stamp in stamps.values() for note in stamp["notes"]))
        seconds = sum(stamp["seconds"] for stamp in stamps.values())
        return Done(step.name, seconds, counts, notes, all(s["kept"] for s in stamps.values()))

    def _job(
        self, step: Step, unit: str, source: Path, files: dict[str, Path], anew: bool
    ) -> dict[str, Any]:
        """Return the stamp of a step for one file: kept where it fits, else made."""
        read = {role: files[role] for role in step.reads if role in files}
        options = self.recipe.steps.get(step.name, {}) | dict(self.options.get(step.name, {}))
        every = [*([source] if step.each else []), *read.values()]
        key = {
            "step": step.name,
            "version": cohort.VERSION,
            "options": options,
            "recipe": self.recipe.model_dump(exclude={"hours", "summary"}),
            "roles": sorted(read),
            "inputs": [self._digests.of(p) for path in every for p in _files_of(path)],
        }
        stamp = self.folder / "steps" / f"{step.name}{unit and '.'}{unit}.json"
        old = sealed.read_json(stamp) if stamp.is_file() and not anew else {}
        written = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        if old.get("key") == written and self._are_whole(old):
            return old | {"kept": True}
        work = self.folder / "work" / f"{step.name}{unit and '.'}{unit}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        job = Job(self.recipe, options, read, work, unit, source)
        start = time.monotonic()
        products = {role: self._keep(path, step, job) for role, path in step.make(job).items()}
        shutil.rmtree(work)
        made = [p for path in products.values() for p in _files_of(self.folder / path)]
        new = {
            "key": written,
            "products": products,
            "digests": {os.path.relpath(p, self.folder): self._digests.of(p) for p in made},
            "counts": {what: n for what, n in job.counts.items() if n},
            "notes": job.notes,
            "seconds": round(time.monotonic() - start, 1),
        }
        sealed.write_json(stamp, new)
        return new | {"kept": False}

    def _keep(self, path: Path, step: Step, job: Job) -> str:
        """Move what a job made to its place in the folder; return that, or where it already is."""
        if job.work not in path.parents:
            return os.path.relpath(path, self.folder)
        place = self.folder / step.name / path.name
        place.parent.mkdir(exist_ok=True)
        for end in ("", *_BESIDE):
            if (made := Path(f"{path}{end}")).is_file():
                os.replace(made, f"{place}{end}")
        return os.path.relpath(place, self.folder)

    def _together(
        self, step: Step, units: dict[str, Path], stamps: dict[str, dict[str, Any]], before: Path
    ) -> Path:
        """Return the one path of the genotypes after a step; files that it left are linked."""
        made = {u: self.folder / stamp["products"][GENOTYPES] for u, stamp in stamps.items()}
        left = [u for u, path in made.items() if path.resolve() == units[u].resolve()]
        if len(left) == len(units):
            return before
        for unit in left:
            link = self.folder / step.name / unit_file(unit)
            for end in ("", *_BESIDE):
                Path(f"{link}{end}").unlink(missing_ok=True)
                if Path(f"{units[unit]}{end}").is_file():
                    Path(f"{link}{end}").symlink_to(f"{units[unit]}{end}")
        return (
            self.folder / step.name / unit_file(next(iter(units)) if "all" in units else "{chrom}")
        )

    def _are_whole(self, stamp: dict[str, Any]) -> bool:
        known = {self.folder / path: digest for path, digest in stamp["digests"].items()}
        return all(p.is_file() and self._digests.of(p) == d for p, d in known.items())


class _Digests:
    """SHA-256 of files, each read once while its size and time stay the same, kept in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, Lock()
        self.known: dict[str, list[Any]] = sealed.read_json(path) if path.is_file() else {}

    def of(self, path: Path) -> str:
        """Return the digest of a file."""
        status = path.stat()
        now = [status.st_size, status.st_mtime_ns]
        if self.known.get(str(path), [])[:2] != now:
            digest = sha256_of(path)
            with self._lock:
                self.known[str(path)] = [*now, digest]
                self.path.parent.mkdir(parents=True, exist_ok=True)
                sealed.write_json(self.path, self.known)
        return str(self.known[str(path)][2])


def _units(files: Mapping[str, Path]) -> dict[str, Path]:
    """The files of genotypes by contig; one file alone is ``all``."""
    named = variant_files(files[GENOTYPES])
    if "{chrom}" not in str(files[GENOTYPES]):
        return {"all": files[GENOTYPES]}
    return {key.removeprefix("variants "): path for key, path in named.items()}


def _files_of(path: Path) -> list[Path]:
    if "{chrom}" in str(path) or not path.is_file():
        return list(variant_files(path).values())
    return [path]


def _check_md5(path: Path, expected: str, stated_by: str) -> None:
    """Raise HowfarError for a fetched file whose MD5 differs from the one that is stated."""
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "md5").hexdigest()
    if found != expected:
        path.rename(aside := path.with_name(f"{path.name}.rejected"))
        raise HowfarError(
            str(path),
            found=f"MD5 {found}, kept as {aside.name}",
            expected=f"{expected} ({stated_by})",
            do="Run the command again; if it stays so, the file was changed at its source, and "
            "`--have` gives the one that you trust.",
        )


def _told(done: Done) -> str:
    state = "kept" if done.kept else f"{done.seconds:,.1f} s"
    lines = [f"{done.name}: {state}", *(f"  {note}" for note in done.notes)]
    return "\n".join([*lines, *(f"  {what}: {n:,}" for what, n in sorted(done.counts.items()))])


def write_report(done: list[Done], path: Path) -> None:
    """Write what the steps counted as a table: step, what, n."""
    rows = ["step,what,n"] + [
        f'{each.name},"{what}",{n}' for each in done for what, n in sorted(each.counts.items())
    ]
    with whole(path) as part:
        part.write_text("\n".join(rows) + "\n", "utf-8")
