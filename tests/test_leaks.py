"""A private cohort's pages, figures and exports are searched for what is to stay behind.

Its people, values and folders are recognisable. Everything that may leave is opened: tables with
their metadata, streams of PDF, PNG and SVG, notebooks. HOWFAR_LONG=1 draws every figure and
executes every notebook.
"""

import inspect
import os
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pysam
import pytest

from helpers import linear_cohort
from helpers.commands import invoke
from helpers.places import ROOT
from howfar import figures
from howfar.book.execute import execute_notebook
from howfar.core.extras import is_installed
from howfar.core.registry import FIGURES
from howfar.results import tables
from howfar.study.schema import Study

LONG = os.environ.get("HOWFAR_LONG") == "1"
DRAWN = ("central", "scatters", "by_population", "variant_effects", "eqtl_signs", "trends")
PAGES = ("across_individuals",)
USER = "jane-of-the-biobank"
NAMES = [f"HG9{i:04d}" for i in range(linear_cohort.PEOPLE)]
ONCE = 7.6543219  # the value of a gene that was measured in one person
FEW = "Islanders"  # a population of two


def make_cohort(folder: Path) -> tuple[Study, list[str]]:
    """The study, and the text that is to stay behind: ids, values, the folder, a rare allele."""
    folder.mkdir()
    study, _, expression = linear_cohort.small_study(folder)
    for name in ("v.vcf", "samples.csv"):
        text = re.sub(r"\bP(\d+)\b", lambda m: NAMES[int(m[1])], (folder / name).read_text())
        (folder / name).write_text(text)
    rows = (folder / "v.vcf").read_text().splitlines()
    calls = "\t".join(["0|1", *["0|0"] * (len(NAMES) - 1)])
    rows.append(f"1\t1877\t.\tA\tG\t.\t.\t.\tGT\t{calls}")  # one carrier, in the window of `alone`
    (folder / "v.vcf").write_text("\n".join(rows) + "\n")
    pysam.tabix_compress(str(folder / "v.vcf"), str(folder / "v.vcf.gz"), force=True)
    pysam.tabix_index(str(folder / "v.vcf.gz"), preset="vcf", force=True)
    expression.columns = NAMES
    expression.loc["flat"] = np.nan
    expression.loc["flat", NAMES[0]] = ONCE
    expression.to_csv(folder / "expression.csv")
    people = pd.read_csv(folder / "samples.csv").assign(population=["X", "Y"] * 20)
    people.loc[:1, "population"] = FEW
    people.to_csv(folder / "samples.csv", index=False)
    run = {"id": "g", "label": "G", "model": "helpers.tiny:count_letters", "tracks": ["G"]}
    values = study.model_dump(mode="json") | {
        "runs": [run | {"bins": "centre3"}],
        "effects": ["near", "alone"],
        "eqtl": {"permutations": 100},
        "evaluation": {"null_draws": 100, "bootstrap": 100},
    }
    values["cohort"]["log_base"] = None
    observed = expression.loc[["near", "alone"]].to_numpy().ravel()
    kept_back = [f"{value:.6g}" for value in [*observed, ONCE]]
    return Study.model_validate(values), [*NAMES, USER, ":1877:", *kept_back]


@pytest.fixture(scope="module")
def left(tmp_path_factory, warm):
    """(folders with what may leave, the text that may not, result tables)."""
    home = tmp_path_factory.mktemp("private")
    study, kept_back = make_cohort(home / USER)
    results, shared = home / USER / "results", home / "shared"
    for command in ("predict", "baseline", "evaluate"):
        kept_back_from(invoke(study, results, command).output, kept_back[: len(NAMES)])
    invoke(study, results, "export", "--to", shared / "export")
    invoke(study, results, "explore", "--out", shared / "explore")
    file = str(results.parent / f"{study.name}.yaml")
    view = figures.view(file, [], results, shared / "figures")
    for name in FIGURES if LONG else DRAWN:
        draw = getattr(figures, name)
        if list(inspect.signature(draw).parameters)[:1] == ["view"]:
            draw(view)
    if is_installed("rocrate"):
        invoke(study, results, "export", "--to", shared / "crate", "--crate")
    for page in sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb")) if LONG else PAGES:
        out = shared / "pages" / f"{page}.ipynb"
        source = ROOT / "notebooks" / f"{page}.ipynb"
        execute_notebook(source, out, study=file, results=results)
    shareable = [results / study.name / name for name in ("tables", "figures")]
    return [shared, *shareable], kept_back, tables.load(study.name, results)


def readable(path: Path) -> bytes:
    """What a file holds: its bytes, and what is compressed in them."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        text = table.to_pandas().to_csv(float_format="%.6g") + str(table.schema.metadata)
        return content + text.encode()
    found = [content]
    for start in re.finditer(rb"stream\r?\n|IDAT|zTXt|iTXt", content):
        try:
            found.append(zlib.decompressobj().decompress(content[start.end() :]))
        except zlib.error:  # a stream that isn't compressed stands in `content`
            continue
    return b"\n".join(found)


def kept_back_from(content: str | bytes, needles: list[str]) -> None:
    """Nothing that is to stay behind stands in `content`."""
    content = content.encode() if isinstance(content, str) else content
    assert not [needle for needle in needles if needle.encode() in content]


def _says(content: bytes, needle: str) -> bool:
    """Whether the words or the number are there, not as the end of a longer number."""
    return bool(re.search(rb"(?<![\d.])" + re.escape(needle.encode()), content))


@pytest.mark.slow
def test_nothing_of_a_person_leaves_a_private_cohort(left):
    folders, kept_back, _ = left
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files}
    assert {".parquet", ".json", ".svg", ".png", ".pdf", ".csv", ".ipynb", ".js", ".html"} <= kinds
    for path in files:
        content = readable(path)
        said = [needle for needle in kept_back if _says(content, needle)]
        assert not said, (path, said)
    assert not [path for path in files if "weights" in path.name or "points" in path.name]


@pytest.mark.slow
def test_what_few_people_stand_behind_is_left_out_of_tables(left):
    _, _, found = left
    assert set(found["across"]["gene_id"]) == {"near", "alone"}
    for name in ("across", "within"):
        assert FEW not in set(found[name]["population"]) and len(found[name])
    assert found["across"]["n"].min() >= 10
    means = found["reference"].set_index("gene_id")["observed_mean"]
    assert means.isna()["flat"] and means.drop("flat").notna().all()
    assert (found["effects"]["maf"] * 80 >= 9.99).all() and len(found["effects"])


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_the_search_sees_into_compressed_streams(tmp_path, kind):
    figure, (axis,) = figures.style.panels([1.0])
    path = tmp_path / f"x.{kind}"
    metadata = {"png": {"Comment": "HG90001"}, "pdf": {"Title": "HG90001"}}[kind]
    axis.plot([31.25, 47.75], [0, 1])
    figure.savefig(path, metadata=metadata)
    assert b"HG90001" in readable(path) and len(readable(path)) > path.stat().st_size
