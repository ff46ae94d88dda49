"""Attribution of every base of a window: saturation mutagenesis and gradients.

Saturation mutagenesis (ISM): the prediction with a base replaced, less that from the sequence as it
is. Mutants go through the model's own engine; where a network's tower is shared between windows
(`models.engine.shared_tower`), it is run on the few blocks that a substitution reaches and on
nothing else, and what follows the tower on each mutant. Gradients are those of the mean over bins
and tracks with respect to the one-hot sequence, averaged over strands and shifts as the model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from howfar.attribution.variant_effects import SingleAlleles
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.genome.intervals import Gene
from howfar.models.base import SequenceModel
from howfar.models.engine.network import NetworkModel
from howfar.models.engine.precision import arithmetic
from howfar.prediction import transform
from howfar.prediction.run import run_in_memory
from howfar.prediction.store import Outputs, outputs_of
from howfar.study.schema import Run

LETTERS = "ACGT"
_BYTES = np.frombuffer(LETTERS.encode(), np.uint8)
METHODS = ("ism", "gradient", "gradient_x_input")
REFERENCE = "reference"


def ism(
    model: SequenceModel,
    run: Run,
    bins: Sequence[int],
    tracks: Sequence[int],
    window: np.ndarray,
    start: int,
    stop: int,
) -> np.ndarray:
    """Predict every substitution of window[start:stop], less the window itself: (positions, 4).

    window: uint8 (context,) as the model reads it; columns A, C, G, T. In the units of the run's
    prediction, transformed on one haplotype. 0 for the letter that is there.
    """
    where = window[start:stop, None] != _BYTES
    place, letter = where.nonzero()
    # The window as it is goes first, through the same arithmetic.
    at, letter = np.r_[start, start + place], np.r_[-1, letter]
    parts = model.predict_substitutions(window, at, letter, bins, tracks)
    values = np.concatenate(list(parts))
    numbers = transform.transform(values[:, None], run.transform)
    found = np.zeros(where.shape)
    found[where] = numbers[1:] - numbers[0]
    return found


def gradient(
    model: NetworkModel, bins: Sequence[int], tracks: Sequence[int], window: np.ndarray
) -> np.ndarray:
    """Differentiate the mean over bins and tracks by the one-hot window: float64 (bases, 4).

    The model's plain forward pass is used, strands and shifts included; its values before any
    transform of the run.
    """
    import torch

    if not isinstance(model, NetworkModel):
        raise HowfarError(
            f"model {model.name}",
            found="a model without gradients",
            expected="a network of PyTorch",
            do="Take --method ism, which needs predictions alone.",
        )
    made: list[Any] = []

    def one_hot(bases: Any) -> Any:
        made.append(model._table[bases.long()].clone().requires_grad_(True))
        return made[-1]

    kept = model.batch_size
    # The network's own reading of letters is taken over by one that can be differentiated.
    model.__dict__["_one_hot"], model.batch_size = one_hot, 1
    try:
        with torch.enable_grad(), arithmetic(model.precision, model.device):
            rows = torch.as_tensor(list(tracks), device=model.device)
            values = model._forward(model._batch(window[None]), list(bins), rows)
            (found,) = torch.autograd.grad(values.double().mean(), made[-1])
    finally:
        del model.__dict__["_one_hot"]
        model.batch_size = kept
    return found[0].double().cpu().numpy()


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
        'ism' (the prediction with the base replaced, less the prediction), 'gradient' (of the mean
        over bins and tracks, by the one-hot sequence) or 'gradient_x_input' (0 but for the base
        that is there).
    on
        'reference', or a variant of the gene's window as `howfar.variant_effects` names it
        (chrom:pos:ref:alt): the reference with this allele put in.
    window
        bp centred on the TSS, at most the model's context.

    Returns
    -------
    pandas.DataFrame
        chrom, pos (1-based, forward strand of the reference, missing for an inserted base), base
        (forward strand), and a column for each of A, C, G, T.

    Examples
    --------
    >>> import howfar as hf
    >>> cohort, model = hf.example_cohort(), hf.load_model("gc-content")
    >>> found = hf.attribute(cohort, model, "demo0001", window=4, bins="centre1")
    >>> list(found.columns), len(found)
    (['chrom', 'pos', 'base', 'A', 'C', 'G', 'T'], 4)
    """
    run = run_in_memory(model, tracks, bins, transform, None)
    return attribute_run(cohort, run, model, cohort.gene(gene), method, on, window)


def attribute_run(
    cohort: OpenCohort,
    run: Run,
    model: SequenceModel,
    gene: Gene,
    method: str = "ism",
    on: str = REFERENCE,
    window: int = 200,
) -> pd.DataFrame:
    """Attribute a run's prediction of one gene; see `attribute`."""
    if method not in METHODS:
        raise HowfarError(
            "--method", found=repr(method), expected=" or ".join(METHODS), do="Correct --method."
        )
    outputs = outputs_of(run, model)
    offset = model.tss_offset(gene.strand)
    start, stop = _span(model, window, offset)
    sequence, positions = _sequence(cohort, run, model, gene, on, offset)
    seen = model.orient(sequence[None], gene.strand)[0]
    turned = model.oriented and gene.strand == "-"
    if turned:
        start, stop = model.layout.context - stop, model.layout.context - start
    found = _found(model, run, outputs, gene, method, seen, start, stop)
    if turned:  # back onto the forward strand
        found, start, stop = found[::-1, ::-1], len(seen) - stop, len(seen) - start
    bases = [chr(b) for b in sequence[start:stop]]
    at = pd.array(positions[start:stop] + 1, "Int64")
    frame = pd.DataFrame({"chrom": gene.chrom, "pos": at, "base": bases})
    frame.loc[positions[start:stop] < 0, "pos"] = pd.NA
    return pd.concat([frame, pd.DataFrame(found, columns=list(LETTERS))], axis=1)


def _found(
    model: SequenceModel, run: Run, outputs: Outputs, gene: Gene, method: str, seen, start, stop
) -> np.ndarray:
    bins, tracks = outputs.bins[gene.strand], outputs.tracks
    if method == "ism":
        return ism(model, run, bins, tracks, seen, start, stop)
    found = gradient(model, bins, tracks, seen)[start:stop]
    there = seen[start:stop, None] == _BYTES
    return found if method == "gradient" else np.where(there, found, 0.0)


def _span(model: SequenceModel, window: int, offset: int) -> tuple[int, int]:
    """Where `window` bp centred on the TSS begin and end in the model's forward window."""
    start, stop = offset - window // 2, offset - window // 2 + window
    if window < 1 or start < 0 or stop > model.layout.context:
        raise HowfarError(
            "--window",
            found=f"{window:,} bp around the TSS",
            expected=f"inside the {model.layout.context:,} bp that {model.name} reads",
            do="Choose a smaller window.",
        )
    return start, stop


def _sequence(
    cohort: OpenCohort, run: Run, model: SequenceModel, gene: Gene, on: str, offset: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the forward window (uint8) and the 0-based reference position of each of its bases."""
    single = SingleAlleles(cohort)
    built = single.windows(gene, model.layout.context, offset, run.alleles)
    if on == REFERENCE:
        first = gene.window(model.layout.context, offset).start
        return built.reference, first + np.arange(len(built.reference))
    if on not in built.samples:
        raise HowfarError(
            f"--on {on}",
            found=f"{len(built.samples):,} variants in the window of {gene.gene_id}, none so named",
            expected="'reference', or a variant as chrom:pos:ref:alt",
            do="Take a name from `howfar effects`.",
        )
    row = int(built.index[built.samples.index(on), 0])
    (window,) = built.rows(row, row + 1)
    return window, built.position_map(row)
