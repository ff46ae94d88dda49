"""An RO-Crate of a study has every file with its checksum, and nothing that is private."""

import hashlib
import json
import os

import pytest

from helpers import synthetic
from howfar.core.errors import HowfarError
from howfar.fetch.catalogue import sources
from howfar.results import crate, tables
from howfar.results.export import export_study
from howfar.results.tables import path_of
from howfar.study.reading import load_study

rocrate = pytest.importorskip("rocrate.rocrate")
FIGURES = (
    "across_ranked.{}.svg",
    "across_ranked.{}.csv",
    "across_examples.{}.png",
    "carried.{}.csv",
)


@pytest.fixture
def made(results_folder):
    """Studies demo (public) and rastogi2024, with figures; inputs in the provenance of `runs`."""
    known = next(s for s in sources().values() if s.study == "rastogi2024" and s.sha256)
    inputs = {"a": {"file": "mine.vcf.gz", "sha256": "0" * 64},
              known.id: {"file": "public.tsv", "sha256": known.sha256}}  # fmt: skip
    for study in ("demo", "rastogi2024"):
        synthetic.write(results_folder, study)
        runs = path_of(results_folder, study, "runs")
        block = {"inputs": inputs, "created": "2026-11-29T00:00:00+00:00", "commit": "c" * 40}
        tables.write(runs, "runs", tables.read(runs, "runs"), block)
        figures = results_folder / study / "figures"
        figures.mkdir()
        for name in FIGURES:
            (figures / name.format(study)).write_text(name)
    return results_folder, known


def test_every_file_is_described_with_size_and_checksum(made, tmp_path):
    results, known = made
    written = export_study(load_study("demo"), results, tmp_path, crate=True)
    folder = tmp_path / "demo"
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {p.relative_to(folder).as_posix() for p in written} == files
    read = rocrate.ROCrate(folder)  # the library reads what it wrote, as an archive's reader would
    assert {entity.id for entity in read.data_entities} == files - {crate.METADATA}
    for entity in read.data_entities:
        content = (folder / entity.id).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))
        assert entity["description"] and entity["encodingFormat"]
    assert read.publisher["name"] == "The howfar developers" and read.description and read.license
    assert read.datePublished.year == 2026
    assert "figures/across_ranked.demo.svg" in files and "individuals/points.parquet" in files
    (action,) = read.get_by_type("CreateAction")
    assert {each.id for each in action["result"]} == files - {crate.METADATA}
    mine, public = sorted(action["object"], key=lambda each: each["name"])
    assert mine["sha256"] == "0" * 64 and "url" not in mine
    assert public["url"] == known.url and public["usageInfo"] == known.licence
    assert str(tmp_path) not in (folder / crate.METADATA).read_text()


def test_a_private_study_keeps_figures_of_people_and_old_ones(made, tmp_path):
    results, _ = made
    private = load_study("demo").model_copy(update={"individuals": "private", "min_people": 1})
    export_study(private, results, tmp_path, crate=True)
    names = {path.name for path in (tmp_path / "demo" / "figures").iterdir()}
    assert names == {"across_ranked.demo.svg", "across_ranked.demo.csv"}
    assert not (tmp_path / "demo" / "individuals").exists()
    old = path_of(results, "demo", "runs").stat().st_mtime - 60
    os.utime(results / "demo" / "figures" / "across_ranked.demo.svg", (old, old))
    export_study(private, results, tmp_path / "again", crate=True)
    names = {path.name for path in (tmp_path / "again" / "demo" / "figures").iterdir()}
    assert names == {"across_ranked.demo.csv"}


@pytest.mark.parametrize("damage", ["deleted", "changed"])
def test_a_file_that_is_absent_or_differs_is_found(made, tmp_path, damage):
    results, _ = made
    export_study(load_study("rastogi2024"), results, tmp_path, crate=True)
    folder = tmp_path / "rastogi2024"
    count = crate.check_crate(folder)
    assert count == len(json.loads((folder / crate.METADATA).read_text())["@graph"][0]["hasPart"])
    figure = folder / "figures" / "across_ranked.rastogi2024.svg"
    if damage == "deleted":
        figure.unlink()
    else:
        figure.write_text(figure.read_text().upper())
    with pytest.raises(HowfarError, match="across_ranked.rastogi2024.svg: found"):
        crate.check_crate(folder)
