"""Commands on a cohort's files: haplotype windows and expression."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from howfar.cli.app import COHORT, app
from howfar.cli.common import (
    SEVERAL,
    GenesOption,
    ReferenceOption,
    VariantsOption,
    place,
    results,
    say,
    say_counts,
    split_words,
)
from howfar.core.errors import HowfarError, about, wrong_option
from howfar.core.project import project_root
from howfar.core.registry import RECIPES

_COHORTS = sorted(path.stem for path in (project_root() / "data" / "recipes").glob("*.yaml"))


@app.command(rich_help_panel=COHORT)
def sequences(
    reference: ReferenceOption,
    variants: VariantsOption,
    genes: GenesOption,
    context: Annotated[
        list[str], typer.Option(help=f"Window length, bp, the TSS at its middle. {SEVERAL}")
    ],
    samples: Annotated[
        list[str] | None, typer.Option(help=f"Left out: everybody. {SEVERAL}")
    ] = None,
    alleles: Annotated[str, typer.Option(help="snv, or all (indels too).")] = "snv",
    unphased: Annotated[
        str,
        typer.Option(
            help="error, dosage or random(SEED); default: dosage for PLINK 1, else error."
        ),
    ] = "",
    max_ref_mismatch: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of a window's records whose REF may differ from the FASTA."
        ),
    ] = 0.01,
    out: Annotated[Path | None, typer.Option(help="bgzipped FASTA to write.")] = None,
    checksums: Annotated[Path | None, typer.Option(help="CSV of SHA-256 to write.")] = None,
) -> None:
    """Personal haplotype windows, as FASTA or checksums.

    A drop-in for a loop around `samtools faidx | bcftools consensus`, on the forward strand.
    """
    if (out is None) == (checksums is None):
        raise HowfarError(
            "--out, --checksums",
            found="both" if out else "neither",
            expected="one of the two",
            do="Give --out FILE.fa.gz for sequences, or --checksums FILE.csv.",
        )
    from howfar.genome import fasta_export
    from howfar.genome.genes import read_genes
    from howfar.genome.genotypes.open import open_variants
    from howfar.genome.reference import Reference

    with Reference(reference) as fasta, open_variants(variants) as file, about(genes):
        request = fasta_export.Request(
            fasta,
            file,
            read_genes(genes),
            contexts=[_whole_number("--context", word) for word in split_words(context)],
            variant_sets=[alleles],
            samples=split_words(samples) or None,
            unphased=unphased or None,
            max_ref_mismatch=max_ref_mismatch,
        )
        write = fasta_export.write_fasta if out else fasta_export.write_checksums
        written = write(out or checksums, request)
    typer.echo(f"{written:,} haplotype windows in {place(out or checksums)}")
    say_counts(request.counts + fasta.counts + file.counts)


def _whole_number(option: str, word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise typer.BadParameter(f"{word!r} is not a whole number", param_hint=option) from None


@app.command(rich_help_panel=COHORT)
def preprocess(
    recipe: Annotated[str, typer.Argument(help=f"{', '.join(RECIPES)}.")],
    source: Annotated[
        Path, typer.Argument(help="Counts (gtex, sasse2023), RPKM or TPM: BED, CSV or TSV.")
    ],
    out: Annotated[Path, typer.Argument(help="File to write: .csv, .tsv or .bed, also .gz.")],
    covariates: Annotated[
        Path | None, typer.Option(help="Covariates by sample, either way round.")
    ] = None,
    genotype_pcs: Annotated[
        Path | None, typer.Option(help="Genotype components, laid out alike.")
    ] = None,
    pcs: Annotated[
        int | None,
        typer.Option(min=0, help="Expression components to remove; else the study's number."),
    ] = None,
    tpm: Annotated[
        Path | None, typer.Option(help="TPM of the same genes and samples, for gtex's filter.")
    ] = None,
) -> None:
    """Prepare expression as a published study did."""
    from howfar.cohort.preprocess.files import prepare_expression, write_expression

    prepared = prepare_expression(recipe, source, covariates, genotype_pcs, pcs, tpm)
    write_expression(prepared.values, out, positions_from=source)
    genes, people = prepared.values.shape
    say(f"{place(out)}: {genes:,} genes x {people:,} samples, {prepared.units}")
    say_counts(prepared.counts)


@app.command(rich_help_panel=COHORT)
def cohort(
    recipe: Annotated[str, typer.Argument(help=f"{', '.join(_COHORTS)}.")],
    to: Annotated[
        Path | None, typer.Option(help="Where all of it goes; else results/cohorts/RECIPE.")
    ] = None,
    have: Annotated[
        list[str] | None,
        typer.Option(help="KEY=PATH, a file of yours instead of the one fetched; repeat it."),
    ] = None,
    step: Annotated[str, typer.Option(help="Go as far as this step, and make it anew.")] = "",
    phaser: Annotated[
        str, typer.Option(help="shapeit4, beagle, eagle, or none; else the recipe's.")
    ] = "",
    missing: Annotated[
        str, typer.Option(help="What a phaser puts in for missing calls: filled, or kept missing.")
    ] = "filled",
    swap: Annotated[
        str, typer.Option(help="Samples that are known to be swapped: back, or drop.")
    ] = "back",
    cores: Annotated[int, typer.Option(min=1, help="Contigs that are worked on at once.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say steps, files, licences and access; do nothing.")
    ] = False,
) -> None:
    """Prepare a public or controlled-access cohort: from its published files to a study file.

    Steps: fetch, check, liftover, normalise, filter, phase, expression, genes, covariates, study.
    An interrupted command continues where it was.
    """
    from howfar.cohort.recipes import chain
    from howfar.cohort.recipes.recipe import load_recipe, parse_have

    if missing not in ("filled", "kept"):
        raise wrong_option("--missing", missing, "filled or kept")
    if swap not in ("back", "drop"):
        raise wrong_option("--swap", swap, "back or drop")
    chosen = load_recipe(recipe)
    given = parse_have(chosen, have or [])
    options = {
        "phase": {"missing": missing, **({"phaser": phaser} if phaser else {})},
        "expression": {"swap": swap},
        "check": {"swap": swap},
    }
    place_of = to or results() / "cohorts" / recipe
    work = chain.Chain(chosen, place_of, given, options, cores)
    if dry_run:
        say(work.plan())
        return
    done = work.run(step, say)
    chain.write_report(done, place_of / "counts.csv")
    if not step or step == chain.NAMES[-1]:
        file = place(place_of / "study" / f"{recipe}.yaml")
        say(f"{file}: next, `howfar run --study {file} --dry-run`")
