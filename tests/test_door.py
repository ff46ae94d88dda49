"""The Python door: every public name resolves, and its example runs as pasted."""

import doctest
import inspect
import operator
import subprocess
import sys
import time

import pytest

import howfar as hf
from helpers.places import ROOT
from howfar.cohort.opened import OpenCohort

OBJECTS = [name for name in hf.__all__ if name != "figures"]


def test_names_that_do_not_exist_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hf.nothing  # noqa: B018
    assert set(hf.__all__) <= set(dir(hf))


@pytest.mark.parametrize("name", [*OBJECTS, "figures.central"])
def test_a_public_name_has_an_example_that_runs(name):
    found = operator.attrgetter(name)(hf)
    assert found.__doc__ and ">>>" in found.__doc__
    examples = doctest.DocTestFinder(recurse=False).find(found, name, globs={})
    assert sum(len(each.examples) for each in examples)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for each in examples:
        assert runner.run(each).failed == 0


@pytest.mark.parametrize("name", OBJECTS)
def test_public_functions_say_what_they_return(name):
    found = getattr(hf, name)
    if inspect.isfunction(found):
        assert inspect.signature(found).return_annotation is not inspect.Signature.empty


def readme_example() -> str:
    text = (ROOT / "README.md").read_text()
    return text.partition("```python\n")[2].partition("```")[0]


def test_the_example_of_the_readme_runs_as_pasted(tmp_path, monkeypatch, capsys):
    code = readme_example()
    assert "import howfar as hf" in code and len(code.splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert "gc-content" in capsys.readouterr().out
    assert not list(tmp_path.glob("results*"))


def test_predictions_in_memory_are_those_of_the_command_and_of_its_store(tmp_path):
    cohort, model = hf.example_cohort(), hf.load_model("gc-content")
    memory = hf.predict(cohort, model)
    disk = hf.predict(cohort, model, store=tmp_path)
    again = hf.predict(cohort, model, store=tmp_path)
    assert memory.people.equals(disk.people) and again.store.path == disk.store.path
    (one,) = hf.predict(cohort, model, genes=["demo0002"]).people.index
    assert one == "GENE0002"


def test_a_figure_of_tables_in_memory_shows_itself_in_a_notebook():
    cohort = hf.example_cohort()
    network = hf.predict(cohort, hf.load_model("gc-content", context=8_192), bins="centre63")
    tables = hf.evaluate(cohort, [network, hf.fit_linear(cohort, "top1")], draws=100)
    assert "<svg" in hf.figures.central(tables)._repr_svg_()
    private = OpenCohort(cohort.study.model_copy(update={"individuals": "private"}))
    assert "not shown" in hf.figures.scatter_people(
        private.panel().expression.iloc[0], None, private
    )


@pytest.mark.parametrize("code", ["import howfar", "import howfar; howfar.load_study"])
def test_importing_is_quick_and_brings_no_network(code):
    """Seconds of the processor, which a busy machine doesn't change."""
    probe = (
        f"import time; {code}; import sys; "
        "print(time.process_time(), 'torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    seconds, torch, pyplot = done.stdout.split()
    assert torch == pyplot == "False" and time.perf_counter() > start
    assert float(seconds) < 5
