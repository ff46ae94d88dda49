"""No command changes, touches or writes over what it is given to read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

from helpers.commands import invoke
from howfar.cli import app
from howfar.cohort.files import own_files
from howfar.core.errors import HowfarError
from howfar.doctor.kept import Kept, remove
from howfar.study.schema import Study

FILES = ("ref.fa", "v.vcf.gz", "v.vcf.gz.tbi", "genes.csv", "expression.csv", "samples.csv")
#: Commands on a study, in the order in which each finds what it needs.
STUDY = {
    "doctor": (),
    "predict": ("--out", "{out}/p.csv"),
    "effects": ("--gene", "g1", "--out", "{out}/e.csv", "--tracks", "all"),
    "attribute": ("--gene", "g1", "--window", "8", "--out", "{out}/a.csv"),
    "tracks": ("--out", "{out}/t.csv"),
    "baseline": ("--models", "top1", "--min-maf", "0", "--folds", "2"),
    "apply-weights": ("{results}/tiny/baseline/top1.weights.parquet", "--out", "{out}/w.csv"),
    "eqtl": ("--permutations", "100"),
    "transfer": (),
    "stack": ("--models", "ridge"),
    "cures": ("--tracks", ""),
    "evaluate": (),
    "drivers": ("--out", "{out}/d.csv"),
    "motifs": ("--out", "{out}/m.csv"),
    "finetune": ("--strategy", "sagenet", "--set", "context=64", "--dry-run"),
    "training-set": ("--context", "64", "--out", "{out}/p.h5"),
    "export": ("--to", "{out}/export"),
    "explore": ("--out", "{out}/genes"),
    "submit": ("--run", "top1", "--out", "{out}/b.zip"),
    "run": ("--dry-run",),
    "clean": ("--yes",),
    "simulate": (),  # both refuse a study without a `simulate` block; tests/simulate has the rest
    "train": (),
}
COHORT = ("--reference", "{in}/ref.fa", "--variants", "{in}/v.vcf.gz", "--genes", "{in}/genes.csv")
#: Of them those that end in a message on four people, or without kept effects, a world or a task.
TOO_FEW = (
    "submit",
    "tracks",
    "drivers",
    "motifs",
    "simulate",
    "train",
    "transfer",
    "stack",
    "cures",
)
#: Commands on files.
OTHERS = {
    "init": ("mine", "{in}/ref.fa", "{in}/v.vcf.gz", "{in}/genes.csv", "--out", "{out}/m.yaml"),
    "sequences": (*COHORT, "--context", "64", "--out", "{out}/s.fa.gz"),
    "preprocess": ("rastogi2024", "{in}/expression.csv", "{out}/x.csv"),
    "predict-sequences": (
        *("--model", "helpers.tiny:count_letters", "--fasta", "{in}/w.fa"),
        *("--out", "{out}/q.csv"),
    ),
    "numbers": ("tiny", "--out", "{out}/n.csv"),
    "models": (),
    "diff": ("{results}", "{results}"),
    "score": ("{in}/w.fa",),  # no bundle; tests/board has the rest
}
#: Without an input of the user's (`book` and `inputs` make pages, `fetch` brings files), or
#: measured elsewhere by commands that read as `sequences` does.
WITHOUT = {"fetch", "book", "inputs", "template", "notebook", "haplotypes", "inference"}
WITHOUT |= {"baselines", "oracles", "knobs", "bslmm", "estimators", "worlds", "training"}
WITHOUT |= {"attribution", "attribution-truth", "growth", "windows", "trained-effects", "mixups"}
WITHOUT |= {"own-model", "arithmetic"}
WITHOUT |= {"cohort"}  # tests/cohort/test_recipes.py
WITHOUT |= {"training-tracks", "training-mpra"}  # tests/training/test_files.py


def states(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Digest, time and inode of each file of a folder, and its names."""
    return {
        path.name: (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
            path.stat().st_ino,
        )
        for path in sorted(folder.iterdir())
    }


def run(command, words, **places):
    filled = [word.format(**places) for word in words]
    return CliRunner().invoke(app.app, ["--results", str(places["results"]), command, *filled])


@pytest.fixture
def own(tmp_path):
    """The user's folder, apart from results and from what commands are told to write."""
    from helpers.tiny import make_study

    folder = tmp_path / "own"
    folder.mkdir()
    study = make_study(folder)
    (folder / "w.fa").write_text(">w\n" + "A" * 64 + "\n")
    return folder, study


def test_every_command_leaves_its_inputs_as_they_are(own, results_folder, tmp_path):
    folder, study = own
    places = {"in": folder, "results": results_folder, "out": tmp_path / "out"}
    before = states(folder)
    for command, words in STUDY.items():
        try:
            invoke(study, results_folder, command, *(w.format(**places) for w in words))
        except HowfarError:
            assert command in TOO_FEW, command
        assert states(folder) == before, command
    for command, words in OTHERS.items():
        run(command, words, **places)
        assert states(folder) == before, command


def test_every_command_is_among_them():
    commands = typer.main.get_command(app.app).commands
    groups = [*commands.values(), *commands["bench"].commands.values()]
    names = {command.name for command in groups} - {"bench"}
    assert names == STUDY.keys() | OTHERS.keys() | WITHOUT


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sequences", (*COHORT, "--context", "64", "--out", "{in}/{name}")),
        ("preprocess", ("sasse2023", "{in}/counts.csv", "{in}/{name}")),
        ("predict-sequences", (*OTHERS["predict-sequences"][:-1], "{in}/{name}")),
    ],
)
@pytest.mark.parametrize("by", ["name", "link"])
def test_an_output_over_an_input_is_refused(own, results_folder, command, words, by):
    folder, _ = own
    counts = np.random.default_rng(1).integers(20, 900, (30, 12))
    rows = [f"g{i}," + ",".join(map(str, row)) for i, row in enumerate(counts)]
    (folder / "counts.csv").write_text(
        "\n".join(["gene_id," + ",".join(f"P{i}" for i in range(12)), *rows])
    )
    name = {"sequences": "v.vcf.gz", "preprocess": "counts.csv"}.get(command, "w.fa")
    if by == "link":
        (folder / f"linked-{name}").symlink_to(folder / name)
        name = f"linked-{name}"
    before = states(folder)
    done = run(
        command,
        [w.replace("{name}", name) for w in words],
        **{"in": folder, "results": results_folder},
    )
    assert isinstance(done.exception, HowfarError), done.output
    assert "an input" in done.exception.found
    assert states(folder) == before


def test_clean_follows_no_link(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "run-1").mkdir()
    (tmp_path / "predictions").symlink_to(tmp_path / "own")
    with pytest.raises(HowfarError, match="a link"):
        remove(Kept("predictions", "run", tmp_path / "predictions" / "run-1"))
    assert (tmp_path / "own" / "run-1").is_dir()


def test_what_a_study_names_is_not_written_over(own, results_folder, monkeypatch):
    folder, study = own
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(study.model_dump(mode="json")))
    table = pd.DataFrame({"id": ["n"], "value": [1.0]})
    monkeypatch.setattr("howfar.results.tables.load", lambda *_: {"numbers": table})
    before = states(folder)
    for name in ("genes.csv", "tiny.yaml"):
        done = run("numbers", (str(file), "--out", f"{folder}/{name}"), results=results_folder)
        assert isinstance(done.exception, HowfarError), done.output
        assert "an input" in done.exception.found
    assert states(folder) == before


def test_all_that_a_study_names_is_an_input(tmp_path, monkeypatch):
    monkeypatch.setenv("HOWFAR_RESULTS", str(tmp_path / "results"))
    made, own = tmp_path / "results" / "world", tmp_path / "own"
    named = {"params": str(own / "p.json"), "targets": [str(own / "t.txt")]}
    run = {"label": "R", "model": "basenji2", "options": named}
    values = {
        "name": "mine",
        "title": "Mine",
        "reality": dict.fromkeys(["genotypes", "expression", "weights"], "simulated"),
        "cohort": {"reference": made / "r.fa", "variants": own / "v.bcf", "genes": made / "g.csv"},
        "runs": [
            run | {"id": "a", "weights": own / "w"},
            run | {"id": "b", "weights": made / "w", "options": {}},
        ],
        "eqtl": {"covariates": own / "c.txt"},
    }
    common = {own / name for name in ("v.bcf", "c.txt", "w", "p.json", "t.txt")}
    simulated = own_files(Study.model_validate(values | {"simulate": {"world": "demo"}}))
    assert set(simulated) == common - {own / "w"}  # which its training makes
    measured = own_files(Study.model_validate(values))
    assert set(measured) == common | {made / name for name in ("r.fa", "g.csv", "w")}
