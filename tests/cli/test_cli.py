import dataclasses
import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from howfar.cli import app, start
from howfar.cli import app as cli
from howfar.core.errors import HowfarError
from howfar.core.project import results_folder
from howfar.doctor import report as doctor
from howfar.fetch import catalogue
from howfar.fetch import catalogue as sources
from howfar.models.registry import MODELS
from howfar.results import tables
from howfar.study.reading import load_study
from howfar.workflow.needs import needed
from inputs.cohort import write_base
from inputs.running import command_line

COMMANDS = ["fetch", "simulate", "sequences", "predict", "evaluate", "numbers", "run", "bench",
            "doctor", "models", "predict-sequences"]  # fmt: skip


def program(*words, **kw) -> subprocess.CompletedProcess:
    """The real program, as a user starts it."""
    command = [sys.executable, "-m", "howfar", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kw)


def howfar(*words) -> subprocess.CompletedProcess:
    """The same in this process."""
    return subprocess.CompletedProcess(words, *command_line([str(word) for word in words]))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    shown = CliRunner().invoke(app.app, [command, "--help"])
    assert shown.exit_code == 0 and "Usage" in shown.output and len(shown.output) > 200


def test_an_error_is_one_message_and_exit_status_2_without_traceback():
    done = program("numbers", "nobody")
    assert done.returncode == 2 and done.stdout == ""
    assert "found no result tables; expected the tables of study nobody" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_starts_without_torch():
    words = "import sys, howfar.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


def test_numbers_writes_id_and_value(results_folder, tmp_path):
    run = dict(run_id="m", study="demo", label="M", kind="network", model="m")
    tables.write(tables.path_of(results_folder, "demo", "runs"), "runs", pd.DataFrame([run]), {})
    number = pd.DataFrame([dict(id="demo.m.x", value=0.25)])
    tables.write(tables.path_of(results_folder, "demo", "numbers"), "numbers", number, {})
    out = tmp_path / "n.csv"
    assert howfar("numbers", "demo", "--csv", out).returncode == 0
    assert out.read_text() == "id,value\ndemo.m.x,0.25\n"
    assert howfar("numbers", "demo").stdout == out.read_text()


@pytest.fixture
def region(shared) -> list[str]:
    folder = shared / "realregion"
    return ["--reference", folder / "chr20_1Mb.fa", "--variants", folder / "chr20_1Mb.vcf.gz",
            "--genes", folder / "genes.csv"]  # fmt: skip


def test_sequences_writes_the_oracles_checksums(shared, region, tmp_path):
    oracle = pd.read_csv(shared / "realregion" / "consensus_oracle.csv", dtype={"chrom": str})
    oracle = oracle[(oracle["context"] == 10_500) & (oracle["variants"] == "all")]
    out = tmp_path / "sums.csv"
    samples = ",".join(sorted(oracle["sample"].unique()))
    done = howfar("sequences", *region, "--samples", samples, "--context", 10_500, "--alleles",
                  "all", "--checksums", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    keys = ["gene", "sample", "haplotype"]
    both = pd.read_csv(out).merge(oracle, on=keys, suffixes=("", "_oracle"))
    assert len(both) == len(oracle) == 264
    assert (both["sha256"] == both["sha256_oracle"]).all()


def test_sequences_as_fasta_are_those_of_the_checksums(shared, region, tmp_path):
    common = [*region, "--samples", "EUR000", "--context", 501]
    assert howfar("sequences", *common, "--out", tmp_path / "s.fa.gz").returncode == 0
    assert howfar("sequences", *common, "--checksums", tmp_path / "s.csv").returncode == 0
    with gzip.open(tmp_path / "s.fa.gz", "rt") as lines:
        parts = lines.read().split(">")[1:]
    found = [hashlib.sha256("".join(p.splitlines()[1:]).encode()).hexdigest() for p in parts]
    assert found == list(pd.read_csv(tmp_path / "s.csv")["sha256"]) and len(found) == 22


def test_sequences_wants_one_output(region):
    done = howfar("sequences", *region, "--context", 501)
    assert done.returncode == 2 and "--out, --checksums: found neither" in done.stderr


def test_models_are_listed_without_torch(results_folder):
    words = (
        "import sys\nfrom howfar.cli import main\n"
        "sys.argv[1:] = ['models']\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, entry in MODELS.items():
        assert f"{name}: {entry.title}" in done.stdout
        assert f"licence of the weights: {entry.card.licence}" in done.stdout
    assert "weights not here; unverified" in done.stdout


@pytest.fixture
def bound(tmp_path, monkeypatch):
    """A mirror with ExPecto's files (made up), and the rows that describe them."""
    rows = {}
    for name in ("deepsea.beluga.pth", "Cells_EBV-transformed_lymphocytes.save"):
        known = catalogue.sources()[f"expecto/{name}"]
        url = f"https://host.example/{name}"
        rows[known.id] = dataclasses.replace(known, url=url, sha256="", bytes=0)
        place = tmp_path / "mirror" / "host.example" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(name)
    monkeypatch.setattr(sources, "sources", lambda: rows)
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path / "mirror"))
    return ["--results", str(tmp_path / "results"), "fetch", "expecto"]


def test_a_licence_must_be_agreed_to(bound, tmp_path, monkeypatch):
    runner, fetched = CliRunner(), tmp_path / "results" / "sources" / "expecto"
    refused = runner.invoke(app.app, bound)
    assert isinstance(refused.exception, HowfarError)
    assert "--accept-licence" in str(refused.exception) and not fetched.exists()
    assert "To be fetched" in refused.output and "Princeton Academic Use" in refused.output

    monkeypatch.setattr(start, "_terminal", lambda: True)
    declined = runner.invoke(app.app, bound, input="n\n")
    assert declined.exit_code == 1 and not fetched.exists()
    assert "not-for-profit" in declined.output and "use-agreement" in declined.output
    agreed = runner.invoke(app.app, bound, input="y\n")
    assert agreed.exit_code == 0 and len(list(fetched.iterdir())) == 2
    again = runner.invoke(app.app, bound)  # all there: nothing to agree to
    assert again.exit_code == 0 and "Do you agree" not in again.output


def test_a_licence_may_be_agreed_to_beforehand(bound):
    done = CliRunner().invoke(app.app, [*bound, "--accept-licence"])
    assert done.exit_code == 0 and "2 fetched" in done.output


def test_a_verification_ends_with_its_verdict(results_folder, monkeypatch):
    for fits in (True, False):
        with monkeypatch.context() as patched:
            patched.setattr(doctor, "verified", lambda *_, fits=fits: ("the report\n", fits))
            done = CliRunner().invoke(app.app, ["doctor", "--verify", "xpresso"])
        assert done.exit_code == (not fits) and done.output == "the report\n"
    done = howfar("doctor", "--verify", "xpresso")
    assert done.returncode == 2 and "howfar fetch xpresso" in done.stderr


def test_quick_takes_models_too():
    assert needed(["xpresso", "huang2023"]) == sorted(["xpresso", *load_study("huang2023").needs])


def test_a_study_file_is_utf8_whatever_the_terminal_shows(tmp_path):
    write_base(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(path.read_text().replace("A small", "Eine kleine Köhört, 基因,"), "utf-8")
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    plain["PYTHONIOENCODING"] = "ascii"
    done = program("--results", tmp_path / "r", "doctor", "--study", path, env=plain)
    assert done.returncode == 0, done.stderr
    assert "Study tiny: Eine kleine" in done.stdout


def test_too_little_memory_is_one_message(monkeypatch, capsys):
    def exhausted():
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(cli, "app", exhausted)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 2
    assert "found none left (Unable to allocate 9 TiB); expected room" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--window", "0"], ["--folds", "0"], ["--min-maf", "-0.5"], ["--min-maf", "nan"],
              ["--max-missing", "-1"], ["--seed", "-1"]],
)  # fmt: skip
def test_a_number_that_cannot_be_is_refused_and_not_left_out(words, tmp_path):
    write_base(tmp_path)
    study = ["--study", str(tmp_path / "study.yaml")]
    command = ["--results", str(tmp_path / "r"), "baseline", *study, "--models", "top1", *words]
    done = CliRunner().invoke(app.app, command)
    assert isinstance(done.exception, HowfarError)
    assert words[0][2:].replace("-", "_") in str(done.exception)


@pytest.mark.parametrize("given", ["", "."])
def test_an_output_without_a_name_is_refused(given, tmp_path):
    write_base(tmp_path)
    words = ["predict", "--study", str(tmp_path / "study.yaml"), "--csv", given]
    done = CliRunner().invoke(app.app, ["--results", str(tmp_path / "r"), *words])
    assert isinstance(done.exception, IsADirectoryError)


def test_models_of_a_transfer_must_be_named(tmp_path):
    write_base(tmp_path)
    words = ["transfer", "--study", str(tmp_path / "study.yaml"), "--models", ","]
    done = CliRunner().invoke(app.app, ["--results", str(tmp_path / "r"), *words])
    assert "--models: found none" in str(done.exception)


def test_files_of_a_benchmark_are_those_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOWFAR_RESULTS", str(tmp_path / "r"))
    assert results_folder(Path("mine.fa")).resolve() == tmp_path / "mine.fa"
    assert results_folder(Path("results/region/data/genes.csv")).is_relative_to(tmp_path / "r")


@pytest.mark.parametrize(
    "words, says",
    [(["--haplotypes", "0"], "equal to 1"), (["--batch", "0"], "equal to 1"),
     (["--precision", "float8"], None),
     (["--context", "100"], None), (["--device", "banana"], None), (["--gene", "NOPE"], None)],
)  # fmt: skip
def test_a_benchmark_refuses_what_it_cannot_measure(words, says, tmp_path):
    """A batch of 0 went on without end; a precision that doesn't exist was measured as another."""
    write_base(tmp_path)
    names = {"--reference": "reference.fa", "--variants": "variants.vcf.gz", "--genes": "genes.csv"}
    files = [word for flag, name in names.items() for word in (flag, str(tmp_path / name))]
    command = ["bench", "inference", "--quick", *files, "--gene", "ONE", "--context", "256", *words]
    done = CliRunner().invoke(app.app, ["--results", str(tmp_path / "r"), *command])
    if says:
        assert done.exit_code == 2 and says in done.output
    else:
        assert isinstance(done.exception, HowfarError)
        assert words[0][2:] in str(done.exception)


def test_a_benchmark_of_linear_models_knows_their_names(tmp_path):
    write_base(tmp_path)
    names = {"--reference": "reference.fa", "--variants": "variants.vcf.gz", "--genes": "genes.csv"}
    files = [word for flag, name in names.items() for word in (flag, str(tmp_path / name))]
    done = CliRunner().invoke(app.app, ["bench", "baselines", *files, "--models", "ridge"])
    assert "name of a linear model: found 'ridge'" in str(done.exception)


def test_a_template_names_the_file_that_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOWFAR_RESULTS", str(tmp_path / "elsewhere"))
    given = {"results/v.vcf.gz": str(tmp_path / "results" / "v.vcf.gz"), "a/v.bcf": "a/v.bcf"}
    for path, written in given.items():
        assert start._from(tmp_path / "mine.yaml", path) == written
    monkeypatch.setenv("HOWFAR_RESULTS", str(tmp_path / "results"))
    assert start._from(tmp_path / "mine.yaml", "results/v.bcf") == "results/v.bcf"
