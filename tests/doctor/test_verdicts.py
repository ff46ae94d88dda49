"""What was verified is said for the weights that are here, and for nothing else."""

import pytest

from howfar.core import sealed
from howfar.doctor import verdicts
from howfar.doctor.verdicts import models_table
from howfar.fetch import catalogue
from howfar.fetch import catalogue as sources
from howfar.models.registry import MODELS

OUTCOME = {"verified": True, "candidate": "mean of bins 443..452; ln", "largest_difference": 2e-5,
           "difference": "relative", "tolerance": 1e-3}  # fmt: skip


@pytest.fixture
def kept(tmp_path):
    """The file of a kept outcome, and what it holds."""
    assert verdicts.state("enformer", tmp_path) == "unverified"
    path = verdicts.keep("enformer", OUTCOME, tmp_path)
    return path, sealed.read_json(path)


def test_an_outcome_is_kept_with_date_version_and_checksums(kept, tmp_path):
    path, row = kept
    assert path == tmp_path / "models" / "enformer.verified.json"
    assert row.items() >= OUTCOME.items() and row["howfar"] and row["date"]
    assert set(row["sources"]) == set(MODELS["enformer"].sources)
    assert verdicts.recorded("enformer", tmp_path) == row
    state = verdicts.state("enformer", tmp_path)
    assert state == f"verified (relative difference 2.0e-05 on {row['date']})"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({"howfar": "0.0.1"}, "verified (relative difference 2.0e-05 on "),
        ({"verified": False}, "does not fit (relative difference 2.0e-05"),
        ({"sources": {}}, "unverified (other weights than on "),
    ],
)
def test_what_has_changed_since_is_said(kept, tmp_path, change, begins):
    path, row = kept
    sealed.write_json(path, row | change)
    state = verdicts.state("enformer", tmp_path)
    assert state.startswith(begins)
    assert ("by howfar 0.0.1" in state) == ("howfar" in change)


def test_other_weights_are_unverified(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "checksum", lambda *_: "other")
    assert verdicts.state("enformer", tmp_path).startswith("unverified (other weights")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"verified": true}'])
def test_an_unreadable_record_verifies_nothing(kept, tmp_path, text):
    kept[0].write_text(text)
    assert verdicts.state("enformer", tmp_path) == "unverified"


def test_the_table_says_what_each_model_needs(tmp_path):
    rows = {row["name"]: row for row in models_table(tmp_path)}
    assert set(rows) == set(MODELS)
    assert rows["xpresso"]["needs"] == "`howfar fetch xpresso`"
    assert rows["gc-content"]["needs"] == "nothing"
    assert rows["borzoi"]["needs"].startswith("`pip install 'howfar[borzoi]'`")
    assert {row["present"] for row in rows.values()} == {"no", "-"}
    for source in catalogue.select(MODELS["xpresso"].sources):
        file = tmp_path / "sources" / source.id
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"0" * (source.bytes - 1))
    assert models_table(tmp_path)[list(rows).index("xpresso")]["present"] == "no"
    file.write_bytes(b"0" * source.bytes)
    (file.parent / "GM12878_trainepoch.06-0.5062.h5").write_bytes(b"0" * source.bytes)
    assert models_table(tmp_path)[list(rows).index("xpresso")]["present"] == "yes"
