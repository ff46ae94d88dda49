"""What can be checked only where the truth is known: a simulated cohort's predictions and rules.

Everything here reads the truth that `howfar simulate` writes beside the cohort's files, and the
study's result tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from howfar import stats
from howfar.cohort.panel import Panel
from howfar.core.errors import HowfarError
from howfar.core.project import resolve
from howfar.evaluation.inputs import LEAD_SNP, TRUTH
from howfar.stats import null
from howfar.stats.blocks import blocks_of
from howfar.stats.svd import thin_svd
from howfar.study.schema import Study

#: p at or below which a rule calls one gene significant.
LEVELS = (0.05, 1e-3, 1e-4)
#: Sets of table `summary`: shares of right, wrong and no signs (`SIGNS` and one of `SHARES`;
#: method: run, group: class of variant), of genes called although expression ignores the genome
#: (method: run, group: rule, x: level), and estimates (method: quantity) with the values known
#: from the simulation.
SIGNS, FALSE_POSITIVES = "signs.", "false_positives"
RECOVERED, KNOWN = "recovered", "recovered.known"
#: How far from 1 the identifiability of a variant's effect may be (rounding).
_IDENTIFIED = 1e-6


def truth_folder(study: Study) -> Path:
    """Where the simulation wrote a study's truth; HowfarError for a study without one."""
    folder = resolve(study.cohort.reference).parent if study.simulate else None
    if folder is None or not (folder / "truth_variants.csv").is_file():
        raise HowfarError(
            f"study {study.name}",
            found="no known truth",
            expected="a simulated study, after its simulation",
            do=f"Run `howfar simulate --study {study.name}`, or leave this out.",
        )
    return folder


# --- sign errors ------------------------------------------------------------------------------


def variant_effects(prediction: np.ndarray, dosages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effect of each variant on a prediction, all variants together (least squares).

    prediction: (people,); dosages: (people, variants), no missing values. A prediction carries no
    noise, so its effects can be read off people; where variants are always inherited together the
    split between them is arbitrary. Returns effects (variants,) per alternate allele, and which of
    them are determined.
    """
    x = dosages - dosages.mean(axis=0)
    u, s, vt = thin_svd(x)
    kept = s > 1e-9 * max(float(s.max(initial=0)), 1.0)
    u, s, vt = u[:, kept], s[kept], vt[kept]
    effects = vt.T @ ((u.T @ (prediction - prediction.mean())) / s)
    return effects, (vt**2).sum(axis=0) > 1 - _IDENTIFIED


def signs(
    study: Study,
    people: pd.DataFrame,
    panel: Panel,
    weights: Mapping[str, pd.DataFrame],
    min_maf: float,
    context: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Common causal variants with their true effect and the effect each run gives them.

    people: table `individuals`. weights: table of weights by run_id, of the linear runs. min_maf:
    rarer variants are left out, as no linear model sees them. context: bp of each network's window.
    A linear model's effect is its weight, 0 where it has none: its predictions of people are by
    several fits, so effects can't be read off them. A network's is read off its predictions, and
    is 0 beyond its context, which it does not see; variants whose effect the people do not
    determine are left out. Every run has the same variants; runs on fewer than half of the genes
    have none.
    Columns run_id, gene_id, variant, class ('promoter', 'enhancer', in the hard setting also
    'distal'), alt_frequency, true, given.
    true: on log expression of cell type A, per alternate allele.
    """
    people = people[~people["run_id"].isin([TRUTH, LEAD_SNP])]
    truth = pd.read_csv(truth_folder(study) / "truth_variants.csv")
    truth = truth[truth["causal"] & truth["alt_frequency"].between(min_maf, 1 - min_maf)]
    truth = truth.rename(columns={"effect_a": "true"})
    parts = {}
    for run, rows in people.groupby("run_id", sort=False):
        if run in weights:
            given = weights[run].rename(columns={"weight": "given"})
            found = truth[truth["gene_id"].isin(rows["gene_id"].unique())]
            found = found.merge(given[["gene_id", "variant", "given"]], "left").fillna({"given": 0})
        else:
            found = truth.merge(_read_off(rows, panel, (context or {}).get(run)))
        parts[run] = found.assign(run_id=run)
    columns = ["run_id", "gene_id", "variant", "class", "alt_frequency", "true", "given"]
    if not parts:
        return pd.DataFrame(columns=columns)
    most = max(part["gene_id"].nunique() for part in parts.values())
    parts = {run: part for run, part in parts.items() if 2 * part["gene_id"].nunique() >= most}
    found = pd.concat(parts.values(), ignore_index=True)
    runs = found.groupby(["gene_id", "variant"])["run_id"].transform("size")
    return found.loc[runs == len(parts), columns].reset_index(drop=True)


def _read_off(rows: pd.DataFrame, panel: Panel, context: int | None) -> pd.DataFrame:
    """Effects that one run's predictions of people determine: gene_id, variant, given."""
    tss = panel.genes.set_index("gene_id")["tss"]
    parts = [pd.DataFrame({"gene_id": [], "variant": [], "given": []}, dtype=object)]
    for gene, mine in rows.groupby("gene_id", sort=False):
        predicted = mine.set_index("sample")["predicted"].reindex(panel.expression.columns)
        dosages, variants = panel.dosages(gene)
        if predicted.isna().any() or not len(variants):
            continue
        away = np.abs(np.array([v.pos for v in variants]) - tss[gene])
        seen = away <= (np.inf if context is None else context // 2)
        given, determined = np.zeros(len(seen)), ~seen
        # Variants further away would take up what linkage lets them of the effects within.
        given[seen], determined[seen] = variant_effects(
            predicted.to_numpy(float), dosages[:, seen].astype(float)
        )
        frame = pd.DataFrame({"variant": [str(v) for v in variants], "given": given})
        parts.append(frame[determined].assign(gene_id=gene))
    return pd.concat(parts, ignore_index=True).astype({"given": float})


#: Shares of causal variants, by the sign that a run gives them.
SHARES = ("right", "wrong", "none", "wrong_of_given")
#: Group of `sign_shares` in which a variant counts as much as it explains, 2 p q a^2.
BY_VARIANCE = "weighted by variance"


def sign_shares(effects: pd.DataFrame, genes: pd.DataFrame, draws: int = 1000) -> pd.DataFrame:
    """Shares of causal variants by their sign, per run and class, with block-bootstrap intervals.

    effects: as `signs` gives them. genes: table `genes`, for the blocks of the bootstrap.
    Columns run_id, class ('all', those of `signs`, `BY_VARIANCE`), share, n, value, ci_low,
    ci_high. Shares 'right', 'wrong' and 'none' (no effect at all) add up to 1;
    'wrong_of_given' is wrong / (right + wrong).
    """
    rows = []
    for run, mine in effects.groupby("run_id", sort=True):
        for name in ["all", *sorted(mine["class"].unique()), BY_VARIANCE]:
            part = mine if name in ("all", BY_VARIANCE) else mine[mine["class"] == name]
            sign = np.sign(part["true"] * part["given"]).to_numpy()
            p, a = part["alt_frequency"], part["true"]
            size = (
                (2 * p * (1 - p) * a**2).to_numpy() if name == BY_VARIANCE else np.ones(len(part))
            )
            outcomes = {"right": sign > 0, "wrong": sign < 0, "none": sign == 0}
            blocks, _ = blocks_of(genes, part["gene_id"])
            for share in SHARES:
                hits = outcomes["wrong" if share == "wrong_of_given" else share]
                of = sign != 0 if share == "wrong_of_given" else np.ones(len(part), bool)
                values = np.column_stack([hits * size, of * size])
                ends = stats.block_bootstrap(values, blocks, _ratio, draws, weighted=True)
                value = _ratio(values, np.ones((1, len(values))))[0]
                rows.append((run, name, share, int(of.sum()), value, *ends))
    columns = ["run_id", "class", "share", "n", "value", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


def _ratio(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    top, bottom = (weights @ values).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return top / bottom


# --- false positives --------------------------------------------------------------------------


def null_p_values(
    people: pd.DataFrame, run: str, panel: Panel, draws: int = 10_000, repeats: int = 20
) -> pd.DataFrame:
    """p of each rule for a run against expression that is independent of genotype.

    people: table `individuals`. Expression is drawn `repeats` times for every gene.
    Columns gene_id, rule, p. Rules: the t test of r against 0, the two rules with the moments of
    50 draws, and the own null with all `draws`.
    """
    rng = np.random.default_rng(1)
    parts = []
    for gene, rows in people[people["run_id"] == run].groupby("gene_id", sort=False):
        x = rows.set_index("sample")["predicted"].reindex(panel.expression.columns).to_numpy(float)
        y = rng.standard_normal((repeats, len(x)))
        p = _rules(x, y, panel.dosages(gene)[0], draws)
        parts.append(pd.DataFrame(p).melt(var_name="rule", value_name="p").assign(gene_id=gene))
    return pd.concat(parts, ignore_index=True)[["gene_id", "rule", "p"]]


def _rules(x: np.ndarray, y: np.ndarray, dosages: np.ndarray, draws: int) -> dict[str, np.ndarray]:
    r, n = stats.pearson_rows(np.broadcast_to(x, y.shape), y)
    r_k = null.gene_null(dosages, y.T, draws)
    first = r_k[: null.PUBLISHED_DRAWS]
    moments = first.mean(axis=0), first.std(axis=0)
    return {
        "t_test": stats.correlation_p(r, n - 2),
        "as_published": null.as_published(r, *moments),
        "standard_error": null.standard_error(r, *moments),
        "own_null": np.array([null.own_null(a, b) for a, b in zip(r, r_k.T, strict=True)]),
    }


def false_positive_rates(p_values: pd.DataFrame, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """Share of p <= each level under each rule, with its 95 % interval, genes taken as drawn.

    p_values: as `null_p_values` gives them. A gene's draws of expression share its prediction and
    its genotypes, and so its own rate: the interval is that of `stats.clustered_share_interval`.
    Columns rule, level, n, rate, ci_low, ci_high.
    """
    rows = []
    for rule, part in p_values.dropna(subset=["p"]).groupby("rule", sort=False):
        for level in levels:
            called = (part["p"] <= level).groupby(part["gene_id"]).agg(["sum", "size"])
            hits, totals = called["sum"].to_numpy(), called["size"].to_numpy()
            ends = stats.clustered_share_interval(hits, totals)
            rows.append((rule, level, totals.sum(), hits.sum() / totals.sum(), *ends))
    return pd.DataFrame(rows, columns=["rule", "level", "n", "rate", "ci_low", "ci_high"])


# --- recovery ---------------------------------------------------------------------------------


def recovered(
    study: Study, across: pd.DataFrame, genes: pd.DataFrame, draws: int = 1000
) -> pd.DataFrame:
    """Estimates from the tables beside the values known from the simulation.

    The correlation of a gene's true genetic value with expression is sqrt(H2), H2 its broad-sense
    heritability; so the mean and the spread over genes of the true r are known. Columns quantity,
    n, known, estimate, ci_low, ci_high.
    """
    truth = pd.read_csv(truth_folder(study) / "truth_genes.csv").set_index("gene_id")
    rows = across[(across["run_id"] == TRUTH) & (across["population"] == "pooled")]
    rows = rows.dropna(subset=["pearson"])
    known = np.sqrt(truth["h2_broad"].reindex(rows["gene_id"])).to_numpy()
    blocks, _ = blocks_of(genes, rows["gene_id"])
    found = stats.spread(rows["pearson"], rows["n"], blocks, draws)
    ends = stats.block_bootstrap(rows["pearson"], blocks, np.mean, draws)
    held = int(((rows["ci_low"] <= known) & (known <= rows["ci_high"])).sum())
    hits = scipy_stats.binomtest(held, len(rows))
    share = hits.proportion_ci(0.95, method="exact")
    columns = ["quantity", "n", "known", "estimate", "ci_low", "ci_high"]
    lines = [
        ("mean r of the true genetic value", known.mean(), rows["pearson"].mean(), *ends),
        ("SD between genes of its true r", known.std(), found.true_sd, *found.true_sd_ci),
        (
            "share of 95 % intervals that hold the known r",
            0.95,
            held / len(rows),
            share.low,
            share.high,
        ),
    ]
    frame = pd.DataFrame(lines, columns=[c for c in columns if c != "n"])
    return frame.assign(n=len(rows))[columns]


# --- table summary ----------------------------------------------------------------------------


def summary_rows(
    study: Study,
    panel: Panel,
    people: pd.DataFrame,
    across: pd.DataFrame,
    networks: Sequence[str],
    weights: Mapping[str, pd.DataFrame],
    context: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Rows of table `summary` that need the truth; none where the simulation wrote none.

    people, across: the tables `individuals` and `across`; networks: runs whose false positives
    are counted; weights: of each linear run; context: bp of each network's window.
    """
    if not study.simulate:
        return pd.DataFrame()
    if not (resolve(study.cohort.reference).parent / "truth_variants.csv").is_file():
        return pd.DataFrame()
    effects = signs(study, people, panel, weights, study.evaluation.min_maf, context)
    shares = sign_shares(effects, panel.genes).rename(columns={"run_id": "method"})
    shares = (
        shares.rename(columns={"class": "group"})
        .drop(columns="share")
        .assign(set=SIGNS + shares["share"], units="share of common causal variants")
    )
    parts = [shares]
    for run in networks:
        rates = false_positive_rates(null_p_values(people, run, panel))
        rates = rates.rename(columns={"rule": "group", "rate": "value", "level": "x"})
        units = "share of genes, each with several draws of expression, with p <= x"
        parts.append(rates.assign(set=FALSE_POSITIVES, method=run, units=units))
    found = recovered(study, across, panel.genes).rename(columns={"quantity": "method"})
    found = found.assign(
        x=np.arange(len(found)), group="all people", units="r, or a share of genes"
    )
    estimated = found.drop(columns="known").rename(columns={"estimate": "value"})
    known = found[["method", "n", "x", "group", "units"]].assign(value=found["known"])
    parts += [estimated.assign(set=RECOVERED), known.assign(set=KNOWN)]
    return pd.concat(parts, ignore_index=True)
