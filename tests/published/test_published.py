"""Loaders of published tables: small made-up files everywhere, the real ones where mirrored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.capstone_files import make_capstone
from helpers.geuvadis_files import make_geuvadis
from helpers.published_studies import load
from helpers.sasse_files import make_sasse
from howfar import published
from howfar.core.errors import HowfarError
from howfar.results import tables
from howfar.study.reading import load_study

MAKERS: dict[str, Callable] = {
    "capstone2025": make_capstone,
    "huang2023": make_geuvadis,
    "geuvadis_public": make_geuvadis,
    "sasse2023": make_sasse,
}


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
