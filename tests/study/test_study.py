import os
import re
import time
from pathlib import Path

import pytest
import yaml

from howfar.core.errors import HowfarError
from howfar.core.project import project_root, resolve
from howfar.fetch import catalogue
from howfar.models.base import default_bins
from howfar.models.registry import MODELS
from howfar.study import reading
from howfar.study.reading import _parsed, load_study
from howfar.study.schema import Cohort, Run, Study, study_names
from howfar.study.template import TemplateRun, fill_template
from howfar.workflow.needs import source_groups

TEMPLATE = project_root() / "data" / "studies" / "template.yaml"


def changed(tmp_path, simulate=None, **changes) -> str:
    text = yaml.safe_load(TEMPLATE.read_text())
    if simulate:
        text["simulate"] = simulate
    for key, value in changes.items():
        at = text
        *parents, last = key.split("__")
        for parent in parents:
            at = at[parent] if not isinstance(at, list) else at[int(parent)]
        if value is None:
            del at[last]
        else:
            at[last] = value
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(text))
    return str(path)


@pytest.mark.parametrize("name", study_names())
def test_every_study_of_the_project_is_valid(name):
    assert load_study(name).name == name


def test_many_values_are_read_fast_or_refused(tmp_path, monkeypatch):
    path = tmp_path / "s.yaml"
    path.write_text("a:\n" + "".join(f"  k{i}: 1\n" for i in range(20_000)))
    begin = time.process_time()
    assert len(_parsed(path)["a"]) == 20_000
    assert time.process_time() - begin < 4  # a list searched for each key takes far longer
    assert reading._VALUES == 250_000  # which would take seconds to read
    monkeypatch.setattr(reading, "_VALUES", 2_500)
    path.write_text("a: [" + "1," * 2_600 + "]")
    with pytest.raises(HowfarError, match="more than 2,500 values"):
        _parsed(path)
    path.write_text("[" * 300_000)  # at which libyaml's loader ends the program
    with pytest.raises(HowfarError, match="brackets without end"):
        _parsed(path)


def test_the_template_is_valid_and_names_every_option():
    study = load_study(str(TEMPLATE))
    text = TEMPLATE.read_text()
    models = (study, study.cohort, study.evaluation, study.runs[0])
    left_out = {"simulate", "train", "published", "notebooks", "options"}
    for model in models:
        for field in type(model).model_fields.keys() - left_out:
            assert f"{field}:" in text, field


def filled(value) -> dict:
    """A block of the template as keys and values, paths left out."""
    paths = ("expression", "samples", "sample_map")
    keys = value.model_dump(exclude=set(paths)).items()
    return {key: given for key, given in keys if not isinstance(given, Path)}


def test_defaults_equal_the_template():
    """A line that is deleted from it changes nothing."""
    study = load_study(str(TEMPLATE))
    for block in (study.evaluation, study.baselines, study.eqtl):
        assert filled(block) == filled(type(block)())
    (run,) = study.runs
    named = {key: getattr(run, key) for key in ("id", "label", "model", "tracks", "weights")}
    assert filled(run) == filled(Run.model_validate(named)) | {"bins": default_bins(3)}
    given = {role: str(getattr(study.cohort, role)) for role in ("reference", "variants", "genes")}
    assert filled(study.cohort) == filled(Cohort.model_validate(given))
    assert study.individuals == Study.model_fields["individuals"].default


FILES = {"reference": "a b.fa", "variants": "{chrom}.vcf", "genes": "g.gtf", "expression": "e.bed"}


@pytest.mark.parametrize("model", ["", *MODELS])
def test_each_model_has_a_complete_template(model, tmp_path):
    runs = [TemplateRun(model, MODELS[model].title, MODELS[model].card.run)] if model else []
    path = tmp_path / "mine.yaml"
    path.write_text(fill_template("mine", runs, FILES))
    study, text = load_study(str(path)), path.read_text()
    assert study.cohort.reference == tmp_path / "a b.fa" and study.cohort.samples is None
    assert study.cohort.variants == tmp_path / "{chrom}.vcf"
    assert study.cohort.genes == tmp_path / "g.gtf" and study.baselines.genes == {}
    assert (
        study.cohort.expression == tmp_path / "e.bed" and study.reality.expression == "not stated"
    )
    assert (study.baselines.models == []) == bool(model)
    assert [run.model for run in study.runs] == ([model] if model else [])
    for field in Run.model_fields if model else ():
        assert re.search(rf"^    {field}:|^  - {field}:", text, re.MULTILINE), field


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cohort__unphased": "maybe"}, "key cohort.unphased: found 'maybe'"),
        ({"cohort__variant": "x.vcf"}, "key cohort.variant"),
        ({"cohort__reference": None}, "`cohort.reference`, a FASTA, as `runs` reads sequence"),
        ({"individuals": "secret"}, "key individuals: found 'secret'"),
        ({"cohort": None}, "either `cohort` or `published`"),
        ({"runs__0__id": "a b"}, "key runs.0.id"),
        ({"evaluation__null_draws": 3}, "key evaluation.null_draws: found 3"),
    ],
)
def test_a_wrong_key_is_named(tmp_path, changes, message):
    with pytest.raises(HowfarError) as error:
        load_study(changed(tmp_path, **changes))
    assert message in str(error.value) and "mine.yaml" in str(error.value)


def test_text_that_is_not_yaml_names_the_line(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\ntitle: [a\nsummary: b\n")
    with pytest.raises(HowfarError, match=r"bad\.yaml, line 3"):
        load_study(str(path))


def test_an_unknown_study_lists_the_known():
    with pytest.raises(HowfarError, match="demo"):
        load_study("nobody")


def test_paths_resolve_against_results_home_current_folder_or_nothing(
    results_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert resolve(Path("results/demo/x")) == results_folder / "demo" / "x"
    assert resolve(Path("data/x")) == tmp_path / "data" / "x"
    assert resolve(Path("/a/b")) == Path("/a/b")
    assert resolve(Path("~/a/b")) == Path.home() / "a" / "b"


def test_paths_of_a_study_file_count_from_its_folder(tmp_path, monkeypatch):
    """Whatever the current folder is, and for every key that is a path."""
    (tmp_path / "here").mkdir()
    paths = ["reference", "variants", "genes", "expression", "samples", "sample_map"]
    keys = {f"cohort__{key}": f"files/{key}" for key in paths}
    keys |= {"runs__0__weights": "../w", "eqtl__covariates": "c.txt", "cohort__tss": "first"}
    keys |= {"runs__0__options": {"params": "p.txt", "tissues": ["a.save", "results/b"], "n": "x"}}
    changed(tmp_path / "here", **keys)
    monkeypatch.chdir(tmp_path)
    study = load_study("here/mine.yaml")
    for key in paths:
        assert getattr(study.cohort, key) == tmp_path / "here" / "files" / key
    assert resolve(study.runs[0].weights) == tmp_path / "here" / ".." / "w"
    assert study.eqtl.covariates == tmp_path / "here" / "c.txt"
    assert study.runs[0].network_options == {
        "params": tmp_path / "here" / "p.txt",
        "tissues": [tmp_path / "here" / "a.save", resolve(Path("results/b"))],
        "n": "x",
    }
    assert study.runs[0].options["params"] == "p.txt"  # as written: it stands in keys


@pytest.mark.parametrize("path", ["data/sources.csv", "data/{chrom}ources.csv", "data/sources"])
def test_a_path_that_is_there_by_the_old_rule_alone_shows_the_new_line(tmp_path, path):
    with pytest.raises(HowfarError) as error:
        load_study(changed(tmp_path, cohort__variants=path))
    line = f"variants: {os.path.relpath(project_root() / path, tmp_path)}"
    assert f"mine.yaml, key variants: found the path {path}" in str(error.value)
    assert error.value.do.startswith(f"Write `{line}`")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sources.csv").touch()
    assert load_study(str(tmp_path / "mine.yaml")).cohort.variants == tmp_path / path


def test_weights_that_were_fetched_are_needed_and_not_trained(tmp_path):
    """An id of data/sources.csv: the file lies below results/sources under its id."""
    fetched = "results/sources/models/GM12878_trainepoch.06-0.5062.h5"
    study = load_study(changed(tmp_path, runs__0__weights=fetched, simulate={"world": "demo"}))
    assert study.needs == ["models/GM12878_trainepoch.06-0.5062.h5"]
    assert study.fetch_names == ["models"] and study.trained_weights == []
    own = load_study(changed(tmp_path, runs__0__weights="results/x/w", simulate={"world": "demo"}))
    assert own.needs == [] and own.trained_weights == [resolve(Path("results/x/w"))]
    assert load_study(changed(tmp_path, runs__0__weights="results/x/w")).trained_weights == []


def test_a_simulation_and_its_runs_add_up_to_what_is_needed():
    needs = load_study("region").needs
    assert {"region/z.fa", "region/z.vcf.gz"} < set(needs)
    assert sum(need.startswith("models/") for need in needs) == 2
    assert set(needs) == {s.id for s in catalogue.select(["region"], source_groups(["region"]))}


@pytest.mark.parametrize("kind", ["long", "aliases"])
def test_a_study_file_that_would_take_minutes_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "mine.yaml"
    if kind == "long":
        path.write_bytes(b"# " + b"x" * 60_000_000)
    else:  # ten to the ninth values, in 200 bytes
        lists = [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
        path.write_text("\n".join(["a0: &a0 x", *lists, "effects: *a9"]))
    with pytest.raises(HowfarError, match=r"60\.0 MB" if kind == "long" else "aliases"):
        load_study(str(path))
