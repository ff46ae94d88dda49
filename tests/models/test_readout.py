"""Weights of tracks: both studies' file layouts and recipes by hand, and a run that takes them."""

import numpy as np
import pytest

from helpers.tiny import BIN, CONTEXT, CountLetters, make_study
from howfar.core.errors import HowfarError
from howfar.models.readout import Readout, TrackReadout, read_readout
from howfar.prediction.run import open_model, predict
from howfar.prediction.store import collect, find_store
from howfar.study.schema import Run

TABLE = "tracks,weights\nG,0.5\nC,-2\noffset,3.25\n"


def file_of(folder, text=TABLE):
    path = folder / "weights.csv"
    path.write_text(text)
    return path


def by_hand(windows, recipe):
    """Three bins around the middle one (five for Sasse), as the two papers say."""
    reach = 1 if recipe == "sagenet2024" else 2
    low, high = (CONTEXT // 2 // BIN - reach) * BIN, (CONTEXT // 2 // BIN + reach + 1) * BIN
    out = []
    for window in windows:
        bins = np.array([list(window[i : i + BIN]) for i in range(low, high, BIN)])
        counts = np.stack([(bins == ord(letter)).sum(1) for letter in "GC"], axis=1)
        logs = np.log(1 + counts).sum(0) if reach == 1 else np.log(counts.sum(0)) / np.log(2)
        out.append(0.5 * logs[0] - 2 * logs[1] + 3.25)
    return np.array(out)


@pytest.mark.parametrize("recipe", ["sagenet2024", "sasse2023"])
def test_each_recipe_by_hand(tmp_path, recipe):
    rng = np.random.default_rng(1)
    windows = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, (6, CONTEXT))]
    model = TrackReadout(CountLetters(), read_readout(file_of(tmp_path), CountLetters(), recipe))
    assert model.tss_bin("+") == model.tss_bin("-") == 0 and model.layout.n_bins == 1
    found = model.predict(windows, [0], [0])
    assert found.shape == (6, 1, 1)
    np.testing.assert_allclose(found[:, 0, 0], by_hand(windows, recipe), rtol=1e-6)


def test_sage_nets_arrays_and_tracks_without_weight(tmp_path):
    np.save(tmp_path / "coef.npy", np.array([0.0, 2.0]))
    np.save(tmp_path / "intercept.npy", np.array(1.5))

    class Asked(CountLetters):
        def predict(self, windows, bins, tracks):
            assert list(tracks) == [1]  # the other has no weight
            return super().predict(windows, bins, tracks)

    readout = read_readout(tmp_path / "coef.npy", Asked(), "sagenet2024")
    window = np.full((1, CONTEXT), ord("A"), np.uint8)
    window[0, CONTEXT // 2] = ord("C")
    found = TrackReadout(Asked(), readout).predict(window, [0], [0])
    assert found[0, 0, 0] == pytest.approx(1.5 + 2 * np.log(2))


def test_bins_that_differ_by_strand_stay_apart():
    class Shifted(CountLetters):  # as Basenji2: the TSS base ends a bin on '+', begins one on '-'
        def tss_index(self, strand):
            return CONTEXT // 2 - (strand == "+")

    readout = Readout(np.array([1.0, 0.0]), 0.0, "sagenet2024", "centre1")
    model = TrackReadout(Shifted(), readout)
    window = np.full((1, CONTEXT), ord("A"), np.uint8)
    window[0, CONTEXT // 2 :] = ord("G")
    found = {s: model.predict(window, [model.tss_bin(s)], [0])[0, 0, 0] for s in "+-"}
    assert found["+"] == 0 and found["-"] == pytest.approx(np.log(1 + BIN))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tracks,weights\nG,0.5\nT,-2\noffset,3\n", "track 1: 'T' against 'C'"),
        ("tracks,weights\nG,0.5\noffset,3\n", "weights of 1 track; count has 2"),
        ("tracks,weights\nG,0.5\nC,nan\noffset,3\n", "isn't finite"),
        ("tracks,weights\nG,0.5\nC,1\n", "last row"),
        ("name,weight\n", "header"),
    ],
)
def test_weights_of_other_tracks_are_refused(tmp_path, text, words):
    with pytest.raises(HowfarError, match=words):
        read_readout(file_of(tmp_path, text), CountLetters(), "sagenet2024")


def test_a_run_with_a_readout_predicts_people_and_is_another_run(tmp_path):
    study = make_study(tmp_path)
    plain = study.runs[0]
    given = plain.model_dump() | {"readout": {"weights": file_of(tmp_path)}}
    given |= {"tracks": None, "bins": None, "transform": ["mean_bins", "mean_tracks"]}
    run = Run.model_validate(given | {"transform": [*given["transform"], "mean_haplotypes"]})
    assert open_model(run).weights_sha256 != open_model(plain).weights_sha256
    made = predict(study, run, tmp_path / "results")
    people, reference, _ = collect(made.store, made.genes, made.cohort.samples, run.transform)
    for gene in made.genes:
        windows = made.cohort.windows(gene, CONTEXT)
        hand = by_hand(windows.sequences, "sagenet2024")[windows.index].mean(axis=1)
        np.testing.assert_allclose(people.loc[gene.gene_id], hand, rtol=1e-6)
    assert reference.nunique() == 1  # a reference of A alone
    other = run.model_copy(update={"readout": run.readout.model_copy(update={"recipe": "x"})})
    assert find_store(made.cohort, run, tmp_path / "results") is not None
    assert find_store(made.cohort, other, tmp_path / "results") is None
    assert find_store(made.cohort, plain, tmp_path / "results") is None
    with pytest.raises(ValueError, match="either `tracks` or `readout`"):
        Run.model_validate(run.model_dump() | {"tracks": [0]})
