"""Studies that are neither human nor diploid, from a template to their tables."""

import itertools
import shutil
import subprocess

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from helpers.strains import PEOPLE, RAT, ROMAN, haploid, inbred, write
from howfar.cli import app
from howfar.cohort.opened import OpenCohort
from howfar.core import sealed
from howfar.eqtl import study_map
from howfar.results import tables
from howfar.study.reading import load_study


def run(*words):
    told = CliRunner().invoke(app.app, [str(word) for word in words], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.output


@pytest.fixture(params=["haploid", "inbred"])
def made(request, tmp_path, monkeypatch):
    """(kind, study, alleles by contig) of a study as `howfar template` writes it."""
    kind = request.param
    monkeypatch.chdir(tmp_path)
    contigs, called = (ROMAN, haploid) if kind == "haploid" else (RAT, inbred)
    alleles = write(tmp_path, contigs, called)
    files = {"reference": "ref.fa", "variants": "v.vcf.gz", "genes": "genes.csv"}
    files["expression"] = "expression.csv"
    options = itertools.chain(*((f"--{key}", value) for key, value in files.items()))
    run("template", "strains", "--kind", kind, "--model", "gc-content", *options)
    path = tmp_path / "strains.yaml"
    values = yaml.safe_load(path.read_text())
    values["baselines"]["models"] = ["top1"]
    values["evaluation"] |= {"null_draws": 100, "bootstrap": 100}
    values["eqtl"] |= {"permutations": 100}
    path.write_text(yaml.safe_dump(values))
    return kind, load_study(str(path)), alleles


def test_windows_dosages_and_means_follow_the_calls_own_ploidy(made):
    kind, study, alleles = made
    cohort = OpenCohort(study)
    for contig in ("X", ROMAN[0] if kind == "haploid" else RAT[0]):
        gene = cohort.gene(f"G_{contig}")
        built = cohort.windows(gene, 2_048)
        dosages, variants = cohort.dosages(gene, 2_048)
        assert len(variants) == 6
        assert np.array_equal(dosages, alleles[contig].sum(axis=2).T)
        one = kind == "haploid" or contig == "X"
        males = np.arange(PEOPLE) % (1 if kind == "haploid" else 2) == 0
        if one:  # one haplotype, read twice
            assert np.array_equal(*built.index[males].T)
            assert built.counts["haploid calls"] == 6 * males.sum()


def test_a_haploid_window_is_that_of_bcftools_consensus(made, tmp_path):
    kind, study, _ = made
    if shutil.which("bcftools") is None or kind != "haploid":
        pytest.skip("bcftools, and the haploid study")
    cohort = OpenCohort(study)
    gene = cohort.gene("G_X")
    built = cohort.windows(gene, 2_048)
    start = gene.start0 - 1_024
    for person in (0, 17):
        words = ["bcftools", "consensus", "-f", "ref.fa", "-s", f"S{person}", "v.vcf.gz"]
        told = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True)
        whole = "".join(told.stdout.partition(">X\n")[2].partition(">")[0].split())
        row = built.sequences[built.index[person, 0]]
        assert row.tobytes().decode() == whole[start : start + 2_048]


def test_a_study_runs_from_its_template_to_its_tables(made, results_folder):
    kind, study, alleles = made
    for command in ("predict", "baseline", "evaluate"):
        run("--results", results_folder, command, "--study", study._file)
    across = tables.read(tables.path_of(results_folder, "strains", "across"), "across")
    pooled = across[across["population"] == "pooled"].set_index(["run_id", "gene_id"])
    contigs = ROMAN if kind == "haploid" else RAT
    assert set(pooled.loc["top1"].index) == {f"G_{c}" for c in contigs}
    assert pooled.loc["top1", "pearson"].median() > 0.8
    lead = sealed.read_own_parquet(study_map.path_of(results_folder, "strains", "lead"))
    assert len(lead) == len(contigs) and (lead["q"] < 0.05).all()
    people = tables.read(
        tables.path_of(results_folder, "strains", "individuals"), "individuals"
    ).query("run_id == 'gc-content'")
    wide = people.pivot(index="gene_id", columns="sample", values="predicted")
    assert wide.loc[f"G_{contigs[0]}"].nunique() > 2
