"""Attribute a gene's prediction to the bases of its window: methods, sequences, and kept blocks.

Saturation mutagenesis is long work: its blocks of positions are kept as they are finished, so that
what was cut off goes on. What is attributed on a person's haplotypes tells the person's alleles: it
is kept, and may be written, where genotypes of a private study may.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.attribution import gradients
from howfar.attribution.saturation import ism
from howfar.attribution.variant_effects import SingleAlleles
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.core.versions import versions_of
from howfar.genome.intervals import Gene
from howfar.models.base import SequenceModel
from howfar.prediction.run import run_in_memory
from howfar.prediction.spans import bins_on
from howfar.prediction.store import network_of, outputs_of, store_key
from howfar.results import policy, tables
from howfar.results.cache import MemoryUnits, Units, samples_digest
from howfar.study.schema import Run

LETTERS = "ACGT"
_BYTES = np.frombuffer(LETTERS.encode(), np.uint8)
#: Methods beside ISM and attention: (model, bins, tracks, window) to (bases, 4).
_BY_GRADIENT: dict[str, Callable[..., np.ndarray]] = {
    "gradient": gradients.gradient,
    "gradient_x_input": gradients.gradient,
    "integrated_gradients": gradients.integrated,
    "deeplift_shap": gradients.deeplift_shap,
}
ATTENTION = "attention"
METHODS = ("ism", *_BY_GRADIENT, ATTENTION)
REFERENCE, MAIN_VARIANT = "reference", "main_variant"
#: Positions of ISM that are kept together.
BLOCK = 512
#: Forward passes that a method takes; a gradient counts three.
_PASSES = {
    "gradient": 3,
    "gradient_x_input": 3,
    "integrated_gradients": 3 * gradients.STEPS,
    "deeplift_shap": 6 * gradients.REFERENCES,
    ATTENTION: 1,
}


@dataclass(frozen=True)
class Question:
    """What is asked: a gene, a method, the sequence ('reference', a variant, or a person), bp."""

    gene: Gene
    method: str = "ism"
    on: str = REFERENCE
    window: int = 200


@dataclass(frozen=True)
class Read:
    """One sequence: forward bases uint8 (context,), the 0-based reference position of each (-1: an
    inserted base), and which haplotype of a person it is, 0 for none."""

    bases: np.ndarray
    positions: np.ndarray
    haplotype: int = 0


def attribute(
    cohort: OpenCohort,
    model: SequenceModel,
    gene: str,
    *,
    method: str = "ism",
    on: str = REFERENCE,
    window: int = 200,
    tracks: Sequence[int | str | dict] = (0,),
    bins: str | Sequence[int] | None = None,
    transform: Sequence[str] = ("sum_bins", "mean_tracks", "mean_haplotypes"),
) -> pd.DataFrame:
    """Attribute a gene's prediction to the bases around its TSS, in memory.

    Parameters
    ----------
    cohort, model, tracks, bins, transform
        As of `howfar.predict`.
    gene
        A gene id or name.
    method
        'ism' (the prediction with the base replaced, less the prediction); of the mean over bins
        and tracks before any transform: 'gradient' (by the one-hot sequence), 'gradient_x_input'
        (0 but for the base that is there), 'integrated_gradients' (from a window of N) and
        'deeplift_shap' (against shuffled sequences, where the network fits); or 'attention'.
    on
        'reference'; a variant of the gene's window as `howfar.variant_effects` names it
        (chrom:pos:ref:alt), put into the reference; or a person, both of whose haplotypes are read.
    window
        bp centred on the TSS, moved where it would leave what the model reads, at most all of it.

    Returns
    -------
    pandas.DataFrame
        chrom, pos (1-based, forward strand of the reference, missing for an inserted base), base
        (forward strand), and a column for each of A, C, G, T; of 'attention' layer, head, first and
        last (pos of a bin's ends) and weight, the mean over the run's bins. Of a person the column
        haplotype, 1 or 2, comes first.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort, model = hf.example_cohort(), hf.load_model("gc-content")
    >>> found = hf.attribute(cohort, model, "demo0001", window=4, bins="centre1")
    >>> list(found.columns), len(found)
    (['chrom', 'pos', 'base', 'A', 'C', 'G', 'T'], 4)
    """
    run = run_in_memory(model, tracks, bins, transform, None)
    return attribute_run(cohort, run, model, Question(cohort.gene(gene), method, on, window))


def attribute_run(
    cohort: OpenCohort,
    run: Run,
    model: SequenceModel,
    question: Question,
    units: Units | MemoryUnits | None = None,
) -> pd.DataFrame:
    """Attribute a run's prediction of one gene; see `attribute`. units: where blocks are kept."""
    start, stop = _span(model, question)
    _check(question)
    units = MemoryUnits() if units is None else units
    parts = []
    for read in _reads(cohort, run, model, question):
        found = _attributed(cohort, run, model, question, read, start, stop, units)
        if read.haplotype:
            found.insert(0, "haplotype", read.haplotype)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)


def attribute_study(
    cohort: OpenCohort, run: Run, model: SequenceModel, question: Question, results: str | Path
) -> pd.DataFrame:
    """Attribute a run's prediction of one gene; finished blocks are kept below `results`."""
    if question.on == MAIN_VARIANT:
        question = replace(question, on=_main_variant(cohort, run, question.gene, results))
    return attribute_run(
        cohort, run, model, question, open_units(cohort, run, model, question, results)
    )


def open_units(
    cohort: OpenCohort, run: Run, model: SequenceModel, question: Question, results: str | Path
) -> Units:
    """Return the finished blocks of an attribution; a person's lie with people's data."""
    key = store_key(cohort, run, network_of(run, model))
    person = question.on in cohort.samples
    more = {
        "gene": question.gene.gene_id,
        "method": question.method,
        "on": samples_digest([question.on]) if person else question.on,
        "window": _span(model, question),
        "transform": list(run.transform),
    }
    key = replace(
        key,
        step="attribute",
        options=dict(key.options) | more,
        versions=dict(key.versions) | versions_of("attribution"),
    )
    folder = Path(results) / cohort.study.name
    parent = folder / "individuals" / "attribution" if person else folder / "attribution"
    return Units.open(parent, run.id, key)


def require_place(cohort: OpenCohort, question: Question, out: Path, results: str | Path) -> None:
    """Raise HowfarError where a private person's attributions would leave the results folder."""
    folder = (Path(results) / cohort.study.name / "individuals").resolve()
    private = question.on in cohort.samples and not policy.shows_people(cohort.study)
    if private and not out.resolve().is_relative_to(folder):
        raise HowfarError(
            "--out",
            found="a file outside the folder of people's data",
            expected=f"one below {folder}, as attributions on a person's haplotypes tell the "
            "person's alleles, and the study's file says individuals: private",
            do="Write it there.",
        )


def estimate(
    cohort: OpenCohort, run: Run, model: SequenceModel, question: Question
) -> pd.DataFrame:
    """Return hours and memory of an attribution, from a few substitutions or one forward pass.

    One row: sequences, bases, predictions (of ISM substitutions, else forward passes), hours,
    memory_GB (the process's largest so far, which a gradient exceeds: it keeps all layers).
    """
    _check(question)
    start, stop = _span(model, question)
    haplotypes = 2 if question.on in cohort.samples else 1
    first = next(_reads(cohort, run, model, replace(question, on=REFERENCE)))
    outputs, bases = outputs_of(run, model), stop - start
    seen = model.orient(first.bases[None], question.gene.strand)[0]
    bins = bins_on(cohort, run, model, outputs, question.gene)
    tracks = outputs.tracks_on(question.gene.strand)
    if question.method == "ism":
        few, many = 1, min(5, bases)
        seconds = []
        for positions in (few, few, many):  # the first warms up
            begun = time.perf_counter()
            ism(model, run, bins, tracks, seen, start, start + positions)
            seconds.append(time.perf_counter() - begun)
        each = max(seconds[2] - seconds[1], 0) / max(many - few, 1)
        total = each * bases + seconds[1] * -(-bases // BLOCK)
        predictions = 3 * bases
    else:
        begun = time.perf_counter()
        model.predict(seen[None], bins, tracks)
        predictions = _PASSES[question.method]
        total = predictions * (time.perf_counter() - begun)
    row = {
        "sequences": haplotypes,
        "bases": bases,
        "predictions": predictions * haplotypes,
        "hours": f"{total * haplotypes / 3600:.2g}",
        "memory_GB": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2g}",
        "device": model.device,
    }
    return pd.DataFrame([row])


def _check(question: Question) -> None:
    if question.method not in METHODS:
        raise HowfarError(
            "--method",
            found=repr(question.method),
            expected=" or ".join(METHODS),
            do="Correct --method.",
        )


def _attributed(
    cohort: OpenCohort,
    run: Run,
    model: SequenceModel,
    question: Question,
    read: Read,
    start: int,
    stop: int,
    units: Units | MemoryUnits,
) -> pd.DataFrame:
    """Attribute one sequence: start..stop of its forward window."""
    gene, context = question.gene, model.layout.context
    seen = model.orient(read.bases[None], gene.strand)[0]
    turned = model.oriented and gene.strand == "-"
    outputs = outputs_of(run, model)
    bins = bins_on(cohort, run, model, outputs, gene, read.positions)
    tracks = outputs.tracks_on(gene.strand)
    if question.method == ATTENTION:
        return _attention(model, bins, seen, read, (start, stop))
    first, last = (context - stop, context - start) if turned else (start, stop)
    if question.method == "ism":
        found = _blocks(run, model, bins, tracks, seen, first, last, read.haplotype, units)
    else:
        name = f"{read.haplotype}-all"
        if not units.has(name):
            whole = _BY_GRADIENT[question.method](model, bins, tracks, seen)
            units.write(name, {"values": whole[first:last]}, Counter())
        found = units.read(name).arrays["values"]
    if question.method == "gradient_x_input":
        found = np.where(seen[first:last, None] == _BYTES, found, 0.0)
    found = found[::-1, ::-1] if turned else found  # back onto the forward strand
    frame = _places(gene, read, start, stop)
    return pd.concat([frame, pd.DataFrame(found, columns=list(LETTERS))], axis=1)


def _blocks(
    run: Run, model: SequenceModel, bins, tracks, seen, first, last, haplotype, units
) -> np.ndarray:
    """ISM of seen[first:last], block by block; finished ones are read."""
    starts = range(first, last, BLOCK)
    names = {begin: f"{haplotype}-{begin}" for begin in starts}
    todo = [begin for begin in starts if not units.has(names[begin])]
    done, every = len(starts) - len(todo), len(starts)
    for begin in track(todo, every, f"{run.id}: blocks", done=done):
        end = min(begin + BLOCK, last)
        values = ism(model, run, bins, tracks, seen, begin, end)
        units.write(names[begin], {"values": values}, Counter())
    return np.concatenate([units.read(name).arrays["values"] for name in names.values()])


def _places(gene: Gene, read: Read, start: int, stop: int) -> pd.DataFrame:
    """Columns chrom, pos and base of a stretch of the forward window."""
    positions = read.positions[start:stop]
    at = pd.array(positions + 1, "Int64")
    at[positions < 0] = pd.NA
    bases = [chr(b) for b in read.bases[start:stop]]
    return pd.DataFrame({"chrom": gene.chrom, "pos": at, "base": bases})


def _attention(
    model: SequenceModel, bins, seen: np.ndarray, read: Read, span: tuple[int, int]
) -> pd.DataFrame:
    """Weights of the bins that reach into a stretch, one row per layer, head and bin."""
    attention = getattr(model, "attention", None)
    if attention is None:
        raise HowfarError(
            f"model {model.name}",
            found="no attention",
            expected="a network with a transformer",
            do="Take --method ism or gradient.",
        )
    weights, size = attention(seen, bins).mean(axis=2), model.layout.bin_size
    chosen = np.arange(span[0] // size, -(-span[1] // size))
    layers, heads, _ = weights.shape
    layer, head, place = np.meshgrid(
        np.arange(layers), np.arange(heads), chosen, indexing="ij", copy=False
    )
    ends = [pd.array(read.positions[place.ravel() * size + k] + 1, "Int64") for k in (0, size - 1)]
    return pd.DataFrame(
        {
            "layer": layer.ravel() + 1,
            "head": head.ravel() + 1,
            "first": ends[0],
            "last": ends[1],
            "weight": weights[:, :, chosen].ravel(),
        }
    )


def _span(model: SequenceModel, question: Question) -> tuple[int, int]:
    """Where the stretch around the TSS begins and ends in the model's forward window."""
    context, width = model.layout.context, question.window
    if not 1 <= width <= context:
        raise HowfarError(
            "--window",
            found=f"{width:,} bp around the TSS",
            expected=f"inside the {context:,} bp that {model.name} reads",
            do="Choose a smaller window.",
        )
    start = model.tss_offset(question.gene.strand) - width // 2
    start = min(max(start, 0), context - width)
    return start, start + width


def _reads(cohort: OpenCohort, run: Run, model: SequenceModel, question: Question):
    """Yield the sequences asked for; HowfarError where `on` names none."""
    gene, on, context = question.gene, question.on, model.layout.context
    offset = model.tss_offset(gene.strand)
    if on in cohort.samples:
        one = copy(cohort)
        one.samples = [on]
        built = one.windows(gene, context, offset, run.alleles)
        for haplotype, row in enumerate(built.index[0].tolist(), start=1):
            (bases,) = built.rows(row, row + 1)
            yield Read(bases, built.position_map(row), haplotype)
        return
    built = SingleAlleles(cohort).windows(gene, context, offset, run.alleles)
    if on == REFERENCE:
        first = gene.window(context, offset).start
        yield Read(built.reference, first + np.arange(context))
        return
    if on not in built.samples:
        raise HowfarError(
            "--on",
            found=f"neither a person of the cohort nor one of the {len(built.samples):,} variants "
            f"in the window of {gene.gene_id}",
            expected="reference, main_variant (a study's main driver), a variant as "
            "chrom:pos:ref:alt, or a person",
            do="Take a name from `howfar effects`.",
        )
    row = int(built.index[built.samples.index(on), 0])
    (bases,) = built.rows(row, row + 1)
    yield Read(bases, built.position_map(row))


def _main_variant(cohort: OpenCohort, run: Run, gene: Gene, results: str | Path) -> str:
    """Return the main driver of a run's prediction, from the study's table `drivers`."""
    path = tables.path_of(results, cohort.study.name, "drivers")
    table = tables.read(path, "drivers") if path.is_file() else tables.empty("drivers")
    mine = table[(table["run_id"] == run.id) & (table["gene_id"] == gene.gene_id)]
    mine = mine[mine["is_main"].fillna(False).astype(bool)]
    if mine.empty:
        raise HowfarError(
            "--on main_variant",
            found=f"no main driver of {gene.gene_id} by run {run.id} in table `drivers`",
            expected="a gene with drivers, after `howfar effects` and `howfar evaluate`",
            do=f"Run `howfar effects --study {cohort.study.handle} --gene {gene.gene_id}` and "
            f"`howfar evaluate --study {cohort.study.handle}`, or name the variant.",
        )
    return str(mine["variant"].iloc[0])
