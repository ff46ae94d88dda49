"""Tables of output tracks: read as they are, and refused where a track might be another one."""

import pytest

from howfar.core.errors import HowfarError
from howfar.models.weights.targets import HUMAN_TRACKS, check_number, human_tracks, read_tracks

HEADER = "index\tidentifier\tdescription"


def _table(path, rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _rows(number: int) -> list[str]:
    return [f"{k}\tID{k}\tCAGE:tissue {k}, adult," for k in range(number)]


def test_a_table_is_indexed_by_track_number(tmp_path):
    tracks = read_tracks(_table(tmp_path / "t.txt", _rows(12)))
    assert tracks["description"][7] == "CAGE:tissue 7, adult,"
    assert list(tracks.index) == list(range(12)) and tracks["identifier"][3] == "ID3"


def test_tracks_out_of_place_are_refused(tmp_path):
    rows = _rows(5)
    cases = {
        "line 4: found the index '3'; expected 2": [*rows[:2], *rows[3:]],  # one is lost
        "line 3: found the index '2'": [rows[0], rows[2], rows[1], *rows[3:]],
        "line 2: found the index '1'": rows[1:],
        "line 6: found no description": [*rows[:4], "4\tID4\t"],
        "no tracks": [],
    }
    for place, (words, lines) in enumerate(cases.items()):
        with pytest.raises(HowfarError, match=words):
            read_tracks(_table(tmp_path / f"{place}.txt", lines))
    with pytest.raises(HowfarError, match="no column description"):
        read_tracks(_table(tmp_path / "names.txt", ["0\tx"], "index\tname"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80" * 50)
    for path in (tmp_path / "binary.txt", tmp_path / "absent.txt", tmp_path):
        with pytest.raises(HowfarError, match="can't be read"):
            read_tracks(path)


def test_the_number_of_tracks_is_the_networks(tmp_path):
    tracks = read_tracks(_table(tmp_path / "t.txt", _rows(4)))
    check_number(tracks, 4, "here")
    with pytest.raises(HowfarError, match="here: found 4 tracks; expected 5"):
        check_number(tracks, 5, "here")


def test_the_human_table_is_the_fetched_one(results_folder):
    with pytest.raises(HowfarError, match="howfar fetch basenji2"):
        human_tracks()
    fetched = results_folder / "sources" / "models" / "targets_human.txt"
    fetched.parent.mkdir(parents=True)
    _table(fetched, _rows(HUMAN_TRACKS))
    assert len(human_tracks()) == HUMAN_TRACKS
    _table(fetched, _rows(HUMAN_TRACKS - 1))  # cut off
    with pytest.raises(HowfarError, match="5,312 tracks; expected 5,313"):
        human_tracks()
    assert len(human_tracks(fetched)) == HUMAN_TRACKS - 1  # another network's may have any number


def test_the_published_table(shared):
    (path,) = (shared / "mirror").rglob("targets_human.txt")
    tracks = human_tracks(path)
    assert len(tracks) == HUMAN_TRACKS
    assert tracks["description"][5110].startswith("CAGE:B lymphoblastoid cell line: GM12878 ENCODE")
    assert tracks["description"][4980] == "CAGE:brain, adult,"
