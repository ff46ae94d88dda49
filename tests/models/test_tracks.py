"""Tracks found by words, in the tables that Borzoi and Enformer come with."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.tiny import CountLetters
from howfar.cli import app
from howfar.core.errors import HowfarError
from howfar.core.project import results_root
from howfar.models.registry import track_table
from howfar.models.tracks import TrackTable
from howfar.study.schema import Run

TABLE = TrackTable(
    {
        "identifier": ["A+", "A-", "B", "C", "D", "E"],
        "description": [
            "RNA:GM12878",
            "RNA:GM12878",
            "RNA:blood",
            "CHIP:H3K4me3:GM12878",
            "CAGE:B lymphoblastoid cell line: GM12878 ENCODE, biol_",
            "CAGE:acute lymphoblastic leukemia cell line:Jurkat",
        ],
    },
    index=[3, 4, 7, 8, 10, 11],
)


@pytest.mark.parametrize(
    ("words", "narrow", "expected"),
    [
        ("lcl rna", {}, [3, 4]),
        ("LCL RNA-seq", {"strand": "-"}, [4]),
        ("lcl", {}, [3, 4, 8, 10]),
        ("", {"assay": "cage"}, [10, 11]),
        ("", {"tissue": "lymph"}, [10, 11]),
        ("", {"tissue": "RNA"}, []),
        ("", {"strand": "."}, [7, 8, 10, 11]),
        ("lood", {}, []),
        ("H3K4me3", {"assay": "ChIP-seq"}, [8]),
    ],
)
def test_words_begin_words_and_all_must_fit(words, narrow, expected):
    assert TABLE.find(words, **narrow).index.tolist() == expected


def test_a_table_that_says_assay_tissue_and_strand_is_believed():
    table = TrackTable({"description": ["x", "y"], "assay": ["RNA", "CAGE"], "strand": ["+", "."]})
    assert table.find("", assay="rna", strand="+").index.tolist() == [0]


def test_a_run_may_match_tracks_and_must_say_how_many():
    model = CountLetters()
    model.tracks = pd.DataFrame(TABLE)
    keys = {"id": "r", "label": "R", "model": "m"}
    run = Run.model_validate(keys | {"tracks": {"match": "lcl rna", "count": 2}})
    assert model.track_indices(run.tracks) == [3, 4]
    assert model.track_indices([7, {"match": "", "assay": "RNA", "strand": "+", "count": 1}]) == [
        7,
        3,
    ]
    for tracks, words in [
        (
            [{"match": "lcl", "count": 3}],
            r"found 4 tracks: 3 RNA:GM12878 \(\+\); 4 .*by `count`",
        ),
        ([{"match": "nothing", "count": 1}], "found 0 tracks; expected 1"),
        ([{"match": "lcl"}], "`match` and `count`"),
        ([{"match": "lcl", "count": 4, "colour": "red"}], "the keys match, count, colour"),
        ([3, {"match": "lcl rna", "count": 2}], "each once"),
    ]:
        with pytest.raises(HowfarError, match=words):
            model.track_indices(tracks)


def test_borzois_own_table_without_weights():
    pytest.importorskip("borzoi_pytorch")
    found = track_table("borzoi").find("lcl", assay="RNA")
    assert len(found) == 28 and set(found["strand"]) == {"+", "-", "."}
    assert found["description"].str.contains("GM12878").all()


def test_the_command_lists_tracks_and_the_line_of_a_study_file():
    pytest.importorskip("borzoi_pytorch")

    def invoke(*words):
        return CliRunner().invoke(app.app, words)

    done = invoke("models", "borzoi", "--tracks", "lcl rna", "--strand", ".")
    assert done.output.splitlines()[0] == "6120 RNA:GM12878"
    assert 'tracks: { match: "lcl rna", strand: ".", count: 6 }' in done.output
    assert "flashzoi: " not in invoke("models", "borzoi").output
    assert "Write `howfar models NAME" in str(invoke("models", "--tracks", "lcl").exception)


def test_enformers_fetched_table(shared):
    (table,) = (shared / "mirror").glob("**/targets_human.txt")
    with pytest.raises(HowfarError, match="targets_human.txt"):
        track_table("enformer")
    place = results_root() / "sources" / "models" / "targets_human.txt"
    place.parent.mkdir(parents=True)
    place.write_bytes(table.read_bytes())
    assert track_table("enformer").find("lcl cage").index.tolist() == [5110]
