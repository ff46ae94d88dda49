"""A newcomer's first hour, from an empty folder to the first figure, as README has it."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.places import ROOT
from howfar import figures
from howfar.cli import app
from howfar.simulate.example import FOLDER

#: What README tells a newcomer to run, word for word.
TEMPLATE = ("template mine --reference ref.fa --variants cohort.vcf.gz --genes genes.gtf "
            "--expression expression.bed.gz")  # fmt: skip
DOCTOR = "doctor --study mine.yaml"
DRY_RUN = "run --study mine.yaml --dry-run"
RUN = "run --study mine.yaml --to notebooks"


def write_files(folder: Path) -> None:
    """VCF, FASTA, GTF and BED as people have them: other contig names, Y_RNA twice, a chrY."""
    shutil.copy(FOLDER / "reference.fa", folder / "ref.fa")
    shutil.copy(FOLDER / "variants.vcf.gz", folder / "cohort.vcf.gz")
    genes = pd.read_csv(FOLDER / "genes.csv")
    genes["chrom"] = genes["chrom"].str.removeprefix("chr")
    lines = [
        (row.chrom, row.tss if row.strand == "+" else max(1, row.tss - 99), row.strand, row.gene_id,
         row.name_) for row in genes.rename(columns={"name": "name_"}).itertuples()
    ]  # fmt: skip
    lines += [("Y", 500, "+", "ENSG01.1", "Y_RNA"), ("Y", 900, "-", "ENSG02.1", "Y_RNA")]
    gtf = [
        f"{chrom}\tX\tgene\t{start}\t{start + 99}\t.\t{strand}\t.\t"
        f'gene_id "{i}"; gene_name "{n}";\n'
        for chrom, start, strand, i, n in lines
    ]
    (folder / "genes.gtf").write_text("".join(gtf))
    expression = pd.read_csv(FOLDER / "expression.csv").set_index("gene_id")
    bed = genes.set_index("gene_id").loc[expression.index, ["chrom", "tss"]].reset_index()
    bed = pd.DataFrame(
        {"#chr": bed["chrom"], "start": bed["tss"] - 1, "end": bed["tss"], "gene": bed["gene_id"]}
    ).join(expression.reset_index(drop=True))
    with gzip.open(folder / "expression.bed.gz", "wt") as handle:
        handle.write(bed.to_csv(sep="\t", index=False))


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file below `folder`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The newcomer's folder, which is the current one."""
    folder = tmp_path / "home"
    folder.mkdir()
    write_files(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HOWFAR_RESULTS")
    return folder


def howfar(words: str) -> str:
    """What a command prints; it must end well."""
    done = CliRunner().invoke(app.app, words.split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def shorten(folder: Path) -> None:
    """Fewer draws, and the fastest model."""
    text = (folder / "mine.yaml").read_text()
    for key in ("permutations", "null_draws", "bootstrap"):
        text = re.sub(rf"(?m)^  {key}: \d+", f"  {key}: 100", text)
    (folder / "mine.yaml").write_text(re.sub(r"(?m)^  models: .*", "  models: [top1]", text))


def test_readme_tells_these_commands():
    text = (ROOT / "README.md").read_text().replace("\\\n    ", "")
    for words in (TEMPLATE, DOCTOR, DRY_RUN, RUN):
        assert re.search(rf"^howfar {re.escape(words)}\s", text, re.MULTILINE), words


@pytest.mark.filterwarnings("ignore:.*the index is not there")
def test_from_four_files_to_the_first_figure(home):
    before, outside = digests(home), sorted(os.listdir(home.parent))
    assert "mine.yaml; next: howfar doctor --study mine.yaml" in howfar(TEMPLATE)
    shorten(home)
    seen = howfar(DOCTOR)
    assert (
        "6 genes on contigs of all files (1, 2); genes left out: ref.fa lacks contig Y: 2" in seen
    )
    assert "20 with genotypes, 20 with expression, 20 in all files" in seen
    assert "baseline in results/mine" not in seen and "LACKING" not in seen
    made = howfar("baseline --study mine.yaml")
    assert "top1: 6 genes: 6 fitted" in made and "in results/mine/baseline" in made
    said = howfar("evaluate --study mine.yaml")
    assert "numbers in results/mine/tables" in said
    assert re.search(r"mean Pearson r across people: lead_snp -?0\.\d+ \(6 genes\), top1", said)
    figures.distribution(figures.view("mine.yaml"))
    assert (home / "results/mine/figures/across_distribution.mine.svg").is_file()
    after = digests(home)
    assert {name: after[name] for name in before} == before
    new = {Path(name).parts[0] for name in after.keys() - before.keys()}
    assert new == {"mine.yaml", "results"}
    assert sorted(os.listdir(home.parent)) == outside


@pytest.mark.slow
@pytest.mark.skipif(os.getenv("HOWFAR_LONG") != "1", reason="builds and installs a wheel")
def test_an_installed_wheel_does_it_by_run_and_writes_nothing_into_itself(home, tmp_path):
    pip = [sys.executable, "-m", "pip"]
    options = ["--quiet", "--no-index", "--no-deps"]
    build = [*options, "--no-build-isolation", "--wheel-dir", tmp_path, ROOT]
    subprocess.run([*pip, "wheel", *build], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", *options, "--target", site, wheel], check=True)
    env = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {k: v for k, v in os.environ.items() if k not in (*env, "HOWFAR_RESULTS")}
    env["NUMBA_CACHE_DIR"] = str(tmp_path / "numba")
    before = digests(site)
    for words in (TEMPLATE, DOCTOR, DRY_RUN, RUN):
        command = [sys.executable, "-P", "-m", "howfar", *words.split()]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if words == TEMPLATE:
            shorten(home)
    assert "mine: tables, notebooks, figures in results/mine" in done.stdout
    assert len(list((home / "results/mine/notebooks").glob("*.ipynb"))) == 5
    assert digests(site) == before
