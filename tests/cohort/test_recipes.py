"""Whole cohorts: each recipe's chain from the command line, on shrunken files of its kind.

HOWFAR_LONG=1 tests liftover too, where Picard is installed, and all of it on the real megabase
(`test_recipes_region.py`).
"""

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cyvcf2 import VCF
from typer.testing import CliRunner

from helpers.second_build import switch_errors
from helpers.shrunken import (
    Shrunken,
    calls,
    check_lifted,
    lifted_back,
    rosmap_files,
    shrink,
    simulated,
    true_haplotypes,
    write_vcf,
)
from howfar.cli import app
from howfar.cohort.recipes import chain, genotypes, tools
from howfar.cohort.recipes.job import Job
from howfar.cohort.recipes.recipe import load_recipe, names
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.open import open_variants
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference
from howfar.study.reading import load_study

NAMES = ["1000g", "geuvadis", "geuvadis_chr18", "gtex", "mage", "rosmap"]


def needs(program: str) -> pytest.MarkDecorator:
    package = tools.PACKAGES[program]
    return pytest.mark.skipif(not shutil.which(program), reason=f"no {package} here (Debian)")


long = pytest.mark.skipif(os.getenv("HOWFAR_LONG") != "1", reason="Picard starts Java: 10 s")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Shrunken:
    return shrink(tmp_path_factory.mktemp("shrunken"), *simulated())


def run(recipe: str, to: Path, have: dict[str, Path | str], *words: str) -> str:
    given = [word for key, path in have.items() for word in ("--have", f"{key}={path}")]
    command = ["cohort", recipe, "--to", str(to), *given, *words]
    done = CliRunner().invoke(app.app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_recipes_are_those_of_the_issue_and_say_where_files_come_from():
    assert names() == NAMES
    for name in NAMES:
        recipe = load_recipe(name)
        plan = chain.Chain(recipe, Path("nowhere")).plan()
        for key, each in recipe.inputs.items():
            assert f"  {key}: {each.what}" in plan
            assert all(len(stated) in (0, len(each.urls)) for stated in (each.md5, each.sha256))
            assert not each.md5 or each.md5_from, "who states a checksum"
            assert not (each.controlled and (each.urls or each.source)), "never a fetch"
        assert recipe.access in plan
        assert recipe.hours.strip() in plan
        assert "size not verified" in plan or name == "rosmap"


@pytest.mark.parametrize("name", ["gtex", "rosmap"])
def test_controlled_files_are_never_fetched(tmp_path, name):
    with pytest.raises(HowfarError, match=r"found no file given.*controlled access"):
        chain.Chain(load_recipe(name), tmp_path).run()
    assert not (tmp_path / "fetched").exists()


@pytest.fixture(scope="module")
def geuvadis(files, tmp_path_factory) -> tuple[Path, dict[str, Path | str], str]:
    """The chain on PLINK 2 files with packed variants, as Zenodo has them."""
    folder = tmp_path_factory.mktemp("geuvadis")
    plink = ["plink2", "--vcf", files["truth.vcf.gz"], "--make-pgen", "vzs", "--allow-extra-chr"]
    subprocess.run([*plink, "--out", folder / "g"], check=True, stdout=subprocess.DEVNULL)
    have = {
        "genotypes": folder / "g.pgen",
        "expression": files["resk10.txt.gz"],
        "gene_list": files["gene_list.csv"],
        "people": files["people.txt"],
        "populations": files["populations.csv"],
        "reference": files["old.fa"],
    }
    return folder / "out", have, run("geuvadis", folder / "out", have)


def test_geuvadis_ends_in_a_study_ready_for_xpresso(files, geuvadis):
    folder, _, said = geuvadis
    study = load_study(str(folder / "study" / "geuvadis.yaml"))
    assert [r.model for r in study.runs] == ["xpresso"]
    people = pd.read_csv(folder / "covariates" / "samples.csv")
    assert list(people["sample"]) == files.people[:-2]
    genes = pd.read_csv(study.cohort.genes)
    assert (len(genes), set(genes["strand"])) == (39, {"+", "-"})
    assert "genes of the table without expression, left out: 1" in said
    assert "records that are no SNV, left out: 5" in said
    assert "records that FILTER marks, left out: 1" in said
    assert "multiallelic records, split: 1" in said
    with open_variants(study.cohort.variants) as made, open_variants(files["truth.vcf.gz"]) as true:
        window = Interval("20", 0, 20_000)
        with Reference(files["old.fa"]) as fasta:
            ours, sites = made.dosages(window, fasta, samples=files.people[:-2])
            theirs, every = true.dosages(window, fasta, samples=files.people[:-2])
    known = {(v.pos, v.ref, v.alt): k for k, v in enumerate(every)}
    columns = [known[v.pos, v.ref, v.alt] for v in sites]
    assert len(columns) > 70
    np.testing.assert_array_equal(ours, theirs[:, columns])


def test_a_finished_chain_is_kept_and_what_changed_is_made_anew(geuvadis, files, tmp_path):
    folder, have, _ = geuvadis
    again = run("geuvadis", folder, have)
    assert again.count(": kept") == len(chain.STEPS)
    few = tmp_path / "few.txt"
    few.write_text("\n".join(files.people[:20]) + "\n")
    other = tmp_path / "out"
    shutil.copytree(folder, other)
    (other / "filter" / "all.vcf.gz").write_bytes(b"cut off")
    said = run("geuvadis", other, have, "--step", "phase")
    assert "normalise: kept" in said
    assert "filter: kept" not in said, "a damaged product is made anew"
    said = run("geuvadis", other, {**have, "people": few})
    assert "normalise: kept" in said
    assert "20 people in all files, 421 stated" in said
    assert len(pd.read_csv(other / "covariates" / "samples.csv")) == 20


def test_a_killed_chain_goes_on_with_the_contig_it_was_at(files, tmp_path, monkeypatch):
    have = _mage(files, tmp_path)
    order, stop = [], {"chr21"}
    select = chain.genotypes.select

    def killed(job):
        order.append(f"chr{job.unit}")
        if order[-1] in stop:
            raise KeyboardInterrupt
        return select(job)

    steps = [
        chain.Step(s.name, s.does, killed if s.name == "filter" else s.make, s.reads, s.each)
        for s in chain.STEPS
    ]
    monkeypatch.setattr(chain, "STEPS", steps)
    with pytest.raises(KeyboardInterrupt):
        chain.Chain(load_recipe("mage"), tmp_path / "out", have).run()
    stop.clear()
    chain.Chain(load_recipe("mage"), tmp_path / "out", have).run()
    assert order == ["chr20", "chr21", "chr21"]


def _mage(files: Shrunken, folder: Path) -> dict[str, Path | str]:
    """Two contigs in a file each, expression under the libraries' names, two of them swapped."""
    shutil.copy(files["truth.vcf.gz"], folder / "c20.vcf.gz")
    names = folder / "names"
    names.write_text("20 21\n")
    rename = ["bcftools", "annotate", "--rename-chrs", names, "-Oz", "-o", folder / "c21.vcf.gz"]
    subprocess.run([*rename, files["truth.vcf.gz"]], check=True)
    sequence = files["old.fa"].read_text().split("\n")[1]
    (folder / "two.fa").write_text(f">chr20\n{sequence}\n>chr21\n{sequence}\n")
    bed = pd.read_csv(files["expression.bed.gz"], sep="\t")
    bed.columns = [f"L{c}" if c in files.people else c for c in bed.columns]
    bed.to_csv(folder / "mage.bed.gz", sep="\t", index=False)
    return {
        "genotypes": folder / "c{chrom}.vcf.gz",
        "expression": folder / "mage.bed.gz",
        "covariates": files["factors.txt"],
        "populations": files["libraries.tsv"],
        "genes": files["genes.csv"],
        "reference": folder / "two.fa",
    }


@pytest.mark.parametrize("swap", ["back", "drop"])
def test_mage_deals_with_the_two_swapped_samples(files, tmp_path, monkeypatch, swap):
    pair = files.people[3], files.people[9]
    recipe = load_recipe("mage")
    steps = recipe.steps | {"expression": recipe.steps["expression"] | {"swapped": list(pair)}}
    assert recipe.steps["expression"]["swapped"] == ["HG00237", "NA11919"]
    changed = recipe.model_copy(update={"steps": steps})
    options = {"check": {"swap": swap}, "expression": {"swap": swap}}
    work = chain.Chain(changed, tmp_path / "out", _mage(files, tmp_path), options, cores=2)
    said = [note for done in work.run() for note in done.notes]
    assert any("samples known to be swapped" in note for note in said)
    study = load_study(str(tmp_path / "out" / "study" / "mage.yaml"))
    made = pd.read_csv(study.cohort.expression, sep="\t", index_col=3).iloc[:, 3:]
    given = pd.read_csv(files["expression.bed.gz"], sep="\t", index_col=3).iloc[:, 3:]
    if swap == "drop":
        assert set(given) - set(made) == set(pair)
    else:
        assert made[pair[0]].equals(given[pair[1]])
        assert made[pair[1]].equals(given[pair[0]])
    rest = [name for name in given if name not in pair]
    assert made[rest].equals(given[rest])
    with open_variants(study.cohort.variants) as variants:
        assert [str(c) for c in variants.contigs] == ["20", "21"]
    assert study.eqtl.covariates is not None


def test_gtex_from_counts_is_the_recipe_of_its_expression(files, tmp_path):
    from howfar.cohort.preprocess.gtex import prepare

    have = {
        "genotypes": files["truth.vcf.gz"],
        "counts": files["counts.tsv"],
        "tpm": files["tpm.tsv"],
        "sample_map": files["map.csv"],
        "expression": files["expression.bed.gz"],
        "covariates": files["factors.txt"],
        "genes": files["genes.csv"],
        "reference": files["old.fa"],
    }
    versioned = pd.read_csv(files["genes.csv"])
    versioned["gene_id"] += ".7"
    versioned.to_csv(tmp_path / "genes.csv", index=False)
    said = run("gtex", tmp_path / "out", {**have, "genes": tmp_path / "genes.csv"})
    assert "prepared by the recipe gtex" in said
    counts, tpm = (pd.read_csv(files[f], sep="\t", index_col=0) for f in ("counts.tsv", "tpm.tsv"))
    made = pd.read_csv(tmp_path / "out" / "expression" / "expression.csv.gz", index_col=0)
    expected = prepare(counts, tpm=tpm).values
    np.testing.assert_allclose(made.to_numpy(), expected.to_numpy(), rtol=1e-9)
    assert load_study(str(tmp_path / "out" / "study" / "gtex.yaml")).individuals == "private"


def test_1000g_leaves_children_out_and_predicts_only(files, tmp_path):
    have = {
        "genotypes": files["truth.vcf.gz"],
        "populations": files["family.txt"],
        "genes": files["genes.csv"],
        "reference": files["old.fa"],
    }
    said = run("1000g", tmp_path / "out", have)
    assert "people left out whose parents are in the genotypes: 1" in said
    assert "no expression given: the study predicts only" in said
    study = load_study(str(tmp_path / "out" / "study" / "1000g.yaml"))
    assert study.cohort.expression is None
    with open_variants(study.cohort.variants) as variants:
        assert list(variants.samples) == files.people[:4] + files.people[5:]


def test_geuvadis_chr18_is_fetched_and_needs_neither_fasta_nor_genes(files, tmp_path, monkeypatch):
    recipe = load_recipe("geuvadis_chr18")
    pgen, pvar, psam = (
        tmp_path / "mirror" / source.mirrored
        for source in recipe.inputs["genotypes"].to_fetch(recipe, "genotypes")
    )
    pgen.parent.mkdir(parents=True)
    plink = ["plink2", "--vcf", files["truth.vcf.gz"], "--make-pgen", "--out", pgen.with_suffix("")]
    subprocess.run(plink, check=True, stdout=subprocess.DEVNULL)
    assert pvar.is_file()
    assert psam.is_file()
    for key, name in (("expression", "expression.bed.gz"), ("covariates", "factors.txt")):
        shutil.copy(files[name], pgen.parent / recipe.inputs[key].urls[0].rpartition("/")[2])
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path / "mirror"))
    said = run("geuvadis_chr18", tmp_path / "out", {})
    assert "fetch: 0 files given, 3 fetched" in said
    assert "no FASTA: REF alleles are taken as they are" in said
    study = load_study(str(tmp_path / "out" / "study" / "geuvadis_chr18.yaml"))
    assert (study.cohort.reference, study.cohort.genes, study.runs) == (None, None, [])
    with open_variants(study.cohort.variants) as made:
        _, sites = made.dosages(Interval("20", 0, 20_000), None)
    multiallelic = next(position for position, _, alts, _ in files.records if "," in alts)
    assert sum(v.pos == multiallelic for v in sites) == 2


@long
@needs("PicardCommandLine")
@needs("shapeit4")
def test_rosmap_lifts_phases_and_loses_nothing_without_a_word(files, tmp_path):
    said = run("rosmap", tmp_path / "out", rosmap_files(files))
    for line in (
        "records lost: MismatchedRefAllele: 5",
        "records with REF and ALT swapped, with their calls: 20",
        "records with symbolic alleles, left out: 1",
        "swapped sites lose the frequencies EUR_AF",
        "phased by shapeit4, seed 1",
    ):
        assert line in said
    lifted = calls(tmp_path / "out" / "liftover" / "all.vcf.gz")
    compared = check_lifted(files, lifted)
    assert compared > 90
    back, other = lifted_back(files, tmp_path / "out", tmp_path / "back")
    assert (back, other) == (len(lifted), 0)
    phased = VCF(str(tmp_path / "out" / "phase" / "all.vcf.gz"))
    assert phased.samples == files.people
    record = next(iter(phased))
    assert record.QUAL == 50
    assert record.INFO.get("OriginalStart") is not None
    assert 'ID=DEL,Description="Deletion"' in phased.raw_header
    after = calls(tmp_path / "out" / "phase" / "all.vcf.gz")
    before = calls(tmp_path / "out" / "filter" / "all.vcf.gz")
    assert set(after) == set(before)
    missing = sum(int((g[:, :2] == -1).any(1).sum()) for g in before.values())
    assert f"missing calls, filled in: {missing}" in said
    with gzip.open(tmp_path / "out" / "phase" / "all.vcf.gz.filled.tsv.gz", "rt") as mask:
        listed = [line.rstrip("\n").split("\t")[4] for line in mask][1:]
    assert sum(len(people.split(",")) for people in listed) == missing
    for site, g in before.items():
        known = (g[:, :2] >= 0).all(1)
        assert (np.sort(g[known, :2], 1) == np.sort(after[site][known, :2], 1)).all()
    truth = true_haplotypes(files, list(after))
    switches, pairs = switch_errors(truth, np.array([g[:, :2] for g in after.values()]))
    assert pairs > 300
    assert switches / pairs < 0.25  # half for phases that are drawn


@long
@needs("PicardCommandLine")
def test_a_chain_to_another_contig_stops(files, tmp_path):
    wrong = tmp_path / "wrong.chain"
    wrong.write_text(files["there.chain"].read_text().replace("chr20", "chr5"))
    have = rosmap_files(files) | {"chain": wrong}
    with pytest.raises(HowfarError, match=r"found 0 of \d+ records"):
        chain.Chain(load_recipe("rosmap"), tmp_path / "out", have).run()


def test_the_build_of_the_genotypes_must_be_that_of_the_fasta(files, tmp_path):
    have = {
        "genotypes": files["truth.vcf.gz"],
        "expression": files["expression.bed.gz"],
        "covariates": files["factors.txt"],
        "reference": files["new.fa"],
    }
    with pytest.raises(HowfarError, match=r"REF alleles differ; expected genotypes of the FASTA's"):
        chain.Chain(load_recipe("geuvadis_chr18"), tmp_path, have).run()


def test_dosages_are_no_genotypes_of_a_chain(files, tmp_path):
    table = tmp_path / "dose.tsv"
    table.write_text("CHROM\tPOS\tREF\tALT\tP000\n20\t5\tA\tC\t1\n")
    have = {"genotypes": table, "expression": files["expression.bed.gz"]}
    have["covariates"] = files["factors.txt"]
    with pytest.raises(HowfarError, match="genotypes of the kind dosages"):
        chain.Chain(load_recipe("geuvadis_chr18"), tmp_path / "out", have).run()


def test_a_program_that_is_not_here_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HowfarError, match="apt install picard-tools"):
        tools.require("PicardCommandLine")


def test_a_failing_program_of_a_pipe_is_an_error(tmp_path):
    with pytest.raises(HowfarError, match="exit status"):
        tools.pipe(["bcftools", "view", tmp_path / "none.vcf"], ["bcftools", "view", "-Ou"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--have", "genotype=x"], "a key that is no input"),
        (["--have", "people=/nowhere/x"], "no such file"),
        (["--missing", "gone"], "filled or kept"),
        (["--step", "fold"], "one of fetch, check"),
    ],
)
def test_wrong_options_are_named(tmp_path, words, message):
    with pytest.raises(HowfarError, match=message):
        run("geuvadis", tmp_path, {}, *words)


def test_a_fetched_file_must_have_the_md5_that_is_stated(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"x")
    with pytest.raises(HowfarError, match="MD5 9dd4e461268c8034f5c8564e155c67a6"):
        chain._check_md5(file, "0" * 32, "somebody")


@needs("shapeit4")
def test_haploid_calls_stay_beside_phased_ones(files, tmp_path):
    rows = []
    for record in files.records:
        if not record[2].startswith("<") and "," not in record[2]:
            pairs = record[3].tolist()
            rows.append(
                (record, [f"{a}" if k % 2 else f"{a}/{b}" for k, (a, b) in enumerate(pairs)])
            )
    given = tmp_path / "x.vcf.gz"
    write_vcf(given, "X", 20_000, files.people, rows)
    work = tmp_path / "work"
    work.mkdir()
    job = Job(load_recipe("rosmap"), {}, {}, work, "all", given)
    before, after = calls(given), calls(genotypes.phase(job)["genotypes"])
    assert list(before) == list(after)
    for site, g in before.items():
        assert (after[site][1::2, :2] == g[1::2, :2]).all()
        assert (after[site][::2, 2] == 1).all()
