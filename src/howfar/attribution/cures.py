"""Cures of a network that is wrong across people: what people's expression can mend.

- told: a gene's people tell the network its signs. A random-effect ridge on the network's own
  tracks of a person, summed over promoter and rest, fitted for each gene.
- prior: the network says which variants matter, people say how (`linear.prior`).
- pooled: the network's prediction and one set of weights of those tracks for all genes, which also
  serves genes without people.
- tracks: all tracks at the TSS, weighted across genes by mean expression (`attribution.tracks`).

Beside them BLUP of the same people's genotypes, and the network itself. Everybody is predicted by
a fit without them; a population by fits on another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from howfar import stats
from howfar.attribution.variant_effects import gene_effects
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.eqtl.lead import column_means
from howfar.genome.intervals import Gene
from howfar.linear.base import fitter
from howfar.linear.cis import training
from howfar.linear.folds import Split, by_population, nested
from howfar.linear.prior import fit_prior
from howfar.models.base import SequenceModel
from howfar.models.readout import Readout, bins_of, read_out
from howfar.prediction.run import predict_genes
from howfar.prediction.store import Outputs, outputs_of
from howfar.prediction.transform import reference_prediction, transform
from howfar.study.schema import Run

NETWORK, TOLD, BLUP_CONTEXT, BLUP, PRIOR, POOLED, TRACKS = (
    "network",
    "told",
    "blup_context",
    "blup",
    "prior",
    "pooled",
    "tracks",
)
LEAD, RANDOM = "lead_snp", "random"  # for comparison: no network is in them
#: How tables name the cures and what stands beside them.
LABELS = {
    NETWORK: "Network",
    TOLD: "Network told the sign",
    BLUP_CONTEXT: "BLUP, the network's context",
    BLUP: "BLUP",
    PRIOR: "BLUP with the network's prior",
    POOLED: "Network's tracks, one weighting",
    TRACKS: "All tracks, weighted across genes",
    LEAD: "Lead SNP",
    RANDOM: "Random weights on own variants",
}
PEOPLE = "people not trained on"
_PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)  # of pooled weights, times a track's own variance
_GENE_FOLDS = 5

#: Called with each gene, values (1 + distinct, bins, tracks) of some tracks, and index (people, 2).
Watch = Callable[[Gene, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Options:
    """genes: how many, evenly spaced along the table (0: all). tracks: what descriptions of the
    tracks begin with that a network is told the sign of. promoter: bp either side of the TSS summed
    apart from the rest. window: bp, of the linear models' variants. source, target: populations
    that train and are judged ('' for none).
    """

    genes: int = 0
    tracks: str = "ChIP"
    promoter: int = 320
    window: int = 32_768
    min_maf: float = 0.05
    folds: int = 5
    source: str = ""
    target: str = ""
    seed: int = 1


@dataclass(frozen=True)
class GeneData:
    """One gene: what the network says of its people and variants, and what was measured.

    network: (people,) as the run's prediction; level: the reference's. features: (people, 2 k),
    tracks summed over the promoter, then over the rest. x: (people, variants) dosages; effects:
    (variants,), the network's, 0 outside its context; near: bool (variants,), within it. y:
    (people,), NaN where missing. seen: whether the network trained on the gene. weighted:
    (people,), all tracks by a readout; None without one.
    """

    gene: str
    level: float
    network: np.ndarray
    features: np.ndarray
    x: np.ndarray
    effects: np.ndarray
    near: np.ndarray
    y: np.ndarray
    seen: bool
    weighted: np.ndarray | None = None


def gene_data(
    cohort: OpenCohort,
    run: Run,
    model: SequenceModel,
    options: Options,
    watch: tuple[Sequence[str], Watch] | None = None,
    readout: Readout | None = None,
) -> Iterator[GeneData]:
    """Predict people's tracks and each variant's effect, gene by gene.

    watch: further tracks by description, and what is called with their values. readout: weights of
    all tracks.
    """
    own = outputs_of(run, model)
    told = [
        int(i)
        for i, text in model.tracks["description"].items()
        if str(text).startswith(options.tracks) and i not in own.tracks
    ]
    if not told:
        raise HowfarError(
            f"{run.place}, model {model.name}",
            found=f"no track whose description begins with {options.tracks!r}",
            expected="tracks of the run's network beside its own, to tell the sign of",
            do="Correct --tracks, or name a network with more tracks.",
        )
    every = list(range(model.layout.n_bins))
    watched = model.track_indices(watch[0]) if watch else []
    weighed = [] if readout is None else [int(i) for i in model.tracks.index]
    beside = [*told, *watched, *weighed]
    minus = None if own.minus is None else [*own.minus, *beside]
    outputs = Outputs(dict.fromkeys("+-", every), [*own.tracks, *beside], minus=minus)
    genes = cohort.measured(cohort.genes, "to tell the network's signs from")
    step = max(1, len(genes) // options.genes) if options.genes else 1
    measured = cohort.require_expression("to tell the network's signs from").values
    for gene in genes[::step]:
        ((_, values, index),) = predict_genes(cohort, run, model, outputs, [gene])
        mine = values[:, own.at(gene.strand), : len(own.tracks)]
        first, last = len(own.tracks), len(own.tracks) + len(told)
        if watch:
            watch[1](gene, values[:, :, last : last + len(watched)], index)
        tracks = values[:, :, first:last].astype(float)
        near = _near(model, gene, options.promoter)
        sums = np.hstack([tracks[:, near].sum(axis=1), tracks[:, ~near].sum(axis=1)])
        x, variants = cohort.dosages(gene, options.window)
        x = np.where(np.isnan(x), column_means(x), x).astype(float)
        effect = gene_effects(cohort, run, model, own, gene).set_index("variant")["effect"]
        named = effect.reindex([str(v) for v in variants])
        yield GeneData(
            gene.gene_id,
            reference_prediction(mine, run.transform),
            transform(mine[index], run.transform),
            sums[index].mean(axis=1),
            x,
            named.fillna(0).to_numpy(float),
            named.notna().to_numpy(),
            measured.loc[gene.gene_id, cohort.samples].to_numpy(float),
            model.region_of(gene.gene_id) in ("train", None),
            None
            if readout is None
            else read_out(
                values[:, bins_of(readout, model, gene.strand), last + len(watched) :], readout
            )[index].mean(axis=1),
        )


def _near(model: SequenceModel, gene: Gene, reach: int) -> np.ndarray:
    """bool (bins,): whose middle lies within `reach` bp of the TSS."""
    layout = model.layout
    middles = layout.first_base + layout.bin_size * (np.arange(layout.n_bins) + 0.5)
    return np.abs(middles - model.tss_index(gene.strand)) <= reach


def predictions(data: GeneData, split: Split, options: Options) -> dict[str, np.ndarray]:
    """Predict a split's people by each cure that one gene's people can make: (people,) each.

    Beside them the lead SNP, and random weights on the variants of the window, standardised. People
    of no part are NaN.
    """
    names = (TOLD, BLUP_CONTEXT, BLUP, PRIOR, LEAD, RANDOM)
    out = {name: np.full(len(data.y), np.nan) for name in names}
    blup, lead = fitter("blup"), fitter("top1")
    drawn = np.random.default_rng([options.seed, *data.gene.encode()]).normal(size=data.x.shape[1])
    for everybody, predicted in split.parts:
        trains = everybody & np.isfinite(data.y)
        y, seed = data.y[trains], options.seed
        fit = fit_prior(data.features[trains], y, seed, np.ones(data.features.shape[1]))
        out[TOLD][predicted] = fit.predict(data.features[predicted])
        x, kept = training(data.x, trains, options.min_maf)
        near = data.near[kept]
        for name, columns in ((BLUP, np.ones(len(kept), bool)), (BLUP_CONTEXT, near)):
            fit = blup(x[trains][:, columns], y, seed)
            out[name][predicted] = fit.predict(x[predicted][:, columns])
        fit = fit_prior(x[trains], y, seed, data.effects[kept])
        out[PRIOR][predicted] = fit.predict(x[predicted])
        out[LEAD][predicted] = lead(x[trains], y, seed).predict(x[predicted])
        out[RANDOM][predicted] = x[predicted] @ (
            drawn[kept] / np.maximum(x[trains].std(axis=0), 1e-9)
        )
    return out


class Pooled:
    """One set of weights of the tracks for all genes, learnt from seen genes' training people.

    The prediction is b times the network's plus a ridge on the tracks, so that it is shrunk
    towards the network. The penalty is chosen on training genes left out, and no weight of a track
    differs from 0 unless that gains more than one standard error in mean r. A part of a split at a
    time, from products within a gene's training people; a gene weighs as much as its expression
    varies little.
    """

    def __init__(self, split: Split, width: int) -> None:
        self._split, self._width = split, width
        self._products: list[list[np.ndarray]] = [[] for _ in split.parts]
        self._weights: list[np.ndarray] = []

    def add(self, data: GeneData) -> None:
        """Learn from a gene."""
        self._weights = []
        values = np.column_stack([data.network, data.features, data.y])
        for kept, (everybody, _) in zip(self._products, self._split.parts, strict=True):
            here = values[everybody & np.isfinite(data.y)]
            here = here - here.mean(axis=0)
            variance = here[:, -1].var()
            if variance > 0:
                kept.append(here.T @ here / (len(here) * variance))

    def predict(self, data: GeneData) -> np.ndarray:
        """Predict a gene's people, seen or unseen: (people,)."""
        if not self._weights:
            self._weights = [_pooled_weights(kept, self._width) for kept in self._products]
        values, out = np.column_stack([data.network, data.features]), np.full(len(data.y), np.nan)
        for weights, (_, predicted) in zip(self._weights, self._split.parts, strict=True):
            out[predicted] = values[predicted] @ weights
        return out


def _pooled_weights(products: list[np.ndarray], width: int) -> np.ndarray:
    """Weights (1 + width,) of network and tracks, from each gene's products with expression."""
    network = np.eye(1 + width)[0]
    if len(products) < 2:
        return network
    every, folds = np.stack(products), np.arange(len(products)) % _GENE_FOLDS
    gain = np.zeros((len(_PENALTIES), len(every)))
    for fold in np.unique(folds):
        learnt, left = every[folds != fold].mean(axis=0), every[folds == fold]
        for row, penalty in zip(gain, _PENALTIES, strict=True):
            weights = _ridge(learnt, every[folds != fold], penalty)
            row[folds == fold] = _r_of(weights, left) - _r_of(network, left)
    error = gain.std(axis=1, ddof=1) / np.sqrt(gain.shape[1])
    best = int(gain.mean(axis=1).argmax())
    if gain[best].mean() <= error[best]:
        return network
    return _ridge(every.mean(axis=0), every, _PENALTIES[best])


def _ridge(mean: np.ndarray, genes: np.ndarray, penalty: float) -> np.ndarray:
    """b of the network, never below its standard error, and the tracks' weights beside it."""
    xx, xy = mean[1:-1, 1:-1], mean[1:-1, -1]
    size = max(float(mean[0, 0]), 1e-300)
    slope = mean[0, -1] / size
    spread = genes[:, 0, -1] - slope * genes[:, 0, 0]
    b = max(slope, float(spread.std()) / np.sqrt(len(genes)) / size)
    # A millionth of the mean, where a track never changes.
    diagonal = np.diag(xx) + 1e-6 * max(float(np.diag(xx).mean()), 1e-12)
    weights = np.linalg.solve(xx + penalty * np.diag(diagonal), xy - b * mean[1:-1, 0])
    return np.concatenate([[b], weights])


def _r_of(weights: np.ndarray, products: np.ndarray) -> np.ndarray:
    """r with expression of a weighting (1 + width,), by gene, from products (genes, k, k)."""
    x = products[:, :-1, :-1]
    size = np.einsum("i,gij,j->g", weights, x, weights) * products[:, -1, -1]
    return np.where(size > 0, products[:, :-1, -1] @ weights / np.sqrt(np.maximum(size, 1e-300)), 0)


def splits_of(cohort: OpenCohort, options: Options) -> dict[str, Split]:
    """Return the splits by name: folds of all people, and one population's from another's."""
    found = {PEOPLE: nested(len(cohort.samples), options.folds, options.seed)}
    if options.source and options.target:
        groups = cohort.panel().groups
        name = f"{options.target}, trained on {options.source}"
        found[name] = by_population(groups, options.source, options.target, None, options.seed)
    return found


def compare(data: Iterable[GeneData], splits: dict[str, Split], options: Options) -> pd.DataFrame:
    """r across people of each cure on each gene: columns gene_id, seen, split, method, r.

    A constant prediction has r = 0.
    """
    rows, kept = [], list(data)
    for name, split in splits.items():
        pooled = Pooled(split, kept[0].features.shape[1])
        for each in kept:
            if each.seen:
                pooled.add(each)
        for each in kept:
            there = (split.fold() >= 0) & np.isfinite(each.y)
            made = predictions(each, split, options)
            made |= {NETWORK: each.network, POOLED: pooled.predict(each)}
            made |= {} if each.weighted is None else {TRACKS: each.weighted}
            for method, values in made.items():
                rows.append((each.gene, each.seen, name, method, _r(values[there], each.y[there])))
    return pd.DataFrame(rows, columns=["gene_id", "seen", "split", "method", "r"])


def _r(prediction: np.ndarray, y: np.ndarray) -> float:
    found = float(stats.pearson_rows(prediction, y)[0][0])
    return 0.0 if np.isnan(found) else found


def with_populations(options: Options, groups: np.ndarray) -> Options:
    """Name the largest population as source and the next as target, where there are two."""
    names, counts = np.unique(groups.astype(str), return_counts=True)
    if options.source or len(names) < 2:
        return options
    first, second = names[np.argsort(-counts, kind="stable")[:2]]
    return replace(options, source=str(first), target=str(second))
