"""Values of the eQTL estimators on small seeded genes don't change without a new version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from helpers import golden
from howfar import eqtl
from howfar.cohort.panel import Panel
from howfar.eqtl import gene, lead, network_agreement, study_map
from howfar.eqtl.covariates import covariate_table
from howfar.genome.intervals import Variant
from howfar.study.schema import Eqtl

PEOPLE = 50


def panel() -> Panel:
    """Four genes of eight variants, two of them with an eQTL, in two populations."""
    rng = np.random.default_rng(8)
    samples, names = [f"s{i}" for i in range(PEOPLE)], [f"g{i}" for i in range(4)]
    dosages, expression = {}, []
    for number, name in enumerate(names):
        x = rng.binomial(2, 0.35, (PEOPLE, 8)).astype(np.float32)
        sites = [Variant("1", 30_000 * (number + 1) + 2_100 * j, "A", "G") for j in range(8)]
        expression.append(rng.normal(size=PEOPLE) + (number < 2) * (x[:, 2] - 1.2 * x[:, 6]))
        x[3, 1] = np.nan
        dosages[name] = (x, sites)
    genes = {"gene_id": names, "name": names, "chrom": "1", "strand": "+"}
    table = pd.DataFrame(genes | {"tss": [30_000 * (i + 1) + 5_000 for i in range(4)]})
    groups = pd.Series(np.repeat(["A", "B"], PEOPLE // 2), samples)
    frame = pd.DataFrame(expression, names, samples)
    return Panel(frame, table, groups, lambda name: dosages[name])


def values() -> dict[str, object]:
    cohort, options = panel(), Eqtl(permutations=100, expression_pcs=1, genotype_pcs=1)
    covariates = covariate_table(cohort, options)
    found: dict[str, object] = {"covariates": np.abs(covariates.to_numpy()[:4])}
    rows, pairs = [], []
    for each in cohort.genes.itertuples(index=False):
        mapped = study_map.map_gene(cohort, each, covariates, 0.05, options)
        rows.append(mapped.lead)
        pairs.append(pd.DataFrame(mapped.nominal))
    table = study_map.with_q(pd.DataFrame(rows), 0.2)
    found["lead"] = table["variant"].to_numpy(str)
    numbers = ["r", "slope", "slope_se", "log10p", "p_permuted", "beta_df", "beta_a", "beta_b"]
    found["numbers"] = table[[*numbers, "log10p_beta", "q", "q_bh", "threshold"]].to_numpy(float)
    found["nominal"] = pd.concat(pairs)[["maf", "t", "p"]].to_numpy(float)[::5]
    x, sites = cohort.dosages("g0")
    y = cohort.expression.loc["g0"].to_numpy(float)
    one = gene.GeneData(lead.filled(x.astype(float)), y, np.arange(8.0))
    signals = gene.independent(one, 0.3, 60, 1)
    found["signals"] = [each.lead.index for each in signals]
    found["signals_log10p"] = [each.lead.log10p_beta for each in signals]
    best = lead.lead_eqtl(x, sites, 35_000, y)
    found["lead_eqtl"] = str(best.variant)
    found["lead_eqtl_numbers"] = [best.slope, best.se, best.r, best.p, best.log10p, best.maf]
    predicted, fold = lead.lead_snp_prediction(x, y)
    found["predicted"], found["fold"] = predicted[:5], fold[:9]
    found["storey"] = gene.storey_q(np.array([0.001, 0.2, np.nan, 0.9]))
    names = [str(site) for site in sites]
    effect = {"run_id": "n", "gene_id": "g0", "variant": names, "source": "s", "pip": np.nan}
    effects = pd.DataFrame(effect).assign(
        effect=y[:8], slope=np.nan, slope_se=np.nan, p=np.nan, maf=0.3, distance=np.arange(8.0)
    )
    effects = network_agreement.with_slopes(effects, pd.concat(pairs))
    for what in ("signs", "overlaps"):
        frame = getattr(network_agreement, what)(effects, cohort.genes)
        found[f"{what}_group"] = frame["group"].to_numpy(str)
        found[what] = frame["value"].to_numpy(float)
    only = network_agreement.lead_only(effects, table)
    found["lead_only"] = only[["value", "ci_low", "ci_high"]].to_numpy(float)
    return found


def test_values_change_only_with_the_version():
    golden.check(Path(__file__).with_name("golden.csv"), eqtl.VERSION, values())
