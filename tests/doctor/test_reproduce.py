"""Verification picks the one candidate that made the published numbers, and refuses the others."""

import json

import numpy as np
import pandas as pd
import pytest

from howfar.core.errors import HowfarError
from howfar.doctor import report, reproduce, verdicts
from howfar.doctor.reproduce import (
    _ONE_OFF,
    _PLAIN,
    _SHIFTED,
    _STRANDS,
    NEEDS,
    RECIPES,
    SCALES,
    SEQUENCE,
    Recipe,
    _own,
    _view,
)
from howfar.fetch import fetching
from howfar.models import base
from howfar.models.registry import MODELS, load_model
from howfar.published import huang2023
from howfar.published.files import Files

GENES = pd.DataFrame(
    [
        ("E1", "20", 1_000_300, "ONE", "+"),
        ("E2", "20", 1_001_000, "TWO", "-"),
        ("E3", "20", 1_001_500, "THREE", "+"),
        ("E4", "20", 1_000_020, "EDGE", "+"),  # its window reaches past the megabase
        ("E5", "1", 1_000_700, "ELSEWHERE", "+"),
        ("E6", "20", 2_700_000, "BEYOND", "+"),
    ]
)
CONTEXT, BIN = 128 * 2, 8


class Letters(base.SequenceModel):
    """32 bins of 8 bp, two tracks: a number that depends on each base and its place."""

    name, units, weights_sha256 = "letters", "toys", "0" * 64
    layout = base.Layout(CONTEXT, BIN, CONTEXT // BIN)
    tracks = pd.DataFrame({"description": ["one", "two"]})

    def __init__(self, name="", weights=None, device="cpu", *, scale=1.0, n_value=0.25, **options):
        self.scale, self.options = scale, options
        self._table = base.encoding_table(n_value).astype(float)

    def predict(self, windows, bins, tracks):
        letters = self._table[windows] @ [1.0, 2.5, 4.2, 7.1]
        places = 1 + np.arange(CONTEXT) % 5
        per_bin = (letters * places).reshape(len(windows), -1, BIN).sum(2) * self.scale
        values = np.stack([per_bin, np.exp(per_bin / 20)], axis=-1)
        return values[:, list(bins)][:, :, list(tracks)].astype(np.float32)


RECIPE = Recipe(
    {"own": _own(0), "one to the left": _own(-1)},
    tolerance=1e-3,
    views=_STRANDS | _SHIFTED,
    scales=tuple(SCALES),
    n_values=(0.25, 0.0),
    track=1,
)


class Scalar(Letters):
    """One bin, reads the gene's strand."""

    layout = base.Layout(CONTEXT, CONTEXT, 1)
    oriented = True

    def predict(self, windows, bins, tracks):
        return super().predict(windows, range(32), tracks).mean(axis=1, keepdims=True)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A function that writes the megabase and the published table, and gives `verify`'s options."""
    monkeypatch.setitem(RECIPES, "enformer", RECIPE)
    scalar = Recipe({"own": _own(0)} | _ONE_OFF, 1e-6, absolute=True)
    monkeypatch.setitem(RECIPES, "xpresso", scalar)

    def write(published: dict[str, float], column="Enformer", n_at=()):
        letters = np.random.default_rng(3).choice(list("ACGT"), 2000)
        letters[list(n_at)] = "N"
        (tmp_path / "region").mkdir(exist_ok=True)
        (tmp_path / "huang2023").mkdir(exist_ok=True)
        (tmp_path / SEQUENCE).write_text(">z\n" + "".join(letters) + "\n")
        GENES.to_csv(tmp_path / huang2023.GENES, header=False, index=False)
        table = pd.Series(published, name=column).rename_axis("gene")
        table.to_csv(tmp_path / huang2023.PREDICTIONS)
        files = Files(NEEDS, "toy", tmp_path, verify=False)
        return {"weights": "w", "folder": tmp_path, "device": "cpu", "files": files}

    return write


ONES = {name.lower(): 1.0 for name in GENES[3]}


def made_by(world, *, load=Letters, name="enformer", n_at=(), **candidate) -> dict[str, float]:
    """The values that the candidate of that description gives, by gene."""
    column = MODELS[name].card.published
    table = reproduce.verify(name, load=load, **world(ONES, column, n_at)).table
    hits = table[np.all([table[k] == v for k, v in candidate.items()], axis=0)]
    assert len(hits) == 1, hits
    return hits.iloc[0][["one", "two", "three"]].astype(float).to_dict()


CANDIDATES = [
    {"place": "own", "views": "forward strand", "bins": "mean of all bins", "scale": "linear"},
    {"place": "own", "views": "both strands", "bins": "mean of bins 11..20", "scale": "ln"},
    {"place": "one to the left", "views": "forward strand", "bins": "mean of bins 15..17",
     "scale": "linear"},
    {"place": "own", "views": "both strands, shifts 1, 0, -1", "bins": "mean of bins 11..20",
     "scale": "log2 before the mean"},
    {"place": "one to the left", "views": "both strands", "bins": "largest bin",
     "scale": "ln(1 + x)"},
    {"place": "own", "views": "forward strand, shifts 1, 0, -1", "bins": "bin 16",
     "scale": "log10"},
]  # fmt: skip


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_the_candidate_that_made_the_numbers_is_picked_and_no_other(world, candidate):
    published = made_by(world, **candidate)
    found = reproduce.verify("enformer", load=Letters, **world(published))
    assert found.verified and found.difference < 1e-6
    assert len(found.fitting) == 1
    best = found.table.iloc[0]
    assert {key: best[key] for key in candidate} == candidate
    assert list(found.published.index) == ["one", "two", "three"]
    text = found.summary()
    assert "verified: 1 candidate" in text and candidate["scale"] in text
    assert "how N is read can't be told" in text


def test_values_are_those_of_an_independent_computation(world):
    """Windows, strands and shifts, by hand for one gene and one candidate."""
    given = made_by(world, **CANDIDATES[3])
    letters = np.random.default_rng(3).choice(list("ACGT"), 2000)
    start = 1000 - 1 - CONTEXT // 2
    window = "".join(letters[start : start + CONTEXT])
    turn = str.maketrans("ACGT", "TGCA")
    total = np.zeros(32)
    for view in ("N" + window[:-1], window, window[1:] + "N"):
        for turned in (False, True):
            text = view.translate(turn)[::-1] if turned else view
            rows = np.frombuffer(text.encode(), np.uint8)[None]
            one = Letters().predict(rows, range(32), [1])[0, :, 0]
            total += one[::-1] if turned else one
    assert given["two"] == pytest.approx(np.log2(total / 6)[11:21].mean(), rel=1e-6)


def test_the_strand_of_the_gene_is_read_where_the_model_reads_it(world):
    given = made_by(world, load=Scalar, name="xpresso", place="own")
    letters = np.random.default_rng(3).choice(list("ACGT"), 2000)
    end = 1000 + CONTEXT // 2  # TSS base at index 128 of the reverse complement
    window = "".join(letters[end - CONTEXT : end]).translate(str.maketrans("ACGT", "TGCA"))[::-1]
    rows = np.frombuffer(window.encode(), np.uint8)[None]
    assert given["two"] == pytest.approx(Scalar().predict(rows, [0], [0])[0, 0, 0], rel=1e-6)
    options = world(given, "Xpresso")
    assert reproduce.verify("xpresso", load=Scalar, **options).verified
    moved = {gene: value + 1e-4 for gene, value in given.items()}
    found = reproduce.verify("xpresso", load=Scalar, **world(moved, "Xpresso"))
    assert not found.verified and found.difference == pytest.approx(1e-4, rel=0.01)


def test_other_weights_do_not_fit(world):
    published = made_by(world, **CANDIDATES[0])

    def other(*args, **options):
        return Letters(*args, scale=1.01, **options)

    found = reproduce.verify("enformer", load=other, **world(published))
    assert not found.verified and found.difference > RECIPE.tolerance
    assert "does not fit" in found.summary()
    one_gene = published | {"two": published["two"] * 1.01}
    assert not reproduce.verify("enformer", load=Letters, **world(one_gene)).verified


def test_how_n_is_read_is_tried_where_there_is_n(world):
    at = range(900, 1100)
    candidate = CANDIDATES[0] | {"n": "N is 0 in each channel"}
    published = made_by(world, n_at=at, **candidate)
    found = reproduce.verify("enformer", load=Letters, **world(published, n_at=at))
    assert found.fitting["n"].tolist() == ["N is 0 in each channel"]
    assert "can't be told" not in found.summary()


def test_too_few_genes_and_unknown_models_are_refused(world):
    with pytest.raises(HowfarError, match=r"1 gene\(s\) with the whole window"):
        reproduce.verify("enformer", load=Letters, **world({"one": 1.0}))
    with pytest.raises(HowfarError, match="without published reference predictions"):
        reproduce.verify("borzoi", load=Letters, **world(ONES))


def test_missing_weights_say_what_to_run(world, tmp_path):
    options = world(ONES) | {"weights": None}
    with pytest.raises(HowfarError, match="howfar fetch enformer"):
        reproduce.verify("enformer", load=Letters, **options)


def test_the_verdict_is_what_is_recorded(world, tmp_path):
    published = made_by(world, **CANDIDATES[1])
    found = reproduce.verify("enformer", load=Letters, **world(published))
    kept = json.loads(verdicts.keep("enformer", found.outcome(), tmp_path).read_text())
    assert kept["verified"] and "mean of bins 11..20; ln" in kept["candidate"]
    assert kept["weights_sha256"] == "0" * 64 and kept["genes"] == ["one", "two", "three"]
    assert verdicts.state("enformer", tmp_path).startswith("verified (relative difference")


def test_views_are_averaged_as_basenji2_averages_them(shared):
    pytest.importorskip("howfar.models.zoo.basenji2")
    folder = shared / "oracles" / "basenji2"
    params = {"params": folder / "params_reduced.json"}
    plain = load_model("basenji2", folder / "reduced.h5", "cpu", **_PLAIN, **params)
    averaging = load_model("basenji2", folder / "reduced.h5", "cpu", **params)
    context, n_bins = plain.layout.context, plain.layout.n_bins
    windows = np.random.default_rng(2).choice(np.frombuffer(b"ACGTN", np.uint8), (2, context))
    total = 0
    for view in RECIPES["basenji2"].views["both strands, shifts 1, 0, -1"]:
        values = plain.predict(_view(windows, view), range(n_bins), [3])
        total = total + (values[:, ::-1] if view[0] else values)
    expected = averaging.predict(windows, range(n_bins), [3])
    np.testing.assert_allclose(total / 6, expected, rtol=1e-5)


# --- Xpresso, whose weights are public -----------------------------------------------------------


@pytest.fixture
def fetched(shared, tmp_path, monkeypatch):
    """A results folder with Xpresso's weights, the published predictions and the megabase."""
    pytest.importorskip("howfar.models.zoo.xpresso")
    monkeypatch.setenv("HOWFAR_MIRROR", str(shared / "mirror"))
    words = [*MODELS["xpresso"].sources, *NEEDS]
    assert fetching.fetch(words, tmp_path / "sources", progress=False).ok
    return tmp_path


def test_xpresso_reproduces_its_published_predictions(fetched):
    text, fits = report.verified("xpresso", None, "cpu", fetched)
    assert fits, text
    kept = verdicts.recorded("xpresso", fetched)
    assert kept["genes"] == ["fkbp1a", "sdcbp2", "psmf1", "sdcbp2-as1"]
    assert kept["largest_difference"] < 1e-6 and kept["fitting"] == 1
    assert kept["candidate"] == "TSS at 6,999"
    assert verdicts.state("xpresso", fetched).startswith("verified (absolute difference")


def test_the_other_xpresso_does_not_fit(fetched):
    other = fetched / "sources" / "models" / "humanMedian_trainepoch.11-0.426.h5"
    text, fits = report.verified("xpresso", other, "cpu", fetched)
    assert not fits and "does not fit" in text
    assert verdicts.recorded("xpresso", fetched) is None  # not the fetched default: no record
