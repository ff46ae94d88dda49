"""Table `features`: what is known of each gene without a model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.cohort.panel import Panel
from howfar.core import sealed
from howfar.core.project import resolve
from howfar.eqtl import network_agreement
from howfar.eqtl.lead import lead_eqtl
from howfar.evaluation import drivers, tissues
from howfar.evaluation.inputs import Inputs, Table
from howfar.evaluation.lead_snp import near
from howfar.linear import baseline
from howfar.results import tables
from howfar.study.schema import Study


def make(inputs: Inputs) -> Table:
    """Table `features`: of expression, of the lead eQTL or the eQTL map, and known heritability."""
    options, name = inputs.options, inputs.study.name
    own = features_table(inputs.panel, name, options.min_maf, options.cis_window)
    parts, mapped = [own, known_heritability(inputs.study)], inputs.eqtl_map
    parts.append(estimated_heritability(inputs))
    if mapped is not None:
        parts[0] = own[~own["feature"].isin(network_agreement.FEATURES)]
        parts.append(network_agreement.features(mapped.lead, mapped.conditional, name))
    parts += [drivers.approximations(inputs), tissues.features(inputs)]
    return Table("features", tables.stack("features", parts, f"study {name}"))


def known_heritability(study: Study) -> pd.DataFrame:
    """Rows of `features`: h2 of a simulated study, additive and broad-sense; empty for others.

    Additive: of the projection of the true value on the dosages of the gene's variants.
    """
    path = resolve(study.cohort.reference).parent / "truth_genes.csv" if study.simulate else None
    if path is None or not path.is_file():
        return tables.empty("features")
    truth = pd.read_csv(path).rename(
        columns={
            "h2_additive": "Known additive h² of the simulation",
            "h2_broad": "Known broad-sense H² of the simulation",
        }
    )
    sources = list(truth.columns[truth.columns.str.startswith("Known ")])
    return truth.melt("gene_id", sources, "source", "value").assign(feature="h2")


def estimated_heritability(inputs: Inputs) -> pd.DataFrame:
    """Rows of `features`: h2 of each gene by the REML of BLUP's fit on everybody; empty without."""
    if "blup" not in {each.predictions.run_id for each in inputs.linear}:
        return tables.empty("features")
    path = baseline.folder_of(inputs.results, inputs.study.name) / "blup.genes.parquet"
    fits = sealed.read_parquet(path, columns=["gene_id", "h2", "h2_se"]).dropna(subset=["h2"])
    rows = fits.rename(columns={"h2": "value", "h2_se": "se"})
    return rows.assign(feature="h2", source="REML, estimated here")


def features_table(
    panel: Panel, source: str, min_maf: float = 0.05, window: int | None = None
) -> pd.DataFrame:
    """Table `features`: median and coefficient of variation of expression, and the lead cis-eQTL.

    The coefficient of variation is SD / mean on the linear scale: logarithms are raised back to
    `panel.log_base`. Lead eQTL: populations as covariates; variants of `panel.dosages` within
    window // 2 bp of the TSS (all, if None). source: the study's name.
    """
    values = panel.expression
    rows = [
        _feature(values.index, "median_expression", values.median(axis=1)),
        _feature(values.index, "cv_expression", _variation(panel)),
    ]
    if panel.dosages is not None:
        rows.append(_lead_features(panel, min_maf, window))
    table = pd.concat(rows, ignore_index=True).assign(source=source)
    return tables.validate("features", table, "evaluation")


def values_of(features: pd.DataFrame, feature: str) -> pd.DataFrame:
    """gene_id, value and source of one feature, from the source with most genes."""
    table = features[features["feature"] == feature].dropna(subset=["value"])
    source = table["source"].value_counts().index[:1]
    return table.loc[table["source"].isin(source), ["gene_id", "value", "source"]]


def _variation(panel: Panel) -> pd.Series:
    """SD / mean of each gene on the linear scale; missing where the mean is not above 0."""
    values = panel.expression
    # The ratio has no units: dividing by a gene's largest value first keeps powers in range.
    if panel.log_scale:
        linear = panel.log_base ** values.sub(values.max(axis=1), axis=0)
    else:
        largest = values.abs().max(axis=1)
        linear = values.div(largest.where(largest > 0, 1.0), axis=0)
    mean = linear.mean(axis=1)
    return linear.std(axis=1) / mean.where(mean > 0)


def _feature(genes, name: str, value) -> pd.DataFrame:
    return pd.DataFrame({"gene_id": genes, "feature": name, "value": np.asarray(value, float)})


def _lead_features(panel: Panel, min_maf: float, window: int | None) -> pd.DataFrame:
    tss = panel.genes.set_index("gene_id")["tss"]
    covariates, found = panel.covariates(), []
    for gene in panel.expression.index:
        dosages, variants = panel.dosages(gene)
        dosages, variants = near(dosages, variants, int(tss[gene]), window)
        lead = lead_eqtl(
            dosages,
            variants,
            int(tss[gene]),
            panel.expression.loc[gene].to_numpy(float),
            min_maf,
            covariates,
        )
        if lead is None:
            continue
        values = (lead.distance, lead.log10p, lead.r, lead.maf)
        names = ("distance", "log10p", "r", "maf")
        found += [(gene, f"lead_eqtl_{n}", float(v)) for n, v in zip(names, values, strict=True)]
    return pd.DataFrame(found, columns=["gene_id", "feature", "value"])
