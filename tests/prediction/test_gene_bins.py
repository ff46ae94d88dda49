"""Runs with `bins: exons | gene | tss`, against haplotypes edited base by base."""

import numpy as np
import pandas as pd
import pysam
import pytest

from helpers import tiny
from howfar.core.errors import HowfarError
from howfar.models.base import Layout
from howfar.prediction import run as running
from howfar.prediction.raw import raw_table
from howfar.prediction.store import collect, find_store
from howfar.prediction.transform import check_transform

CONTEXT, BIN = 96, 8
EXONS = {"g1": [(60, 72), (90, 104), (128, 131), (160, 190)], "g2": [(180, 201), (230, 236)]}
PEOPLE = tiny.SAMPLES
LETTERS = "ACGT"
COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]


class Counting(tiny.CountLetters):
    """G and C per bin of 96 bp, but for the outermost two bins."""

    layout = Layout(CONTEXT, BIN, 8, first_base=16)

    def predict(self, windows, bins, tracks):
        cropped = np.ascontiguousarray(windows[:, 16:-16])
        per_bin = [
            (cropped == ord(letter)).reshape(len(windows), -1, BIN).sum(2) for letter in "GC"
        ]
        return np.stack(per_bin, axis=-1)[:, list(bins)][:, :, list(tracks)].astype(np.float32)


class Turned(Counting):
    oriented = True

    def tss_index(self, strand):
        return 40


@pytest.fixture
def files(tmp_path):
    """A random contig, indels and SNVs on it, and a GTF: what a base-by-base edit needs."""
    study = tiny.make_study(tmp_path)
    draw = np.random.default_rng(5)
    contig = "".join(draw.choice(list(LETTERS), 400))
    (tmp_path / "ref.fa").write_text(f">1\n{contig}\n")
    records, at = [], 40
    while at < 300:
        size, kind = int(draw.integers(1, 7)), draw.choice(["snv", "del", "ins"])
        ref = contig[at : at + 1 + size * (kind == "del")]
        other = LETTERS[(LETTERS.index(ref[0]) + 1) % 4]
        alt = {"snv": other, "del": ref[0], "ins": ref + "C" * size}[kind]
        if not at <= 200 < at + len(ref) and not at <= 100 < at + len(ref):  # TSS bases stay
            records.append((at, ref, alt, draw.integers(0, 2, (4, 2))))
        at += len(ref) + int(draw.integers(2, 12))
    head = ["##fileformat=VCFv4.2", "##contig=<ID=1,length=400>",
            '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
            "\t".join(COLUMNS + PEOPLE)]  # fmt: skip
    rows = [f"1\t{p + 1}\t.\t{r}\t{a}\t.\t.\t.\tGT\t" + "\t".join(f"{x}|{y}" for x, y in calls)
            for p, r, a, calls in records]  # fmt: skip
    (tmp_path / "v.vcf").write_text("\n".join(head + rows) + "\n")
    pysam.tabix_compress(str(tmp_path / "v.vcf"), str(tmp_path / "v.vcf.gz"), force=True)
    pysam.tabix_index(str(tmp_path / "v.vcf.gz"), preset="vcf", force=True)
    text = [f'1\tx\texon\t{a + 1}\t{b}\t.\t+\t.\tgene_id "{g}"; transcript_id "t{g}{k % 2}";'
            for g, exons in EXONS.items() for k, (a, b) in enumerate(exons)]  # fmt: skip
    (tmp_path / "exons.gtf").write_text("\n".join(text) + "\n")
    return study, contig, records


def by_bases(contig, records, person, half, tss, offset, exons, turned, counted="G"):
    """(letters, origin) of a haplotype's window, and the sum of G over the bins of its exons."""
    bases = [(letter, k) for k, letter in enumerate(contig)]
    for position, ref, alt, calls in reversed(records):
        if calls[person, half]:
            kept = [(alt[0], position)] + [(c, -1) for c in alt[1:]]
            bases[position : position + len(ref)] = kept
    middle = [k for _, k in bases].index(tss)
    window = bases[middle - offset : middle - offset + CONTEXT]
    mine = set()
    for a, b in exons:
        own = [i for i, (_, k) in enumerate(window) if a <= k < b]
        mine |= set(range(min(own), max(own) + 1)) if own else set()
    letters = [letter for letter, _ in window]
    if turned:
        letters = [dict(zip("ACGT", "TGCA", strict=True))[x] for x in reversed(letters)]
        mine = {CONTEXT - 1 - i for i in mine}
    bins = {(i - 16) // BIN for i in mine if 0 <= (i - 16) // BIN < 8}
    return sum(letters[16 + b * BIN : 24 + b * BIN].count(counted) for b in bins)


def predicted(study, tmp_path, results, monkeypatch, model, **keys):
    monkeypatch.setattr(running, "load_model", lambda *_, **__: model)
    keys = {"annotation": tmp_path / "exons.gtf"} | keys
    run = study.runs[0].model_copy(update=keys)
    study = study.model_copy(update={"runs": [run]})
    done = running.predict(study, run, results)
    return done, *collect(done.store, done.genes, PEOPLE, run.transform)[:2]


@pytest.mark.parametrize("rule", ["exons", "gene"])
@pytest.mark.parametrize("model", [Counting(), Turned()], ids=["forward", "turned"])
def test_sums_are_those_of_a_loop_over_the_bases_of_each_haplotype(
    files, tmp_path, results_folder, monkeypatch, model, rule
):
    study, contig, records = files
    done, people, reference = predicted(
        study, tmp_path, results_folder, monkeypatch, model, bins=rule
    )
    none = [(p, r, a, np.zeros_like(c)) for p, r, a, c in records]
    moved = 0
    for gene, _, tss, strand in ((g[0], g[1], g[2] - 1, g[3]) for g in tiny.GENES):
        exons = EXONS[gene]
        exons = exons if rule == "exons" else [(exons[0][0], exons[-1][1])]
        turned = model.oriented and strand == "-"
        rest = (tss, model.tss_offset(strand), exons, turned)
        assert reference[gene] == by_bases(contig, none, 0, 0, *rest)
        for k, person in enumerate(PEOPLE):
            each = [by_bases(contig, records, k, half, *rest) for half in (0, 1)]
            assert people.loc[gene, person] == np.mean(each)
            moved += each != [reference[gene]] * 2
    assert moved >= 4 and done.store.read("g1").arrays["values"].shape[1:] == (1, 1)
    said = done.cohort.warnings
    assert said["genes that reach beyond the network's output, summed as far as it goes"] == 2
    assert done.store.description.bins.startswith(f"{rule}: sum of the bins")
    run = study.runs[0].model_copy(update={"bins": rule, "annotation": tmp_path / "exons.gtf"})
    assert find_store(done.cohort, run, results_folder).path == done.store.path
    other = run.model_copy(update={"transcripts": ["tg10", "tg20"]})
    assert find_store(done.cohort, other, results_folder) is None


class Stranded(Counting):
    """Its two tracks are the strands of one: plus counts G, minus counts C."""

    tracks = pd.DataFrame({"description": ["rna", "rna", "all"], "strand": ["+", "-", "."]})

    def predict(self, windows, bins, tracks):
        of = super().predict(windows, bins, [0, 1])
        return np.concatenate([of, of.sum(2, keepdims=True)], axis=2)[:, :, list(tracks)]


@pytest.mark.parametrize("tracks", [[0], [1], [1, 0]])
@pytest.mark.parametrize("model", [Stranded(), type("T", (Stranded, Turned), {})()])
def test_each_gene_is_read_from_the_track_of_its_strand(
    files, tmp_path, results_folder, monkeypatch, model, tracks
):
    study, contig, records = files
    keys = {"tracks": tracks, "strand": "sense", "bins": "exons"}
    done, people, _ = predicted(study, tmp_path, results_folder, monkeypatch, model, **keys)
    for gene, _, tss, strand in ((g[0], g[1], g[2] - 1, g[3]) for g in tiny.GENES):
        rest = (tss, model.tss_offset(strand), EXONS[gene], model.oriented and strand == "-")
        letter = "C" if strand == "-" and not model.oriented else "G"
        for k, person in enumerate(PEOPLE):
            each = [by_bases(contig, records, k, half, *rest, letter) for half in (0, 1)]
            assert people.loc[gene, person] == np.mean(each)
    assert done.store.description.tracks[0].startswith("rna")
    raw = raw_table(done.store, done.genes, PEOPLE, "g")
    minus = 0 if model.oriented else 1
    assert set(raw.loc[raw["gene_id"] == "g2", "track"]) == {minus}
    both = predicted(study, tmp_path, results_folder, monkeypatch, model, tracks=tracks,
                     bins="centre3")[0].store  # fmt: skip
    assert both.path != done.store.path


def test_sense_needs_tracks_in_pairs(files, tmp_path, results_folder, monkeypatch):
    study = files[0]
    model = Stranded()
    for tracks, table, words in (
        ([2], model.tracks, "found no strand of tracks 2"),
        ([0], model.tracks.assign(description=["a", "b", "c"]), "no one track of the other strand"),
        ([0], model.tracks.assign(strand=["+", "-", "-"], description="rna"), "no one track"),
    ):
        monkeypatch.setattr(model, "tracks", table)
        with pytest.raises(HowfarError, match=words):
            predicted(study, tmp_path, results_folder, monkeypatch, model, tracks=tracks,
                      strand="sense", bins="centre3")  # fmt: skip
    monkeypatch.setattr(model, "tracks", Stranded.tracks)
    runs = {
        strand: predicted(study, tmp_path, results_folder, monkeypatch, model, tracks=[k, 2],
                          strand=strand, bins="centre3")[1]
        for k, strand in enumerate(["both", "sense"])
    }  # fmt: skip
    assert runs["both"].loc["g1"].equals(runs["sense"].loc["g1"])
    assert not runs["both"].loc["g2"].equals(runs["sense"].loc["g2"])


def test_the_tss_bin_holds_the_tss_base_of_every_haplotype(files, tmp_path):
    from howfar.cohort.opened import OpenCohort
    from howfar.models.base import parse_bins

    study, _, _ = files
    cohort = OpenCohort(study)
    for model in (Counting(), Turned()):
        for gene in cohort.genes:
            (bin_,) = parse_bins("tss", model.tss_bin(gene.strand), 8)
            built = cohort.windows(gene, CONTEXT, model.tss_offset(gene.strand))
            assert len(built) > 1
            for row in range(len(built)):
                (at,) = np.flatnonzero(built.position_map(row) == gene.start0)
                turned = model.oriented and gene.strand == "-"
                seen = CONTEXT - 1 - at if turned else at
                assert (seen - 16) // BIN == bin_


def test_what_cannot_be_summed_is_refused(files, tmp_path, results_folder, monkeypatch):
    study, _, _ = files
    few = tmp_path / "few.gtf"
    few.write_text((tmp_path / "exons.gtf").read_text().split("\n")[0] + "\n")
    far = tmp_path / "far.gtf"
    far.write_text(few.read_text().replace("61\t72", "1\t9") + few.read_text().replace("g1", "g2"))
    one = tiny.CountLetters()
    one.layout = Layout(64, 64, 1)
    steps = ["log1p", "sum_bins", "mean_tracks", "mean_haplotypes"]
    check_transform(steps)
    for words, model, keys in [
        ("no exon of 1 of 2 genes, such as g2", Counting(), {"annotation": few}),
        ("gene g1: found no exon within the network's output", Counting(), {"annotation": far}),
        ("genes.csv: found no exon", Counting(), {"annotation": None}),
        ("none chosen", Counting(), {"transcripts": ["t9"]}),
        ("with one output bin", one, {}),
        ("transform log1p", Counting(), {"transform": steps}),
    ]:
        with pytest.raises(HowfarError, match=words):
            predicted(
                study, tmp_path, results_folder, monkeypatch, model, **{"bins": "exons"} | keys
            )


def test_a_network_may_be_read_by_exons_where_a_run_names_no_bins(
    files, tmp_path, results_folder, monkeypatch
):
    study, _, _ = files
    model = Counting()
    monkeypatch.setattr(model, "usual_bins", "exons", raising=False)
    _, people, _ = predicted(study, tmp_path, results_folder, monkeypatch, model, bins=None)
    named = predicted(study, tmp_path, results_folder, monkeypatch, Counting(), bins="exons")[1]
    pd.testing.assert_frame_equal(people, named)


def test_effects_and_attributions_take_the_bins_of_the_gene(files, tmp_path, monkeypatch):
    from howfar.attribution.attribute import Question, attribute_run
    from howfar.attribution.variant_effects import gene_effects
    from howfar.cohort.opened import OpenCohort
    from howfar.prediction.store import outputs_of

    study, contig, records = files
    cohort, model = OpenCohort(study), Counting()
    run = study.runs[0].model_copy(
        update={"bins": "exons", "annotation": tmp_path / "exons.gtf", "alleles": "all"}
    )
    gene = cohort.genes[0]
    effects = gene_effects(cohort, run, model, outputs_of(run, model), gene).set_index("variant")
    rest = (gene.start0, CONTEXT // 2, EXONS["g1"], False)
    base = by_bases(contig, [], 0, 0, *rest)
    for position, ref, alt, _ in records:
        name = f"1:{position + 1}:{ref}:{alt}"
        if name in effects.index:
            alone = [(position, ref, alt, np.ones((4, 2), int))]
            assert effects.loc[name, "effect"] == by_bases(contig, alone, 0, 0, *rest) - base
    assert (effects["effect"] != 0).sum() > 2
    found = attribute_run(cohort, run, model, Question(gene, "ism", "reference", CONTEXT))
    inside = [k for a, b in EXONS["g1"] for k in range(a, b) if 69 <= k < 133]
    assert (
        (found.set_index("pos").loc[[k + 1 for k in inside], list("ACGT")] != 0).any(axis=1).all()
    )
