"""The gene explorer: its rows are the tables', its weight is bounded, and people stay private."""

from __future__ import annotations

import http.server
import json
import re
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from helpers import synthetic
from howfar.book import genes
from howfar.cli import app as cli
from howfar.core.errors import HowfarError
from howfar.results import policy, tables
from howfar.study.reading import load_study

STUDIES = ("geuvadis_public", "sasse2023", "demo")  # public people, private people, simulated


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[list[genes.Source], Path]:
    """Three made-up studies and the folder of their explorer."""
    home = tmp_path_factory.mktemp("explorer")
    for seed, study in enumerate(STUDIES):
        synthetic.write(home / "results", study, seed, numbers=study == "demo")
    sources = [genes.need_source(load_study(study), home / "results") for study in STUDIES]
    return sources, genes.write(sources, home / "genes")


def read(path: Path) -> list:
    """The arguments of the call that a script is."""
    inner = re.fullmatch(r"howfarGenes\.\w+\((.*)\);\n", path.read_text("utf-8"), re.DOTALL)[1]
    return json.loads(f"[{inner}]")


def unpacked(gene_id: str, rows: list) -> list[dict]:
    """A gene's rows, as the page's script unpacks them."""
    n, columns = rows
    values = {}
    for column, packed in columns.items():
        if isinstance(packed, dict) and "tile" in packed:
            packed = packed["tile"] * (n // len(packed["tile"]))
        elif isinstance(packed, dict):
            packed = list(np.repeat(packed["each"], n // len(packed["each"])))
        values[column] = packed if isinstance(packed, list) else [packed] * n
    return [{"gene_id": gene_id} | {c: v[i] for c, v in values.items()} for i in range(n)]


def everything(folder: Path) -> dict[tuple[str, str], list[dict]]:
    """Rows by (study, table), from names and shards alone."""
    (names,) = read(folder / "names.js")
    last, ids = 0, []
    for text in names["ids"].split(names["between"]):
        last += 0 if text.startswith("=") else int(text, 36)
        ids.append(text[1:] if text.startswith("=") else f"ENSG{last:011d}")
    found = {}
    for number, first in enumerate(names["shards"]):
        index, shard = read(folder / f"{number}.js")
        assert index == number
        for gene, studies in zip(ids[first:], shard, strict=False):
            for study, parts in studies.items():
                for table, rows in parts.items():
                    found.setdefault((study, table), []).extend(unpacked(gene, rows))
    return found


def test_the_shards_hold_the_rows_of_the_tables(made):
    sources, folder = made
    found = everything(folder)
    for source in sources:
        for name in genes.SHOWN:
            frame = source.tables[name]
            rows = pd.DataFrame(found.get((source.study.name, name), []), columns=frame.columns)
            shown = tables.validate(name, rows, "shards")
            assert_frame_equal(shown, frame, check_dtype=False, rtol=1e-5)
    assert {table for _, table in found} == {"genes", "across", "features", "reference", "points"}


_WORDS = st.sampled_from(["a", 'b"c', "</script>", "é, ü", "1:2:A:G"])
_NUMBERS = st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(np.inf))


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["g1", "g2", "g3"]), _WORDS, _WORDS, _NUMBERS, _NUMBERS),
        min_size=1,
        max_size=40,
    )
)
def test_any_rows_come_back_as_they_were(rows):
    columns = ["gene_id", "run_id", "variant", "effect", "slope"]
    frame = pd.DataFrame(rows, columns=columns).drop_duplicates(columns[:3])
    frame = frame.astype({"effect": float, "slope": float}).sort_values(columns[:3])
    packed = genes.packed_rows(frame, ["variant", "run_id"])
    back = [row for gene, text in packed for row in unpacked(gene, json.loads(text))]
    back = pd.DataFrame(back, columns=columns).astype(frame.dtypes).sort_values(columns[:3])
    assert_frame_equal(
        back.reset_index(drop=True), frame.reset_index(drop=True), rtol=1e-5, atol=1e-12
    )


def test_people_of_a_private_study_are_in_no_file(made):
    sources, folder = made
    private = next(s for s in sources if not policy.shows_people(s.study))
    assert private.tables["points"].empty
    text = "".join(path.read_text("utf-8") for path in folder.iterdir())
    with_points = {study for study, table in everything(folder) if table == "points"}
    assert with_points == {"geuvadis_public", "demo"}
    assert "SECRET" not in text and '"sample"' not in text  # identifiers, of public people too


def test_tables_made_under_a_laxer_rule_are_not_shown(tmp_path):
    study = load_study("demo").model_copy(update={"individuals": "private"})
    synthetic.write(tmp_path, "demo", numbers=False)
    with pytest.raises(HowfarError, match="min_people"):
        genes.source(study, tmp_path)


@pytest.fixture(scope="module")
def heavy() -> genes.Source:
    """As many genes as the book has; one has 1,400 variants, some 421 people and six runs."""
    rng = np.random.default_rng(1)
    ids = [f"ENSG{n:011d}" for n in np.sort(rng.choice(290_000, 22_000, replace=False))]
    runs = [f"run_{i}" for i in range(6)]
    frames = {name: tables.empty(name) for name in tables.SCHEMAS}
    named = pd.DataFrame({"gene_id": ids, "name": [f"AB{i}" for i in range(len(ids))]})
    frames["genes"] = tables.validate("genes", named, "")
    listed = {"run_id": runs, "study": "demo", "label": runs, "kind": "linear", "model": runs}
    frames["runs"] = tables.validate("runs", pd.DataFrame(listed), "")
    people = {"run_id": np.repeat(runs, 421), "observed": np.tile(rng.normal(size=421), 6)}
    points = [
        pd.DataFrame(people).assign(gene_id=g, predicted=rng.normal(size=6 * 421)) for g in ids[:4]
    ]
    frames["points"] = tables.stack("points", points, "")
    effects = pd.DataFrame({"variant": [f"rs{i}" for i in range(1_400)]}).merge(
        pd.DataFrame({"run_id": runs[:2]}), how="cross"
    )
    effects = effects.assign(gene_id=ids[0], source="s", effect=rng.normal(size=2_800))
    slopes = dict(zip(effects["variant"].unique(), rng.normal(size=1_400), strict=True))
    effects = effects.assign(
        slope=effects["variant"].map(slopes), p=effects["variant"].map(slopes).abs() / 9
    )
    frames["effects"] = tables.validate("effects", effects, "")
    return genes.Source(load_study("demo"), tables.Tables("demo", frames))


def test_the_first_view_and_a_gene_are_light(heavy):
    texts = dict(genes.scripts([heavy]))
    page = 40_000  # of the theme; the browser check weighs the real one
    first = page + sum(len(t.encode()) for t in [texts.pop("names.js"), *genes._assets().values()])
    assert first <= genes.FIRST_VIEW
    assert texts and max(len(text.encode()) for text in texts.values()) <= genes.PER_GENE


def test_a_study_is_explored_from_the_command_line(tmp_path, monkeypatch):
    synthetic.write(tmp_path, "demo", numbers=False)
    invoke = lambda *words: CliRunner().invoke(  # noqa: E731
        cli.app, ["--results", str(tmp_path), "explore", "--study", "demo", *map(str, words)]
    )
    done = invoke("--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    report = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "60 genes, 80 people; 4 models" in report
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=|https?://(?!www\.w3\.org)", report)
    for path in (tmp_path / "out" / "genes").glob("[0-9]*.js"):
        assert path.read_text("utf-8").replace("</", "<\\/") in report
    assert isinstance(invoke("--out", tmp_path / "out").exception, HowfarError)  # it isn't empty
    assert isinstance(invoke().exception, HowfarError)

    def look(server):
        port = server.server_address[1]
        server.timeout = 5
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/genes.html") as answer:
            assert b"howfar-genes" in answer.read()

    def forever(server):
        import threading

        thread = threading.Thread(target=server.handle_request)
        thread.start()
        look(server)
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(http.server.ThreadingHTTPServer, "serve_forever", forever)
    assert "until Ctrl-C" in invoke("--serve").output


def test_a_study_without_tables_is_named(tmp_path):
    with pytest.raises(HowfarError, match="howfar run --study demo"):
        genes.need_source(load_study("demo"), tmp_path)


def test_every_feature_has_words_on_the_page():
    script = (genes._ASSETS / "genes.js").read_text("utf-8")
    for feature in tables.FEATURES:
        assert f"{feature}:" in script


def test_a_page_opened_as_a_file_finds_a_gene_and_gives_its_rows(tmp_path):
    """Typed name to numbers, picture and download, in Chromium, without a server."""
    check = pytest.importorskip("browser_check")
    try:
        browser = check.chromium()
    except SystemExit as reason:
        pytest.skip(str(reason))
    synthetic.write(tmp_path, "demo", numbers=False)
    source = genes.need_source(load_study("demo"), tmp_path)
    across = source.tables["across"].query("gene_id == 'GENE012'")
    with check.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = opened.new_page()
        problems: list = []
        page.on("pageerror", lambda error: problems.append(error))
        for address in genes.write_page(source, tmp_path / "out"):
            page.goto(address.as_uri())
            page.fill("#howfar-gene", "gene01")
            page.click("a:text('gene012')")
            page.wait_for_selector("h2:text('gene012')")
            page.wait_for_selector("svg circle.point")
            assert page.locator("svg circle.point").count() == synthetic.PEOPLE
            with page.expect_download() as wait:
                page.click("section:has(h3:text('Correlation across people')) > p > button")
            rows = pd.read_csv(wait.value.path())
            assert len(rows) == len(across)
            assert np.allclose(rows["pearson"], across["pearson"], atol=1e-5)
        opened.close()
    assert problems == []
