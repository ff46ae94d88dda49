"""Gene tables: what is read, and that each wrong line is named."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from howfar.core.errors import HowfarError
from howfar.genome.genes import genes_of_places, read_genes, strip_version
from howfar.genome.intervals import Gene

HEAD = "gene_id,name,chrom,tss,strand,more\n"


def table(folder, text):
    path = folder / "genes.csv"
    path.write_text(text)
    return path


def test_reads_genes_and_ignores_further_columns(tmp_path):
    path = table(tmp_path, "\ufeff" + HEAD + "E1,AB,20,5,-,x\nE2,,chr1,7,+,y\n")
    genes = [Gene("E1", "AB", "20", 5, "-"), Gene("E2", "E2", "chr1", 7, "+")]
    assert read_genes(path) == genes
    for sep in (";", "  "):
        text = HEAD + "E1,AB,20,5,-,x\nE2,E2,chr1,7,+,y\n"
        assert read_genes(table(tmp_path, text.replace(",", sep))) == genes


def test_a_place_without_strand_is_read(tmp_path):
    text = "gene_id,chrom,tss\nE,1,5\n"
    assert read_genes(table(tmp_path, text)) == [Gene("E", "E", "1", 5, ".")]
    # The eQTL Catalogue's place is the middle of the gene: its strand would make it a TSS.
    text = "phenotype_id,gene_id,chromosome,phenotype_pos,strand\nP,E,1,5,-1\n"
    assert read_genes(table(tmp_path, text)) == [Gene("E", "E", "1", 5, ".")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene_id,name,chrom,strand\nE,A,1,+\n", r"line 1: .*tss"),
        (HEAD.replace("more", "tss") + "E,A,1,5,+,6\n", r"line 1: .*each once"),
        (HEAD, "found no gene"),
        (HEAD + "E,A,1,5.0,+,\n", r"line 2: found TSS '5.0'"),
        (HEAD + "E,A,1,0,+,\n", r"line 2: found TSS 0"),
        (HEAD + "E,A,1,5,+,\nF,A,1,5,?,\n", r"line 3: found strand '\?'"),
        (HEAD + "E,A,,5,+,\n", r"line 2: found no value for chrom"),
        (HEAD + "E,A,1\n", r"line 2: found no value for tss, strand"),
        (HEAD + "E,A,1,5,+,x,y\n", r"line 2: found more values than columns"),
        (HEAD + "E,A,1,5,+,\nF,A,1,5,+,\nE,B,2,5,+,\n", r"line 4: .*which line 2 has too"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, message):
    with pytest.raises(HowfarError, match=message):
        read_genes(table(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(HowfarError, match=r"none.csv: found no such file"):
        read_genes(tmp_path / "none.csv")


def annotated(feature, start, end, strand, attributes, chrom="chr20"):
    cells = [chrom, "HAVANA", feature, str(start), str(end), ".", strand, ".", attributes]
    return "\t".join(cells) + "\n"


GTF = (
    "##provider: GENCODE\n"
    + annotated("gene", 100, 900, "+", 'gene_id "ENSG00000000001.4"; gene_name "AB"; level 2;')
    + annotated("transcript", 150, 900, "+", 'gene_id "ENSG00000000001.4"; transcript_id "T1";')
    + annotated(
        "transcript",
        100,
        800,
        "+",
        'gene_id "ENSG00000000001.4"; transcript_id "T2"; tag "basic"; tag "Ensembl_canonical";',
    )
    + annotated("exon", 120, 300, "+", 'gene_id "ENSG00000000001.4"; tag "Ensembl_canonical";')
    + annotated("gene", 2000, 2600, "-", 'gene_id "ENSG00000000002.1"; gene_name "C;D";')
    + annotated(
        "transcript", 2000, 2500, "-", 'gene_id "ENSG00000000002.1"; tag "Ensembl_canonical";'
    )
)
GFF3 = (
    "##gff-version 3\n"
    + annotated("gene", 100, 900, "+", "ID=gene:ENSG1;Name=AB;gene_id=ENSG1;version=4", "20")
    + annotated("mRNA", 150, 900, "+", "ID=transcript:T1;Parent=gene:ENSG1", "20")
    + annotated(
        "mRNA",
        110,
        800,
        "+",
        "ID=transcript:T2;Parent=gene:ENSG1;tag=basic,Ensembl_canonical",
        "20",
    )
    + annotated("exon", 100, 300, "+", "Parent=transcript:T1;tag=Ensembl_canonical", "20")
    + annotated("ncRNA_gene", 2000, 2600, "-", "ID=gene:ENSG2", "20")
    + annotated("lnc_RNA", 2000, 2550, "-", "Parent=gene:ENSG2;tag=Ensembl_canonical", "20")
    + "##FASTA\n>20\nACGT\n"
)


@pytest.mark.parametrize(
    ("rule", "starts"), [("gene", [100, 2600]), ("first", [150, 2500]), ("canonical", [100, 2500])]
)
def test_the_tss_of_a_gtf_is_as_chosen(tmp_path, rule, starts):
    path = tmp_path / "g.gtf.gz"
    path.write_bytes(gzip.compress(GTF.encode()))
    found = read_genes(path, tss=rule)
    assert [g.tss for g in found] == starts and [g.strand for g in found] == ["+", "-"]
    assert [(g.gene_id, g.chrom) for g in found] == [
        ("ENSG00000000001.4", "chr20"),
        ("ENSG00000000002.1", "chr20"),
    ]
    assert found[0].name == "AB"


@pytest.mark.parametrize(
    ("rule", "starts"), [("gene", [100, 2600]), ("first", [150, 2550]), ("canonical", [110, 2550])]
)
def test_the_tss_of_a_gff3_is_as_chosen(tmp_path, rule, starts):
    path = tmp_path / "g.gff3"
    path.write_text(GFF3)
    found = read_genes(path, tss=rule)
    assert [(g.gene_id, g.name, g.tss) for g in found] == [
        ("ENSG1", "AB", starts[0]),
        ("ENSG2", "ENSG2", starts[1]),
    ]


def test_a_gene_without_the_transcript_asked_for_is_named(tmp_path):
    path = tmp_path / "g.gtf"
    path.write_text(GTF.replace('tag "basic"; tag "Ensembl_canonical"', 'tag "basic"'))
    with pytest.raises(HowfarError, match=r"line 2: found gene ENSG00000000001.4 without"):
        read_genes(path, tss="canonical")
    assert len(read_genes(path, tss="first")) == 2
    with pytest.raises(HowfarError, match="TSS rule 'middle'"):
        read_genes(path, tss="middle")


def test_a_bed_file_counts_from_0_and_its_strand_says_which_end(tmp_path):
    path = tmp_path / "g.bed"
    path.write_text("#chrom\n20\t99\t900\tE1\t0\t+\n20\t1999\t2600\tE2\t0\t-\textra\n")
    assert read_genes(path) == [Gene("E1", "E1", "20", 100, "+"), Gene("E2", "E2", "20", 2600, "-")]
    with pytest.raises(HowfarError, match="'gene' or 'centre' for a BED"):
        read_genes(path, tss="first")


def test_versions_are_stripped_from_ids_and_from_the_names_made_of_them(tmp_path):
    path = tmp_path / "g.gtf"
    path.write_text(GTF)
    assert [g.gene_id for g in read_genes(path, gene_versions="strip")] == [
        "ENSG00000000001",
        "ENSG00000000002",
    ]
    bed = tmp_path / "g.bed"
    bed.write_text("20\t9\t10\tENSG00000000001.4\t0\t+\n20\t9\t10\tENSG00000000001.4_PAR_Y\t0\t+\n")
    assert [g.name for g in read_genes(bed, gene_versions="strip")] == [
        "ENSG00000000001",
        "ENSG00000000001_PAR_Y",
    ]
    bed.write_text("20\t9\t10\tENSG00000000001.4\t0\t+\n20\t9\t10\tENSG00000000001.5\t0\t+\n")
    assert len(read_genes(bed)) == 2
    with pytest.raises(HowfarError, match="line 2: .*which line 1 has too once versions"):
        read_genes(bed, gene_versions="strip")


def test_values_of_an_annotation_may_hold_its_separators(tmp_path):
    path = tmp_path / "g.gtf"
    note = 'note "x; gene_id ; gene_name "; level 2; gene_name "C;D"; gene_id "E.1" ; '
    path.write_text(annotated("gene", 100, 900, "+", note))
    assert read_genes(path) == [Gene("E.1", "C;D", "chr20", 100, "+")]
    path = tmp_path / "g.gff3"
    path.write_text(annotated("gene", 100, 900, "+", "ID=gene-A%2CB;Name=A%2CB%3B;note=x,y"))
    assert read_genes(path) == [Gene("A,B", "A,B;", "chr20", 100, "+")]


@pytest.mark.parametrize(
    ("given", "stripped"),
    [
        ("ENSG00000223972.5_2", "ENSG00000223972"),  # GENCODE lifted over to GRCh37
        ("ENSGR0000182378.8", "ENSGR0000182378"),  # GENCODE 12
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSMUSG00000000001.4", "ENSMUSG00000000001"),
        ("RP11-34P13.7", "RP11-34P13.7"),
        ("ENSG00000223972_2", "ENSG00000223972_2"),
    ],
)
def test_versions_of_every_release_are_stripped(given, stripped):
    assert strip_version(given) == stripped


def test_exons_alone_are_no_genes(tmp_path):
    path = tmp_path / "g.gtf"
    path.write_text(GTF.replace("\tgene\t", "\texon\t").replace("\ttranscript\t", "\texon\t"))
    with pytest.raises(HowfarError, match="found no gene; .*records of the feature gene or"):
        read_genes(path)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("g.gtf", "\t100\t900\t", "\t100.5\t900\t", "line 2: found start '100.5'"),
        ("g.gtf", "\t100\t900\t", "\t901\t900\t", "line 2: found chr20:901-900"),
        ("g.gtf", "\t.\t-\t", "\t.\t.\t", "line 6: found chr20:2000-2600, strand '.'"),
        ("g.gtf", "ENSG00000000002.1", "ENSG00000000001.4", "line 6: .*which line 2 has too"),
        ("g.gtf", "gene_id", "geneid", "line 2: found a gene without an id"),
        ("g.gff3", "ID=gene:ENSG1;", "", "line 2: found a gene without an id"),
        ("g.gff3", "\tgene\t", "\tgene ", "line 2: found 8 columns"),
        ("g.gff3", "gene_id=ENSG1", "gene_id=ENSG1%00", "line 2: found a control character"),
        ("g.gff3", "ID=gene:ENSG1;", "ID=gene:ENSG1\0;", "line 2: found a byte of value 0"),
    ],
)
def test_a_wrong_line_of_an_annotation_is_named(tmp_path, name, old, new, message):
    text = GTF if name == "g.gtf" else GFF3
    assert old in text
    path = tmp_path / name
    path.write_text(text.replace(old, new))
    with pytest.raises(HowfarError, match=message):
        read_genes(path)


@pytest.mark.parametrize(
    ("rule", "starts"), [("gene", [100, 2500]), ("first", [150, 2500]), ("canonical", [100, 2500])]
)
def test_a_gtf_of_transcripts_alone_has_genes_that_span_them(tmp_path, rule, starts):
    path = tmp_path / "g.gtf"
    path.write_text("".join(x for x in GTF.splitlines(keepends=True) if "\tgene\t" not in x))
    with pytest.warns(UserWarning, match="genes span their transcripts"):
        found = read_genes(path, rule)
    assert [(g.gene_id, g.chrom, g.tss, g.strand) for g in found] == [
        ("ENSG00000000001.4", "chr20", starts[0], "+"),
        ("ENSG00000000002.1", "chr20", starts[1], "-"),
    ]


@pytest.mark.parametrize(
    ("more", "rule", "message"),
    [
        (
            annotated("transcript", 5, 9, "+", 'gene_id "G";', "Y"),
            "gene",
            "line 2.*which line 1 has",
        ),
        (annotated("transcript", 5, 9, "-", 'gene_id "G";'), "gene", "line 2.*which line 1 has"),
        (annotated("transcript", 5, 9, ".", 'gene_id "H";'), "gene", r"line 2.*strand '\.'"),
        (
            annotated("transcript", 5, 9, "+", 'transcript_id "H";'),
            "gene",
            "line 2.*without gene_id",
        ),
        ("", "canonical", "line 1: found gene G without a transcript tagged"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*genes span")
def test_transcripts_that_make_no_gene_are_named(tmp_path, more, rule, message):
    path = tmp_path / "g.gtf"
    path.write_text(annotated("transcript", 5, 9, "+", 'gene_id "G";') + more)
    with pytest.raises(HowfarError, match=message):
        read_genes(path, rule)


@pytest.mark.parametrize("name", ["g.csv", "g.tsv", "g.bed", "g.gtf", "g.gff3.gz", "g.txt", "g"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_content_tells_the_format_not_the_name(tmp_path, name, packed):
    ids = 'gene_id "G"; gene_name "N";', "ID=gene:G;Name=N"
    contents = [
        "gene_id,name,chrom,tss,strand\nG,N,20,1400,-\n",
        "# of a browser\ntrack name=genes\n20\t999\t1400\tG\t0\t-\n",
        *(f"#!made\n20\tm\tgene\t1000\t1400\t.\t-\t.\t{words}\n" for words in ids),
    ]
    for content in contents:
        data = content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
        (gene,) = read_genes(tmp_path / name)
        assert (gene.gene_id, gene.chrom, gene.tss, gene.strand) == ("G", "20", 1400, "-"), content


def test_peaks_of_a_bed_are_anchored_on_their_centres(tmp_path):
    """0-based half-open [10, 21) has base 15 in its middle, [10, 20) bases 14 and 15."""
    path = tmp_path / "peaks.bed"
    path.write_text("chr1\t10\t21\tp1\nchr1\t10\t20\tp2\t5\t-\nchr2\t0\t1\n")
    found = read_genes(path, tss="centre")
    assert [(g.gene_id, g.start0, g.strand) for g in found] == [
        ("p1", 15, "+"),
        ("p2", 15, "+"),
        ("chr2:0-1", 0, "+"),
    ]
    places = pd.DataFrame({"chrom": "chr1", "start0": [10, 10], "end": [21, 20]}, ["p1", "p2"])
    assert [g.start0 for g in genes_of_places(places, "p.bed", "centre")] == [15, 15]
    with pytest.raises(HowfarError, match="tss: centre` where rows are peaks"):
        genes_of_places(places, "p.bed")
