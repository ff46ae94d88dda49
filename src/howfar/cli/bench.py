"""Commands that measure speed and exactness against what would be used otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from howfar.cli.app import CHECKS, Commands, app
from howfar.cli.common import (
    REGION,
    SEVERAL,
    DeviceOption,
    GenesOption,
    OutOption,
    ReferenceOption,
    StudyOption,
    VariantsOption,
    open_study,
    results,
    split_words,
    write_frame,
)
from howfar.core.errors import HowfarError
from howfar.core.project import results_folder
from howfar.core.registry import STRATEGIES

if TYPE_CHECKING:
    import pandas as pd

bench = Commands(no_args_is_help=True, help="Measure speed against what you would use instead.")
app.add_typer(bench, name="bench", rich_help_panel=CHECKS)


def _report(
    table: pd.DataFrame, out: Path | None, digits: str | None = None, *, upright: bool = False
) -> None:
    """Print a measured table, a way of doing it in each row or (upright) column, and write it."""
    shown = table.T.to_string(header=False) if upright else table.to_string(index=False)
    typer.echo(shown)
    write_frame(out, table, float_format=digits)


@bench.command("haplotypes")
def bench_haplotypes(
    reference: ReferenceOption,
    variants: VariantsOption,
    genes: GenesOption,
    context: Annotated[int, typer.Option(help="Window length, bp.")] = 196_608,
    alleles: Annotated[str, typer.Option(help="snv or all.")] = "all",
    out: OutOption = None,
) -> None:
    """Haplotype windows per second, against bcftools consensus and a plain Python loop."""
    from howfar.bench.haplotypes import run as measure

    table = measure(reference, variants, genes, context=context, alleles=alleles)
    _report(table, out)


@bench.command("windows")
def bench_windows(
    reference: ReferenceOption = REGION["reference"],
    variants: VariantsOption = REGION["variants"],
    genes: GenesOption = REGION["genes"],
    context: Annotated[str, typer.Option(help=f"Window lengths, bp. {SEVERAL}")] = "16384,196608",
    out: OutOption = None,
) -> None:
    """Windows read a second time, from what is kept; against GenVarLoader where it is installed."""
    from howfar.bench.kept_windows import measure

    lengths = [int(word) for word in split_words([context])]
    files = (results_folder(path) for path in (reference, variants, genes))
    table = measure(*files, lengths, say=typer.echo)
    _report(table, out, "%.6g", upright=True)


@bench.command("inference")
def bench_inference(
    reference: ReferenceOption = REGION["reference"],
    variants: VariantsOption = REGION["variants"],
    genes: GenesOption = REGION["genes"],
    gene: Annotated[str, typer.Option(help="One gene of the table, id or name.")] = "FKBP1A",
    model: Annotated[str, typer.Option(help="enformer or alphagenome.")] = "enformer",
    context: Annotated[str, typer.Option(help=f"Window lengths, bp. {SEVERAL}")] = "196608",
    haplotypes: Annotated[int, typer.Option(min=1, help="The first so many of the file.")] = 842,
    timed: Annotated[int, typer.Option(min=2, help="Of these, for the slow ways.")] = 32,
    device: DeviceOption = "auto",
    precision: Annotated[str, typer.Option(help="float32, bfloat16, on CUDA tf32.")] = "float32",
    batch: Annotated[int, typer.Option(min=1, help="Windows at once.")] = 4,
    quick: Annotated[
        bool, typer.Option(help="A reduced network with the same split of the work.")
    ] = False,
    narrow: Annotated[
        bool, typer.Option(help="With --quick and alphagenome: half as wide again.")
    ] = False,
    out: OutOption = None,
) -> None:
    """A cohort's haplotypes per second: the studies' way, plain batches, the shared engine."""
    import pandas as pd

    from howfar.bench.inference import SUBJECTS, measure

    if model not in SUBJECTS:
        raise HowfarError(
            "--model",
            found=f"{model!r}",
            expected=" or ".join(SUBJECTS),
            do="The other models share their work in the same way; leave --model out.",
        )

    tables = []
    for length in split_words([context]):
        table = measure(
            *(results_folder(path) for path in (reference, variants, genes)),
            gene=gene,
            context=int(length),
            haplotypes=haplotypes,
            device=device,
            precision=precision,
            batch_size=batch,
            quick=quick,
            model=model,
            timed=timed,
            narrow=narrow,
        )
        typer.echo(table.T.to_string(header=False))
        tables.append(table)
        write_frame(out, pd.concat(tables), float_format="%.6g")


@bench.command("arithmetic")
def bench_arithmetic(out: OutOption = None) -> None:
    """A tower's arithmetic on a CPU: what was tried to make it faster, and its error.

    A minute or two, most of it to compile the tower; needs a C++ compiler.
    """
    from howfar.bench.arithmetic import measure

    table = measure()
    _report(table, out, "%.4g")


@bench.command("own-model")
def bench_own_model(
    reference: ReferenceOption = REGION["reference"],
    variants: VariantsOption = REGION["variants"],
    genes: GenesOption = REGION["genes"],
    out: OutOption = None,
) -> None:
    """A network of a user's own, that of the book's page, over people: shared and plain."""
    from howfar.bench.own_model import measure

    table = measure(*(results_folder(path) for path in (reference, variants, genes)))
    _report(table, out, "%.4g")


@bench.command("training")
def bench_training(
    reference: ReferenceOption = REGION["reference"],
    variants: VariantsOption = REGION["variants"],
    genes: GenesOption = REGION["genes"],
    gene: Annotated[str, typer.Option(help="One gene of the table, id or name.")] = "FKBP1A",
    context: Annotated[int, typer.Option(help="Window length, bp.")] = 49_152,
    people: Annotated[int, typer.Option(min=2, help="The first so many of the file.")] = 64,
    device: DeviceOption = "auto",
    precision: Annotated[str, typer.Option(help="float32, bfloat16, on CUDA tf32.")] = "float32",
    chunk: Annotated[int, typer.Option(min=2, help="People at once in plain passes.")] = 8,
    quick: Annotated[
        bool, typer.Option(help="A reduced network with the same split of the work.")
    ] = False,
    out: OutOption = None,
) -> None:
    """A training step on one gene's people: plain, and with a shared tower; gradients compared."""
    from howfar.bench.training import measure

    table = measure(
        *(results_folder(path) for path in (reference, variants, genes)),
        gene=gene,
        context=context,
        people=people,
        device=device,
        precision=precision,
        chunk=chunk,
        quick=quick,
        say=typer.echo,
    )
    _report(table, out, "%.6g", upright=True)


@bench.command("finetune")
def bench_finetune(
    out: Annotated[Path, typer.Option(help="CSV; rows already in it are kept.")] = Path(
        "fine_tuning_demo.csv"
    ),
    study: StudyOption = "demo",
    strategy: Annotated[str, typer.Option(help=f"{', '.join(STRATEGIES)}.")] = "variformer",
    seeds: Annotated[str, typer.Option(help=SEVERAL)] = "1,2,3,4,5",
    options: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, as of `howfar finetune`.")
    ] = None,
    splits: Annotated[
        list[str] | None, typer.Option("--split", help="KEY=VALUE, as of `howfar finetune`.")
    ] = None,
    setting: Annotated[
        str, typer.Option(help="A word for these options, where --out has others too.")
    ] = "default",
) -> None:
    """A network trained on a study's people beside linear models of the same people and window.

    People not trained on, another population, genes not trained on, for each seed; long.
    """
    from howfar.bench.fine_tuning import measure
    from howfar.cli.training import parse_options

    with open_study(study) as opened:
        table = measure(
            opened,
            results(),
            out,
            strategy=strategy,
            seeds=[int(seed) for seed in split_words([seeds])],
            options=parse_options(options, "--set"),
            splits=parse_options(splits, "--split"),
            setting=setting,
            say=typer.echo,
        )
    table = table[(table["setting"] == setting) & (table["seed"] > 0)]
    shown = table.groupby(["group", "method"], sort=False)["r"].agg(["mean", "min", "max", "count"])
    typer.echo(shown.to_string())


@bench.command("trained-effects")
def bench_trained_effects(
    training: Annotated[str, typer.Argument(help="The name of a training of the study.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV; left out: effects.csv beside the study's trainings.")
    ] = None,
    study: StudyOption = "demo",
) -> None:
    """Effects of variants before and after training on people, beside slopes of expression.

    The CSV has a row for each variant; one beside it, NAME_summary.csv, the means by class.
    """
    from howfar.bench import trained_effects
    from howfar.cohort.opened import OpenCohort
    from howfar.training.fine_tune import folder_of

    with open_study(study) as opened:
        folder = folder_of(results(), opened.name, training)
        cohort = OpenCohort(opened)
        table = trained_effects.measure(cohort, folder)
        summary = trained_effects.summarised(table, cohort.panel().genes, folder)
    out = out or folder.parent / "effects.csv"
    write_frame(out, table, float_format="%.4g")
    write_frame(out.with_name(f"{out.stem}_summary.csv"), summary, float_format="%.4g")
    typer.echo(summary.to_string(index=False))


@bench.command("baselines")
def bench_baselines(
    reference: ReferenceOption = REGION["reference"],
    variants: VariantsOption = REGION["variants"],
    genes: GenesOption = REGION["genes"],
    models: Annotated[list[str] | None, typer.Option(help=f"Left out: all. {SEVERAL}")] = None,
    large: Annotated[
        int, typer.Option(min=0, help="Variants of the path that scikit-learn runs too; 0: none.")
    ] = 2_900,
    out: OutOption = None,
) -> None:
    """Linear models: seconds per gene against scikit-learn, GEMMA and FUSION's stated times."""
    from howfar.bench.linear import measure

    files = (results_folder(path) for path in (reference, variants, genes))
    table = measure(*files, models=split_words(models) or None, large=large)
    _report(table, out, "%.6g", upright=True)


@bench.command("attribution")
def bench_attribution(
    positions: Annotated[int, typer.Option(min=1, help="Bases whose letters are replaced.")] = 150,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="The best one counts.")] = 1,
    out: OutOption = None,
) -> None:
    """Saturation mutagenesis: ours, plain, and tangermeme's, on Beluga with random weights.

    Minutes of CPU time; tangermeme tries its fast way only where the slow one takes 30 s.
    """
    from howfar.bench.attribution import measure

    table = measure(positions, threads=threads, rounds=rounds)
    _report(table, out, "%.6g", upright=True)


@bench.command("attribution-truth")
def bench_attribution_truth(
    study: Annotated[list[str], typer.Option(help=f"A simulated study. {SEVERAL}")],
    out: Annotated[Path, typer.Option(help="CSV; other studies' rows in it stay.")] = Path(
        "attribution_truth.csv"
    ),
    genes: Annotated[int, typer.Option(min=1, help="Whose variants are judged.")] = 120,
    saturated: Annotated[int, typer.Option(min=1, help="Whose bases are replaced.")] = 8,
) -> None:
    """Do attributions name the causal variants, their signs and motifs? Minutes of CPU time.

    Of simulated studies whose network is trained and whose linear models are fitted.
    """
    from howfar.bench.attribution_truth import measure
    from howfar.study.reading import load_study

    studies = [load_study(name) for name in split_words(study)]
    measure(studies, results(), out, genes=genes, ism_genes=saturated, say=typer.echo)


@bench.command("knobs")
def bench_knobs(
    out: Annotated[Path, typer.Option(help="Table to write: .csv.")] = Path("demo_knobs.csv"),
    seeds: Annotated[int, typer.Option(min=1, help="Worlds; each trains four networks.")] = 3,
) -> None:
    """The demo simulation with its settings changed: 12 networks, about an hour; can be resumed.

    Finished networks are kept in the results folder, `bench/knobs`.
    """
    from howfar.simulate.hard.knobs import Grid, measure

    grid = Grid(seeds=tuple(range(1, seeds + 1)))
    measure(results() / "bench" / "knobs", out, grid=grid, say=typer.echo)


@bench.command("bslmm")
def bench_bslmm(
    study: Annotated[list[str], typer.Option(help=f"Study to fit. {SEVERAL}")],
    out: Annotated[Path, typer.Option(help="CSV; other studies' rows in it stay.")] = Path(
        "bslmm.csv"
    ),
    cores: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """BSLMM on all genes of a study, beside its other linear models; can be resumed."""
    from howfar.bench.bslmm import measure
    from howfar.study.reading import load_study

    studies = [load_study(name) for name in split_words(study)]
    table = measure(studies, results(), out, cores, say=typer.echo)
    typer.echo(table.to_string(index=False))


@bench.command("estimators")
def bench_estimators(
    out: Annotated[
        Path, typer.Option(help="CSV of the table. Rows already in it are kept.")
    ] = Path("estimators.csv"),
) -> None:
    """Every estimator and interval on simulated truth: coverage and bias. Takes twenty minutes.

    A run that was killed continues where it stopped.
    """
    from howfar.bench.estimators import measure, off

    table = measure(out, say=typer.echo)
    columns = ["estimator", "truth", "says", "observed", "ci_low", "ci_high", "bias"]
    typer.echo(table.loc[off(table), columns].to_string(index=False))


@bench.command("mixups")
def bench_mixups(
    out: Annotated[
        Path, typer.Option(help="CSV of the table. Rows already in it are kept.")
    ] = Path("mixups.csv"),
    study: Annotated[
        list[str] | None, typer.Option(help=f"Studies with linear models made. {SEVERAL}")
    ] = None,
    brief: Annotated[
        list[str] | None, typer.Option(help=f"Such, with a tenth of the draws. {SEVERAL}")
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Of clean people.")] = 1_000,
) -> None:
    """How many planted swaps, replacements, duplicates and contaminations of samples are found.

    In simulated people, and in people made from a study's, contig by contig. Takes ten minutes or
    more.
    """
    from howfar.bench import mixups
    from howfar.study.reading import load_study

    few = max(1, draws // 50)
    planted = {"none": draws, "swapped pairs": 2 * few, "replaced": few, "contaminated": few}
    settings = [mixups.simulated(421, 400, 0.22, planted)]
    planted = planted | {"duplicates": few}  # which takes genotypes
    lesser = planted | {"none": max(1, draws // 10), "swapped pairs": few}
    for names, how in ((study, planted), (brief, lesser)):
        chosen = [load_study(name) for name in split_words(names)]
        settings += [mixups.of_study(each, results(), how) for each in chosen]
    table = mixups.measure([*settings, *mixups.grid()], out, say=typer.echo)
    columns = ["setting", "sum", "says", "planted", "amount", "found", "draws", "alarms"]
    typer.echo(table[columns].to_string(index=False))


@bench.command("worlds")
def bench_worlds(
    out: Annotated[Path, typer.Option(help="Table to write, or to add rows to: .csv.")] = Path(
        "demo_hard_seeds.csv"
    ),
    seeds: Annotated[str, typer.Option(help=SEVERAL)] = "1,2,3,4,5",
) -> None:
    """The hard demo world made and scored from several seeds, some five minutes each.

    A seed that is done is in the table when the next one starts.
    """
    from howfar.simulate.hard.report import report

    report([int(seed) for seed in split_words([seeds])], out, say=typer.echo)


@bench.command("growth")
def bench_growth(
    people: Annotated[str, typer.Option(help=SEVERAL)] = "400,2000,10000,20000,50000",
    out: OutOption = None,
) -> None:
    """Seconds and memory per gene as a simulated cohort grows: files, windows, models, tables."""
    from howfar.bench.growth import exponents, measure

    table = measure([int(count) for count in split_words([people])])
    typer.echo(table.to_string(index=False))
    typer.echo(exponents(table).to_string(index=False))
    write_frame(out, table, float_format="%.4g")


@bench.command("oracles")
def bench_oracles(
    folder: Annotated[Path, typer.Argument(help="Outputs of the authors' code, by model.")],
    region: Annotated[
        Path | None, typer.Option(help="The real megabase: FASTA, VCF, genes.")
    ] = None,
    device: DeviceOption = "cpu",
    full_width: Annotated[
        bool, typer.Option(help="Also the networks of 600 MB, which need 3 GB of memory.")
    ] = True,
    out: OutOption = None,
) -> None:
    """The models against their authors' code: the largest difference per oracle.

    Ends with status 1 where one is above its tolerance.
    """
    from howfar.bench.oracles import measure

    table = measure(folder, region, device=device, full_width=full_width)
    _report(table, out)
    raise typer.Exit(int((table["largest_difference"] > table["tolerance"]).any()))
