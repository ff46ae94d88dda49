"""Commands on genotypes alone: linear models, their weights, cis-eQTLs, comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from howfar.cli.app import LINEAR, app
from howfar.cli.common import (
    SEVERAL,
    StudyOption,
    open_study,
    place,
    results,
    say,
    say_counts,
    split_words,
    write_values,
)
from howfar.core.errors import HowfarError
from howfar.core.registry import LINEAR_MODELS

if TYPE_CHECKING:
    from howfar.study.schema import Study

_MODELS = f"Of {', '.join(LINEAR_MODELS)}. {SEVERAL}"
Seed = Annotated[int | None, typer.Option(help="Of folds, draws and permutations.")]
Draws = Annotated[int, typer.Option(min=0, help="Drawn at random; 0: all.")]


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {key: value for key, value in options.items() if value is not None}


@app.command(rich_help_panel=LINEAR)
def baseline(
    study: StudyOption,
    models: Annotated[
        list[str] | None, typer.Option(help=f"Left out: those of the study file. {_MODELS}")
    ] = None,
    window: Annotated[int | None, typer.Option(help="bp in total around the TSS.")] = None,
    min_maf: Annotated[float | None, typer.Option(help="In the training people.")] = None,
    max_missing: Annotated[float | None, typer.Option(help="Share of missing calls.")] = None,
    variants: Annotated[str | None, typer.Option(help="snv or all.")] = None,
    folds: Annotated[int | None, typer.Option(help="Of people.")] = None,
    split: Annotated[
        str,
        typer.Option(
            help="nested (everybody out of fold), fraction:0.8, people:FILE (who train, one per "
            "line), population:EUR>AFR[:people], or classes:AFR (the gene's class decides)."
        ),
    ] = "nested",
    seed: Seed = None,
    gene: Annotated[str, typer.Option(help="One gene (id or name); no tables are written.")] = "",
    cores: Annotated[int, typer.Option(min=1, help="Genes fitted at once.")] = 1,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="window=10kb,...,1Mb, people=20%,...,100% (of those who could train) or "
            "maf=0.01,...; repeated for more. Rows for `howfar evaluate`, no weights."
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Draws of people of a sweep.")] = "1,2,3",
    genes: Annotated[
        int, typer.Option(min=0, help="Genes of a sweep, drawn at random; 0: all.")
    ] = 0,
) -> None:
    """Train linear models on the cohort's own cis genotypes. Finished genes are kept.

    Defaults are those of the study file's `baselines`. `howfar evaluate` uses the
    models that the study file lists, fitted as it says.
    """
    from howfar.linear import baseline as fitting
    from howfar.study.reading import with_baselines

    changes = _given(
        window=window,
        min_maf=min_maf,
        max_missing=max_missing,
        folds=folds,
        seed=seed,
        variant_types=variants or None,
        models=split_words(models) or None,
    )
    with open_study(study) as opened:
        changed = with_baselines(opened, changes)
        if not changed.baselines.models:
            raise HowfarError(
                f"{opened.place}, key baselines.models",
                found="no linear model",
                expected="one at least, as the study file doesn't list any",
                do="Give --models, such as --models top1,enet,blup.",
            )
        if sweep:
            typer.echo(place(_sweep(changed, sweep, seeds, genes)))
            return
        plans = [fitting.plan_of(changed, model, split) for model in changed.baselines.models]
        every = fitting.run_all(changed, plans, results(), gene or None, cores)
        for model, fitted in zip(changed.baselines.models, every, strict=True):
            rows = fitted.rows
            what = ", ".join(f"{n} {status}" for status, n in rows["status"].value_counts().items())
            seconds = rows["seconds"].mean()
            where = f"; predictions and weights in {place(results() / opened.name / 'baseline')}"
            say(
                f"{model}: {len(rows)} genes: {what}; {seconds:.3g} s a gene{'' if gene else where}"
            )
            say_counts(fitted.counts)


def _sweep(study: Study, sweeps: list[str], seeds: str, genes: int) -> Path:
    from howfar.evaluation import sweep

    options = sweep.Options(
        models=tuple(study.baselines.models),
        seeds=tuple(int(seed) for seed in split_words([seeds])),
        genes=genes,
        **sweep.read_sweeps(sweeps),
    )
    return sweep.run(study, results(), options)


@app.command("apply-weights", rich_help_panel=LINEAR)
def apply_weights(
    weights: Annotated[
        Path,
        typer.Option(
            help="<model>.weights.parquet of `howfar baseline`, a PredictDB .db, or FUSION's "
            "*.weights.txt (a file, a folder, a tar archive)."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "--csv", help="Gene x person values, to write; provenance goes to <out>.json."
        ),
    ],
    study: StudyOption,
    window: Annotated[
        int,
        typer.Option(
            min=1,
            help="bp in total around the TSS in which variants are sought; weights outside are "
            "counted as such.",
        ),
    ] = 2_000_000,
    min_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Least share of a gene's weights that must be found; else it is left missing.",
        ),
    ] = 0.8,
) -> None:
    """Predict a cohort's people by weights of linear models, alleles matched."""
    from howfar.core import provenance
    from howfar.linear.weights import apply_to_cohort

    with open_study(study) as opened:
        values, counts, block = apply_to_cohort(opened, weights, window, min_share)
        provenance.write(out.with_name(f"{out.name}.json"), block)
        write_values(out, values)
    say(f"{len(values)} genes x {values.shape[1]} people in {place(out)}")
    say_counts(counts)


@app.command(rich_help_panel=LINEAR)
def eqtl(
    study: StudyOption,
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
    seed: Seed = None,
) -> None:
    """Map cis-eQTLs: all pairs, lead variants, independent signals. Finished genes are kept.

    What is left out is as the study's key `eqtl` says. Window and least minor allele frequency
    are those of its key `evaluation`.
    """
    from howfar.eqtl.study_map import map_study
    from howfar.study.reading import with_eqtl

    changes = _given(
        covariates=covariates and covariates.resolve(),
        populations=populations,
        expression_pcs=expression_pcs,
        genotype_pcs=genotype_pcs,
        permutations=permutations,
        fdr=fdr,
        seed=seed,
    )
    with open_study(study) as opened:
        options = with_eqtl(opened, changes)
        found = map_study(opened, results(), options)
        hits = int((found.lead["q"] <= options.fdr).sum())
        typer.echo(
            f"{place(found.nominal.parent)}: {len(found.lead):,} genes, {hits:,} with an eQTL at "
            f"q <= {options.fdr:g}, {len(found.conditional):,} independent signals"
        )
        say_counts(found.counts)


@app.command(rich_help_panel=LINEAR)
def transfer(
    study: StudyOption,
    models: Annotated[list[str], typer.Option(help=_MODELS)] = ["blup", "enet", "prs_pt"],  # noqa: B006
    genes: Draws = 60,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Train linear models on fewer people, and test them in another population.

    Numbers are matched between populations. The rows go into the study's table `summary` at the
    next `howfar evaluate`.
    """
    from howfar.evaluation.transfer import Options, run

    with open_study(study) as opened:
        chosen = Options(
            genes=genes,
            models=tuple(split_words(models)),
            seed=seed,
            min_maf=opened.evaluation.min_maf,
        )
        typer.echo(place(run(opened, results(), chosen)))


@app.command(rich_help_panel=LINEAR)
def stack(
    study: StudyOption,
    models: Annotated[
        list[str] | None,
        typer.Option(
            help="Of ridge, ridge_quantile, polynomial, elastic_net, forest, boosting, xgboost, "
            f"stack; left out: all that are installed. {SEVERAL}"
        ),
    ] = None,
    score: Annotated[str, typer.Option(help="Linear model of the polygenic score.")] = "prs_pt",
    genes: Draws = 60,
    people: Draws = 150,
    folds: Annotated[int, typer.Option(min=2)] = 3,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Stack regressors on a network's outputs and a polygenic score, with and without a leak.

    Each is judged on pairs of gene and person held out at random, on people never seen and on
    genes never seen. The rows go into the study's table `summary` at the next `howfar evaluate`.
    """
    from howfar.stacking.compare import Options
    from howfar.stacking.compare import stack as run

    chosen = Options(genes, people, folds, seed, score, tuple(split_words(models)))
    with open_study(study) as opened:
        typer.echo(place(run(opened, results(), chosen)))
