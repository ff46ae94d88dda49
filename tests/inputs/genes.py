"""Gene tables: CSV, TSV, GTF, GFF3 and BED."""

from __future__ import annotations

import gzip

from inputs.case import Commands, Prepare, makers
from inputs.cohort import Files

good, bad = makers("genes")


def gtf_text(line: str = "", genes: str = "gene", transcripts: str = "transcript") -> str:
    """A GTF file of the cohort's genes, `line` after them; the features' names may be others."""
    rows = ["##description: made up"]
    for gene, name, tss, strand in Files.GENES:
        low, high = (tss, tss + 400) if strand == "+" else (tss - 400, tss)
        ids = f'gene_id "{gene}"; gene_name "{name}";'
        inner = (low + 10, high) if strand == "+" else (low, high - 10)
        for feature, (a, b), more in (
            (genes, (low, high), ""),
            (
                transcripts,
                inner,
                f' transcript_id "T{tss}"; tag "basic"; tag "Ensembl_canonical";',
            ),
        ):
            rows.append(
                "\t".join(["chr20", "made", feature, f"{a}", f"{b}", ".", strand, ".", ids + more])
            )
    return "\n".join([*rows, *filter(None, [line])]) + "\n"


def gff3_text() -> str:
    rows = ["##gff-version 3"]
    for gene, name, tss, strand in Files.GENES:
        low, high = (tss, tss + 400) if strand == "+" else (tss - 400, tss)
        rows.append(
            "\t".join(
                [
                    "20",
                    "made",
                    "gene",
                    f"{low}",
                    f"{high}",
                    ".",
                    strand,
                    ".",
                    f"ID=gene:{gene};Name={name};gene_id={gene}",
                ]
            )
        )
    return "\n".join(rows) + "\n"


def bed_of_genes() -> str:
    rows = [("20", tss - 1, tss, gene, 0, strand) for gene, _, tss, strand in Files.GENES]
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def genes_in(name: str, content: str | bytes) -> Prepare:
    """A gene table of that name and content."""

    def prepare(files: Files) -> Commands:
        files.put(name, content)
        return files.sequences(genes=name)

    return prepare


def tss_rule(rule: str, text: str, name: str = "genes.gtf.gz") -> Prepare:
    """A GTF or BED file whose TSS are read by a rule of the study file."""

    def prepare(files: Files) -> Commands:
        files.put(name, text)
        files.settings(cohort__genes=files.folder / name, cohort__tss=rule)
        return files.predict()

    return prepare


def ids_of_another_species(use: Prepare) -> Prepare:
    """Gene ids that the expression file doesn't have."""

    def prepare(files: Files) -> Commands:
        files.change("genes.csv", r"ENSG", "ENSMUSG", count=0)
        return use(files)

    return prepare


def stripped_versions(files: Files) -> Commands:
    files.change("genes.csv", r"(ENSG\d+)\.\d", r"\1.9", count=0)
    files.settings(cohort__gene_versions="strip")
    return files.predict()


_HEAD = "gene_id,name,chrom,tss,strand\n"


def versions_stripped_into_duplicates(files: Files) -> Commands:
    files.change("genes.csv", r"ENSG00000000002\.1", "ENSG00000000001.5")
    files.settings(cohort__gene_versions="strip")
    return files.predict()


def canonical_tss_of_a_csv(files: Files) -> Commands:
    files.settings(cohort__tss="canonical")
    return files.predict()


def text_of_no_known_format(files: Files) -> Commands:
    files.put("genes.xlsx", "a sheet\n")
    return files.sequences(genes="genes.xlsx")


CASES = [
    good("GTF", genes_in("genes.gtf", gtf_text()), "haplotype windows"),
    good("GTF, compressed", genes_in("genes.gtf.gz", gtf_text()), "haplotype windows"),
    good(
        "GTF of transcripts alone",
        genes_in("genes.gtf", gtf_text(genes="exon")),
        "haplotype windows",
    ),
    good("GFF3", genes_in("genes.gff3", gff3_text()), "haplotype windows"),
    good("BED with strands", genes_in("genes.bed", bed_of_genes()), "haplotype windows"),
    good(
        "TSV",
        genes_in("genes.tsv", "chrom\tgene_id\tname\tstrand\ttss\nchr20\tG\t\t-\t700\n"),
        "haplotype windows",
    ),
    *(
        good(f"GTF, `tss: {rule}`", tss_rule(rule, gtf_text()), "letters: 3 genes x 6 people")
        for rule in ("gene", "canonical", "first")
    ),
    good(
        "BED of peaks, `tss: centre`",
        tss_rule("centre", "20\t800\t1200\tENSG00000000001.4\n", "peaks.bed"),
        "letters: 1 gene x 6 people",
    ),
    bad(
        "GTF, `tss: centre`",
        tss_rule("centre", gtf_text()),
        "any but 'centre' for a GTF",
    ),
    bad(
        "GTF without tags, `tss: canonical`",
        tss_rule("canonical", gtf_text().replace('tag "Ensembl_canonical";', "")),
        "without a transcript tagged",
    ),
    bad(
        "GTF without transcripts, `tss: first`",
        tss_rule("first", gtf_text(transcripts="exon")),
        "without a transcript",
    ),
    good("versions stripped from gene ids of all files", stripped_versions, "letters: 3 genes"),
    bad("an empty file", genes_in("genes.csv", ""), "the columns"),
    bad("a header alone", genes_in("genes.csv", _HEAD), "no gene"),
    bad("no header", genes_in("genes.csv", "G,G,20,1000,+\n"), "the columns G, G, 20"),
    bad(
        "no column for the strand",
        genes_in("genes.csv", "gene_id,name,chrom,tss\nG,G,20,1000\n"),
        "strand",
    ),
    bad(
        "a strand of 1",
        genes_in("genes.csv", _HEAD + "G,G,20,1000,1\n"),
        "line 2: found strand '1'",
    ),
    bad(
        "a TSS of 1000.5",
        genes_in("genes.csv", _HEAD + "G,G,20,1000.5,+\n"),
        "line 2: found TSS '1000.5'",
    ),
    bad("a TSS of 0", genes_in("genes.csv", _HEAD + "G,G,20,0,+\n"), "line 2: found TSS 0"),
    bad(
        "a TSS beyond the contig's end",
        genes_in("genes.csv", _HEAD + "G,G,20,9000,+\n"),
        "9,000|9000",
    ),
    bad(
        "all genes on a contig the reference lacks",
        genes_in("genes.csv", _HEAD + "G,G,21,1000,+\n"),
        "no such contig",
    ),
    bad(
        "a gene id twice",
        genes_in("genes.csv", _HEAD + "G,A,20,1000,+\nG,B,20,1100,+\n"),
        "line 3: found gene id G",
    ),
    good(
        "a name twice",
        genes_in("genes.csv", _HEAD + "G,A,20,1000,+\nH,A,20,1100,+\n"),
        "named by their ids, as several have their name: 2",
    ),
    good(
        "some genes on a contig the reference lacks",
        genes_in("genes.csv", _HEAD + "G,A,20,1000,+\nH,B,21,1100,+\n"),
        "reference.fa lacks contig 21: 1",
    ),
    bad("a cell too few", genes_in("genes.csv", _HEAD + "G,A,20,1000\n"), "no value for strand"),
    bad(
        "a cell too many",
        genes_in("genes.csv", _HEAD + "G,A,20,1000,+,x\n"),
        "more values than columns",
    ),
    bad(
        "Latin-1 text",
        genes_in("genes.csv", (_HEAD + "G,Gén,20,1000,+\n").encode("latin-1")),
        "unreadable",
    ),
    bad(
        "BED without strands",
        genes_in("genes.bed", "20\t999\t1000\tG\n"),
        "line 1: found 4 columns",
    ),
    bad(
        "BED with start after end",
        genes_in("genes.bed", "20\t1000\t999\tG\t0\t+\n"),
        "line 1: found 20:1000-999",
    ),
    bad(
        "GTF with a row cut short",
        genes_in("genes.gtf", gtf_text("20\tmade\tgene\t1")),
        "line 8: found 4 columns",
    ),
    bad(
        "GTF without records of genes or transcripts",
        genes_in("genes.gtf", gtf_text(genes="exon", transcripts="exon")),
        "no gene",
    ),
    bad(
        "GTF with a gene without an id",
        genes_in("genes.gtf", gtf_text("20\tm\tgene\t1\t9\t.\t+\t.\tID=G")),
        "line 8",
    ),
    bad(
        "GTF, compressed, cut short",
        genes_in("genes.gtf.gz", gzip.compress(gtf_text().encode(), mtime=0)[:90]),
        "unreadable",
    ),
    bad(
        "versions stripped into duplicates",
        versions_stripped_into_duplicates,
        "once versions are stripped",
    ),
    bad("`tss: canonical` with a CSV file", canonical_tss_of_a_csv, "TSS rule 'canonical'"),
    bad("a text of no known format", text_of_no_known_format, "begins with 'a sheet'"),
    bad(
        "ids that the expression file doesn't have",
        ids_of_another_species(Files.evaluate),
        "no gene id in common",
    ),
    bad(
        "ids that the expression file doesn't have, for linear models",
        ids_of_another_species(Files.baseline),
        "no gene id in common",
    ),
]
