"""Figures of agreement: what is drawn is what the tables and `numbers` say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from helpers import synthetic
from helpers.figure_views import assert_four_files, study_file, text_of
from howfar import figures
from howfar.evaluation import model_agreement as agreement
from howfar.evaluation.numbers import numbers_table
from howfar.figures import style
from howfar.results import tables

ALL = ["agreement_matrix", "agreement_genes", "agreement_failures", "agreement_reference"]
GENE = "GENE007"  # named gene007
LABELS = {"net": "Small Enformer", "xp": "Xpresso"}


def effects_of(run: str, seed: int) -> pd.DataFrame:
    """40 variants over 8 kb around the TSS of one gene; the third is common and strong."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"variant": [f"chr8:{1_276_000 + 200 * i}:A:G" for i in range(40)]})
    frame["distance"] = [-4000.0 + 200 * i for i in range(40)]
    frame["effect"], frame["maf"] = rng.normal(0, 0.01, 40), 0.01
    frame.loc[3, ["effect", "maf"]] = 0.05, 0.4
    return frame.assign(run_id=run, gene_id=GENE, source="model")


def write(folder, name: str, individuals: str) -> None:
    """The synthetic study with a second network and what the page needs."""
    study_file(folder, name, individuals, f"effects: [{GENE.lower()}]\n")
    synthetic.write(folder, name, numbers=False)
    read = tables.load(name, folder)
    frames = dict(read.frames)
    second = (
        frames["runs"]
        .query("run_id == 'net'")
        .assign(run_id="xp", label="Xpresso", model="xpresso")
    )
    frames["runs"] = pd.concat([frames["runs"], second])
    rng = np.random.default_rng(4)
    more = frames["reference"].assign(
        run_id="xp", prediction=lambda f: f["prediction"] * np.exp(rng.normal(0, 0.5, len(f)))
    )
    frames["reference"] = pd.concat([frames["reference"], more])
    people = tables.read(tables.path_of(folder, name, "individuals"), "individuals")
    frames["agreement"] = agreement.of_individuals(people, frames["runs"])
    frames["effects"] = pd.concat([effects_of("net", 1), effects_of("xp", 2)])
    del frames["numbers"]
    for table, frame in frames.items():
        tables.write(tables.path_of(folder, name, table), table, frame, {})
    numbers = numbers_table(tables.load(name, folder), draws=50)
    tables.write(tables.path_of(folder, name, "numbers"), "numbers", numbers, {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agreement")
    write(folder, "open", "public")
    write(folder, "closed", "private")
    study_file(folder, "plain")
    synthetic.write(folder, "plain")
    return folder


@pytest.fixture(scope="module")
def view(folder):
    return figures.view(str(folder / "open.yaml"), [], folder, folder / "figures")


@pytest.mark.parametrize("name", [*ALL, "variant_effects"])
def test_four_files_and_what_is_real(view, shown, name):
    one = shown(name)
    assert_four_files(one)
    assert "Genotypes: made up." in str(figures.about(view))
    for kind in ("svg", "csv"):
        assert "SECRET" not in one.svg.with_suffix(f".{kind}").read_text()


def test_the_matrices_hold_both_agreements_with_intervals(view, shown):
    text = text_of(shown("agreement_matrix"))
    wide = view["reference"].pivot(index="gene_id", columns="run_id", values="prediction")
    rho = scipy_stats.spearmanr(wide["net"], wide["xp"]).statistic
    people = view["agreement"]["pearson"].median()
    for value in (rho, people):
        assert style.signed(value, 2) in text
    row = view.number("blup.agreement.net.median")
    assert style.interval(row.ci_low, row.ci_high, 2) in text
    assert f"n = {synthetic.GENES} genes" in text


def test_a_pairs_numbers_are_found_whichever_run_is_drawn_first(view):
    found = figures.agreement.compared(view, "median")
    assert found[["run_id", "other_id"]].to_numpy().tolist() == [["net", "blup"]]
    assert found["value"][0] == pytest.approx(view["agreement"]["pearson"].median())


def test_every_pair_has_its_distribution_and_share_below_0(view, shown):
    r = view["agreement"]["pearson"]
    text = text_of(shown("agreement_genes"))
    assert "Small Enformer and BLUP" in text and f"{100 * (r < 0).mean():.0f} % below 0" in text
    assert f"n = {len(r)} genes, {synthetic.PEOPLE} people" in text


def test_failures_compare_r_across_people(view, shown):
    wide = (
        view["across"]
        .query("population == 'pooled'")
        .pivot(index="gene_id", columns="run_id", values="pearson")
    )
    rho = scipy_stats.spearmanr(wide["net"], wide["blup"]).statistic
    assert f"ρ = {style.signed(rho, 2)}" in text_of(shown("agreement_failures"))


def test_variants_are_drawn_named_and_compared(view, shown):
    text = text_of(shown("variant_effects"))
    assert "driven most by 1,276,600 A>G, effect 0.050" in text  # common, so it drives most
    wide = view["effects"].pivot(index="variant", columns="run_id", values="effect")
    rho = scipy_stats.spearmanr(wide["net"], wide["xp"]).statistic
    assert f"ρ = {style.signed(rho, 2)}" in text and "n = 40 variants" in text
    assert f"{int((wide['net'] * wide['xp'] > 0).sum())} with the same sign" in text
    assert "position − TSS of gene007 (bp)" in text


def test_a_gene_without_effects_is_told_apart(view):
    assert isinstance(figures.variant_effects(view, "gene007"), style.Shown)
    box = figures.variant_effects(view, "gene001")
    assert "gene001 is not among the genes with effects: gene007" in box.lines[0]


def test_a_study_without_a_second_model_says_so(folder):
    plain = figures.view(str(folder / "plain.yaml"), [], folder, folder / "plain")
    for name in [*ALL, "variant_effects"]:
        assert isinstance(getattr(figures, name)(plain), figures.Box), name
