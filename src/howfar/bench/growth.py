"""CPU seconds and memory per gene as a cohort grows: reading, windows, linear models, evaluation.

Simulated: people are mosaics of a few hundred haplotypes over one megabase, with as many sites
whatever their number (in real cohorts rare sites grow with people; the models leave them out). Each
cohort is met in a process of its own; peaks of memory are that process's, reset before each step.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pysam

from howfar.bench.clock import cpu_seconds
from howfar.core.extras import require_module
from howfar.core.threads import one_thread

PEOPLE = (400, 2_000, 10_000, 20_000, 50_000)
TEXT_UP_TO = 5_000  # people; VCF is text, of which every record is read whole
PATHS_UP_TO = 10_000  # people; the elastic net's 600 fits a gene take minutes beyond
SOURCES = ("PGEN", "VCF Zarr", "VCF")
LIMIT_GB = 8  # that 50,000 people fit into
_LENGTH, _SITES, _FOUNDERS, _SWITCH = 300_000, 1_000, 200, 20_000  # bp; sites; haplotypes; bp
_WINDOW, _GENES = 196_608, 2
_FEWER_BEYOND = 10_000  # people, of whom one gene is enough
_BASES = np.array(list("ACGT"))


@dataclass(frozen=True)
class Row:
    """One step on one cohort. genes: measured; seconds: CPU, one core, per gene; peak_gb: of the
    whole process; variants: of a gene's window, those that the step reads.
    """

    people: int
    genes: int
    source: str
    step: str
    seconds: float
    peak_gb: float
    variants: int
    date: str


@dataclass(frozen=True)
class Cohort:
    """Simulated haplotypes. sites: 1-based, ascending; alleles: letters (V, 2); calls: int8 (V, P,
    2), phased.
    """

    sites: np.ndarray
    alleles: np.ndarray
    calls: np.ndarray

    @property
    def names(self) -> list[str]:
        """The people."""
        return [f"P{i:06d}" for i in range(self.calls.shape[1])]


def measure(people: Sequence[int] = PEOPLE, sources: Sequence[str] = SOURCES) -> pd.DataFrame:
    """Return the table: a row for each cohort, source and step; models are fitted on PGEN alone."""
    require_module("pgenlib")
    require_module("zarr")
    rows: list[Row] = []
    for count in people:
        with TemporaryDirectory() as folder:
            cohort = simulate(Path(folder), count)
            for source in sources:
                if source == "VCF" and count > TEXT_UP_TO:
                    continue
                path = WRITERS[source](Path(folder), cohort)
                context = multiprocessing.get_context("spawn")
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    rows += pool.submit(steps, Path(folder), path, count, source).result()
            del cohort
    return pd.DataFrame([asdict(row) for row in rows])


def simulate(folder: Path, people: int, seed: int = 1) -> Cohort:
    """Simulate a cohort and write its FASTA, genes and expression into `folder`."""
    rng = np.random.default_rng([seed, people])
    sites = np.sort(rng.choice(np.arange(1, _LENGTH + 1), _SITES, replace=False))
    letters = rng.integers(0, 4, _LENGTH, dtype=np.int8)
    first = letters[sites - 1]
    alleles = np.stack([_BASES[first], _BASES[(first + rng.integers(1, 4, _SITES)) % 4]], axis=1)
    frequency = rng.beta(0.3, 1.5, _SITES)
    founders = (rng.random((_SITES, _FOUNDERS)) < frequency[:, None]).astype(np.int8)
    blocks = (sites // _SWITCH).astype(int)
    calls = np.empty((_SITES, people, 2), np.int8)
    for block in np.unique(blocks):
        inside = blocks == block
        calls[inside] = founders[inside][:, rng.integers(0, _FOUNDERS, (people, 2))]
    text = "".join(_BASES[letters])
    (folder / "r.fa").write_text(f">1\n{text}\n")
    names = [f"G{i}" for i in range(_genes(people))]
    tss = [_LENGTH // 2 - 10_000 * i for i in range(len(names))]
    genes = {"gene_id": names, "name": names, "chrom": "1", "tss": tss, "strand": "+"}
    pd.DataFrame(genes).to_csv(folder / "genes.csv", index=False)
    common = np.flatnonzero((frequency > 0.2) & (frequency < 0.8))
    values = []
    for _ in names:
        genetic = calls[rng.choice(common, 3)].sum(axis=(0, 2)).astype(float)
        values.append(genetic / max(genetic.std(), 1e-9) + 2 * rng.normal(size=people))
    cohort = Cohort(sites, alleles, calls)
    frame = pd.DataFrame(np.round(values, 4), pd.Index(names, name="gene_id"), cohort.names)
    frame.to_csv(folder / "expression.csv")
    return cohort


def _genes(people: int) -> int:
    return _GENES if people <= _FEWER_BEYOND else 1


def _write_pgen(folder: Path, cohort: Cohort) -> Path:
    import pgenlib

    head = "#CHROM\tPOS\tID\tREF\tALT\n"
    rows = (
        f"1\t{p}\t.\t{a}\t{b}\n" for p, (a, b) in zip(cohort.sites, cohort.alleles, strict=True)
    )
    (folder / "c.pvar").write_text(head + "".join(rows))
    (folder / "c.psam").write_text("#IID\n" + "".join(f"{name}\n" for name in cohort.names))
    path = folder / "c.pgen"
    count = len(cohort.names)
    writer = pgenlib.PgenWriter(
        bytes(path), count, variant_ct=len(cohort.sites), hardcall_phase_present=True
    )
    with writer:
        for calls in cohort.calls:
            writer.append_alleles(np.ascontiguousarray(calls.reshape(-1), np.int32), True)
    return path


def _write_zarr(folder: Path, cohort: Cohort) -> Path:
    """Write the arrays that are read, in bio2zarr's chunks."""
    import zarr

    path = folder / "c.vcz"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    count = len(cohort.names)
    chunk = (1_000, min(10_000, count))
    arrays = {
        "sample_id": np.array(cohort.names, np.dtypes.StringDType()),
        "contig_id": np.array(["1"], np.dtypes.StringDType()),
        "variant_contig": np.zeros(len(cohort.sites), np.int8),
        "variant_position": cohort.sites.astype(np.int32),
        "variant_allele": cohort.alleles.astype(np.dtypes.StringDType()),
    }
    for name, values in arrays.items():
        group.create_array(name, data=values)
    group.create_array("call_genotype", data=cohort.calls, chunks=(*chunk, 2))
    phased = np.ones((len(cohort.sites), count), bool)
    group.create_array("call_genotype_phased", data=phased, chunks=chunk)
    return path


def _write_vcf(folder: Path, cohort: Cohort) -> Path:
    path = folder / "c.vcf"
    words = np.array([["0|0", "0|1"], ["1|0", "1|1"]])
    with path.open("w") as handle:
        handle.write("##fileformat=VCFv4.2\n##contig=<ID=1>\n")
        handle.write('##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n')
        fixed = "CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"
        handle.write("#" + "\t".join([fixed, *cohort.names]) + "\n")
        for place, (a, b), calls in zip(cohort.sites, cohort.alleles, cohort.calls, strict=True):
            people = "\t".join(words[calls[:, 0], calls[:, 1]])
            handle.write(f"1\t{place}\t.\t{a}\t{b}\t.\tPASS\t.\tGT\t{people}\n")
    pysam.tabix_index(str(path), preset="vcf", force=True)
    return Path(f"{path}.gz")


WRITERS: dict[str, Callable[[Path, Cohort], Path]] = {
    "PGEN": _write_pgen,
    "VCF Zarr": _write_zarr,
    "VCF": _write_vcf,
}


def _reset_peak() -> None:
    with suppress(OSError):  # elsewhere than on Linux the peak is that of all steps so far
        Path("/proc/self/clear_refs").write_text("5")


def _peak_gb() -> float:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def steps(folder: Path, variants: Path, people: int, source: str) -> list[Row]:
    """Measure the steps on one cohort's files; those beyond windows on PGEN alone."""
    import howfar as hf

    rows: list[Row] = []
    count = _genes(people)

    def timed(step: str, run: Callable[[], Any]) -> Any:
        """Run a step; add the row of its seconds and memory."""
        _reset_peak()
        seconds, result = cpu_seconds(run)
        date = datetime.now(UTC).date().isoformat()
        rows.append(Row(people, count, source, step, seconds / count, _peak_gb(), 0, date))
        return result

    with one_thread():
        cohort = timed(
            "open",
            lambda: hf.open_cohort(
                reference=folder / "r.fa",
                variants=variants,
                genes=folder / "genes.csv",
                expression=folder / "expression.csv",
                name=f"growth{people}",
            ),
        )
        genes = cohort.genes_to_run()
        read = timed("reading", lambda: [len(cohort.dosages(g, _WINDOW)[1]) for g in genes])
        timed("windows", lambda: [len(cohort.windows(g, _WINDOW)) for g in genes])
        if source == SOURCES[0]:
            for each in ("top1", "blup", "enet"):  # compiled code is loaded by a small fit first
                hf.fit_linear(hf.example_cohort(), each)
            models = ["top1", "blup", *(["enet"] if people <= PATHS_UP_TO else [])]
            fits = [timed(each, partial(hf.fit_linear, cohort, each)) for each in models]
            timed("evaluation", lambda: hf.evaluate(cohort, fits))
    variants_read = int(np.mean(read))
    return [Row(**asdict(row) | {"variants": variants_read}) for row in rows]


def exponents(table: pd.DataFrame) -> pd.DataFrame:
    """Compute by what power of people each step grows between its two largest cohorts.

    Columns source, step, power (1: as people do), from, to (people).
    """
    found = []
    for (source, step), part in table.groupby(["source", "step"], sort=False):
        last = part.sort_values("people").tail(2)
        if len(last) == 2:
            times, people = last["seconds"].to_numpy(), last["people"].to_numpy()
            power = np.log(times[1] / times[0]) / np.log(people[1] / people[0])
            found.append((source, step, power, *people))
    return pd.DataFrame(found, columns=["source", "step", "power", "from", "to"])
