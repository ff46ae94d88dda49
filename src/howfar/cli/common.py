"""What commands share: the results folder, options, and how a command ends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from howfar.core.atomic import keep_inputs, whole
from howfar.core.counts import counted, describe_warnings
from howfar.core.errors import HowfarError, about
from howfar.core.project import results_root

if TYPE_CHECKING:  # both take a while to import, and the help of a command needs neither
    import pandas as pd

    from howfar.study.schema import Study

GENES = "CSV (gene_id,name,chrom,tss,strand), GTF, GFF3 or BED."
VARIANTS = "VCF, BCF, PLINK 1 or 2, VCF Zarr; {chrom} for one file per contig."
SEVERAL = "Comma-separated, or repeated."
_REGION = Path("results/region/data")

StudyOption = Annotated[
    str, typer.Option("--study", help="A study's name, or its YAML file.", show_default=False)
]
RunOption = Annotated[str, typer.Option("--run", help="One run of the study; all if left out.")]
GeneOption = Annotated[str, typer.Option("--gene", help="One gene, by id or name.")]
KeepWindowsOption = Annotated[
    bool,
    typer.Option(
        "--keep-windows",
        help="Keep what windows are built from (results/STUDY/windows); later passes don't read "
        "the genotypes of these genes.",
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1.")]
#: One name for a table to write; older spellings go on working.
OutOption = Annotated[
    Path | None, typer.Option("--out", "--csv", "--json", help="Table to write: .csv or .json.")
]
ReferenceOption = Annotated[Path, typer.Option("--reference", help="FASTA.")]
VariantsOption = Annotated[Path, typer.Option("--variants", help=VARIANTS)]
GenesOption = Annotated[Path, typer.Option("--genes", help=GENES)]
#: Files of the real megabase, which `howfar simulate --study region` makes.
REGION = {
    "reference": _REGION / "chr20_1Mb.fa",
    "variants": _REGION / "chr20_1Mb.vcf.gz",
    "genes": _REGION / "genes.csv",
}


def set_results(folder: Path) -> None:
    """Set the results folder; study files may say ``results/...``."""
    os.environ["HOWFAR_RESULTS"] = str(folder.resolve())


def results() -> Path:
    """Return the results folder in use."""
    return results_root()


def place(path: str | Path) -> str:
    """Return a path as messages show it: from the user's folder where it lies below it.

    That is the current one, or for a step of `howfar run`, which works elsewhere, HOWFAR_FROM.
    """
    path, here = Path(path).resolve(), Path(os.environ.get("HOWFAR_FROM") or Path.cwd())
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


@contextmanager
def open_study(name: str) -> Iterator[Study]:
    """The study of that name; errors that name no file are about the study's."""
    from howfar.cohort.files import own_files
    from howfar.study.reading import load_study
    from howfar.study.schema import study_file

    study = load_study(name)
    with about(study.place), keep_inputs([study_file(name), *own_files(study)]):
        yield study


def split_words(values: Iterable[str] | None) -> list[str]:
    """Return the words of an option given once with commas, or repeatedly."""
    return [word for value in values or () for each in value.split(",") if (word := each.strip())]


def say(text: str) -> None:
    """Print a line, one of a thing in the singular."""
    typer.echo(counted(text))


def say_counts(counts: Mapping[str, int]) -> None:
    """Print what was counted, one line each."""
    typer.echo(describe_warnings(counts), nl=False)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, folders above it made."""
    with whole(path) as part:
        part.write_text(text, "utf-8")


def write_frame(path: Path | None, frame: pd.DataFrame, **options: Any) -> None:
    """Write a table as CSV, or as JSON where its name says so; nothing where `path` is None."""
    if path is None:
        return
    if path.suffix == ".json":
        write_text(path, json.dumps(frame.to_dict("records"), indent=1) + "\n")
    else:
        write_text(path, frame.to_csv(index=False, **options))


def write_values(path: Path, frame: pd.DataFrame) -> None:
    """Write rows named by gene as CSV, compressed where the name says so."""
    with whole(path) as part:
        packing = "gzip" if path.suffix == ".gz" else None
        frame.rename_axis("gene_id").to_csv(part, compression=packing)


def parse_shard(text: str) -> tuple[int, int]:
    """Return (i, n) of "i/n"; HowfarError for anything else."""
    part, _, parts = text.partition("/")
    if part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise HowfarError(
        "--shard",
        found=f"{text!r}",
        expected="I/N with I from 1 to N, such as 2/4",
        do="Correct --shard.",
    )
