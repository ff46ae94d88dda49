"""A study with AlphaGenome of random weights, from windows to tables; and what its terms stop."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from helpers.commands import invoke
from helpers.reduced_networks import alphagenome
from howfar.attribution import tracks
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.evaluation import cures
from howfar.evaluation.study_tables import write_tables
from howfar.fetch import licences
from howfar.fetch.catalogue import select
from howfar.figures.view import View
from howfar.models.registry import MODELS, licence_of, load_model
from howfar.prediction.estimate import estimate
from howfar.prediction.given import predictions_from
from howfar.prediction.run import predict, predict_cohort
from howfar.results import policy
from howfar.results import tables as result_tables
from howfar.stacking import compare
from howfar.study.reading import load_study
from howfar.study.schema import Run, Study
from howfar.training.fine_tune import prepare

TERMS = "AlphaGenome model terms"
PEOPLE = [f"P{k}" for k in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two genes on 12 kb, twelve people, an insertion and SNVs; weights of a small network."""
    path = tmp_path_factory.mktemp("study")
    draw = np.random.default_rng(3)
    bases = "".join(draw.choice(list("ACGT"), 12_000))
    (path / "ref.fa").write_text(f">1\n{bases}\n")
    other = dict(zip("ACGT", "CGTA", strict=True))
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1,length=12000>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join(
            ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *PEOPLE]
        ),
    ]
    for k, pos in enumerate(range(3_500, 8_500, 250)):
        ref = bases[pos - 1]
        alt = f"{ref}AC" if k == 8 else other[ref]
        calls = ["|".join(map(str, pair)) for pair in draw.integers(0, 2, (len(PEOPLE), 2))]
        lines.append("\t".join(["1", str(pos), ".", ref, alt, *"...", "GT", *calls]))
    (path / "v.vcf").write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(path / "v.vcf"), str(path / "v.vcf.gz"), force=True)
    pysam.tabix_index(str(path / "v.vcf.gz"), preset="vcf", force=True)
    genes = "gene_id,name,chrom,tss,strand\ng1,g1,1,5000,+\ng2,g2,1,7000,-\n"
    (path / "genes.csv").write_text(genes)
    values = pd.DataFrame(draw.normal(size=(2, 12)), ["g1", "g2"], PEOPLE)
    values.rename_axis("gene_id").to_csv(path / "expression.csv")
    alphagenome(path)
    (path / "tracks.txt").write_text(
        "index\tdescription\n0\tLCL\n1\tATAC of GM12878\n2\tliver\n3\tlung\n4\tskin\n"
    )
    return path


def _study(folder: Path, **keys) -> Study:
    files = {"reference": "ref.fa", "variants": "v.vcf.gz", "genes": "genes.csv",
             "expression": "expression.csv"}  # fmt: skip
    run = {"id": "ag", "label": "AlphaGenome", "model": "alphagenome", "device": "cpu",
           "weights": str(folder / "model.safetensors"), "tracks": [0, 1], "bins": "centre3",
           "options": {"context": 4096, "targets": str(folder / "tracks.txt")},
           "transform": ["mean_bins", "mean_tracks", "mean_haplotypes"], "alleles": "all",
           "batch_size": 2}  # fmt: skip
    reality = dict.fromkeys(("genotypes", "expression"), "simulated") | {"weights": "random"}
    given = {"name": "ag", "title": "t", "individuals": "public", "reality": reality, "runs": [run]}
    cohort = {key: str(folder / name) for key, name in files.items()} | {"alleles": "all"}
    evaluation = {"null_draws": 100, "bootstrap": 100, "cis_window": 4096}
    return Study(**given, cohort=cohort, evaluation=evaluation, **keys)


@pytest.fixture(scope="module")
def made(folder):
    study, results = _study(folder), folder / "results"
    for run in study.runs:
        predict(study, run, results)
    write_tables(study, results)
    return study, results


def test_windows_readout_and_tables(folder, made):
    study, results = made
    read = {n: result_tables.read(result_tables.path_of(results, "ag", n), n)
            for n in ("runs", "individuals", "reference")}  # fmt: skip
    row = read["runs"].set_index("run_id").loc["ag"]
    assert (row["licence"], row["engine"], row["context"]) == (TERMS, "shared", 4096)
    cohort = OpenCohort(study)
    gene = next(g for g in cohort.genes if g.gene_id == "g1")
    options = {"context": 4096, "targets": str(folder / "tracks.txt"), "engine": "plain"}
    model = load_model("alphagenome", folder / "model.safetensors", "cpu", **options)
    built = cohort.windows(gene, 4096, model.tss_offset("+"), "all")
    every = np.concatenate([built.reference[None], built.sequences])
    reference, *values = model.predict(every, [15, 16, 17], [0, 1]).mean(axis=(1, 2))
    expected = np.asarray(values)[np.asarray(built.index)].mean(axis=1)
    found = read["individuals"].query("gene_id == 'g1' and run_id == 'ag'").set_index("sample")
    assert np.allclose(found.loc[cohort.samples, "predicted"], expected, rtol=1e-4)
    assert np.ptp(expected) > 1e-3 * expected.mean()
    of_table = read["reference"].query("gene_id == 'g1' and run_id == 'ag'")["prediction"]
    assert np.allclose(of_table, reference, rtol=1e-4)


def test_captions_say_under_which_terms_values_are(made):
    study, results = made
    runs = result_tables.read(result_tables.path_of(results, "ag", "runs"), "runs")
    notice = policy.licence_notice(runs)
    assert TERMS in notice and "not for commercial use" in notice and "Lead" not in notice
    assert "1 of their tracks were measured in cell lines of single 1000 Genomes donors" in notice
    free = runs.assign(licence="MIT")
    assert policy.licence_notice(free) == policy.licence_notice(runs.iloc[:0]) == ""

    class Shown(View):
        runs = property(lambda self: result_tables.validate("runs", runs_of, "test"))

    runs_of = runs
    shown = object.__new__(Shown)
    object.__setattr__(shown, "study", study)
    assert str(shown.reality()).endswith(notice)


STOPPED = {
    "weights of tracks": lambda study, model: tracks.reference_features(
        OpenCohort(study), model, "sagenet2024"
    ),
    "cures": lambda study, model: cures.run(study, study.runs[0], "nowhere"),
    "stacking": lambda study, model: compare.stack(study, "nowhere"),
    "fine-tuning": lambda study, model: prepare(OpenCohort(study), "pair_regression"),
}


@pytest.mark.parametrize("what", STOPPED)
def test_what_would_fit_something_stops_with_the_term(folder, what):
    model = MODELS["alphagenome"].network.__new__(MODELS["alphagenome"].network)
    with pytest.raises(HowfarError) as stopped:
        STOPPED[what](_study(folder), model)
    error = stopped.value
    assert what in error.where and licences.NO_FITTING[TERMS][0] in error.found
    assert "terms: accepted-for-research" in error.do


def test_accepted_terms_and_other_licences_stop_nothing(folder):
    accepted = _study(folder, terms="accepted-for-research")
    policy.require_fitting(accepted, accepted.runs, "cures")
    others = [accepted.runs[0].model_copy(update={"model": name})
              for name in ("enformer", "xpresso", "a.module:loader")]  # fmt: skip
    policy.require_fitting(_study(folder), others, "cures")
    assert prepare(OpenCohort(accepted), "pair_regression").base["model"] == "alphagenome"


def _run(**keys):
    return Run.model_validate({"id": "r", "label": "R"} | keys)


def test_what_is_made_from_its_values_inherits_the_terms(folder, made, tmp_path):
    """A table of predictions by its words, a trained network by its folder, also after another."""
    for name, base in (("one", {"model": "alphagenome", "weights": None}),
                       ("two", {"model": "fine-tuned", "weights": str(tmp_path / "one")}),
                       ("free", {"model": "enformer", "weights": None}),
                       ("mine", {"model": "a:b", "licence": TERMS})):  # fmt: skip
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"base": base}))
    trained = {name: _run(model="fine-tuned", weights=tmp_path / name)
               for name in ("one", "two", "free", "mine", "absent")}  # fmt: skip
    table = {"predictions": "p.csv"}
    runs = [
        *(trained[name] for name in ("one", "two", "mine")),
        _run(**table, made="the API of AlphaGenome, in June"),
        _run(**table, licence="alphagenome output terms", made="not stated"),
        _run(model="a.module:loader", licence="AlphaGenome's"),
        _run(model="alphagenome", licence="MIT"),  # which doesn't take the terms away
    ]
    study = _study(folder)
    for run in runs:
        assert policy.licence_of_run(run) == TERMS, run
        with pytest.raises(HowfarError, match="should not be used for the training"):
            policy.require_fitting(study, [run], "stacking")
    for run in (trained["free"], trained["absent"], _run(**table, licence="MIT")):
        assert policy.licence_of_run(run) not in licences.NO_FITTING
        policy.require_fitting(study, [run], "stacking")
    assert policy.licence_of_run(_run(**table, licence="MIT")) == "MIT"
    people = result_tables.read(result_tables.path_of(made[1], "ag", "individuals"), "individuals")
    wide = people.query("run_id == 'ag'").pivot(
        index="gene_id", columns="sample", values="predicted"
    )
    given = predictions_from(wide, made="alphagenome at 131 kb")
    row = predict_cohort(OpenCohort(study), given, bins="centre1").run_row
    assert row["licence"] == TERMS


def test_every_network_whose_values_are_bound_needs_consent():
    assert {licence_of(name) for name in MODELS} & set(licences.NO_FITTING) == {TERMS}
    assert set(licences.NO_FITTING) <= set(licences.CONSENT)
    wanted = select(MODELS["alphagenome"].sources)
    assert licences.licences_to_accept(wanted) == [TERMS]
    assert licences.licences_to_accept([replace(wanted[0], licence="MIT")]) == []


MEGABASE = """
name: megabase
title: A real megabase, AlphaGenome at a reduced size with random weights
individuals: public
reality: {{genotypes: simulated carriers, expression: drawn at random, weights: random}}
cohort:
  reference: {shared}/realregion/chr20_1Mb.fa
  variants: {shared}/realregion/chr20_1Mb.vcf.gz
  genes: {shared}/realregion/genes.csv
  only: {{genes: [PSMF1]}}
  expression: {folder}/expression.csv
  alleles: all
runs:
  - id: ag
    label: AlphaGenome (random)
    model: alphagenome
    weights: {folder}/model.safetensors
    options: {{context: 16384}}
    tracks: [0]
    bins: centre3
    device: cpu
    batch_size: 4
evaluation: {{null_draws: 100, bootstrap: 100, cis_window: 16384}}
"""


def test_the_real_megabase_from_windows_to_tables(shared, tmp_path, results_folder):
    genes = pd.read_csv(shared / "realregion" / "genes.csv")
    people = list(pd.read_csv(shared / "realregion" / "samples.csv")["sample"])
    draw = np.random.default_rng(1)
    drawn = pd.DataFrame(draw.normal(size=(len(genes), len(people))), genes["gene_id"], people)
    drawn.to_csv(tmp_path / "expression.csv")
    alphagenome(tmp_path)
    (tmp_path / "megabase.yaml").write_text(MEGABASE.format(shared=shared, folder=tmp_path))
    study = load_study(str(tmp_path / "megabase.yaml"))
    (told,) = estimate([study], results_folder).to_dict("records")
    assert told["genes"] == 1 and 0 < float(told["memory_GB"]) < 4
    invoke(study, results_folder, "predict")
    invoke(study, results_folder, "evaluate")
    across = result_tables.read(
        result_tables.path_of(results_folder, "megabase", "across"), "across"
    )
    row = across.query("run_id == 'ag' and population == 'pooled'").iloc[0]
    assert row["n"] == 421 and -1 < row["pearson"] < 1
