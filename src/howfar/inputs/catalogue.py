"""The inputs that `inputs.page` runs: good ones of every common kind, and what goes wrong."""

from __future__ import annotations

import gzip
import os
import re
import shutil
from collections.abc import Callable

import pysam

from howfar.inputs.cohort import Files, bed_text, vcf_text
from howfar.inputs.page import Input

INPUTS: list[Input] = []
Commands = list[list[str]]


def good(kind: str, title: str, says: str = "") -> Callable:
    """Adds the input that the decorated function prepares, as one that can be used."""
    return _entry(kind, title, True, says)


def bad(kind: str, title: str, says: str) -> Callable:
    """Adds the input that the decorated function prepares, as one that ends in a message."""
    return _entry(kind, title, False, says)


def _entry(kind: str, title: str, good: bool, says: str) -> Callable:
    def add(prepare: Callable[[Files], Commands]) -> Callable:
        """`prepare` as it is, noted in `INPUTS`."""
        INPUTS.append(Input(kind, title, prepare, good, says))
        return prepare

    return add


def _text(kind: str, name: str, rows: list[tuple[str, str | bytes, str]], use: Callable) -> None:
    """Bad inputs that are one file written anew: (title, text, what the message says)."""
    for title, text, says in rows:
        bad(kind, title, says)(lambda f, text=text: (f.put(name, text), use(f, name))[1])


# --- genotypes -------------------------------------------------------------------------------


@good("genotypes", "bgzipped VCF with TBI index", "6 haplotype|36 haplotype")
def _(f: Files) -> Commands:
    return f.sequences()


@good("genotypes", "bgzipped VCF with CSI index", "36 haplotype")
def _(f: Files) -> Commands:
    (f.folder / "variants.vcf.gz.tbi").unlink()
    pysam.tabix_index(str(f.folder / "variants.vcf.gz"), preset="vcf", csi=True)
    return f.sequences()


@good("genotypes", "BCF with CSI index", "36 haplotype")
def _(f: Files) -> Commands:
    source = pysam.VariantFile(str(f.folder / "variants.vcf.gz"))
    with source, pysam.VariantFile(str(f.folder / "v.bcf"), "wb", header=source.header) as out:
        for record in source:
            out.write(record)
    pysam.tabix_index(str(f.folder / "v.bcf"), preset="bcf", csi=True)
    return f.sequences(variants="v.bcf")


@good("genotypes", "contigs named with `chr` in the VCF, without in the FASTA", "36 haplotype")
def _(f: Files) -> Commands:
    f.vcf(lambda text: text.replace("\n20\t", "\nchr20\t").replace("ID=20", "ID=chr20"))
    return f.sequences()


@good("genotypes", "missing, half and haploid calls", "haploid calls: 116\n.*missing calls: 116")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:9], ".|.", "1|.", "1", *r[12:]] for r in rows])
    return [[*f.sequences()[0]]]


@good("genotypes", "symbolic and star alleles", "star alleles: ")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:4], "<DEL>,*" if i % 5 == 0 else r[4], *r[5:]]
                            for i, r in enumerate(rows)])  # fmt: skip
    return f.sequences("--alleles", "all")


@good("genotypes", "SNVs with the allele `<NON_REF>` of gVCF files beside",
      "left out: 14\n.*symbolic alleles: 130\n(?!.*without variants)")  # fmt: skip
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:4], f"{r[4]},<NON_REF>", *r[5:]] for r in rows])
    return f.sequences()


@good("genotypes", "records that FILTER marks as failed", "do not pass FILTER, used: ")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:6], "PASS" if i % 5 else "LowQual", *r[7:]]
                            for i, r in enumerate(rows)])  # fmt: skip
    return f.sequences()


@good("genotypes", "two records at one position", "duplicate positions: ")
def _(f: Files) -> Commands:
    f.records(lambda rows: [row for r in rows for row in (r, r)])
    return f.sequences()


@good("genotypes", "a few REF that are not the FASTA's, below the limit",
       "REF mismatches: 2")  # fmt: skip
def _(f: Files) -> Commands:
    f.records(lambda rows: [_other_ref(r) if i == 19 else r for i, r in enumerate(rows)])
    f.settings(cohort__max_ref_mismatch=0.5)
    return f.predict()


@good("genotypes", "unphased calls, `unphased: dosage`", "unphased calls: ")
def _(f: Files) -> Commands:
    f.vcf(lambda text: text.replace("|", "/"))
    return f.sequences("--unphased", "dosage")


@good("genotypes", "calls phased in several phase sets (PS)", "phase sets, read as one: 18")
def _(f: Files) -> Commands:
    f.vcf(
        lambda text: re.sub(r"(\n20\t(\d+)\t.*\t)GT\t(.*)", _with_sets, text).replace(
            "##FILTER", '##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">\n##FILTER'
        )
    )
    return f.sequences()


def _with_sets(line: re.Match) -> str:
    """A record with phase sets of 300 bp each."""
    place = int(line[2]) // 300 * 300 + 1
    return f"{line[1]}GT:PS\t" + "\t".join(f"{call}:{place}" for call in line[3].split("\t"))


@good("genotypes", "unphased calls, `unphased: random(1)`", "unphased calls: ")
def _(f: Files) -> Commands:
    f.vcf(lambda text: text.replace("|", "/"))
    f.settings(cohort__unphased="random(1)")
    return f.predict()


def _other_ref(row: list[str]) -> list[str]:
    ref = {"A": "C", "C": "G", "G": "T", "T": "A"}[row[3][0]]
    alt = {"A": "G", "C": "A", "G": "A", "T": "C"}[ref]
    return [*row[:3], ref, alt, *row[5:]]


@bad("genotypes", "no such file", "no such file")
def _(f: Files) -> Commands:
    return f.sequences(variants="absent.vcf.gz")


@bad("genotypes", "bgzipped VCF cut short", "cut short|truncated|not whole")
def _(f: Files) -> Commands:
    f.vcf()
    f.cut("variants.vcf.gz", 0.6)
    return f.sequences()


@bad("genotypes", "bgzipped VCF without its last block", "cut short|truncated|end-of-file")
def _(f: Files) -> Commands:
    data = (f.folder / "variants.vcf.gz").read_bytes()
    f.put("v.vcf.gz", data[:-28])
    shutil.copy(f.folder / "variants.vcf.gz.tbi", f.folder / "v.vcf.gz.tbi")
    return f.sequences(variants="v.vcf.gz")


@bad("genotypes", "VCF compressed by gzip instead of bgzip", "gzip|bgzip")
def _(f: Files) -> Commands:
    data = gzip.decompress((f.folder / "variants.vcf.gz").read_bytes())
    f.put("variants.vcf.gz", gzip.compress(data, mtime=0))
    return f.sequences()


@good("genotypes", "index of another file: one is made", "36 haplotype windows")
def _(f: Files) -> Commands:
    other = (f.folder / "variants.vcf.gz.tbi").read_bytes()
    notes = "".join(f"##note{i}={i * 7919 % 1_000_003}\n" for i in range(9_000))
    f.vcf(lambda text: text.replace("##contig", f"{notes}##contig"), index=False)
    f.put("variants.vcf.gz.tbi", other)
    return f.sequences()


@good("genotypes", "damaged index: one is made", "36 haplotype windows")
def _(f: Files) -> Commands:
    f.put("variants.vcf.gz.tbi", b"\x1f\x8bnot an index")
    return f.sequences()


@bad("genotypes", "records that are not sorted", "sorted|order")
def _(f: Files) -> Commands:
    index = (f.folder / "variants.vcf.gz.tbi").read_bytes()
    f.vcf(lambda text: _reversed(text), index=False)
    f.put("variants.vcf.gz.tbi", index)
    return f.sequences()


def _reversed(text: str) -> str:
    lines = text.splitlines()
    head = [line for line in lines if line.startswith("#")]
    return "\n".join([*head, *reversed(lines[len(head) :])]) + "\n"


@bad("genotypes", "another genome build", "records whose REF differs")
def _(f: Files) -> Commands:
    f.records(lambda rows: [_other_ref(r) for r in rows])
    return f.sequences()


@bad("genotypes", "one REF in ten that is not the FASTA's", "records whose REF differs")
def _(f: Files) -> Commands:
    f.records(lambda rows: [_other_ref(r) if i % 10 == 0 else r for i, r in enumerate(rows)])
    return f.predict()


@bad("genotypes", "a contig under another name", "no such contig")
def _(f: Files) -> Commands:
    f.vcf(lambda text: text.replace("\n20\t", "\nCM000682.2\t").replace("ID=20", "ID=CM000682.2"))
    return f.sequences()


@good("genotypes", "contigs named by RefSeq accessions", "36 haplotype")
def _(f: Files) -> Commands:
    f.vcf(
        lambda text: text.replace("\n20\t", "\nNC_000020.11\t").replace("ID=20", "ID=NC_000020.11")
    )
    return f.sequences()


@bad("genotypes", "unphased calls", "without phase")
def _(f: Files) -> Commands:
    f.vcf(lambda text: text.replace("|", "/"))
    return f.sequences()


@bad("genotypes", "calls that begin with their phase, as in VCF 4.4", "VCF 4.4 allows")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:9], f"|{r[9]}", *r[10:]] for r in rows])
    return f.sequences()


@bad("genotypes", "calls of three alleles", "3 alleles")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:9], "0|1|1", *r[10:]] for r in rows])
    return f.sequences()


@bad("genotypes", "a call of an allele that the record lacks", "allele")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:9], "0|5", *r[10:]] for r in rows])
    return f.sequences()


@bad("genotypes", "an ALT that is no sequence", "ALT '\\?'")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:4], "?", *r[5:]] for r in rows])
    return f.sequences()


@bad("genotypes", "a record with fewer calls than people", "")
def _(f: Files) -> Commands:
    f.records(lambda rows: [r[:-1] if i == 19 else r for i, r in enumerate(rows)])
    return f.sequences()


@bad("genotypes", "a record with more calls than people", "16 columns")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r, "0|0"] if i == 19 else r for i, r in enumerate(rows)])
    return f.sequences()


@bad("genotypes", "a call that is no number", "")
def _(f: Files) -> Commands:
    f.records(lambda rows: [[*r[:9], "A|C", *r[10:]] for r in rows])
    return f.sequences()


@bad("genotypes", "sites without people", "no genotypes")
def _(f: Files) -> Commands:
    f.vcf(lambda text: "".join("\t".join(row.split("\t")[:8]) + "\n" for row in text.splitlines()))
    return f.sequences()


@good("genotypes", "HDS alone, as Minimac4 writes it, for eQTL", "eQTL|genes|lead")
def _(f: Files) -> Commands:
    _haplotype_dosages(f)
    return f.eqtl()


@bad(
    "genotypes", "HDS alone, as Minimac4 writes it, for haplotypes", "plink2 --vcf FILE dosage=HDS"
)
def _(f: Files) -> Commands:
    _haplotype_dosages(f)
    return f.sequences()


def _haplotype_dosages(f: Files) -> None:
    field = '##FORMAT=<ID=HDS,Number=.,Type=Float,Description="Haploid dosages">'
    f.vcf(
        lambda text: (
            re.sub(r"##FORMAT.*", field, text).replace("\tGT\t", "\tHDS\t").replace("|", ",")
        )
    )


@bad("genotypes", "SNVs of the other strand, as some arrays have them", "bcftools .fixref")
def _(f: Files) -> Commands:
    other = {"A": ("T", "C"), "C": ("G", "A"), "G": ("C", "T"), "T": ("A", "G")}
    f.records(lambda rows: [[*r[:3], *other[r[3]], *r[5:]] for r in rows])
    return f.sequences()


@bad("genotypes", "no FORMAT field GT or DS", "no genotypes")
def _(f: Files) -> Commands:
    f.vcf(lambda text: text.replace("ID=GT", "ID=XX").replace("\tGT\t", "\tXX\t"))
    return f.sequences()


@bad("genotypes", "a person twice in the header", "differ|twice|[Dd]uplicate")
def _(f: Files) -> Commands:
    f.vcf(lambda text: text.replace("\tP2\t", "\tP1\t", 1))
    return f.sequences()


@bad("genotypes", "no record at all in the file", "no such contig|no record")
def _(f: Files) -> Commands:
    f.records(lambda rows: [])
    f.vcf(lambda text: "".join(line + "\n" for line in text.splitlines()
                               if line.startswith("#") and "contig" not in line))  # fmt: skip
    return f.sequences()


_text("genotypes", "variants.vcf.gz", [
    ("an empty file", b"", "variants.vcf.gz"),
    ("a web page saved under the file's name", b"<!DOCTYPE html><html>404</html>", ""),
], lambda f, name: f.sequences(variants=name))  # fmt: skip


@good("genotypes", "a gene without a variant in its window", "36 haplotype")
def _(f: Files) -> Commands:
    f.records(lambda rows: [r for r in rows if not 850 < int(r[1]) < 1150])
    return f.sequences()


def plink_files(f: Files, turned: bool = False, wrong: bool = False) -> Commands:
    """The SNVs as PLINK 1 files; `turned`: A1 is REF at every second; `wrong`: neither is."""
    text = gzip.decompress((f.folder / "variants.vcf.gz").read_bytes()).decode()
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    codes, body, bim = {2: 0, 1: 2, 0: 3}, b"\x6c\x1b\x01", []
    for number, row in enumerate(r for r in rows if len(r[3]) == len(r[4]) == 1):
        swap = turned and number % 2
        copies = [call.count("0" if swap else "1") for call in row[9:]]
        packed = sum(codes[n] << 2 * i for i, n in enumerate(copies))
        body += packed.to_bytes(-(-len(copies) // 4), "little")
        first, second = (row[3], row[4]) if swap else (row[4], row[3])
        if wrong:
            second = next(b for b in "ACGT" if b not in row[3:5])
        bim.append(f"20\tv{number}\t0\t{row[1]}\t{first}\t{second}\n")
    f.put("p.bed", body)
    f.put("p.bim", "".join(bim))
    f.put("p.fam", "".join(f"f {p} 0 0 0 -9\n" for p in Files.PEOPLE))
    return f.sequences(variants="p.bed")


@good("genotypes", "PLINK 1, A1 the alternative or the reference allele", "36 haplotype")
def _(f: Files) -> Commands:
    return plink_files(f, turned=True)


@good("genotypes", "PLINK 1, X as 23 and its regions shared with Y as 25", "calls: 366")
def _(f: Files) -> Commands:
    f.change("reference.fa", ">20", ">chrX")
    f.change("genes.csv", ",20,", ",chrX,", count=0)
    commands = plink_files(f)
    f.change("p.bim", r"^20(?=\tv\d+\t0\t(\d{2,3}|1[0-4]\d\d)\t)", "25", count=0)
    f.change("p.bim", "^20", "23", count=0)
    return commands


@bad("genotypes", "PLINK 1 with neither allele the reference's", "p.b")
def _(f: Files) -> Commands:
    return plink_files(f, wrong=True)


@bad("genotypes", "PLINK 1 with fewer people than its .fam lists", "p.")
def _(f: Files) -> Commands:
    commands = plink_files(f)
    f.put("p.fam", "".join(f"f {i} 0 0 0 -9\n" for i in range(20)))
    return commands


@bad("genotypes", "PLINK 1 without its .bim", "p.bim")
def _(f: Files) -> Commands:
    commands = plink_files(f)
    (f.folder / "p.bim").unlink()
    return commands


@good("genotypes", "VCF as plain text, a byte order mark before and an empty line after it",
      "36 haplotype")  # fmt: skip
def _(f: Files) -> Commands:
    f.put("v.vcf", "\ufeff" + vcf_text(f.sequence()) + "\n")
    return f.sequences(variants="v.vcf")


@good("genotypes", "VCF that is not compressed: copied and indexed", "36 haplotype")
def _(f: Files) -> Commands:
    f.put("v.vcf", gzip.decompress((f.folder / "variants.vcf.gz").read_bytes()))
    return f.sequences(variants="v.vcf")


@good("genotypes", "no index: one is made", "36 haplotype")
def _(f: Files) -> Commands:
    f.vcf(index=False)
    return f.sequences()


@good("genotypes", "an index older than the file: one is made", "36 haplotype")
def _(f: Files) -> Commands:
    os.utime(f.folder / "variants.vcf.gz.tbi", (1_000_000_000, 1_000_000_000))
    return f.sequences()


@good("genotypes", "one file per contig", "36 haplotype")
def _(f: Files) -> Commands:
    for end in ("", ".tbi"):
        (f.folder / f"variants.vcf.gz{end}").rename(f.folder / f"chr20.vcf.gz{end}")
    return f.sequences(variants="chr{chrom}.vcf.gz")


def _dosages(f: Files) -> None:
    """The calls as the FORMAT field DS, and no GT."""
    calls = {"0|0": "0", "0|1": "1", "1|0": "1", "1|1": "2"}
    f.vcf(lambda text: re.sub(r"[01]\|[01]", lambda m: calls[m.group()], text)
          .replace("ID=GT,Number=1,Type=String", "ID=DS,Number=1,Type=Float")
          .replace("\tGT\t", "\tDS\t"))  # fmt: skip


@good("genotypes", "dosages alone (DS), for cis-eQTLs", "3 genes, 0 with an eQTL")
def _(f: Files) -> Commands:
    _dosages(f)
    return f.eqtl()


@good("genotypes", "dosages alone (DS), for linear models", "top1: 3 genes")
def _(f: Files) -> Commands:
    _dosages(f)
    return f.baseline()


@bad("genotypes", "dosages alone, where haplotypes are asked for", "dosages")
def _(f: Files) -> Commands:
    _dosages(f)
    return f.sequences()


@good("genotypes", "no variant at all on the contig", "windows without variants: 3")
def _(f: Files) -> Commands:
    f.records(lambda rows: [])
    return f.sequences()


@good("genotypes", "contigs named with `chr` in the FASTA, without in the VCF", "36 haplotype")
def _(f: Files) -> Commands:
    f.change("reference.fa", ">20", ">chr20")
    return f.sequences()


# --- reference -------------------------------------------------------------------------------


@good("reference", "lower-case bases, IUPAC letters, and no index", "36 haplotype")
def _(f: Files) -> Commands:
    f.change("reference.fa", r"^[ACGT]{60}\Z|^[ACGT]+$", lambda m: m.group().lower(), count=0)
    f.change("reference.fa", r"\A(>20\n(?:[a-z]+\n){15}[a-z]{9})[acgt]", r"\1R")
    return f.sequences()


@good("reference", "empty lines at its end", "36 haplotype")
def _(f: Files) -> Commands:
    f.change("reference.fa", r"\Z", "\n\n")
    return f.sequences()


@good("reference", "an index that belongs to another FASTA", "36 haplotype")
def _(f: Files) -> Commands:
    f.put("reference.fa.fai", "20\t900\t4\t50\t51\n")
    return f.sequences()


_text("reference", "reference.fa", [
    ("an empty file", "", "instead of '>'"),
    ("no FASTA file", "chrom,bases\n20,ACGT\n", "instead of '>'"),
    ("compressed", gzip.compress(b">20\nACGT\n", mtime=0), "a compressed file"),
    ("a contig twice", ">20\nACGT\n>20\nACGT\n", "reference.fa"),
    ("lines of unequal length", ">20\nACGT\nAC\nACGT\n", "lines of equal length"),
    ("a contig without bases", ">20\n", "0 bp long"),
    ("another contig", ">21\nACGTACGT\n", "no such contig"),
], lambda f, name: f.sequences())  # fmt: skip


@bad("reference", "no such file", "no such file")
def _(f: Files) -> Commands:
    return f.sequences(reference="absent.fa")


@bad("reference", "letters beyond the IUPAC codes", "the letter 'J'")
def _(f: Files) -> Commands:
    f.change("reference.fa", r"\A(>20\n(?:[A-Z]+\n){16}[A-Z]{9})[ACGT]", r"\1J")
    return f.sequences()


@bad("reference", "more N than the stated share of a window", "a share of 1.00 of N")
def _(f: Files) -> Commands:
    f.change("reference.fa", r"^[ACGT]+$", lambda m: "N" * len(m.group()), count=0)
    f.settings(cohort__max_ref_mismatch=1.0)
    return f.predict()


# --- gene tables -----------------------------------------------------------------------------


def _gtf(line: str = "", kind: str = "gene") -> str:
    rows = ["##description: made up"]
    for gene, name, tss, strand in Files.GENES:
        low, high = (tss, tss + 400) if strand == "+" else (tss - 400, tss)
        given = f'gene_id "{gene}"; gene_name "{name}";'
        inner = (low + 10, high) if strand == "+" else (low, high - 10)
        for feature, (a, b), more in (
            (kind, (low, high), ""),
            (
                "transcript",
                inner,
                f' transcript_id "T{tss}"; tag "basic"; tag "Ensembl_canonical";',
            ),
        ):
            rows.append("\t".join(["chr20", "made", feature, f"{a}", f"{b}", ".", strand, ".",
                                   given + more]))  # fmt: skip
    return "\n".join([*rows, *filter(None, [line])]) + "\n"


def _gff3() -> str:
    rows = ["##gff-version 3"]
    for gene, name, tss, strand in Files.GENES:
        low, high = (tss, tss + 400) if strand == "+" else (tss - 400, tss)
        rows.append("\t".join(["20", "made", "gene", f"{low}", f"{high}", ".", strand, ".",
                               f"ID=gene:{gene};Name={name};gene_id={gene}"]))  # fmt: skip
    return "\n".join(rows) + "\n"


def _bed_genes() -> str:
    rows = [("20", tss - 1, tss, gene, 0, strand) for gene, _, tss, strand in Files.GENES]
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


for _title, _name, _content in [
    ("GTF", "genes.gtf", _gtf()),
    ("GTF, compressed", "genes.gtf.gz", _gtf()),
    ("GTF of transcripts alone", "genes.gtf", _gtf(kind="exon")),
    ("GFF3", "genes.gff3", _gff3()),
    ("BED with strands", "genes.bed", _bed_genes()),
    ("TSV", "genes.tsv", "chrom\tgene_id\tname\tstrand\ttss\nchr20\tG\t\t-\t700\n"),
]:
    good("genes", _title, "haplotype windows")(
        lambda f, n=_name, c=_content: (f.put(n, c), f.sequences(genes=n))[1]
    )


def _with_rule(f: Files, rule: str, text: str) -> Commands:
    f.put("genes.gtf.gz", text)
    f.settings(cohort__genes=f.folder / "genes.gtf.gz", cohort__tss=rule)
    return f.predict()


for _rule in ("gene", "canonical", "first"):
    good("genes", f"GTF, `tss: {_rule}`", "letters: 3 genes x 6 people")(
        lambda f, r=_rule: _with_rule(f, r, _gtf())
    )


@bad("genes", "GTF without tags, `tss: canonical`", "without a transcript tagged")
def _(f: Files) -> Commands:
    return _with_rule(f, "canonical", _gtf().replace('tag "Ensembl_canonical";', ""))


@bad("genes", "GTF without transcripts, `tss: first`", "without a transcript")
def _(f: Files) -> Commands:
    return _with_rule(f, "first", _gtf().replace("\ttranscript\t", "\texon\t"))


@good("genes", "versions stripped from gene ids of all files", "letters: 3 genes")
def _(f: Files) -> Commands:
    f.change("genes.csv", r"(ENSG\d+)\.\d", r"\1.9", count=0)
    f.settings(cohort__gene_versions="strip")
    return f.predict()


_HEAD = "gene_id,name,chrom,tss,strand\n"
_text("genes", "genes.csv", [
    ("an empty file", "", "the columns"),
    ("a header alone", _HEAD, "no gene"),
    ("no header", "G,G,20,1000,+\n", "the columns G, G, 20"),
    ("no column for the strand", "gene_id,name,chrom,tss\nG,G,20,1000\n", "strand"),
    ("a strand of 1", _HEAD + "G,G,20,1000,1\n", "line 2: found strand '1'"),
    ("a TSS of 1000.5", _HEAD + "G,G,20,1000.5,+\n", "line 2: found TSS '1000.5'"),
    ("a TSS of 0", _HEAD + "G,G,20,0,+\n", "line 2: found TSS 0"),
    ("a TSS beyond the contig's end", _HEAD + "G,G,20,9000,+\n", "9,000|9000"),
    ("a contig the reference lacks", _HEAD + "G,G,21,1000,+\n", "no such contig"),
    ("a gene id twice", _HEAD + "G,A,20,1000,+\nG,B,20,1100,+\n", "line 3: found gene id G"),
    ("a name twice", _HEAD + "G,A,20,1000,+\nH,A,20,1100,+\n", "name.s. A more than once"),
    ("a cell too few", _HEAD + "G,A,20,1000\n", "no value for strand"),
    ("a cell too many", _HEAD + "G,A,20,1000,+,x\n", "more values than columns"),
    ("Latin-1 text", (_HEAD + "G,Gén,20,1000,+\n").encode("latin-1"), "unreadable"),
], lambda f, name: f.sequences())  # fmt: skip
_text("genes", "genes.bed", [
    ("BED without strands", "20\t999\t1000\tG\n", "line 1: found 4 columns"),
    ("BED with start after end", "20\t1000\t999\tG\t0\t+\n", "line 1: found 20:1000-999"),
], lambda f, name: f.sequences(genes=name))  # fmt: skip
_text("genes", "genes.gtf", [
    ("GTF with a row cut short", _gtf("20\tmade\tgene\t1"), "line 8: found 4 columns"),
    ("GTF without records of genes or transcripts",
     _gtf(kind="exon").replace("\ttranscript\t", "\texon\t"), "no gene"),
    ("GTF with a gene without an id", _gtf("20\tm\tgene\t1\t9\t.\t+\t.\tID=G"), "line 8"),
], lambda f, name: f.sequences(genes=name))  # fmt: skip
_text("genes", "genes.gtf.gz", [
    ("GTF, compressed, cut short", gzip.compress(_gtf().encode(), mtime=0)[:90], "unreadable"),
], lambda f, name: f.sequences(genes=name))  # fmt: skip


@bad("genes", "versions stripped into duplicates", "once versions are stripped")
def _(f: Files) -> Commands:
    f.change("genes.csv", r"ENSG00000000002\.1", "ENSG00000000001.5")
    f.settings(cohort__gene_versions="strip")
    return f.predict()


@bad("genes", "`tss: canonical` with a CSV file", "TSS rule 'canonical'")
def _(f: Files) -> Commands:
    f.settings(cohort__tss="canonical")
    return f.predict()


@bad("genes", "a name of no known format", "the name genes.xlsx")
def _(f: Files) -> Commands:
    f.put("genes.xlsx", _HEAD)
    return f.sequences(genes="genes.xlsx")


for _what, _use in [("", Files.evaluate), (", for linear models", Files.baseline)]:
    bad("genes", f"ids that the expression file doesn't have{_what}", "no gene id in common")(
        lambda f, u=_use: (f.change("genes.csv", r"ENSG", "ENSMUSG", count=0), u(f))[1]
    )


# --- expression ------------------------------------------------------------------------------


def _expression(f: Files, name: str) -> Commands:
    f.settings(cohort__expression=f.folder / name)
    return f.predict()


def _gct(values) -> str:
    rows = [f"{g}\tx\t" + "\t".join(map(str, values.loc[g])) for g in values.index]
    head = "Name\tDescription\t" + "\t".join(values.columns)
    return "\n".join(["#1.2", f"{len(values)}\t{values.shape[1]}", head, *rows]) + "\n"


def _gct_13(values) -> str:
    """GCT 1.3 with a column about genes and a row about samples."""
    rows = [f"{g}\tprotein_coding\t" + "\t".join(map(str, values.loc[g])) for g in values.index]
    head = "id\ttype\t" + "\t".join(values.columns)
    about = "sex\tna\t" + "\t".join("1" for _ in values.columns)
    size = f"{len(values)}\t{values.shape[1]}\t1\t1"
    return "\n".join(["#1.3", size, head, about, *rows]) + "\n"


def _with_columns(values, columns: dict, genes: str = "Geneid") -> str:
    """A matrix with further columns between its gene ids and its samples."""
    return values.assign(**columns)[[*columns, *values]].rename_axis(genes).to_csv(sep="\t")


for _title, _name, _write in [
    ("FastQTL BED", "e.bed", bed_text),
    ("FastQTL BED, compressed", "e.bed.gz", bed_text),
    ("GCT 1.2", "e.gct", _gct),
    ("GCT 1.3", "e.gct", _gct_13),
    ("CSV", "e.csv", lambda v: v.rename_axis("gene").to_csv()),
    ("TSV, compressed", "e.tsv.gz", lambda v: v.rename_axis("gene").to_csv(sep="\t")),
    (
        "a table of R without a name above its genes",
        "e.txt",
        lambda v: v.rename_axis("gene").to_csv(sep="\t").removeprefix("gene\t"),
    ),
    (
        "semicolons and decimal commas, as R's write.csv2 writes them",
        "e.csv",
        lambda v: v.round(2).rename_axis("gene").to_csv(sep=";", decimal=","),
    ),
    (
        "blanks between cells, names in quotation marks, as R's write.table writes them",
        "e.txt",
        lambda v: v.to_csv(sep=" ", quoting=2).removeprefix('"" '),
    ),
    (
        "featureCounts",
        "counts.txt",
        lambda v: _with_columns(v, {"Chr": "20", "Start": 5, "End": 7, "Strand": "+", "Length": 3}),
    ),
    (
        "GEUVADIS, as published",
        "e.txt",
        lambda v: _with_columns(v, {"Gene_Symbol": v.index, "Chr": "20", "Coord": 5}, "TargetID"),
    ),
    (
        "a BED file named after something else, a note above it",
        "e.tsv",
        lambda v: "# TPM\n" + bed_text(v),
    ),
]:
    good("expression", _title, "letters: 3 genes x 6 people")(
        lambda f, n=_name, w=_write: (f.put(n, w(f.expression())), _expression(f, n))[1]
    )


@good("expression", "Parquet", "letters: 3 genes x 6 people")
def _(f: Files) -> Commands:
    f.expression().rename_axis("gene_id").to_parquet(f.folder / "e.parquet")
    return _expression(f, "e.parquet")


@good("expression", "people named `1_1`, `2_2` and so on", "letters: 3 genes x 6 people")
def _(f: Files) -> Commands:
    names = {p: f"{p[1:]}_{p[1:]}" for p in Files.PEOPLE}
    f.vcf(lambda text: text.replace("\t".join(names), "\t".join(names.values())))
    f.change("samples.csv", "^P(.)", r"\1_\1", count=0)
    f.put("e.bed", bed_text(f.expression().rename(columns=names)))
    return _expression(f, "e.bed")


@good("expression", "missing values", "missing values of expression: 2")
def _(f: Files) -> Commands:
    values = f.expression()
    values.iloc[0, :2] = float("nan")
    f.put("e.csv", values.rename_axis("gene").to_csv(na_rep="NA"))
    return _expression(f, "e.csv")


@good("expression", "a gene with one value for everybody", "one expression value for everybody: 1")
def _(f: Files) -> Commands:
    values = f.expression()
    values.iloc[1] = 3.0
    f.put("e.csv", values.rename_axis("gene").to_csv())
    _expression(f, "e.csv")
    return f.evaluate()


@good("expression", "a gene without a value for anybody", "missing for everybody: 1")
def _(f: Files) -> Commands:
    values = f.expression()
    values.iloc[1] = float("nan")
    f.put("e.csv", values.rename_axis("gene").to_csv(na_rep="NA"))
    _expression(f, "e.csv")
    return f.evaluate()


@good("expression", "a gene of the gene table that it lacks", "genes without expression: 1")
def _(f: Files) -> Commands:
    f.put("e.csv", f.expression().iloc[:2].rename_axis("gene").to_csv())
    _expression(f, "e.csv")
    return f.evaluate()


_ROW = "gene,P1,P2,P3,P4,P5,P6\nENSG00000000001.4,1,2,3,4,5,6\n"
_text("expression", "e.csv", [
    ("an empty file", "", "an empty file"),
    ("a header alone", _ROW.splitlines()[0] + "\n", "found a header alone"),
    ("an infinite value", _ROW.replace(",2,", ",inf,"), "line 2, column 3: found an infinite"),
    ("text in a cell", _ROW.replace(",2,", ",high,"), "line 2, column 3: found 'high'"),
    ("a row cut short", _ROW + "H,1,2\n", "line 3: found 3 columns"),
    ("no header", "G,0.5,1.5,2,3,4,5\nH,1,2,3,4,5,6\n", "header line is missing"),
    ("a person twice", _ROW.replace("P2", "P1"), "1 repeated"),
    ("a gene twice", _ROW + _ROW.splitlines()[1] + "\n", "1 repeated"),
    ("people in rows and genes in columns", "person,G\nP1,1\nP2,2\n", "transposed"),
    ("semicolons, and commas that may stand for thousands or for decimals",
     "gene;P1;P2\nG;1,250;2,500\n", "'1,250', whose comma"),
    ("transcripts of GENCODE's FASTA", "Name,P1\nENST1.2|ENSG1.5|AB|,1\n", "R's tximport"),
    ("tabs, and decimal commas", "gene\tP1\tP2\nG\t1,2\t2,5\n", "found '1,2'"),
    ("a quotation mark without its other half", _ROW.replace(",2,", ',"2,'), "e.csv"),
], _expression)  # fmt: skip
_text("expression", "e.bed", [
    ("BED without its header", "20\t1000\t1001\tG\t1\t2\n", "not '#chr'"),
    ("BED with start after end",
     "#chr\tstart\tend\tid\tP1\tP2\n20\t9\t8\tG\t1\t2\n", "line 2: found start '9'"),
], _expression)  # fmt: skip
_text("expression", "e.gct", [
    ("GCT with fewer rows than it says", "#1.2\n2\t1\nName\tDescription\tP1\nG\tx\t1\n",
     "1 rows of genes"),
    ("GCT 1.3 with a sample fewer than it says",
     "#1.3\n1\t2\t1\t0\nid\ttype\tP1\nG\tx\t1\n", "1 rows of genes and 1 samples"),
    ("GCT without its version", "Name\tDescription\tP1\nG\tx\t1\n", "#1.2"),
], _expression)  # fmt: skip
_text("expression", "e.tsv.gz", [
    ("compressed, cut short", gzip.compress(_ROW.encode(), mtime=0)[:40], "unreadable"),
], _expression)  # fmt: skip
_text("expression", "e.parquet", [
    ("Parquet, cut short", b"PAR1 and no more", "no readable Parquet"),
], _expression)  # fmt: skip


@bad("expression", "no such file", "no such file")
def _(f: Files) -> Commands:
    return _expression(f, "absent.bed.gz")


@bad("expression", "one person in common with the genotypes", "1 person")
def _(f: Files) -> Commands:
    (f.folder / "samples.csv").unlink()
    f.settings(cohort__samples=None)
    f.put("e.csv", f.expression()[["P3"]].rename_axis("gene").to_csv())
    _expression(f, "e.csv")
    return f.evaluate()


@bad("expression", "nobody in common with the genotypes", "0 common")
def _(f: Files) -> Commands:
    f.put("e.csv", f.expression().add_prefix("donor-").rename_axis("gene").to_csv())
    return _expression(f, "e.csv")


# --- people ----------------------------------------------------------------------------------


def _map(f: Files, text: str) -> Commands:
    f.put("e.csv", f.expression().add_prefix("RNA-").rename_axis("gene").to_csv())
    f.put("map.csv", text)
    f.settings(cohort__sample_map=f.folder / "map.csv")
    return _expression(f, "e.csv")


_PAIRS = "expression,genotype\n" + "".join(f"RNA-{p},{p}\n" for p in Files.PEOPLE)


@good("people", "a sample map", "letters: 3 genes x 6 people")
def _(f: Files) -> Commands:
    return _map(f, _PAIRS)


@good("people", "a sample map that lacks a person", "sample map lacks: 1")
def _(f: Files) -> Commands:
    return _map(f, _PAIRS.replace("RNA-P4,P4\n", ""))


@good("people", "a list of one person", "letters: 3 genes x 1 people")
def _(f: Files) -> Commands:
    f.put("people.txt", "P3\n")
    return _listed(f, "people.txt")


@good("people", "a plain list of people", "letters: 3 genes x 4 people")
def _(f: Files) -> Commands:
    f.put("people.txt", "P1\nP2\nP4\nP6\n")
    f.settings(cohort__samples=f.folder / "people.txt")
    return f.predict()


for _title, _content, _says in [
    ("a sample map without header", _PAIRS.split("\n", 1)[1], "header with the columns"),
    (
        "a sample map with its columns swapped",
        _PAIRS.replace("expression,genotype", "genotype,expression"),
        "swapped",
    ),
    ("a person twice in the sample map", _PAIRS + "RNA-7,P1\n", "line 8: found a sample that"),
    ("a sample map with an empty cell", _PAIRS + "RNA-7,\n", "line 8: found an empty cell"),
]:
    bad("people", _title, _says)(lambda f, c=_content: _map(f, c))


def _listed(f: Files, name: str) -> Commands:
    f.settings(cohort__samples=f.folder / name)
    return f.predict()


_text("people", "people.txt", [
    ("a list whose header would be a person", "donor\nP1\nP2\nP3\n", "no genotyped sample"),
    ("a person twice in the list", "P1\nP2\nP2\n", "1 repeated"),
    ("a list of other people", "A\nB\n", "0 common"),
    ("an empty list", "", "an empty file"),
], _listed)  # fmt: skip
_text("people", "people.csv", [
    ("a sample table without header", "P1,X\nP2,Y\n", "no column named 'sample'"),
    ("a person twice in the sample table", "sample,population\nP1,X\nP1,Y\n", "1 repeated"),
], _listed)  # fmt: skip


@bad("people", "a list whose first person was taken for a header", "one person too few")
def _(f: Files) -> Commands:
    f.put("people.txt", "\n".join(Files.PEOPLE[1:]) + "\n")
    return _listed(f, "people.txt")


@bad("people", "a person without population", "1 people of 6 without population")
def _(f: Files) -> Commands:
    f.change("samples.csv", "P4,Y", "P4,")
    return f.evaluate()


@good("people", "`--samples` with a blank after a comma", "12 haplotype")
def _(f: Files) -> Commands:
    return f.sequences("--samples", "P3, P1")


@bad("people", "`--samples` with somebody the VCF lacks", "1 are not in the file")
def _(f: Files) -> Commands:
    return f.sequences("--samples", "P1,NOBODY")


@bad("people", "`--samples` with a person twice", "1 are asked for twice")
def _(f: Files) -> Commands:
    return f.sequences("--samples", "P1,P1")


@bad("people", "`--sample` of somebody without expression", "not in every input")
def _(f: Files) -> Commands:
    return f.predict("--sample", "NOBODY")


def _covariates(f: Files, text: str) -> Commands:
    f.put("c.tsv", text)
    return f.eqtl("--covariates", str(f.folder / "c.tsv"))


_AGES = "id\t" + "\t".join(Files.PEOPLE) + "\nage\t30\t40\t50\t35\t45\t55\n"
_TURNED = "\n".join("\t".join(c) for c in zip(*map(str.split, _AGES.splitlines()), strict=True))

for _title, _content in [("covariates in rows", _AGES), ("covariates in columns", _TURNED + "\n")]:
    good("people", _title)(lambda f, c=_content: _covariates(f, c))


@good("people", "a list of PLINK, family and person in each line", "letters: 3 genes x 4 people")
def _(f: Files) -> Commands:
    f.put("samples.csv", "F P1\nF P2\nG P5\nG P6\n")
    return f.predict()


@good("people", "covariates in words, as factors: sex M and F")
def _(f: Files) -> Commands:
    return _covariates(f, _AGES + "sex\tF\tM\tF\tM\tM\tF\n")


_FAMILIES = "\n".join(f"F {row}" for row in _TURNED.replace("\t", " ").splitlines()[1:]) + "\n"

for _title, _content in [
    ("components of PLINK 2, `#FID IID PC1`", "#FID IID PC1\n" + _FAMILIES),
    ("components of PLINK 1.9, without header", _FAMILIES),
]:
    good("people", _title)(lambda f, c=_content: _covariates(f, c))


@good("people", "covariates by the names of the expression file, with a sample map")
def _(f: Files) -> Commands:
    _map(f, _PAIRS)
    return _covariates(f, _AGES.replace("P", "RNA-P"))


for _title, _content, _says in [
    ("covariates of other people", _AGES.replace("P", "Q"), "0 of 6 people in the header"),
    ("covariates that lack a person", _TURNED.replace("P6\t55", ""), "5 in the first column"),
    ("a covariate with one value for all", re.sub(r"\d\d(?=[\t\n])", "30", _AGES), "one value"),
    ("a covariate in words", _AGES.replace("30", "old"), "found 'old'"),
]:
    bad("people", _title, _says)(lambda f, c=_content: _covariates(f, c))


# --- study files -----------------------------------------------------------------------------

for _title, _old, _new, _says in [
    (
        "a key misspelt",
        "variants:",
        "varients:",
        "key cohort.varients: found a key that doesn't exist",
    ),
    ("a value of another type", "null_draws: 100", "null_draws: many", "evaluation.null_draws"),
    ("a share above its limit", "min_maf: 0.1", "min_maf: 1.5", "min_maf"),
    ("a key twice", "folds: 2", "folds: 2\n  folds: 3", "key 'folds' twice"),
    ("text that is not YAML", "^name: tiny", "name: [tiny", "not YAML"),
    ("an unknown rule for unphased calls", "log_base: null", "unphased: guess", "unphased"),
    ("a run id with a slash", "id: letters", "id: a/b", "runs.0.id"),
    (
        "a transform that leaves bins",
        "  label: Letters",
        "  label: Letters\n  transform: [log]",
        "transform",
    ),
    ("a reference that isn't there", "reference.fa", "absent.fa", "the reference file of study"),
]:
    bad("study", _title, _says)(
        lambda f, o=_old, n=_new: (f.change("study.yaml", o, n), f.predict())[1]
    )


@bad("study", "no such study", "no such file")
def _(f: Files) -> Commands:
    return [["predict", "--study", "nowhere"]]


@bad("study", "an empty study file", "study.yaml")
def _(f: Files) -> Commands:
    f.put("study.yaml", "")
    return f.predict()


@bad("study", "a gene that the gene table lacks", "no gene 'FOUR' among 3")
def _(f: Files) -> Commands:
    return f.predict("--gene", "FOUR")


@bad("study", "a run that the study lacks", "no run 'other' among letters")
def _(f: Files) -> Commands:
    return f.predict("--run", "other")


@bad("study", "an evaluation without predictions", "predictions of 0 genes")
def _(f: Files) -> Commands:
    return f.evaluate()[1:]


@bad("study", "no output named", "found neither")
def _(f: Files) -> Commands:
    return [[w for w in f.sequences()[0] if w != "--checksums" and "windows.csv" not in w]]


# --- models ----------------------------------------------------------------------------------


def _run(f: Files, **keys) -> Commands:
    f.settings(**{f"runs__{key}": value for key, value in keys.items()})
    return f.predict()


for _title, _keys, _says in [
    (
        "a track number with another description",
        {"tracks": [{"index": 1, "description": "letters G"}]},
        "the description 'letters C'",
    ),
    ("a track number the model lacks", {"tracks": [5]}, "none with that number"),
    ("a track description the model lacks", {"tracks": ["CAGE"]}, "0 tracks of that description"),
    ("bins outside the output", {"bins": "centre99"}, "bins from 0 to 7"),
    ("a rule for bins that doesn't exist", {"bins": "middle"}, "centreK"),
    ("a model that doesn't exist", {"model": "enformr"}, "no model of that name"),
    ("an option the model doesn't take", {"options": {"shift": 3}}, "option 'shift'"),
    ("values that are not finite", {"options": {"broken": True}}, "not finite"),
]:
    bad("model", _title, _says)(lambda f, k=_keys: _run(f, **k))


def _weights(f: Files, fitting: bool = False) -> None:
    """The folder of a very small network's weights; else with tensors of another one."""
    import json

    import torch
    from safetensors.torch import save_file

    from howfar.models.zoo.demo_enformer import build_network

    hparams = {"dim": 24, "depth": 1, "heads": 2, "target_length": 2, "num_downsamples": 3,
               "dim_divisible_by": 2, "output_heads": {"human": 2}}  # fmt: skip
    config = {"hparams": hparams, "context": 256, "bin_size": 8, "units": "made up",
              "tracks": ["A", "B"], "regions": {}}  # fmt: skip
    f.put("weights/config.json", json.dumps(config))
    tensors = {"another.weight": torch.zeros(2, 2)}
    if fitting:
        state = build_network(hparams).state_dict()
        tensors = {k: v.clone() for k, v in state.items() if not k.startswith("_trunk.")}
    save_file(tensors, f.folder / "weights" / "weights.safetensors")


@bad("model", "weights that aren't there", "no such file")
def _(f: Files) -> Commands:
    return _run(f, model="demo-enformer", weights=f.folder / "weights")


@bad("model", "weights of another architecture", "another|weights")
def _(f: Files) -> Commands:
    _weights(f)
    return _run(f, model="demo-enformer", weights=f.folder / "weights", tracks=[0])


@bad("model", "weights cut short", "weights")
def _(f: Files) -> Commands:
    _weights(f)
    f.cut("weights/weights.safetensors", 0.5)
    return _run(f, model="demo-enformer", weights=f.folder / "weights", tracks=[0])


# --- plain sequences -------------------------------------------------------------------------


def _plain(f: Files, name: str, *more: str) -> Commands:
    words = ["--model", f"{Files.__module__}:letter_counts", "--fasta", str(f.folder / name)]
    return [["predict-sequences", *words, "--csv", str(f.folder / "values.csv"), *more]]


@good("sequences", "sequences of the model's length", "2 sequences")
def _(f: Files) -> Commands:
    f.put("s.fa", f">a\n{'ACGT' * 64}\n>b\n{'ACGN' * 64}\n")
    return _plain(f, "s.fa")


_text("sequences", "s.fa", [
    ("a sequence too short", ">a\nACGT\n", "4 bases"),
    ("a letter that is no base", f">a\n{'ACGJ' * 64}\n", "base 4: found the letter 'J'"),
    ("a name twice", f">a\n{'ACGT' * 64}\n>a\n{'ACGT' * 64}\n", "used before"),
    ("FASTQ", "@a\nACGT\n+\nIIII\n", "no FASTA"),
    ("an empty file", "", "no sequence"),
], _plain)  # fmt: skip


@bad("sequences", "a word that fits no track", "no track")
def _(f: Files) -> Commands:
    f.put("s.fa", f">a\n{'ACGT' * 64}\n")
    return _plain(f, "s.fa", "--tracks", "liver")


@bad("sequences", "a device that isn't there", "cuda:99")
def _(f: Files) -> Commands:
    _weights(f, fitting=True)
    f.put("s.fa", f">a\n{'ACGT' * 64}\n")
    words = _plain(f, "s.fa", "--device", "cuda:99", "--weights", str(f.folder / "weights"))[0]
    return [[("demo-enformer" if "letter_counts" in w else w) for w in words]]


# --- results ---------------------------------------------------------------------------------


@good("results", "what a killed run left behind", "")
def _(f: Files) -> Commands:
    f.put("results/tiny/tables/.runs.parquet.999999.part", "half a table")
    return f.evaluate()


@good("results", "predictions of a gene that were cut off", "letters: 3 genes")
def _(f: Files) -> Commands:
    return [*f.predict("--gene", "ONE"), *f.predict()]


def _table(f: Files, name: str, schema: int, damage: bool = False) -> Commands:
    """A result table of another schema version, or one cut short."""
    import json

    import pyarrow as arrow
    import pyarrow.parquet as parquet

    path = f.folder / "results" / "tiny" / "tables" / f"{name}.parquet"
    path.parent.mkdir(parents=True)
    block = {b"howfar": json.dumps({"table": name, "schema": schema}).encode()}
    parquet.write_table(arrow.table({"run_id": ["m"]}).replace_schema_metadata(block), path)
    if damage:
        path.write_bytes(path.read_bytes()[:50])
    return [["numbers", "tiny"]]


@bad("results", "a result table of an older version", "schema version 0")
def _(f: Files) -> Commands:
    return _table(f, "runs", 0)


@bad("results", "a result table cut short", "no readable Parquet")
def _(f: Files) -> Commands:
    return _table(f, "runs", 1, damage=True)


@bad("results", "no result tables", "no result tables")
def _(f: Files) -> Commands:
    return [["numbers", "tiny"]]


@bad("results", "a results folder that can't be made", "results")
def _(f: Files) -> Commands:
    f.put("results", "a file where a folder should be")
    return f.predict()


@bad("results", "an output folder that can't be made", "blocked")
def _(f: Files) -> Commands:
    f.put("blocked", "a file where a folder should be")
    words = f.sequences()[0]
    return [[w.replace("windows.csv", "blocked/windows.csv") for w in words]]


def _on_a_full_disk(f: Files, commands: Commands, room: int) -> Commands:
    f.room = room
    return commands


for _title, _commands, _room in [
    ("a disk that fills up, writing windows as checksums", Files.sequences, 1_000),
    ("a disk that fills up, writing windows as FASTA", lambda f: [
        [w.replace("--checksums", "--out").replace("windows.csv", "windows.fa.gz")
         for w in f.sequences("--context", "3000")[0]]], 1_000),
    ("a disk that fills up, writing predictions", Files.predict, 400),
    ("a disk that fills up, writing result tables", Files.evaluate, 3_000),
]:  # fmt: skip
    bad("results", _title, "room on the disk")(
        lambda f, c=_commands, r=_room: _on_a_full_disk(f, c(f), r)
    )
