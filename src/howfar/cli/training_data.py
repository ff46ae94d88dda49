"""Commands that write training data in files: people, tracks, reporter assays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import NETWORKS, app
from howfar.cli.common import StudyOption, open_study, place, say, say_counts, write_frame
from howfar.core.errors import HowfarError

_OUT = Annotated[Path, typer.Option("--out", help="HDF5 file to write.")]


@app.command("training-set", rich_help_panel=NETWORKS)
def training_set(
    study: StudyOption,
    out: _OUT,
    file_format: Annotated[str, typer.Option("--format", help="h5.")] = "h5",
    context: Annotated[int, typer.Option(min=1, help="bp around the TSS.")] = 49_152,
    people: Annotated[
        Path | None, typer.Option(help="Who is written, one name a line; left out: all.")
    ] = None,
    gene: Annotated[list[str] | None, typer.Option(help="Ids or names; left out: all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how large it is.")] = False,
) -> None:
    """People's windows and expression in the layout of Rastogi, Reddy et al. 2024.

    Nothing here needs it: `howfar finetune` builds windows as it asks for them.
    """
    from howfar.cohort.opened import OpenCohort
    from howfar.training.training_set import read_people, size_of, write_people

    if file_format != "h5":
        raise HowfarError("--format", found=repr(file_format), expected="h5", do="Leave it out.")
    with open_study(study) as opened:
        cohort = OpenCohort(opened)
        genes = [cohort.gene(name) for name in gene] if gene else cohort.genes
        genes = cohort.measured(genes, "to write a training set")
        names = people.read_text().split() if people else None
        count = len(cohort.samples) if names is None else len(set(names))
        size = size_of(len(genes), count, context) / 1e9
        say(f"{len(genes)} genes x {count} people: {size:,.1f} GB of sequences before compression")
        if not dry_run:
            write_people(cohort, out, genes, names, context)
            say(f"{len(read_people(out).table):,} rows in {place(out)}")
        say_counts(cohort.warnings)


@app.command("training-tracks", rich_help_panel=NETWORKS)
def training_tracks(
    records: Annotated[Path, typer.Option(help="Folder with <split>-*.tfr of Basenji2's data.")],
    bed: Annotated[Path, typer.Option(help="`sequences.bed` of the same data.")],
    reference: Annotated[Path, typer.Option(help="FASTA: hg38, or mm10 for the mouse.")],
    out: _OUT,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "train",
    species: Annotated[str, typer.Option(help="human or mouse.")] = "human",
) -> None:
    """Enformer's training data for joint training, from Basenji2's records, without TensorFlow.

    The records are 319 GB, at gs://basenji_barnyard/data, whose users pay for the download, so
    `howfar fetch` doesn't bring them; no licence is stated with them.
    """
    from howfar.genome.reference import Reference
    from howfar.training.tracks import in_order, read_places, write_tracks

    places, files = read_places(bed, split), in_order(records, split)
    with Reference(reference) as fasta:
        counts = write_tracks(out, {species: (files, places, fasta)})
    say(f"{counts[species]:,} records of {species} in {place(out)}")


@app.command("training-mpra", rich_help_panel=NETWORKS)
def training_mpra(
    folder: Annotated[Path, typer.Argument(help="files.csv, and the portal's FASTA and TSV.")],
    out: Annotated[Path, typer.Option("--out", help="Table to write: .csv.")],
) -> None:
    """Make the table of reporter assays (MPRA) of variants from the ENCODE portal's files.

    files.csv: cell (K562, HepG2, GM12878, SK-N-SH, A549), element_references_id,
    variant_effect_quantifications_id. The portal's data may be used without
    restriction; ENCODE asks to be cited, with the accessions.
    """
    from howfar.training.mpra import from_portal

    table = from_portal(folder)
    write_frame(out, table)
    say(", ".join(f"{n:,} {split}" for split, n in table["split"].value_counts().items()))
