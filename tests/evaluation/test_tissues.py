"""Several tissues of the same people: one pass, and each tissue's tracks against each tissue."""

import numpy as np
import pandas as pd
import pytest

from helpers.commands import invoke
from helpers.strains import inbred, write
from helpers.tiny import CountLetters
from howfar import figures
from howfar.core.errors import HowfarError
from howfar.prediction import run as prediction
from howfar.results import tables
from howfar.study.reading import parse_study

CONTIGS = [str(k) for k in range(1, 9)]
TRACKS = {"one": ["G"], "two": ["C", "G"]}


def study_of(folder, name, expression, tracks):
    """A study of eight genes; the network counts letters near the TSS."""
    files = {"reference": "ref.fa", "variants": "v.vcf.gz", "genes": "genes.csv"}
    cohort = {key: str(folder / file) for key, file in files.items()} | {"expression": expression}
    run = {"id": "g", "label": "G", "model": "helpers.tiny:count_letters", "tracks": tracks}
    run |= {"bins": [0, 1, 2, 3, 4, 5, 6, 7]}
    return parse_study(
        {
            "name": name,
            "title": "t",
            "individuals": "public",
            "reality": dict.fromkeys(("genotypes", "expression", "weights"), "made up"),
            "cohort": cohort | {"unphased": "random(1)"},
            "runs": [run],
            "baselines": {"models": ["top1"], "window": 2_000},
            "evaluation": {"cis_window": 2_000, "null_draws": 100, "bootstrap": 100},
        },
        "test",
    )


@pytest.fixture
def files(tmp_path):
    """Expression of two tissues by name; the second lacks a person and has another gene."""
    write(tmp_path, CONTIGS, inbred)
    one = pd.read_csv(tmp_path / "expression.csv", index_col=0)
    rng = np.random.default_rng(3)
    two = one + 0.3 * rng.standard_normal(one.shape)
    two = pd.concat([two, two.iloc[:1].rename(index={"G_1": "other"})]).drop(columns="S3")
    two.to_csv(tmp_path / "two.csv")
    return {"one": str(tmp_path / "expression.csv"), "two": str(tmp_path / "two.csv")}


def made(study, results, monkeypatch):
    """Tables of a study; how many windows were predicted."""
    model = CountLetters()
    monkeypatch.setattr(prediction, "load_model", lambda *_, **__: model)
    for command in ("predict", "baseline", "evaluate"):
        told = invoke(study, results, command)
        assert told.exit_code == 0, told.output
    return tables.load(study.name, results), model.seen, told.output


def test_one_pass_gives_what_a_study_of_each_tissue_gives(
    tmp_path, files, results_folder, monkeypatch
):
    both = study_of(tmp_path, "both", files, TRACKS)
    found, seen, told = made(both, results_folder, monkeypatch)
    assert "people without expression in two: 1" in told
    r = found["features"].query("feature == 'tissue_r'").set_index(["source", "gene_id"])["value"]
    apart = {}
    for name, file in files.items():
        alone, windows, _ = made(
            study_of(tmp_path, name, file, TRACKS[name]), results_folder, monkeypatch
        )
        assert windows <= seen < windows + 10  # as many windows as one of them alone
        pooled = alone["across"].query("population == 'pooled' and run_id == 'g'")
        apart[name] = pooled.set_index("gene_id")["pearson"]
    pooled = found["across"].query("population == 'pooled'").set_index(["run_id", "gene_id"])
    for name in ("one", "two"):
        here = r[f"g: {name} | {name}"]  # the window's variant moves C, or G, or neither
        assert len(here) >= 3 and here.to_dict() == pytest.approx(apart[name].dropna().to_dict())
    for run in ("g", "top1"):
        here = pooled.loc[run, "pearson"].dropna()
        assert r[f"{run}: one | one"].to_dict() == pytest.approx(here.to_dict())
    full = tables.load("two", results_folder / "both" / "tissues")
    assert set(full["runs"]["run_id"]) == {"g", "lead_snp"}  # none that was fitted to another
    for name in ("reference", "across", "within", "individuals"):
        its = alone[name][alone[name]["run_id"].isin(["g", "lead_snp"])]
        pd.testing.assert_frame_equal(full[name], its.reset_index(drop=True))
    one, two = (pd.read_csv(files[name], index_col=0) for name in ("one", "two"))
    expected = one.loc["G_2"].corr(two.loc["G_2"])
    assert r["look-up: one | two", "G_2"] == pytest.approx(expected)


def test_the_page_compares_tissues(tmp_path, files, results_folder, monkeypatch):
    both = study_of(tmp_path, "both", files, TRACKS)
    made(both, results_folder, monkeypatch)
    view = figures.view(str(results_folder.parent / "both.yaml"), [], results_folder, tmp_path)
    shown = figures.tissues(view)
    rows = view.summary("tissues").set_index(["method", "group"])
    assert rows.loc[("look-up", "one | two"), "value"] > 0.5 and len(rows) == 2 + 4 + 2
    assert (rows["n"] >= 3).all() and "<svg" in shown.svg.read_text()


@pytest.mark.parametrize(
    ("expression", "tracks", "says"),
    [
        ("two", {"one": ["G"]}, "the tissues of `cohort.expression`"),
        ({"one": "a", "two": "b"}, {"two": ["G"], "one": ["C"]}, "the first of them first"),
        ({"one": "a"}, {"one": ["G"], "three": ["C"]}, "found one, three"),
        ({}, ["G"], "one file for each tissue"),
    ],
)
def test_tissues_that_do_not_fit_are_refused(tmp_path, expression, tracks, says):
    with pytest.raises(HowfarError, match=says):
        study_of(tmp_path, "s", expression, tracks)


def test_a_tissue_of_other_people_is_refused(tmp_path, files, results_folder, monkeypatch):
    two = pd.read_csv(files["two"], index_col=0)
    two.rename(columns=lambda name: f"X{name}").to_csv(files["two"])
    both = study_of(tmp_path, "both", files, TRACKS)
    with pytest.raises(HowfarError, match="none of them shared"):
        made(both, results_folder, monkeypatch)
