"""Dockerfile, Apptainer definition and the script for a fresh Debian run one list of steps."""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from helpers.places import ROOT

SETUP = "sh /howfar/container/setup.sh"
DOCKER = (ROOT / "Dockerfile").read_text()
APPTAINER = (ROOT / "container" / "howfar.def").read_text()
FRESH = (ROOT / "container" / "fresh_debian.sh").read_text()
STEPS = (ROOT / "container" / "setup.sh").read_text()


def test_all_three_run_the_same_steps_on_the_same_debian():
    assert re.findall(r"^RUN (.*)$", DOCKER, re.MULTILINE) == [SETUP]
    section = APPTAINER.split("%post\n")[1].split("\n%")[0]
    assert section.split("\n") == [f"    {SETUP}", ""]
    assert "cd /howfar" in FRESH and 'set -- "sh container/setup.sh" "$@"' in FRESH
    base = re.search(r"^FROM (debian:\w+)-slim$", DOCKER, re.MULTILINE)[1]
    assert f"From: {base}-slim\n" in APPTAINER
    assert "sed -n 's/^FROM debian://p' Dockerfile" in FRESH  # the suite that debootstrap makes


def test_their_commands_are_those_of_the_readme():
    readme = (ROOT / "README.md").read_text().split("## Two commands")[1].split("```")[1]
    assert re.findall(r"^(make \w+)", readme, re.MULTILINE) == ["make book", "make test"]
    assert 'CMD ["make", "book"]' in DOCKER and "set -- make book" in APPTAINER
    for text in (DOCKER, APPTAINER):
        assert "make test" in text.split("FROM")[0].split("Bootstrap")[0]


def test_the_steps_are_make_setup_and_packages_that_ci_knows():
    ci = (ROOT / ".ci" / "run").read_text()
    tools = set(re.search(r"for program in (.*); do", ci)[1].split()) - {"chromium"}
    assert tools <= set(STEPS.split()) and "make setup" in STEPS
    assert not re.search(r"https?:|index-url", STEPS + DOCKER + APPTAINER + FRESH)


def test_what_docker_leaves_out_is_not_in_git():
    ignored = (ROOT / ".dockerignore").read_text().split()
    git = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    assert set(ignored) - {".git"} <= set(git)


def test_binder_makes_the_locked_environment():
    environment = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())
    assert {"python=3.11", "make"} <= set(environment["dependencies"])
    script = ROOT / "binder" / "postBuild"
    assert "make setup" in script.read_text() and os.access(script, os.X_OK)
    page = (ROOT / "book" / "again.md").read_text()
    assert all(limit in page for limit in ("2 CPUs", "7.5 GB", "8 hours"))


@pytest.mark.skipif(os.getenv("HOWFAR_LONG") != "1", reason="a Debian root, torch, and the book")
@pytest.mark.skipif(not shutil.which("debootstrap") or os.geteuid(), reason="debootstrap, as root")
def test_the_two_commands_in_a_fresh_debian(tmp_path):
    script = ["sh", ROOT / "container" / "fresh_debian.sh", tmp_path / "root"]
    subprocess.run([*script, "make book", "make test"], check=True)
    assert (tmp_path / "root/howfar/book/_build/html/index.html").is_file()
