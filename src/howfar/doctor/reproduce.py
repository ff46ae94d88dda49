"""Is it the published model? Its reference predictions, against those that Huang et al. published.

The genes are those whose whole window lies in the real megabase (GRCh37 chr20:1,000,001-2,000,000,
source `region`). The instructions of the study leave open which bins were averaged, whether
logarithms were taken, how strands and shifts were averaged, and where in the window the TSS lay:
every candidate is tried, and the model counts as verified only where one of them reproduces the
published numbers (column of the model in ``huang2023/all_models_ref_preds.csv``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.fetch import catalogue
from howfar.genome.intervals import Gene
from howfar.genome.reference import Reference
from howfar.models.base import reverse_complement
from howfar.models.registry import MODELS, SequenceModel, load_model
from howfar.published import huang2023
from howfar.published.files import Files

SEQUENCE, START = "region/z.fa", 1_000_000  # position p of GRCh37 chr20 is base p - START
NEEDS = (huang2023.GENES, huang2023.PREDICTIONS, SEQUENCE)
FEWEST = 2  # genes, below which agreement of one candidate among many may be chance

Offset = Callable[[SequenceModel, str], int]
View = tuple[bool, int]  # reverse complemented, moved to the right by so many bases

#: How values are put on the scale of the published ones, and back.
SCALES: dict[str, tuple[Callable, Callable]] = {
    "linear": (lambda x: x, lambda y: y),
    "ln": (np.log, np.exp),
    "log2": (np.log2, np.exp2),
    "log10": (np.log10, lambda y: 10.0**y),
    "ln(1 + x)": (np.log1p, np.expm1),
    "log2(1 + x)": (lambda x: np.log2(1 + x), lambda y: np.exp2(y) - 1),
}
_SHIFTS = (1, 0, -1)
_STRANDS = {"forward strand": ((False, 0),), "both strands": ((False, 0), (True, 0))}
_SHIFTED = {
    "forward strand, shifts 1, 0, -1": tuple((False, s) for s in _SHIFTS),
    "both strands, shifts 1, 0, -1": tuple((rc, s) for s in _SHIFTS for rc in (False, True)),
}
#: Bins around the middle, where the TSS is: how many to the left of it, how many from it on.
_CENTRAL = ((0, 1), (1, 2), (5, 5))


def _own(move: int) -> Offset:
    return lambda model, strand: model.tss_offset(strand) + move


def _middle(move: int) -> Offset:
    return lambda model, strand: model.layout.context // 2 + move


@dataclass(frozen=True)
class Recipe:
    """What is tried for a model: places of the TSS, views, scales; and what counts as the same.

    places: index of the TSS base in the forward-strand window. views: which readings of a window
    are averaged. tolerance: largest difference, of the value itself (absolute) or relative to
    the published one, both taken back to the linear scale. n_values: of N, tried where a window
    holds N. options: of the model, so that it averages nothing itself. track: as
    `SequenceModel.track_indices` takes it; None for the first.
    """

    places: dict[str, Offset]
    tolerance: float
    absolute: bool = False
    views: dict[str, tuple[View, ...]] = field(default_factory=lambda: {"": ((False, 0),)})
    scales: tuple[str, ...] = ("linear",)
    options: dict[str, Any] = field(default_factory=dict)
    n_values: tuple[float, ...] = ()
    track: int | dict[str, Any] | None = None


_ONE_OFF = {"TSS one base to the left": _own(-1), "TSS one base to the right": _own(1)}
_CAGE = {"index": 5110, "description": "CAGE:B lymphoblastoid cell line: GM12878 ENCODE, biol_"}
_PLAIN = {"rc": False, "shifts": (0,)}

#: By model name.
RECIPES: dict[str, Recipe] = {
    "enformer": Recipe(
        {
            "TSS on the first base of bin 448": _own(0),
            "TSS on the last base of bin 447": _own(-1),
        },
        tolerance=1e-3,
        views=_STRANDS,
        scales=tuple(SCALES),
        options=_PLAIN,
        n_values=(0.25, 0.0),
        track=_CAGE,
    ),
    "basenji2": Recipe(
        {
            "TSS at 65,535 ('+') or 65,536 ('-')": _own(0),
            "TSS at 65,536": _middle(0),
            "TSS at 65,535": _middle(-1),
        },
        tolerance=1e-3,
        views=_STRANDS | _SHIFTED,
        scales=tuple(SCALES),
        options=_PLAIN,
        n_values=(0.25, 0.0),
        track=_CAGE,
    ),
    "expecto": Recipe(
        {"TSS at base 999 of the middle window": _own(0)} | _ONE_OFF, tolerance=1e-3, absolute=True
    ),
    "xpresso": Recipe({"TSS at 6,999": _own(0)} | _ONE_OFF, tolerance=1e-6, absolute=True),
}


@dataclass
class Verification:
    """What came out: one row per candidate in `table`, the best first.

    table: columns place, n, views, bins, scale, largest_difference (over genes), and one column
    of values per gene. published: by gene. model: as loaded.
    """

    published: pd.Series
    table: pd.DataFrame
    recipe: Recipe
    model: SequenceModel
    windows_hold_n: bool

    @property
    def fitting(self) -> pd.DataFrame:
        """The candidates within the tolerance."""
        return self.table[self.table["largest_difference"] <= self.recipe.tolerance]

    @property
    def verified(self) -> bool:
        """Whether a candidate reproduces the published predictions."""
        return len(self.fitting) > 0

    @property
    def difference(self) -> float:
        """The best candidate's largest difference over genes."""
        return float(self.table["largest_difference"].iloc[0])

    @property
    def kind(self) -> str:
        """Whether differences are 'absolute' or 'relative'."""
        return "absolute" if self.recipe.absolute else "relative"

    def summary(self, shown: int = 8) -> str:
        """Return the verdict and the best candidates, as lines of text."""
        genes = ", ".join(self.published.index)
        lines = [
            f"{self.model.name}: {len(self.table)} candidates, genes {genes}",
            f"largest {self.kind} difference from the published predictions, best first:",
        ]
        for _, row in self.table.head(shown).iterrows():
            lines.append(f"  {row['largest_difference']:.2e}  {describe(row)}")
        if self.recipe.n_values and not self.windows_hold_n:
            lines.append("  (no window holds N, so how N is read can't be told from these genes)")
        fits = f"{len(self.fitting)} candidate(s) within the tolerance"
        verdict = f"verified: {fits}" if self.verified else "does not fit: no candidate within it"
        return "\n".join([*lines, f"{verdict} ({self.kind}, {self.recipe.tolerance:g})"]) + "\n"

    def outcome(self) -> dict[str, Any]:
        """Return what is recorded (see `verdicts.keep`)."""
        return {
            "verified": self.verified,
            "candidate": describe(self.table.iloc[0]),
            "largest_difference": self.difference,
            "difference": self.kind,
            "tolerance": self.recipe.tolerance,
            "candidates": len(self.table),
            "fitting": len(self.fitting),
            "genes": list(self.published.index),
            "weights_sha256": self.model.weights_sha256,
            "device": self.model.device,
        }


def describe(candidate: pd.Series) -> str:
    """Describe a candidate in words."""
    keys = ("place", "n", "views", "bins", "scale")
    return "; ".join(str(candidate[key]) for key in keys if candidate[key])


def verify(
    name: str,
    weights: str | Path | None = None,
    *,
    folder: str | Path,
    device: str = "auto",
    files: Files | None = None,
    load: Callable[..., SequenceModel] = load_model,
    **options: Any,
) -> Verification:
    """Try every candidate of the model's recipe against the published reference predictions.

    name: one of `RECIPES`. weights: a path; None: what was fetched. folder: the folder of
    sources. files: where the published tables and the megabase are read. options: to the model.
    Raises HowfarError for a model without published predictions, missing files, unsuitable
    weights, and fewer than two genes whose window fits.
    """
    recipe = _recipe(name)
    files = files or Files(NEEDS, "huang2023 region", Path(folder))
    chosen = weights if weights is not None else _fetched(name, Path(folder))
    settings = recipe.options | options
    model = load(name, chosen, device, **settings)
    published, windows = _inputs(name, model, recipe, files)
    holds_n = any((w == ord("N")).any() for w in windows.values())
    models = {"": model}
    if holds_n and recipe.n_values:
        models = {
            f"N is {n:g} in each channel": load(name, chosen, device, **(settings | {"n_value": n}))
            for n in recipe.n_values
        }
    rows = [
        {"place": place, "n": n} | candidate
        for n, one in models.items()
        for place, found in windows.items()
        for candidate in _candidates(one, recipe, found, published)
    ]
    table = pd.DataFrame(rows).sort_values("largest_difference", kind="stable", ignore_index=True)
    return Verification(published, table, recipe, model, holds_n)


def _inputs(
    name: str, model: SequenceModel, recipe: Recipe, files: Files
) -> tuple[pd.Series, dict[str, np.ndarray]]:
    """Read published values by gene, and the genes' windows for each place of the TSS."""
    genes, published = _published(files, MODELS[name].card.published)
    with Reference(files.path(SEQUENCE)) as fasta:
        genes = [g for g in genes if _fits(fasta, model, recipe, g)]
        _enough(name, genes, model)
        windows = {p: _windows(fasta, model, o, genes) for p, o in recipe.places.items()}
    return published.loc[[g.name for g in genes]], windows


def _recipe(name: str) -> Recipe:
    if name in RECIPES:
        return RECIPES[name]
    raise HowfarError(
        f"verify {name}",
        found="a model without published reference predictions",
        expected=f"one of {', '.join(RECIPES)}",
        do="Correct the name; `howfar models` lists all.",
    )


def _fetched(name: str, folder: Path) -> Path:
    """Return the fetched file of weights, its content checked."""
    first = MODELS[name].sources[0]
    lacking = catalogue.missing(MODELS[name].sources, folder)
    if lacking:
        raise HowfarError(
            f"verify {name}",
            found=f"no {', no '.join(s.id for s in lacking)}, or another content",
            expected="the published weights",
            do=f"Run `howfar fetch {name}`, or name the file with --weights.",
        )
    return folder / first


def _published(files: Files, column: str) -> tuple[list[Gene], pd.Series]:
    """Read genes of the megabase (contig and position of its FASTA) and published values."""
    listed = huang2023.gene_list(files)
    near = listed[(listed["chrom"] == "20") & (listed["tss"] > START)]
    values = (
        files.table(huang2023.PREDICTIONS, ["gene"], [column]).set_index("gene")[column].dropna()
    )
    with Reference(files.path(SEQUENCE)) as fasta:
        ((contig, length),) = fasta.contigs.items()
    genes = [
        Gene(row.gene_id, row.key, contig, int(row.tss) - START, row.strand)
        for row in near.itertuples()
        if int(row.tss) - START <= length and row.key in values.index
    ]
    return genes, values


def _interval(model: SequenceModel, offset: Offset, gene: Gene):
    return gene.window(model.layout.context, offset(model, gene.strand))


def _fits(fasta: Reference, model: SequenceModel, recipe: Recipe, gene: Gene) -> bool:
    places = [_interval(model, offset, gene) for offset in recipe.places.values()]
    length = fasta.length(gene.chrom)
    return min(p.start for p in places) >= 0 and max(p.end for p in places) <= length


def _enough(name: str, genes: Sequence[Gene], model: SequenceModel) -> None:
    if len(genes) >= FEWEST:
        return
    raise HowfarError(
        f"verify {name}",
        found=f"{len(genes)} gene(s) with the whole window of {model.layout.context:,} bp in the "
        "megabase",
        expected=f"at least {FEWEST}",
        do="Fetch `huang2023` and `region` again, or load the model with its published context.",
    )


def _windows(
    fasta: Reference, model: SequenceModel, offset: Offset, genes: Sequence[Gene]
) -> np.ndarray:
    """Return uint8 (genes, context), in the orientation that the model reads."""
    windows = [(fasta.fetch(_interval(model, offset, g)), g.strand) for g in genes]
    return np.stack([model.orient(window, strand) for window, strand in windows])


def _view(windows: np.ndarray, view: View) -> np.ndarray:
    """Move windows to the right by a shift, N where nothing is, then turn them if asked."""
    turned, shift = view
    moved = np.roll(windows, shift, axis=1)
    if shift:
        moved[:, slice(None, shift) if shift > 0 else slice(shift, None)] = ord("N")
    return reverse_complement(moved) if turned else moved


def _candidates(
    model: SequenceModel, recipe: Recipe, windows: np.ndarray, published: pd.Series
) -> Iterator[dict[str, Any]]:
    """Yield rows of the table for one place of the TSS."""
    values = _by_view(model, recipe, windows)
    for label, views in recipe.views.items():
        mean = np.mean([values[v] for v in views], axis=0)
        for how, scale, one in _summaries(mean, recipe.scales):
            row = {"views": label, "bins": how, "scale": scale}
            row["largest_difference"] = _difference(one, published, scale, recipe.absolute)
            yield row | dict(zip(published.index, one, strict=True))


def _by_view(model: SequenceModel, recipe: Recipe, windows: np.ndarray) -> dict[View, np.ndarray]:
    """Predict the track, float64 (genes, bins) in the order of the forward strand."""
    bins = list(range(model.layout.n_bins))
    wanted = int(model.tracks.index[0]) if recipe.track is None else recipe.track
    tracks = model.track_indices([wanted])
    views = list(dict.fromkeys(v for views in recipe.views.values() for v in views))
    found = {}
    for view in track(views, len(views), "verify: readings"):
        values = model.predict(_view(windows, view), bins, tracks)[:, :, 0].astype(np.float64)
        found[view] = values[:, ::-1] if view[0] else values
    return found


def _summaries(values: np.ndarray, scales: Sequence[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (how bins became one value, scale, values per gene) of values (genes, bins)."""
    n_bins = values.shape[1]
    if n_bins == 1:
        yield "", "", values[:, 0]
        return
    parts = {"mean of all bins": values, **_central(values)}
    with np.errstate(all="ignore"):  # a logarithm of zero fits nothing, and is told so
        for how, part in parts.items():
            for scale in scales:
                forth = SCALES[scale][0]
                yield how, scale, forth(part.mean(axis=1))
                if scale != "linear" and part.shape[1] > 1:
                    yield how, f"{scale} before the mean", forth(part).mean(axis=1)
        for scale in scales:
            yield "largest bin", scale, SCALES[scale][0](values.max(axis=1))


def _central(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return values of the bins around the middle, by words that give their numbers."""
    middle = values.shape[1] // 2
    found = {}
    for before, after in _CENTRAL:
        first, last = middle - before, middle + after - 1
        words = f"bin {first}" if first == last else f"mean of bins {first}..{last}"
        found[words] = values[:, first : last + 1]
    return found


def _difference(values: np.ndarray, published: pd.Series, scale: str, absolute: bool) -> float:
    """Return the largest difference over genes, infinite where a value isn't a number.

    Relative differences are those of the values taken back to the linear scale: on a scale of
    logarithms a relative difference would depend on where its zero is.
    """
    expected = published.to_numpy(float)
    with np.errstate(all="ignore"):
        if absolute:
            apart = np.abs(values - expected)
        else:
            back = SCALES[scale.removesuffix(" before the mean") or "linear"][1]
            apart = np.abs(back(values) - back(expected)) / np.abs(back(expected))
    return float(np.where(np.isfinite(apart), apart, np.inf).max())
