"""Agreement of networks with eQTLs: counted by hand, against chance, and in the study's tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.eqtl_effects import GENES, effects
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.eqtl import network_agreement
from howfar.eqtl.covariates import covariate_words
from howfar.eqtl.network_agreement import GROUPS, lead_only, with_slopes
from howfar.eqtl.study_map import map_study, path_of
from howfar.evaluation.inputs import eqtl_map_of
from howfar.results import tables
from howfar.study.schema import Eqtl


def test_signs_are_counted_in_each_group():
    table = effects(follow=0.3)
    table.loc[:2, "effect"] = [0.0, np.nan, 1.0]
    table.loc[3, "slope"] = np.nan
    rows = network_agreement.signs(table, GENES)
    tables.validate("summary", rows, "test")
    rows = rows.set_index("group")
    kept = table.drop(index=[0, 1, 3])
    same = (kept["effect"] > 0) == (kept["slope"] > 0)
    assert rows.loc["all", "n"] == len(kept) and rows.loc["all", "value"] == same.mean()
    z = (kept["slope"] / 0.1).abs()
    for group, chosen in {
        "|z|: below 2": z < 2,
        "|z|: 2 to 4": (z >= 2) & (z < 4),
        "|z|: from 8": z >= 8,
        "distance: below 500 bp": kept["distance"].abs() < 500,
        "distance: 2,000 to 10,000 bp": kept["distance"].abs().between(2000, 9999.9),
        "MAF: 0.1 to 0.2": kept["maf"].between(0.1, 0.1999999),
        "PIP: from 0.9": kept["pip"] >= 0.9,
    }.items():
        hits, n = int(same[chosen].sum()), int(chosen.sum())
        assert (rows.loc[group, "value"], rows.loc[group, "n"]) == (hits / n, n)
        low, high = stats.binomtest(hits, n).proportion_ci()  # exact; never narrower by gene
        assert rows.loc[group, "ci_low"] <= low + 1e-9 and rows.loc[group, "ci_high"] >= high - 1e-9
    for what in GROUPS:
        assert rows.loc[rows.index.str.startswith(what), "n"].sum() == len(kept)


def test_signs_at_random_are_at_one_half_and_signal_is_seen():
    rows = [network_agreement.signs(effects(seed), GENES).set_index("group") for seed in range(40)]
    ends = [row.loc["all", ["ci_low", "ci_high"]] for row in rows]
    low, high = np.transpose(ends).astype(float)
    assert 0.8 <= ((low < 0.5) & (high > 0.5)).mean() <= 1
    seen = network_agreement.signs(effects(follow=1.0), GENES).set_index("group")
    assert seen.loc["all", "ci_low"] > 0.6
    assert seen.loc["|z|: from 8", "value"] > seen.loc["|z|: below 2", "value"]


def test_flipping_the_effects_flips_the_share():
    table = effects(follow=0.5)
    flipped = table.assign(effect=-table["effect"])
    a, b = (network_agreement.signs(t, GENES).set_index("group")["value"] for t in (table, flipped))
    np.testing.assert_allclose(a + b, 1)


def test_overlap_is_counted_per_gene_and_chance_is_k_of_m():
    table = effects(follow=0.5)
    rows = network_agreement.overlaps(table, GENES)
    tables.validate("summary", rows, "test")
    rows = rows.set_index(["group", "x"])
    for k in (1, 3, 10):
        shared = [
            len(set(part.loc[part["effect"].abs().nlargest(k).index, "variant"])
                & set(part.loc[part["p"].nsmallest(k).index, "variant"])) / k
            for _, part in table.groupby("gene_id")
        ]  # fmt: skip
        assert rows.loc[("observed", k), "value"] == pytest.approx(np.mean(shared))
        assert rows.loc[("chance", k), "value"] == pytest.approx(k / 20, rel=0.1)
        assert rows.loc[("observed", k), "n"] == 12
    assert 20 not in rows.index.get_level_values("x")  # needs 40 variants
    assert rows.loc[("observed", 3), "value"] > rows.loc[("chance", 3), "ci_high"]


def test_overlap_without_signal_is_within_chance():
    inside = []
    for seed in range(30):
        rows = network_agreement.overlaps(effects(seed), GENES, (5,)).set_index("group")
        seen, chance = rows.loc["observed", "value"], rows.loc["chance"]
        inside.append(chance["ci_low"] <= seen <= chance["ci_high"])
    assert np.mean(inside) >= 0.8


def test_neighbours_that_are_alike_make_chance_wider():
    table = effects()
    rng = np.random.default_rng(2)
    blocks = np.repeat(rng.normal(0, 3, len(table) // 5), 5)
    alike = table.assign(slope=0.1 * blocks, effect=np.repeat(rng.normal(size=len(blocks) // 5), 5))
    plain, wide = (
        network_agreement.overlaps(t, GENES, (5,)).set_index("group") for t in (table, alike)
    )
    width = [t.loc["chance", "ci_high"] - t.loc["chance", "ci_low"] for t in (plain, wide)]
    assert width[1] > 1.3 * width[0]


def test_the_lead_alone_has_its_r_with_the_networks_sign():
    lead = pd.DataFrame({"gene_id": ["g0", "g1", "g2", "g3"], "r": [0.5, -0.4, 0.3, np.nan]})
    lead = lead.assign(variant=["1:1:A:G"] * 4, df=97)
    table = effects()[lambda t: t["variant"] == "1:1:A:G"].set_index("gene_id")
    table = table.assign(effect=1.0)
    table.loc["g0", "effect"] = -2.0
    table.loc["g2", "effect"] = 0.0
    rows = lead_only(table.reset_index(), lead)
    tables.validate("summary", rows, "test")
    assert dict(zip(rows["group"], rows["value"], strict=True)) == {"g0": -0.5, "g1": -0.4}
    half = np.tanh(np.arctanh(-0.5) + 1.959964 / np.sqrt(99 - 3))
    assert rows["ci_high"].iloc[0] == pytest.approx(half, rel=1e-5)


def test_without_slopes_there_is_nothing():
    table = effects().assign(slope=np.nan)
    assert (
        network_agreement.signs(table, GENES).empty
        and network_agreement.overlaps(table, GENES).empty
    )


def test_slopes_join_by_gene_and_variant():
    table = effects()
    pairs = table[["gene_id", "variant"]].assign(slope=3.0, slope_se=1.0, p=0.5).iloc[:5]
    found = with_slopes(table, pd.concat([pairs, pairs.iloc[:1]]))
    assert len(found) == len(table) and (found["slope"].notna().sum()) == 5
    tables.validate("effects", found, "test")


def test_signals_and_features_of_a_map():
    lead = pd.DataFrame({"gene_id": ["a", "b", "c"], "status": ["mapped", "mapped", "no_variants"]})
    for column in ("distance", "log10p", "log10p_beta", "q", "r", "maf"):
        lead[column] = [-3.0, 4.0, np.nan]
    conditional = pd.DataFrame({"gene_id": ["a", "a"], "rank": [1, 2]})
    rows = network_agreement.signals(lead, conditional)
    assert dict(zip(rows["x"], rows["value"], strict=True)) == {0: 1, 2: 1}
    table = tables.validate("features", network_agreement.features(lead, conditional, "s"), "test")
    wide = table.pivot(index="gene_id", columns="feature", values="value")
    assert wide.loc["a", "lead_eqtl_distance"] == 3 and wide.loc["a", "eqtl_signals"] == 2
    assert set(wide.columns) <= set(tables.FEATURES) and "c" not in wide.index


def test_a_map_made_in_another_way_than_the_study_says_is_not_used(study, model, tmp_path):
    """One by options of the command stops the tables; one by an older study file is made anew."""
    file = tmp_path / "covariates.csv"
    file.write_text("id,P1,P2,P3,P4\nage,1,2,3,5\n")
    by_hand = map_study(study, tmp_path, Eqtl(permutations=100, covariates=file))
    assert by_hand.by_hand and covariate_words(by_hand.options, False) == "the file covariates.csv"
    panel = OpenCohort(study).panel()
    assert eqtl_map_of(OpenCohort(study), panel, tmp_path).by_hand  # the study doesn't say how
    asked = study.model_copy(update={"eqtl": Eqtl(permutations=100)})
    with pytest.raises(HowfarError, match=r"in another way: inputs\.covariates"):
        eqtl_map_of(OpenCohort(asked), panel, tmp_path)
    assert not map_study(asked, tmp_path, asked.eqtl).by_hand
    changed = study.model_copy(update={"eqtl": Eqtl(permutations=110)})
    assert eqtl_map_of(OpenCohort(changed), panel, tmp_path).options.permutations == 110


def test_a_studys_tables_take_the_map_up(study, model, tmp_path):
    """Four people are too few to map; their genes get a status and the tables stay whole."""
    cohort = OpenCohort(study)
    panel = cohort.panel()
    assert eqtl_map_of(cohort, panel, tmp_path) is None
    asked = study.model_copy(update={"eqtl": Eqtl(permutations=100)})
    made = eqtl_map_of(OpenCohort(asked), panel, tmp_path)
    assert set(made.lead["status"]) == {"too_few_people"} and made.conditional.empty
    assert eqtl_map_of(cohort, panel, tmp_path) is not None
    words = covariate_words(made.options, populations=True)
    row = network_agreement.covariates(made.lead, words)
    assert tables.validate("summary", row, "test")["method"].tolist() == ["populations"]
    kept = path_of(tmp_path, study.name, "lead")
    study.cohort.variants.write_bytes(study.cohort.variants.read_bytes() + b"\0")
    assert eqtl_map_of(cohort, panel, tmp_path) is None and kept.is_file()
    assert cohort.warnings["cis-eQTL maps that are out of date"] == 1
