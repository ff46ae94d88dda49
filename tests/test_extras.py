"""The core works without the extras, and a missing module names the extra that brings it."""

import os
import subprocess
import sys
import textwrap

import pytest

from howfar.core.extras import EXTRAS, missing_extra

REFUSING = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(EXTRAS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def run(code: str, folder, *words) -> subprocess.CompletedProcess:
    """Run Python in a folder, with every module of an extra made unimportable."""
    given = [sys.executable, "-c", REFUSING + textwrap.dedent(code), *map(str, words)]
    return subprocess.run(
        given,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HOWFAR_RESULTS": str(folder / "r")},
    )


def test_the_linear_path_needs_no_extra(tmp_path):
    done = run(
        """
        import howfar as hf

        cohort = hf.example_cohort()
        linear = [hf.fit_linear(cohort, name) for name in ("top1", "enet", "blup", "prs_pt")]
        network = hf.predict(cohort, hf.load_model("gc-content"))
        tables = hf.evaluate(cohort, [network, *linear], draws=100)
        hf.variant_effects(cohort, hf.load_model("gc-content"), "demo0001")
        hf.figures.central(tables)
        from howfar.evaluation import trainings
        from howfar.training.recipe import described, recipe_of
        recipe = described(recipe_of("single", {"train": "head"}))  # of a training on a cluster
        assert trainings.label_of(recipe) == "single, train head"
        print(len(tables["across"]))
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


STUDY = """
name: core
title: Core
reality: {{genotypes: simulated, expression: simulated, weights: none}}
cohort:
  reference: {0}/reference.fa
  variants: {0}/variants.vcf.gz
  genes: {0}/genes.csv
  expression: {0}/expression.csv
  samples: {0}/samples.csv
baselines: {{models: [top1, blup]}}
evaluation: {{null_draws: 100, bootstrap: 100, min_maf: 0.1}}
"""

#: `howfar` with each of the commands that "then" separates.
MAIN = """
import sys
from howfar.cli import main
commands = [[]]
for word in sys.argv[1:]:
    commands.append([]) if word == "then" else commands[-1].append(word)
for words in commands:
    sys.argv = ["howfar", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def test_commands_of_the_linear_path_need_no_extra(tmp_path):
    from howfar.simulate.example import FOLDER

    study = tmp_path / "study.yaml"
    study.write_text(STUDY.format(FOLDER))
    words = ["--help"]
    for command in (["baseline"], ["eqtl", "--permutations", "100"], ["evaluate"], ["doctor"]):
        words += ["then", *command, "--study", study]
    done = run(MAIN, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r" / "core" / "tables" / "across.parquet").is_file()


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["run", "--study", "demo"], "workflow"),
        (["simulate", "--study", "demo"], "simulate"),
        (
            ["predict-sequences", "--model", "xpresso", "--fasta", "x.fa", "--out", "x.csv"],
            "models",
        ),
    ],
)
def test_a_missing_module_names_its_extra(tmp_path, words, extra):
    (tmp_path / "x.fa").write_text(">a\n" + "A" * 10_500 + "\n")
    done = run(MAIN, tmp_path, *words)
    assert done.returncode == 2 and f"pip install 'howfar[{extra}]'" in done.stderr, done.stderr


def test_a_module_of_no_extra_is_no_errors_concern():
    assert missing_extra("nothing") is None
