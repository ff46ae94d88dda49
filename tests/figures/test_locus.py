"""Figures of a locus: counts, limits and ranks are those of the tables, for any study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from helpers.figure_views import open_view, text_of
from howfar import figures
from howfar.evaluation.locus import overlap_rows
from howfar.figures import locus
from howfar.stats import top_overlap

N = 200
ALL = ["locus_plot", "locus_agreement", "locus_overlaps", "locus_overlap_curves"]


def frames(summary: bool, signal: float = 0.0) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.001, 1, N)
    p[5] = 1e-6
    rows = pd.DataFrame({"variant": [f"v{i}" for i in range(N)], "p": p, "slope": 0.1})
    rows = rows.assign(gene_id="g", source="a scan", distance=np.arange(N) * 10_000.0 - 1.9e6)
    rows.loc[3, "p"] = np.nan
    noise = np.abs(rng.normal(size=(2, N)))
    parts = [
        rows.assign(run_id=run, effect=noise[i] - signal * np.log10(p))
        for i, run in enumerate(("one", "two"))
    ]
    other = rows.iloc[:4].assign(gene_id="h", run_id="one", effect=1.0)
    effects = pd.concat([*parts, other], ignore_index=True)
    runs = pd.DataFrame({"run_id": ["one", "two"], "label": ["Net 1", "Net 2"]})
    runs = runs.assign(study="open", kind="network", model="x")
    genes = pd.DataFrame({"gene_id": ["g", "h"], "name": ["GENE", None]})
    genes = genes.assign(chrom="1", tss=5_000_000, strand="+")
    found = {"runs": runs, "genes": genes, "effects": effects}
    if summary:
        found["summary"] = top_overlap.curves(effects[effects["gene_id"] == "g"])
    return found


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return open_view(tmp_path_factory.mktemp("locus"), frames(summary=True))


def test_the_scan_is_held_to_its_own_bonferroni_limit(shown):
    text = text_of(shown("locus_plot"))
    assert f"1 of {N - 1} variants pass Bonferroni" in text
    assert f"−log10 p = {-np.log10(0.05 / (N - 1)):.2f}" in shown("locus_plot").caption
    assert "1,900,000 bp before" in shown("locus_plot").caption
    assert "GENE" in shown("locus_plot").caption


def test_the_gene_with_most_p_values_is_shown(view):
    rows = locus.locus_rows(view)
    assert set(rows["gene_id"]) == {"g"} and len(rows) == 2 * N


def test_rank_correlation_is_that_of_scipy(view, shown):
    rows = locus.locus_rows(view)
    for run in ("one", "two"):
        part = rows[rows["run_id"] == run].dropna(subset=["p"])
        rho = reference.spearmanr(part["size"], part["log10p"]).statistic
        assert f"ρ = {figures.style.signed(rho)}" in text_of(shown("locus_agreement"))


def test_overlaps_are_those_of_sets(view, shown):
    rows = locus.locus_rows(view)
    for run in ("one", "two"):
        part = rows[rows["run_id"] == run].set_index("variant")
        count = len(set(part["size"].nlargest(50).index) & set(part["p"].nsmallest(50).index))
        table = pd.read_csv(shown("locus_overlaps").svg.with_suffix(".csv")).set_index("label")
        label = {"one": "Net 1", "two": "Net 2"}[run]
        assert table.loc[f"{label}, model alone; eQTL scan", "value"] == count
        assert f"{count} of the 50 largest" in text_of(shown("locus_plot"))


def test_the_tables_bring_the_curves_of_the_gene_with_most_p_values(view, tmp_path):
    columns = ["set", "method", "group", "x", "value"]
    keys = ["set", "method", "group", "x"]
    made = overlap_rows(frames(summary=False)["effects"], seed=1)
    first, second = (
        table[columns].sort_values(keys).reset_index(drop=True)
        for table in (locus.curves(view), made)
    )
    pd.testing.assert_frame_equal(first, second, check_dtype=False)
    bare = open_view(tmp_path, frames(summary=False))
    assert isinstance(figures.locus_overlaps(bare), figures.Box)


def test_a_model_that_sees_the_signal_leaves_the_band(tmp_path):
    found = locus.curves(open_view(tmp_path, frames(summary=True, signal=3.0)))
    at = found[(found["x"] == 50) & (found["group"] == "model")].set_index(["set", "method"])
    assert at.loc[("overlap", "one"), "value"] > at.loc[("overlap_rotated", "one"), "ci_high"]


def test_the_caption_counts_the_sizes_outside_the_band(tmp_path):
    view = open_view(tmp_path, frames(summary=True, signal=3.0))
    found = locus.curves(view)
    found = found[(found["group"] == "model") & (found["method"] == "one")].set_index("x")
    chance = found[found["set"] == "overlap_rotated"]
    above = (found.loc[found["set"] == "overlap", "value"] > chance["ci_high"]).sum()
    assert above > 5
    caption = figures.locus_overlap_curves(view).caption
    assert f"Net 1, model alone: {above} above, 0 below" in caption


def test_a_run_without_effects_has_no_curve(tmp_path):
    found = frames(summary=True)
    more = found["runs"].iloc[:1].assign(run_id="three", label="Net 3")
    found["runs"] = pd.concat([found["runs"], more], ignore_index=True)
    caption = figures.locus_overlap_curves(open_view(tmp_path, found)).caption
    assert "Net 2" in caption and "Net 3" not in caption


def test_studies_without_effects_say_so(tmp_path):
    found = frames(summary=False)
    bare = open_view(tmp_path, {"runs": found["runs"], "genes": found["genes"]})
    assert all(isinstance(getattr(figures, name)(bare), figures.Box) for name in ALL)


def test_facts_list_every_number_with_a_true_minus(tmp_path):
    found = frames(summary=False)
    number = pd.DataFrame([{"id": "X.a", "value": -5.5, "n": 3, "definition": "a |b|"}])
    table = figures.locus_facts(open_view(tmp_path, found | {"numbers": number})).data
    for cell in ("X.a", "−5.5", "3", "a |b|"):
        assert f"<td>{cell}</td>" in table
