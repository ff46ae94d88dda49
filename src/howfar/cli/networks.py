"""Commands on networks: what there is, predictions for people, sequences and single variants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from howfar.cli.app import NETWORKS, app
from howfar.cli.common import (
    DeviceOption,
    GeneOption,
    KeepWindowsOption,
    RunOption,
    StudyOption,
    open_study,
    parse_shard,
    place,
    results,
    say,
    say_counts,
    write_frame,
    write_values,
)
from howfar.core.errors import HowfarError, wrong_option

if TYPE_CHECKING:
    import pandas as pd

    from howfar.study.schema import Run, Study

_VALUES = "Gene x person values, to write (.csv, .csv.gz)."


@app.command(rich_help_panel=NETWORKS)
def models(
    name: Annotated[str, typer.Argument(help="One of them; all where left out.")] = "",
    tracks: Annotated[
        str | None, typer.Option(help="Find its tracks by words, such as 'lcl rna'; '' shows all.")
    ] = None,
    assay: Annotated[str | None, typer.Option(help="With --tracks: RNA, CAGE, ...")] = None,
    tissue: Annotated[str | None, typer.Option(help="With --tracks: words of the rest.")] = None,
    strand: Annotated[str | None, typer.Option(help="With --tracks: +, -, or . (none).")] = None,
) -> None:
    """The models: what each reads and gives, its licence, what it needs, what was verified.

    With --tracks, the tracks of one, and the line of a study file that stands for them.
    """
    from howfar.doctor.verdicts import models_table

    if tracks is not None:
        _say_tracks(name, tracks, {"assay": assay, "tissue": tissue, "strand": strand})
        return
    rows = [row for row in models_table(results()) if name in ("", row["name"])]
    if not rows:
        from howfar.core.registry import MODELS

        MODELS.load(name)  # which says what there is
    for row in rows:
        weights = {"yes": "weights here", "no": "weights not here"}.get(row["present"], "no fetch")
        typer.echo(f"{row['name']}: {row['title']}; {weights}; {row['verified']}")
        typer.echo(f"  reads {row['reads']}; gives {row['gives']}")
        typer.echo(f"  licence of the weights: {row['licence']}; needs {row['needs']}")
        typer.echo(f"  {row['checked']}")


def _say_tracks(name: str, words: str, narrow: dict[str, str | None]) -> None:
    from howfar.models.registry import track_table
    from howfar.models.tracks import listed

    if not name:
        raise HowfarError(
            "--tracks",
            found="no model",
            expected="whose tracks are looked for",
            do="Write `howfar models NAME --tracks WORDS`.",
        )
    found = track_table(name).find(words, **narrow)
    for line in listed(found, len(found)):
        typer.echo(line)
    keys = {"match": words} | {key: value for key, value in narrow.items() if value is not None}
    said = ", ".join(f'{key}: "{value}"' for key, value in keys.items())
    say(f"{len(found):,} tracks; in a study file: tracks: {{ {said}, count: {len(found)} }}")


@app.command(rich_help_panel=NETWORKS)
def predict(
    study: StudyOption,
    run: RunOption = "",
    model: Annotated[str, typer.Option(help="Only runs of this model.")] = "",
    sample: Annotated[str, typer.Option(help="One person, all genes.")] = "",
    gene: GeneOption = "",
    chrom: Annotated[str, typer.Option(help="Genes of one contig, all people.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "--csv", help=_VALUES)] = None,
    raw: Annotated[
        Path | None,
        typer.Option(help="Outputs of each haplotype and of the reference, to write (.parquet)."),
    ] = None,
    shard: Annotated[str, typer.Option(help="I/N: every N-th gene from the I-th on.")] = "1/1",
    keep_windows: KeepWindowsOption = False,
) -> None:
    """Predict expression from each person's two haplotypes. Finished genes are kept.

    Without a restriction to some people or genes, the single variants of the genes under the
    study's key `effects` are predicted too.
    """
    import pandas as pd
    import pyarrow as arrow

    from howfar.core import sealed
    from howfar.doctor.looks import require_looks
    from howfar.prediction.raw import raw_table
    from howfar.prediction.run import predict as predict_run
    from howfar.prediction.store import collect

    part = parse_shard(shard)
    frames, outputs = [], []
    with open_study(study) as opened:
        chosen = opened.chosen_runs(run, model)
        require_looks(opened, results(), chosen)
        for each in chosen:
            done = predict_run(
                opened,
                each,
                results(),
                gene=gene or None,
                chrom=chrom or None,
                sample=sample or None,
                shard=part,
                keep=keep_windows,
            )
            people = done.cohort.samples
            say(
                f"{each.id}: {len(done.genes)} genes x {len(people)} people in "
                f"{place(done.store.path)}"
            )
            say_counts(done.cohort.warnings)
            if out:
                values, reference, _ = collect(done.store, done.genes, people, each.transform)
                values.insert(0, "reference", reference)
                values.insert(0, "run_id", each.id)
                frames.append(values)
            if raw:
                outputs.append(raw_table(done.store, done.genes, people, each.id))
            if opened.effects and not (sample or gene or chrom or part[1] > 1):
                _effects(opened, each, opened.effects)
    if out:
        write_values(out, pd.concat(frames))
        typer.echo(f"values in {place(out)}")
    if raw:
        sealed.write_parquet(raw, arrow.Table.from_pandas(pd.concat(outputs), preserve_index=False))
        typer.echo(f"outputs in {place(raw)}")


def _effects(study: Study, run: Run, genes: list[str] | None) -> None:
    from howfar.attribution.profiles import compute_study
    from howfar.attribution.variant_effects import compute

    table, counts = compute(study, run, results(), genes)
    compute_study(study, run, results(), genes)
    windows = table["gene_id"].nunique()
    say(
        f"{run.id}: {len(table):,} effects of variants in the windows of {windows} genes in "
        f"{place(results() / study.name / 'effects')}"
    )
    say_counts(counts)


@app.command(rich_help_panel=NETWORKS)
def cures(
    study: StudyOption,
    run: Annotated[str, typer.Option(help="A run of the study; its first if left out.")] = "",
    genes: Annotated[
        int | None, typer.Option(min=0, help="Evenly spaced along the table; 0: all.")
    ] = None,
    tracks: Annotated[str | None, typer.Option(help="How their descriptions begin.")] = None,
    window: Annotated[int | None, typer.Option(min=1, help="bp, of the linear models.")] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
) -> None:
    """Try cures for a network that fails across people, using people's expression.

    A ridge on the network's own tracks for each gene (told the sign), BLUP with prior variances
    from the network's effects, one weighting of the tracks for all genes; beside BLUP. Options left
    out are those of the study's key `cures`. The rows go into the study's table `summary` at the
    next `howfar evaluate`.
    """
    from dataclasses import replace

    from howfar.evaluation.cures import options_of
    from howfar.evaluation.cures import run as compare

    given = {"genes": genes, "tracks": tracks, "window": window, "seed": seed}
    with open_study(study) as opened:
        chosen = opened.chosen_runs(run or (opened.cures.run if opened.cures else None) or "")[0]
        asked = {name: value for name, value in given.items() if value is not None}
        path = compare(opened, chosen, results(), replace(options_of(opened), **asked))
        typer.echo(place(path))


@app.command(rich_help_panel=NETWORKS)
def tracks(
    study: StudyOption,
    out: Annotated[Path, typer.Option("--out", "--csv", help="Weights of tracks, to write.")],
    run: Annotated[str, typer.Option(help="A run of the study; its first if left out.")] = "",
    wanted: Annotated[
        str, typer.Option("--tracks", help="all, or a regular expression: these alone.")
    ] = "all",
    recipe: Annotated[str, typer.Option(help="sagenet2024 or sasse2023.")] = "sagenet2024",
    regions: Annotated[
        Path | None, typer.Option(help="BED of the network's training data, with its splits.")
    ] = None,
) -> None:
    """Fit weights of a network's tracks to mean expression, by an elastic net across genes.

    Fitted on the reference and on mean expression, the genes split by the network's own training
    data. A run with the key `readout: {weights: OUT}` then predicts people by these weights.
    """
    from howfar.attribution import tracks as fitting
    from howfar.attribution.variant_effects import matching_tracks
    from howfar.cohort.opened import OpenCohort
    from howfar.core.atomic import whole
    from howfar.models.readout import RECIPES, write_readout
    from howfar.prediction.run import open_model

    if recipe not in RECIPES:
        raise wrong_option("--recipe", recipe, " or ".join(RECIPES))
    with open_study(study) as opened:
        chosen, cohort = opened.chosen_runs(run)[0], OpenCohort(opened)
        model = open_model(chosen.model_copy(update={"readout": None}))
        named = matching_tracks(model, wanted)
        reference = fitting.reference_features(cohort, model, recipe, regions)
        places = [model.tracks.index.get_loc(number) for number in named]
        fitted = fitting.fit(reference, recipe, tracks=places)
        with whole(out) as part:
            write_readout(part, model, fitted.readout)
        used = int((fitted.readout.weights != 0).sum())
        say(f"{used:,} of {len(places):,} tracks have a weight; penalty {fitted.penalty:.4g}")
        for row in fitted.r.itertuples():
            say(
                f"{row.split}: r {row.r:.3f} ({row.ci_low:.3f} to {row.ci_high:.3f}) across "
                f"{row.n:,} genes"
            )
        if not fitted.converged:
            say("the fit did not converge: weights may be imprecise")
        typer.echo(f"weights in {place(out)}")


@app.command(rich_help_panel=NETWORKS)
def effects(
    study: StudyOption,
    run: RunOption = "",
    gene: Annotated[
        str, typer.Option(help="One gene (id or name); else the study's `effects`, or all genes.")
    ] = "",
    tracks: Annotated[
        str, typer.Option(help="all, or a regular expression: score these tracks, for --out.")
    ] = "",
    score: Annotated[str, typer.Option(help="Over tracks: mean, or abs (of the size).")] = "mean",
    on: Annotated[
        str,
        typer.Option(
            help="reference (the allele alone), or people (on the haplotypes that carry it, too): "
            "the raw values of one gene's variants, for --out."
        ),
    ] = "",
    variants: Annotated[
        Path | None,
        typer.Option(help="Table of variants (GWAS): scored for all genes in reach, for --out."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "--csv", help="Where scores and raw values go.")
    ] = None,
) -> None:
    """Predict each variant of a gene's window by itself. Finished genes are kept.

    With --tracks, variants get one score over many tracks instead, written to --out; with --on,
    the run's own values from reference and allele beside the effect; with --variants, those of a
    table, beside a percentile among common variants of the same distance and frequency and the
    eQTL's slope.
    """
    scored = bool(tracks or score != "mean" or (out and not (on or variants)))
    if (scored or on or variants) and (out is None or not (gene or variants)):
        option = "--on" if on else "--variants" if variants else "--tracks"
        raise HowfarError(
            option,
            found="no --out" if gene or variants else "no --gene",
            expected="a file for the scores" if variants else "one gene, and a file for the scores",
            do=f"Give {'' if variants else '--gene GENE and '}--out FILE.",
        )
    if on not in ("", "reference", "people"):
        raise wrong_option("--on", on, "reference or people")
    from howfar.attribution.listed_variants import score_listed
    from howfar.attribution.variant_effects import score_tracks

    with open_study(study) as opened:
        runs = opened.chosen_runs(run)
        if variants is not None:
            table, counts = score_listed(opened, runs[0], results(), variants)
            write_frame(out, table, float_format="%.9g")
            say_counts(counts)
            _say_agreement(table)
            typer.echo(f"{len(table):,} pairs of variant and gene in {place(out)}")
        elif on:
            from howfar.attribution.own_haplotypes import effects_on

            table = effects_on(opened, runs[0], results(), gene, on)
            write_frame(out, table, float_format="%.9g")
            typer.echo(f"{len(table):,} effects of variants in {place(out)}")
        elif scored:
            table = score_tracks(opened, runs, gene, tracks or "all", score)
            write_frame(out, table, float_format="%.9g")
            typer.echo(f"{len(table):,} scores of variants in {place(out)}")
        else:
            for each in runs:
                _effects(opened, each, [gene] if gene else opened.effects or None)


def _say_agreement(table: pd.DataFrame) -> None:
    from howfar.attribution.listed_variants import agreement

    agreeing, pairs, genes, p = agreement(table)
    if pairs:
        say(
            f"{agreeing:,} of {pairs:,} pairs with an eQTL (p <= 0.05) in {genes:,} genes have its "
            f"sign; permutation by gene: p = {p:.3g}"
        )


@app.command(rich_help_panel=NETWORKS)
def attribute(
    study: StudyOption,
    gene: Annotated[str, typer.Option(help="A gene (id or name).")],
    out: Annotated[Path | None, typer.Option("--out", "--csv", help="Where the values go.")] = None,
    run: Annotated[str, typer.Option(help="A run of the study; its first if left out.")] = "",
    method: Annotated[
        str,
        typer.Option(
            help="ism, gradient, gradient_x_input, integrated_gradients, deeplift_shap, attention."
        ),
    ] = "ism",
    on: Annotated[
        str,
        typer.Option(
            help="reference; main_variant; a variant to put in, as chrom:pos:ref:alt; or a person."
        ),
    ] = "reference",
    window: Annotated[
        int, typer.Option(min=1, help="bp around the TSS, up to all that the model reads.")
    ] = 200,
    figure: Annotated[
        Path | None, typer.Option(help="Draw it: a track and a logo, .svg, .png or .pdf.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate predictions, hours and memory; run none.")
    ] = False,
) -> None:
    """Attribute a gene's prediction to every base of a window around its TSS.

    ism: the prediction with each other letter in a base's place, minus the prediction. Finished
    blocks are kept, so that the same command continues where it was interrupted.
    """
    from howfar.attribution.attribute import Question, attribute_study, estimate, require_place
    from howfar.cohort.opened import OpenCohort
    from howfar.prediction.run import open_model

    if out is None and not dry_run:
        raise HowfarError(
            "--out",
            found="nothing",
            expected="a file for the values",
            do="Give --out FILE, or --dry-run.",
        )
    with open_study(study) as opened:
        chosen, cohort = opened.chosen_runs(run)[0], OpenCohort(opened)
        (place_of,) = cohort.genes_to_run(gene)
        question = Question(place_of, method, on, window)
        for path in filter(None, (out, figure)):
            require_place(cohort, question, path, results())
        model = open_model(chosen)
        if dry_run:
            say(estimate(cohort, chosen, model, question).to_string(index=False))
            return
        table = attribute_study(cohort, chosen, model, question, results())
        write_frame(out, table, float_format="%.9g")
        say(f"{len(table):,} rows of {place_of.gene_id} in {place(out)}")
        if figure is not None:
            _draw_bases(cohort, question, table, figure)


def _draw_bases(cohort, question, table, path: Path) -> None:
    """Draw attributions; of a person the first haplotype in --figure, the second beside it."""
    from howfar.core.project import resolve
    from howfar.figures import bases
    from howfar.genome.genes import read_exons

    gene = question.gene
    exons = read_exons(resolve(cohort.settings.genes), gene.gene_id)
    _, variants = cohort.dosages(gene, 2 * question.window)
    for number, part in table.groupby("haplotype") if "haplotype" in table else [(1, table)]:
        drawn = bases.draw(part, gene, question.method, variants, exons)
        file = path if number == 1 else path.with_stem(f"{path.stem}.haplotype{number}")
        bases.save(drawn, file)
        say(f"figure in {place(file)}")


@app.command("predict-sequences", rich_help_panel=NETWORKS)
def predict_sequences(
    model: Annotated[str, typer.Option(help="See `howfar models`; or package.module:loader.")],
    fasta: Annotated[Path, typer.Option(help="Sequences of the model's own input length.")],
    out: Annotated[
        Path, typer.Option("--out", "--csv", help="Sequence names and values, to write.")
    ],
    weights: Annotated[
        Path | None, typer.Option(help="File or folder; default: what `howfar fetch` brought.")
    ] = None,
    tracks: Annotated[
        list[str] | None,
        typer.Option(help="all, numbers (5110,4980), a description, or a regular expression."),
    ] = None,
    bins: Annotated[str, typer.Option(help="all, centreK, 443..452, or 447,448.")] = "all",
    device: DeviceOption = "auto",
    options: Annotated[
        list[str] | None,
        typer.Option(help="key=value of the model, as in a study file's `options`; repeatable."),
    ] = None,
) -> None:
    """Predict any sequences of a FASTA file: one row each, one column per track and bin.

    Sequences are read as they stand, already on the strand that the model reads. Letters beyond
    ACGTN are read as the model's authors read them, or refused.
    """
    from howfar.prediction.fasta import predict_file

    rows, loaded = predict_file(
        model,
        weights,
        fasta,
        out,
        tracks=tracks or ["all"],
        bins=bins,
        device=device,
        options=options or [],
    )
    typer.echo(
        f"{rows:,} sequences in {place(out)}; {loaded.units}; weights {loaded.weights_sha256}"
    )
