"""What `howfar attribute` says of a gene: positions, people, kept blocks, and other libraries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import howfar as hf
from helpers import reduced_networks
from helpers.tiny import CONTEXT, CountLetters
from howfar.attribution import attribute as attribution
from howfar.attribution import gradients
from howfar.attribution.attribute import Question
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.results import tables


@pytest.mark.parametrize("gene", ["g1", "g2"])
def test_positions_and_letters_by_hand(study, gene):
    """The model counts G in its bins: each substitution to G adds one where a bin is read."""
    cohort, model = OpenCohort(study), CountLetters()
    found = hf.attribute(cohort, model, gene, window=CONTEXT, tracks=["G"], bins="centre1")
    tss = cohort.gene(gene).tss
    inside = found["G"] == 1
    assert (found["base"] == "A").all() and (found[["C", "T", "A"]] == 0).all(axis=None)
    assert inside.sum() == 8 and found.loc[inside, "pos"].between(tss - 8, tss + 8).all()
    on = hf.attribute(
        cohort, model, "g1", on="1:95:A:G", window=CONTEXT, tracks=["G"], bins="centre3"
    )
    row = on[on["pos"] == 95].iloc[0]
    # With the G put in, every other letter loses one.
    assert row["base"] == "G" and row[list("ACGT")].tolist() == [-1, -1, 0, -1]


def test_what_does_not_fit_is_an_error(study):
    cohort, model = OpenCohort(study), CountLetters()
    for wrong, text in (
        ({"window": CONTEXT + 1}, "Choose a smaller window"),
        ({"on": "1:1:A:G"}, "neither a person"),
        ({"method": "magic"}, "Correct --method"),
        ({"method": "gradient"}, "without gradients"),
        ({"method": "deeplift_shap"}, "without gradients"),
        ({"method": "attention"}, "no attention"),
    ):
        with pytest.raises(HowfarError, match=text):
            hf.attribute(cohort, model, "g1", tracks=["G"], **({"window": 10} | wrong))


def test_a_window_wider_than_one_side_is_moved_into_what_the_model_reads(study):
    cohort, model = OpenCohort(study), CountLetters()
    model.tss_index = lambda strand: 10
    found = hf.attribute(cohort, model, "g1", window=40, tracks=["G"])
    assert found["pos"].tolist() == list(range(91, 131))


def test_both_haplotypes_of_a_person_with_positions_of_the_reference(study):
    cohort, model = OpenCohort(study), CountLetters()
    found = hf.attribute(cohort, model, "g1", on="P2", window=CONTEXT, tracks=["G"])
    bases = found.pivot(index="pos", columns="haplotype", values="base")
    assert len(bases) == CONTEXT
    assert bases.loc[95].tolist() == ["G", "G"] and bases.loc[103].tolist() == ["A", "C"]
    assert (bases.drop([95, 103]) == "A").all(axis=None)
    lost = found[found["pos"] == 95]
    assert (lost[["A", "C", "T"]] == -1).all(axis=None) and (lost["G"] == 0).all()
    assert cohort.samples == ["P1", "P2", "P3", "P4"]


def test_what_was_cut_off_goes_on_and_gives_the_same(study, tmp_path, monkeypatch):
    monkeypatch.setattr(attribution, "BLOCK", 8)
    cohort, model, run = OpenCohort(study), CountLetters(), study.runs[0]
    question = Question(cohort.gene("g1"), window=40)
    calm = attribution.attribute_study(cohort, run, model, question, tmp_path / "calm")
    every, model.seen = model.seen, 0
    predict = CountLetters.predict

    def killed(self, windows, bins, tracks):
        if self.seen > 60:
            raise KeyboardInterrupt
        return predict(self, windows, bins, tracks)

    monkeypatch.setattr(CountLetters, "predict", killed)
    with pytest.raises(KeyboardInterrupt):
        attribution.attribute_study(cohort, run, model, question, tmp_path / "cut")
    monkeypatch.setattr(CountLetters, "predict", predict)
    first, model.seen = model.seen, 0
    again = attribution.attribute_study(cohort, run, model, question, tmp_path / "cut")
    pd.testing.assert_frame_equal(again, calm)
    blocks = 1 + 8 * 3  # predictions of a block: the window, and three for each base
    assert every == 5 * blocks and first > 2 * blocks and model.seen == 3 * blocks
    model.seen = 0
    attribution.attribute_study(cohort, run, model, question, tmp_path / "cut")
    assert model.seen == 0


def test_a_private_persons_attributions_stay_with_people(study, tmp_path):
    cohort, model, run = OpenCohort(study), CountLetters(), study.runs[0]
    question = Question(cohort.gene("g1"), on="P2", window=8)
    inside = tmp_path / "tiny" / "individuals" / "a.csv"
    attribution.require_place(cohort, question, inside, tmp_path)
    with pytest.raises(HowfarError, match="individuals: private"):
        attribution.require_place(cohort, question, tmp_path / "a.csv", tmp_path)
    attribution.attribute_study(cohort, run, model, question, tmp_path)
    kept = [p for p in tmp_path.rglob("*") if p.name in ("key.json", "1-28.npz")]
    assert len(kept) == 2 and all("individuals" in p.parts for p in kept)
    assert all(b"P2" not in p.read_bytes() for p in kept)
    public = OpenCohort(study.model_copy(update={"individuals": "public"}))
    attribution.require_place(public, question, tmp_path / "a.csv", tmp_path)


def test_the_main_variant_is_the_main_driver(study, tmp_path):
    cohort, model, run = OpenCohort(study), CountLetters(), study.runs[0]
    question = Question(cohort.gene("g1"), on="main_variant", window=20)
    with pytest.raises(HowfarError, match="no main driver of g1"):
        attribution.attribute_study(cohort, run, model, question, tmp_path)
    rows = {"run_id": run.id, "gene_id": "g1", "variant": ["1:103:A:C", "1:95:A:G"],
            "is_main": [False, True]}  # fmt: skip
    tables.write(tables.path_of(tmp_path, "tiny", "drivers"), "drivers", pd.DataFrame(rows), {})
    found = attribution.attribute_study(cohort, run, model, question, tmp_path)
    assert found.set_index("pos")["base"].drop(95).eq("A").all()
    assert found.set_index("pos").loc[95, "base"] == "G"


def test_a_dry_run_counts_predictions(study):
    cohort, model = OpenCohort(study), CountLetters()
    question = Question(cohort.gene("g1"), on="P2", window=10)
    row = attribution.estimate(cohort, study.runs[0], model, question).iloc[0]
    assert (row["sequences"], row["bases"], row["predictions"]) == (2, 10, 60)
    assert float(row["hours"]) < 0.01 and float(row["memory_GB"]) > 0.05


@pytest.fixture(scope="module")
def beluga(tmp_path_factory):
    return reduced_networks.load("beluga forward", tmp_path_factory.mktemp("beluga"))


def test_integrated_gradients_add_up_to_the_difference_from_n(beluga):
    window = reduced_networks.windows(beluga, 1)[0]
    found = gradients.integrated(beluga, [0], [2, 3], window)
    rows = np.stack([window, np.full_like(window, ord("N"))])
    ends = beluga.predict(rows, [0], [2, 3]).mean(axis=(1, 2), dtype=float)
    assert abs(ends[0] - ends[1]) > 1e-3
    assert found.sum() == pytest.approx(ends[0] - ends[1], rel=0.05)


def test_deeplift_adds_up_where_it_fits_and_is_refused_where_not(tmp_path, beluga):
    from tangermeme.ersatz import dinucleotide_shuffle

    model = reduced_networks.load("xpresso", tmp_path)
    window = reduced_networks.windows(model, 1)[0]
    found = gradients.deeplift_shap(model, [0], [0], window)
    x = model._table[torch.from_numpy(window[None].astype(np.int64))].transpose(1, 2)
    shuffled = dinucleotide_shuffle(x, n=gradients.REFERENCES, random_state=1)[0]
    letters = np.frombuffer(b"ACGT", np.uint8)[shuffled.argmax(dim=1).numpy()]
    wanted = model.predict(np.vstack([window[None], letters]), [0], [0])[:, 0, 0].astype(float)
    assert found.sum() == pytest.approx(wanted[0] - wanted[1:].mean(), rel=1e-3, abs=1e-5)
    assert (found[window[:, None] != np.frombuffer(b"ACGT", np.uint8)] == 0).all()
    with pytest.raises(HowfarError, match="contributions of"):
        gradients.deeplift_shap(beluga, [0], [2], reduced_networks.windows(beluga, 1)[0])
    with pytest.raises(HowfarError, match="not A, C, G or T"):
        gradients.deeplift_shap(model, [0], [0], reduced_networks.windows(model, 2)[1])


def test_attention_is_that_of_the_networks_own_modules(tmp_path, study):
    from enformer_pytorch.modeling_enformer import Attention

    model = reduced_networks.load("enformer", tmp_path)
    window = reduced_networks.windows(model, 1)[0]
    seen = []
    for module in model.network.modules():
        if isinstance(module, Attention):
            module.attn_dropout.register_forward_hook(lambda m, i, o: seen.append(o))
    with torch.inference_mode():
        one_hot = model._one_hot(torch.from_numpy(window[None]))
        model.network.transformer(
            model.network.conv_tower(model.network.stem(one_hot.transpose(1, 2))).transpose(1, 2)
        )
    wanted = torch.stack(seen, dim=1)[0]  # (layers, heads, bins, bins)
    found = model.attention(window, [3, 7])
    np.testing.assert_allclose(found, wanted[:, :, [3, 7]], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=3), 1, rtol=1e-5)
