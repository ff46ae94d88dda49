"""Attribution judged where the truth is known: a simulated study's causal variants and motif sites.

Drivers, lead eQTLs and linear weights name variants; predicted effects have signs; saturation
mutagenesis and gradients point at bases. Beside each stands a control that knows nothing: the same
network with its weights shuffled, or expression permuted over people. It takes minutes of a CPU, so
the book draws its committed table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.attribution import drivers
from howfar.attribution.attribute import Question, attribute_run
from howfar.attribution.variant_effects import gene_effects
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.core.atomic import whole
from howfar.core.errors import HowfarError, NotMade
from howfar.core.progress import track
from howfar.evaluation.known_truth import truth_folder
from howfar.genome.intervals import Gene
from howfar.linear import baseline
from howfar.models.base import SequenceModel
from howfar.models.zoo.demo_enformer import DemoEnformerModel
from howfar.prediction.run import open_model
from howfar.prediction.store import outputs_of
from howfar.simulate.demo import grammar as g
from howfar.simulate.hard import rules
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Run, Study

#: Sets of the table. `x` of the first two is a rank.
PRECISION, RECALL, SIGN = "precision", "recall", "sign right"
AUPRC, ATTENTION = "AUPRC of motif bases", "rank correlation of attention with ISM"
TRAINED, SHUFFLED = "network", "network, weights shuffled"
SLOPE, PERMUTED = "eQTL", "eQTL, permuted expression"
CHANCE = "chance"
#: Linear models whose largest weights are ranked.
LINEAR = {"enet": "elastic net", "blup": "BLUP"}
RANKS = 5
#: Bins of |distance to the TSS| and of the allele's frequency (of the rarer one).
DISTANCES = {"to 320 bp": (0, 320), "320 bp to 4 kb": (320, 4_096), "beyond 4 kb": (4_096, np.inf)}
FREQUENCIES = {"0.05 to 0.2": (0.05, 0.2), "0.2 to 0.5": (0.2, 0.501)}
#: bp around the TSS whose bases are replaced; a site counts from this occupancy on.
ISM_WINDOW, OCCUPIED = 640, g.UNIT // 2


@dataclass(frozen=True)
class Variants:
    """One gene's common variants, all arrays over them: copies (variants, people), distance (bp,
    unsigned), maf, true effect, whether causal; effects and ranks by method. inside: whether in the
    network's context."""

    gene: str
    maf: np.ndarray
    distance: np.ndarray
    true: np.ndarray
    causal: np.ndarray
    effects: Mapping[str, np.ndarray]
    ranked: Mapping[str, np.ndarray]


def measure(
    studies: list[Study],
    results: str | Path,
    out: str | Path,
    *,
    genes: int = 120,
    ism_genes: int = 8,
    say: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Judge each study's first run, and write rows to `out` (CSV); other studies' rows stay.

    genes, ism_genes: how many, evenly spaced. Columns date, study, set, method, group, x, value,
    n (genes), ci_low, ci_high: means over genes, intervals by block bootstrap. A linear model that
    isn't fitted has no rows.
    """
    out = Path(out)
    table = pd.read_csv(out) if out.is_file() else pd.DataFrame(columns=["study"])
    for study in studies:
        rows = judge(study, results, genes, ism_genes)
        rows.insert(0, "study", study.name)
        rows.insert(0, "date", datetime.now(UTC).date().isoformat())
        table = pd.concat([table[table["study"] != study.name], rows], ignore_index=True)
        with whole(out) as part:
            table[[*rows.columns]].to_csv(
                part, index=False, float_format="%.6g", lineterminator="\n"
            )
        say(f"{study.name}: {len(rows)} rows in {out.name}")
    return table


def judge(study: Study, results: str | Path, genes: int, ism_genes: int) -> pd.DataFrame:
    """Rows of one study; see `measure`."""
    truth = pd.read_csv(truth_folder(study) / "truth_variants.csv")
    cohort, run = OpenCohort(study), study.chosen_runs()[0]
    panel, model = cohort.panel(), open_model(run)
    networks = {TRAINED: model, SHUFFLED: shuffled(model)}
    weights = {}
    for name, label in LINEAR.items():
        with suppress(NotMade):  # judged without a linear model that isn't fitted
            weights[label] = baseline.read_finished(cohort, name, results).weights
    every = cohort.genes_to_run()
    chosen = every[:: max(1, len(every) // genes)][:genes]
    rng = np.random.default_rng(1)
    of_genes = [
        _variants(cohort, run, networks, weights, panel, gene, truth, rng)
        for gene in track(chosen, len(chosen), f"{study.name}: genes")
    ]
    of_genes = [each for each in of_genes if each is not None]
    lines = [*_precision(of_genes), *_signs(of_genes)]
    few = every[:: max(1, len(every) // ism_genes)][:ism_genes]
    bases = track(few, len(few), f"{study.name}: saturated genes")
    lines += [line for gene in bases for line in _bases(study, cohort, run, networks, gene)]
    frame = pd.DataFrame(lines, columns=["set", "method", "group", "x", "gene", "value"])
    return _means(frame.dropna(subset=["value"]).drop_duplicates(), panel.genes)


def shuffled(model: SequenceModel) -> DemoEnformerModel:
    """Return the same network with the numbers of each of its tensors in a random order.

    It has learnt nothing, and each layer passes on as much as the trained one's.
    """
    if not isinstance(model, DemoEnformerModel):
        raise HowfarError(
            f"model {model.name}",
            found="a network that isn't the simulated world's",
            expected="the study's own demo-enformer",
            do="Take a simulated study.",
        )
    import torch

    other = object.__new__(DemoEnformerModel)
    other.__dict__ |= {k: v for k, v in model.__dict__.items() if k != "_kept_local"}
    network, draw = deepcopy(model.network), torch.Generator().manual_seed(1)
    for tensor in network.state_dict().values():
        order = torch.randperm(tensor.numel(), generator=draw)
        tensor.copy_(tensor.flatten()[order].view_as(tensor))
    other._ready(network, model.device, model.batch_size)
    other._share(other._split(other.network), model.engine)
    return other


def _variants(
    cohort: OpenCohort,
    run: Run,
    networks: Mapping[str, SequenceModel],
    weights: Mapping[str, pd.DataFrame],
    panel: Panel,
    gene: Gene,
    truth: pd.DataFrame,
    rng: np.random.Generator,
) -> Variants | None:
    """One gene's common variants; None where none of them is causal."""
    dosages, variants = panel.dosages(gene.gene_id)
    copies = np.nan_to_num(dosages.astype(float)).T
    share = copies.mean(axis=1) / 2
    maf = np.minimum(share, 1 - share)
    common = maf >= cohort.study.evaluation.min_maf
    names = pd.Index([str(v) for v in variants])[common]
    known = truth[truth["gene_id"] == gene.gene_id].set_index("variant").reindex(names)
    causal = known["causal"].eq(True).to_numpy()
    if not causal.any():
        return None
    copies = copies[common]
    observed = panel.expression.loc[gene.gene_id].to_numpy(float)
    effects, ranked = {}, {}
    for name, model in networks.items():
        rows = gene_effects(cohort, run, model, outputs_of(run, model), gene)
        effect = rows.drop_duplicates("variant").set_index("variant")["effect"].reindex(names)
        effects[name] = effect.to_numpy(float)
        given = np.nan_to_num(effects[name])
        found = drivers.sasse_forward(given, copies, given @ copies)
        ranked[name] = found.sort_values("gain", ascending=False)["variant"].to_numpy(int)
    for name, y in ((SLOPE, observed), (PERMUTED, rng.permutation(observed))):
        there = ~np.isnan(y)
        effects[name] = drivers.slopes(copies, y)
        r, _ = stats.pearson_rows(
            copies[:, there], np.broadcast_to(y[there], copies[:, there].shape)
        )
        ranked[name] = np.argsort(-np.nan_to_num(np.abs(r)), kind="stable")
    for name, table in weights.items():
        mine = table[table["gene_id"] == gene.gene_id].drop_duplicates("variant")
        weight = mine.set_index("variant")["weight"].reindex(names).fillna(0).to_numpy(float)
        effects[name] = np.where(weight == 0, np.nan, weight)
        order = np.argsort(-np.abs(weight), kind="stable")
        ranked[name] = order[weight[order] != 0]
    ranked[CHANCE] = rng.permutation(len(names))
    distance = np.array([abs(v.start0 - gene.start0) for v in variants])[common]
    true = known["effect_a"].fillna(0).to_numpy(float)
    return Variants(gene.gene_id, maf[common], distance, true, causal, effects, ranked)


def _precision(of_genes: list[Variants]) -> Iterator[tuple]:
    """Yield, for each gene and ranking, precision and recall of the first 1..`RANKS` variants."""
    for v in of_genes:
        for method, order in v.ranked.items():
            hits = v.causal[order[:RANKS]]
            for k in range(1, RANKS + 1):
                found = hits[:k].sum()
                if len(order) >= k:
                    yield PRECISION, method, "all", k, v.gene, found / k
                yield RECALL, method, "all", k, v.gene, found / v.causal.sum()
            for group, inside in _groups(v):
                if len(order) and inside[order[0]]:
                    yield PRECISION, method, group, 1, v.gene, float(hits[0])
                if (v.causal & inside).any():
                    named = np.isin(np.flatnonzero(v.causal & inside), order[:RANKS])
                    yield RECALL, method, group, RANKS, v.gene, named.mean()


def _groups(v: Variants) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each class of variants by distance or by frequency, and which belong to it."""
    for name, (low, high) in DISTANCES.items():
        yield f"distance {name}", (v.distance > low - (low == 0)) & (v.distance <= high)
    for name, (low, high) in FREQUENCIES.items():
        yield f"frequency {name}", (v.maf >= low) & (v.maf < high)


def _signs(of_genes: list[Variants]) -> Iterator[tuple]:
    """Yield the share of a gene's causal variants to which a method gives the true sign."""
    for v in of_genes:
        for method, effect in v.effects.items():
            given = v.causal & ~np.isnan(effect) & (effect != 0)
            right = np.sign(effect) == np.sign(v.true)
            first = np.isin(np.arange(len(right)), v.ranked[method][:1])
            groups = [("all", given), ("ranked first", given & first)]
            groups += [(group, given & inside) for group, inside in _groups(v)]
            for group, chosen in groups:
                if chosen.any():
                    yield SIGN, method, group, np.nan, v.gene, right[chosen].mean()


def _bases(
    study: Study, cohort: OpenCohort, run: Run, networks: Mapping[str, SequenceModel], gene: Gene
) -> Iterator[tuple]:
    """Yield a gene's area under the precision-recall curve of motif bases, and attention's r."""
    from scipy.stats import spearmanr
    from sklearn.metrics import average_precision_score

    for name, model in networks.items():
        near, far = (
            attribute_run(cohort, run, model, Question(gene, method, window=width))
            for method, width in (("ism", ISM_WINDOW), ("gradient", model.layout.context))
        )
        inside = far["pos"].isin(near["pos"]).to_numpy()
        labels = motif_bases(study, cohort, gene, model.layout.context)
        size = near[list("ACGT")].abs().sum(axis=1).to_numpy() / 3
        slope = _from_others(far)
        close = f"within {ISM_WINDOW // 2} bp"
        for method, group, mask, score in (
            ("ISM", close, inside, size),
            ("gradient", close, inside, slope[inside]),
            ("gradient", "within 4,096 bp", np.ones(len(far), bool), slope),
        ):
            if labels[mask].any():
                value = average_precision_score(labels[mask], score)
                yield AUPRC, _named(method, name), group, np.nan, gene.gene_id, value
                if name == TRAINED:
                    share = labels[mask].mean()
                    yield AUPRC, CHANCE, group, np.nan, gene.gene_id, share
        read = attribute_run(cohort, run, model, Question(gene, "attention", window=ISM_WINDOW))
        of_bins = size.reshape(-1, model.layout.bin_size).sum(axis=1)
        for (layer, head), part in read.groupby(["layer", "head"]):
            r = spearmanr(part["weight"], of_bins).statistic
            group = f"layer {layer}, head {head}"
            yield ATTENTION, name, group, np.nan, gene.gene_id, r


def _named(method: str, network: str) -> str:
    return method if network == TRAINED else f"{method}, weights shuffled"


def _from_others(frame: pd.DataFrame) -> np.ndarray:
    """|gradient of the base that is there less the mean of the other three| (Sasse et al. 2023)."""
    values = frame[list("ACGT")].to_numpy()
    there = frame["base"].to_numpy()[:, None] == np.array(list("ACGT"))
    own = (values * there).sum(axis=1)
    return np.abs(own - (values.sum(axis=1) - own) / 3)


def motif_bases(study: Study, cohort: OpenCohort, gene: Gene, context: int) -> np.ndarray:
    """Which bases of a gene's window lie in a site that acts on it, at least half occupied."""
    window = gene.window(context, context // 2)
    sequence = cohort.reference.fetch(window)
    path = truth_folder(study) / "grammar.json"
    hard = (study.simulate or {}).get("setting", "hard") == "hard"
    law = rules.load(path) if hard else None
    grammar = law.grammar if law else g.load(path)
    found = g.sites(sequence[None], grammar)
    distance = found.start + g.MIDDLE - context // 2
    if law:
        acts = (rules.contributions(distance, found.motif, found.occupancy, law) != 0).any(axis=0)
    else:
        near = np.where(found.motif < g.FACTORS, g.DISTAL, g.CORE_REACH)
        acts = np.abs(distance) <= near
    labels = np.zeros(context, bool)
    for start in found.start[acts & (found.occupancy >= OCCUPIED)]:
        labels[start : start + g.WIDTH] = True
    return labels


def _means(frame: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """Mean over genes of each set, method, group and x, with its block-bootstrap interval."""
    rows = []
    keys = ["set", "method", "group", "x"]
    for key, part in frame.groupby(keys, sort=False, dropna=False):
        blocks, _ = blocks_of(genes, part["gene"])
        values = part["value"].to_numpy(float)
        low, high = stats.block_bootstrap(values, blocks, stats.weighted_mean, weighted=True)
        rows.append((*key, values.mean(), len(part), low, high))
    return pd.DataFrame(rows, columns=[*keys, "value", "n", "ci_low", "ci_high"])
