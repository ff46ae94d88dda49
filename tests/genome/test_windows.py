"""Haplotype windows against bcftools, and against a slow builder that bcftools has checked."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
import tracemalloc
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.places import REGION
from helpers.strategies import CONTIG, Record, World, bcftools_consensus, worlds
from howfar.core.errors import HowfarError
from howfar.genome.edits import Gap, edit_of, is_anchored_indel
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Gene, Interval
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows, personalize

needs_region = pytest.mark.skipif(
    not REGION.is_dir(), reason="the real megabase (shared/realregion) is not here"
)
needs_bcftools = pytest.mark.skipif(
    shutil.which("bcftools") is None, reason="bcftools is not installed"
)
LIGHT = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def gene_at(tss: int) -> Gene:
    return Gene("g", "g", CONTIG, tss, "+")


def windows_of(world: World, folder: Path, tss: int, length: int, **options):
    """`build_windows` on a world, with all alleles unless told otherwise."""
    fasta, vcf = world.write(folder)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        return build_windows(
            reference, variants, gene_at(tss), length, **({"alleles": "all"} | options)
        )


def text(windows, person: int, haplotype: int) -> str:
    return windows.sequences[windows.index[person, haplotype]].tobytes().decode()


# A slow builder: one cell per reference base, written from the rules and nothing else.


def slow_cells(world: World, person: int, haplotype: int) -> list[tuple[str, str]]:
    """Per reference base: (bases inserted before it, the base or '' if deleted), and an end."""
    inserted = [""] * (len(world.sequence) + 1)
    base = [*world.sequence, ""]
    frozen, was_insertion = -1, False
    for record in world.records:
        call = record.calls[person].split("|")[haplotype]
        if call in (".", "0") or record.alts[int(call) - 1] == "*":
            continue
        ref, alt, start = record.ref, record.alts[int(call) - 1], record.pos - 1
        old, new, at = trimmed(ref, alt, start)
        pure = not old or not new
        anchored = pure and len(ref) != len(alt) and ref[0] == alt[0]
        if start < frozen or (start == frozen and (not anchored or was_insertion)):
            continue
        frozen, was_insertion = start + len(ref) - 1, len(alt) > len(ref)
        for i in range(len(old)):
            base[at + i] = new[i] if i < len(new) else ""
        inserted[at + len(old)] += new[len(old) :]
    return list(zip(inserted, base, strict=True))


def trimmed(ref: str, alt: str, start: int) -> tuple[str, str, int]:
    """REF and ALT without what they share in front and then behind (unequal lengths only)."""
    if len(ref) == len(alt):
        return ref, alt, start
    while ref and alt and ref[0] == alt[0]:
        ref, alt, start = ref[1:], alt[1:], start + 1
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    return ref, alt, start


def slow_window(world: World, person: int, haplotype: int, tss: int, length: int, offset: int):
    """(window, reference position per base) around the 1-based `tss`."""
    sequence, positions, anchor = [], [], None
    for x, (before, base) in enumerate(slow_cells(world, person, haplotype)):
        sequence += before
        positions += [-1] * len(before)
        at_end = x == len(world.sequence)
        if anchor is None and x >= tss - 1 and (base or at_end):
            anchor = len(sequence)
        if base:
            sequence.append(base)
            positions.append(x)
    padded = ["N"] * length + sequence + ["N"] * length
    places = [-1] * length + positions + [-1] * length
    start = length + anchor - offset
    return "".join(padded[start : start + length]), places[start : start + length]


def slow_full(world: World, person: int, haplotype: int) -> str:
    return "".join(a + b for a, b in slow_cells(world, person, haplotype))


@needs_bcftools
@settings(max_examples=60, deadline=None, suppress_health_check=LIGHT)
@given(world=worlds(star=False))
def test_slow_builder_and_windows_equal_bcftools_consensus(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("w")
    fasta, vcf = world.write(folder)
    windows = windows_of(world, folder, 1, 4000, tss_offset=2000)
    for person, sample in enumerate(world.people):
        for haplotype in (0, 1):
            expected = bcftools_consensus(fasta, vcf, sample, haplotype + 1)
            assert slow_full(world, person, haplotype) == expected
            assert text(windows, person, haplotype).strip("N") == expected


@settings(max_examples=150, deadline=None, suppress_health_check=LIGHT)
@given(world=worlds(), data=st.data())
def test_windows_equal_the_slow_builder(world, data, tmp_path_factory):
    """Any TSS, length and offset; a small margin makes reads too short, so that they extend."""
    tss = data.draw(st.integers(1, len(world.sequence)))
    length = data.draw(st.integers(1, 160))
    offset = data.draw(st.integers(0, length - 1))
    with pytest.MonkeyPatch.context() as patch:
        margin = data.draw(st.sampled_from([1, 3, 1024]))
        patch.setattr("howfar.genome.windows._MARGIN", margin)
        windows = windows_of(world, tmp_path_factory.mktemp("w"), tss, length, tss_offset=offset)
    for person in range(len(world.people)):
        for haplotype in (0, 1):
            sequence, positions = slow_window(world, person, haplotype, tss, length, offset)
            assert text(windows, person, haplotype) == sequence
            row = windows.index[person, haplotype]
            assert windows.position_map(row).tolist() == positions
    padded = "N" * length + world.sequence + "N" * length
    start = length + tss - 1 - offset
    assert windows.reference.tobytes().decode() == padded[start : start + length]


@needs_bcftools
@settings(max_examples=40, deadline=None, suppress_health_check=LIGHT)
@given(world=worlds(star=False), data=st.data())
def test_the_anchor_is_where_the_chain_file_of_bcftools_puts_it(world, data, tmp_path_factory):
    """For each TSS that no gap of the chain file replaces by other bases."""
    folder = tmp_path_factory.mktemp("w")
    fasta, vcf = world.write(folder)
    chain = folder / "chain"
    expected = bcftools_consensus(fasta, vcf, "p0", 1, chain)
    tss = data.draw(st.integers(1, len(world.sequence)))
    anchor = anchor_in_chain(chain.read_text(), tss - 1)
    if anchor is None:
        return
    windows = windows_of(world, folder, tss, 31)
    padded = "N" * 40 + expected + "N" * 40
    assert text(windows, 0, 0) == padded[40 + anchor - 15 : 40 + anchor + 16]


def anchor_in_chain(chain: str, tss: int) -> int | None:
    """Where the 0-based `tss` lies in the consensus; None inside a gap that is not a deletion."""
    if not chain:
        return tss
    old = new = 0
    for line in chain.split("\n")[1:]:
        numbers = [int(word) for word in line.split()]
        if not numbers:
            continue
        size, deleted, inserted = (*numbers, 0, 0)[:3]
        if tss < old + size:
            return new + tss - old
        if tss < old + size + deleted and inserted:
            return None
        old, new = old + size + deleted, new + size + inserted
        if tss < old:
            tss = old  # deleted: the next base that is kept
    return new + tss - old


@needs_region
def test_every_checksum_of_the_real_megabase():
    wanted = defaultdict(list)
    with (REGION / "consensus_oracle.csv").open() as handle:
        for row in csv.DictReader(handle):
            wanted[row["gene"], int(row["context"]), row["variants"]].append(row)
    samples = sorted({row["sample"] for rows in wanted.values() for row in rows})
    genes = {gene.name: gene for gene in read_genes(REGION / "genes.csv")}
    checked = 0
    with (
        Reference(REGION / "chr20_1Mb.fa") as reference,
        VariantFile(REGION / "chr20_1Mb.vcf.gz") as variants,
    ):
        for (name, context, alleles), rows in wanted.items():
            windows = build_windows(
                reference, variants, genes[name], context, samples=samples, alleles=alleles
            )
            digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in windows.sequences]
            for row in rows:
                person = windows.samples.index(row["sample"])
                index = windows.index[person, int(row["haplotype"]) - 1]
                assert digests[index] == row["sha256"], (name, context, alleles)
                # Theirs counts the overlaps of a region a little wider than the window.
                assert windows.skipped[person, int(row["haplotype"]) - 1] <= int(row["skipped"])
                checked += 1
    assert checked == 1584


# The tests above have teeth: a builder with one classic mistake must fail against them.


def crowded() -> World:
    """SNV, insertion after it, deletion with an SNV inside, deletion over the TSS at 31."""
    sequence = "ACGTTGCAAC" * 8
    return World(
        sequence,
        [
            Record(5, "T", ("C",), ("1|0", "1|1")),
            Record(5, "T", ("TAA",), ("1|1", "0|1")),
            Record(12, "CGTT", ("C",), ("1|1", "0|1")),
            Record(14, "T", ("A",), ("1|1", "1|0")),
            Record(30, "CACG", ("C",), ("1|0", "0|0")),
            Record(60, "C", ("CGGG", "T"), ("2|1", "0|2")),
        ],
    )


def disagreements(world: World, folder: Path) -> int:
    windows = windows_of(world, folder, 31, 60)
    slow = [slow_window(world, p, h, 31, 60, 30)[0] for p in (0, 1) for h in (0, 1)]
    return sum(text(windows, p, h) != slow[2 * p + h] for p in (0, 1) for h in (0, 1))


def last_come(calls, members, genotypes):
    """The overlap rule the wrong way round: the later variant wins."""
    kept, first = calls.copy(), 1 << 60
    for i in np.flatnonzero(calls)[::-1]:
        v = members[i]
        if genotypes.ends[v] > first:
            kept[i] = 0
        else:
            first = int(genotypes.starts[v])
    return kept


def shifted(ref, alt):
    """Off by one: the gap one base too far left."""
    edit = edit_of(ref, alt)
    if edit.gap is None:
        return edit
    return replace(edit, gap=replace(edit.gap, offset=edit.gap.offset - 1))


def never_shares(ref, alt):
    return False


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("overlaps._settle_haplotype", last_come),
        ("edits.edit_of", shifted),
        ("overlaps.is_anchored_indel", never_shares),
    ],
)
def test_a_broken_builder_is_caught(tmp_path, monkeypatch, name, broken):
    assert disagreements(crowded(), tmp_path) == 0
    monkeypatch.setattr(f"howfar.genome.{name}", broken)
    assert disagreements(crowded(), tmp_path) > 0


def test_a_window_one_base_off_is_caught(tmp_path):
    windows = windows_of(crowded(), tmp_path, 31, 60, tss_offset=29)
    assert text(windows, 0, 0) != slow_window(crowded(), 0, 0, 31, 60, 30)[0]


# Single rules, by hand.


def one(sequence: str, *records: Record) -> World:
    return World(sequence, list(records), people=("p0",))


def test_tss_base_is_at_the_offset_and_deletions_draw_from_their_own_side(tmp_path):
    sequence = "AAAAACCCCCGGGGGTTTTT"
    world = one(sequence, Record(3, "AAA", ("A",), ("1|0",)), Record(15, "GTT", ("G",), ("0|1",)))
    windows = windows_of(world, tmp_path, 11, 10)
    assert text(windows, 0, 0) == "CCCCCGGGGG"
    assert text(windows, 0, 1) == "CCCCCGGGGG"
    wide = windows_of(world, tmp_path, 11, 16)
    assert text(wide, 0, 0) == "AAACCCCCGGGGGTTT"
    assert text(wide, 0, 1) == "AAACCCCCGGGGGTTT"
    assert wide.position_map(wide.index[0, 0]).tolist() == [0, 1, 2, *range(5, 18)]


def test_deleted_tss_moves_the_anchor_right_and_is_counted(tmp_path):
    world = one("ACGTACGTAC", Record(4, "TAC", ("T",), ("1|0",)))
    windows = windows_of(world, tmp_path, 5, 4)
    assert text(windows, 0, 0) == "GTGT"
    assert windows.position_map(windows.index[0, 0]).tolist() == [2, 3, 6, 7]
    assert windows.counts["haplotypes with the TSS base deleted"] == 1


def test_overlapping_variants_are_skipped_and_counted(tmp_path):
    world = one("ACGTACGTAC", Record(4, "TAC", ("T",), ("1|0",)), Record(5, "A", ("G",), ("1|1",)))
    windows = windows_of(world, tmp_path, 2, 6, tss_offset=1)
    assert windows.skipped.tolist() == [[1, 0]]
    assert windows.counts["overlapping variants skipped"] == 1


def test_snv_mode_leaves_out_the_whole_mixed_site(tmp_path):
    world = one(
        "ACGTACGTAC", Record(3, "G", ("T", "GA"), ("1|2",)), Record(7, "G", ("A",), ("1|0",))
    )
    windows = windows_of(world, tmp_path, 5, 10, alleles="snv", tss_offset=4)
    assert [text(windows, 0, h) for h in (0, 1)] == ["ACGTACATAC", "ACGTACGTAC"]
    assert windows.counts["non-SNV sites left out"] == 1


def test_distinct_haplotypes_are_built_once(tmp_path):
    world = World(
        "ACGTACGTAC" * 30,
        [Record(3, "G", ("T",), ("1|0", "0|1")), Record(280, "C", ("A",), ("1|1", "0|0"))],
    )
    windows = windows_of(world, tmp_path, 5, 8)
    assert len(windows.sequences) == 2  # the record at 280 is outside every window
    assert windows.index[0, 0] == windows.index[1, 1] != windows.index[0, 1]


def test_personalize_is_the_window_of_the_gene(tmp_path):
    world = crowded()
    fasta, vcf = world.write(tmp_path)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        pair = personalize(gene_at(31).window(60), "p0", reference=reference, variants=variants)
        chr_pair = personalize(
            Interval(f"chr{CONTIG}", 0, 60), "p0", reference=reference, variants=variants
        )
        with pytest.raises(HowfarError, match="a centre at -20, before the contig"):
            personalize(Interval(CONTIG, -50, 10), "p0", reference=reference, variants=variants)
    assert pair == tuple(slow_window(world, 0, h, 31, 60, 30)[0] for h in (0, 1))
    assert pair == chr_pair


def test_a_tss_off_the_contig_is_an_error(tmp_path):
    with pytest.raises(HowfarError, match="on the contig, which is 80 bp long"):
        windows_of(crowded(), tmp_path, 81, 10)


def test_no_variants_gives_the_reference_once_and_says_so(tmp_path):
    nobody = Record(3, "G", ("A",), ("0|0",))
    windows = windows_of(one("ACGTACGTAC", nobody), tmp_path, 1, 6)
    assert windows.sequences.tobytes() == b"NNNACG"
    assert windows.counts["windows without variants"] == 1


def test_edit_and_anchoring_of_single_alleles():
    assert edit_of(b"CTGTG", b"CTG").gap == Gap(3, 2, b"")
    assert edit_of(b"AG", b"G").gap == Gap(0, 1, b"")
    assert edit_of(b"G", b"AG").gap == Gap(0, 0, b"A")
    assert edit_of(b"ACGT", b"TCGA").substitutions == ((0, ord("T")), (3, ord("A")))
    assert is_anchored_indel(b"TG", b"T") and not is_anchored_indel(b"AG", b"G")
    assert not is_anchored_indel(b"ACGT", b"ATT")


def test_calls_of_every_kind_in_a_window(tmp_path):
    """Missing is reference, a half-call its known allele, a haploid call on both haplotypes."""
    record = Record(5, "A", ("G", "*", "AT"), (".|.", ".|1", "1", "2|3"))
    world = World("ACGTACGTAC", [record], people=("a", "b", "c", "d"))
    windows = windows_of(world, tmp_path, 2, 8, tss_offset=1)
    found = [[text(windows, person, h) for h in (0, 1)] for person in range(4)]
    plain, changed, longer = "ACGTACGT", "ACGTGCGT", "ACGTATCG"
    assert found == [[plain, plain], [plain, changed], [changed, changed], [plain, longer]]


def test_unphased_calls_as_dosage_write_one_iupac_window(tmp_path):
    indel = Record(7, "GT", ("G",), ("0/1",))
    world = one("ACGTACGTAC", Record(5, "A", ("G",), ("0/1",)), indel)
    windows = windows_of(world, tmp_path, 2, 8, tss_offset=1, unphased="dosage")
    assert windows.sequences.tobytes() == b"ACGTRCGT"
    assert windows.counts["unphased indels skipped"] == 1
    coin = windows_of(world, tmp_path, 2, 8, tss_offset=1, unphased="random(1)")
    assert len(coin.sequences) == 2


def test_a_deletion_far_left_decides_about_one_in_the_window(tmp_path, monkeypatch):
    """A chain of overlaps that starts outside the region first read is followed to its start."""
    sequence = "".join(np.random.default_rng(1).choice(list("ACGT"), 5000))

    def cut(start: int, end: int) -> Record:
        return Record(start + 1, sequence[start:end], (sequence[start],), ("1|0",))

    other = sequence[1400:2989] + ("A" if sequence[2989] != "A" else "C")
    long = Record(1401, sequence[1400:2990], (other,), ("1|0",))
    world = one(sequence, cut(100, 1500), long, cut(2980, 3010), cut(3005, 3020))
    windows = windows_of(world, tmp_path, 3100, 200)
    assert text(windows, 0, 0) == slow_window(world, 0, 0, 3100, 200, 100)[0]
    padded = sequence[:101] + sequence[1500:2981] + sequence[3010:]
    anchor = padded.index(sequence[3099:3150])
    assert text(windows, 0, 0) == padded[anchor - 100 : anchor + 100]
    monkeypatch.setattr(VariantFile, "cluster_start", lambda self, chrom, position: position)
    unaware = windows_of(world, tmp_path, 3100, 200)
    assert text(unaware, 0, 0) != text(windows, 0, 0)


def test_deletions_that_empty_the_first_read_extend_it(tmp_path):
    sequence = "".join(np.random.default_rng(2).choice(list("ACGT"), 20_000))
    records = [
        Record(p + 1, sequence[p : p + 1900], (sequence[p],), ("1|0",))
        for p in range(500, 18_000, 2000)
    ]
    windows = windows_of(one(sequence, *records), tmp_path, 10_450, 600)
    assert text(windows, 0, 0) == slow_window(one(sequence, *records), 0, 0, 10_450, 600, 300)[0]
    assert text(windows, 0, 1) == sequence[10_149:10_749]


@pytest.mark.parametrize("bcf", [False, pytest.param(True, marks=needs_bcftools)])
def test_a_deletion_whose_end_is_stated_too_short_is_read(tmp_path, monkeypatch, bcf):
    """htslib files such a record under INFO/END, so that a window on its right doesn't meet it."""
    monkeypatch.setattr("howfar.genome.windows._MARGIN", 1)
    sequence = "".join(np.random.default_rng(5).choice(list("ACGT"), 20_000))
    world = one(sequence, Record(101, sequence[100:2000], (sequence[100],), ("1|0",)))
    fasta, vcf = world.write(tmp_path)
    plain = vcf.with_suffix("")
    info = '##INFO=<ID=END,Number=1,Type=Integer,Description="end">\n##ALT'
    changed = plain.read_text().replace("##ALT", info).replace("\t.\tGT", "\tEND=101\tGT")
    plain.write_text(changed)
    pysam.tabix_compress(str(plain), str(vcf), force=True)
    pysam.tabix_index(str(vcf), preset="vcf", force=True)
    if bcf:  # pysam would write another END
        vcf = tmp_path / "v.bcf"
        subprocess.run(["bcftools", "view", "-Ob", "-o", vcf, plain], check=True)
        subprocess.run(["bcftools", "index", vcf], check=True)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        windows = build_windows(reference, variants, gene_at(2010), 60, alleles="all")
    assert text(windows, 0, 0) == slow_window(world, 0, 0, 2010, 60, 30)[0]
    assert text(windows, 0, 0) != text(windows, 0, 1) == sequence[1979:2039]
    said = "records whose INFO/END lies before the end of REF, which is used"
    assert windows.counts[said] == 1


def test_a_record_of_more_than_a_hundred_alleles(tmp_path):
    """It is none of SNVs; where all alleles are asked for it is applied."""
    repeat = Record(5, "A", tuple("A" + "CA" * n for n in range(1, 151)), ("150|0",))
    world = one("ACGTACGTAC", repeat, Record(7, "G", ("C",), ("1|1",)))
    snvs = windows_of(world, tmp_path, 2, 8, tss_offset=1, alleles="snv")
    assert text(snvs, 0, 0) == text(snvs, 0, 1) == "ACGTACCT"
    assert snvs.counts["non-SNV sites left out"] == 1
    every = windows_of(world, tmp_path, 2, 400, tss_offset=1)
    assert text(every, 0, 0).strip("N") == slow_full(world, 0, 0) == f"ACGTA{'CA' * 150}CCTAC"
    files = tmp_path / "reference.fa", tmp_path / "variants.vcf.gz"
    with Reference(files[0]) as reference, VariantFile(files[1]) as variants:
        copies, _ = variants.dosages(Interval(CONTIG, 0, 10), reference)
    assert copies.shape == (1, 151) and copies[0, 149] == 1 and copies[0].sum() == 3


# REF of an SNV to T at base 5, and whether it is what a FASTA with the code R there has.
CODES = [("A", True), ("R", True), ("N", True), ("G", False), ("C", False)]


@pytest.mark.parametrize(("ref", "fits"), CODES)
def test_ref_where_the_fasta_has_an_iupac_code(tmp_path, ref, fits):
    world = one("ACGTRCGTAC", Record(5, ref, ("T",), ("1|0",)), Record(7, "G", ("C",), ("1|1",)))
    windows = windows_of(world, tmp_path, 2, 8, tss_offset=1)
    assert text(windows, 0, 0) == ("ACGTTCCT" if fits else "ACGTNCCT")
    assert windows.counts["REF mismatches"] == (not fits)


def test_ref_with_n_where_the_fasta_has_a_base_is_left_out_and_counted(tmp_path):
    records = [Record(p, "N", ("T",), ("1|0",)) for p in (5, 6, 7)]
    windows = windows_of(one("ACGTACGTAC", *records), tmp_path, 2, 8, tss_offset=1)
    assert text(windows, 0, 0) == "ACGTACGT" and not windows.counts["REF mismatches"]
    assert windows.counts["records whose REF has N in place of a base, left out"] == 3


# What the book says of where a window is not what bcftools consensus writes:
# FASTA, records, haplotype 1 and 2 of this package, those of bcftools 1.16.
UNLIKE_BCFTOOLS = {
    "symbolic": ("ACGTACGTACGT", [Record(5, "A", ("<DEL>",), ("1|1",))], "ACGTACGTACGT", None),
    "star": ("ACGTACGT", [Record(5, "A", ("*",), ("1|0",))], "ACGTACGT", "ACGT*CGT"),
    "haploid": ("ACGTACGT", [Record(5, "A", ("G",), ("1",))], "ACGTGCGT", "ACGTGCGT ACGTACGT"),
    "IUPAC": ("ACGTACGT", [Record(5, "A", ("R",), ("1|1",))], "ACGTACGT", "ACGTRCGT"),
    "lower case": (
        "ACGTaCGT",
        [Record(5, "A", ("G",), ("1|1",)), Record(5, "A", ("AT",), ("1|1",))],
        "ACGTGTCGT",
        "ACGTATCGT",
    ),
}


@needs_bcftools
@pytest.mark.parametrize("case", UNLIKE_BCFTOOLS)
def test_where_bcftools_consensus_writes_something_else(tmp_path, case):
    sequence, records, ours, theirs = UNLIKE_BCFTOOLS[case]
    world = one(sequence, *records)
    windows = windows_of(world, tmp_path, 2, 40, tss_offset=20)
    assert {text(windows, 0, h).strip("N") for h in (0, 1)} == {ours}
    files = tmp_path / "reference.fa", tmp_path / "variants.vcf.gz"
    found = [bcftools_consensus(*files, "p0", h) for h in (1, 2)]
    if theirs is None:  # without END or SVLEN bcftools has nothing to delete either
        return
    assert found[: len(theirs.split())] == theirs.split() and set(found) != {ours}
    if case == "lower case":
        (tmp_path / "upper").mkdir()
        upper = replace(world, sequence=sequence.upper()).write(tmp_path / "upper")
        assert bcftools_consensus(*upper, "p0", 1) == ours


def test_the_order_of_records_at_one_position_decides_as_in_bcftools(tmp_path):
    snv, longer = Record(5, "A", ("G",), ("1|1",)), Record(5, "A", ("AT",), ("1|1",))
    found = []
    for name, records in (("one", (snv, longer)), ("two", (longer, snv))):
        (tmp_path / name).mkdir()
        windows = windows_of(one("ACGTACGT", *records), tmp_path / name, 2, 8, tss_offset=1)
        found.append(text(windows, 0, 0))
    assert found == ["ACGTGTCG", "ACGTATCG"]


def test_a_contig_without_the_variants_file_or_reference_is_an_error(tmp_path):
    fasta, vcf = crowded().write(tmp_path)
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        with pytest.raises(HowfarError, match="contig '8'"):
            build_windows(reference, variants, Gene("g", "g", "8", 5, "+"), 10)
        with pytest.raises(HowfarError, match="found TSS offset 10"):
            build_windows(reference, variants, gene_at(5), 10, tss_offset=10)


def test_blocks_are_slices_of_all_windows_and_need_no_more_memory(shared):
    folder = shared / "realregion"
    gene = read_genes(folder / "genes.csv")[4]
    with (
        Reference(folder / "chr20_1Mb.fa") as reference,
        VariantFile(folder / "chr20_1Mb.vcf.gz") as variants,
    ):
        tracemalloc.start()
        windows = build_windows(reference, variants, gene, 196_608, alleles="all")
        blocks = [hashlib.sha256(windows.rows(i, i + 64)).hexdigest() for i in range(0, 567, 64)]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    everything = windows.sequences
    assert len(windows) == len(everything) == 567
    assert blocks == [hashlib.sha256(everything[i : i + 64]).hexdigest() for i in range(0, 567, 64)]
    assert peak < everything.nbytes / 2
