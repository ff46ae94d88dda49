"""Effects on the haplotypes that carry an allele: by hand, and the other rule's if additive."""

import numpy as np
import pytest

from helpers.tiny import CONTEXT, CountLetters, make_study
from howfar.attribution.own_haplotypes import own_effects
from howfar.attribution.variant_effects import gene_effects
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.prediction.store import outputs_of


class Additive(CountLetters):
    value = np.random.default_rng(5).normal(size=(CONTEXT, 256))

    def predict(self, windows, bins, tracks):
        per_bin = self.value[np.arange(CONTEXT), windows].reshape(len(windows), -1, 8).sum(2)
        return np.repeat(per_bin[:, list(bins), None], len(tracks), axis=2).astype(np.float32)


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path)


def tables(study, model, **changes):
    cohort, run = OpenCohort(study), study.runs[0].model_copy(update=changes)
    outputs, gene = outputs_of(run, model), cohort.genes[0]
    own = own_effects(cohort, run, model, outputs, gene).set_index("variant")
    return own, gene_effects(cohort, run, model, outputs, gene).set_index("variant")


def test_both_rules_are_one_where_the_model_is_additive(study):
    own, alone = tables(study, Additive())
    np.testing.assert_allclose(own["own"], alone.loc[own.index, "effect"], atol=1e-5)
    assert (own["own_sd"] < 1e-5).all() and alone["effect"].abs().min() > 0


def test_an_alleles_effect_is_that_on_the_haplotypes_that_carry_it(study):
    """G or C among the bases around the TSS, log(1 + n): two chromosomes carry A95G alone, one
    carries A95G and A103C."""
    steps = ["sum_bins", "sum_tracks", "log1p", "mean_haplotypes"]
    own, alone = tables(study, CountLetters(), tracks=["G", "C"], transform=steps)
    both = np.log(3) - np.log(2)
    assert own.loc["1:103:A:C", "own"] == pytest.approx(both)
    assert alone.loc["1:103:A:C", "effect"] == pytest.approx(np.log(2))
    row = own.loc["1:95:A:G"]
    assert row["own"] == pytest.approx((2 * np.log(2) + both) / 3)
    assert (row["copies"], row["haplotypes"]) == (3, 2)
    assert row["own_sd"] == pytest.approx(np.std([np.log(2), np.log(2), both]))


def test_calls_without_phase_are_refused(study):
    cohort = study.cohort.model_copy(update={"unphased": "dosage"})
    with pytest.raises(HowfarError, match="phased calls"):
        tables(study.model_copy(update={"cohort": cohort}), CountLetters())
