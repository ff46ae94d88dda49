"""The whole path on a world small enough for a test: made, killed, gone on with, made again."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml

from helpers.places import ROOT
from helpers.workflows import RUN, content, forked, run_killed, small_study, start
from howfar import evaluation, workflow
from howfar.cli import app as cli
from howfar.core.errors import HowfarError
from howfar.results import tables
from howfar.study.reading import load_study
from howfar.study.schema import study_names
from inputs.cohort import write_base


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, warm):
    folder = tmp_path_factory.mktemp("undisturbed")
    study = small_study(folder)
    begin = time.monotonic()
    process = start(study, folder / "results")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return study, folder / "results", time.monotonic() - begin


@pytest.mark.slow
def test_a_run_makes_every_table(undisturbed):
    _, results, _ = undisturbed
    found = tables.load("small", results)
    assert set(found["runs"]["run_id"]) == {RUN, "enet", "blup", "lead_snp", "truth"}
    assert len(found["genes"]) == 16
    assert set(found["across"]["population"]) == {"pooled", "EUR", "AFR", "centred", "permuted"}
    assert found["across"].query("population == 'pooled'")["p_null"].notna().any()
    assert len(found["numbers"]) > 50
    assert tables.path_of(results, "small", "individuals").is_file()


@pytest.mark.slow
def test_nothing_is_done_again(undisturbed):
    study, results, _ = undisturbed
    before = {p: p.stat().st_mtime_ns for p in results.rglob("*.parquet")}
    process = start(study, results)
    output, _ = process.communicate()
    assert process.returncode == 0 and output == f"small: tables in {results / 'small'}\n", output
    assert before == {p: p.stat().st_mtime_ns for p in results.rglob("*.parquet")}


@pytest.mark.slow
def test_an_evaluation_cut_off_after_its_eqtl_map_ends_in_the_same_tables(undisturbed, tmp_path):
    study, results, _ = undisturbed
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "small" / "tables")
    (tmp_path / "small" / "steps" / "tables.done").unlink()
    made = (tmp_path / "small" / "eqtl" / "lead.parquet").stat().st_mtime_ns
    assert run_killed(study, tmp_path, []) == 0
    assert content(tmp_path) == content(results)
    assert (tmp_path / "small" / "eqtl" / "lead.parquet").stat().st_mtime_ns == made


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_in_the_same_tables(undisturbed, tmp_path):
    study, results, seconds = undisturbed
    disturbed = killed_twice(study, tmp_path, seconds)
    assert content(disturbed) == content(results)
    assert len(content(results)) == 12


def killed_twice(study, folder, seconds):
    """Results of a run killed twice; begun anew, with earlier kills, where it ended before them."""
    rng = random.Random(1)
    for attempt in range(4):
        moments = [rng.uniform(0.15, 0.45) * seconds / 1.5**attempt for _ in range(2)]
        if run_killed(study, folder / str(attempt), moments) == 2:
            return folder / str(attempt)
    raise AssertionError(f"no run of {seconds:.0f} s was still at work when it was to be killed")


@pytest.fixture
def planned(monkeypatch):
    """Runs of this process fork for Snakemake, which only plans."""
    monkeypatch.setattr(workflow, "_run_stoppable", forked)


def test_what_networks_need_is_imported_once_while_one_is_to_be_run(tmp_path):
    networks = ["torch", "enformer_pytorch"]
    demo, ceu = (workflow.plan(name, tmp_path) for name in ("demo", "ceu89"))
    assert workflow.to_import([ceu]) == workflow.WARM
    assert workflow.to_import([ceu, demo]) == [*workflow.WARM, *networks]
    (tmp_path / "demo" / "steps").mkdir(parents=True)
    for step, left in {"train": networks, "finetune": networks, "cures": []}.items():
        (tmp_path / "demo" / "steps" / f"{step}.done").touch()
        assert workflow.to_import([demo]) == [*workflow.WARM, *left]


def test_two_runs_in_one_folder_are_kept_apart(tmp_path, monkeypatch):
    def nested(*_, **__):
        with pytest.raises(HowfarError, match="another run of the workflow"):
            workflow.run(["demo"], tmp_path)
        return 0

    monkeypatch.setattr(workflow, "_run_stoppable", nested)
    assert workflow.run(["demo"], tmp_path) == 0


def test_logs_do_not_name_the_machine(tmp_path, monkeypatch):
    log = tmp_path / ".snakemake" / "log" / "2026.snakemake.log"

    def logged(*_, **__):
        log.parent.mkdir(parents=True)
        log.write_text("host: jane-laptop\nBuilding DAG of jobs...\n")
        return 0

    monkeypatch.setattr(workflow, "_run_stoppable", logged)
    assert workflow.run(["demo"], tmp_path) == 0
    assert log.read_text() == "Building DAG of jobs...\n"


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_that_a_run_has_started(tmp_path, kind):
    before = signal.signal(kind, signal.SIG_DFL)  # under nohup, SIGHUP is ignored
    family = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    threading.Timer(0.3, os.kill, (os.getpid(), kind)).start()
    try:
        assert workflow._run_stoppable(["bash", "-c", family]) == 128 + kind
    finally:
        signal.signal(kind, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "child").read_text()), 0)


def test_a_run_may_be_started_from_any_thread():
    status = []
    thread = threading.Thread(target=lambda: status.append(workflow._run_stoppable(["true"])))
    thread.start()
    thread.join()
    assert status == [0]


@pytest.mark.parametrize("dry", [True, False])
def test_a_dry_run_takes_no_step_back(tmp_path, monkeypatch, dry):
    plan = workflow.plan("demo", tmp_path)
    for name in ("tables/runs.parquet", "steps/tables.done"):
        (plan.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (plan.folder / name).touch()
    plan.note_made()
    note = (plan.folder / "steps" / "made.json").read_bytes()
    (plan.folder / "tables" / "runs.parquet").unlink()
    commands = []
    monkeypatch.setattr(workflow, "_run_stoppable", lambda c, **_: commands.append(c) or 0)
    workflow.run(["demo"], tmp_path, extra=["--dry-run"] if dry else [])
    stamp = plan.stamp("tables")
    assert os.path.exists(stamp) is dry
    if dry:
        assert commands[0][-4:] == ["--forcerun", stamp, "--", "tables"]
        assert (plan.folder / "steps" / "made.json").read_bytes() == note


def test_a_step_has_the_files_of_its_own_run_alone(tmp_path):
    plan = workflow.plan("demo", tmp_path)
    for name in ("a-0123456789ab", "a-b-0123456789ab"):
        folder = plan.folder / "predictions" / name
        folder.mkdir(parents=True)
        (folder / "g.npz").touch()
    found = plan.files_of("predict.a")
    assert [path.parent.name for path in found] == ["a-0123456789ab"]


def test_a_second_signal_does_not_stop_the_ending(monkeypatch):
    ended = []

    def end(pid):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(pid, signal.SIGKILL)
        ended.append(pid)

    monkeypatch.setattr(workflow, "_end_with_children", end)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert workflow._run_stoppable(["sleep", "60"]) == 128 + signal.SIGTERM and ended


def test_a_step_whose_file_was_deleted_is_done_again(tmp_path, capsys):
    plan = workflow.plan("demo", tmp_path)
    made = [tmp_path / "demo" / name for name in ("tables/runs.parquet", "steps/tables.done")]
    made += [tmp_path / "demo" / "steps" / "predict.demo-cage.done"]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    plan.note_made()
    assert not list(plan.lost())
    assert all(path.exists() for path in made)
    made[0].unlink()
    assert list(plan.lost()) == [str(made[1])]
    assert "demo/tables/runs.parquet is gone; step tables is done again" in capsys.readouterr().err


def test_inputs_dated_in_the_future_are_inputs_like_others(study, results_folder):
    path = results_folder.parent / "tiny.yaml"
    path.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    plan = workflow.plan(str(path), results_folder)
    later = time.time() + 1e6
    os.utime(study.cohort.genes, (later, later))
    plan.note_inputs()
    first = plan.inputs_note.stat()
    assert first.st_mtime < time.time() + 1
    plan.note_inputs()
    assert plan.inputs_note.stat().st_ino == first.st_ino  # nothing has changed
    os.utime(study.cohort.genes)
    plan.note_inputs()
    assert plan.inputs_note.stat().st_ino != first.st_ino


@pytest.mark.parametrize("name", study_names())
def test_plans_without_files_ask_for_nothing_impossible(name, tmp_path):
    plan = workflow.plan(name, tmp_path)
    simulated = name in ("demo", "demo_kind", "demo_peaks")
    assert plan.tables == ([plan.stamp("tables")] if simulated else [])


@pytest.mark.parametrize("step", [*workflow.LAYERS, *workflow.PAGES])
def test_each_step_depends_on_the_layers_that_its_command_imports(step):
    """A module of a layer that a step's command uses can't change values unnoticed."""
    assert workflow.versions(step)


def test_a_raised_version_makes_a_step_run_again(tmp_path, monkeypatch):
    before = workflow.versions("evaluate")
    monkeypatch.setattr(evaluation, "VERSION", evaluation.VERSION + 1)
    assert workflow.versions("evaluate") != before
    assert workflow.versions("simulate") == workflow.versions("train")


@pytest.mark.usefixtures("planned")
def test_shards_are_jobs_of_their_own(tmp_path, capfd):
    assert workflow.run(["demo"], tmp_path, shards=3, extra=["--dry-run"]) == 0
    planned = re.search(r"^predict_shard +(\d+)$", capfd.readouterr().out, re.MULTILINE)
    assert int(planned[1]) == 3 * len(load_study("demo").runs)


@pytest.mark.usefixtures("planned")
def test_a_network_has_all_cores_and_small_steps_go_on_beside_it(tmp_path, capfd):
    extra = ["--dry-run", "--printshellcmds", "--quiet", "host"]
    assert workflow.run(["demo"], tmp_path, cores=8, extra=extra) == 0
    rule = capfd.readouterr().out.partition("rule predict:")[2].split("rule ")[0]
    assert re.search("OMP_NUM_THREADS=8 .* predict", rule) and "threads:" not in rule
    assert "gpu=1" in rule


@pytest.mark.parametrize("given", ["", "2", "3,5"])
@pytest.mark.usefixtures("planned")
def test_shards_take_the_gpus_in_turns(tmp_path, capfd, monkeypatch, given):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    extra = ["--dry-run", "--printshellcmds", "--quiet", "host"]
    assert workflow.run(["demo"], tmp_path, cores=8, shards=4, extra=extra) == 0
    planned = capfd.readouterr().out
    found = re.findall(r"CUDA_VISIBLE_DEVICES=(\d+) .* --shard (\d)/4", planned)
    wanted = {"1": "3", "2": "5", "3": "3", "4": "5"} if given == "3,5" else {}
    assert {shard: gpu for gpu, shard in found} == wanted
    assert len(re.findall("OMP_NUM_THREADS=8 .* --shard", planned)) == 4


@pytest.mark.usefixtures("planned")
def test_runs_take_the_gpus_in_turns(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    extra = ["--dry-run", "--printshellcmds", "--quiet", "host"]
    study = load_study("demo")
    again = study.runs[0].model_dump(mode="json") | {"id": "again"}
    study_yaml = tmp_path / "two.yaml"
    text = study.model_dump(mode="json")
    study_yaml.write_text(yaml.safe_dump(text | {"runs": [text["runs"][0], again]}))
    assert workflow.run([str(study_yaml)], tmp_path, cores=2, extra=extra) == 0
    planned = capfd.readouterr().out
    found = re.findall(r"CUDA_VISIBLE_DEVICES=(\d) .* --run (\S+)", planned)
    assert dict((run, gpu) for gpu, run in found) == {study.runs[0].id: "0", "again": "1"}


def test_folders_may_have_blanks_and_commas_and_a_study_file_any_place(tmp_path):
    """Steps run in the results folder and by the shell, the study is named from elsewhere."""
    folder = tmp_path / "my cohort, new $HOME"
    folder.mkdir()
    write_base(folder)
    (folder / "study.yaml").rename(folder / "a study.yaml")
    process = subprocess.run(
        [sys.executable, "-m", "howfar", "--results", "my results", "run", "--study",
         "a study.yaml"], cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert tables.load("tiny", folder / "my results") is not None


@pytest.mark.usefixtures("planned")
def test_targets_and_notebooks_that_do_not_exist_are_refused(tmp_path):
    with pytest.raises(HowfarError, match="--to: found 'tabels'"):
        workflow.run(["demo"], tmp_path, target="tabels")
    write_base(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(path.read_text() + "notebooks: [tss_distanse]\n")
    with pytest.raises(HowfarError, match="key notebooks: found no notebook 'tss_distanse'"):
        workflow.run([str(path)], tmp_path / "r", target="notebooks")
    assert workflow.run([str(path)], tmp_path / "r", extra=["--dry-run"]) == 0


@pytest.mark.parametrize("count", [1, 3])
def test_what_steps_say_is_what_a_run_says(tmp_path, monkeypatch, count):
    """Not Snakemake's traceback; and with their exit status, as any HowfarError."""
    said = HowfarError("a.vcf", found="b", expected="c", do="Do d.")

    def steps(*_, env, **__):
        monkeypatch.setenv(workflow.ERRORS, env[workflow.ERRORS])
        for _ in range(count):
            assert cli._noted(said)
        return 1

    monkeypatch.setattr(workflow, "_run_stoppable", steps)
    with pytest.raises(HowfarError) as error:
        workflow.run(["demo"], tmp_path)
    assert str(error.value).count(str(said)) == (1 if count == 1 else 3)
    assert count > 1 or str(error.value) == str(said)
    assert not list(tmp_path.glob(".errors*"))


def test_a_failure_that_is_not_ours_shows_the_log(tmp_path, monkeypatch, capsys):
    log = tmp_path / ".snakemake" / "log" / "1.log"
    log.parent.mkdir(parents=True)
    log.write_text("the reason\n")
    monkeypatch.setattr(workflow, "_run_stoppable", lambda *_, **__: 1)
    assert workflow.run(["demo"], tmp_path) == 1
    assert "the reason" in capsys.readouterr().err


@pytest.mark.parametrize(("computed", "drawn"), [(False, True), (True, False)])
@pytest.mark.usefixtures("planned")
def test_a_study_that_brings_tables_is_drawn_until_it_is_computed(tmp_path, computed, drawn, capfd):
    if computed:
        stamp = workflow.plan("demo_kind", tmp_path).stamp("predict.demo-cage-a")
        (tmp_path / "demo_kind" / "steps").mkdir(parents=True)
        open(stamp, "w").close()
    assert not workflow.plan("demo_kind", tmp_path).drawn  # unless all studies are run
    assert workflow.plan("demo_kind", tmp_path, draws=True).drawn == drawn
    assert workflow.run(["demo_kind"], tmp_path, draws=True, extra=["--dry-run"]) == 0
    assert ("train" in capfd.readouterr().out) != drawn


@pytest.mark.usefixtures("planned")
def test_cures_are_a_step_where_the_study_file_asks_for_them(tmp_path, capfd):
    assert workflow.run(["demo"], tmp_path, extra=["--dry-run"]) == 0
    assert re.search(r"^cures +1$", capfd.readouterr().out, re.MULTILINE)
    assert workflow.run(["demo_kind"], tmp_path, extra=["--dry-run"]) == 0
    assert not re.search(r"^cures", capfd.readouterr().out, re.MULTILINE)


@pytest.mark.usefixtures("planned")
def test_trainings_on_people_are_a_step_before_the_runs_that_take_them(tmp_path, capfd):
    file = tmp_path / "own" / "tuned.yaml"
    file.parent.mkdir()
    study = yaml.safe_load((ROOT / "data" / "studies" / "demo.yaml").read_text())
    study["name"] = "tuned"
    text = yaml.safe_dump(study).replace("results/demo/", "results/tuned/")
    study = yaml.safe_load(text)
    study["finetune"] = [{"name": "people", "strategy": "single"}]
    folder = "results/tuned/finetune/people"
    run = {"id": "people", "label": "Trained", "model": "fine-tuned", "weights": folder}
    study["runs"].append(run)
    file.write_text(yaml.safe_dump(study))
    assert workflow.run([str(file)], tmp_path, extra=["--dry-run"]) == 0
    assert re.search(r"^finetune +1$", capfd.readouterr().out, re.MULTILINE)
    assert [path.name for path in load_study(str(file)).trained_weights] == ["weights"]
