"""Simulation and training write into the study's results folder, over nothing of the user's."""

from __future__ import annotations

import hashlib
import os

import pytest
import yaml

from howfar.core.atomic import only_one
from howfar.core.errors import HowfarError
from howfar.simulate import worlds
from howfar.study.reading import load_study
from howfar.study.schema import study_file


@pytest.fixture
def world(monkeypatch):
    """What a simulation writes, in no time."""

    def write(_, world, folder, options):
        (folder / "reference.fa").write_text(f">1\nACGT{options['people']}\n")
        (folder / "genes.csv").write_text("gene_id\n")

    monkeypatch.setattr(worlds, "_simulate", write)


@pytest.fixture
def copied(tmp_path):
    """Make the demo's study file as a user copies it: another name, and files `at` a folder."""

    def write(at, people=24):
        text = study_file("demo").read_text().replace("name: demo", "name: mine")
        text = text.replace("people: 300", f"people: {people}")
        path = tmp_path / "mine.yaml"
        text = text.replace("results/demo/weights", "results/mine/weights")
        path.write_text(text.replace("results/demo/world", str(at)))
        assert yaml.safe_load(path.read_text())["simulate"]
        return load_study(str(path))

    return write


def states(folder):
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.is_file()
    }


@pytest.mark.parametrize("step", [worlds.simulate_study, worlds.train_study])
@pytest.mark.parametrize("place", ["own", "results/demo/world", "results/mine"])
def test_a_copied_study_writes_over_nothing_of_the_users(world, copied, tmp_path, step, place):
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / "reference.fa").write_text(">mine\nACGT\n")
    before = states(folder)
    with pytest.raises(HowfarError, match=r"a `simulate` block.* below results/mine/"):
        step(copied(folder))
    assert states(folder) == before


def test_files_in_the_studys_own_folder_are_refused_unless_a_simulation_made_them(
    world, copied, results_folder, tmp_path
):
    folder = results_folder / "mine" / "world"
    worlds.simulate_study(copied(folder))
    worlds.simulate_study(copied(folder, people=25))  # its own, made anew
    assert "ACGT25" in (folder / "reference.fa").read_text()
    (folder / "reference.fa").write_text(">edited\nACGT\n")
    before = states(folder)
    with pytest.raises(HowfarError, match=r"reference\.fa: found a file that the simulation did"):
        worlds.simulate_study(copied(folder))
    (folder / "reference.fa").unlink()
    (tmp_path / "own.fa").write_text(">own\nACGT\n")
    (folder / "reference.fa").symlink_to(tmp_path / "own.fa")
    with pytest.raises(HowfarError, match=r"a link to .*own\.fa"):
        worlds.simulate_study(copied(folder))
    assert (tmp_path / "own.fa").read_text() == ">own\nACGT\n"
    assert states(folder).keys() == before.keys()


def test_a_folder_linked_to_the_users_is_followed_and_refused(
    world, copied, results_folder, tmp_path
):
    (tmp_path / "own").mkdir()
    (results_folder / "mine").mkdir(parents=True)
    (results_folder / "mine" / "world").symlink_to(tmp_path / "own")
    with pytest.raises(HowfarError, match="below results/mine/"):
        worlds.simulate_study(copied(results_folder / "mine" / "world"))


def test_a_killed_simulation_is_done_again(world, copied, results_folder, monkeypatch):
    folder = results_folder / "mine" / "world"
    worlds.simulate_study(copied(folder))
    moved, replace = [], worlds.os.replace

    def killed(source, target):
        if len(moved) == 3:  # the note, and one of two files
            raise KeyboardInterrupt
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(worlds.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        worlds.simulate_study(copied(folder, people=25))
    monkeypatch.setattr(worlds.os, "replace", replace)
    worlds.simulate_study(copied(folder, people=26))
    assert "ACGT26" in (folder / "reference.fa").read_text()


def test_weights_that_no_training_of_ours_wrote_stay(world, copied, results_folder):
    study = copied(results_folder / "mine" / "world")
    own = results_folder / "mine" / "weights" / "weights.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"fine-tuned")
    with pytest.raises(HowfarError, match="the training did not make"):
        worlds.train_study(study)
    assert own.read_bytes() == b"fine-tuned"


@pytest.mark.parametrize("step", [worlds.simulate_study, worlds.train_study])
def test_two_at_once_are_one_message_that_names_the_process(world, copied, results_folder, step):
    folder = results_folder / "mine" / "world"
    study = copied("results/mine/world")
    held = only_one(results_folder / "mine" / ".world.lock", "simulation")
    with held, pytest.raises(HowfarError, match="another `howfar simulate` or `train`") as error:
        step(study)
    assert error.value.found.endswith(f"process {os.getpid()}")
    assert error.value.do == "Wait for it to end." and not folder.exists()
    worlds.simulate_study(study)
    assert (folder / "reference.fa").is_file()
