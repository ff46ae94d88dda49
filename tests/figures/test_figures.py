"""Figures: what is drawn is what the tables say, in text that can be read and searched."""

from __future__ import annotations

import csv
import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from helpers import synthetic
from helpers.figure_views import assert_four_files, open_view, study_file, text_of, write_numbers
from howfar import figures
from howfar.core.errors import HowfarError
from howfar.core.registry import FIGURES
from howfar.evaluation.trends import with_feature
from howfar.figures import across, distance, people, style, theory
from howfar.figures.distance import binned
from howfar.results import tables

ALL = ["scatter", "bars", "central", "distribution", "volcano", "ranked", "scatters", "controls"]
ALL += ["trends", "ceiling"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Result tables of two made-up studies, one of them private, and their study files."""
    folder = tmp_path_factory.mktemp("results")
    for name, individuals in (("open", "public"), ("closed", "private"), ("absent", "private")):
        study_file(folder, name, individuals)
        if name != "absent":
            synthetic.write(folder, name)
    return folder


@pytest.fixture(scope="module")
def view(folder):
    return figures.view(str(folder / "open.yaml"), [], folder, folder / "figures")


@pytest.mark.parametrize("name", ALL)
def test_four_files_and_a_caption(shown, name):
    one = shown(name)
    assert_four_files(one)
    assert one.caption.endswith(".") and "made up" not in one.caption
    with one.svg.with_suffix(".csv").open() as handle:
        assert len(list(csv.reader(handle))) > 1


@pytest.mark.parametrize("name", ["scatter", "central", "scatters"])
def test_the_same_tables_give_the_same_bytes(view, shown, name, tmp_path):
    again = figures.view(str(view.results / "open.yaml"), [], view.results, tmp_path)
    copy = getattr(figures, name)(again)
    for kind in ("svg", "csv", "png", "pdf"):
        file = shown(name).svg.with_suffix(f".{kind}")
        assert copy.svg.with_suffix(f".{kind}").read_bytes() == file.read_bytes()


def test_reference_text_carries_n_and_r_of_the_table(view, shown):
    rows = view["reference"].dropna(subset=["observed_mean"])
    r = scipy_stats.pearsonr(rows["prediction"], rows["observed_mean"]).statistic
    rho = scipy_stats.spearmanr(rows["prediction"], rows["observed_mean"]).statistic
    text = text_of(shown("scatter"))
    assert f"n = {len(rows)} genes" in text
    assert f"r = {style.signed(r)}" in text and f"ρ = {style.signed(rho)}" in text
    bars = text_of(shown("bars"))
    test = rows[rows["region"] == "test"]
    r = scipy_stats.pearsonr(test["prediction"], test["observed_mean"]).statistic
    assert f"in orange: n = {len(test)} genes" in text and f"r = {style.signed(r)} [" in text
    rho = scipy_stats.spearmanr(test["prediction"], test["observed_mean"]).statistic
    assert f"{style.signed(rho, 3)}, n = {len(test)}" in bars


@pytest.mark.parametrize("name", ["distribution", "central", "controls", "ceiling"])
def test_across_text_carries_n_and_mean_r_of_the_table(view, shown, name):
    text = text_of(shown(name))
    for _, rows in across.main_rows(view).groupby("run_id"):
        assert style.signed(rows["pearson"].mean()) in text
    assert f"n = {synthetic.GENES} genes" in text
    if name != "controls":
        assert f"{synthetic.PEOPLE} people" in text


def test_intervals_in_the_figure_are_those_of_the_numbers_table(view, shown):
    table = view.tables["numbers"].set_index("id")
    row = table.loc["open.net.across.pooled.mean_r"]
    text = text_of(shown("distribution"))
    assert style.interval(row["ci_low"], row["ci_high"]) in text


def test_the_volcano_counts_as_the_numbers_table_does(view, shown):
    table = view.tables["numbers"].set_index("id")["value"]
    text = text_of(shown("volcano"))
    counts = [int(n) for n in re.findall(r"(\d+) of n = 60 genes at q", text)]
    rules = ("t_test", "as_published", "standard_error", "own_null")
    expected = [table[f"open.net.across.pooled.significant_{rule}"] for rule in rules]
    assert counts == expected


def test_trend_means_are_means_of_the_genes_in_the_bin(view):
    found = binned(view)
    part = found[(found["run_id"] == "truth") & (found["feature"] == "cv_expression")]
    genes = with_feature(view.tables, "truth", "cv_expression")
    edges = np.quantile(genes["cv_expression"], np.linspace(0, 1, len(part) + 1))
    code = np.clip(np.searchsorted(edges, genes["cv_expression"], "right") - 1, 0, len(part) - 1)
    expected = genes.groupby(code)["pearson"].mean().to_numpy()
    np.testing.assert_allclose(part["mean"], expected)
    assert part["n_genes"].sum() == len(genes)
    numbers = view.tables["numbers"].set_index("id")
    row = numbers.loc["open.truth.trend.cv_expression.bin3.mean_r"]
    shown = part.iloc[2]
    assert (shown["mean"], shown["ci_low"]) == pytest.approx((row["value"], row["ci_low"]))


def test_negative_medians_keep_their_place(folder, tmp_path):
    """Logarithms of expression are negative in genes of low expression."""
    for name in ("runs", "genes", "across", "features"):
        frame = tables.read(tables.path_of(folder, "open", name), name)
        if name == "features":
            low = frame["feature"] == "median_expression"
            frame.loc[low, "value"] -= frame.loc[low, "value"].median()
        tables.write(tables.path_of(tmp_path, "open", name), name, frame, {})
    write_numbers(tmp_path, "open")
    view = figures.view(str(folder / "open.yaml"), ["net"], tmp_path, tmp_path / "f")
    drawn, (axis,) = style.panels([2.0])
    means = binned(view)
    distance._panel(axis, means[means["feature"] == "median_expression"], "median_expression", view)
    points = axis.collections[0].get_offsets()
    genes = with_feature(view.tables, "net", "median_expression")
    np.testing.assert_allclose(sorted(points[:, 0]), sorted(genes["median_expression"]))
    assert points[:, 0].min() < -1


def test_sampling_density_is_that_of_r_without_correlation():
    rng = np.random.default_rng(1)
    draws = [np.corrcoef(rng.normal(size=(2, 20)))[0, 1] for _ in range(4000)]
    grid = np.linspace(-0.9999, 0.9999, 20001)
    density = theory.sampling_density(grid, [20, 20, 20])
    step = grid[1] - grid[0]
    assert (density * step).sum() == pytest.approx(1, abs=1e-3)
    cumulative = np.cumsum(density) * step
    distance = scipy_stats.kstest(draws, lambda r: np.interp(r, grid, cumulative))
    assert distance.pvalue > 0.001
    mixed = theory.sampling_density(grid, [20, 100])
    other = theory.sampling_density(grid, [100])
    np.testing.assert_allclose(mixed, (density + other) / 2)


def test_colours_are_fixed_by_model_and_kind():
    runs = pd.DataFrame(
        [("z", "network", "Xpresso"), ("e2", "network", "enformer"), ("e1", "network", "Enformer"),
         ("l", "linear", "BLUP"), ("t", "truth", "truth"), ("s", "lead_snp", "top")],
        columns=["run_id", "kind", "model"],
    )  # fmt: skip
    found = style.colours(runs)
    assert list(found) == ["e1", "e2", "z", "l", "s", "t"]
    assert (found["e1"], found["z"], found["t"]) == ("#0072B2", "#D55E00", "#000000")
    assert len(set(found.values())) == 6
    many = pd.DataFrame({"run_id": [f"r{i}" for i in range(30)], "kind": "linear", "model": "x"})
    assert len(style.colours(many)) == 30


def test_only_the_runs_asked_for_keep_their_colour(view, folder):
    some = figures.view(str(folder / "open.yaml"), ["lead"], folder, folder / "some")
    assert some.colours == {"lead": view.colours["lead"]}
    text = text_of(figures.distribution(some))
    assert "Lead SNP" in text and "Small Enformer" not in text
    with pytest.raises(HowfarError, match="nobody"):
        figures.view(str(folder / "open.yaml"), ["nobody"], folder, folder / "some")


def test_people_are_shown_without_names_and_only_where_public(view, shown, folder):
    frame = people.individuals(view)
    assert list(frame.columns) == ["run_id", "gene_id", "predicted", "observed"]
    for kind in ("svg", "csv"):
        assert "SECRET" not in shown("scatters").svg.with_suffix(f".{kind}").read_text()
    closed = figures.view(str(folder / "closed.yaml"), [], folder, folder / "figures")
    with pytest.raises(HowfarError, match="individuals: private"):
        people.individuals(closed)
    box = figures.scatters(closed)
    assert isinstance(box, figures.Box) and "private" in box.lines[0]
    assert not list((folder / "figures").glob("across_examples.closed*"))


def test_example_scatter_carries_n_and_r(view, shown):
    table = across.main_rows(view)
    best = table[table["run_id"] == "net"].sort_values("pearson").iloc[-1]
    text = text_of(shown("scatters"))
    assert f"r = {style.signed(best['pearson'])}" in text
    assert f"n = {int(best['n'])} people" in text


def test_badges_say_what_is_real(view):
    badges = figures.about(view)
    assert str(badges) == "Genotypes: made up. Expression: also made up. Models: none at all."
    shown = badges._repr_mimebundle_()["text/html"]
    assert shown.count("<span class='neither'>") == 3 and "also made up" in shown
    published = dataclasses.replace(badges, parts={"Models": "published (<b>)", "People": "real"})
    shown = published._repr_mimebundle_()["text/html"]
    assert shown.count("<span class='real'>") == 2 and "(&lt;b&gt;)" in shown


def test_missing_tables_give_one_box_and_no_figure(folder):
    absent = figures.view(str(folder / "absent.yaml"), [], folder, folder / "none")
    box = figures.about(absent)
    assert "howfar fetch absent && make book" in box.lines
    assert "howfar fetch absent" in box._repr_mimebundle_()["text/html"]
    assert [getattr(figures, name)(absent) for name in ALL] == [None] * len(ALL)
    assert not (folder / "none").exists()


def test_a_study_without_a_table_says_so(folder, tmp_path):
    for name in ("runs", "genes", "across"):
        frame = tables.read(tables.path_of(folder, "open", name), name)
        tables.write(tables.path_of(tmp_path, "open", name), name, frame.assign(), {})
    part = figures.view(str(folder / "open.yaml"), [], tmp_path, tmp_path / "f")
    assert isinstance(figures.scatter(part), figures.Box)
    assert isinstance(figures.central(part), figures.Box)
    # No table `numbers`: the figure computes nothing, and says what to run.
    box = figures.ranked(figures.view(str(folder / "open.yaml"), [], tmp_path, tmp_path / "f"))
    assert isinstance(box, figures.Shown)
    box = figures.volcano(part)
    assert isinstance(box, figures.Box) and box.lines[1].startswith("howfar evaluate --study ")


def test_numbers_have_a_true_minus_and_no_minus_zero():
    assert style.signed(-0.1234) == "−0.123"
    assert style.signed(-0.0001) == "0.000"
    assert style.interval(float("nan"), 1.0) == ""


def test_every_figure_of_r_or_of_signs_names_its_row_zero(view, shown):
    """Correlations across genes or people, and shares of right signs, carry their controls."""
    table = view.tables["numbers"].set_index("id")
    coin = table.loc["open.net.across.pooled.sign_coin"]
    r = view["across"].query("run_id == 'net' and population == 'pooled'")["pearson"]
    assert coin["ci_high"] == pytest.approx(1.96 * np.sqrt((r**2).sum()) / len(r))
    rms = table.loc["open.net.across.pooled.null_rms", "value"]
    for name in ("central", "distribution", "ranked", "controls", "trends", "ceiling"):
        caption = shown(name).caption
        assert f"0 ± {coin['ci_high']:.3f}" in caption and f"give r of ± {rms:.3f}" in caption, name
    for name in ("scatter", "bars", "central"):
        assert "look-up" in shown(name).caption, name
    without = {"attribution", "locus", "features", "causal", "agreement", "significance", "eqtl"}
    without |= {"gene_detail", "attribution_truth"}  # single genes; controls of their own
    for name, entry in FIGURES.items():
        module = entry.target.split(".")[1].split(":")[0]
        if name == "learning_curves":  # losses
            continue
        if module not in without | {"all_studies", "one_gene", "drivers", "world", "baselines"}:
            assert entry.load().zero, name


def test_row_zero_is_drawn_in_grey_where_the_tables_have_it(tmp_path, view):
    rows = pd.DataFrame(
        {
            "set": "row_zero",
            "method": ["lookup", "nearest_variant"],
            "group": ["EUR to AFR", "out of fold"],
            "value": [0.98765, 0.12345],
            "n": 60,
            "ci_low": 0.1,
            "ci_high": 0.99,
            "units": "Pearson r",
        }
    )
    more = open_view(tmp_path, view.tables.frames | {"summary": rows})
    central = figures.central(more)
    text = text_of(central)
    assert "look-up, EUR to AFR: r = 0.988" in text and "mean r = 0.123" in text
    assert "random signs" in text and "look-up, EUR to AFR: 0.988" in central.caption
    assert "look-up, EUR to AFR" in text_of(figures.bars(more)).replace(" | ", " ")


def test_points_above_the_volcano_are_marked(tmp_path, view, monkeypatch):
    import matplotlib.axes

    marks = []
    scatter = matplotlib.axes.Axes.scatter

    def kept(self, x, y, *args, **kw):
        """Note triangles and how many points they are."""
        if kw.get("marker") == "^":
            marks.append(len(x))
        return scatter(self, x, y, *args, **kw)

    monkeypatch.setattr(matplotlib.axes.Axes, "scatter", kept)
    across = view.tables["across"].copy()
    called = across.index[across["run_id"].eq("net") & across["population"].eq("pooled")][:21]
    across.loc[called, ["p", "p_null"]] = 1e-8
    across.loc[called[0], ["p", "p_null"]] = 1e-60
    shown = figures.volcano(open_view(tmp_path, view.tables.frames | {"across": across}))
    table = pd.read_csv(shown.svg.with_suffix(".csv"))
    height = -np.log10(table["p"].clip(lower=1e-300))
    high = height.where(table["q"] <= 0.05).groupby(table["rule"]).quantile(0.9).fillna(0)
    top = (np.maximum(height.groupby(table["rule"]).quantile(0.995), high) * 1.05).clip(lower=3)
    assert (
        sum(marks) == (height > table["rule"].map(top)).sum() > 0 and "Triangles" in shown.caption
    )


def test_modalities_stand_side_by_side_with_the_numbers_of_both(folder, tmp_path):
    """Bars are the numbers of each study's own tables; without the other's there is no figure."""
    text = (folder / "open.yaml").read_text()
    for other in ("closed", "absent"):
        beside = f"\nbeside: [{folder / other}.yaml]\n"
        (folder / f"with_{other}.yaml").write_text(text + beside)
    both = figures.view(str(folder / "with_closed.yaml"), [], folder, tmp_path)
    shown = figures.modalities(both)
    rows = pd.read_csv(shown.svg.with_suffix(".csv")).set_index(["study", "run_id"])
    assert set(rows.index.get_level_values("study")) == {"open", "closed"}
    for (study, run), row in rows.iterrows():
        numbers = tables.load(study, folder)["numbers"].set_index("id")["value"]
        assert row["value"] == pytest.approx(
            numbers[f"{study}.{run}.across.pooled.mean_r"], abs=1e-6
        )
    one = figures.modalities(figures.view(str(folder / "with_absent.yaml"), [], folder, tmp_path))
    assert "run absent" in one.lines[0]
