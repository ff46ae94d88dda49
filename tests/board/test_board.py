"""The board: bundles of predictions for public tasks, their scores, and what is refused."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle
from typer.testing import CliRunner

import howfar as hf
from helpers.places import ROOT
from helpers.published_studies import fetch_mirrored, needs_mirror
from howfar.board import archive, bundle, score, submit
from howfar.board.bundle import Submission
from howfar.board.tasks import Answers, answers_of, task_of
from howfar.board.tasks import tasks as every_task
from howfar.cli import app
from howfar.cohort.opened import OpenCohort
from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.evaluation.individuals import individuals_table
from howfar.results import tables
from howfar.study.schema import Study

SAID = {"label": "Mine", "licence": "CC0-1.0", "made": "drawn", "people_seen": "no"}
KEPT = sorted(score.submissions_folder().glob("*.zip"))


@pytest.fixture(scope="module")
def answers() -> Answers:
    return answers_of(task_of("example"), Path("nowhere"))


@pytest.fixture(scope="module")
def table(answers) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    observed = answers.panel.expression
    return observed + rng.normal(scale=observed.to_numpy().std(), size=observed.shape)


@pytest.fixture(scope="module")
def made(table, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("board") / "mine.zip"
    return hf.submit("example", table, path, **SAID).path


@pytest.fixture(scope="module")
def scored(made) -> pd.DataFrame:
    return hf.score(made).table


# --- what is scored --------------------------------------------------------------------------


def value(table: pd.DataFrame, measure: str, against: str = "", name: str = "mine"):
    rows = table[(table["measure"] == measure) & (table["against"] == against)]
    (row,) = rows[rows["name"] == name].itertuples()
    return row


def test_scores_are_scipys(answers, table, scored):
    observed = answers.panel.expression
    r = [oracle.pearsonr(table.loc[g], observed.loc[g]).statistic for g in observed.index]
    assert value(scored, score.MEAN).value == pytest.approx(np.mean(r), abs=1e-4)
    with zipfile.ZipFile(score.submissions_folder() / "example.blup.zip") as kept:
        blup = np.load(io.BytesIO(kept.read("predictions.npy")))
    theirs = [
        oracle.pearsonr(x, y).statistic
        for x, y in zip(blup, observed.to_numpy(), strict=True)
        if x.std()
    ]
    gap = value(scored, score.MEAN, "BLUP")
    assert gap.value == pytest.approx((sum(r) - sum(theirs)) / len(r), abs=1e-4)
    assert gap.ci_low < gap.value < gap.ci_high and gap.wins + gap.losses == len(r)
    groups = pd.Series(answers.panel.groups, observed.columns)
    largest = groups.value_counts().index[0]
    level = observed.loc[:, groups == largest].mean(axis=1)
    x, y = table.loc[:, groups != largest], observed.loc[:, groups != largest]
    rho = oracle.spearmanr(x.to_numpy().ravel(), y.to_numpy().ravel()).statistic
    known = oracle.spearmanr(
        np.repeat(level.to_numpy(), y.shape[1]), y.to_numpy().ravel()
    ).statistic
    assert value(scored, score.PAIRS).value == pytest.approx(rho, abs=1e-3)
    assert value(scored, score.PAIRS, score.LOOKUP).value == pytest.approx(rho - known, abs=1e-3)
    assert value(scored, score.PAIRS, name=score.LOOKUP).value == pytest.approx(known, abs=1e-9)


def test_ranks_have_intervals_and_the_truth_is_first(answers, tmp_path):
    truth = answers.panel.expression
    noise = np.random.default_rng(1).normal(size=truth.shape)
    bundles = []
    for label, weight in (("Truth", 0.0), ("Noise", 1e9)):
        made, _ = submit.bundle_of(answers, truth + weight * noise, {}, SAID | {"label": label})
        bundles.append(made)
    board = score.standings(answers, bundles)
    best, worst = (board.row(name, score.RANK) for name in ("truth", "noise"))
    assert best["value"] == best["ci_low"] == best["ci_high"] == 1 and worst["value"] == 2
    assert board.row("truth", score.MEAN)["value"] == pytest.approx(1, abs=1e-4)
    assert abs(board.row("truth", score.PERMUTED)["value"]) < 0.4


def test_a_gene_left_out_counts_as_zero_and_is_said(answers, table, tmp_path):
    some = hf.submit("example", table.iloc[:4], tmp_path / "b.zip", **SAID)
    assert some.counts["genes of the task without a prediction, which count as r = 0"] == 2
    observed = answers.panel.expression
    r = [oracle.pearsonr(table.loc[g], observed.loc[g]).statistic for g in table.index[:4]]
    assert some.submission.mean_r == pytest.approx(sum(r) / 6, abs=1e-4)


def test_a_name_stands_once_on_a_board(answers, table, tmp_path):
    """A bundle takes the place of the board's of its name, when it is scored."""
    hf.submit("example", table, tmp_path / "b.zip", **SAID | {"label": "BLUP"})
    found = hf.score(tmp_path / "b.zip")
    assert found.ranked == len(score.submitted("example"))
    assert "BLUP" not in set(found.table["against"])
    one, _ = submit.bundle_of(answers, table, {}, SAID)
    with pytest.raises(HowfarError, match="two submissions named 'mine'"):
        score.standings(answers, [one, one])


# --- what is written -------------------------------------------------------------------------


def test_a_bundle_names_nobody_and_is_the_same_twice(answers, table, made, tmp_path):
    again = hf.submit("example", table, tmp_path / "b.zip", **SAID).path
    assert again.read_bytes() == made.read_bytes()
    with zipfile.ZipFile(made) as opened:
        content = b"".join(opened.read(name) for name in opened.namelist())
    for name in [*answers.people, *answers.genes]:
        assert name.encode() not in content


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e12])
def test_rounding_changes_no_r_by_5e_4(scale):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50, 80))
    x = scale * (1000 + np.where(rng.random(x.shape) < 0.02, 9, 1) * x)  # long tails
    kept = archive.read_array(archive.array_bytes(archive.rounded(x)))
    for a, b, c in zip(x, kept, y, strict=True):
        assert np.corrcoef(a, c)[0, 1] == pytest.approx(np.corrcoef(b, c)[0, 1], abs=5e-4)
    flat = np.full((1, 5), 0.1)
    assert (archive.rounded(flat) == flat).all()


def test_a_networks_and_a_linear_models_bundles_say_how_they_were_made(tmp_path):
    cohort = hf.example_cohort()
    network = hf.predict(cohort, hf.load_model("gc-content", context=8_192), bins="centre63")
    said = hf.submit("example", network, tmp_path / "n.zip").submission
    assert (said.kind, said.genes) == ("network", 6) and "bins: centre63" in said.made
    assert said.mark == "people perhaps, genes perhaps"
    linear = hf.submit("example", hf.fit_linear(cohort, "top1"), tmp_path / "l.zip").submission
    assert linear.kind == "linear" and "out of fold" in linear.made and linear.label == "Top SNP"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> tuple[Study, Path]:
    """The example cohort as an evaluated study, and its results folder."""
    cohort, results = hf.example_cohort(), tmp_path_factory.mktemp("results")
    fit = hf.fit_linear(cohort, "top1", folds=2)
    frames = {
        "individuals": individuals_table(cohort.panel(), [fit.predictions]),
        "runs": tables.validate("runs", pd.DataFrame([fit.run_row]), "test"),
    }
    tables.write_all(results, "example", frames, {})
    return cohort.study, results


def written_again(results: Path, to: Path, change) -> Path:
    """The evaluated study's two tables, changed, in another results folder."""
    names = ("individuals", "runs")
    frames = {n: tables.read(tables.path_of(results, "example", n), n) for n in names}
    tables.write_all(to, "example", change(frames), {})
    return to


def test_a_studys_run_is_submitted_by_the_studys_tables(evaluated, answers, tmp_path):
    study, results = evaluated
    made = submit.submit_run(study, "top1", tmp_path / "b.zip", results)
    said = made.submission
    assert (said.task, said.label, said.kind, said.people) == ("example", "Top SNP", "linear", 20)
    linear = hf.fit_linear(hf.example_cohort(), "top1", folds=2)
    kept = bundle.read(made.path, answers).frame(answers)
    for gene, row in linear.people.iterrows():
        assert np.corrcoef(row, kept.loc[gene, row.index])[0, 1] > 0.9999 or row.std() == 0
    with pytest.raises(HowfarError, match="--run: found 'none'; .*of people: top1"):
        submit.submit_run(study, "none", tmp_path / "b.zip", results)
    with pytest.raises(HowfarError, match="--task: .*one of geuvadis"):
        other = study.model_copy(update={"name": "mine"})
        submit.submit_run(other, "top1", tmp_path / "b.zip", results)
    with pytest.raises(HowfarError, match="howfar evaluate"):
        submit.submit_run(study, "top1", tmp_path / "b.zip", tmp_path)


def test_other_people_of_the_same_names_are_refused(evaluated, tmp_path):
    study, results = evaluated

    def turn(frames):
        names = frames["individuals"]["sample"].unique()
        turned = dict(zip(names, np.roll(names, 1), strict=True))
        rows = frames["individuals"]
        return frames | {"individuals": rows.assign(sample=rows["sample"].map(turned))}

    with pytest.raises(HowfarError, match="other people than the task's"):
        other = written_again(results, tmp_path, turn)
        submit.submit_run(study, "top1", tmp_path / "b.zip", other)


def test_values_under_terms_need_their_acceptance(evaluated, tmp_path):
    study, results = evaluated
    terms = "AlphaGenome model terms"
    under = written_again(
        results, tmp_path, lambda frames: frames | {"runs": frames["runs"].assign(licence=terms)}
    )
    with pytest.raises(HowfarError, match=f"values under the {terms}; .*accepted-for-research"):
        submit.submit_run(study, "top1", tmp_path / "b.zip", under)
    accepted = study.model_copy(update={"terms": "accepted-for-research"})
    made = submit.submit_run(accepted, "top1", tmp_path / "b.zip", under)
    assert made.submission.licence == terms


def changed(table: pd.DataFrame, change: str) -> pd.DataFrame:
    frame = table.copy()
    if change == "people":
        return frame.iloc[:, 1:]
    if change == "genes":
        return frame.set_axis([f"x{g}" for g in frame.index])
    if change == "twice":
        return pd.concat([frame, frame.iloc[:1]])
    if change == "text":
        return frame.astype(object).replace(frame.iloc[0, 0], "high")
    frame.iloc[1, 2] = np.nan if change == "hole" else np.inf
    return frame


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("people", "1 of the task's 20 people lacking"),
        ("genes", "none of the task's 6 genes"),
        ("twice", "1 genes? twice"),
        ("text", "cells that are no numbers"),
        ("hole", "1 values? missing or infinite"),
        ("infinite", "1 values? missing or infinite"),
    ],
)
def test_tables_that_cannot_be_submitted(table, tmp_path, change, says):
    with pytest.raises(HowfarError, match=says):
        hf.submit("example", changed(table, change), tmp_path / "b.zip", **SAID)
    assert not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"made": "by SAMPLE"}, "a person's identifier"),
        ({"made": "see /home/jane/x.pt"}, "a folder of a machine"),
        ({"label": "a|b"}, "--label: found 'a|b'; expected one line without"),
        ({"name": "../x"}, "--name: .*small letters"),
        ({"genes_seen": "never"}, "--genes-seen: found 'never'"),
        ({"kind": "tree"}, "--kind: found 'tree'"),
        ({"label": "x" * 81}, "--label: .*at most 80"),
    ],
)
def test_words_that_cannot_be_submitted(answers, table, tmp_path, said, says):
    words = {key: text.replace("SAMPLE", answers.people[0]) for key, text in said.items()}
    with pytest.raises(HowfarError, match=says):
        hf.submit("example", table, tmp_path / "b.zip", **SAID | words)


def test_private_people_and_values_under_terms_stay(study, tmp_path):
    private = OpenCohort(hf.example_cohort().study.model_copy(update={"individuals": "private"}))
    network = hf.predict(private, hf.load_model("gc-content", context=8_192), bins="centre63")
    with pytest.raises(HowfarError, match="individuals: private"):
        hf.submit("example", network, tmp_path / "b.zip")
    with pytest.raises(HowfarError, match="individuals: private"):
        submit.submit_run(study, "m", tmp_path / "b.zip", tmp_path, "example")
    answers = answers_of(task_of("example"), tmp_path)
    with pytest.raises(HowfarError, match="the MIT, which values of this network carry"):
        row = {"licence": "MIT", "kind": "network"}
        submit.bundle_of(answers, answers.panel.expression, row, {"licence": "CC0-1.0"})


# --- what is refused -------------------------------------------------------------------------


def forged(made: Path, to: Path, change, sign: bool) -> Path:
    """A bundle whose submission and values `change` has changed, sealed anew."""
    with zipfile.ZipFile(made) as opened:
        said = json.loads(opened.read("submission.json"))
        values = np.load(io.BytesIO(opened.read("predictions.npy")))
    said, values = change(said, values)
    content = archive.array_bytes(values)
    if sign:
        said["sha256"] = bundle.digest(said, content)
    text = json.dumps(said).encode()
    archive.write(to, {"submission.json": text, "predictions.npy": content})
    return to


FIELDS = sorted(set(Submission.model_fields) - {"sha256"})


@given(
    kind=st.sampled_from(["field", "more", "value", "row", "column", "people", "genes", "hash"]),
    field=st.sampled_from(FIELDS),
    new=st.one_of(st.text(max_size=9), st.integers(-3, 300), st.floats(-1, 1), st.none()),
    at=st.integers(0, 119),
    sign=st.booleans(),
)
@settings(max_examples=40)
def test_a_changed_bundle_is_refused_or_scores_the_same(
    made, scored, answers, tmp_path_factory, kind, field, new, at, sign
):
    gene, person = divmod(at, 20)

    def change(said, values):
        values = values.copy()
        if kind == "field":
            said = said | {field: new}
        elif kind == "more":
            said = said | {"rank": new}
        elif kind == "hash":
            said = said | {"sha256": str(new)}
        elif kind == "value":
            values[gene, person] += 0.5 if new is None else 1.0
        elif kind == "row":
            values = np.delete(values, gene, axis=0)
        elif kind == "column":
            values = np.delete(values, person, axis=1)
        elif kind == "people":
            values[:, [0, person]] = values[:, [person, 0]]
        else:
            values[[0, gene]] = values[[gene, 0]]
        return said, values

    path = forged(made, tmp_path_factory.mktemp("f") / "b.zip", change, sign and kind != "hash")
    try:
        found = hf.score(path).table
    except HowfarError as error:
        assert error.do and error.expected
        return
    numbers = found.drop(columns="name").reset_index(drop=True)
    pd.testing.assert_frame_equal(numbers, scored.drop(columns="name").reset_index(drop=True))


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=80)
def test_a_changed_byte_is_refused(made, tmp_path_factory, at, bit, cut):
    content = bytearray(made.read_bytes())
    at %= len(content)
    content[at] ^= 1 << bit
    path = tmp_path_factory.mktemp("bytes") / "b.zip"
    path.write_bytes(content[:at] if cut else content)
    with pytest.raises(HowfarError):
        hf.score(path)


def test_archives_of_others_are_refused(made, tmp_path):
    """Sealed, as anybody can: other members, a bomb, a pickle, no zip."""
    good = {
        name: zipfile.ZipFile(made).read(name) for name in ("submission.json", "predictions.npy")
    }
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    for name, files in {
        "more": good | {"x.txt": b""},
        "less": {"submission.json": good["submission.json"]},
        "turned": dict(reversed(good.items())),
        "pickle": good | {"predictions.npy": pickled.getvalue()},
        "text": good | {"submission.json": b"{"},
    }.items():
        archive.write(tmp_path / f"{name}.zip", files)
        with pytest.raises(HowfarError, match=f"{name}.zip.*howfar submit"):
            hf.score(tmp_path / f"{name}.zip")
    (tmp_path / "none.zip").write_text(sealed.BLANK)
    sealed.seal(tmp_path / "none.zip")
    for name in ("none.zip", "absent.zip"):
        with pytest.raises(HowfarError, match=name):
            hf.score(tmp_path / name)


def test_a_task_whose_answers_changed_scores_nothing(tmp_path):
    other = task_of("example").model_copy(update={"sha256": "0" * 64})
    with pytest.raises(HowfarError, match="task example: .*SHA-256"):
        answers_of(other, tmp_path)
    with pytest.raises(HowfarError, match="one of geuvadis"):
        task_of("none")


# --- what the project keeps ------------------------------------------------------------------


def test_kept_bundles_are_small_and_each_has_its_name():
    assert sum(path.stat().st_size for path in KEPT) < 3e6
    for path in KEPT:
        said = bundle.read_submission(path)
        assert path.name == said.file and said.licence != submit.NOT_STATED
        assert said.task_sha256 == task_of(said.task).sha256


@needs_mirror
def test_bundles_of_real_people_are_of_their_task(tmp_path):
    fetch_mirrored(["ceu89"], tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOWFAR_RESULTS", str(tmp_path))
        answers = answers_of(task_of("ceu89"), tmp_path)
    paths = score.submitted("ceu89")
    assert len(paths) >= 4 and answers.asked.shape == (80, 89)
    for path in paths:
        assert bundle.read(path, answers).submission.genes == 80


@pytest.mark.parametrize("name", [n for n, task in every_task().items() if task.answers == "kept"])
def test_kept_answers_are_those_of_their_task(name):
    answers = answers_of(task_of(name), Path("nowhere"))
    assert answers.truth is not None and not (answers.known & ~answers.asked).any()
    assert {"EUR", "AFR"} == set(answers.panel.groups)
    for path in score.submitted(name):
        assert bundle.read(path, answers).submission.genes == len(answers.genes)


@pytest.mark.parametrize(
    ("task", "folder", "runs"),
    [
        (
            "demo_kind",
            "kind",
            {
                **{"blup": "blup", "enet": "elastic-net-predixcan", "top1": "top-snp"},
                "demo-cage-a": "small-enformer",
            },
        ),
        ("demo_peaks", "peaks", {"blup": "blup", "demo-accessibility": "small-enformer"}),
    ],
)
def test_our_rows_are_the_books_correlations(task, folder, runs):
    """Of the committed tables; a constant prediction counts as r = 0."""
    rows = tables.read(ROOT / "data" / folder / "across.parquet", "across")
    for run_id, name in runs.items():
        of_run = (rows["run_id"] == run_id) & (rows["population"] == "pooled")
        r = rows.loc[of_run, "pearson"].fillna(0)
        said = bundle.read_submission(score.submissions_folder() / f"{task}.{name}.zip")
        assert said.mean_r == pytest.approx(r.mean(), abs=2e-4) and said.genes == len(r)


def run(*words: object) -> str:
    done = CliRunner().invoke(app.app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_commands_submit_and_score(table, tmp_path):
    table.rename_axis("gene_id").to_csv(tmp_path / "p.csv")
    words = ["--table", tmp_path / "p.csv", "--task", "example", "--label", "Mine"]
    out = run("submit", *words, "--out", tmp_path / "b.zip")
    assert "Mine, task example: 6 genes, 20 people, mean r across people" in out
    out = run("score", tmp_path / "b.zip", "--out", tmp_path / "s.csv")
    assert re.search(r"mean r across people, minus BLUP: -?\d\.\d{3} \(", out)
    assert set(pd.read_csv(tmp_path / "s.csv")["measure"]) >= {score.MEAN, score.RANK}
