"""Exons of a GTF and of GFF3 files as Ensembl and RefSeq write them."""

import pytest

from howfar.core.errors import HowfarError
from howfar.genome.exons import read_exons_of

GTF = """\
#!genome-build toy
1\tx\tgene\t11\t90\t.\t+\t.\tgene_id "ENSG00000000001.5"; gene_name "A";
1\tx\ttranscript\t11\t90\t.\t+\t.\tgene_id "ENSG00000000001.5"; transcript_id "ENST01.2"; \
tag "Ensembl_canonical";
1\tx\texon\t11\t20\t.\t+\t.\tgene_id "ENSG00000000001.5"; transcript_id "ENST01.2";
1\tx\texon\t61\t90\t.\t+\t.\tgene_id "ENSG00000000001.5"; transcript_id "ENST01.2";
1\tx\texon\t15\t30\t.\t+\t.\tgene_id "ENSG00000000001.5"; transcript_id "ENST02.1";
1\tx\tCDS\t41\t50\t.\t+\t.\tgene_id "ENSG00000000001.5"; transcript_id "ENST02.1";
"""
ENSEMBL = """\
##gff-version 3
1\tx\tgene\t11\t90\t.\t+\t.\tID=gene:ENSG00000000001;gene_id=ENSG00000000001
1\tx\tmRNA\t11\t90\t.\t+\t.\tID=transcript:ENST01;Parent=gene:ENSG00000000001;\
tag=basic,Ensembl_canonical;transcript_id=ENST01
1\tx\texon\t11\t20\t.\t+\t.\tParent=transcript:ENST01;exon_id=E1
1\tx\texon\t61\t90\t.\t+\t.\tParent=transcript:ENST01;exon_id=E2
1\tx\tmRNA\t15\t30\t.\t+\t.\tID=transcript:ENST02;Parent=gene:ENSG00000000001
1\tx\texon\t15\t30\t.\t+\t.\tParent=transcript:ENST02;exon_id=E3
"""
MERGED, CANONICAL, SECOND = [[10, 30], [60, 90]], [[10, 20], [60, 90]], [[14, 30]]


@pytest.mark.parametrize("text", [GTF, ENSEMBL], ids=["gtf", "gff3"])
def test_exons_of_all_the_canonical_and_a_named_transcript(tmp_path, text):
    path = tmp_path / "a.gtf"
    path.write_text(text)
    for chosen, expected in (("merged", MERGED), ("canonical", CANONICAL), (["ENST02"], SECOND)):
        exons = read_exons_of(path, chosen)
        assert exons.of("ENSG00000000001").tolist() == expected
        assert exons.of("ENSG00000000001.7").tolist() == expected
        assert exons.of("ENSG00000000002").tolist() == []


def test_what_has_no_exons_is_named(tmp_path):
    path = tmp_path / "a.gtf"
    path.write_text(GTF)
    with pytest.raises(HowfarError, match="exons of 1 gene, none chosen"):
        read_exons_of(path, ["ENST09"])
    path.write_text(GTF.replace("exon\t11\t20", "exon\t31\t20"))
    with pytest.raises(HowfarError, match=r"a\.gtf, line 4: found an exon from '31' to '20'"):
        read_exons_of(path)
    path.write_text("gene_id,tss\n")
    with pytest.raises(HowfarError, match=r"no exon.*`annotation`"):
        read_exons_of(path)
