"""The eQTL map of real people, study `ceu89`: against tensorQTL and statsmodels.

``oracles/tensorqtl_ceu89.csv`` was made once by the script beside it (float32).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from helpers.places import TESTS
from helpers.published_studies import fetch_mirrored, needs_mirror
from howfar.cohort.opened import OpenCohort
from howfar.eqtl.covariates import covariate_table
from howfar.eqtl.external import read_external
from howfar.eqtl.study_map import map_gene
from howfar.study.reading import load_study

pytestmark = needs_mirror
SLFN5 = "ENSG00000166750"


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """(panel, covariates, lead rows) of every third gene and SLFN5, 100 permutations."""
    results = tmp_path_factory.mktemp("results")
    fetch_mirrored(["ceu89"], results)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOWFAR_RESULTS", str(results))
        study = load_study("ceu89")
        panel = OpenCohort(study).panel()
        covariates = covariate_table(panel, study.eqtl, study.cohort.sample_map)
        options = study.eqtl.model_copy(update={"permutations": 100})
        genes = list(panel.genes.itertuples(index=False))
        chosen = [gene for i, gene in enumerate(genes) if i % 3 == 0 or gene.gene_id == SLFN5]
        leads = [map_gene(panel, gene, covariates, 0.05, options).lead for gene in chosen]
    return panel, covariates, pd.DataFrame(leads).set_index("gene_id")


def test_leads_are_tensorqtls(mapped):
    panel, _, leads = mapped
    theirs = pd.read_csv(TESTS / "oracles" / "tensorqtl_ceu89.csv").set_index("phenotype_id")
    assert panel.expression.shape == (80, 89) and set(panel.expression.index) == set(theirs.index)
    theirs = theirs.loc[leads.index]
    assert (leads["tried"] == theirs["variants"]).all()
    np.testing.assert_allclose(leads["p"], theirs["pval_nominal"], rtol=1e-4)
    same = (leads["variant"] == theirs["variant_id"]).to_numpy()  # others tie, in full linkage
    assert same.mean() > 0.7
    np.testing.assert_allclose(leads["slope"][same], theirs["slope"][same], rtol=1e-3)
    np.testing.assert_allclose(leads["slope_se"][same], theirs["slope_se"][same], rtol=1e-3)


def test_the_best_lead_is_statsmodels(mapped):
    panel, covariates, leads = mapped
    row = leads.loc[leads["log10p"].idxmax()]
    assert row.name == SLFN5
    dosages, variants = panel.dosages(SLFN5)
    column = list(map(str, variants)).index(row["variant"])
    x = sm.add_constant(np.column_stack([dosages[:, column], covariates]))
    fit = sm.OLS(panel.expression.loc[SLFN5].to_numpy(), x).fit()
    assert (row["slope"], row["slope_se"]) == pytest.approx((fit.params[1], fit.bse[1]), rel=1e-6)
    assert row["log10p"] == pytest.approx(-np.log10(fit.pvalues[1]), rel=1e-6)


def test_published_leads_serve_as_slopes(mapped, tmp_path):
    _, _, leads = mapped
    fetch_mirrored(["ceu89"], tmp_path)
    path = tmp_path / "sources" / "ceu89" / "GEUVADIS_test_ge.permuted.tsv.gz"
    external = read_external(path, list(leads.index))
    found, _ = external.slopes(leads["variant"].reset_index())
    assert len(external.pairs) == len(leads) and len(found) > len(leads) / 2
    beside = found.set_index("gene_id")["slope"]
    own = leads.loc[beside.index, "slope"]
    assert (np.sign(beside) == np.sign(own)).all() and np.corrcoef(beside, own)[0, 1] > 0.98
