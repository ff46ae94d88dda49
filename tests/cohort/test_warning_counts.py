"""What is left out or assumed is counted, printed at the end and kept in the run's provenance."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from howfar.eqtl import study_map as eqtl_map
from howfar.eqtl.study_map import map_gene
from howfar.genome.windows import _MARGIN
from howfar.results.tables import read_provenance
from inputs.cohort import Files, LetterCounts, write_base
from inputs.plink import plink1_files
from inputs.running import command_line

# ONE and TWO, the only ones predicted; a gene's window of the linear models is the whole contig.
GENES_MEASURED = 2


@pytest.fixture
def files(tmp_path) -> Files:
    """The small cohort with one of each oddity, those of the genotypes inside a gene's window."""
    write_base(tmp_path)
    files = Files(tmp_path)
    files.records(lambda rows: [_odd(row) for row in rows])
    (tmp_path / "variants.vcf.gz.tbi").unlink()
    files.change("reference.fa", r"\A(>20\n(?:[A-Z]+\n){16}[A-Z]{9})[ACGT]", r"\1R")  # base 970
    values = files.expression().iloc[:GENES_MEASURED, :5]
    values.iloc[0, :2] = float("nan")
    files.put("e.csv", values.rename_axis("gene").to_csv(na_rep="NA"))
    files.settings(
        cohort__expression=tmp_path / "e.csv",
        cohort__unphased="random(1)",
        cohort__max_ref_mismatch=0.5,
        cohort__alleles="all",
    )
    return files


def _odd(row: list[str]) -> list[str]:
    fixed, calls = row[:9], row[9:]
    if row[1] == "950":
        calls[:2] = [".|.", ".|."]
    elif row[1] == "1000":
        calls[2] = "0/1"
    elif row[1] == "1950":
        fixed[4] += ",*"
    elif row[1] == "2050":
        calls[3] = ".|1"
    elif row[1] == "3000":
        fixed[3] = next(b for b in "ACGT" if b not in fixed[3:5])
    return [*fixed, *calls]


OF_FILES = {
    "indexes of genotypes made anew": 1,
    "missing values of expression": 2,
    "people wanted but absent": 1,
    "people without expression": 1,
}
#: Position and number of each oddity of the genotypes.
ODD = {
    "REF mismatches": (3000, 1),
    "half calls": (2050, 1),
    "missing calls": (950, 2),
    "star alleles": (1950, 1),
}
REACH = LetterCounts.layout.context // 2 + _MARGIN  # bp read on either side of a TSS


def read(position: int) -> int:
    """The genes whose window is read at this position, the room for deletions included."""
    return sum(abs(tss - position) < REACH for _, _, tss, _ in Files.GENES[:GENES_MEASURED])


PREDICTED = {
    **OF_FILES,
    **{what: n * read(position) for what, (position, n) in ODD.items()},
    "ambiguous bases of the reference read as N": 1,
    "unphased calls": read(1000),
    "genes without expression": 1,
}
FITTED = {
    **OF_FILES,
    **{what: GENES_MEASURED * n for what, (_, n) in ODD.items()},
    "cis variants left out for missing calls": 2 * GENES_MEASURED,  # at 950 and 2050
    "genes not fitted: too few people": GENES_MEASURED,
    "genes without expression": 1,
}


def howfar(files: Files, words: list[str]) -> dict[str, int]:
    """What the command printed that it counted."""
    results = files.folder / "results"
    status, printed, message = command_line(["--results", str(results), *words])
    assert status == 0, message
    found = re.findall(r"  counted (.+): ([\d,]+)\n", printed)
    return {what: int(n.replace(",", "")) for what, n in found}


def predicted(files: Files) -> dict[str, int]:
    """The counts in the provenance of the run's predictions."""
    (path,) = (files.folder / "results" / "tiny" / "predictions").glob("letters-*/provenance.json")
    return json.loads(path.read_text())["warnings"]


def fitted(files: Files, table: str = "top1") -> dict[str, int]:
    """The counts in the provenance of a linear model's table."""
    path = files.folder / "results" / "tiny" / "baseline" / f"{table}.parquet"
    return read_provenance(path)["warnings"]


def test_predictions_count_what_their_input_was_made_with(files):
    assert howfar(files, files.predict()[0]) == PREDICTED == predicted(files)


def test_predictions_that_were_cut_off_count_every_gene_once(files):
    alone = howfar(files, files.predict("--gene", "ONE")[0])
    assert alone["missing calls"] == 2 and alone["star alleles"] == 1
    assert "REF mismatches" not in alone and predicted(files) == alone
    assert howfar(files, files.predict()[0]) == PREDICTED == predicted(files)
    assert howfar(files, files.predict()[0]) == PREDICTED == predicted(files)  # nothing left to do


def test_shards_count_together(files):
    for part in ("2/2", "1/2"):
        howfar(files, files.predict("--shard", part)[0])
    assert predicted(files) == PREDICTED


def test_linear_models_count_what_their_input_was_made_with(files):
    assert howfar(files, files.baseline()[0]) == FITTED == fitted(files)
    for table in ("top1.weights", "top1.genes"):
        assert fitted(files, table) == FITTED


def test_linear_models_that_were_cut_off_count_every_gene_once(files):
    howfar(files, [*files.baseline()[0], "--gene", "TWO"])
    assert howfar(files, [*files.baseline()[0], "--cores", "2"]) == FITTED == fitted(files)


def test_an_eqtl_map_that_was_cut_off_counts_every_gene_once(files, tmp_path, monkeypatch):
    whole = howfar(files, files.eqtl()[0])
    read = {what: GENES_MEASURED * n for what, (_, n) in ODD.items()}
    left_out = {"genes without expression": 1, "genes, too few people": GENES_MEASURED}
    assert whole == OF_FILES | read | left_out
    path = tmp_path / "results" / "tiny" / "eqtl" / "lead.parquet"
    kept = read_provenance(path)["warnings"]
    assert kept == {what: n for what, n in whole.items() if not what.startswith("genes, ")}
    assert howfar(files, files.eqtl()[0]) == whole  # nothing left to do
    shutil.rmtree(path.parent)
    cut_off_at(files.GENES[1][0], monkeypatch)
    assert command_line(["--results", str(tmp_path / "results"), *files.eqtl()[0]])[0] == 130
    monkeypatch.undo()
    units = list(path.parent.glob("genes-*/*.npz"))
    assert len(units) == 1 and howfar(files, files.eqtl()[0]) == whole
    assert read_provenance(path)["warnings"] == kept


def cut_off_at(gene_id: str, monkeypatch) -> None:
    """Have a map of eQTLs stop at a gene."""
    real = map_gene

    def dies(panel, gene, *rest):
        if gene.gene_id == gene_id:
            raise KeyboardInterrupt
        return real(panel, gene, *rest)

    monkeypatch.setattr(eqtl_map, "map_gene", dies)


def test_skipped_genes_and_palindromic_sites_are_counted(tmp_path):
    write_base(tmp_path)
    files = Files(tmp_path)
    plink1_files(files, turned=True)
    files.settings(cohort__variants=tmp_path / "p.bed")
    sites = [line.split("\t") for line in (tmp_path / "p.bim").read_text().splitlines()]
    palindromic = sum({a, b} in ({"A", "T"}, {"C", "G"}) for *_, a, b in sites)
    found = howfar(files, files.baseline()[0])
    assert palindromic and found["palindromic SNVs"] == 3 * palindromic
    assert found["genes not fitted: too few people"] == 3 and found == fitted(files)
