"""Genotypes: VCF and BCF."""

from __future__ import annotations

import gzip
import os
import re
import shutil
from pathlib import Path

import pysam

from inputs.case import Commands, Prepare, makers, written
from inputs.cohort import Files, vcf_text

good, bad = makers("genotypes")


def bgzipped_vcf_with_csi_index(files: Files) -> Commands:
    (files.folder / "variants.vcf.gz.tbi").unlink()
    pysam.tabix_index(str(files.folder / "variants.vcf.gz"), preset="vcf", csi=True)
    return files.sequences()


def _write_bcf(files: Files, name: str) -> None:
    source = pysam.VariantFile(str(files.folder / "variants.vcf.gz"))
    with source, pysam.VariantFile(str(files.folder / name), "wb", header=source.header) as out:
        for record in source:
            out.write(record)


def bcf_with_csi_index(files: Files) -> Commands:
    _write_bcf(files, "v.bcf")
    pysam.tabix_index(str(files.folder / "v.bcf"), preset="bcf", csi=True)
    return files.sequences(variants="v.bcf")


def chr_in_the_vcf_alone(files: Files) -> Commands:
    files.vcf(lambda text: text.replace("\n20\t", "\nchr20\t").replace("ID=20", "ID=chr20"))
    return files.sequences()


def missing_half_and_haploid_calls(files: Files) -> Commands:
    files.records(lambda rows: [[*r[:9], ".|.", "1|.", "1", *r[12:]] for r in rows])
    return files.sequences()


def symbolic_and_star_alleles(files: Files) -> Commands:
    files.records(
        lambda rows: [
            [*r[:4], "<DEL>,*" if i % 5 == 0 else r[4], *r[5:]] for i, r in enumerate(rows)
        ]
    )
    return files.sequences("--alleles", "all")


def allele_non_ref_of_gvcf_files(files: Files) -> Commands:
    files.records(lambda rows: [[*r[:4], f"{r[4]},<NON_REF>", *r[5:]] for r in rows])
    return files.sequences()


def records_that_filter_marks_as_failed(files: Files) -> Commands:
    files.records(
        lambda rows: [[*r[:6], "PASS" if i % 5 else "LowQual", *r[7:]] for i, r in enumerate(rows)]
    )
    return files.sequences()


def two_records_at_one_position(files: Files) -> Commands:
    files.records(lambda rows: [row for r in rows for row in (r, r)])
    return files.sequences()


def few_wrong_ref(files: Files) -> Commands:
    files.records(lambda rows: [_other_ref(r) if i == 19 else r for i, r in enumerate(rows)])
    files.settings(cohort__max_ref_mismatch=0.5)
    return files.predict()


def one_wrong_ref(files: Files) -> Commands:
    files.records(lambda rows: [_other_ref(r) if i == 19 else r for i, r in enumerate(rows)])
    return files.sequences()


def two_wrong_ref_and_a_higher_limit(files: Files) -> Commands:
    files.records(lambda rows: [_other_ref(r) if i in (18, 19) else r for i, r in enumerate(rows)])
    return files.sequences("--max-ref-mismatch", "0.2")


def record_of_many_alleles(alleles: str) -> Prepare:
    """A repeat of 1 to 119 units at the 20th site."""

    def prepare(files: Files) -> Commands:
        def repeat(row: list[str]) -> list[str]:
            alts = ",".join(row[3] + "CA" * (i + 1) for i in range(119))
            return [*row[:4], alts, *row[5:9], *(call.replace("1", "119") for call in row[9:])]

        files.records(lambda rows: [repeat(r) if i == 19 else r for i, r in enumerate(rows)])
        return files.sequences("--alleles", alleles)

    return prepare


def contig_of_the_header_alone(files: Files) -> Commands:
    files.vcf(
        lambda text: text.replace("\n20\t", "\n21\t").replace(
            "##FILTER", "##contig=<ID=21>\n##FILTER"
        )
    )
    return files.sequences()


def chr_in_the_records_alone(files: Files) -> Commands:
    files.vcf(lambda text: text.replace("\n20\t", "\nchr20\t"))
    return files.sequences()


def vcf_named_bcf(files: Files) -> Commands:
    for end in ("", ".tbi"):
        (files.folder / f"variants.vcf.gz{end}").rename(files.folder / f"v.bcf{end}")
    return files.sequences(variants="v.bcf")


def bcf_named_vcf(files: Files) -> Commands:
    _write_bcf(files, "v.vcf.gz")
    return files.sequences(variants="v.vcf.gz")


def bcf_without_compression(files: Files) -> Commands:
    _write_bcf(files, "v.bcf")
    files.put("v.bcf", gzip.decompress((files.folder / "v.bcf").read_bytes()))
    return files.sequences(variants="v.bcf")


def gt_declared_as_numbers(files: Files) -> Commands:
    files.vcf(
        lambda text: text.replace("ID=GT,Number=1,Type=String", "ID=GT,Number=1,Type=Integer")
    )
    return files.sequences()


def unphased_as_dosage(files: Files) -> Commands:
    files.vcf(lambda text: text.replace("|", "/"))
    return files.sequences("--unphased", "dosage")


def several_phase_sets(files: Files) -> Commands:
    files.vcf(
        lambda text: re.sub(r"(\n20\t(\d+)\t.*\t)GT\t(.*)", _with_sets, text).replace(
            "##FILTER", '##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">\n##FILTER'
        )
    )
    return files.sequences()


def _with_sets(line: re.Match) -> str:
    """A record with phase sets of 300 bp each."""
    place = int(line[2]) // 300 * 300 + 1
    return f"{line[1]}GT:PS\t" + "\t".join(f"{call}:{place}" for call in line[3].split("\t"))


def unphased_phased_at_random(files: Files) -> Commands:
    files.vcf(lambda text: text.replace("|", "/"))
    files.settings(cohort__unphased="random(1)")
    return files.predict()


def _other_ref(row: list[str]) -> list[str]:
    ref = {"A": "C", "C": "G", "G": "T", "T": "A"}[row[3][0]]
    alt = {"A": "G", "C": "A", "G": "A", "T": "C"}[ref]
    return [*row[:3], ref, alt, *row[5:]]


def no_such_file(files: Files) -> Commands:
    return files.sequences(variants="absent.vcf.gz")


def bgzipped_vcf_cut_short(files: Files) -> Commands:
    files.vcf()
    files.cut("variants.vcf.gz", 0.6)
    return files.sequences()


def bgzipped_vcf_without_its_last_block(files: Files) -> Commands:
    data = (files.folder / "variants.vcf.gz").read_bytes()
    files.put("v.vcf.gz", data[:-28])
    shutil.copy(files.folder / "variants.vcf.gz.tbi", files.folder / "v.vcf.gz.tbi")
    return files.sequences(variants="v.vcf.gz")


def vcf_compressed_by_gzip_instead_of_bgzip(files: Files) -> Commands:
    data = gzip.decompress((files.folder / "variants.vcf.gz").read_bytes())
    files.put("variants.vcf.gz", gzip.compress(data, mtime=0))
    return files.sequences()


def index_of_another_file(files: Files) -> Commands:
    other = (files.folder / "variants.vcf.gz.tbi").read_bytes()
    notes = "".join(f"##note{i}={i * 7919 % 1_000_003}\n" for i in range(9_000))
    files.vcf(lambda text: text.replace("##contig", f"{notes}##contig"), index=False)
    files.put("variants.vcf.gz.tbi", other)
    return files.sequences()


def damaged_index(files: Files) -> Commands:
    files.put("variants.vcf.gz.tbi", b"\x1f\x8bnot an index")
    return files.sequences()


def records_that_are_not_sorted(files: Files) -> Commands:
    index = (files.folder / "variants.vcf.gz.tbi").read_bytes()
    files.vcf(_reversed, index=False)
    files.put("variants.vcf.gz.tbi", index)
    return files.sequences()


def _reversed(text: str) -> str:
    lines = text.splitlines()
    head = [line for line in lines if line.startswith("#")]
    return "\n".join([*head, *reversed(lines[len(head) :])]) + "\n"


def another_genome_build(files: Files) -> Commands:
    files.records(lambda rows: [_other_ref(r) for r in rows])
    return files.sequences()


def one_ref_in_ten_wrong(files: Files) -> Commands:
    files.records(lambda rows: [_other_ref(r) if i % 10 == 0 else r for i, r in enumerate(rows)])
    return files.predict()


def contig_under_another_name(files: Files) -> Commands:
    files.vcf(
        lambda text: text.replace("\n20\t", "\nCM000682.2\t").replace("ID=20", "ID=CM000682.2")
    )
    return files.sequences()


def contigs_named_by_refseq_accessions(files: Files) -> Commands:
    files.vcf(
        lambda text: text.replace("\n20\t", "\nNC_000020.11\t").replace("ID=20", "ID=NC_000020.11")
    )
    return files.sequences()


def unphased_calls(files: Files) -> Commands:
    files.vcf(lambda text: text.replace("|", "/"))
    return files.sequences()


def calls_that_begin_with_their_phase(files: Files) -> Commands:
    files.records(lambda rows: [[*r[:9], f"|{r[9]}", *r[10:]] for r in rows])
    return files.sequences()


def calls_of_three_alleles(files: Files) -> Commands:
    files.records(lambda rows: [[*r[:9], "0|1|1", *r[10:]] for r in rows])
    return files.sequences()


def call_of_an_allele_that_the_record_lacks(files: Files) -> Commands:
    files.records(lambda rows: [[*r[:9], "0|5", *r[10:]] for r in rows])
    return files.sequences()


def alt_that_is_no_sequence(files: Files) -> Commands:
    files.records(lambda rows: [[*r[:4], "?", *r[5:]] for r in rows])
    return files.sequences()


def record_with_fewer_calls_than_people(files: Files) -> Commands:
    files.records(lambda rows: [r[:-1] if i == 19 else r for i, r in enumerate(rows)])
    return files.sequences()


def record_with_more_calls_than_people(files: Files) -> Commands:
    files.records(lambda rows: [[*r, "0|0"] if i == 19 else r for i, r in enumerate(rows)])
    return files.sequences()


def call_that_is_no_number(files: Files) -> Commands:
    files.records(lambda rows: [[*r[:9], "A|C", *r[10:]] for r in rows])
    return files.sequences()


def sites_without_people(files: Files) -> Commands:
    files.vcf(
        lambda text: "".join("\t".join(row.split("\t")[:8]) + "\n" for row in text.splitlines())
    )
    return files.sequences()


def hds_for_eqtl(files: Files) -> Commands:
    _haplotype_dosages(files)
    return files.eqtl()


def hds_for_haplotypes(files: Files) -> Commands:
    _haplotype_dosages(files)
    return files.sequences()


def _haplotype_dosages(files: Files) -> None:
    field = '##FORMAT=<ID=HDS,Number=.,Type=Float,Description="Haploid dosages">'
    files.vcf(
        lambda text: (
            re.sub(r"##FORMAT.*", field, text).replace("\tGT\t", "\tHDS\t").replace("|", ",")
        )
    )


def snvs_of_the_other_strand(files: Files) -> Commands:
    other = {"A": ("T", "C"), "C": ("G", "A"), "G": ("C", "T"), "T": ("A", "G")}
    files.records(lambda rows: [[*r[:3], *other[r[3]], *r[5:]] for r in rows])
    return files.sequences()


def no_format_field_gt_or_ds(files: Files) -> Commands:
    files.vcf(lambda text: text.replace("ID=GT", "ID=XX").replace("\tGT\t", "\tXX\t"))
    return files.sequences()


def person_twice_in_the_header(files: Files) -> Commands:
    files.vcf(lambda text: text.replace("\tP2\t", "\tP1\t", 1))
    return files.sequences()


def no_record_at_all_in_the_file(files: Files) -> Commands:
    files.records(lambda rows: [])
    files.vcf(
        lambda text: "".join(
            line + "\n"
            for line in text.splitlines()
            if line.startswith("#") and "contig" not in line
        )
    )
    return files.sequences()


def gene_without_a_variant_in_its_window(files: Files) -> Commands:
    files.records(lambda rows: [r for r in rows if not 850 < int(r[1]) < 1150])
    return files.sequences()


def plain_vcf_with_byte_order_mark(files: Files) -> Commands:
    files.put("v.vcf", "\ufeff" + vcf_text(files.sequence()) + "\n")
    return files.sequences(variants="v.vcf")


def plain_vcf(files: Files) -> Commands:
    files.put("v.vcf", gzip.decompress((files.folder / "variants.vcf.gz").read_bytes()))
    return files.sequences(variants="v.vcf")


def no_index(files: Files) -> Commands:
    files.vcf(index=False)
    return files.sequences()


def index_older_than_the_file(files: Files) -> Commands:
    os.utime(files.folder / "variants.vcf.gz.tbi", (1_000_000_000, 1_000_000_000))
    return files.sequences()


def one_file_per_contig(files: Files) -> Commands:
    for end in ("", ".tbi"):
        (files.folder / f"variants.vcf.gz{end}").rename(files.folder / f"chr20.vcf.gz{end}")
    return files.sequences(variants="chr{chrom}.vcf.gz")


def _dosages(files: Files) -> None:
    """The calls as the FORMAT field DS, and no GT."""
    calls = {"0|0": "0", "0|1": "1", "1|0": "1", "1|1": "2"}
    files.vcf(
        lambda text: (
            re.sub(r"[01]\|[01]", lambda m: calls[m.group()], text)
            .replace("ID=GT,Number=1,Type=String", "ID=DS,Number=1,Type=Float")
            .replace("\tGT\t", "\tDS\t")
        )
    )


def dosages_for_eqtls(files: Files) -> Commands:
    _dosages(files)
    return files.eqtl()


def dosages_for_linear_models(files: Files) -> Commands:
    _dosages(files)
    return files.baseline()


def dosages_for_haplotypes(files: Files) -> Commands:
    _dosages(files)
    return files.sequences()


def file_cut_behind_its_header(files: Files) -> Commands:
    files.records(lambda rows: [])
    return files.sequences()


def chr_in_the_fasta_alone(files: Files) -> Commands:
    files.change("reference.fa", ">20", ">chr20")
    return files.sequences()


def dosage_table(files: Files) -> Path:
    """The SNVs as the eQTL Catalogue's table of dosages, one of them missing."""
    rows = [r for r in files.vcf_rows() if len(r[3]) == len(r[4]) == 1]
    lines = [[r[0], r[1], r[3], r[4], *(str(call.count("1")) for call in r[9:])] for r in rows]
    lines[0][4] = "-1.0"
    head = ["CHROM", "POS", "REF", "ALT", *Files.PEOPLE]
    return files.put("dose.tsv.gz", "".join("\t".join(line) + "\n" for line in [head, *lines]))


def study_without_sequence(files: Files) -> Commands:
    """Dosages and an expression BED alone: no FASTA, gene table or network."""
    files.settings(
        cohort__variants=dosage_table(files), cohort__reference=None, cohort__genes=None, runs=[]
    )
    return [*files.baseline(), *files.eqtl()]


def predictions_from_dosages(files: Files) -> Commands:
    files.settings(cohort__variants=dosage_table(files))
    return files.predict()


def prediction_without_fasta(files: Files) -> Commands:
    files.settings(cohort__reference=None)
    return files.predict()


CASES = [
    good(
        "the eQTL Catalogue's dosages and an expression BED, no FASTA, gene table or network",
        study_without_sequence,
        "whose place may not be their TSS: 3",
    ),
    bad("a network on dosages", predictions_from_dosages, "dosages, without haplotypes"),
    bad("a network without FASTA", prediction_without_fasta, "cohort.reference`, a FASTA"),
    good("bgzipped VCF with TBI index", Files.sequences, "6 haplotype|36 haplotype"),
    good("bgzipped VCF with CSI index", bgzipped_vcf_with_csi_index, "36 haplotype"),
    good("BCF with CSI index", bcf_with_csi_index, "36 haplotype"),
    good(
        "contigs named with `chr` in the VCF, without in the FASTA",
        chr_in_the_vcf_alone,
        "36 haplotype",
    ),
    good(
        "missing, half and haploid calls",
        missing_half_and_haploid_calls,
        "haploid calls: 116\n.*missing calls: 116",
    ),
    good("symbolic and star alleles", symbolic_and_star_alleles, "star alleles: "),
    good(
        "SNVs with the allele `<NON_REF>` of gVCF files beside",
        allele_non_ref_of_gvcf_files,
        "left out: 14\n.*symbolic alleles: 130\n(?!.*without variants)",
    ),
    good(
        "records that FILTER marks as failed",
        records_that_filter_marks_as_failed,
        "do not pass FILTER, used: ",
    ),
    good("two records at one position", two_records_at_one_position, "duplicate positions: "),
    good("a few REF that are not the FASTA's, below the limit", few_wrong_ref, "REF mismatches: 2"),
    good("one REF of a gene that is not the FASTA's", one_wrong_ref, "REF mismatches: 2"),
    good(
        "two REF of a gene that are not the FASTA's, and a higher limit",
        two_wrong_ref_and_a_higher_limit,
        "REF mismatches: 4",
    ),
    good("a record of 120 alleles, SNVs asked for", record_of_many_alleles("snv"), "sites left"),
    good("a record of 120 alleles, all asked for", record_of_many_alleles("all"), "36 haplotype"),
    good("unphased calls, `unphased: dosage`", unphased_as_dosage, "unphased calls: "),
    good(
        "calls phased in several phase sets (PS)", several_phase_sets, "phase sets, read as one: 18"
    ),
    good("unphased calls, `unphased: random(1)`", unphased_phased_at_random, "unphased calls: "),
    bad("no such file", no_such_file, "no such file"),
    bad("bgzipped VCF cut short", bgzipped_vcf_cut_short, "cut short|truncated|not whole"),
    bad(
        "bgzipped VCF without its last block",
        bgzipped_vcf_without_its_last_block,
        "cut short|truncated|end-of-file",
    ),
    bad(
        "VCF compressed by gzip instead of bgzip",
        vcf_compressed_by_gzip_instead_of_bgzip,
        "gzip|bgzip",
    ),
    good("index of another file: one is made", index_of_another_file, "36 haplotype windows"),
    good("damaged index: one is made", damaged_index, "36 haplotype windows"),
    bad("records that are not sorted", records_that_are_not_sorted, "sorted|order"),
    bad("another genome build", another_genome_build, "records whose REF differs"),
    bad(
        "one REF in ten that is not the FASTA's", one_ref_in_ten_wrong, "records whose REF differs"
    ),
    bad("a contig under another name", contig_under_another_name, "no record of it, only of CM"),
    bad(
        "a contig that the header alone has", contig_of_the_header_alone, "no record of it, only of"
    ),
    good(
        "contigs named with `chr` in the records, without in the header",
        chr_in_the_records_alone,
        r"36 haplotype(?!.*without variants)",
    ),
    good("VCF named .bcf", vcf_named_bcf, r"36 haplotype(?!.*without variants)"),
    good("BCF named .vcf.gz", bcf_named_vcf, r"36 haplotype(?!.*without variants)"),
    bad("BCF that is not compressed", bcf_without_compression, "bcftools view -Ob"),
    bad("FORMAT GT declared as numbers", gt_declared_as_numbers, "Type=Integer"),
    good("contigs named by RefSeq accessions", contigs_named_by_refseq_accessions, "36 haplotype"),
    bad("unphased calls", unphased_calls, "without phase"),
    bad(
        "calls that begin with their phase, as in VCF 4.4",
        calls_that_begin_with_their_phase,
        "VCF 4.4 allows",
    ),
    bad("calls of three alleles", calls_of_three_alleles, "3 alleles"),
    bad(
        "a call of an allele that the record lacks",
        call_of_an_allele_that_the_record_lacks,
        "allele",
    ),
    bad("an ALT that is no sequence", alt_that_is_no_sequence, "ALT '\\?'"),
    bad("a record with fewer calls than people", record_with_fewer_calls_than_people, ""),
    bad("a record with more calls than people", record_with_more_calls_than_people, "16 columns"),
    bad("a call that is no number", call_that_is_no_number, ""),
    bad("sites without people", sites_without_people, "no genotypes"),
    good("HDS alone, as Minimac4 writes it, for eQTL", hds_for_eqtl, "eQTL|genes|lead"),
    bad(
        "HDS alone, as Minimac4 writes it, for haplotypes",
        hds_for_haplotypes,
        "plink2 --vcf FILE dosage=HDS",
    ),
    bad(
        "SNVs of the other strand, as some arrays have them",
        snvs_of_the_other_strand,
        "bcftools .fixref",
    ),
    bad("no FORMAT field GT or DS", no_format_field_gt_or_ds, "no genotypes"),
    bad("a person twice in the header", person_twice_in_the_header, "differ|twice|[Dd]uplicate"),
    bad("no record at all in the file", no_record_at_all_in_the_file, "a header and no record"),
    bad("an empty file", written("variants.vcf.gz", b"", Files.sequences), "variants.vcf.gz"),
    bad(
        "a web page saved under the file's name",
        written("variants.vcf.gz", b"<!DOCTYPE html><html>404</html>", Files.sequences),
        "",
    ),
    good(
        "a gene without a variant in its window",
        gene_without_a_variant_in_its_window,
        "36 haplotype",
    ),
    good(
        "VCF as plain text, a byte order mark before and an empty line after it",
        plain_vcf_with_byte_order_mark,
        "36 haplotype",
    ),
    good("VCF that is not compressed: copied and indexed", plain_vcf, "36 haplotype"),
    good("no index: one is made", no_index, "36 haplotype"),
    good("an index older than the file: one is made", index_older_than_the_file, "36 haplotype"),
    good("one file per contig", one_file_per_contig, "36 haplotype"),
    good("dosages alone (DS), for cis-eQTLs", dosages_for_eqtls, "3 genes, 0 with an eQTL"),
    good("dosages alone (DS), for linear models", dosages_for_linear_models, "top1: 3 genes"),
    bad("dosages alone, where haplotypes are asked for", dosages_for_haplotypes, "dosages"),
    bad("a file cut behind its header", file_cut_behind_its_header, "a header and no record"),
    good(
        "contigs named with `chr` in the FASTA, without in the VCF",
        chr_in_the_fasta_alone,
        "36 haplotype",
    ),
]
