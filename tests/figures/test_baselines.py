"""Figures of the linear rivals: wins, means, sizes and losses are those of the tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers import synthetic
from helpers.figure_views import open_view, study_file, text_of, words_of
from howfar import figures
from howfar.evaluation import transfer
from howfar.figures import baselines, style
from howfar.figures.view import Box

METHODS = {"BLUP": 0.3, "Elastic net (PrediXcan)": 0.25}
METHODS |= dict.fromkeys(transfer.KNOWN.values(), 0.4)


def summary() -> pd.DataFrame:
    rows = []
    for method, value in METHODS.items():
        known = method in transfer.KNOWN.values()
        for x in (40, 80, 160):
            rows.append((transfer.TRAINING, method, "people not trained on", x, value * x / 160))
            if not known:
                rows.append((transfer.CALIBRATION, method, "people not trained on", x, 0.9))
        for group in ("EUR → EUR", "EUR → AFR", "AFR → EUR", "AFR → AFR"):
            rows.append((transfer.TRANSFER, method, group, 60, value))
        rows.append((transfer.LOSS, method, "EUR → AFR", 60, value / 2))
    table = pd.DataFrame(rows, columns=["set", "method", "group", "x", "value"])
    ends = {"ci_low": table["value"] - 0.05, "ci_high": table["value"] + 0.05}
    return table.assign(n=60, replicate=1, units="", **ends)


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    synthetic.write(folder, "open")
    return open_view(folder, {"summary": summary()})


@pytest.fixture
def bare(tmp_path):
    """A study without linear runs and without any row of `summary`."""
    synthetic.write(tmp_path, "open", numbers=False)
    study = study_file(tmp_path, "open")
    return figures.view(str(study), ["truth"], tmp_path, tmp_path / "figures")


def test_wins_and_differences_are_those_of_the_genes(view):
    wide = view["across"].query("population == 'pooled'")
    wide = wide.pivot(index="gene_id", columns="run_id", values="pearson")
    text = text_of(figures.linear_wins(view))
    for rival in ("blup", "lead"):
        gap = wide["net"] - wide[rival]
        assert f"{style.signed(gap.mean())} [" in text
        assert f"network ahead in {(gap > 0).sum()} of {synthetic.GENES}" in text
    assert "The network is behind 2 of 2 models, ahead of 0" in text


def test_a_better_network_is_ahead(view, tmp_path):
    across = view.tables["across"].copy()
    net = across["run_id"] == "net"
    across.loc[net, "pearson"] = np.clip(across.loc[net, "pearson"].abs() + 0.6, 0, 1)
    changed = open_view(tmp_path, view.tables.frames | {"across": across})
    assert "behind 0 of 2 models, ahead of 2" in text_of(figures.linear_wins(changed))


def test_distribution_keeps_genes_that_all_have_and_counts_constant_as_zero(view):
    table = baselines.common_genes(view["across"])
    assert table.groupby("run_id").size().nunique() == 1
    across = view["across"].query("population == 'pooled'").copy()
    across.loc[(across["run_id"] == "net") & (across["gene_id"] == "GENE000"), "pearson"] = np.nan
    across = across[~((across["run_id"] == "blup") & (across["gene_id"] == "GENE001"))]
    changed = baselines.common_genes(across)
    assert "GENE001" not in set(changed["gene_id"])
    zero = changed[(changed["run_id"] == "net") & (changed["gene_id"] == "GENE000")]
    assert zero["pearson"].tolist() == [0.0]
    few = across["gene_id"].isin([f"GENE{i:03d}" for i in range(20)])
    across = across[(across["run_id"] != "lead") | few]
    assert set(baselines.common_genes(across)["run_id"]) == {"net", "blup", "truth"}
    text = text_of(figures.linear_distribution(view))
    mean = table[table["run_id"] == "blup"]["pearson"].mean()
    assert "BLUP:" in text
    assert f"mean r {style.signed(mean)}, n = {synthetic.GENES} genes" in text


def test_titles_give_the_largest_size_and_the_expectation(view):
    text = text_of(figures.training_people(view))
    assert "BLUP on 160 people: r 0.300, expected 0.400" in text
    assert "BLUP, 160 people: slope 0.90 [0.85, 0.95]" in text_of(figures.calibration(view))


def test_transfer_names_what_is_lost_and_draws_every_group(view):
    shown = figures.population_transfer(view)
    text = text_of(shown)
    assert "Tested in AFR, BLUP trained in EUR loses" in words_of(shown)
    assert "0.150 [0.100, 0.200]" in text
    data = pd.read_csv(shown.svg.with_suffix(".csv"))
    assert len(data) == 4 * len(METHODS)
    assert text.count("trained in EUR") == 3  # two rows and the title


def test_sweeps_draw_means_draws_and_both_counts(view, tmp_path):
    rows = [("sweep_window.mean", kb * 1e3, 0.1 + kb / 1e4, 1) for kb in (10, 1000)]
    rows += [("sweep_people.mean", n, n / 1e3, 1) for n in (60, 300)]
    rows += [("sweep_people", 60, value, seed) for seed, value in ((1, 0.05), (2, 0.07))]
    table = pd.DataFrame(rows, columns=["set", "x", "value", "replicate"])
    table = table.assign(method="BLUP", group="375 people, out of fold", n=240, units="")
    table = table.assign(ci_low=table["value"] - 0.02, ci_high=table["value"] + 0.02)
    shown = figures.sweeps(open_view(tmp_path, view.tables.frames | {"summary": table}))
    text = text_of(shown)
    assert text.count("n = 240 genes, 375 people, out of fold") == 2
    assert "window around the TSS (kb in total)" in text and "people who train a fit" in text
    assert "lowest minor allele frequency" not in text  # not swept
    assert len(pd.read_csv(shown.svg.with_suffix(".csv"))) == 4


def test_methods_keep_their_runs_colours(view):
    found = baselines.method_colours(view, METHODS)
    assert found["BLUP"] == view.colours["blup"]
    assert len(set(found.values())) == len(METHODS)


def test_studies_without_these_results_say_so(bare):
    for draw, words in (
        (figures.linear_wins, "no network and linear model"),
        (figures.training_people, "howfar transfer"),
        (figures.calibration, "howfar transfer"),
        (figures.population_transfer, "another population"),
        (figures.sweeps, "howfar baseline --sweep"),
        (figures.polygenic_scores, "no two polygenic scores"),
    ):
        assert words in draw(bare).lines[0]


def test_two_scores_are_drawn_against_each_other(view, tmp_path):
    names = {"blup": "PRS", "lead": "PRS, pruned and thresholded"}
    runs = view.tables["runs"].set_index("run_id")
    runs.loc[list(names), "label"] = list(names.values())
    runs = runs.reset_index()
    scores = open_view(tmp_path, view.tables.frames | {"runs": runs})
    text = text_of(figures.polygenic_scores(scores))
    assert "r across people, PRS, pruned and thresholded" in text
    assert f"n = {synthetic.GENES} genes" in text


@pytest.mark.parametrize("value", [0.3, -0.2])
def test_figures_of_one_gene_which_has_no_interval(tmp_path, value):
    """A cohort of one region; negative r is inside the axes too."""
    synthetic.write(tmp_path, "open")
    table = summary().assign(ci_low=np.nan, ci_high=np.nan, value=value, n=1)
    view = open_view(tmp_path, {"summary": table})
    assert not isinstance(figures.population_transfer(view), Box)


@pytest.mark.parametrize("other", [0.25, 0.3])
def test_bslmm_is_drawn_for_the_data_it_was_fitted_to(tmp_path, monkeypatch, other):
    synthetic.write(tmp_path, "open")
    known = pd.DataFrame({"id": [f"open.{m}.across.pooled.mean_r" for m in ("top1", "lasso")]})
    known = known.assign(value=[0.2, 0.25], n=60, ci_low=0.1, ci_high=0.3, definition="", source="")
    view = open_view(tmp_path, {"numbers": known})
    rows = {"model": ["top1", "lasso", "bslmm"] * 2, "study": ["elsewhere"] * 3 + ["here"] * 3}
    rows["mean_r"] = [0.31, 0.33, 0.34, 0.2, other, 0.26]
    table = pd.DataFrame(rows).assign(
        date="2026-01-02", genes=60, wins=1, losses=2, difference=0.01
    )
    for end, by in (("low", -0.05), ("high", 0.05)):
        table[f"ci_{end}"] = table["mean_r"] + by
        table[f"difference_{end}"] = 0.01 + by / 10
    folder = tmp_path / "data" / "measured"
    folder.mkdir(parents=True)
    table.to_csv(folder / "bslmm.csv", index=False)
    monkeypatch.setattr(
        baselines, "measured_file", lambda name: tmp_path / "data" / "measured" / f"{name}.csv"
    )
    shown = figures.bslmm(view)
    if other != 0.25:  # of other data than the study's tables
        assert isinstance(shown, Box) and "bench bslmm" in shown.lines[0]
        return
    text = text_of(shown)
    assert "BSLMM" in text and "0.260" in text and "0.340" not in text
    assert "2026-01-02" in shown.caption
    assert "In elsewhere (60 genes) BSLMM has 0.340, Lasso 0.330." in shown.caption
