"""Messages name the file they are about, and stay whole between processes."""

from __future__ import annotations

import errno
import pickle

import pytest

from howfar.core.errors import HowfarError, NotMade, about, no_room, of_file_system, refused_option
from howfar.core.sealed import Older
from howfar.genome.reference import NoSuchContig


def wrong(where: str) -> HowfarError:
    return HowfarError(where, found="A", expected="C", do="Write C.")


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("gene G", "genes.csv, gene G"),
        ("model a, option pretrained 'b/c'", "genes.csv, model a, option pretrained 'b/c'"),
        ("/x/study.yaml, key runs", "/x/study.yaml, key runs"),
        ("v.vcf.gz against ref/a.fa", "v.vcf.gz against ref/a.fa"),
        ("x/v.vcf.gz against ref.fa", "x/v.vcf.gz against ref.fa"),
        ("--tracks 'liver'", "--tracks 'liver'"),
    ],
)
def test_a_message_gets_a_file_where_it_names_none(where, named):
    with pytest.raises(HowfarError) as caught, about("genes.csv"):
        raise wrong(where)
    assert caught.value.where == named
    assert str(caught.value) == f"{named}: found A; expected C. Write C."


@pytest.mark.parametrize("there", [False, True])
def test_what_lies_in_the_current_folder_changes_no_message(tmp_path, monkeypatch, there):
    monkeypatch.chdir(tmp_path)
    if there:
        for name in ("bins", "v.vcf.gz"):
            (tmp_path / name).write_text("")
    with pytest.raises(HowfarError, match=r"^v\.vcf\.gz, line 3: "), about("genes.csv"):
        raise wrong("v.vcf.gz, line 3")
    caught = pytest.raises(HowfarError, match=r"^study\.yaml, run net, bins: ")
    with caught, about("study.yaml, run net"):
        raise wrong("bins")


def test_the_nearest_file_stays():
    with pytest.raises(HowfarError) as caught, about("a/study.yaml"), about("a/genes.csv"):
        raise wrong("gene G")
    assert caught.value.where == "a/genes.csv, gene G"


def test_a_message_of_another_process_is_the_same():
    given = wrong("genes.csv, line 2")
    again = pickle.loads(pickle.dumps(given))
    assert type(again) is HowfarError and vars(again) == vars(given) and str(again) == str(given)


def test_what_the_file_system_refuses_is_said_in_words():
    full = OSError(errno.ENOSPC, "No space left on device", "windows.csv")
    parts = of_file_system(full)
    assert no_room(full) and parts.where == "windows.csv" and parts.found.startswith("no space")
    assert "Make room" in parts.do
    blocked = of_file_system(NotADirectoryError(errno.ENOTDIR, "Not a directory", "results"))
    assert blocked.found == "a file where a folder should be" and "Error" not in str(blocked)


def test_an_argument_that_python_refuses_is_named():
    with pytest.raises(TypeError) as caught:
        (lambda a: a)(shift=3)
    assert refused_option(caught.value) == "the option 'shift'"
    assert refused_option(TypeError("two values")) == "two values"


@pytest.mark.parametrize("kind", [HowfarError, NotMade, NoSuchContig, Older])
def test_an_error_of_another_process_keeps_its_kind(kind):
    error = pickle.loads(pickle.dumps(kind("a.fa", found="x", expected="y", do="Z.")))
    assert type(error) is kind
    assert str(error) == "a.fa: found x; expected y. Z."
