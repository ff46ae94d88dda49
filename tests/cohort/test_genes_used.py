"""Which genes of the gene table a study uses, and what is said of the others."""

import pytest

from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.prediction import run as predict
from howfar.study.schema import Only, Study


def more_genes(study, tmp_path, *rows: str) -> None:
    with (tmp_path / "genes.csv").open("a") as handle:
        handle.writelines(f"{row}\n" for row in rows)


def asking(study: Study, **only) -> OpenCohort:
    """The study's cohort with a key `only`."""
    cohort = study.cohort.model_copy(update={"only": Only.model_validate(only)})
    return OpenCohort(study.model_copy(update={"cohort": cohort}))


def test_genes_without_expression_are_not_predicted(study, model, results_folder, tmp_path):
    more_genes(study, tmp_path, "g3,g3,1,150,+")
    done = predict.predict(study, study.runs[0], results_folder)
    assert [gene.gene_id for gene in done.genes] == ["g1", "g2"]
    assert done.cohort.warnings["genes without expression"] == 1
    named = predict.predict(study, study.runs[0], results_folder, gene="g3")
    assert [gene.gene_id for gene in named.genes] == ["g3"]


def test_a_study_without_expression_predicts_all(study, model, results_folder, tmp_path):
    more_genes(study, tmp_path, "g3,g3,1,150,+")
    cohort = study.cohort.model_copy(update={"expression": None})
    study = study.model_copy(update={"cohort": cohort})
    assert len(predict.predict(study, study.runs[0], results_folder).genes) == 3


def test_genes_on_absent_contigs_are_left_out_and_counted_by_file(study, tmp_path):
    more_genes(study, tmp_path, "g3,g3,7,150,+", "g4,g4,7,160,+", "g5,g5,2,10,+")
    with (tmp_path / "ref.fa").open("a") as handle:
        handle.write(">2\nAAAAAAAAAAAAAAAA\n")
    cohort = OpenCohort(study)
    assert [gene.gene_id for gene in cohort.genes] == ["g1", "g2"]
    assert cohort.warnings["genes left out: ref.fa lacks contig 7"] == 2
    assert cohort.warnings["genes left out: v.vcf.gz lacks contig 2"] == 1


def test_genes_that_are_all_on_absent_contigs_are_an_error(study, tmp_path):
    text = (tmp_path / "genes.csv").read_text()
    (tmp_path / "genes.csv").write_text(text.replace(",1,", ",7,"))
    with pytest.raises(HowfarError, match=r"ref\.fa, contig '7': found no such contig among 1"):
        _ = OpenCohort(study).genes


@pytest.mark.parametrize("chrom", ["1", "chr1", "NC_000001.11"])
def test_a_contig_has_one_name_in_options_and_keys(study, chrom):
    assert len(OpenCohort(study).genes_to_run(chrom=chrom)) == 2
    assert len(asking(study, contigs=[chrom]).genes) == 2


def test_only_some_genes(study):
    assert [gene.gene_id for gene in asking(study, genes=["g2"]).genes] == ["g2"]
    assert [gene.gene_id for gene in asking(study, genes=["g2"], contigs=[1]).genes] == ["g2"]
    with pytest.raises(HowfarError, match="key cohort.only.genes: found 1 that are no gene of"):
        _ = asking(study, genes=["g2", "g9"]).genes
    with pytest.raises(HowfarError, match="only.contigs, contig '9'"):
        _ = asking(study, contigs=["9"]).genes
    with pytest.raises(HowfarError, match="genes.csv, contig '9'"):
        OpenCohort(study).genes_to_run(chrom="9")


def test_predictions_stay_current_when_fewer_genes_are_asked_for(study, model, results_folder):
    predict.predict(study, study.runs[0], results_folder)
    seen = model.seen
    fewer = asking(study, genes=["g2"]).study
    done = predict.predict(fewer, fewer.runs[0], results_folder)
    assert [gene.gene_id for gene in done.genes] == ["g2"] and model.seen == seen
