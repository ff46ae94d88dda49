"""Simulated truths, and what each estimator of the package says of them.

A trial simulates once and hands its data to the functions that make the book's numbers. Awkward
truths are among them: few blocks, genes that share people, rare alleles, values at a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from howfar import stats
from howfar.eqtl import gene as eqtl_gene
from howfar.eqtl import lead
from howfar.evaluation import heritability as ceiling
from howfar.evaluation import known_truth, run_comparison, trends
from howfar.linear import reml
from howfar.published import rastogi2024_causal
from howfar.results import tables
from howfar.stacking import compare
from howfar.stacking.pairs import Pairs
from howfar.stats import null, top_overlap


@dataclass(frozen=True)
class Outcome:
    """What one estimator made of one simulation.

    hit: whether its interval held the truth, or its test called; None without one. error:
    estimate less truth, NaN without an estimate. says: how often hits should be. kind: 'interval',
    'test' (of nothing) or 'power'.
    """

    hit: bool | None
    error: float = np.nan
    says: float = 0.95
    kind: str = "interval"


#: What each estimator (by name) made of one simulation.
Outcomes = dict[str, Outcome]


@dataclass(frozen=True)
class Trial:
    """A truth, in words, that is simulated `simulations` times by `once`."""

    truth: str
    once: Callable[[np.random.Generator], Outcomes]
    simulations: int


def _interval(estimate: float, ends: Sequence[float], truth: float) -> Outcome:
    low, high = ends
    missing = np.isnan(low) or np.isnan(high)
    return Outcome(None if missing else bool(low <= truth <= high), float(estimate - truth))


def _test(p: float, level: float) -> Outcome:
    return Outcome(None if np.isnan(p) else bool(p <= level), says=level, kind="test")


# --- data ------------------------------------------------------------------------------------


def _dosages(rng, people: int, variants: int, low: float = 0.05, linked: float = 0.9) -> np.ndarray:
    """Draw dosages (people, variants) in linkage: neighbours' latent correlation is `linked`."""
    latent = rng.standard_normal((variants, 2 * people))
    for i in range(1, variants):
        latent[i] = linked * latent[i - 1] + np.sqrt(1 - linked**2) * latent[i]
    cut = scipy_stats.norm.ppf(rng.uniform(low, 0.5, variants))
    carried = latent < cut[:, None]
    return (carried[:, :people] + carried[:, people:]).T.astype(float)


def _blocks(rng, genes: int, count: int) -> np.ndarray:
    """Draw each gene's block; the largest has three times the genes of the smallest."""
    share = np.linspace(3, 1, count)
    return rng.choice(count, genes, p=share / share.sum())


def _noise(rng, kind: str, size) -> np.ndarray:
    """Draw expression of variance 1: 'normal', or 'skewed' (log-normal, its SD of logs 1)."""
    z = rng.standard_normal(size)
    if kind == "normal":
        return z
    return (np.exp(z) - np.exp(0.5)) / np.sqrt(np.e * (np.e - 1))


def _genes(blocks: np.ndarray) -> pd.DataFrame:
    ids = [f"g{i}" for i in range(len(blocks))]
    chroms = [f"chr{b}" for b in blocks]
    return pd.DataFrame({"gene_id": ids, "chrom": chroms, "tss": 1 + 10 * np.arange(len(ids))})


# --- one gene over people -------------------------------------------------------------------


def _fisher(rng, r: float, people: int, kind: str = "normal") -> Outcomes:
    if kind == "rare":  # an allele of 1 % as the prediction
        x = (rng.binomial(2, 0.01, people) - 0.02) / np.sqrt(2 * 0.01 * 0.99)
    else:
        x = rng.standard_normal(people)
    y = r * x + np.sqrt(1 - r**2) * _noise(rng, "normal" if kind == "rare" else kind, people)
    found, n = stats.pearson_rows(x, y)
    if np.isnan(found[0]):
        return {}
    ends = np.ravel(stats.fisher_interval(found, n))
    rho, _ = stats.spearman_rows(x, y)
    outcomes = {"r, Fisher's interval": _interval(found[0], ends, r)}
    if kind == "normal":
        rank = 6 / np.pi * np.arcsin(r / 2)
        outcomes["Spearman's ρ, without an interval"] = Outcome(None, float(rho[0] - rank))
    return outcomes


def _t_test(rng, people: int, copies: int, kind: str) -> Outcomes:
    x = rng.standard_normal(people)
    if copies:
        x = np.zeros(people)
        x[:copies] = 1
    found, n = stats.pearson_rows(x, _noise(rng, kind, people))
    p = float(stats.correlation_p(found, n - 2)[0])
    return {f"t test of r, at {level:g}": _test(p, level) for level in (0.05, 0.001)}


def _power(rng, people: int) -> Outcomes:
    r = stats.smallest_detectable_r(people)
    x = rng.standard_normal(people)
    y = r * x + np.sqrt(1 - r**2) * rng.standard_normal(people)
    found, n = stats.pearson_rows(x, y)
    called = bool(stats.correlation_p(found, n - 2)[0] <= 0.05)
    return {"smallest detectable r, its power": Outcome(called, says=0.8, kind="power")}


def _own_null(rng, prediction: str, people: int = 300) -> Outcomes:
    g = _dosages(rng, people, 60, 0.01)
    if prediction == "random":
        x = g @ rng.standard_normal(g.shape[1])
    else:
        frequency = lead.minor_frequency(g)
        x = g[:, np.argmin(np.where(frequency > 0, frequency, 1))]
        x = x if prediction == "rarest" else g[:, np.argmax(frequency)]
    y = rng.standard_normal(people)
    r = float(stats.pearson_rows(x, y)[0][0])
    drawn = null.gene_null(g, y, 999, int(rng.integers(1 << 30)))
    first = drawn[: null.PUBLISHED_DRAWS]
    moments = (np.array([r]), first.mean(), first.std())
    p = {name: float(rule(*moments)[0]) for name, rule in null.RULES.items()}
    p = {"own null": null.own_null(r, drawn)} | {
        f"null by moments, {name.replace('_', ' ')}": p[name]
        for name in ("as_published", "standard_error", "half_normal", "simulated_tail")
    }
    return {f"{name}, at 0.05": _test(each, 0.05) for name, each in p.items()}


def _reml(rng, h2: float, people: int, variants: int, sparse=False, low=0.05) -> Outcomes:
    g = _dosages(rng, people, variants, low)
    g = g[:, g.std(axis=0) > 0]
    z = (g - g.mean(axis=0)) / g.std(axis=0)
    effects = np.zeros(z.shape[1])
    if sparse:
        effects[rng.integers(z.shape[1])] = np.sqrt(h2)
    else:
        effects = rng.standard_normal(z.shape[1]) * np.sqrt(h2 / z.shape[1])
    y = z @ effects + np.sqrt(1 - h2) * rng.standard_normal(people)
    found = reml.heritability(g, y)
    half = 1.96 * found.se
    ends = (np.nan, np.nan) if np.isnan(half) else (found.h2 - half, found.h2 + half)
    outcomes = {"h², REML ± 1.96 standard errors": _interval(found.h2, ends, h2)}
    if h2 == 0:
        outcomes["h² above 0, likelihood ratio, at 0.05"] = _test(found.p, 0.05)
    return outcomes


def _lead(rng, r: float, people: int) -> Outcomes:
    g = _dosages(rng, people, 100)
    causal = int(rng.integers(100))
    z = (g[:, causal] - g[:, causal].mean()) / g[:, causal].std()
    y = r * z + np.sqrt(1 - r**2) * rng.standard_normal(people)
    basis = lead.covariate_basis(None, people)
    scan = lead.scan(g, y, basis)
    best = lead.strongest(scan.r, np.zeros(g.shape[1]))
    ends = stats.fisher_interval(abs(scan.r[best]), people)
    outcomes = {
        "|r| of the lead variant in the people it was found in": _interval(
            abs(scan.r[best]), ends, abs(r)
        )
    }
    if r == 0:
        predicted, _ = lead.lead_snp_prediction(g, y)
        out, _ = stats.pearson_rows(predicted, y)
        outcomes["r of the lead SNP, out of fold"] = Outcome(None, float(np.nan_to_num(out[0])))
    return outcomes


def _eqtl(rng, people: int, kind: str, low: float) -> Outcomes:
    g = _dosages(rng, people, 60, low)
    data = eqtl_gene.GeneData(g, _noise(rng, kind, people), np.zeros(g.shape[1]))
    found = eqtl_gene.lead(data, permutations=400, seed=int(rng.integers(1 << 30)))
    p = {"permutations": found.p_permuted, "beta approximation": found.p_beta}
    return {
        f"p of the gene's lead variant, {name}, at {level:g}": _test(each, level)
        for name, each in p.items()
        for level in (0.05, 0.01)
    }


# --- over genes ------------------------------------------------------------------------------


def _boot(values, blocks, statistic) -> tuple[float, Sequence[float]]:
    ends = stats.block_bootstrap(values, blocks, statistic, 1000, weighted=True)
    return statistic(values, np.ones((1, len(values))))[0], ends


def _mean(rng, count: int, shared: float, genes: int = 200) -> Outcomes:
    blocks = _blocks(rng, genes, count)
    values = 0.05 + 0.1 * (
        np.sqrt(shared) * rng.standard_normal(count)[blocks]
        + np.sqrt(1 - shared) * rng.standard_normal(genes)
    )
    return {"mean of r over genes": _interval(*_boot(values, blocks, stats.weighted_mean), 0.05)}


def _mean_of_people(rng, shared: float, genes: int = 200, people: int = 300) -> Outcomes:
    """r of genes whose predictions, and whose expression, have a factor of people in common."""
    x, y = (
        np.sqrt(shared) * rng.standard_normal(people)
        + np.sqrt(1 - shared) * rng.standard_normal((genes, people))
        for _ in range(2)
    )
    r, _ = stats.pearson_rows(x, y)
    found = _boot(r, _blocks(rng, genes, 22), stats.weighted_mean)
    return {"mean of r over genes": _interval(*found, 0.0)}


def _median(rng, count: int, genes: int = 200) -> Outcomes:
    blocks = _blocks(rng, genes, count)
    values = 0.05 + 0.1 * rng.standard_normal(genes)
    found = _boot(values, blocks, stats.weighted_median)
    return {"median of r over genes": _interval(*found, 0.05)}


def _across_genes(rng, count: int, r: float, genes: int = 200) -> Outcomes:
    blocks = _blocks(rng, genes, count)
    x = rng.standard_normal(genes)
    pairs = np.column_stack([x, r * x + np.sqrt(1 - r**2) * rng.standard_normal(genes)])
    rank = 6 / np.pi * np.arcsin(r / 2)
    return {
        "r across genes": _interval(*_boot(pairs, blocks, stats.weighted_pearson), r),
        "Spearman's ρ across genes": _interval(
            *_boot(pairs, blocks, stats.weighted_spearman), rank
        ),
    }


def _pair(rng, count: int, genes: int = 200) -> Outcomes:
    table = _genes(_blocks(rng, genes, count))
    shared = rng.standard_normal(genes)
    rows = pd.DataFrame({"gene_id": table["gene_id"]})
    for name, mean in (("first", 0.05), ("second", 0.15)):
        rows[name] = mean + 0.1 * (0.7 * shared + np.sqrt(0.51) * rng.standard_normal(genes))
    rows["difference"] = rows["first"] - rows["second"]
    found = run_comparison.summarise_pair(rows, table, draws=1000)
    return {
        "paired difference of two models": _interval(found.difference, found.difference_ci, -0.1),
        "r of two models' r over genes": _interval(found.r, found.r_ci, 0.49),
    }


def _spread(rng, true_sd: float, people: int, genes: int = 200) -> Outcomes:
    truth = np.clip(0.05 + true_sd * rng.standard_normal(genes), -0.95, 0.95)
    x = rng.standard_normal((genes, people))
    y = truth[:, None] * x + np.sqrt(1 - truth**2)[:, None] * rng.standard_normal((genes, people))
    r, n = stats.pearson_rows(x, y)
    found = stats.spread(r, n, _blocks(rng, genes, 22), draws=1000)
    return {"SD of true r between genes": _interval(found.true_sd, found.true_sd_ci, true_sd)}


def _trend(rng, count: int, genes: int = 240) -> Outcomes:
    blocks = _blocks(rng, genes, count)
    distance = rng.exponential(20_000, genes)
    r = 0.2 - 0.05 * np.log10(distance + 10) + 0.15 * rng.standard_normal(genes)
    edges = (0, 3_000, 8_000, 14_000, 22_000, 36_000, 1_000_000)
    table = trends.binned_trend(distance, r, blocks, edges, draws=1000)
    low, high = edges[:2]
    grid = np.linspace(low, high, 2001)
    mean = np.average(0.2 - 0.05 * np.log10(grid + 10), weights=np.exp(-grid / 20_000))
    first = table.iloc[0]
    flat = np.column_stack([distance, 0.15 * rng.standard_normal(genes)])
    return {
        "mean of r in a bin of distance": _interval(
            first["mean"], (first["ci_low"], first["ci_high"]), mean
        ),
        "trend with distance, Spearman's ρ": _interval(
            *_boot(flat, blocks, stats.weighted_spearman), 0.0
        ),
    }


def _ceiling(rng, se: float, genes: int = 200) -> Outcomes:
    """Means over genes of h2 ~ U(0, 0.25), estimated with that standard error; r is 0.8 √h2."""
    table = _genes(_blocks(rng, genes, 22))
    h2 = rng.uniform(0, 0.25, genes)
    keys = {"gene_id": table["gene_id"]}
    found = pd.DataFrame(keys | {"feature": "h2", "source": "s", "se": se})
    found["value"] = h2 + se * rng.standard_normal(genes)
    r = 0.8 * np.sqrt(h2) + 0.05 * rng.standard_normal(genes)
    across = pd.DataFrame(keys | {"run_id": "m", "population": "pooled", "n": 300, "pearson": r})
    runs = pd.DataFrame({"run_id": ["m"], "label": ["m"]})
    frames = {"genes": table, "features": found, "across": across, "runs": runs}
    row = ceiling.attained(tables.Tables("trial", frames)).iloc[0]
    root = ceiling.ceilings(tables.Tables("trial", frames)).iloc[0]
    mean = 1 / 3  # of the square root of U(0, 0.25)
    return {
        "ceiling, mean √h²": _interval(root["ceiling"], (root["ci_low"], root["ci_high"]), mean),
        "share of the ceiling that a model reaches": _interval(
            row["ratio"], (row["ci_low"], row["ci_high"]), 0.8
        ),
        "√ of mean h², without an interval": Outcome(None, float(root["rms"] - np.sqrt(0.125))),
    }


def _share(rng, share: float, clusters: int, size: int, alike: float) -> Outcomes:
    """A share over genes of `size` variants each, whose fates are alike within a gene.

    alike: correlation of the fates (beta-binomial).
    """
    if alike:
        scale = 1 / alike - 1
        chance = rng.beta(share * scale, (1 - share) * scale, clusters)
    else:
        chance = np.full(clusters, share)
    hits = rng.binomial(size, chance)
    total, found = clusters * size, hits.sum() / (clusters * size)
    exact = scipy_stats.binomtest(int(hits.sum()), total)
    outcomes = {
        f"share, {name}": _interval(found, tuple(exact.proportion_ci(0.95, method)), share)
        for name, method in (("exact binomial", "exact"), ("Wilson", "wilson"))
    }
    totals = np.full(clusters, size)
    ends = stats.clustered_share_interval(hits, totals)
    outcomes["share, exact for genes as drawn"] = _interval(found, ends, share)
    rows = np.repeat(np.arange(clusters), size)
    each = (np.arange(size) < hits[:, None]).ravel().astype(float)
    ends = stats.block_bootstrap(each, rows, stats.weighted_mean, 1000, weighted=True)
    outcomes["share, bootstrap over genes"] = _interval(found, ends, share)
    return outcomes


def _false_positives(rng, alike: float, level: float = 0.05) -> Outcomes:
    """Twenty draws of expression for each of 240 genes, whose rates of p <= 0.05 differ."""
    scale = 1 / alike - 1
    chance = rng.beta(level * scale, (1 - level) * scale, 240)
    called = rng.random((240, 20)) < chance[:, None]
    gene = np.repeat(np.arange(240), 20)
    p = pd.DataFrame({"rule": "a", "gene_id": gene, "p": np.where(called.ravel(), 0.0, 1.0)})
    row = known_truth.false_positive_rates(p, [level]).iloc[0]
    ends = (row["ci_low"], row["ci_high"])
    return {"false-positive rate of a rule": _interval(row["rate"], ends, level)}


def _auroc(rng, apart: float, pairs: int) -> Outcomes:
    """Pairs in as many genes, on 22 chromosomes; area Phi(apart / √2)."""
    scores = apart + rng.standard_normal(pairs)
    free = np.sort(rng.standard_normal((pairs, 200)), axis=1)
    chance = np.column_stack([np.searchsorted(row, scores) / 200 for row in free])
    blocks = _blocks(rng, pairs, 22)
    area = float(scipy_stats.norm.cdf(apart / np.sqrt(2)))
    return {
        "area under the ROC curve": _interval(
            *_boot(chance, blocks, rastogi2024_causal.auroc), area
        )
    }


def _stacked(rng, count: int, genes: int = 40, people: int = 60) -> Outcomes:
    """Deviations of pairs predicted with r 0.3 in every gene; genes share an error by block."""
    blocks = _blocks(rng, genes, count)
    gene, person = np.divmod(np.arange(genes * people), people)
    truth = rng.standard_normal(genes * people)
    slope = 0.3 + 0.1 * rng.standard_normal(count)[blocks][gene]
    predicted = slope * truth + np.sqrt(1 - 0.3**2) * rng.standard_normal(len(truth))
    table = _genes(blocks)
    ids = list(table["gene_id"])
    pairs = Pairs(np.empty((len(truth), 0)), truth, gene, person, ids, blocks, [])
    fold = person % 3
    rows = compare.summarise(pairs, table, truth, predicted, fold, draws=500).set_index("set")
    # The slopes vary: r over all pairs has the prediction's whole variance below it.
    middle = 0.3 / np.sqrt(1 + 0.1**2)
    grid = 0.3 + 0.1 * np.linspace(-5, 5, 2001)
    each = np.average(
        grid / np.sqrt(grid**2 + 1 - 0.3**2), weights=np.exp(-((grid - 0.3) ** 2) / 0.02)
    )
    known = {
        "stacking.pearson": (middle, "r over pairs"),
        "stacking.r_people": (each, "r of people"),
    }
    return {
        f"stacking, {words}": _interval(
            rows.loc[name, "value"], rows.loc[name, ["ci_low", "ci_high"]], value
        )
        for name, (value, words) in known.items()
    }


def _unlearnable(rng, split: str) -> Outcomes:
    """Stacking on features that say nothing of people, 30 genes of 40 people."""
    gene, person = np.divmod(np.arange(30 * 40), 40)
    x = rng.standard_normal((len(gene), 3))
    y = rng.standard_normal(len(gene))
    ids = [f"g{i}" for i in range(30)]
    pairs = Pairs(x, y, gene, person, ids, np.arange(30) % 10, ["a", "b", "c"])
    options = compare.Options(folds=3, seed=int(rng.integers(1 << 30)))
    found = compare.predictions(pairs, "deviation", split, "network", ["ridge"], options)
    r = compare.r_people(pairs, found.truth, found.by_model["ridge"], found.fold)
    return {"stacking, r of people": Outcome(None, float(np.nanmean(r)))}


def _discoveries(rng, blocks: int, genes: int = 300) -> Outcomes:
    """A tenth of the genes has a signal; genes of a block share 60 % of their error."""
    z = np.sqrt(0.6) * rng.standard_normal(blocks)[_blocks(rng, genes, blocks)]
    z += np.sqrt(0.4) * rng.standard_normal(genes)
    real = np.arange(genes) < genes // 10
    p = 2 * scipy_stats.norm.sf(np.abs(z + 4 * real))
    found = {}
    q = {"Benjamini-Hochberg": stats.benjamini_hochberg(p), "Storey": eqtl_gene.storey_q(p)}
    for name, values in q.items():
        called = values <= 0.05
        false = float((called & ~real).sum() / max(called.sum(), 1))
        # q promises at most 5 %; Benjamini-Hochberg gives the share of true nulls of that.
        promised = 0.05 * (0.9 if name == "Benjamini-Hochberg" else 1)
        found[f"false discoveries at q 0.05, {name}"] = Outcome(None, false - promised)
    return found


def _smooth(rng, size: int, reach: int) -> np.ndarray:
    return np.convolve(rng.standard_normal(size + reach - 1), np.ones(reach), "valid")


def _ranks(rng, reach: int, variants: int = 1000) -> Outcomes:
    """Effects and p of variants 2 kb apart that have nothing in common, alike over `reach`."""
    effect, z = (_smooth(rng, variants, reach) / np.sqrt(reach) for _ in range(2))
    p = 2 * scipy_stats.norm.sf(np.abs(z))
    frame = pd.DataFrame({"run_id": "m", "effect": effect, "p": p})
    frame["distance"] = 2_000 * np.arange(variants)
    row = top_overlap.rank_agreement(frame).iloc[0]
    log10p = -np.log10(p)
    seed = int(rng.integers(1 << 30))
    shuffled = top_overlap.shuffled_p(np.abs(effect), log10p, 50, 199, seed)
    own = top_overlap.shared(np.abs(effect), log10p, [50])[0]
    turned = top_overlap.rotated(np.abs(effect), log10p, [50])[:, 0]
    rotated = (1 + (turned >= own).sum()) / (1 + len(turned))
    return {
        "agreement of two rankings of variants, ρ": _interval(
            row["rho"], (row["ci_low"], row["ci_high"]), 0.0
        ),
        "overlap of two lists, effects shuffled, at 0.05": _test(shuffled, 0.05),
        "overlap of two lists, effects turned, at 0.05": _test(rotated, 0.05),
    }


# --- all -------------------------------------------------------------------------------------


def _people() -> Iterator[Trial]:
    for r, people in ((0.0, 10), (0.2, 50), (0.2, 421), (0.5, 10), (0.95, 10), (0.95, 421)):
        yield Trial(f"r {r:g}, {people} people", partial(_fisher, r=r, people=people), 6_000)
    odd = {"rare": "an allele of 1 % as prediction", "skewed": "expression skewed (log-normal)"}
    for kind, words in odd.items():
        for r in (0.0, 0.2, 0.5):
            once = partial(_fisher, r=r, people=421, kind=kind)
            yield Trial(f"r {r:g}, 421 people, {words}", once, 6_000)
    for people, copies, kind in ((10, 0, "normal"), (421, 4, "normal"), (421, 4, "skewed")):
        words = f"{copies} carriers of a rare allele among " if copies else ""
        once = partial(_t_test, people=people, copies=copies, kind=kind)
        yield Trial(f"r 0, {words}{people} people, {kind} expression", once, 20_000)
    for people in (20, 421):
        yield Trial(f"{people} people", partial(_power, people=people), 6_000)
    for name, words in {
        "random": "prediction: random weights on the gene's variants",
        "common": "prediction: its commonest variant",
        "rarest": "prediction: its rarest variant",
    }.items():
        yield Trial(f"r 0, {words}", partial(_own_null, prediction=name), 2_000)
    for h2, people, variants in (
        *((0.0, 100, 100), (0.0, 300, 100), (0.05, 300, 100), (0.2, 300, 100)),
        *((0.2, 300, 400), (0.5, 100, 100), (0.95, 300, 100)),
    ):
        once = partial(_reml, h2=h2, people=people, variants=variants)
        yield Trial(f"h² {h2:g}, {people} people, {variants} variants", once, 1_500)
    once = partial(_reml, h2=0.2, people=300, variants=100, sparse=True)
    yield Trial("h² 0.2 by one variant, 300 people, 100 variants", once, 1_500)
    once = partial(_reml, h2=0.2, people=300, variants=100, low=0.003)
    yield Trial("h² 0.2, 300 people, 100 variants down to 0.3 %", once, 1_500)
    for r in (0.0, 0.15, 0.4):
        once = partial(_lead, r=r, people=300)
        yield Trial(f"r {r:g} of one causal variant of 100, 300 people", once, 1_500)
    for people, kind, low in ((50, "normal", 0.05), (300, "normal", 0.05), (300, "skewed", 0.005)):
        words = ", variants down to 0.5 %" if low < 0.05 else ""
        once = partial(_eqtl, people=people, kind=kind, low=low)
        yield Trial(f"no eQTL, {people} people, {kind} expression{words}", once, 1_500)


def _over_genes() -> Iterator[Trial]:
    for count in (6, 8, 12, 22):
        once = partial(_mean, count=count, shared=0.2)
        yield Trial(f"200 genes in {count} blocks, a fifth of their variance shared", once, 2_000)
    for count in (8, 22):
        once = partial(_mean, count=count, shared=0.0)
        yield Trial(f"200 independent genes in {count} blocks", once, 2_000)
        yield Trial(f"200 genes, {count} blocks", partial(_median, count=count), 1_000)
        for r in (0.5, 0.95):
            once = partial(_across_genes, count=count, r=r)
            yield Trial(f"r {r:g}, 200 genes, {count} blocks", once, 1_000)
        yield Trial(
            f"difference −0.1, 200 genes, {count} blocks", partial(_pair, count=count), 1_000
        )
        yield Trial(f"240 genes, {count} blocks", partial(_trend, count=count), 1_000)
        once = partial(_stacked, count=count)
        yield Trial(f"r 0.3, 40 genes of 60 people, {count} blocks", once, 300)
    for shared in (0.05, 0.2):
        words = f"{100 * shared:g} % of each gene's prediction and expression shared by all genes"
        once = partial(_mean_of_people, shared=shared)
        yield Trial(f"r 0, 200 genes, 300 people, {words}", once, 400)
    for true_sd, people in ((0.0, 421), (0.05, 421), (0.1, 421), (0.1, 50)):
        once = partial(_spread, true_sd=true_sd, people=people)
        yield Trial(f"SD {true_sd:g}, 200 genes, {people} people", once, 300)
    for se in (0.02, 0.08):
        yield Trial(f"h² 0 to 0.25, standard error {se:g}", partial(_ceiling, se=se), 100)
    for share, clusters, size, alike in (
        *((0.5, 20, 1, 0.0), (0.76, 107, 1, 0.0), (0.97, 107, 1, 0.0)),
        *((0.6, 12, 10, 0.3), (0.6, 100, 10, 0.3), (0.03, 100, 10, 0.3)),
    ):
        words = f" of {size} variants, alike by {alike:g}" if size > 1 else ""
        once = partial(_share, share=share, clusters=clusters, size=size, alike=alike)
        yield Trial(f"share {share:g}, {clusters} genes{words}", once, 400)
    for alike in (0.001, 0.1):
        words = f"5 % of 240 genes × 20 draws, alike within a gene by {alike:g}"
        yield Trial(words, partial(_false_positives, alike=alike), 300)
    for apart, pairs in ((0.0, 30), (1.2, 30), (1.2, 100), (3.0, 100)):
        area = scipy_stats.norm.cdf(apart / np.sqrt(2))
        once = partial(_auroc, apart=apart, pairs=pairs)
        yield Trial(f"area {area:.2f}, {pairs} pairs", once, 1_000)
    for split in ("people", "genes"):
        words = f"features that say nothing, {split} held out"
        yield Trial(words, partial(_unlearnable, split=split), 40)
    for blocks in (8, 300):
        words = "independent genes" if blocks == 300 else f"genes correlated in {blocks} blocks"
        yield Trial(f"300 {words}, a tenth real", partial(_discoveries, blocks=blocks), 1_000)
    for reach in (1, 40):
        words = f", alike over {2 * reach} kb" if reach > 1 else ", independent"
        yield Trial(
            f"nothing in common, variants over 2 Mb{words}", partial(_ranks, reach=reach), 40
        )


def trials() -> list[Trial]:
    """All trials, in the order of the table."""
    return [*_people(), *_over_genes()]


_ONE = "r of single genes: scatters, table `across`"
_MEANS = "mean r over genes: the start page, the central figure, every page of correlations"
_NULLS = "'Beyond chance'"
_EQTL = "'Variant effects against eQTLs'"
_SHARES = "shares of right signs; flips"
_RANKING = "'The APOE locus'"
#: Where the book shows what an estimator gives.
SHOWN = {
    "r, Fisher's interval": _ONE,
    "Spearman's ρ, without an interval": _ONE,
    "t test of r, at 0.05": _NULLS,
    "t test of r, at 0.001": _NULLS,
    "smallest detectable r, its power": "'Correlation across people'",
    "own null, at 0.05": _NULLS,
    "null by moments, as published, at 0.05": _NULLS,
    "null by moments, standard error, at 0.05": _NULLS,
    "null by moments, half normal, at 0.05": _NULLS,
    "null by moments, simulated tail, at 0.05": _NULLS,
    "h², REML ± 1.96 standard errors": "'Heritability as the ceiling'",
    "h² above 0, likelihood ratio, at 0.05": "which genes FUSION's rule gives weights",
    "|r| of the lead variant in the people it was found in": "'Lead eQTLs', " + _EQTL,
    "r of the lead SNP, out of fold": "the lead SNP beside every network",
    **{
        f"p of the gene's lead variant, {name}, at {level}": _EQTL
        for name in ("permutations", "beta approximation")
        for level in ("0.05", "0.01")
    },
    "mean of r over genes": _MEANS,
    "median of r over genes": _MEANS,
    "r across genes": "'Reference correlation', look-ups",
    "Spearman's ρ across genes": "'Reference correlation', 'All studies on one scale'",
    "paired difference of two models": "'Network against linear model'",
    "r of two models' r over genes": "'Network against linear model'",
    "mean of r in a bin of distance": "'Distance to the TSS'",
    "trend with distance, Spearman's ρ": "'Distance to the TSS'",
    "stacking, r over pairs": "'Polygenic scores and stacking'",
    "stacking, r of people": "'Polygenic scores and stacking'",
    "SD of true r between genes": "'Correlation across people'",
    "ceiling, mean √h²": "'Heritability as the ceiling', 'All studies on one scale'",
    "share of the ceiling that a model reaches": "'Heritability as the ceiling'",
    "√ of mean h², without an interval": "'Heritability as the ceiling'",
    "share, exact binomial": "'Populations', where no gene or every gene changes its sign",
    "share, Wilson": "'Causal variants'",
    "share, exact for genes as drawn": _EQTL,
    "share, bootstrap over genes": _SHARES,
    "false-positive rate of a rule": "'Against the known truth'",
    "area under the ROC curve": "'Causal variants'",
    "false discoveries at q 0.05, Benjamini-Hochberg": _NULLS,
    "false discoveries at q 0.05, Storey": _EQTL,
    "agreement of two rankings of variants, ρ": _RANKING,
    "overlap of two lists, effects shuffled, at 0.05": _RANKING,
    "overlap of two lists, effects turned, at 0.05": _RANKING,
}
