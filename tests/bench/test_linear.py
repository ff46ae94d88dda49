"""The benchmark of the linear models, on a cohort that fits on a page."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers.linear_cohort import write_cohort
from howfar.bench import linear
from howfar.bench import linear as bench_baselines
from howfar.cli import app
from howfar.linear.base import fitter


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, np.random.default_rng(4))
    return [folder / name for name in ("ref.fa", "v.vcf.gz", "genes.csv")]


@pytest.fixture(scope="module")
def found(files):
    table = linear.measure(*files, models=["enet", "lasso", "blup"], large=12)
    return table.set_index(["model", "task"])


PATH = "5-fold cross-validated path of 100 penalties"


@pytest.mark.parametrize(("model", "name"), [("enet", "ElasticNetCV"), ("lasso", "LassoCV")])
def test_the_path_is_scikit_learns(found, model, name):
    row = found.loc[model, PATH]
    assert row["other"] == f"scikit-learn {name}"
    assert row["times_as_fast"] == pytest.approx(row["other_seconds"] / row["seconds"])
    assert row["difference"] < 1e-3 and row["r"] > 0.99
    assert row["people"] == 40 and row["variants"] == 12


def test_hours_are_of_all_genes_on_two_cores(found):
    row = found.loc[("blup", "nested 5-fold, per gene")]
    assert row["hours"] == pytest.approx(row["seconds"] * 3_259 / 2 / 3600)
    assert row["genes"] == 3 and row["other_seconds"] == pytest.approx(1_310 / 400)
    assert found["machine"].str.contains("cores").all()


@pytest.mark.skipif(not shutil.which("gemma"), reason="GEMMA is not installed")
def test_blup_is_gemmas(found):
    row = found.loc[("blup", "one fit, four fifths of the people")]
    assert row["other"] == "GEMMA" and row["r"] > 0.99


def test_a_wrong_fit_shows_as_a_difference(files, monkeypatch):
    wrong = partial(fitter, l1_ratio=0.9)
    monkeypatch.setattr(bench_baselines, "fitter", lambda name: wrong(name))
    monkeypatch.setattr(bench_baselines, "_compile", lambda x, y: None)
    table = linear.measure(*files, models=["enet"], large=12)
    assert table.set_index(["model", "task"]).loc[("enet", PATH), "difference"] > 1e-3


def test_the_command_writes_its_table(files, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_baselines, "_compile", lambda x, y: None)
    words = [f"--{name}={path}" for name, path in zip(
        ("reference", "variants", "genes"), files, strict=True)]  # fmt: skip
    out = tmp_path / "b.csv"
    done = CliRunner().invoke(
        app.app, ["bench", "baselines", *words, "--models=top1", "--large=0", f"--csv={out}"]
    )
    assert done.exit_code == 0, done.output
    assert out.read_text().startswith("model,task,people,variants,genes,seconds,other,")
