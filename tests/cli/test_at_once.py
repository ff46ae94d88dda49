"""Two single commands at once on one study end in what one alone makes."""

import multiprocessing
import os

import numpy as np
import pandas as pd
import yaml
from typer.testing import CliRunner

from howfar.cli import app
from howfar.results.cache import Units

_FORK = multiprocessing.get_context("fork")
COMMANDS = [
    ["predict"],
    ["baseline", "--models", "blup", "--folds", "2", "--min-maf", "0"],
    ["effects", "--run", "g"],
    *([["evaluate"]] if os.environ.get("HOWFAR_LONG") else []),
    ["eqtl", "--permutations", "100"],
]


def run(results, words, said=None):
    given = ["--results", str(results), words[0], "--study", str(results.parent / "tiny.yaml")]
    done = CliRunner().invoke(app.app, [*given, *words[1:]])
    said = [] if said is None else said
    said.append((done.exit_code, done.output, str(done.exception)))
    return said


def at_once(results, words, monkeypatch):
    """Return what two processes say that end the same gene, and write its file, side by side."""
    both, whole = _FORK.Barrier(2), Units.write

    def write(self, *args, **more):
        try:
            both.wait(timeout=1)
        except Exception:  # the other has nothing left to write
            both.abort()
        whole(self, *args, **more)

    with _FORK.Manager() as manager, monkeypatch.context() as patch:
        patch.setattr(Units, "write", write)
        said = manager.list()
        pair = [_FORK.Process(target=run, args=(results, words, said)) for _ in range(2)]
        for each in pair:
            each.start()
        for each in pair:
            each.join(60)
        assert [each.exitcode for each in pair] == [0, 0]
        return list(said)


def made(results):
    """Return what a results folder holds by file: tables, and the predictions' arrays as such."""
    found = {path: pd.read_parquet(path) for path in results.rglob("*.parquet")}
    for path in results.rglob("predictions/**/*.npz"):
        with np.load(path) as kept:
            found[path] = pd.DataFrame({"values": kept["values"].ravel().tolist()})
    return {
        path.relative_to(results): frame.drop(columns="seconds", errors="ignore")
        for path, frame in found.items()
    }


def test_two_at_once_end_in_what_one_makes(study, model, tmp_path, monkeypatch):
    alone, shared = (tmp_path / name / "results" for name in ("alone", "shared"))
    for each in (alone, shared):
        each.mkdir(parents=True)
        text = yaml.safe_dump(study.model_dump(mode="json"))
        (each.parent / "tiny.yaml").write_text(text)
    for words in COMMANDS:
        (lone,) = run(alone, words)
        assert lone[0] == 0, lone
        said = at_once(shared, words, monkeypatch)
        assert 0 in [status for status, *_ in said], said
        for status, _, error in said:
            # A map of cis-eQTLs ends by removing the genes that it kept: one at a time.
            assert status == 0 or (words[0] == "eqtl" and "another map of cis-eQTLs" in error), said
    one, two = made(alone), made(shared)
    assert one.keys() == two.keys() and len(one) >= 8, list(one)
    for name in one:
        pd.testing.assert_frame_equal(one[name], two[name], obj=str(name))
    assert not list(shared.rglob(".*.part"))
