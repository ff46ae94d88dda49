"""Figures of eQTLs: counts, shares and intervals are those of the tables."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers import synthetic
from helpers.eqtl_effects import GENES, effects
from helpers.figure_views import assert_four_files, open_view, text_of, words_of
from howfar import figures
from howfar.eqtl import network_agreement
from howfar.eqtl.network_agreement import lead_only
from howfar.evaluation.numbers.lead_eqtl import lead_and_full
from howfar.figures import eqtl, style
from howfar.results import tables

NAMES = ["eqtl_genes", "eqtl_signs", "eqtl_overlap", "eqtl_lead_only"]


def frames(seed: int = 1) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    table = pd.concat([effects(seed, 0.4), effects(seed, 0.0).assign(run_id="other")])
    runs = pd.DataFrame({"run_id": ["net", "other"], "label": ["Net", "Other net"]})
    runs = runs.assign(study="open", kind="network", model="x")
    ids = GENES["gene_id"]
    across = pd.DataFrame({"run_id": "net", "gene_id": ids, "pearson": rng.uniform(-0.5, 0.9, 12)})
    across = pd.concat([across.assign(population="centred"), across.assign(population="pooled")])
    lead = pd.DataFrame({"gene_id": ids, "status": "mapped", "variant": "1:4:A:G", "df": 97})
    for column in ("distance", "log10p", "log10p_beta", "q", "r", "maf"):
        lead[column] = rng.uniform(0, 0.4, 12)
    lead["log10p_beta"] *= 30
    lead["q"] = 10 ** -lead["log10p_beta"]
    signals = pd.DataFrame({"gene_id": ["g0", "g0", "g1"], "rank": [1, 2, 1]})
    parts = [f(table, GENES) for f in (network_agreement.signs, network_agreement.overlaps)]
    parts += [network_agreement.signals(lead, signals), lead_only(table, lead)]
    return {
        "runs": runs,
        "genes": GENES,
        "effects": table,
        "across": across,
        "features": network_agreement.features(lead, signals, "open"),
        "summary": tables.stack("summary", parts, "test"),
    }


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return open_view(tmp_path_factory.mktemp("eqtl"), frames())


@pytest.mark.parametrize("name", NAMES)
def test_four_files_and_what_is_real(view, shown, name):
    assert_four_files(shown(name))
    assert "Genotypes: made up" in str(figures.about(view))


def test_genes_and_their_signals_are_counted(view, shown):
    table = view["features"]
    found = (table.loc[table["feature"] == "lead_eqtl_q", "value"] <= 0.05).sum()
    text = text_of(shown("eqtl_genes"))
    assert f"{found} of 12 genes have an eQTL" in text and 0 < found < 12
    assert "8 % of genes have two or more" in text
    assert "n = 12 genes" in shown("eqtl_genes").caption


def test_shares_of_signs_carry_their_number_of_variants(view, shown):
    text, table = text_of(shown("eqtl_signs")), eqtl.rows_of(view, "eqtl_sign")
    for row in table[table["group"] != "all"].itertuples():
        assert f"{100 * row.value:.0f} %, n = {row.n}" in text
    whole = table[table["group"] == "all"].set_index("method").loc["net"]
    ends = f"[{100 * whole['ci_low']:.0f}, {100 * whole['ci_high']:.0f}]"
    assert f"Net: {100 * whole['value']:.0f} % {ends} of signs agree" in text
    assert "Other net: " in text and "probability of being causal" in words_of(shown("eqtl_signs"))


def test_overlap_title_holds_observed_and_chance(view, shown):
    text, table = text_of(shown("eqtl_overlap")), eqtl.rows_of(view, "eqtl_overlap")
    first = table[(table["method"] == "net") & (table["x"] == 1)].set_index("group")
    seen, chance = first.loc["observed", "value"], first.loc["chance", "value"]
    assert f"in {100 * seen:.0f} %; by chance in {100 * chance:.0f} %" in text


def test_the_lead_alone_beside_the_whole(view, shown):
    table = lead_and_full(view.tables["summary"], view["across"])
    assert len(table) == 12 and (table["run_id"] == "net").all()
    text = text_of(shown("eqtl_lead_only"))
    assert f"right sign of the lead in {(table['lead_only'] > 0).sum()} of 12" in text
    assert f"whole: {style.signed(table['pearson'].mean(), 2)}" in text


def test_without_summary_rows_nothing_is_computed(tmp_path):
    found = frames()
    found.pop("summary")
    view = open_view(tmp_path, found)
    assert eqtl.rows_of(view, "eqtl_sign").empty
    for name in NAMES:
        assert isinstance(getattr(figures, name)(view), figures.Box)


@pytest.mark.parametrize("name", NAMES)
def test_a_study_without_a_map_gets_a_box(name, tmp_path):
    synthetic.write(tmp_path, "sasse2023")
    view = figures.view("sasse2023", [], tmp_path, tmp_path / "figures")
    assert isinstance(getattr(figures, name)(view), figures.Box)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("populations, the file c.csv", 4.0)], "map: populations, the file c.csv (4 in all)."),
        ([("none", 0.0)], "without covariates"),
        ([], ""),
    ],
)
def test_captions_say_with_which_covariates_the_eqtls_were_mapped(rows, says):
    view = SimpleNamespace(summary=lambda _: pd.DataFrame(rows, columns=["method", "value"]))
    assert says in eqtl.mapped_with(view) and bool(eqtl.mapped_with(view)) == bool(rows)
