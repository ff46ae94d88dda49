import numpy as np
import pandas as pd
import pytest

from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError


def changed(study, **cohort):
    return study.model_copy(update={"cohort": study.cohort.model_copy(update=cohort)})


def test_people_are_those_of_every_input_and_the_rest_is_counted(study, tmp_path):
    frame = pd.read_csv(tmp_path / "expression.csv", index_col=0)
    frame.drop(columns=["P2", "P4"]).to_csv(tmp_path / "fewer.csv")
    cohort = OpenCohort(changed(study, expression=tmp_path / "fewer.csv"))
    assert cohort.samples == ["P1", "P3"]
    assert cohort.warnings["people without expression"] == 2


def test_a_list_that_lost_its_first_person_to_a_header_is_an_error(study, tmp_path):
    frame = pd.read_csv(tmp_path / "expression.csv", index_col=0)
    frame.drop(columns=["P1"]).to_csv(tmp_path / "fewer.csv")
    with pytest.raises(HowfarError, match="one person too few") as error:
        _ = OpenCohort(changed(study, expression=tmp_path / "fewer.csv")).samples
    assert "P1" not in str(error.value)


def test_a_missing_input_is_named_with_its_role(study, tmp_path):
    with pytest.raises(HowfarError, match="expected the variants file of study tiny"):
        OpenCohort(changed(study, variants=tmp_path / "nothing.vcf.gz"))


def test_dosages_are_copies_of_the_alternative_allele_near_the_tss(study):
    cohort = OpenCohort(study)
    dosages, variants = cohort.dosages(cohort.genes[0], 20)
    assert [v.pos for v in variants] == [95, 103]
    assert np.array_equal(dosages.T, [[1, 2, 0, 0], [0, 1, 0, 0]])
    # a window over the contig's start is cut, not an error
    assert len(cohort.dosages(cohort.genes[0], 300)[1]) == 3


def test_one_gene_by_id_or_contig(study):
    cohort = OpenCohort(study)
    assert [g.gene_id for g in cohort.genes_to_run("g2")] == ["g2"]
    assert len(cohort.genes_to_run(chrom="1")) == 2


def test_without_expression_or_samples_everybody_is_taken(study):
    cohort = OpenCohort(changed(study, expression=None, samples=None))
    assert cohort.samples == ["P1", "P2", "P3", "P4"]
    assert cohort.populations is None and cohort.expression is None
