"""The steps behind the commands: each takes a study and leaves files in the results folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import pandas as pd

from howfar.cohort.files import input_files, require_inputs
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance
from howfar.core.atomic import whole
from howfar.core.counts import describe_warnings
from howfar.core.errors import HowfarError, about, refused_option
from howfar.core.project import resolve
from howfar.results import tables
from howfar.study.reading import load_study
from howfar.study.schema import Eqtl, Run, Study

P, T = ParamSpec("P"), TypeVar("T")


def _of_study(step: Callable[Concatenate[Study, P], T]) -> Callable[Concatenate[Study, P], T]:
    """A step whose messages name the study's file where they name no other."""

    @wraps(step)
    def named(study: Study, *words: P.args, **options: P.kwargs) -> T:
        """The step, its errors about the study."""
        with about(study.place):
            return step(study, *words, **options)

    return named


def _world(study: Study) -> tuple[str, Path, dict]:
    """Which world a study simulates, the folder of its files, and the other options."""
    options = dict(study.simulate or {})
    world = options.pop("world", None)
    options.pop("from", None)  # fetched files it starts from, see Study.needs
    if world not in ("demo", "region"):
        raise HowfarError(
            f"{study.place}, key simulate",
            found=f"the world {world!r}" if world else "no world to simulate",
            expected="a `simulate` block with `world: demo` or `world: region`",
            do="Name a simulated study, such as demo.",
        )
    return world, resolve(study.cohort.reference).parent, options


def simulate(study: Study) -> None:
    """Simulate the study's cohort into the folder its file names."""
    world, folder, options = _world(study)
    if world == "region":
        from howfar.simulate import region

        region.simulate(folder, **options)
    else:
        from howfar.simulate.demo import world as demo

        demo.simulate(folder, **options)


@_of_study
def train(study: Study) -> None:
    """Train every model whose weights the study keeps in the results folder."""
    from howfar.simulate.demo import train as training

    _, folder, options = _world(study)
    try:
        recipe = training.Recipe(**study.train)
    except TypeError as error:
        raise HowfarError(
            f"{study.place}, key train",
            found=refused_option(error),
            expected="options of the demo model's training (howfar.demo.train.Recipe)",
            do="Correct the key.",
        ) from error
    for weights in study.trained_weights:
        training.train(folder, weights, seed=options.get("seed", 1), recipe=recipe)


def chosen_runs(study: Study, run: str | None, model: str | None) -> list[Run]:
    """The study's runs of that id and model; all where neither is given."""
    runs = [study.run(run)] if run else list(study.runs)
    kept = [r for r in runs if model in (None, r.model)]
    if not kept:
        raise HowfarError(
            f"{study.place}, key runs",
            found=", ".join(f"run {r.id} of model {r.model}" for r in study.runs) or "no run",
            expected=f"a run of model {model}" if model else "a run to predict",
            do="Correct --run or --model, or add a run to the study file.",
        )
    return kept


@_of_study
def predict(
    study: Study,
    results: Path,
    *,
    run: str | None = None,
    model: str | None = None,
    sample: str | None = None,
    gene: str | None = None,
    chrom: str | None = None,
    csv: Path | None = None,
    shard: tuple[int, int] = (1, 1),
) -> None:
    """Predict the chosen runs, print what was counted, and write `csv` if asked for.

    `shard`: see `predict.predict`. Without a restriction to some people or genes, the single
    variants of the genes under the study's key `effects` are predicted too.
    """
    from howfar.prediction.run import predict as predict_run
    from howfar.prediction.store import collect

    frames = []
    for each in chosen_runs(study, run, model):
        done = predict_run(study, each, results, gene=gene, chrom=chrom, sample=sample, shard=shard)
        store, cohort, genes = done.store, done.cohort, done.genes
        print(f"{each.id}: {len(genes)} genes x {len(cohort.samples)} people in {store.path.name}")
        print(describe_warnings(cohort.warnings), end="")
        if csv:
            people, reference, _ = collect(store, genes, cohort.samples, each.transform)
            people.insert(0, "reference", reference)
            people.insert(0, "run_id", each.id)
            frames.append(people)
        if study.effects and not (sample or gene or chrom or shard[1] > 1):
            effects(study, results, run=each.id, genes=study.effects)
    if csv:
        _write_csv(pd.concat(frames), csv)


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write rows named by gene, compressed where the name says so."""
    with whole(path) as part:
        packing = "gzip" if path.suffix == ".gz" else None
        frame.rename_axis("gene_id").to_csv(part, compression=packing)


@_of_study
def effects(
    study: Study, results: Path, *, run: str | None = None, genes: list[str] | None = None
) -> None:
    """Predict each variant by itself, in the windows of `genes` (None: the study's choice)."""
    from howfar.attribution.variant_effects import compute

    for each in chosen_runs(study, run, None):
        found, warnings = compute(study, each, results, genes or study.effects or None)
        windows = found["gene_id"].nunique()
        print(f"{each.id}: {len(found):,} effects of variants in the windows of {windows} genes")
        print(describe_warnings(warnings), end="")


@_of_study
def track_scores(
    study: Study, results: Path, run: str | None, gene: str, tracks: str, score: str
) -> pd.DataFrame:
    """Scores over `tracks` of each variant in a gene's window, for the chosen runs."""
    from howfar.attribution import variant_effects
    from howfar.prediction.run import open_model
    from howfar.prediction.store import outputs_of

    cohort, parts = OpenCohort(study), []
    (chosen,) = cohort.genes_to_run(gene)
    for each in chosen_runs(study, run, None):
        model = open_model(each)
        outputs = outputs_of(each, model)
        found = variant_effects.track_scores(cohort, each, model, outputs, chosen, tracks, score)
        found.insert(0, "gene_id", chosen.gene_id)
        found.insert(0, "run_id", each.id)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)


@_of_study
def eqtl(study: Study, results: Path, options: Eqtl) -> None:
    """Map cis-eQTLs of every gene and say how many were found."""
    from howfar.cohort.panel import make_panel
    from howfar.eqtl import study_map

    cohort = OpenCohort(study)
    panel = make_panel(cohort)
    found = study_map.compute(study, cohort, panel, results, options)
    lead, folder = found.lead, found.nominal.parent
    hits = int((lead["q"] <= options.fdr).sum())
    print(f"{folder}: {len(lead):,} genes, {hits:,} with an eQTL at q <= {options.fdr:g}, "
          f"{len(found.conditional):,} independent signals")  # fmt: skip
    found_by = lead["status"].str.replace("_", " ").value_counts()
    statuses = {f"genes, {status}": n for status, n in found_by.items()}
    counted = tables.read_provenance(found.nominal)["warnings"]  # by whichever processes made it
    print(describe_warnings(counted | statuses), end="")


def preprocess(
    recipe: str,
    source: Path,
    out: Path,
    *,
    covariates: Path | None = None,
    genotype_pcs: Path | None = None,
    pcs: int | None = None,
    tpm: Path | None = None,
) -> None:
    """Prepare an expression matrix as a study did, write it, and print what was counted."""
    from howfar.cohort import preprocess as recipes

    found = recipes.run(recipe, source, covariates, genotype_pcs, pcs, tpm)
    recipes.write(found.values, out, positions_from=source)
    genes, people = found.values.shape
    print(f"{out}: {genes:,} genes x {people:,} samples, {found.units}")
    print(describe_warnings(found.counts), end="")


@_of_study
def baseline(
    study: Study,
    results: Path,
    changes: dict,
    *,
    split: str = "nested",
    gene: str | None = None,
    cores: int = 1,
) -> None:
    """Fit the linear models of a study; `changes` (None: none) replace keys of its `baselines`."""
    from howfar.linear import baseline as linear
    from howfar.study.reading import with_baselines

    changed = with_baselines(study, {k: v for k, v in changes.items() if v is not None})
    if not changed.baselines.models:
        raise HowfarError(
            f"{study.place}, key baselines.models",
            found="no linear model",
            expected="one at least, as the study file doesn't list any",
            do="Give --models, such as --models top1,enet,blup.",
        )
    for model in changed.baselines.models:
        plan = linear.plan_of(changed, model, split)
        rows, warnings = linear.run(changed, plan, results, gene, cores)
        counts = rows["status"].value_counts()
        what = ", ".join(f"{count} {status}" for status, count in counts.items())
        print(f"{model}: {len(rows)} genes: {what}; {rows['seconds'].mean():.3g} s a gene")
        print(describe_warnings(warnings), end="")


@_of_study
def apply_weights(study: Study, weights: Path, csv: Path, *, window: int, min_share: float) -> None:
    """Predict a study's people by weights of linear models, and print how alleles matched.

    Beside `csv` stands <csv>.json, its provenance block: input files, options, what was counted.
    """
    from howfar.linear.weights import apply, files_of, read_weights

    cohort = OpenCohort(study)
    genes = {gene.gene_id: gene for gene in cohort.genes}
    values, counts = apply(
        read_weights(weights), list(genes), lambda g: cohort.dosages(genes[g], window), min_share
    )
    values.columns = cohort.samples
    met = cohort.warnings + counts
    chosen = {"weights": weights.name, "window": window, "min_share": min_share}
    block = provenance.block(
        {"study": study.name, "cohort": study.cohort.model_dump(mode="json"), **chosen},
        input_files(study) | files_of(weights),
        warnings=met,
    )
    provenance.write(csv.with_name(f"{csv.name}.json"), block)
    _write_csv(values, csv)
    print(f"{len(values)} genes x {len(cohort.samples)} people in {csv.name}")
    print(describe_warnings(met), end="")


def fetch_what_is_needed(names: list[str], results: Path) -> None:
    """Fetch the published tables of `names`; where that fails, say so and go on without."""
    from howfar.fetch import catalogue, fetching

    studies = [load_study(name) for name in names]
    needs = sorted({need for study in studies for need in study.needs})
    folder = results / "sources"
    missing = [n for n, here in catalogue.available(needs, folder=folder).items() if not here]
    if not missing:
        return
    try:
        print(fetching.fetch(missing, folder=folder).summary())
    except HowfarError as error:
        print(f"howfar: going on without some published tables. {error}", file=sys.stderr)


def require(names: list[str], results: Path) -> None:
    """Raise HowfarError for the first study whose tables can't be made from what is here."""
    from howfar import workflow

    for plan in (workflow.plan(name, results) for name in names):
        if plan.possible:
            continue
        if plan.study.cohort and not plan.study.simulate:
            require_inputs(plan.study)
        raise HowfarError(
            f"study {plan.study.name}",
            found="not all of the public files it is made from",
            expected=f"the {len(plan.study.needs)} files that `howfar doctor --study "
            f"{plan.handle}` lists",
            do=f"Run `howfar fetch {' '.join(plan.study.fetch_names)}` with a network or a mirror.",
        )


@_of_study
def evaluate(study: Study, results: Path) -> None:
    """Write a study's result tables: computed, or from what others published."""
    if study.published:
        from howfar.published import write_tables

        _write_numbers(study, results, write_tables(study, results))
        return
    from howfar.evaluation.study_tables import frames_of

    frames, warnings = frames_of(study, results)
    block = provenance.block(
        {"study": study.model_dump(mode="json")},
        input_files(study),
        seed=study.evaluation.seed,
        warnings=warnings,
    )
    for name, frame in frames.items():
        tables.write(tables.path_of(results, study.name, name), name, frame, block)
    _write_numbers(study, results)
    print(describe_warnings(warnings), end="")


def _write_numbers(study: Study, results: Path, own: pd.DataFrame | None = None) -> None:
    """Table `numbers`: of the tables as they are on disk, and the study's `own`."""
    from howfar.evaluation.numbers import numbers_table

    options = study.evaluation
    frame = numbers_table(tables.load(study.name, results), options.bootstrap, options.seed)
    frame = frame if own is None else pd.concat([frame, own])
    names = [n for n in tables.SCHEMAS if n not in ("individuals", "numbers")]
    # by name only: a table's digest holds its time, and the table says itself what it comes from
    used = [n for n in names if tables.path_of(results, study.name, n).exists()]
    parameters = {"study": study.name, "bootstrap": options.bootstrap, "tables": used}
    block = provenance.block(parameters, seed=options.seed)
    tables.write(tables.path_of(results, study.name, "numbers"), "numbers", frame, block)
