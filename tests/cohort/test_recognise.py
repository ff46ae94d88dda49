"""Files are told apart by what is in them; the study file that `howfar init` writes is complete."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.plink_files import write_bed
from howfar.cli import app
from howfar.cohort.recognise import recognise
from howfar.core.errors import HowfarError
from howfar.simulate.example import FOLDER
from howfar.study.reading import load_study

PEOPLE = pd.read_csv(FOLDER / "samples.csv")["sample"].tolist()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder with the example's files under names that tell nothing, which is the current one."""
    home = tmp_path / "home"
    home.mkdir()
    names = {"reference.fa": "a.txt", "genes.csv": "c", "expression.csv": "d.txt"}
    names |= {"samples.csv": "e", "variants.vcf.gz": "b.gz", "variants.vcf.gz.tbi": "b.gz.tbi"}
    for old, new in names.items():
        shutil.copy(FOLDER / old, home / new)
    monkeypatch.chdir(home)
    return home


def roles(*paths) -> dict[str, str]:
    """The names of the files by their role; those of no use are left out."""
    return {file.role: file.path.name for file in recognise(paths).files if file.role}


def as_bed(path: Path) -> None:
    """Write the example's expression as tensorQTL has it."""
    genes = pd.read_csv(FOLDER / "genes.csv").set_index("gene_id")
    values = pd.read_csv(FOLDER / "expression.csv").set_index("gene_id")
    place = genes.loc[values.index]
    head = {"#chr": place.chrom, "start": place.tss - 1, "end": place.tss, "id": values.index}
    pd.DataFrame(head).join(values).to_csv(path, sep="\t", index=False)


EXAMPLE = {"reference": "a.txt", "variants": "b.gz", "genes": "c", "expression": "d.txt"}


def test_content_decides_and_indexes_go_with_their_files(home):
    (home / "notes.md").write_text("# What I did\nnothing\n")
    assert roles(home) == EXAMPLE | {"samples": "e"}
    seen = {file.role: file.seen for file in recognise([home]).files}
    assert seen["variants"] == "genotypes (VCF or BCF): 20 people, contigs chr1, chr2"
    assert seen["expression"].startswith("expression: 6 genes, 20 people, values ")
    assert seen[""] == "not recognised" and "populations: " in seen["samples"]


def fastqtl(home: Path) -> None:
    table = pd.DataFrame([range(20), [0, 1] * 10], index=["pc1", "sex"], columns=PEOPLE)
    table.rename_axis("id").to_csv(home / "f", sep="\t")


def eigenvec(home: Path) -> None:
    rows = [f"0 {person} {i} {i % 3}" for i, person in enumerate(PEOPLE)]
    (home / "f").write_text("\n".join(["#FID IID PC1 PC2", *rows]) + "\n")


def pairs(home: Path) -> None:
    text = "".join(f"{person},{person}\n" for person in PEOPLE)
    (home / "f").write_text("expression,genotype\n" + text)


@pytest.mark.parametrize(
    ("write", "role"), [(fastqtl, "covariates"), (eigenvec, "covariates"), (pairs, "sample_map")]
)
def test_other_tables_of_people(home, write, role):
    write(home)
    assert roles(home) == EXAMPLE | {"samples": "e", role: "f"}


def test_an_expression_bed_states_the_genes(home):
    (home / "c").unlink()
    (home / "d.txt").unlink()
    as_bed(home / "d.bed")
    fastqtl(home)
    found = recognise([home])
    assert found.keys == {"genes": ("null", "the TSS is what the expression BED states")}
    assert {f.role for f in found.files} == {
        *("reference", "variants", "expression", "samples", "covariates")
    }


def test_versions_counts_and_linear_values(home):
    values = pd.read_csv(home / "d.txt").set_index("gene_id")
    genes = pd.read_csv(home / "c")
    genes["gene_id"] = [f"ENSG{i:011d}.3" for i in range(6)]
    values.index = pd.Index([f"ENSG{i:011d}.4" for i in range(6)], name="gene_id")
    genes.to_csv(home / "c", index=False)
    (values.abs() * 100).round().astype(int).to_csv(home / "d.txt")
    found = recognise([home])
    assert found.keys["gene_versions"][0] == "strip" and found.keys["log_base"][0] == "null"
    assert "counts: `howfar preprocess`" in found.left["cohort.expression"]


@pytest.mark.filterwarnings("ignore:.*the index is not there")
def test_one_file_per_contig_is_a_template(home):
    for contig in ("chr1", "chr2"):
        shutil.move(shutil.copy(home / "b.gz", home / "copy"), home / f"v2.{contig}.vcf.gz")
    (home / "b.gz").unlink()
    assert roles(home)["variants"] == "v2.chr{chrom}.vcf.gz"
    (home / "v2.chr1.vcf.gz").rename(home / "other.gz")
    with pytest.raises(HowfarError, match="2 files that may be the variants; expected one"):
        recognise([home])


def test_plink_files_go_together(home):
    (home / "b.gz").unlink()
    write_bed(home / "p", [("1", 9, "A", "C")], [[0] * 20], tuple(PEOPLE))
    found = {file.role: file for file in recognise([home]).files}
    assert found["variants"].path.name == "p.bed" and "PLINK 1" in found["variants"].seen
    assert "" not in found


def test_two_gene_tables_are_refused_and_a_lacking_path_too(home):
    shutil.copy(home / "c", home / "g")
    with pytest.raises(HowfarError, match="2 files that may be the genes; expected one"):
        recognise([home])
    with pytest.raises(HowfarError, match="no such file"):
        recognise(["nowhere"])


def init(*words: str):
    return CliRunner().invoke(app.app, ["init", *words], catch_exceptions=False)


def test_init_writes_a_study_that_loads_and_says_what_is_left(home):
    fastqtl(home)
    said = init("mine", ".")
    assert said.exit_code == 0
    study = load_study("mine.yaml")
    assert study.cohort.genes == home / "c" and study.cohort.samples == home / "e"
    assert study.eqtl.covariates == home / "f" and study.runs == []
    assert "people: 20 with genotypes, 20 with expression, 20 in all files" in said.output
    assert "left to fill in, in mine.yaml:\n  cohort.expression_units" in said.output
    assert said.output.endswith("next: howfar doctor --study mine.yaml\n")


def test_init_without_all_files_says_which_lack(home):
    (home / "d.txt").unlink()
    said = init("mine", ".", "--model", "xpresso")
    assert "  cohort.expression: no such file seen" in said.output and "next:" not in said.output
    assert [run.model for run in load_study("mine.yaml").runs] == ["xpresso"]
