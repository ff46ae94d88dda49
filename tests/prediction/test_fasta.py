"""Predictions for plain sequences: what is written, what is refused, and the authors' outputs."""

import gzip
import json

import numpy as np
import pandas as pd
import pysam
import pytest
from typer.testing import CliRunner

from howfar.cli import app
from howfar.core.errors import HowfarError
from howfar.models import base
from howfar.prediction import fasta as plain_sequences
from howfar.prediction.fasta import IUPAC, chosen_bins, chosen_tracks, parse_options, predict_fasta

CONTEXT, BIN = 24, 8
DESCRIPTIONS = ["CAGE:liver", "CAGE:brain, adult", "DNASE:liver", "CAGE:liver"]


class Count(base.SequenceModel):
    """Per bin: A, C, G, T; refuses windows that start with TTT, as a model may."""

    name, units, weights_sha256 = "count", "letters", "0" * 64
    layout = base.Layout(CONTEXT, BIN, CONTEXT // BIN)
    tracks = pd.DataFrame({"description": DESCRIPTIONS})

    def predict(self, windows, bins, tracks):
        for row, window in enumerate(windows, 1):
            if window.tobytes().upper().startswith(b"TTT"):
                raise HowfarError(f"sequence {row}, base 1", found="TTT", expected="x", do="y.")
        letters = base.encoding_table()[windows].reshape(len(windows), -1, BIN, 4).sum(2)
        return letters[:, list(bins)][:, :, list(tracks)] / np.float32(3)


def write(path, sequences: dict[str, str], width=10):
    lines = []
    for name, text in sequences.items():
        lines += [f">{name} a comment", *(text[i : i + width] for i in range(0, len(text), width))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def run(tmp_path):
    """A function from sequences and options to the table that is written."""

    def predict(sequences, **options):
        fasta = write(tmp_path / "s.fa", sequences)
        rows = predict_fasta(Count(), fasta, tmp_path / "o.csv", **options)
        frame = pd.read_csv(tmp_path / "o.csv", index_col="sequence", dtype={"sequence": str})
        assert rows == len(frame) == len(sequences)
        return frame

    return predict


SEQUENCES = {
    f"s{i}": "".join(row)
    for i, row in enumerate(np.random.default_rng(1).choice(list("ACGTacgtN"), (40, CONTEXT)))
}
SEQUENCES = {k: "A" + v[1:] for k, v in SEQUENCES.items()}


def test_every_value_is_in_its_place(run):
    frame = run(SEQUENCES)
    assert list(frame.index) == list(SEQUENCES) and frame.shape == (40, 12)
    for name, text in SEQUENCES.items():
        for b in range(3):
            part = text[8 * b : 8 * b + 8].upper()
            a, c, g, t = (np.float32(part.count(x)) / np.float32(3) for x in "ACGT")
            assert np.float32(frame.loc[name, f"CAGE:liver (track 0), bin {b}"]) == a
            assert np.float32(frame.loc[name, f"CAGE:brain, adult, bin {b}"]) == c
            assert np.float32(frame.loc[name, f"DNASE:liver, bin {b}"]) == g
            assert np.float32(frame.loc[name, f"CAGE:liver (track 3), bin {b}"]) == t


@pytest.mark.parametrize(
    ("tracks", "numbers"),
    [
        (["all"], [0, 1, 2, 3]),
        (["2,0"], [2, 0]),
        (["CAGE:brain, adult"], [1]),
        (["CAGE:liver"], [0, 3]),
        (["^DNASE"], [2]),
        (["liver$", "1", "0"], [0, 2, 3, 1]),
    ],
)
def test_tracks_by_number_description_and_expression(tracks, numbers):
    assert chosen_tracks(Count(), tracks) == numbers


@pytest.mark.parametrize(
    ("rule", "bins"),
    [("all", [0, 1, 2]), ("centre1", [1]), ("centre2", [0, 1]), ("0..1", [0, 1]), ("2,0", [2, 0])],
)
def test_bins(rule, bins):
    assert chosen_bins(Count(), rule) == bins


def test_one_bin_and_one_track_is_one_plain_column(run):
    assert list(run(SEQUENCES, tracks=["2"], bins="centre1").columns) == ["DNASE:liver"]


def test_iupac_letters_only_where_the_model_knows_them(run):
    sequences = {"x": "R" + "A" * 23}
    assert run(sequences, letters=IUPAC).iloc[0, 0] == pytest.approx(7.5 / 3)
    with pytest.raises(
        HowfarError, match=r"sequence 'x' \(number 1\), base 1: found the letter 'R'"
    ):
        run(sequences)


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ({"a": "A" * 24, "b": "A" * 23}, r"'b' \(number 2\): found 23 bases; expected 24"),
        ({"a": "A" * 25}, "found 25 bases"),
        ({"a": ""}, "found 0 bases"),
        ({"a": "A" * 20 + "-AAA"}, r"base 21: found the letter '-'"),
        ({"a": "A" * 23 + "U"}, r"base 24: found the letter 'U'"),
        ({"a": "A" * 24, "b": "C" * 24, "a ": "A" * 24}, "used before"),
        ({}, "no sequence"),
    ],
)
def test_bad_sequences_are_named_and_nothing_is_written(run, tmp_path, sequences, message):
    with pytest.raises(HowfarError, match=message):
        run(sequences)
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"s.fa"}


def test_what_the_model_refuses_is_named_by_the_sequence(run, tmp_path):
    with pytest.raises(HowfarError, match=r"sequence 's21' \(sequence 1, base 1\): found TTT"):
        run(SEQUENCES | {"s21": "TTT" + "A" * 21})
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"s.fa"}


def test_values_that_are_not_finite_are_named_by_the_sequence(run, tmp_path, monkeypatch):
    plain = Count.predict

    def infinite(self, windows, *where):
        """Infinite for windows of G alone."""
        only = (windows == ord("G")).all(axis=1)[:, None, None]
        return np.where(only, np.float32(np.inf), plain(self, windows, *where))

    monkeypatch.setattr(Count, "predict", infinite)
    message = r"sequence 's21' \(model count\): found \d+ values that are not finite"
    with pytest.raises(HowfarError, match=message):
        run(SEQUENCES | {"s21": "G" * CONTEXT})
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"s.fa"}


@pytest.mark.parametrize("content", [b"", b"no fasta at all", b"@r\nACGT\n+\nIIII\n", b"\xff\xfe>"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "s.fa").write_bytes(content)
    with pytest.raises(HowfarError, match=r"s\.fa"):
        predict_fasta(Count(), tmp_path / "s.fa", tmp_path / "o.csv")
    with pytest.raises(HowfarError, match="no such file"):
        predict_fasta(Count(), tmp_path / "none.fa", tmp_path / "o.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tracks": ["kidney"]}, "no track whose description"),
        ({"tracks": ["("]}, "nor a regular expression"),
        ({"tracks": ["4"]}, "none with that number"),
        ({"bins": "3"}, "bins from 0 to 2"),
        ({"bins": "middle"}, "centreK"),
    ],
)
def test_bad_choices_are_named(run, options, message):
    with pytest.raises(HowfarError, match=message):
        run(SEQUENCES, **options)


def test_too_many_columns_are_refused(run, monkeypatch):
    monkeypatch.setattr(plain_sequences, "MOST_COLUMNS", 11)
    with pytest.raises(HowfarError, match="4 tracks in 3 bins"):
        run(SEQUENCES)


def test_a_compressed_file_is_read(tmp_path):
    text = write(tmp_path / "s.fa", SEQUENCES).read_bytes()
    (tmp_path / "s.fa.gz").write_bytes(gzip.compress(text))
    for name in ("s.fa", "s.fa.gz"):
        predict_fasta(Count(), tmp_path / name, tmp_path / f"{name}.csv")
    assert (tmp_path / "s.fa.csv").read_text() == (tmp_path / "s.fa.gz.csv").read_text()


def test_options_are_read_as_yaml():
    words = ["rc=true", "shifts=[1, 0, -1]", "params=a/b.json", "n_value=0.25"]
    assert parse_options(words) == {
        "rc": True, "shifts": [1, 0, -1], "params": "a/b.json", "n_value": 0.25,
    }  # fmt: skip
    for word in ("rc", "=1", "a b=1", "x=[1"):
        with pytest.raises(HowfarError, match="key=value"):
            parse_options([word])


def test_a_model_of_ones_own_through_the_command_line(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        f"from {__name__} import Count\n\n\ndef load(weights, device, factor=1):\n"
        "    assert factor == 2 and device == 'cpu' and weights is None\n    return Count()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    fasta, out = write(tmp_path / "s.fa", SEQUENCES), tmp_path / "deep" / "o.csv"
    words = ["predict-sequences", "--model", "mine:load", "--fasta", fasta, "--csv", out,
             "--device", "cpu", "--options", "factor=2", "--tracks", "1", "--bins",
             "centre1"]  # fmt: skip
    done = CliRunner().invoke(app.app, list(map(str, words)))
    assert done.exit_code == 0 and "40 sequences" in done.output
    assert list(pd.read_csv(out).columns) == ["sequence", "CAGE:brain, adult"]


# --- the original authors' outputs ------------------------------------------------------------


def predicted(tmp_path, **options) -> pd.DataFrame:
    words = ["predict-sequences", "--csv", tmp_path / "o.csv", "--device", "cpu"]
    for key, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{key}", one]
    done = CliRunner().invoke(app.app, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0
    return pd.read_csv(tmp_path / "o.csv", index_col="sequence")


@pytest.fixture
def oracles(shared):
    return shared / "oracles"


@pytest.mark.parametrize("part", ["forward", "reverse", "strand_mean"])
def test_beluga_gives_the_authors_values(oracles, tmp_path, part):
    pytest.importorskip("howfar.models.zoo.beluga")
    folder = oracles / "expecto"
    expected = np.load(folder / "beluga_reduced_expected.npz")
    strands = {"forward": "forward", "reverse": "reverse", "strand_mean": "both"}[part]
    frame = predicted(
        tmp_path, model="beluga", weights=folder / "beluga_reduced.pth",
        fasta=folder / "beluga_reduced.fa", options=f"strands={strands}",
    )  # fmt: skip
    assert list(frame.index) == list(expected["ids"])
    np.testing.assert_allclose(frame.to_numpy(), expected[part], rtol=0, atol=1e-5)


@pytest.mark.parametrize("weights", ["reduced.h5", "reduced_weights_only.h5"])
def test_basenji2_gives_the_authors_values(oracles, tmp_path, weights):
    pytest.importorskip("howfar.models.zoo.basenji2")
    folder = oracles / "basenji2"
    expected = np.load(folder / "reduced_expected.npz")
    views = {
        "forward": ["rc=false", "shifts=[0]"],
        "ensemble_rc": ["rc=true", "shifts=[0]"],
        "ensemble_shifts": ["rc=false", "shifts=[1,0,-1]"],
        "ensemble_rc_shifts": [],
    }
    for part in ["ensemble_rc_shifts"] if "only" in weights else views:
        options = views[part]
        frame = predicted(
            tmp_path, model="basenji2", weights=folder / weights, fasta=folder / "reduced.fa",
            options=[f"params={folder / 'params_reduced.json'}", *options],
        )  # fmt: skip
        assert list(frame.index) == list(expected["ids"])
        values = frame.to_numpy().reshape(expected[part].shape)
        np.testing.assert_allclose(values, expected[part], rtol=0, atol=1e-4)


def test_xpresso_gives_the_authors_values(oracles, tmp_path):
    pytest.importorskip("howfar.models.zoo.xpresso")
    folder = oracles / "xpresso"
    expected = pd.read_csv(folder / "synthetic_expected.csv")
    halves = [f"hl{i}" for i in range(1, 7)]
    with pysam.FastxFile(str(folder / "synthetic.fa")) as records:
        sequences = {record.name: record.sequence for record in records}

    def one(tmp_path, name):
        return write(tmp_path / "one.fa", {name: sequences[name]}, width=20_000)

    zero = (expected[halves] == 0).all(axis=1)
    for file in folder.glob("*.h5"):
        of_model = expected["model"].map(lambda name, file=file: file.name.startswith(name))
        frame = predicted(tmp_path, model="xpresso", weights=file, fasta=folder / "synthetic.fa")
        authors = expected[of_model & zero].set_index("id")["prediction"]
        assert len(authors) == 24 and set(authors.index) == set(frame.index)
        np.testing.assert_allclose(frame.iloc[:, 0], authors[frame.index], rtol=0, atol=1e-5)
        for row in expected[of_model & ~zero].itertuples():
            given = json.dumps([getattr(row, h) for h in halves])
            frame = predicted(
                tmp_path, model="xpresso", weights=file, fasta=one(tmp_path, row.id),
                options=[f"half_life={given}", "batch_size=1"],
            )  # fmt: skip
            assert frame.loc[row.id].iloc[0] == pytest.approx(row.prediction, abs=1e-5)


@pytest.mark.parametrize("rule", ["0..99999999999999", "centre999999999999", "1,1", "centre²"])
def test_bins_that_cannot_be_are_refused_at_once(rule):
    with pytest.raises(HowfarError):
        chosen_bins(Count(), rule)


@pytest.mark.parametrize("word", ["device=cpu", "weights=w", "name=x"])
def test_options_of_the_command_are_none_of_the_model(word):
    with pytest.raises(HowfarError, match="an option of the model itself"):
        parse_options([word])
