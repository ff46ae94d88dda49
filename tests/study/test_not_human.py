"""Studies that are neither human nor diploid, from a template to their tables."""

import itertools
import shutil
import subprocess

import numpy as np
import pandas as pd
import pysam
import pytest
import yaml
from typer.testing import CliRunner

from howfar.cli import app
from howfar.cohort.opened import OpenCohort
from howfar.core import sealed
from howfar.eqtl import study_map
from howfar.results import tables
from howfar.study.reading import load_study

PEOPLE, LENGTH = 40, 6_000
TENS = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
ROMAN = [*TENS[1:], *(f"X{i}" for i in TENS[:7])]
RAT = [*map(str, range(1, 21)), "X"]


def write(folder, contigs, called, seed=8):
    """Files of one gene a contig, whose third variant moves expression.

    called: contig, alleles (people, 2) to the calls of a record. Returns alleles by contig, the
    first of two in haploid ones.
    """
    rng = np.random.default_rng(seed)
    names = [f"S{i}" for i in range(PEOPLE)]
    sequence = {c: "".join(rng.choice(list("ACGT"), LENGTH)) for c in contigs}
    (folder / "ref.fa").write_text("".join(f">{c}\n{s}\n" for c, s in sequence.items()))
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names]
    lines = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="GT">']
    lines += [f"##contig=<ID={c},length={LENGTH}>" for c in contigs] + ["\t".join(fixed)]
    alleles, values = {}, []
    for c in contigs:
        drawn = (rng.random((6, PEOPLE, 2)) < 0.4).astype(int)
        alleles[c] = np.array([called(c, record)[1] for record in drawn])
        for k, record in enumerate(drawn):
            at = 2_800 + 60 * k
            ref = sequence[c][at]
            site = [c, str(at + 1), ".", ref, {"A": "G", "G": "A", "C": "T", "T": "C"}[ref]]
            lines.append("\t".join([*site, ".", ".", ".", "GT", *called(c, record)[0]]))
        values.append(alleles[c][2].mean(axis=-1) + 0.2 * rng.standard_normal(PEOPLE))
    (folder / "v.vcf").write_text("\n".join(lines) + "\n")
    pysam.tabix_index(str(folder / "v.vcf"), preset="vcf", force=True)
    rows = [[f"G_{c}", f"g{c}", c, 3_000, "+-"[i % 2]] for i, c in enumerate(contigs)]
    pd.DataFrame(rows, columns=["gene_id", "name", "chrom", "tss", "strand"]).to_csv(
        folder / "genes.csv", index=False
    )
    frame = pd.DataFrame(values, [row[0] for row in rows], names).rename_axis("gene_id")
    frame.to_csv(folder / "expression.csv")
    return alleles


def haploid(contig, record):
    """One allele a call."""
    first = record[:, 0]
    return [str(a) for a in first], np.stack([first, first], axis=1)


def inbred(contig, record):
    """Two equal alleles, but of three strains; on X males (even places) have one."""
    pair = np.stack([record[:, 0], record[:, 0]], axis=1)
    pair[[4, 5, 7]] = record[[4, 5, 7]]
    male = np.arange(PEOPLE) % 2 == 0
    if contig == "X":
        pair[male] = record[male][:, :1]
    text = [f"{a}/{b}" for a, b in pair]
    text = [t[0] if contig == "X" and m else t for t, m in zip(text, male, strict=True)]
    return text, pair


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
