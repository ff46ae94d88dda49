"""Predictions with a model whose output can be worked out by hand: it counts letters."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from helpers.tiny import CountLetters
from howfar import genome
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance
from howfar.core.errors import HowfarError
from howfar.prediction import run as running
from howfar.prediction import store as storing
from howfar.prediction import transform
from howfar.prediction.raw import RAW, raw_table
from howfar.prediction.transform import check_transform


class Oriented(CountLetters):
    name, oriented = "oriented", True

    def tss_index(self, strand):
        return 10


def run(study, results, **kw):
    done = running.predict(study, study.runs[0], results, **kw)
    samples, steps = done.cohort.samples, study.runs[0].transform
    return done.store, *storing.collect(done.store, done.genes, samples, steps)[:2]


def test_a_person_is_the_mean_of_two_haplotypes_around_the_tss(study, model, results_folder):
    _, people, reference = run(study, results_folder)
    # g1's TSS is base 0 of bin 4 (positions 101..108): centre3 is 93..116, so both SNVs count
    assert people.loc["g1"].to_dict() == {"P1": 0.5, "P2": 1.0, "P3": 0.0, "P4": 0.0}
    assert people.loc["g2"].to_dict() == {"P1": 1.0, "P2": 0.0, "P3": 0.0, "P4": 0.5}
    assert (reference == 0).all()


def test_each_distinct_haplotype_is_scored_once_and_never_again(study, model, results_folder):
    run(study, results_folder)
    # g1: reference + {none, G, G+C}; g2: reference + {none, G}; windows reach 32 bp only
    assert model.seen == 4 + 3
    run(study, results_folder)
    assert model.seen == 7


def test_a_gene_id_leads_to_no_other_folder(study, model, results_folder, tmp_path):
    _, plain, _ = run(study, results_folder)
    outside = tmp_path / "outside"
    for role in ("genes", "expression"):
        path = getattr(study.cohort, role)
        text = path.read_text().replace("g1,", f"{outside},").replace("g2,", "../g2,")
        path.write_text(text)
    store, odd, _ = run(study, results_folder)
    assert list(odd.index) == [str(outside), "../g2"] and (odd.values == plain.values).all()
    assert len(list(store.path.glob("*.npz"))) == 2 and not outside.exists()
    assert all(path.is_dir() for path in store.path.parent.iterdir())


def test_one_gene_or_contig_alone_gives_the_same_values(study, model, results_folder, tmp_path):
    _, whole, _ = run(study, results_folder)
    _, alone, _ = run(study, tmp_path / "alone", gene="g2")
    assert list(alone.index) == ["g2"] and alone.loc["g2"].equals(whole.loc["g2"])
    with pytest.raises(HowfarError, match="no gene 'g9' among 2"):
        run(study, results_folder, gene="g9")
    with pytest.raises(HowfarError, match=r"genes.csv, contig '7': found no such contig"):
        run(study, results_folder, chrom="7")


def test_one_person_alone_gives_the_same_values_and_is_not_named_when_unknown(
    study, model, results_folder
):
    _, whole, _ = run(study, results_folder)
    store, alone, _ = run(study, results_folder, sample="P2")
    assert "P2" not in store.path.name
    assert list(alone.columns) == ["P2"] and alone["P2"].equals(whole["P2"])
    with pytest.raises(HowfarError) as error:
        run(study, results_folder, sample="SECRET")
    assert "SECRET" not in str(error.value)


def test_genes_that_share_batches_have_the_same_values(study, model, results_folder, tmp_path):
    _, alone, reference = run(study, results_folder)
    together = study.model_copy(
        update={"runs": [study.runs[0].model_copy(update={"batch_size": 100})]}
    )
    sizes = []
    original = model.predict
    model.predict = lambda *given: sizes.append(len(given[0])) or original(*given)
    _, shared, same = run(together, tmp_path / "together")
    assert sorted(sizes) == [3, 4]  # one call a strand
    assert shared.equals(alone) and same.equals(reference)


def test_windows_go_to_the_model_in_blocks_whatever_their_number(
    study, model, results_folder, tmp_path, monkeypatch
):
    _, whole, reference = run(study, results_folder)
    sizes = []
    original = model.predict
    model.predict = lambda *given: sizes.append(len(given[0])) or original(*given)
    monkeypatch.setattr(model, "windows_at_once", 2)
    _, blocks, same = run(study, tmp_path / "blocks")
    assert sizes == [2, 2, 2, 1]  # of 4 and 3 windows
    assert blocks.equals(whole) and same.equals(reference)


def digest(folder) -> str:
    files = sorted([*folder.glob("*.npz"), folder / "key.json"])
    return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()


def test_a_run_cut_off_goes_on_and_ends_in_the_same_bytes(study, model, results_folder, tmp_path):
    store, *_ = run(study, tmp_path / "undisturbed")
    original, calls = model.predict, iter([True, False])

    def killed(*args):
        if next(calls):
            return original(*args)
        raise KeyboardInterrupt

    model.predict = killed
    with pytest.raises(KeyboardInterrupt):
        run(study, results_folder)
    model.predict = original
    model.seen = 0
    again, *_ = run(study, results_folder)
    assert model.seen == 3  # the second gene only
    assert digest(again.path) == digest(store.path)


def test_another_definition_has_another_store(study, model, results_folder):
    first, *_ = run(study, results_folder)
    changed = study.model_copy(
        update={"runs": [study.runs[0].model_copy(update={"bins": "centre1"})]}
    )
    second, *_ = run(changed, results_folder)
    assert first.path != second.path and first.path.exists()


def test_minus_strand_genes_of_an_oriented_model_are_turned(study, monkeypatch, results_folder):
    made = Oriented()
    monkeypatch.setattr(running, "load_model", lambda *_, **__: made)
    windows = []

    def keep(given, bins, tracks):
        windows.append(given)
        return np.zeros((len(given), len(bins), len(tracks)))

    monkeypatch.setattr(made, "predict", keep)
    run(study, results_folder, gene="g2")
    # REF A at g2's TSS reads T on the minus strand, P1's G reads C, at index 10 in both
    assert {chr(x) for x in windows[0][:, 10]} == {"T", "C"}


def test_values_that_are_not_finite_are_an_error(study, model, results_folder):
    model.predict = lambda w, b, t: np.full((len(w), len(b), len(t)), np.nan)
    with pytest.raises(HowfarError, match="gene g1: found .* not finite"):
        run(study, results_folder)


def test_order_of_log_sum_and_mean_is_part_of_the_definition():
    values = np.arange(12, dtype=float).reshape(1, 2, 3, 2)
    late = transform.transform(values, ["sum_bins", "mean_tracks", "mean_haplotypes", "log1p"])
    early = transform.transform(values, ["log1p", "sum_bins", "mean_tracks", "mean_haplotypes"])
    assert late[0] == pytest.approx(np.log1p(values.sum(2).mean()))
    assert early[0] == pytest.approx(np.log1p(values).sum(2).mean())
    assert late[0] != early[0]


@pytest.mark.parametrize(
    "steps",
    [["sum_bins", "mean_tracks"], ["sum_bins", "mean_tracks", "mean_haplotypes", "ln"],
     ["sum_bins", "mean_bins", "mean_tracks", "mean_haplotypes"]],
)  # fmt: skip
def test_transforms_that_are_not_defined_are_errors(steps):
    with pytest.raises(HowfarError, match="each of haplotypes, bins and tracks reduced once"):
        check_transform(steps)


def test_a_logarithm_of_zero_is_an_error_not_minus_infinity():
    steps = ["sum_bins", "mean_tracks", "mean_haplotypes", "log"]
    with pytest.raises(HowfarError, match="step log: found a value of 0"):
        transform.transform(np.zeros((1, 2, 3, 1)), steps)


def test_shards_share_the_genes_and_end_in_the_same_store(study, model, results_folder, tmp_path):
    whole = running.predict(study, study.runs[0], tmp_path / "whole")
    parts = [
        running.predict(study, study.runs[0], tmp_path / "parts", shard=(i, 2)) for i in (1, 2)
    ]
    shared = sorted(gene.gene_id for part in parts for gene in part.genes)
    assert shared == sorted(gene.gene_id for gene in whole.genes)
    assert digest(whole.store.path) == digest(parts[0].store.path)


def test_a_damaged_prediction_is_never_taken_for_another(study, model, results_folder):
    done = running.predict(study, study.runs[0], results_folder)
    gene = done.genes[0].gene_id
    path = done.store.path / f"{gene}.npz"
    data, whole = path.read_bytes(), done.store.read(gene)
    damaged = {"cut": data[: len(data) // 2], "empty": b""}
    damaged |= {
        f"bit {at} flipped": data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]
        for at in range(0, len(data), 37)
    }
    refused = 0
    for name, text in damaged.items():
        path.write_bytes(text)
        try:
            found = done.store.read(gene)
        except HowfarError as error:
            assert "a damaged file" in str(error)
            refused += 1
            continue
        for array in ("values", "index"):  # a bit of the archive that says nothing of the values
            np.testing.assert_array_equal(found.arrays[array], whole.arrays[array], name)
    assert refused > len(damaged) / 2
    path.write_bytes(data)
    path.unlink()
    assert not done.store.has(done.genes[0])


def test_predictions_of_other_code_are_predicted_again(study, model, results_folder, monkeypatch):
    first, *_ = run(study, results_folder)
    monkeypatch.setattr(genome, "VERSION", genome.VERSION + 1)
    second, *_ = run(study, results_folder)
    assert first.path != second.path and model.seen == 14
    commits = [store.read("g1").commit for store in (first, second)]
    assert commits[0] == commits[1] != ""


def test_a_finished_gene_keeps_the_commit_that_made_it(study, model, results_folder, monkeypatch):
    store, *_ = run(study, results_folder, gene="g1")
    made_by = store.read("g1").commit
    monkeypatch.setattr(provenance, "commit", lambda: "another")
    store, *_ = run(study, results_folder)
    assert [store.read(gene).commit for gene in ("g1", "g2")] == [made_by, "another"]


def test_stores_are_found_without_weights_wherever_the_folder_lies(
    study, model, results_folder, tmp_path, monkeypatch
):
    store, people, _ = run(study, results_folder)
    moved = tmp_path / "moved"
    shutil.copytree(results_folder, moved)
    monkeypatch.setattr(running, "load_model", lambda *_, **__: pytest.fail("loaded weights"))
    cohort = OpenCohort(study)
    found = storing.find_store(cohort, study.runs[0], moved)
    assert found.description == store.description and found.path.parent.parent.parent == moved
    again = storing.collect(found, cohort.genes, cohort.samples, study.runs[0].transform)[0]
    assert again.equals(people)
    other = study.runs[0].model_copy(update={"bins": "centre1"})
    assert storing.find_store(cohort, other, moved) is None
    assert len(list((moved / study.name / "predictions").iterdir())) == 1  # none is made to look


def test_of_several_weights_the_last_opened_are_evaluated(study, model, results_folder):
    first, *_ = run(study, results_folder)
    model.weights_sha256 = "1" * 64
    second, *_ = run(study, results_folder)
    assert first.path != second.path
    cohort = OpenCohort(study)
    assert storing.find_store(cohort, study.runs[0], results_folder).path == second.path
    model.weights_sha256 = "0" * 64
    run(study, results_folder)
    assert storing.find_store(cohort, study.runs[0], results_folder).path == first.path


class Ends(CountLetters):
    """Says that it shares, until its first windows were compared."""

    engine, compared, notes = "shared", False, ()

    def predict(self, windows, bins, tracks):
        self.compared = True
        if len(windows) > 1:
            self.engine, self.notes = "plain", ("Nothing is shared: a test.",)
        return super().predict(windows, bins, tracks)


def test_what_stops_sharing_is_kept_as_plain(study, monkeypatch, results_folder):
    monkeypatch.setattr(running, "load_model", lambda *_, **__: Ends())
    for _ in range(2):  # the second time nothing but the comparison is left to do
        store, people, _ = run(study, results_folder)
        assert store.units.key["options"]["network"]["engine"] == "plain"
        assert store.description.engine == "plain"
        assert (
            "Nothing is shared: a test." in json.loads(store.provenance_path.read_text())["notes"]
        )
    assert len(list(store.path.parent.iterdir())) == 1  # none says `shared`
    cohort = OpenCohort(study)
    in_memory = running.predict_cohort(cohort, Ends(), tracks=["G"], bins="centre3")
    assert in_memory.store.description.engine == "plain" and in_memory.people.equals(people)
    before = OpenCohort(study)
    running.predict_cohort(before, CountLetters(), tracks=["G"], bins="centre3")
    assert cohort.warnings == before.warnings  # the comparison counts nothing


def test_raw_outputs_are_a_table_of_each_haplotype_beside_the_reference(
    study, model, results_folder
):
    store, people, reference = run(study, results_folder)
    done = running.predict(study, study.runs[0], results_folder)
    table = raw_table(store, done.genes, done.cohort.samples, "g")
    assert list(table.columns) == list(RAW) and len(table) == 2 * 4 * 2 * 3
    assert set(table["bin"]) == {3, 4, 5} and set(table["description"]) == {"G"}
    sums = table.groupby(["gene_id", "sample", "haplotype"])["alternative"].sum()
    pd.testing.assert_frame_equal(
        sums.groupby(["gene_id", "sample"]).mean().unstack().astype(float),
        people,
        check_names=False,
    )
    assert (table.groupby("gene_id")["reference"].sum() == reference * 8).all()
