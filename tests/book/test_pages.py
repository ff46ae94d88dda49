"""The book: its contents, its generated pages, and what no page may hold."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml

from helpers import synthetic
from helpers.places import ROOT
from howfar import figures
from howfar.book import notebook_page, reference_pages, start_page
from howfar.book import pages as book
from howfar.cli.app import app
from howfar.core.errors import HowfarError
from howfar.core.project import executed_notebook, figures_folder, project_root
from howfar.figures.view import NO_FIGURE
from howfar.results import tables
from howfar.study.reading import load_study
from howfar.study.schema import study_names

BOOK = ROOT / "book"
PAGES = [p for p in BOOK.glob("*.md")]


def toc_files() -> list[str]:
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text())
    chapters = [c for part in toc["parts"] for c in part["chapters"]]
    return [toc["root"], *(c["file"] for c in chapters)]


def executed(folder: Path, study: str = "demo") -> Path:
    """A notebook as papermill leaves it: injected parameters and paths in the metadata."""
    cells = [
        nbformat.v4.new_markdown_cell("# Reference correlation\n\nWords."),
        nbformat.v4.new_code_cell('study = "x"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            'results = "/secret/place"', metadata={"tags": ["injected-parameters"]}
        ),
        nbformat.v4.new_code_cell("1 + 1", metadata={"tags": ["hide-input"], "papermill": {}}),
    ]
    warning = nbformat.v4.new_output("stream", name="stderr", text="/secret/place: a warning")
    cells[-1]["outputs"] = [warning]
    path = folder / f"reference_correlation.{study}.ipynb"
    meta = {"papermill": {"output_path": "/secret/place"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=meta), path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`prepare` run on a copy of the book with made-up notebooks, and demo tables only."""
    tmp_path = tmp_path_factory.mktemp("made")
    copy, results = tmp_path / "book", tmp_path / "results"
    copy.mkdir()
    (copy / "_toc.yml").write_text((BOOK / "_toc.yml").read_text())
    pages = [*book.executed_pages(copy), ("synthesis", ""), ("ledger", "")]
    for name, study in pages:
        place = executed_notebook(results, name, study)
        place.parent.mkdir(parents=True, exist_ok=True)
        executed(tmp_path, study or "demo").rename(place)
    (results / "book" / "inputs.md").write_text("# Every input\n")
    figures_folder(results, "demo").mkdir()
    (figures_folder(results, "demo") / "central.demo.svg").write_text("<svg/>")
    synthetic.write(results, "demo")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(book, "board_page", lambda *_: "# The board\n")  # test_board_page.py
        return book.prepare(results, app, copy)


def test_contents_name_files_that_exist_or_are_generated():
    for name in toc_files():
        if not name.startswith("_generated/"):
            assert (BOOK / f"{name}.md").is_file(), name
    assert {p.stem for p in PAGES} <= {Path(n).name for n in toc_files()}


def test_contents_hold_every_study_with_notebooks_and_no_other():
    pages = book.executed_pages(BOOK)
    known = {(n, s) for s in study_names() for n in load_study(s).notebooks}
    assert set(pages) == known
    for name, _ in pages:
        assert (ROOT / "notebooks" / f"{name}.ipynb").is_file()


def test_every_page_of_the_contents_is_made(made):
    for name in toc_files():
        if name.startswith("_generated/"):
            file = made.parent / name
            assert any((made / f"{file.name}{end}").is_file() for end in (".md", ".ipynb")), name


def test_pages_hold_no_path_and_no_parameters(made):
    for page in made.glob("*.ipynb"):
        text = page.read_text()
        assert "/secret" not in text and "injected" not in text
    page = json.loads((made / "reference_correlation.demo.ipynb").read_text())
    title_of = load_study("demo").title
    title, words, figure, code = page["cells"]
    assert title["source"] == f"# Reference correlation: {title_of}" and words["source"] == "Words."
    assert figure["metadata"]["tags"] == ["remove-input"] and "".join(figure["source"]) == "1 + 1"
    assert "Code of this page" in code["source"] and "1 + 1" in code["source"]


def test_sections_without_a_figure_are_named_at_the_end(tmp_path):
    path = executed(tmp_path)
    notebook = nbformat.read(path, 4)
    for title, box in (("Kept", "A figure"), ("Gone", f"{NO_FIGURE}\nNo people are public.")):
        output = nbformat.v4.new_output("execute_result", data={"text/plain": box})
        cell = nbformat.v4.new_code_cell(f"draw_{title}()", metadata={"tags": ["hide-input"]})
        notebook.cells += [nbformat.v4.new_markdown_cell(f"## {title}\n\nWords."), cell]
        notebook.cells[-1].outputs = [output]
    nbformat.write(notebook, path)
    cells = ["".join(c["source"]) for c in json.loads(notebook_page.page(path, "demo"))["cells"]]
    assert "## Kept\n\nWords." in cells and not any("## Gone" in text for text in cells)
    assert "- *Gone*: No people are public." in cells[-2]
    assert "draw_Kept()" in cells[-1] and "draw_Gone()" not in "".join(cells)


def test_a_notebook_that_was_not_run_is_named(tmp_path):
    (tmp_path / "_toc.yml").write_text((BOOK / "_toc.yml").read_text())
    with pytest.raises(HowfarError, match="make book"):
        book.prepare(tmp_path, app, tmp_path)
    assert not (tmp_path / "_generated").exists()


def test_the_answer_takes_its_numbers_from_the_table(made):
    table = tables.load("demo", made.parents[1] / "results")["numbers"].set_index("id")["value"]
    text = (made / "answer.md").read_text()
    assert len(re.findall(r"^\d\. ", text, re.MULTILINE)) == 5
    for run in ("net", "blup", "truth"):
        assert f"{table[f'demo.{run}.across.pooled.mean_r']:.3f}".replace("-", "−") in text
    assert "howfar fetch geuvadis_public" in text and "howfar fetch sasse2023" in text


def test_the_answer_of_published_people(tmp_path):
    for study in book.STUDIES:
        synthetic.write(tmp_path, study)
    views = {s: figures.view(s, results=tmp_path) for s in book.STUDIES}
    text = start_page.answer(views)
    table = views["geuvadis_public"].tables["numbers"].set_index("id")["value"]
    for what in (
        "net.reference.pearson",
        "blup.paired.net.mean_second",
        "blup.across.pooled.mean_r",
    ):
        assert f"{table[f'geuvadis_public.{what}']:.3f}" in text
    assert "howfar fetch" not in text and "nan" not in text
    table = views["sasse2023"].tables["numbers"].set_index("id")["value"]
    for what in ("null_rms", "observed_sd", "sampling_sd"):
        assert f"{table[f'sasse2023.net.across.pooled.{what}']:.3f}" in text
    clear = f"{100 * table['sasse2023.net.across.pooled.right_sign.strong']:.0f} % (95 %"
    assert "right more often than a coin" in text and clear in text


def test_numbers_page_lists_every_number(made):
    table = tables.load("demo", made.parents[1] / "results")["numbers"]
    text = (made / "numbers_demo.md").read_text()
    assert text.count("<tr><td>") == len(table)
    for key in table["id"]:
        _, group, rest = key.split(".", 2)
        assert f"## `{group}`" in text and f"<tr><td>{rest}<td>" in text
    assert f"{len(table):,} numbers" in (made / "numbers.md").read_text()


def test_tables_page_has_every_column():
    text = reference_pages.table_reference()
    for name, schema in tables.SCHEMAS.items():
        assert f"## `{name}`" in text
        for column in schema.columns:
            assert f"| `{column}` |" in text
    for feature in tables.FEATURES:
        assert f"| `{feature}` |" in text


def test_commands_page_has_every_command():
    text = reference_pages.commands(app)
    names = [c.name or c.callback.__name__ for c in app.registered_commands]
    assert {"fetch", "run", "predict", "evaluate", "numbers"} <= set(names)
    for name in names:
        assert f"## `howfar {name}`" in text
    assert "`--study`" in text


def test_commands_named_on_pages_exist():
    text = reference_pages.commands(app)
    for page in PAGES:
        for command in re.findall(r"howfar ([a-z]+) ", page.read_text().replace("`", " ")):
            if command in (
                "fetch",
                "simulate",
                "sequences",
                "predict",
                "evaluate",
                "numbers",
                "run",
                "bench",
                "doctor",
            ):
                assert f"## `howfar {command}" in text, (page.name, command)


def test_pages_make_no_request_and_hold_no_typed_result():
    for page in PAGES:
        text = page.read_text()
        assert "$$" not in text and "cdn" not in text.lower()
        assert not re.search(r"<(script|img|link)\b", text)
    # The start page gets every number from the tables.
    assert not re.search(r"0\.\d{2,}", (BOOK / "index.md").read_text())


def test_every_citation_has_its_entry():
    keys = set(re.findall(r"@\w+\{([^,]+),", (BOOK / "references.bib").read_text()))
    cited = set()
    for page in PAGES:
        for group in re.findall(r"\{cite\}`([^`]+)`", page.read_text()):
            cited |= {key.strip() for key in group.split(",")}
    assert cited == keys


def test_ledger_reads_the_list_or_the_workflows_clock(tmp_path):
    assert isinstance(book.ledger(tmp_path), figures.Box)
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings" / "train.demo.tsv").write_text("s\th:m:s\n61.5\t0:01:01\n")
    (tmp_path / "timings" / "book.tsv").write_text("s\th:m:s\n8.5\t0:00:08\n")
    assert book.ledger(tmp_path)["seconds"].to_dict() == {
        "train.demo": 61.5,
        "book": 8.5,
        "sum of all steps": 70.0,
    }
    (tmp_path / "ledger.csv").write_text("step,seconds\na,1\nb,2\n")
    assert book.ledger(tmp_path)["seconds"]["sum of all steps"] == 3


def test_browser_check_finds_what_is_wrong(tmp_path):
    """A page with a missing image, a script error and a request off the server is refused."""
    check = pytest.importorskip("browser_check")
    try:
        check.chromium()
    except SystemExit as reason:
        pytest.skip(str(reason))
    (tmp_path / "index.html").write_text(
        "<img src='gone.png'><script>throw new Error('broken')</script>"
        "<link rel='stylesheet' href='http://192.0.2.1/a.css'><div style='width:2000px'>.</div>"
        f"<p style='height:7000px;color:#999'>pale</p><!--{'x' * 700_000}-->"
        "<style>tr:nth-child(30) td {background: #555}</style>"
        f"<table>{'<tr><td>cell</td></tr>' * 50}</table><input value='pale' style='color:#999'>"
    )
    script = str(Path(check.__file__))
    done = subprocess.run(
        [sys.executable, script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    for problem in (
        "image not drawn",
        "script error: broken",
        "off the server",
        "404",
        "px wide on a screen of 390",
        "the search finds nothing",
        "px tall",
        "kB to load",
        "color-contrast (serious) at 3 places",
    ):
        assert problem in done.stdout, (problem, done.stdout)


def test_the_model_of_the_cohort_page_runs_as_written():
    text = (project_root() / "book" / "cohort.md").read_text()
    code = text.split("```python\n", 1)[1].split("```", 1)[0]
    names: dict = {}
    exec(code, names)
    model = names["load"](None, "cpu")
    windows = np.frombuffer(b"GCAT" * 1024, np.uint8).reshape(2, 2048)
    assert model.predict(windows, [0], [0]).tolist() == [[[0.5]], [[0.5]]]
    assert model.tss_bin("+") == 0 and model.track_indices(["expression"]) == [0]


def test_the_network_of_the_page_shares_as_the_page_says(one_thread):
    import howfar as hf
    from howfar.bench.own_model import loader_of_page, of_gene

    cohort = hf.example_cohort()
    with loader_of_page() as loader:
        model, plain = hf.load_model(loader, device="cpu"), hf.load_model(loader, engine="plain")
        assert model.engine == "shared"
        assert f"> {model.notes[0]}\n" in (project_root() / "book" / "own_model.md").read_text()
        row = of_gene(cohort, cohort.genes[0], model, plain)
    assert row["error_sd"] < 1e-2 and 0 < row["tower_share"] < 0.6, row
    assert model.engine == "shared"


def test_the_cost_of_fine_tuning_is_that_of_its_operations():
    """Of a batch of 32 people: 64 windows; with the page's mean of 10.7 and 47.7 distinct."""
    from howfar.bench.inference import operations
    from howfar.models.zoo.enformer import SIZES

    text = (project_root() / "book" / "fine_tune.md").read_text()
    work = operations(SIZES | {"output_heads": {"human": 1}}, 49_152)
    after = work["whole"] - work["tower"]
    batches = 400 * (250 // 16)
    for tower, passed in ((64, 64), (10.72, 64), (10.72, 47.73)):
        tflop = 3 * (tower * work["tower"] + passed * after) / 1e12
        epoch = tflop * batches
        assert f"| {tflop:.0f} | {round(epoch, -4):,.0f} | {epoch / 150 / 3600:.1f} |" in text
