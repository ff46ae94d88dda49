"""What can be checked only where the truth is known: a simulated cohort's predictions and rules.

Everything here reads the truth that `howfar simulate` writes beside the cohort's files, and the
study's result tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from howfar import stats
from howfar.cohort.expression import read_expression
from howfar.cohort.panel import Panel
from howfar.core.errors import HowfarError
from howfar.core.project import resolve
from howfar.evaluation.inputs import LEAD_SNP, TRUTH
from howfar.stats import null
from howfar.stats.blocks import blocks_of
from howfar.study.schema import Study

#: p at or below which a rule calls one gene significant.
LEVEL = 0.05
#: Sets of table `summary`: shares of wrong signs (method: run, group: class of variant), of
#: genes called although expression ignores the genome (method: run, group: rule), and estimates
#: (method: quantity) with the values known from the simulation.
SIGN_ERRORS, FALSE_POSITIVES = "sign_errors", "false_positives"
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
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    kept = s > 1e-9 * max(float(s.max(initial=0)), 1.0)
    u, s, vt = u[:, kept], s[kept], vt[kept]
    effects = vt.T @ ((u.T @ (prediction - prediction.mean())) / s)
    return effects, (vt**2).sum(axis=0) > 1 - _IDENTIFIED


def signs(study: Study, people: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Every causal variant with its true effect and the effect each run gives it.

    people: table `individuals`.
    Columns run_id, gene_id, variant, class ('promoter', 'enhancer'), alt_frequency, true, given.
    Variants whose effect the people do not determine are left out. true: on log expression of cell
    type A, per alternate allele.
    """
    people = people[~people["run_id"].isin([TRUTH, LEAD_SNP])]
    truth = pd.read_csv(truth_folder(study) / "truth_variants.csv").set_index("gene_id")
    parts = []
    for (run, gene), rows in people.groupby(["run_id", "gene_id"], sort=False):
        predicted = rows.set_index("sample")["predicted"].reindex(panel.expression.columns)
        dosages, variants = panel.dosages(gene)
        if predicted.isna().any() or not len(variants):
            continue
        given, determined = variant_effects(predicted.to_numpy(float), dosages.astype(float))
        frame = pd.DataFrame({"variant": [str(v) for v in variants], "given": given})
        known = truth.loc[[gene]] if gene in truth.index else truth.iloc[:0]
        frame = frame[determined].merge(known[known["causal"]], on="variant")
        parts.append(frame.assign(run_id=run, gene_id=gene))
    found = pd.concat(parts, ignore_index=True).rename(columns={"effect_a": "true"})
    columns = ["run_id", "gene_id", "variant", "class", "alt_frequency", "true", "given"]
    return found[columns]


def sign_errors(effects: pd.DataFrame, genes: pd.DataFrame, draws: int = 1000) -> pd.DataFrame:
    """Share of causal variants with the wrong sign, per run and class, with its interval.

    effects: as `signs` gives them; a variant with no effect at all (exactly 0) counts as wrong.
    genes: table `genes`, for the blocks of the bootstrap. Columns run_id, class ('all', ...), n,
    share_wrong, ci_low, ci_high.
    """
    wrong = np.sign(effects["true"]) != np.sign(effects["given"])
    effects = effects.assign(wrong=wrong.astype(float))
    rows = []
    for run, mine in effects.groupby("run_id", sort=True):
        for name in ["all", *sorted(mine["class"].unique())]:
            part = mine if name == "all" else mine[mine["class"] == name]
            blocks, _ = blocks_of(genes, part["gene_id"])
            low, high = stats.block_bootstrap(part["wrong"], blocks, np.mean, draws)
            rows.append((run, name, len(part), part["wrong"].mean(), low, high))
    return pd.DataFrame(rows, columns=["run_id", "class", "n", "share_wrong", "ci_low", "ci_high"])


# --- false positives --------------------------------------------------------------------------


def null_p_values(
    study: Study, people: pd.DataFrame, run: str, panel: Panel, draws: int = 1000
) -> pd.DataFrame:
    """p of each rule for a run against expression that is independent of genotype.

    people: table `individuals`.
    Columns gene_id, rule, p. Rules: the t test of r against 0, the two rules with the moments of
    50 draws, and the calibrated one with all `draws`.
    """
    values = read_expression(truth_folder(study) / "expression_null.bed.gz").values
    values = values[panel.expression.columns]
    people = people[people["run_id"] == run]
    parts = []
    for gene, rows in people.groupby("gene_id", sort=False):
        x = rows.set_index("sample")["predicted"].reindex(values.columns).to_numpy(float)
        y = values.loc[gene].to_numpy(float)
        dosages, _ = panel.dosages(gene)
        p = _rules(x, y, dosages, draws)
        parts.append(pd.DataFrame({"gene_id": gene, "rule": list(p), "p": list(p.values())}))
    return pd.concat(parts, ignore_index=True)


def _rules(x: np.ndarray, y: np.ndarray, dosages: np.ndarray, draws: int) -> dict[str, float]:
    r, n = stats.pearson_rows(x, y)
    r_k = null.gene_null(dosages, y, draws)
    first = r_k[: null.PUBLISHED_DRAWS]
    moments = float(first.mean()), float(first.std())
    return {
        "t_test": float(stats.correlation_p(r, n - 2)[0]),
        "as_published": float(null.as_published(r[0], *moments)),
        "standard_error": float(null.standard_error(r[0], *moments)),
        "calibrated": null.calibrated(float(r[0]), r_k),
    }


def false_positive_rates(p_values: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Share of genes with p <= `level` under each rule, with its exact binomial interval.

    p_values: as `null_p_values` gives them. Expression of different genes is independent in that
    file, so a binomial interval (Clopper and Pearson 1934) is right. Columns rule, n, rate,
    ci_low, ci_high.
    """
    rows = []
    for rule, part in p_values.dropna(subset=["p"]).groupby("rule", sort=False):
        hits, n = int((part["p"] <= level).sum()), len(part)
        ends = scipy_stats.binomtest(hits, n).proportion_ci(0.95, method="exact")
        rows.append((rule, n, hits / n, ends.low, ends.high))
    return pd.DataFrame(rows, columns=["rule", "n", "rate", "ci_low", "ci_high"])


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
    study: Study, panel: Panel, people: pd.DataFrame, across: pd.DataFrame, networks: Sequence[str]
) -> pd.DataFrame:
    """Rows of table `summary` that need the truth; none where the simulation wrote none.

    people, across: the tables `individuals` and `across`; networks: runs whose false positives
    are counted.
    """
    folder = resolve(study.cohort.reference).parent
    if not study.simulate or not (folder / "truth_variants.csv").is_file():
        return pd.DataFrame()
    wrong = sign_errors(signs(study, people, panel), panel.genes)
    wrong = wrong.rename(columns={"run_id": "method", "class": "group", "share_wrong": "value"})
    parts = [wrong.assign(set=SIGN_ERRORS, units="share of causal variants")]
    for run in networks:
        rates = false_positive_rates(null_p_values(study, people, run, panel))
        rates = rates.rename(columns={"rule": "group", "rate": "value"})
        units = f"share of genes with p <= {LEVEL}"
        parts.append(rates.assign(set=FALSE_POSITIVES, method=run, units=units))
    found = recovered(study, across, panel.genes).rename(columns={"quantity": "method"})
    found = found.assign(
        x=np.arange(len(found)), group="all people", units="r, or a share of genes"
    )
    estimated = found.drop(columns="known").rename(columns={"estimate": "value"})
    known = found[["method", "n", "x", "group", "units"]].assign(value=found["known"])
    parts += [estimated.assign(set=RECOVERED), known.assign(set=KNOWN)]
    return pd.concat(parts, ignore_index=True)
