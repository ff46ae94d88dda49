"""The models against outputs of their authors' code: the largest difference per oracle.

An oracle is a folder of sequences, weights and the values that the original program gave for
them; each is put through `plain_sequences.predict_fasta`, as a user would. The seconds are those
of the prediction, the loading of weights left out.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows
from howfar.models.registry import SequenceModel, load_model
from howfar.prediction.fasta import IUPAC, predict_fasta

COLUMNS = ["model", "oracle", "what", "n", "largest_difference", "tolerance"]
COLUMNS += ["seconds_each", "date"]
_HALF_LIVES = [f"hl{i}" for i in range(1, 7)]
_VIEWS = {
    "forward": {"rc": False, "shifts": (0,)},
    "ensemble_rc": {"rc": True, "shifts": (0,)},
    "ensemble_shifts": {"rc": False, "shifts": (1, 0, -1)},
    "ensemble_rc_shifts": {"rc": True, "shifts": (1, 0, -1)},
}
_WORDS = {
    "forward": "forward strand",
    "reverse": "reverse strand",
    "strand_mean": "both strands",
    "ensemble_rc": "both strands",
    "ensemble_shifts": "forward strand, shifts 1, 0, -1",
    "ensemble_rc_shifts": "both strands, shifts 1, 0, -1",
}
_FILES = {"reduced.h5": "whole file", "reduced_weights_only.h5": "weights-only file"}
_STRANDS = {"forward": "forward", "reverse": "reverse", "strand_mean": "both"}
Row = dict[str, Any]


def measure(
    folder: str | Path,
    region: str | Path | None = None,
    *,
    device: str = "cpu",
    full_width: bool = True,
) -> pd.DataFrame:
    """Measure one row per oracle, with the columns `COLUMNS`.

    folder: of the oracles, with parts ``xpresso``, ``basenji2``, ``expecto``. region: of the real
    megabase, for those that need it. full_width: also the networks of 600 MB with seeded weights,
    which need 3 GB of memory. Raises HowfarError where a file is missing or does not fit.
    """
    folder = Path(folder)
    parts: list[Callable[[Path, str], Iterator[Row]]] = [xpresso, basenji2, beluga]
    rows = [row for part in parts for row in part(folder / part.__name__, device)]
    if region is not None:
        rows += haplotypes(folder / "xpresso", Path(region), device)
    if full_width:
        rows += full(folder / "expecto", region and Path(region), device)
    table = pd.DataFrame(rows).assign(date=datetime.now(UTC).date().isoformat())
    return table[COLUMNS]


def xpresso(folder: Path, device: str) -> Iterator[Row]:
    """Compare both sets of weights on made-up sequences, with and without half-life features."""
    table = _csv(folder / "synthetic_expected.csv")
    zero = (table[_HALF_LIVES] == 0).all(axis=1)
    for name, wanted in table.groupby("model"):
        (weights,) = folder.glob(f"{name}*.h5")
        groups = wanted.groupby(_HALF_LIVES, sort=False)
        apart, seconds, with_half_life = [], 0.0, []
        for half_life, rows in groups:
            model = load_model("xpresso", weights, device, half_life=list(half_life), iupac="zero")
            frame, each = _predicted(model, folder / "synthetic.fa")
            expected = rows.set_index("id")["prediction"]
            difference = np.abs(frame.loc[expected.index].iloc[:, 0] - expected).max()
            if zero[rows.index].all():
                apart.append(difference)
                seconds = each
            else:
                with_half_life.append(difference)
        what = f"{name}, made-up sequences"
        yield _row("xpresso", what, int(zero[wanted.index].sum()), max(apart), 1e-5, seconds)
        what = f"{name}, with half-life features"
        yield _row("xpresso", what, len(with_half_life), max(with_half_life), 1e-5, seconds)


def haplotypes(folder: Path, region: Path, device: str) -> Iterator[Row]:
    """Compare Xpresso on the reference and on people's haplotypes of the real megabase."""
    wanted = _csv(folder / "region_haplotypes_expected.csv", dtype={"chrom": str})
    for name in ("GM12878", "humanMedian"):
        (weights,) = folder.glob(f"{name}*.h5")
        model = load_model("xpresso", weights, device)
        sequences = _haplotype_windows(model, wanted, region)
        frame, each = _predicted_of(model, sequences)
        keys = wanted["gene"] + "|" + wanted["sample"] + "|" + wanted["haplotype"].astype(str)
        expected = wanted.set_index(keys)[name]
        apart = np.abs(frame.loc[expected.index].iloc[:, 0] - expected).max()
        yield _row("xpresso", f"{name}, haplotypes of the region", len(expected), apart, 1e-5, each)


def _haplotype_windows(
    model: SequenceModel, wanted: pd.DataFrame, region: Path
) -> dict[str, np.ndarray]:
    """Make windows by "gene|sample|haplotype" (0: the reference), as the model reads them."""
    sequences = {}
    with (
        Reference(region / "chr20_1Mb.fa") as fasta,
        VariantFile(region / "chr20_1Mb.vcf.gz") as variants,
    ):
        people = sorted(set(wanted["sample"]) - {"reference"})
        for gene in read_genes(region / "genes.csv"):
            if gene.name not in set(wanted["gene"]):
                continue
            offset = model.tss_offset(gene.strand)
            windows = build_windows(
                fasta, variants, gene, model.layout.context, tss_offset=offset, samples=people
            )
            rows = {f"{gene.name}|reference|0": windows.reference}
            for sample, index in zip(windows.samples, windows.index, strict=True):
                for haplotype, row in enumerate(index, start=1):
                    rows[f"{gene.name}|{sample}|{haplotype}"] = windows.sequences[row]
            sequences |= {key: model.orient(w, gene.strand) for key, w in rows.items()}
    return sequences


def basenji2(folder: Path, device: str) -> Iterator[Row]:
    """Compare a narrow Basenji2 with random weights, each way of averaging."""
    expected = _npz(folder / "reduced_expected.npz")
    for file, kind in _FILES.items():
        for part, views in _VIEWS.items():
            params = {"params": folder / "params_reduced.json", "iupac": "n"}
            model = load_model("basenji2", folder / file, device, **params, **views)
            frame, each = _predicted(model, folder / "reduced.fa")
            values = frame.loc[list(expected["ids"])].to_numpy().reshape(expected[part].shape)
            apart = np.abs(values - expected[part]).max()
            yield _row(
                "basenji2",
                f"narrow network, {kind}, {_WORDS[part]}",
                len(values),
                apart,
                1e-4,
                each,
            )


def beluga(folder: Path, device: str) -> Iterator[Row]:
    """Compare a narrow Beluga with random weights; the folder is ExPecto's."""
    folder = folder.with_name("expecto")
    weights = folder / "beluga_reduced.pth"
    yield from _beluga(folder, "beluga_reduced", "narrow network", weights, device)


def _beluga(folder: Path, stem: str, words: str, weights: Path, device: str) -> Iterator[Row]:
    expected = _npz(folder / f"{stem}_expected.npz")
    for part, strands in _STRANDS.items():
        model = load_model("beluga", weights, device, strands=strands, iupac="error")
        frame, each = _predicted(model, folder / f"{stem}.fa")
        values = frame.loc[list(expected["ids"])].to_numpy()
        apart = np.abs(values - expected[part]).max()
        yield _row("beluga", f"{words}, {_WORDS[part]}", len(values), apart, 1e-5, each)


def full(folder: Path, region: Path | None, device: str) -> Iterator[Row]:
    """Compare Beluga at full width, seeded; ExPecto from end to end where `region` is."""
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "beluga.pth"
        _seeded_weights(folder / "beluga_full_weights_check.json", weights)
        yield from _beluga(folder, "beluga_full", "full width", weights, device)
        if region is None:
            return
        expected = _csv(folder / "end_to_end_reference.csv").set_index("gene")["prediction"]
        model = load_model(
            "expecto", weights, device, tissues=folder / "synthetic_legacy_gblinear.save"
        )
        frame, each = _predicted_of(model, _reference_windows(model, region, expected.index))
        apart = np.abs(frame.loc[expected.index].iloc[:, 0] - expected).max()
        yield _row("expecto", "reference, end to end", len(expected), apart, 5e-4, each)


def _seeded_weights(recipe: Path, path: Path) -> None:
    """Write the state dict that the oracle's recipe describes: seeded normal numbers."""
    import torch

    told = json.loads(_there(recipe).read_text())
    state = {}
    for number, (name, tensor) in enumerate(told["tensors"].items()):
        draws = np.random.default_rng([told["recipe_seed"], number])
        values = draws.standard_normal(tensor["shape"], dtype=np.float32)
        if name.endswith(".weight"):
            fan_in = np.prod(tensor["shape"][1:])
            values *= np.float32(np.sqrt(2 / fan_in))
        else:
            values *= np.float32(0.1)
        if not np.allclose(values.ravel()[:3], tensor["first3"]):
            raise _misfit(recipe, f"other numbers for {name}", "those of the recipe")
        state[name] = torch.from_numpy(values)
    torch.save(state, path)


def _reference_windows(
    model: SequenceModel, region: Path, wanted: Sequence[str]
) -> dict[str, np.ndarray]:
    sequences = {}
    with Reference(region / "chr20_1Mb.fa") as fasta:
        for gene in read_genes(region / "genes.csv"):
            if gene.name.lower() in wanted:
                interval = gene.window(model.layout.context, model.tss_offset(gene.strand))
                sequences[gene.name.lower()] = model.orient(fasta.fetch(interval), gene.strand)
    return sequences


def _predicted_of(
    model: SequenceModel, windows: dict[str, np.ndarray]
) -> tuple[pd.DataFrame, float]:
    with tempfile.TemporaryDirectory() as temporary:
        fasta = Path(temporary) / "windows.fa"
        fasta.write_text("".join(f">{n}\n{w.tobytes().decode()}\n" for n, w in windows.items()))
        return _predicted(model, fasta)


def _predicted(model: SequenceModel, fasta: Path) -> tuple[pd.DataFrame, float]:
    """Return values by sequence and seconds per sequence, by the command's own way."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "values.csv"
        start = time.perf_counter()
        rows = predict_fasta(model, _there(fasta), out, letters=IUPAC)
        seconds = (time.perf_counter() - start) / rows
        return pd.read_csv(out, index_col="sequence"), seconds


def _row(model: str, what: str, n: int, apart: float, tolerance: float, seconds: float) -> Row:
    return {
        "model": model,
        "oracle": "authors' code",
        "what": what,
        "n": n,
        "largest_difference": float(f"{apart:.2e}"),
        "tolerance": tolerance,
        "seconds_each": float(f"{seconds:.3g}"),
    }


def _csv(path: Path, **options: Any) -> pd.DataFrame:
    return pd.read_csv(_there(path), **options)


def _npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(_there(path)) as box:
        return dict(box)


def _there(path: Path) -> Path:
    if path.is_file():
        return path
    raise _misfit(path, "no such file", "a file of the oracle")


def _misfit(path: Path, found: str, expected: str) -> HowfarError:
    return HowfarError(
        str(path), found=found, expected=expected, do="Name the folder of the oracles."
    )
