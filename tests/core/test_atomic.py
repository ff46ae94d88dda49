"""Files appear whole or not at all, and a full disk names the file."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from howfar.core.atomic import file_name, keep_inputs, only_one, part_of, sweep, whole
from howfar.core.errors import HowfarError


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_at_the_end(tmp_path):
    with whole(tmp_path / "new" / "a.csv") as part:
        part.write_text("1")
        assert names(tmp_path / "new") == [part.name] != ["a.csv"]
    assert names(tmp_path / "new") == ["a.csv"]


def test_a_folder_too(tmp_path):
    with whole(tmp_path / "a.zarr") as part:
        (part / "deep").mkdir(parents=True)
    assert names(tmp_path) == ["a.zarr"] and names(tmp_path / "a.zarr") == ["deep"]


@pytest.mark.parametrize("folder", [False, True])
def test_of_a_failure_nothing_is_left_and_the_old_file_stays(tmp_path, folder):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(ValueError, match="no more"), whole(tmp_path / "a.csv") as part:
        (part.mkdir if folder else part.touch)()
        raise ValueError("no more")
    assert names(tmp_path) == ["a.csv"] and (tmp_path / "a.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.ENOSPC, "full"), "a.csv"),
        (OSError(errno.ENOSPC, "full", "other.csv"), "other.csv"),
        (OSError(errno.EIO, "of another file"), None),
    ],
)
def test_a_full_disk_names_the_file(tmp_path, error, named):
    with pytest.raises(OSError) as caught, whole(tmp_path / "a.csv"):
        raise error
    assert caught.value.filename == (str(tmp_path / "a.csv") if named == "a.csv" else named)


def test_a_name_under_which_nothing_can_be_written_is_named(tmp_path):
    with pytest.raises(IsADirectoryError) as caught, whole(tmp_path / "a.csv") as part:
        part.mkdir()
        part.open("wb")
    assert caught.value.filename == str(tmp_path / "a.csv")


def test_an_identifier_names_one_file_of_its_folder(tmp_path):
    ids = ["ENSG1.5", "HLA-DRB1*03:01", "A/B", "A%2FB", "/tmp", "..", ".", "../x", "%2E%2E", "日本"]
    paths = [tmp_path / file_name(each) for each in ids]
    assert {path.parent for path in paths} == {tmp_path}
    assert len({path.resolve() for path in paths}) == len(ids)
    assert [file_name(each) for each in ids[:2]] == ids[:2]


def test_nothing_is_written_over_an_input(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("mine")
    (tmp_path / "linked").symlink_to(own)
    (tmp_path / "hard").hardlink_to(own)
    (tmp_path / "folder").symlink_to(tmp_path)
    with keep_inputs([own]):
        for name in ("own.csv", "linked", "hard", "folder/own.csv"):
            with (
                pytest.raises(HowfarError, match="that is an input"),
                whole(tmp_path / name) as part,
            ):
                part.write_text("lost")
        assert own.read_text() == "mine"
    with whole(own) as part:
        part.write_text("new")
    assert own.read_text() == "new"


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        ("r.fa.gz", "r.fa.gz.fai"),
        ("r.fa.gz", "r.fa.gz.gzi"),
        ("v.vcf.gz", "v.vcf.gz.tbi"),
        ("v.bcf", "v.bcf.csi"),
        ("p.bed", "p.fam"),
        ("p", "p.pvar.zst"),
        ("p.pgen", "p.psam"),
        ("weights", "weights/config.json"),
    ],
)
def test_what_belongs_to_an_input_is_kept_too(tmp_path, given, beside):
    if given != "p":
        (tmp_path / given).mkdir() if given == "weights" else (tmp_path / given).touch()
    (tmp_path / beside).write_text("own")
    other = tmp_path / f"{given}.csv"
    other.touch()
    with keep_inputs([tmp_path / given]):
        with pytest.raises(HowfarError, match="an input"), whole(tmp_path / beside):
            pass
        with whole(other) as part:
            part.write_text("new")
    assert (tmp_path / beside).read_text() == "own"


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_lock_writes_through_no_link(tmp_path, link):
    own = tmp_path / "own"
    own.write_text("own")
    link(tmp_path / ".lock", own)
    with suppress(OSError), only_one(tmp_path / ".lock", "map"):
        pass
    assert own.read_text() == "own"


def test_what_killed_processes_left_is_swept(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    part = part_of(tmp_path / "deep" / "a.svg")
    left = part.with_name(part.name.replace(f"-{os.getpid()}.", f"-{ended.pid}."))
    left.mkdir(parents=True)
    others = [part, tmp_path / ".a.svg.0123abcd-1.part", tmp_path / ".x.part"]
    for path in others:
        path.touch()
    sweep(tmp_path)
    assert not left.exists() and all(path.exists() for path in others)


def test_one_command_at_a_time(tmp_path):
    lock = tmp_path / "new" / ".lock"
    with (
        only_one(lock, "map"),
        pytest.raises(HowfarError, match=f"found another map at work here, process {os.getpid()};"),
        only_one(lock, "map"),
    ):
        pass
    with only_one(lock, "map"):
        pass
