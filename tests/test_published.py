"""Loaders of published tables: small made-up files everywhere, the real ones where mirrored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capstone_files import make_capstone
from geuvadis_files import make_geuvadis
from howfar import published, sources, tables
from howfar.errors import HowfarError
from howfar.published import geuvadis_public, huang2023
from howfar.study import load_study
from sasse_files import make_sasse

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_mirror = pytest.mark.skipif(
    not (SHARED / "mirror" / "MANIFEST.csv").is_file(), reason="no ../shared/mirror here"
)
needs_numbers = pytest.mark.skipif(
    not (SHARED / "expected_numbers.csv").is_file(), reason="no ../shared/expected_numbers.csv"
)

MAKERS: dict[str, Callable] = {
    "capstone2025": make_capstone,
    "huang2023": make_geuvadis,
    "geuvadis_public": make_geuvadis,
    "sasse2023": make_sasse,
}


def load(name: str, folder: Path) -> dict[str, pd.DataFrame]:
    return published.load_published(load_study(name), folder, verify=False)


@pytest.fixture(params=MAKERS)
def made(request, tmp_path) -> tuple[str, Path]:
    MAKERS[request.param](tmp_path, np.random.default_rng(5))
    return request.param, tmp_path


# --- every study -----------------------------------------------------------------------------


def test_frames_keep_their_schemas_and_refer_to_known_runs_and_genes(made):
    name, folder = made
    frames = load(name, folder)
    runs, genes = set(frames["runs"]["run_id"]), set(frames["genes"]["gene_id"])
    assert set(frames["runs"]["study"]) == {name}
    for table, frame in frames.items():
        pd.testing.assert_frame_equal(tables.validate(table, frame, "test"), frame)
        if "run_id" in frame:
            assert set(frame["run_id"]) <= runs, table
        if "gene_id" in frame:
            assert set(frame["gene_id"]) <= genes, table


def test_every_file_that_the_study_needs_is_missed(made):
    name, folder = made
    for need in load_study(name).published.needs:
        content = (folder / need).read_bytes()
        (folder / need).unlink()
        with pytest.raises(HowfarError, match=f"howfar fetch {name}") as error:
            load(name, folder)
        assert need in str(error.value)
        (folder / need).write_bytes(content)
    load(name, folder)


def test_a_file_cut_off_or_replaced_by_an_error_page_is_refused(made):
    name, folder = made
    for need in load_study(name).published.needs:
        content = (folder / need).read_bytes()
        for bad in (b"", b"<html>not found</html>\n", content.split(b"\n")[0][:40]):
            (folder / need).write_bytes(bad)
            with pytest.raises(HowfarError) as error:
                load(name, folder)
            # A shorter gene list is well-formed: other files then have genes it doesn't know.
            assert need in str(error.value) or "unknown genes" in str(error.value), bad
        (folder / need).write_bytes(content)


def test_messages_name_no_person(made):
    name, folder = made
    for need in load_study(name).published.needs:
        content = (folder / need).read_bytes()
        (folder / need).write_bytes(content.replace(b"NA00007", b"NA99999"))
        if (folder / need).read_bytes() != content:
            with pytest.raises(HowfarError) as error:
                load(name, folder)
            assert "NA0" not in str(error.value) and "NA9" not in str(error.value)
        (folder / need).write_bytes(content)


def test_content_other_than_the_catalogues_is_refused(made):
    name, folder = made
    with pytest.raises(HowfarError, match="SHA-256"):
        published.load_published(load_study(name), folder)


def test_an_unknown_loader_is_refused(tmp_path):
    study = load_study("sasse2023")
    other = study.model_copy(
        update={"published": study.published.model_copy(update={"loader": "x"})}
    )
    with pytest.raises(HowfarError, match=r"published\.loader"):
        published.load_published(other, tmp_path)


# --- the real tables -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Tables of the three studies from the mirrored files, written and read again."""
    results = tmp_path_factory.mktemp("results")
    patch = pytest.MonkeyPatch()
    patch.setenv("HOWFAR_MIRROR", str(SHARED / "mirror"))
    words = [*MAKERS, geuvadis_public.CLASSES]
    assert sources.fetch(words, results / "sources", progress=False).ok
    patch.undo()
    for name in MAKERS:
        published.write_tables(name, results)
    return results, {name: tables.load(name, results) for name in MAKERS}


@needs_mirror
def test_provenance_names_every_input_with_its_checksum(real):
    results, _ = real
    found = tables.read_provenance(tables.path_of(results, "sasse2023", "across"))["inputs"]
    known = sources.sources()
    assert {n: v["sha256"] for n, v in found.items()} == {
        n: known[n].sha256 for n in load_study("sasse2023").published.needs
    }


@needs_mirror
def test_real_individuals_lie_apart_and_only_where_public(real):
    results, _ = real
    assert {p.parent.parent.name for p in results.glob("*/individuals/*.parquet")} == {
        "geuvadis_public"
    }
    frame = tables.read(tables.path_of(results, "geuvadis_public", "individuals"), "individuals")
    assert frame.notna()[["predicted", "observed"]].all(axis=None)
    shareable = results / "geuvadis_public" / "tables"
    for file in shareable.glob("*.parquet"):
        text = pd.read_parquet(file).select_dtypes(exclude="number").to_csv()
        assert not any(s in text for s in frame["sample"].unique()), file.name


def geuvadis_numbers(found: tables.Tables, classes: pd.Series) -> dict[str, float]:
    across = found["across"]
    pooled = across[across["population"] == "pooled"].set_index(["run_id", "gene_id"])["pearson"]
    numbers = {}
    names = {
        "top1": "top_snp",
        "lasso": "lasso",
        "enet": "elastic_net",
        "bslmm": "bslmm",
        "baseline": "enformer_split",
    }
    for word, run in names.items():
        for split, label in (("random_split", "random"), ("yri_split", "pop")):
            r = pooled[run].reindex(classes[classes == split].index).fillna(0)
            assert len(r) == 200
            numbers[f"R.ind.{word}.{label}"] = r.mean()
            numbers[f"R.ind.{word}.{label}.neg"] = (r < 0).sum()
    features = found["features"].set_index(["feature", "gene_id"])["value"]
    for split in ("random_split", "yri_split"):
        h2 = features["h2"].reindex(classes[classes == split].index)
        numbers[f"R.h2.all_samples.{split}"] = np.sqrt(h2.clip(lower=0)).mean()
    counts = found["within"]["population"].value_counts()
    return numbers | {"R.split.yri": counts["YRI"], "R.split.nonyri": counts["EUR"]}


@needs_mirror
@needs_numbers
def test_published_numbers_are_reproduced(real):
    results, found = real
    genes = huang2023.gene_list(published.Files([huang2023.GENES], "", results / "sources"))
    classes = pd.read_csv(results / "sources" / geuvadis_public.CLASSES, index_col=0)["class"]
    classes = classes.rename(index=huang2023.ids_of(genes))
    ours = geuvadis_numbers(found["geuvadis_public"], classes)
    given = pd.read_csv(SHARED / "expected_numbers.csv").set_index("id").dropna(subset=["value"])
    common = given[given.index.isin(ours)]
    assert len(common) >= 12
    wrong = {
        i: (ours[i], row["value"])
        for i, row in common.iterrows()
        if abs(ours[i] - row["value"]) > row["tolerance"] + 1e-8
    }
    assert not wrong
