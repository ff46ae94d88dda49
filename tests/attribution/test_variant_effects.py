"""Effects of single variants: exact on windows written out by hand, additive where the model is."""

import shutil
import subprocess

import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.commands import invoke
from helpers.tiny import BIN, CONTEXT, SAMPLES, CountLetters, make_study
from howfar.attribution import variant_effects
from howfar.attribution.variant_effects import (
    SingleAlleles,
    gene_effects,
    linear_approximation,
    path_of,
    track_scores,
)
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.evaluation.study_tables import frames_of
from howfar.models.base import parse_bins
from howfar.prediction.store import Outputs
from howfar.results import tables

HALF = CONTEXT // 2


class Weighted(CountLetters):
    """Additive over positions: each base of the window has a value of its own."""

    rng = np.random.default_rng(5)
    value = rng.normal(size=(CONTEXT, 256)).astype(np.float64)

    def predict(self, windows, bins, tracks):
        per_base = self.value[np.arange(CONTEXT), windows]
        per_bin = per_base.reshape(len(windows), -1, BIN).sum(2)
        found = np.repeat(per_bin[:, :, None], 2, axis=2)
        return found[:, list(bins)][:, :, list(tracks)]


def table_of(study, model, gene="g1", **changes):
    """The effects of the first run on one gene, by variant."""
    cohort, run = OpenCohort(study), study.runs[0].model_copy(update=changes)
    (chosen,) = cohort.genes_to_run(gene)
    tracks = model.track_indices(run.tracks)
    bins = {s: parse_bins(run.bins, model.tss_bin(s), 8) for s in "+-"}
    outputs = Outputs(bins, tracks)
    found = gene_effects(cohort, run, model, outputs, chosen)
    return tables.validate("effects", found, "test").set_index("variant")


def with_records(study, folder, records, letters="A" * 400):
    """The tiny study with other variants (pos, ref, alt, calls) and another sequence."""
    (folder / "other.fa").write_text(f">1\n{letters}\n")
    head = "##fileformat=VCFv4.2\n##contig=<ID=1,length=400>\n"
    head += '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *SAMPLES]
    rows = [["1", str(p), ".", r, a, *"...", "GT", *c.split()] for p, r, a, c in records]
    lines = ["\t".join(row) for row in [columns, *rows]]
    (folder / "other.vcf").write_text(head + "\n".join(lines) + "\n")
    pysam.tabix_compress(str(folder / "other.vcf"), str(folder / "other.vcf.gz"), force=True)
    pysam.tabix_index(str(folder / "other.vcf.gz"), preset="vcf", force=True)
    changed = {"reference": folder / "other.fa", "variants": folder / "other.vcf.gz"}
    return study.model_copy(update={"cohort": study.cohort.model_copy(update=changed)})


def test_effects_are_those_counted_by_hand(study, model):
    found = table_of(study, model)
    # TSS 101 is index 32, bin 4; bins 3..5 are 0-based 92..115: A95G (0-based 94) adds a G,
    # A103C adds none; 201 is outside the window
    assert found["effect"].to_dict() == {"1:95:A:G": 1.0, "1:103:A:C": 0.0}
    assert found["distance"].to_dict() == {"1:95:A:G": -6.0, "1:103:A:C": 2.0}
    assert found["maf"].to_dict() == {"1:95:A:G": 3 / 8, "1:103:A:C": 1 / 8}
    assert set(found["source"]) == {"model"} and set(found["run_id"]) == {"g"}


def test_the_runs_own_bins_tracks_and_transform_are_used(study, model):
    of_c = table_of(study, model, tracks=["C"])
    assert of_c["effect"].to_dict() == {"1:95:A:G": 0.0, "1:103:A:C": 1.0}
    tss_bin_only = table_of(study, model, bins="centre1")
    assert tss_bin_only["effect"].to_dict() == {"1:95:A:G": 0.0, "1:103:A:C": 0.0}
    logged = table_of(
        study, model, transform=["sum_bins", "log1p", "mean_tracks", "mean_haplotypes"]
    )
    assert logged.loc["1:95:A:G", "effect"] == pytest.approx(np.log(2))


def test_one_haplotype_alone_is_transformed(study, model):
    summed = table_of(study, model, transform=["sum_bins", "mean_tracks", "sum_haplotypes"])
    assert summed.loc["1:95:A:G", "effect"] == 1.0


def test_a_deletion_draws_in_sequence_on_its_side(study, tmp_path, monkeypatch):
    letters = "".join(np.random.default_rng(3).choice(list("ACGT"), 400))
    ref = letters[89:94]
    calls = "0|1 0|0 0|0 0|0"
    changed = with_records(study, tmp_path, [(90, ref, ref[0], calls)], letters)
    found = table_of(changed, Weighted()).iloc[0]
    # the TSS base stays at index 32; four bases lost left of it are made up from the left
    before = letters[100 - HALF : 100 + HALF]
    after = letters[100 - HALF - 4 : 90] + letters[94 : 100 + HALF]
    assert len(after) == CONTEXT
    windows = np.frombuffer((before + after).encode(), np.uint8).reshape(2, -1)
    values = Weighted().predict(windows, [3, 4, 5], [0]).astype(np.float32).sum(axis=(1, 2))
    assert found["effect"] == pytest.approx(values[1] - values[0], abs=1e-6)
    assert found["distance"] == -11


def test_alleles_that_nobody_carries_are_left_out_and_snv_means_snv(study, model, tmp_path):
    records = [
        (95, "A", "G,C", "0|2 0|0 0|0 0|0"),
        (99, "AA", "A", "1|1 1|1 1|1 1|1"),
        (101, "A", "T", "0|0 0|0 0|0 0|0"),
        (102, "A", "<DEL>", "0|1 0|0 0|0 0|0"),
    ]
    every = table_of(with_records(study, tmp_path, records), model)
    assert set(every.index) == {"1:95:A:C", "1:99:AA:A"}
    assert every.loc["1:99:AA:A", "maf"] == 0  # everybody carries it
    snv = table_of(with_records(study, tmp_path, records), model, alleles="snv")
    assert set(snv.index) == {"1:95:A:C"}


def test_unphased_calls_will_do(study, model, tmp_path):
    unphased = with_records(study, tmp_path, [(95, "A", "G", "0/1 0|0 0|0 0|0")])
    assert table_of(unphased, model)["maf"].to_list() == [1 / 8]


def test_a_gene_without_variants_has_no_effects(study, model, tmp_path):
    far = with_records(study, tmp_path, [(390, "A", "G", "0|1 0|0 0|0 0|0")])
    assert table_of(far, model).empty


BASES = st.sampled_from("ACGT")


@settings(max_examples=25)
@given(data=st.data())
def test_effects_of_an_additive_model_add_up_to_each_person(data, tmp_path_factory):
    """SNVs and a model that adds: prediction = reference + sum of effects over the haplotypes."""
    folder = tmp_path_factory.mktemp("additive")
    letters = "".join(data.draw(st.lists(BASES, min_size=400, max_size=400)))
    places = sorted(data.draw(st.sets(st.integers(60, 140), min_size=1, max_size=12)))
    records = []
    for place in places:
        ref = letters[place - 1]
        alt = data.draw(st.sampled_from([b for b in "ACGT" if b != ref]))
        calls = data.draw(st.lists(st.sampled_from(["0|0", "0|1", "1|0", "1|1"]), min_size=4,
                                   max_size=4))  # fmt: skip
        records.append((place, ref, alt, " ".join(calls)))
    study = with_records(make_study(folder), folder, records, letters)
    found = table_of(study, Weighted())
    cohort, model = OpenCohort(study), Weighted()
    gene = cohort.genes[0]
    built = cohort.windows(gene, CONTEXT, HALF, None)
    bins = parse_bins("centre3", 4, 8)
    values = model.predict(built.sequences, bins, [0]).sum(axis=(1, 2))[built.index].mean(axis=1)
    reference = model.predict(built.reference[None], bins, [0]).sum()
    dosages, variants = cohort.dosages(gene, 2 * CONTEXT)
    effect = found["effect"].reindex([str(v) for v in variants]).fillna(0).to_numpy()
    assert np.allclose(values - reference, dosages @ effect / 2, atol=1e-5)


def test_the_windows_are_those_of_bcftools(study, tmp_path, shared):
    """Each allele of the real megabase alone, against bcftools consensus on a one-allele VCF."""
    if shutil.which("bcftools") is None:
        pytest.skip("bcftools is not installed")
    folder = shared / "realregion"
    files = {"reference": "chr20_1Mb.fa", "variants": "chr20_1Mb.vcf.gz", "genes": "genes.csv"}
    update = {role: folder / name for role, name in files.items()}
    update |= {"expression": None, "samples": None}
    real = study.model_copy(update={"cohort": study.cohort.model_copy(update=update)})
    cohort = OpenCohort(real)
    gene = next(g for g in cohort.genes if g.name == "SDCBP2")
    single = SingleAlleles(cohort)
    built = single.windows(gene, 4000, 2000, "all")
    names = list(built.samples)
    indels = [n for n in names if len(n.split(":")[2]) != len(n.split(":")[3])]
    chosen = indels[:6] + names[:: max(1, len(names) // 6)]
    assert len(indels) >= 3
    for name in chosen:
        expected = _consensus(tmp_path, folder / "chr20_1Mb.fa", name, gene.start0)
        row = built.sequences[built.index[names.index(name), 0]].tobytes().decode()
        assert row == expected, name


def _consensus(folder, fasta, name, tss):
    """4,000 bp around the TSS of the contig with the one allele, TSS at 2,000; no TSS deletion."""
    chrom, pos, ref, alt = name.split(":")
    text = "##fileformat=VCFv4.2\n##contig=<ID=20,length=1000000>\n"
    text += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    text += f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n"
    (folder / "one.vcf").write_text(text)
    subprocess.run(["bcftools", "view", "-Oz", "-o", folder / "one.vcf.gz", folder / "one.vcf"],
                   check=True)  # fmt: skip
    subprocess.run(["bcftools", "index", "-f", folder / "one.vcf.gz"], check=True)
    done = subprocess.run(["bcftools", "consensus", "-f", fasta, folder / "one.vcf.gz"],
                          check=True, capture_output=True, text=True)  # fmt: skip
    whole = "".join(done.stdout.split("\n")[1:]).upper()
    moved = tss + (len(alt) - len(ref) if int(pos) - 1 + len(ref) <= tss else 0)
    return whole[moved - 2000 : moved + 2000]


def test_finished_genes_are_kept_and_a_new_definition_begins_anew(study, model, results_folder):
    run = study.runs[0]
    variant_effects.compute(study, run, results_folder, ["g1"])
    seen = model.seen
    found, _ = variant_effects.compute(study, run, results_folder)
    assert set(found["gene_id"]) == {"g1", "g2"}
    # g2 alone: the reference, its allele, and the reference again for those of the margin
    assert model.seen - seen == 3
    variant_effects.compute(study, run, results_folder)
    assert model.seen - seen == 3
    again, _ = variant_effects.compute(
        study, run.model_copy(update={"bins": "centre1"}), results_folder, ["g1"]
    )
    assert set(again["gene_id"]) == {"g1"} and model.seen - seen == 7  # all of g1 again


def test_effects_stand_in_the_studys_tables(study, model, results_folder):
    chosen = study.model_copy(update={"effects": ["g1"]})
    invoke(chosen, results_folder, "predict")
    frames, counts = frames_of(chosen, results_folder)
    assert set(frames["effects"]["gene_id"]) == {"g1"} and len(frames["effects"]) == 2
    # a model that counts letters is additive: the sum of effects is the prediction
    row = frames["summary"].set_index("set").loc["linear_approximation"]
    assert (row["method"], row["group"]) == ("g", "g1")
    assert row["value"] == pytest.approx(1) and row["n"] == 4
    other = chosen.runs[0].model_copy(update={"transform": ["mean_bins", "mean_tracks",
                                                            "mean_haplotypes"]})  # fmt: skip
    changed = chosen.model_copy(update={"runs": [other]})
    frames, counts = frames_of(changed, results_folder)
    assert frames["effects"].empty and counts["runs whose variant effects are out of date"] == 1


def test_the_sum_of_effects_is_held_against_each_persons_prediction(study):
    cohort = OpenCohort(study)
    effect = {"1:95:A:G": 2.0, "1:103:A:C": -1.0}
    found = pd.DataFrame({"variant": list(effect), "effect": list(effect.values())})
    found = found.assign(run_id="g", gene_id="g1", source="model", maf=0.1, distance=0.0)
    predicted = pd.DataFrame([[1.0, 5.0, 0.5, 2.0]], ["g1"], SAMPLES)
    row = linear_approximation(cohort, found, {"g": predicted}, {"g": CONTEXT}).iloc[0]
    # copies of P1..P4: 1 2 0 0 and 0 1 0 0, so sums 2, 3, 0, 0
    assert row["value"] == pytest.approx(np.corrcoef([2, 3, 0, 0], [1, 5, 0.5, 2])[0, 1])


def test_the_command_writes_the_effects_of_a_gene(study, model, results_folder):
    done = invoke(study, results_folder, "effects", "--gene", "g1")
    assert done.exit_code == 0, done.output
    assert "g: 2 effects of variants in the windows of 1 gene" in done.stdout
    path = path_of(results_folder, "tiny", "g")
    assert len(pd.read_parquet(path)) == 2


def scores_of(study, model, wanted, score="mean"):
    cohort, run = OpenCohort(study), study.runs[0]
    bins = {s: parse_bins(run.bins, model.tss_bin(s), 8) for s in "+-"}
    (gene,) = cohort.genes_to_run("g1")
    outputs = Outputs(bins, [0])
    found = track_scores(cohort, run, model, outputs, gene, wanted, score)
    return found.set_index("variant")


def test_scores_over_tracks_are_those_counted_by_hand(study, model):
    """A95G adds a G and A103C a C to one of three bins, so a third to one of two tracks."""
    found = scores_of(study, model, "all")
    assert found["score"].to_dict() == pytest.approx({"1:95:A:G": 1 / 6, "1:103:A:C": 1 / 6})
    assert found["top_track"].to_dict() == {"1:95:A:G": "G", "1:103:A:C": "C"}
    assert set(found["tracks"]) == {2}
    only = scores_of(study, model, "^C$")
    assert only["score"].to_dict() == pytest.approx({"1:95:A:G": 0, "1:103:A:C": 1 / 3})


def test_a_loss_has_a_sign_unless_sizes_are_asked_for(study, model, monkeypatch):
    original = model.predict
    monkeypatch.setattr(model, "predict", lambda *given: -original(*given))
    assert (scores_of(study, model, "all")["score"] < 0).all()
    assert (scores_of(study, model, "all", "abs")["score"] > 0).all()


@pytest.mark.parametrize("wanted", ["nothing like it", "(["])
def test_tracks_that_do_not_exist_are_an_error(study, model, wanted):
    with pytest.raises(HowfarError, match="Correct --tracks"):
        scores_of(study, model, wanted)
    with pytest.raises(HowfarError, match="'max'; expected mean or abs"):
        scores_of(study, model, "all", "max")
