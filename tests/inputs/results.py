"""Results, folders and disks."""

from __future__ import annotations

import json

import pyarrow as arrow
import pyarrow.parquet as parquet

from inputs.case import Commands, Prepare, makers
from inputs.cohort import Files
from inputs.running import RESULTS, command_line

good, bad = makers("results")


def leavings_of_a_killed_run(files: Files) -> Commands:
    files.put("results/tiny/tables/.runs.parquet.999999.part", "half a table")
    return files.evaluate()


def predictions_of_a_gene_that_were_cut_off(files: Files) -> Commands:
    return [*files.predict("--gene", "ONE"), *files.predict()]


def _result_table(files: Files, name: str, schema: int, damage: bool = False) -> Commands:
    """A result table of another schema version, or one cut short."""
    path = files.folder / "results" / "tiny" / "tables" / f"{name}.parquet"
    path.parent.mkdir(parents=True)
    block = {b"howfar": json.dumps({"table": name, "schema": schema}).encode()}
    parquet.write_table(arrow.table({"run_id": ["m"]}).replace_schema_metadata(block), path)
    if damage:
        path.write_bytes(path.read_bytes()[:50])
    return [["numbers", "tiny"]]


def result_table_of_an_older_version(files: Files) -> Commands:
    return _result_table(files, "runs", 0)


def result_table_cut_short(files: Files) -> Commands:
    return _result_table(files, "runs", 1, damage=True)


def no_result_tables(files: Files) -> Commands:
    return [["numbers", "tiny"]]


def blocked_results_folder(files: Files) -> Commands:
    files.put("results", "a file where a folder should be")
    return files.predict()


def blocked_output_folder(files: Files) -> Commands:
    files.put("blocked", "a file where a folder should be")
    words = files.sequences()[0]
    return [[w.replace("windows.csv", "blocked/windows.csv") for w in words]]


def on_a_full_disk(use: Prepare, room: int) -> Prepare:
    """The last of the commands may write no file of more than `room` bytes."""

    def prepare(files: Files) -> Commands:
        files.room = room
        return use(files)

    return prepare


def _windows_as_fasta(files: Files) -> Commands:
    words = files.sequences("--context", "3000")[0]
    replaced = [w.replace("--checksums", "--out") for w in words]
    return [[w.replace("windows.csv", "windows.fa.gz") for w in replaced]]


def variant_effects_of_a_gene_named_twice(files: Files) -> Commands:
    files.settings(effects=["ONE", Files.GENES[0][0]])
    return [["effects", "--study", str(files.folder / "study.yaml")]]


def fitted_gene_cut_short(files: Files) -> Commands:
    words = files.baseline()
    command_line(["--results", str(files.folder / RESULTS), *words[0]])
    part = next((files.folder / RESULTS).glob("*/baseline/*-*/*.npz"))
    files.cut(str(part.relative_to(files.folder)), 0.5)
    return words


def eqtl_map_cut_short(files: Files) -> Commands:
    words = files.eqtl()
    command_line(["--results", str(files.folder / RESULTS), *words[0]])
    files.cut(f"{RESULTS}/tiny/eqtl/conditional.parquet", 0.5)
    return words


CASES = [
    good("what a killed run left behind", leavings_of_a_killed_run),
    good(
        "predictions of a gene that were cut off",
        predictions_of_a_gene_that_were_cut_off,
        "letters: 3 genes",
    ),
    bad("a result table of an older version", result_table_of_an_older_version, "schema version 0"),
    bad("a result table cut short", result_table_cut_short, "a damaged file"),
    bad("no result tables", no_result_tables, "no result tables"),
    bad("a results folder that can't be made", blocked_results_folder, "results"),
    bad("an output folder that can't be made", blocked_output_folder, "blocked"),
    bad(
        "a disk that fills up, writing windows as checksums",
        on_a_full_disk(Files.sequences, 1_000),
        "room on the disk",
    ),
    bad(
        "a disk that fills up, writing windows as FASTA",
        on_a_full_disk(_windows_as_fasta, 1_000),
        "room on the disk",
    ),
    bad(
        "a disk that fills up, writing predictions",
        on_a_full_disk(Files.predict, 400),
        "room on the disk",
    ),
    bad(
        "a disk that fills up, writing result tables",
        on_a_full_disk(Files.evaluate, 3_000),
        "room on the disk",
    ),
    good(
        "variant effects of a gene named twice",
        variant_effects_of_a_gene_named_twice,
        "in the windows of 1 gene",
    ),
    bad("a fitted gene's file cut short", fitted_gene_cut_short, "a damaged file"),
    bad("a cis-eQTL map cut short", eqtl_map_cut_short, "a damaged file"),
]
