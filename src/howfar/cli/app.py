"""The command line: each command is one step, and `run` is all of them in order."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from howfar.core.errors import HowfarError, about, of_file_system, of_memory

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""How far are we from predicting a person's gene expression from their genome?

A study is one file, `data/studies/<name>.yaml`: a cohort (FASTA, VCF, expression, genes) with
the models to run on it, or tables that others published. Typical use:

    howfar doctor --study demo        what is here, what is missing

    howfar run --study demo           every step, up to the result tables

    howfar numbers demo --csv n.csv   every number a figure shows

To bring your own cohort, copy `data/studies/template.yaml`.""",
)
bench = typer.Typer(no_args_is_help=True, help="Measure speed against what you would use instead.")
app.add_typer(bench, name="bench")
console = Console(stderr=True)

_GENES = "CSV (gene_id,name,chrom,tss,strand), GTF, GFF3 or BED."
StudyOption = Annotated[str, typer.Option("--study", help="A study's name, or its YAML file.")]


class _State:
    results = Path("results")


@app.callback()
def _options(
    results: Annotated[
        Path,
        typer.Option(
            envvar="HOWFAR_RESULTS", help="Where everything that is computed or fetched goes."
        ),
    ] = Path("results"),
) -> None:
    _State.results = results.resolve()
    os.environ["HOWFAR_RESULTS"] = str(_State.results)  # study files may say results/...


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Studies and models, e.g. huang2023 sasse2023 region xpresso enformer basenji2 "
            "expecto."
        ),
    ],
    quick: Annotated[
        bool, typer.Option(help="Fetch only what the study files of these studies need.")
    ] = False,
    accept_licence: Annotated[
        bool,
        typer.Option(
            "--accept-licence", help="Agree to a licence that has to be agreed to (ExPecto's)."
        ),
    ] = False,
) -> None:
    """Fetch public files and weights of models, checked by SHA-256, with their licences.

    A large file that was cut off is continued. HOWFAR_MIRROR=FOLDER reads
    FOLDER/owner/repository/commit/path, or FOLDER/host/path, instead of the network.
    """
    from howfar.fetch import catalogue, fetching
    from howfar.fetch import licences as sources
    from howfar.fetch.licences import licences_to_accept
    from howfar.workflow.needs import source_groups

    words = _needs(names) if quick else names
    wanted = [source.id for source in catalogue.select(words, source_groups(names))]
    folder = _State.results / "sources"
    lacking = catalogue.missing(wanted, folder)
    announced = sources.announce(lacking)
    if announced:
        typer.echo(announced, err=True)
    accepted = accept_licence or _agrees(licences_to_accept(lacking))
    report = fetching.fetch(wanted, folder=folder, accepted=accepted)
    typer.echo(report.summary())
    raise typer.Exit(0 if report.ok else 1)


def _terminal() -> bool:
    return sys.stdin.isatty()


def _agrees(licences: list[str]) -> bool:
    """Ask on a terminal; without one nothing is agreed to, and the fetch says what to do."""
    from howfar.fetch.licences import CONSENT

    if not (licences and _terminal()):
        return False
    for name in licences:
        words, address = CONSENT[name]
        typer.echo(f"Licence {name}: {words}.\nIts text: {address}", err=True)
        typer.confirm("Do you agree to it?", abort=True, err=True)
    return True


def _needs(studies: list[str]) -> list[str]:
    from howfar.models.registry import MODELS
    from howfar.study.reading import load_study

    models = [name for name in studies if name in MODELS]
    others = [load_study(name).needs for name in studies if name not in MODELS]
    return sorted({*models, *(need for needs in others for need in needs)})


@app.command()
def simulate(study: StudyOption = "demo") -> None:
    """Simulate the cohort of a study whose file has a `simulate` block."""
    from howfar.cli.pipeline import simulate as run

    run(_load(study))


@app.command()
def train(study: StudyOption = "demo") -> None:
    """Train the demo world's model on its reference genome (never on people)."""
    from howfar.cli.pipeline import train as run

    run(_load(study))


@app.command()
def sequences(
    reference: Annotated[Path, typer.Option(help="FASTA.")],
    variants: Annotated[
        Path, typer.Option(help="VCF, BCF, PLINK 1 or 2; {chrom} for one file per contig.")
    ],
    genes: Annotated[Path, typer.Option(help=_GENES)],
    context: Annotated[
        list[int], typer.Option(help="Window length, bp, the TSS at its middle; may be repeated.")
    ],
    samples: Annotated[str, typer.Option(help="Comma-separated; empty: everybody.")] = "",
    alleles: Annotated[str, typer.Option(help="snv, or all (indels too).")] = "snv",
    unphased: Annotated[
        str,
        typer.Option(
            help="error, dosage or random(SEED); default: dosage for PLINK 1, else error."
        ),
    ] = "",
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
    from howfar.core.counts import describe_warnings
    from howfar.genome.fasta_export import Request, write_checksums, write_fasta
    from howfar.genome.genes import read_genes
    from howfar.genome.genotypes.open import open_variants
    from howfar.genome.reference import Reference

    with Reference(reference) as fasta, open_variants(variants) as file, about(genes):
        request = Request(
            fasta,
            file,
            read_genes(genes),
            contexts=context,
            variant_sets=[alleles],
            samples=[s.strip() for s in samples.split(",") if s.strip()] or None,
            unphased=unphased or None,
        )
        written = write_fasta(out, request) if out else write_checksums(checksums, request)
    typer.echo(f"{written:,} haplotype windows in {out or checksums}")
    typer.echo(describe_warnings(request.counts + fasta.counts + file.counts), nl=False)


@app.command()
def predict(
    study: StudyOption = "demo",
    run: Annotated[str, typer.Option(help="One run of the study; all if left out.")] = "",
    model: Annotated[str, typer.Option(help="Only runs of this model.")] = "",
    sample: Annotated[str, typer.Option(help="One person, all genes.")] = "",
    gene: Annotated[str, typer.Option(help="One gene (id or name), all people.")] = "",
    chrom: Annotated[str, typer.Option(help="Genes of one contig, all people.")] = "",
    csv: Annotated[Path | None, typer.Option(help="Also write gene x person values here.")] = None,
    shard: Annotated[str, typer.Option(help="I/N: every N-th gene from the I-th on.")] = "1/1",
) -> None:
    """Predict expression from each person's two haplotypes. Finished genes are kept."""
    from howfar.cli.pipeline import predict as run_all

    run_all(
        _load(study),
        _State.results,
        run=run or None,
        model=model or None,
        sample=sample or None,
        gene=gene or None,
        chrom=chrom or None,
        csv=csv,
        shard=_shard(shard),
    )


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise HowfarError(
        "--shard",
        found=f"{text!r}",
        expected="I/N with I from 1 to N, such as 2/4",
        do="Correct --shard.",
    )


@app.command()
def models() -> None:
    """The models: what each reads and gives, its licence, what it needs, what was verified."""
    from howfar.doctor.verdicts import models_table

    for row in models_table(_State.results):
        weights = {"yes": "weights here", "no": "weights not here"}.get(row["present"], "no fetch")
        typer.echo(f"{row['name']}: {row['title']}; {weights}; {row['verified']}")
        typer.echo(f"  reads {row['reads']}; gives {row['gives']}")
        typer.echo(f"  licence of the weights: {row['licence']}; needs {row['needs']}")
        typer.echo(f"  {row['checked']}")


@app.command("predict-sequences")
def predict_sequences(
    model: Annotated[str, typer.Option(help="See `howfar models`; or package.module:loader.")],
    fasta: Annotated[Path, typer.Option(help="Sequences of the model's own input length.")],
    csv: Annotated[Path, typer.Option(help="Sequence names and values, to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="File or folder; default: what `howfar fetch` brought.")
    ] = None,
    tracks: Annotated[
        list[str] | None,
        typer.Option(help="all, numbers (5110,4980), a description, or a regular expression."),
    ] = None,
    bins: Annotated[str, typer.Option(help="all, centreK, 443..452, or 447,448.")] = "all",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    options: Annotated[
        list[str] | None,
        typer.Option(help="key=value of the model, as in a study file's `options`; repeatable."),
    ] = None,
) -> None:
    """Predict plain sequences: one row each, one column per track and bin.

    Sequences are read as they stand, already on the strand that the model reads. Letters beyond
    ACGTN are read as the model's authors read them, or refused.
    """
    from howfar.prediction.fasta import predict_file

    rows, loaded = predict_file(
        model, weights, fasta, csv, tracks=tracks or ["all"], bins=bins, device=device,
        options=options or [],
    )  # fmt: skip
    typer.echo(f"{rows:,} sequences in {csv}; {loaded.units}; weights {loaded.weights_sha256}")


@app.command()
def evaluate(study: StudyOption = "demo") -> None:
    """Make a study's result tables, from predictions or from published tables."""
    from howfar.cli.pipeline import evaluate as run

    run(_load(study), _State.results)


@app.command()
def numbers(
    study: Annotated[str, typer.Argument(help="A study's name.")],
    csv: Annotated[Path | None, typer.Option(help="Write id,value here.")] = None,
) -> None:
    """Every number that a figure or a sentence shows: id,value."""
    from howfar.results import tables

    found = tables.load(study, _State.results)
    if found is None:
        raise HowfarError(
            str(_State.results / study),
            found="no result tables",
            expected=f"the tables of study {study}",
            do=f"Run `howfar run --study {study}`.",
        )
    text = found["numbers"][["id", "value"]].to_csv(index=False)
    if csv is None:
        typer.echo(text, nl=False)
    else:
        _write(csv, text)


@app.command()
def run(
    study: Annotated[list[str] | None, typer.Option("--study", help="Repeat for several.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every study that the book shows.")] = False,
    to: Annotated[str, typer.Option(help="tables, notebooks or book.")] = "tables",
    cores: Annotated[
        int, typer.Option(min=1, help="CPU cores to use; of a cluster: by each network.")
    ] = os.cpu_count() or 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate forward passes, hours and disk; run none.")
    ] = False,
    profile: Annotated[str, typer.Option(help="A Snakemake profile (a cluster, say).")] = "",
    shards: Annotated[
        int, typer.Option(min=1, help="Jobs that share the genes of each run (several GPUs, say).")
    ] = 1,
) -> None:
    """All steps of a study; a run that was cut off goes on where it stopped."""
    from howfar import workflow
    from howfar.cli import pipeline
    from howfar.cli.pipeline import fetch_what_is_needed
    from howfar.prediction import estimate
    from howfar.study.schema import study_names

    shown = [name for name in study_names() if _load(name).notebooks]
    names = shown if every else (study or ["demo"])
    if dry_run:
        estimate.estimate([_load(name) for name in names], _State.results)
        return
    fetch_what_is_needed(names, _State.results)
    if not every:
        pipeline.require(names, _State.results)
    status = workflow.run(
        names, _State.results, cores=cores, target=to, shards=shards, profile=profile
    )
    raise typer.Exit(status)


@app.command()
def notebook(
    source: Annotated[Path, typer.Argument(help="A notebook of notebooks/.")],
    out: Annotated[Path, typer.Argument(help="The executed notebook.")],
    study: Annotated[str, typer.Option(help="The study it shows.")] = "",
) -> None:
    """Execute a notebook by papermill; figures go to book/_figures."""
    from howfar.book.execute import execute_notebook

    execute_notebook(source, out, study=study or None, results=_State.results)


@app.command()
def book() -> None:
    """Build the book from the executed notebooks."""
    from howfar.book.build import build_book

    build_book(_State.results)


@app.command()
def inputs(
    out: Annotated[Path | None, typer.Option(help="Write the table here, as Markdown.")] = None,
) -> None:
    """Run the catalogue of good and bad inputs, and show what each ends in."""
    from howfar.book.inputs_page import inputs_page

    text = inputs_page()
    if out is None:
        typer.echo(text)
        return
    _write(out, text)


@app.command()
def doctor(
    study: Annotated[str, typer.Option(help="Say what this study still lacks.")] = "",
    verify: Annotated[
        str, typer.Option(help="A model: hold it against its published predictions.")
    ] = "",
    weights: Annotated[
        Path | None, typer.Option(help="With --verify: other weights than the fetched ones.")
    ] = None,
    device: Annotated[str, typer.Option(help="With --verify: auto, cpu, cuda, cuda:1.")] = "auto",
) -> None:
    """What is installed, which device is seen, which data are here, what is missing.

    With --verify MODEL: reproduce the published reference predictions of the genes whose whole
    window lies in the real megabase (`howfar fetch MODEL huang2023 region`), say which choice of
    bins, scale and strands fits and how well, and record the verdict.
    """
    from howfar.doctor.report import report, verified

    if not verify:
        typer.echo(report(study or None, _State.results), nl=False)
        return
    text, fits = verified(verify, weights, device, _State.results)
    typer.echo(text, nl=False)
    raise typer.Exit(0 if fits else 1)


@bench.command("haplotypes")
def bench_haplotypes(
    reference: Annotated[Path, typer.Option(help="FASTA.")],
    variants: Annotated[
        Path, typer.Option(help="VCF, BCF, PLINK 1 or 2; {chrom} for one file per contig.")
    ],
    genes: Annotated[Path, typer.Option(help=_GENES)],
    context: Annotated[int, typer.Option(help="Window length, bp.")] = 196_608,
    alleles: Annotated[str, typer.Option(help="snv or all.")] = "all",
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the table here.")] = None,
) -> None:
    """Haplotype windows per second, against bcftools consensus and a plain Python loop."""
    from howfar.bench.haplotypes import run as measure

    result = measure(reference, variants, genes, context=context, alleles=alleles)
    typer.echo(result.to_string(index=False))
    if json_out:
        _write(json_out, json.dumps(result.to_dict("records"), indent=1) + "\n")


@bench.command("inference")
def bench_inference(
    reference: Annotated[
        Path, typer.Option(help="FASTA; the default is made by `howfar simulate --study region`.")
    ] = Path("results/region/data/chr20_1Mb.fa"),
    variants: Annotated[
        Path, typer.Option(help="VCF, BCF, PLINK 1 or 2; {chrom} for one file per contig.")
    ] = Path("results/region/data/chr20_1Mb.vcf.gz"),
    genes: Annotated[
        Path, typer.Option(help="CSV (gene_id,name,chrom,tss,strand), GTF, GFF3 or BED.")
    ] = Path("results/region/data/genes.csv"),
    gene: Annotated[str, typer.Option(help="One gene of the table, id or name.")] = "FKBP1A",
    model: Annotated[str, typer.Option(help="enformer.")] = "enformer",
    context: Annotated[int, typer.Option(help="Window length, bp.")] = 196_608,
    haplotypes: Annotated[int, typer.Option(min=1, help="The first so many of the file.")] = 842,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, bfloat16, on CUDA tf32.")] = "float32",
    batch: Annotated[int, typer.Option(min=1, help="Windows at once.")] = 4,
    quick: Annotated[
        bool, typer.Option(help="A reduced network with the same split of the work.")
    ] = False,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the table here.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table here, as CSV.")] = None,
) -> None:
    """A cohort's haplotypes per second: the studies' way, plain batches, the shared engine."""
    if model != "enformer":
        raise HowfarError(
            "--model",
            found=f"{model!r}",
            expected="enformer",
            do="The other models share their work in the same way; leave --model out.",
        )
    from howfar.bench.inference import measure

    found = measure(
        *(_below_results(path) for path in (reference, variants, genes)),
        gene=gene,
        context=context,
        haplotypes=haplotypes,
        device=device,
        precision=precision,
        batch_size=batch,
        quick=quick,
    )
    typer.echo(found.T.to_string(header=False))
    if json_out:
        _write(json_out, json.dumps(found.to_dict("records"), indent=1) + "\n")
    if csv:
        _write(csv, found.to_csv(index=False, float_format="%.6g"))


def _below_results(path: Path) -> Path:
    """`path`, where results/... means the results folder in use; else from the current folder."""
    from howfar.core.project import resolve

    return resolve(path) if path.parts[:1] == ("results",) else path


@bench.command("baselines")
def bench_baselines(
    reference: Annotated[
        Path, typer.Option(help="FASTA; the default is made by `howfar simulate --study region`.")
    ] = Path("results/region/data/chr20_1Mb.fa"),
    variants: Annotated[Path, typer.Option(help="VCF or BCF, indexed.")] = Path(
        "results/region/data/chr20_1Mb.vcf.gz"
    ),
    genes: Annotated[
        Path, typer.Option(help="CSV (gene_id,name,chrom,tss,strand), GTF, GFF3 or BED.")
    ] = Path("results/region/data/genes.csv"),
    models: Annotated[str, typer.Option(help="Comma-separated; empty: all.")] = "",
    large: Annotated[
        int, typer.Option(min=0, help="Variants of the path that scikit-learn runs too; 0: none.")
    ] = 2_900,
    csv: Annotated[Path | None, typer.Option(help="Write the table here.")] = None,
) -> None:
    """Linear models: seconds per gene against scikit-learn, GEMMA and FUSION's stated times."""
    from howfar.bench.linear import measure

    files = (_below_results(path) for path in (reference, variants, genes))
    chosen = [name for name in models.split(",") if name] or None
    found = measure(*files, models=chosen, large=large)
    typer.echo(found.T.to_string(header=False))
    if csv:
        _write(csv, found.to_csv(index=False, float_format="%.6g"))


@bench.command("oracles")
def bench_oracles(
    folder: Annotated[Path, typer.Argument(help="Outputs of the authors' code, by model.")],
    region: Annotated[
        Path | None, typer.Option(help="The real megabase: FASTA, VCF, genes.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "cpu",
    full_width: Annotated[
        bool, typer.Option(help="Also the networks of 600 MB, which need 3 GB of memory.")
    ] = True,
    csv: Annotated[Path | None, typer.Option(help="Write the table here.")] = None,
) -> None:
    """The models against their authors' code: the largest difference per oracle.

    Ends with status 1 where one is above its tolerance.
    """
    from howfar.bench.oracles import measure

    found = measure(folder, region, device=device, full_width=full_width)
    typer.echo(found.to_string(index=False))
    if csv:
        _write(csv, found.to_csv(index=False))
    raise typer.Exit(int((found["largest_difference"] > found["tolerance"]).any()))


@app.command()
def effects(
    study: StudyOption = "demo",
    run: Annotated[str, typer.Option(help="One run of the study; all if left out.")] = "",
    gene: Annotated[
        str, typer.Option(help="One gene (id or name); else the study's `effects`, or all genes.")
    ] = "",
    tracks: Annotated[
        str, typer.Option(help="all, or a regular expression: score these tracks, for --csv.")
    ] = "",
    score: Annotated[str, typer.Option(help="Over tracks: mean, or abs (of the size).")] = "mean",
    csv: Annotated[Path | None, typer.Option(help="Where scores over tracks go.")] = None,
) -> None:
    """Predict each variant of a gene's window by itself. Finished genes are kept.

    With --tracks, variants get one score over many tracks instead, written to --csv.
    """
    from howfar.cli.pipeline import effects as run_all

    if tracks or csv or score != "mean":
        _track_scores(study, run, gene, tracks or "all", score, csv)
        return
    run_all(_load(study), _State.results, run=run or None, genes=[gene] if gene else None)


@app.command()
def baseline(
    study: StudyOption = "demo",
    models: Annotated[
        str,
        typer.Option(
            help="Comma-separated, of top1, lasso, enet, blup, bslmm, prs, prs_pt; empty: those "
            "of the study file."
        ),
    ] = "",
    window: Annotated[int | None, typer.Option(help="bp in total around the TSS.")] = None,
    min_maf: Annotated[float | None, typer.Option(help="In the people who train.")] = None,
    max_missing: Annotated[float | None, typer.Option(help="Share of missing calls.")] = None,
    variants: Annotated[str, typer.Option(help="snv or all.")] = "",
    folds: Annotated[int | None, typer.Option(help="Of people.")] = None,
    split: Annotated[
        str,
        typer.Option(
            help="nested (everybody out of fold), fraction:0.8, people:FILE (who train, one a "
            "line), population:EUR>AFR[:people], or classes:AFR (the gene's class decides)."
        ),
    ] = "nested",
    seed: Annotated[int | None, typer.Option(help="Of folds and draws.")] = None,
    gene: Annotated[str, typer.Option(help="One gene (id or name); no tables are written.")] = "",
    cores: Annotated[int, typer.Option(min=1, help="Genes fitted at once.")] = 1,
) -> None:
    """Train linear models on the cohort's own cis genotypes. Finished genes are kept.

    Options that are left out are as the study file's `baselines` says. `howfar evaluate` takes up
    the models that the study file lists, fitted as it says.
    """
    from howfar.cli.pipeline import baseline as run_all

    given = {"window": window, "min_maf": min_maf, "max_missing": max_missing, "folds": folds}
    given |= {"seed": seed, "variant_types": variants or None}
    given |= {"models": [m for m in models.split(",") if m] or None}
    run_all(_load(study), _State.results, given, split=split, gene=gene or None, cores=cores)


@app.command("apply-weights")
def apply_weights(
    weights: Annotated[
        Path,
        typer.Option(
            help="<model>.weights.parquet of `howfar baseline`, a PredictDB .db, or FUSION's "
            "*.weights.txt (a file, a folder, a tar archive)."
        ),
    ],
    csv: Annotated[
        Path, typer.Option(help="Gene x person values, to write; provenance goes to <csv>.json.")
    ],
    study: StudyOption = "demo",
    window: Annotated[
        int, typer.Option(min=1, help="bp in total around the TSS in which variants are sought.")
    ] = 2_000_000,
    min_share: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of the weights that must be found.")
    ] = 0.8,
) -> None:
    """Predict a cohort's people by weights of linear models, alleles matched."""
    from howfar.cli.pipeline import apply_weights as run_all

    run_all(_load(study), weights, csv, window=window, min_share=min_share)


@app.command()
def transfer(
    study: StudyOption = "demo",
    models: Annotated[str, typer.Option(help="Comma-separated.")] = "blup,enet,prs_pt",
    genes: Annotated[int, typer.Option(min=0, help="Drawn at random; 0: all.")] = 60,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Linear models trained on fewer people, and judged in another population.

    Numbers are matched between populations. The rows go into the study's table `summary` at the
    next `howfar evaluate`.
    """
    from howfar.evaluation.transfer import Options, run

    found = _load(study)
    names = tuple(name for name in models.split(",") if name)
    chosen = Options(genes=genes, models=names, seed=seed, min_maf=found.evaluation.min_maf)
    typer.echo(str(run(found, _State.results, chosen)))


@app.command()
def stack(
    study: StudyOption = "demo",
    models: Annotated[
        str,
        typer.Option(
            help="Comma-separated, of ridge, ridge_quantile, polynomial, elastic_net, forest, "
            "boosting, xgboost, stack; empty: all that are installed."
        ),
    ] = "",
    score: Annotated[str, typer.Option(help="Linear model of the polygenic score.")] = "prs_pt",
    genes: Annotated[int, typer.Option(min=0, help="Drawn at random; 0: all.")] = 60,
    people: Annotated[int, typer.Option(min=0, help="Drawn at random; 0: all.")] = 150,
    folds: Annotated[int, typer.Option(min=2)] = 3,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Regressors stacked on the network's outputs and a polygenic score, with and without leak.

    Each is judged on pairs of gene and person held out at random, on people never seen and on
    genes never seen. The rows go into the study's table `summary` at the next `howfar evaluate`.
    """
    from howfar.stacking.compare import Options
    from howfar.stacking.compare import stack as run

    names = tuple(name for name in models.split(",") if name)
    chosen = Options(genes, people, folds, seed, score, names)
    typer.echo(str(run(_load(study), _State.results, chosen)))


@app.command()
def eqtl(
    study: StudyOption = "demo",
    covariates: Annotated[
        Path | None, typer.Option(help="Covariates by sample (FastQTL's file, say).")
    ] = None,
    populations: Annotated[
        bool | None, typer.Option(help="The sample table's populations as covariates.")
    ] = None,
    expression_pcs: Annotated[int | None, typer.Option(help="Components of expression.")] = None,
    genotype_pcs: Annotated[int | None, typer.Option(help="Components of genotypes.")] = None,
    permutations: Annotated[int | None, typer.Option(help="Per gene.")] = None,
    fdr: Annotated[
        float | None, typer.Option(help="Genes at this q are searched for more signals.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the permutations.")] = None,
) -> None:
    """Map cis-eQTLs: all pairs, lead variants, independent signals. Finished genes are kept.

    What is left out is as the study's key `eqtl` says. Window and least minor allele frequency
    are those of its key `evaluation`.
    """
    from howfar.cli.pipeline import eqtl as run_all
    from howfar.study.schema import Eqtl

    found = _load(study)
    given = {
        "covariates": covariates and covariates.resolve(),
        "populations": populations,
        "expression_pcs": expression_pcs,
        "genotype_pcs": genotype_pcs,
        "permutations": permutations,
        "fdr": fdr,
        "seed": seed,
    }
    given = {key: value for key, value in given.items() if value is not None}
    run_all(found, _State.results, _checked(Eqtl, (found.eqtl or Eqtl()).model_dump() | given))


def _checked(kind, values: dict):
    """`values` as options of that kind; HowfarError for the first that can't be."""
    from pydantic import ValidationError

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise HowfarError(
            f"--{name}",
            found=f"{first.get('input')!r}",
            expected=first["msg"],
            do="Correct the option.",
        ) from error


@app.command()
def preprocess(
    recipe: Annotated[str, typer.Argument(help="gtex, rastogi2024, sagenet2024, sasse2023.")],
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
    from howfar.cli.pipeline import preprocess as run

    run(recipe, source, out, covariates=covariates, genotype_pcs=genotype_pcs, pcs=pcs, tpm=tpm)


def _track_scores(
    study: str, run: str, gene: str, tracks: str, score: str, csv: Path | None
) -> None:
    if csv is None or not gene:
        raise HowfarError(
            "--tracks",
            found="no --csv" if gene else "no --gene",
            expected="one gene, and a file for the scores",
            do="Give --gene GENE and --csv FILE.",
        )
    from howfar.cli.pipeline import track_scores

    found = track_scores(_load(study), _State.results, run or None, gene, tracks, score)
    _write(csv, found.to_csv(index=False, float_format="%.9g"))
    typer.echo(f"{len(found):,} scores of variants in {csv}")


def _write(path: Path, text: str) -> None:
    """Write a text file whole or not at all, folders above it made."""
    from howfar.core.atomic import whole

    with whole(path) as part:
        part.write_text(text, "utf-8")


def _load(name: str):
    from howfar.study.reading import load_study

    return load_study(name)


def _say_warning(message: Warning | str, *_: object) -> None:
    """Show a warning without the place in the code that Python puts before it."""
    print(f"howfar: warning: {message}", file=sys.stderr)


def main() -> None:
    """Entry point: a HowfarError ends in one message and exit status 2, no traceback.

    So does what the file system refuses: a full disk, a folder that can't be written. A warning
    is one line.
    """
    warnings.showwarning = _say_warning
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # letters that a terminal can't show
    try:
        app()
    except (HowfarError, OSError, MemoryError) as error:
        if isinstance(error, OSError):
            error = of_file_system(error)
        if isinstance(error, MemoryError):
            error = of_memory(error)
        width = shutil.get_terminal_size().columns
        Console(stderr=True, width=width, soft_wrap=True, emoji=False).print(
            f"howfar: {error}", markup=False, highlight=False
        )
        sys.exit(2)
