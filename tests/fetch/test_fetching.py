"""Fetching: the catalogue, checksums, retries, resumption, and what happens without a network."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest

from helpers.places import SHARED
from helpers.web import CONTENT, PIECE, Ranges, archive_of, send
from howfar.core.errors import HowfarError
from howfar.fetch import catalogue as sources
from howfar.fetch import fetching, licences
from howfar.fetch.catalogue import CHECKSUMS, HOST, LARGE, Source
from howfar.fetch.fetching import RETRIES
from howfar.fetch.licences import licence_table, licences_to_accept
from howfar.models.registry import MODELS
from howfar.study.reading import load_study
from howfar.study.schema import study_names
from howfar.workflow.needs import source_groups

MIRROR = SHARED / "mirror"
needs_mirror = pytest.mark.skipif(
    not (MIRROR / "MANIFEST.csv").is_file(), reason="no ../shared/mirror on this machine"
)


def source(name: str, content: bytes, url: str = "", study_name: str = "toy") -> Source:
    return Source(
        id=f"{study_name}/{name}",
        study=study_name,
        url=url or f"{HOST}owner/repository/{'0' * 40}/{name}",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="MIT",
        citation="A. Author. A toy.",
        description="a toy",
    )


@pytest.fixture
def catalogue(monkeypatch):
    """A function that replaces data/sources.csv by the given files."""

    def use(*rows: Source) -> list[str]:
        monkeypatch.setattr(sources, "sources", lambda: {r.id: r for r in rows})
        return [r.id for r in rows]

    monkeypatch.delenv("HOWFAR_MIRROR", raising=False)
    return use


def weights(content: bytes, url: str, member: str = "", **changes) -> Source:
    """A file whose authors publish neither size nor SHA-256."""
    row = source("weights.bin", content, url + (f"!{member}" if member else ""))
    return dataclasses.replace(row, **({"bytes": 0, "sha256": ""} | changes))


def files_in(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


# --- the catalogue ---------------------------------------------------------------------------


def test_catalogue_is_complete_and_unambiguous():
    rows = list(sources.sources().values())
    assert len(rows) >= 190
    ids = [r.id for r in rows]
    folders = {str(parent) for i in ids for parent in Path(i).parents}
    assert len(set(ids)) == len(ids) and not folders & set(ids)
    assert all(r.id.startswith(r.study + "/") for r in rows)
    assert all(r.licence and r.citation and r.description for r in rows)
    assert all(r.bytes > 0 for r in rows if r.sha256)
    hosted = [r for r in rows if r.url.startswith(HOST)]
    assert len(hosted) >= 190
    assert all(len(r.mirrored.split("/")[2]) == 40 for r in hosted)  # a commit, never a branch
    assert all(quote(r.mirrored) == r.mirrored for r in rows)  # nothing that a URL must escape


def test_every_file_of_every_model_is_listed():
    known = sources.sources()
    for name, entry in MODELS.items():
        assert set(entry.sources) <= set(known), name
        if entry.sources:
            selected = sources.select([name], source_groups([]))
            assert {s.id for s in selected} == set(entry.sources), name
            assert known[entry.sources[0]].licence == entry.card.licence, name


def test_the_place_in_a_mirror():
    row = sources.sources()["expecto/deepsea.beluga.pth"]
    archive = "media/code/expecto/resources_20190807.tar.gz"
    assert row.mirrored == f"deepsea.princeton.edu/{archive}"
    assert row.address == f"https://deepsea.princeton.edu/{archive}"
    assert row.member == "resources/deepsea.beluga.pth"
    assert row.repository == "deepsea.princeton.edu"
    hosted = sources.sources()["huang2023/gene_list.csv"]
    assert hosted.repository == "ni-lab/personalized-expression-benchmark"
    assert hosted.mirrored == hosted.url.removeprefix(HOST)


def test_every_need_of_every_study_is_listed():
    known = sources.sources()
    for name in study_names():
        published = load_study(name).published
        assert published is None or set(published.needs) <= set(known), name


@needs_mirror
def test_catalogue_agrees_with_the_mirrors_manifest():
    """Every public table of the catalogue is the manifest's; the mirror may hold others too."""
    manifest = pd.read_csv(MIRROR / "MANIFEST.csv", keep_default_na=False)
    mirrored = {
        (f"{r.repo}/{r.commit}/{r.path}", r.study, int(r.bytes), r.sha256, r.license)
        for r in manifest.itertuples()
    }
    rows = [r for r in sources.sources().values() if r.study not in MODELS]
    assert len(rows) > 40
    assert {(r.mirrored, r.study, r.bytes, r.sha256, r.licence) for r in rows} <= mirrored


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: [lines[0].replace("sha256", "md5"), *lines[1:]], "line 1"),
        (lambda lines: [*lines, lines[1]], "line 4"),
        (lambda lines: [*lines, lines[1].replace("toy/a", "../a")], "../a"),
        (lambda lines: [*lines, lines[1].replace("toy/a", "toy/c").replace("https", "ftp")], "ftp"),
        (lambda lines: [*lines, "toy/c,toy,https://"], "another length"),
        (lambda lines: [*lines, lines[1].replace("toy/a", "toy/c").replace(",3,", ",,")], "''"),
    ],
)
def test_a_broken_catalogue_names_the_line(tmp_path, monkeypatch, change, found):
    columns = "id,study,url,bytes,sha256,licence,citation,description"
    rows = [f"toy/{n},toy,{HOST}o/r/{'0' * 40}/{n},3,{'a' * 64},MIT,cited,text" for n in "ab"]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sources.csv").write_text("\n".join(change([columns, *rows])) + "\n")
    monkeypatch.setattr(sources, "project_root", lambda: tmp_path)
    with pytest.raises(HowfarError, match=r"sources\.csv, line \d") as error:
        sources.sources()
    assert found in str(error.value)


def test_select_takes_ids_studies_and_study_files():
    assert [s.id for s in sources.select(["huang2023/gene_list.csv"])] == [
        "huang2023/gene_list.csv"
    ]
    groups = source_groups(["geuvadis_public", "huang2023", "../huang2023", "nowhere"])
    assert not {"../huang2023", "nowhere"} & set(groups)
    needs = set(load_study("geuvadis_public").published.needs)
    assert {s.id for s in sources.select(["geuvadis_public"], groups)} == needs
    both = {s.id for s in sources.select(["huang2023"], groups)}
    assert both >= {s.id for s in sources.sources().values() if s.study == "huang2023"}
    assert both >= set(load_study("huang2023").published.needs)


@pytest.mark.parametrize("word", ["huang2032", "huang2023/none.csv", "demo"])
def test_an_unknown_name_is_refused(word):
    with pytest.raises(HowfarError, match=word):
        sources.select([word], source_groups([word]))


@pytest.mark.parametrize("word", ["gc-content", "demo-enformer"])
def test_a_model_of_which_nothing_is_fetched_is_not_called_unknown(word):
    with pytest.raises(HowfarError, match=f"{word}: found a model of which nothing is fetched"):
        sources.select([word])


# --- fetching --------------------------------------------------------------------------------


def test_a_mirror_takes_the_place_of_the_network(tmp_path, catalogue, monkeypatch):
    rows = [source("a.csv", b"alpha"), source("deep/b.csv", b"beta")]
    catalogue(*rows)
    for row, content in zip(rows, (b"alpha", b"beta"), strict=True):
        file = tmp_path / "mirror" / row.mirrored
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path / "mirror"))
    out = tmp_path / "out"
    report = fetching.fetch(["toy"], out)
    assert report.ok and report.fetched == ["toy/a.csv", "toy/deep/b.csv"]
    assert sources.path("toy/deep/b.csv", out).read_bytes() == b"beta"
    folder, file = (path.stat().st_mode & 0o666 for path in (out / "toy", out / "toy" / "a.csv"))
    assert file == folder  # who may read the folder may read the file
    again = fetching.fetch(["toy"], out)
    assert again.fetched == [] and len(again.present) == 2
    assert files_in(out) == {"toy/a.csv", "toy/deep/b.csv"}  # no temporary file stays


def test_a_file_that_the_mirror_lacks_is_named_and_the_others_are_kept(
    tmp_path, catalogue, monkeypatch
):
    have, lack = source("a.csv", b"alpha"), source("b.csv", b"beta")
    catalogue(have, lack)
    (tmp_path / have.mirrored).parent.mkdir(parents=True)
    (tmp_path / have.mirrored).write_bytes(b"alpha")
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path))
    report = fetching.fetch(["toy"], tmp_path / "out")
    assert not report.ok and report.fetched == [have.id] and list(report.failed) == [lack.id]
    assert lack.mirrored in str(report.failed[lack.id])
    assert lack.id in report.summary()
    assert sources.available(["toy"], tmp_path / "out") == {have.id: True, lack.id: False}


def test_a_mirror_that_is_not_there_is_one_clear_error(tmp_path, catalogue, monkeypatch):
    catalogue(*(source(f"{i}", b"x") for i in range(20)))
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(HowfarError, match="nowhere"):
        fetching.fetch(["toy"], tmp_path / "out")
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path))  # there, but empty
    report = fetching.fetch(["toy"], tmp_path / "out")
    assert len(report.failed) == 20 and report.summary().count("failed:") == 6


def test_a_folder_that_cannot_be_written_is_reported(tmp_path, catalogue, server):
    catalogue(source("a", b"x", server.url("a", send(b"x"))))
    (tmp_path / "toy").write_text("a file where a folder must be")
    report = fetching.fetch(["toy"], tmp_path)
    assert "toy: found a file where a folder should be" in str(report.failed["toy/a"])


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path, catalogue, server):
    """No later attempt would mend that, so none is advised."""
    catalogue(source("a", b"x", server.url("a", send(b"x"))))
    (tmp_path / "toy" / "a").mkdir(parents=True)
    error = fetching.fetch(["toy"], tmp_path).failed["toy/a"]
    assert error.where == str(tmp_path / "toy" / "a") and error.found == "is a directory"
    assert error.do == "Correct the path or its permissions."


@pytest.mark.parametrize(
    "content", [b"", b"<html>429: Too Many Requests</html>", b"alphA", b"alpha beta gamm"]
)
def test_other_content_is_refused_and_kept_aside(tmp_path, catalogue, server, content):
    right = b"alpha beta gamma"
    row = source("a.csv", right, server.url("a.csv", send(content)))
    catalogue(row)
    with pytest.raises(HowfarError) as error:
        fetching.fetch(["toy"], tmp_path)
    assert row.sha256 in str(error.value)
    assert hashlib.sha256(content).hexdigest() in str(error.value)
    assert files_in(tmp_path) == {"toy/a.csv.rejected"}
    assert (tmp_path / "toy" / "a.csv.rejected").read_bytes() == content
    server.answers["/a.csv"] = [send(right)]
    assert fetching.fetch(["toy"], tmp_path).fetched == [row.id]


def test_a_changed_file_on_disk_is_fetched_again(tmp_path, catalogue, server):
    row = source("a.csv", b"alpha", server.url("a.csv", send(b"alpha")))
    catalogue(row)
    target = tmp_path / row.id
    target.parent.mkdir()
    target.write_bytes(b"alphA")  # the same size
    assert sources.available(["toy"], tmp_path) == {row.id: True}
    assert sources.available(["toy"], tmp_path, checksums=True) == {row.id: False}
    assert fetching.fetch(["toy"], tmp_path).fetched == [row.id]
    assert target.read_bytes() == b"alpha"


def test_passing_trouble_is_retried(tmp_path, catalogue, server):
    content = b"alpha" * 1000
    url = server.url(
        "a.csv",
        send(b"busy", status=503),
        send(content[:100], promised=len(content)),  # the connection breaks off
        send(content),
    )
    row = source("a.csv", content, url)
    catalogue(row)
    assert fetching.fetch(["toy"], tmp_path).ok
    assert (tmp_path / row.id).read_bytes() == content
    assert len(server.asked) == 3


def test_lasting_trouble_is_reported_per_file(tmp_path, catalogue, server):
    good = source("good.csv", b"good", server.url("good.csv", send(b"good")))
    gone = source("gone.csv", b"gone", server.url("gone.csv", send(b"404", status=404)))
    down = source("down.csv", b"down", server.url("down.csv", send(b"500", status=500)))
    catalogue(good, gone, down)
    report = fetching.fetch(["toy"], tmp_path)
    assert report.fetched == [good.id] and sorted(report.failed) == [down.id, gone.id]
    assert "404" in str(report.failed[gone.id])
    assert server.asked.count("/gone.csv") == 1  # asking again would not help
    assert server.asked.count("/down.csv") == RETRIES + 1
    assert files_in(tmp_path) == {good.id}


def test_right_files_are_not_asked_for_again(tmp_path, catalogue, server):
    rows = [source(n, n.encode(), server.url(n, send(n.encode()))) for n in ("a", "b", "c")]
    catalogue(*rows)
    fetching.fetch(["toy/a"], tmp_path)
    report = fetching.fetch(["toy"], tmp_path)
    assert report.present == ["toy/a"] and report.fetched == ["toy/b", "toy/c"]
    assert sorted(server.asked) == ["/a", "/b", "/c"]


def test_no_network_fails_at_once_and_says_what_to_do(tmp_path, catalogue):
    catalogue(*(source(f"{i}.csv", b"x", f"http://127.0.0.1:9/{i}.csv") for i in range(50)))
    start = time.monotonic()
    with pytest.raises(HowfarError, match="HOWFAR_MIRROR") as error:
        fetching.fetch(["toy"], tmp_path)
    assert time.monotonic() - start < 5
    assert "50 file(s)" in str(error.value) and not files_in(tmp_path)


def test_a_network_that_swallows_requests_fails_in_time(tmp_path, catalogue, monkeypatch):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(fetching, "CONNECT_S", 1)
        catalogue(source("a.csv", b"x", f"http://127.0.0.1:{silent.getsockname()[1]}/a.csv"))
        start = time.monotonic()
        with pytest.raises(HowfarError, match="no connection"):
            fetching.fetch(["toy"], tmp_path)
        assert time.monotonic() - start < 5


_KILLED = """
import sys
from howfar.fetch import catalogue, fetching
rows = {rows!r}
catalogue.sources = lambda: {{r[0]: catalogue.Source(*r) for r in rows}}
fetching.fetch(["toy"], {folder!r}, progress=False, workers=2)
"""


def test_a_killed_fetch_leaves_only_right_files_and_goes_on(tmp_path, catalogue, server):
    content = {f"{i}.csv": bytes([i]) * 50_000 for i in range(6)}
    rows = [source(n, c, server.url(n, send(c, pause=0.3))) for n, c in content.items()]
    catalogue(*rows)
    code = _KILLED.format(rows=[tuple(vars(r).values()) for r in rows], folder=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code])
    limit = time.monotonic() + 30
    while len(server.asked) < 3 and time.monotonic() < limit:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    done = [r for r in rows if (tmp_path / r.id).exists()]
    assert 0 < len(done) < len(rows)
    assert all((tmp_path / r.id).read_bytes() == content[Path(r.id).name] for r in done)
    report = fetching.fetch(["toy"], tmp_path)
    assert report.ok and sorted(report.present) == sorted(r.id for r in done)


def test_progress_is_lines_where_there_is_no_terminal(tmp_path, catalogue, server, capfd):
    rows = [source(f"{i}", b"x", server.url(f"{i}", send(b"x"))) for i in range(40)]
    catalogue(*rows)
    fetching.fetch(["toy"], tmp_path)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 10 and lines[-1].startswith("40 of 40 files")
    assert not any("\r" in line or "\x1b" in line for line in lines)


def test_licences_and_citations_are_in_the_summary(tmp_path, catalogue, server):
    catalogue(source("a", b"x", server.url("a", send(b"x"))))
    text = fetching.fetch(["toy"], tmp_path, progress=False).summary()
    assert "licence: MIT" in text and "A. Author. A toy." in text and "1 fetched" in text


def test_licence_table_counts_every_file():
    table = licence_table()
    assert table["files"].sum() == len(sources.sources())
    assert table["bytes"].sum() == sum(s.bytes for s in sources.sources().values())
    assert set(table["licence"]) >= {"MIT", "GPL-3.0", "none stated"}


@needs_mirror
def test_every_study_comes_from_the_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("HOWFAR_MIRROR", str(MIRROR))
    words = sorted({s.study for s in sources.sources().values()} - set(MODELS))
    report = fetching.fetch(words, tmp_path, progress=False)
    assert report.ok and len(report.fetched) == len(sources.select(words))
    assert all(sources.available(words, tmp_path, checksums=True).values())


# --- large files, archives, no published checksum, licences -----------------------------------


@pytest.mark.parametrize("known", [True, False])
def test_a_dropped_download_goes_on_where_it_was(tmp_path, catalogue, server, known):
    answer = Ranges(CONTENT, drop=PIECE)
    url = server.url("w", answer)
    row = source("weights.bin", CONTENT, url) if known else weights(CONTENT, url)
    catalogue(row)
    assert fetching.fetch(["toy"], tmp_path).fetched == [row.id]
    assert (tmp_path / row.id).read_bytes() == CONTENT
    assert [start for start, _ in answer.sent] == [0, PIECE, 2 * PIECE, 3 * PIECE]
    kept = {row.id} if known else {row.id, CHECKSUMS}
    assert files_in(tmp_path) == kept


def test_a_server_without_ranges_begins_again(tmp_path, catalogue, server):
    answers = [Ranges(CONTENT, drop=PIECE, ranges=False), Ranges(CONTENT, ranges=False)]
    row = weights(CONTENT, server.url("w", *answers))
    catalogue(row)
    assert fetching.fetch(["toy"], tmp_path).ok
    assert (tmp_path / row.id).read_bytes() == CONTENT
    assert answers[1].sent == [(0, len(CONTENT))]


def test_bytes_of_two_versions_are_never_joined(tmp_path, catalogue, server):
    other = CONTENT[::-1]
    for etag in ('"2"', ""):  # a changed file, and a server that can't say
        folder = tmp_path / (etag.strip('"') or "none")
        first = Ranges(CONTENT, drop=PIECE, etag=etag and '"1"')
        row = weights(other, server.url("w", first, Ranges(other, etag=etag)))
        catalogue(row)
        assert fetching.fetch(["toy"], folder).ok
        assert (folder / row.id).read_bytes() == other


def test_a_complete_part_is_not_fetched_twice(tmp_path, catalogue, server):
    answer = Ranges(CONTENT)
    url = server.url("w", answer)
    catalogue(weights(CONTENT, url))
    part = tmp_path / "toy" / "weights.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    part.with_name(part.name + ".from").write_text(f'{url}\n"1"')
    assert fetching.fetch(["toy"], tmp_path).ok and answer.sent == []
    assert (tmp_path / "toy" / "weights.bin").read_bytes() == CONTENT


def test_a_download_that_never_gets_further_ends(tmp_path, catalogue, server):
    answer = Ranges(CONTENT, drop=PIECE, ranges=False)
    catalogue(weights(CONTENT, server.url("w", answer)))
    report = fetching.fetch(["toy"], tmp_path)
    assert "no complete file" in str(report.failed["toy/weights.bin"])
    assert len(answer.sent) == RETRIES + 2
    assert not (tmp_path / "toy" / "weights.bin").exists()


def test_a_killed_download_goes_on(tmp_path, catalogue, server):
    slow, rest = Ranges(CONTENT, drop=400_000), Ranges(CONTENT)
    hang = threading.Event()

    def first(handler):
        slow(handler)
        handler.wfile.flush()
        hang.wait(20)

    row = weights(CONTENT, server.url("w", first, rest))
    catalogue(row)
    code = _KILLED.format(rows=[tuple(vars(row).values())], folder=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code])
    part, limit = tmp_path / "toy" / "weights.bin.part", time.monotonic() + 30
    while not (part.is_file() and part.stat().st_size) and time.monotonic() < limit:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    hang.set()
    there = part.stat().st_size
    assert 0 < there <= 400_000
    assert fetching.fetch(["toy"], tmp_path).ok
    assert rest.sent == [(there, len(CONTENT) - there)]
    assert (tmp_path / row.id).read_bytes() == CONTENT


def test_what_comes_first_is_trusted_and_a_later_difference_is_an_error(
    tmp_path, catalogue, server
):
    row = weights(b"one", server.url("w", send(b"one"), send(b"two!")))
    catalogue(row)
    assert sources.checksum(row.id, tmp_path) == ""
    assert fetching.fetch(["toy"], tmp_path).fetched == [row.id]
    recorded = json.loads((tmp_path / CHECKSUMS).read_text())[row.id]
    assert recorded["sha256"] == hashlib.sha256(b"one").hexdigest() and recorded["bytes"] == 3
    assert sources.checksum(row.id, tmp_path) == recorded["sha256"]
    assert fetching.fetch(["toy"], tmp_path).present == [row.id]
    (tmp_path / row.id).write_bytes(b"One")  # damaged on disk, the same size
    with pytest.raises(HowfarError, match=recorded["sha256"]) as error:
        fetching.fetch(["toy"], tmp_path)
    assert CHECKSUMS in str(error.value)  # how to accept the authors' new file
    assert (tmp_path / "toy" / "weights.bin.rejected").read_bytes() == b"two!"


def test_a_file_put_in_place_by_hand_is_recorded(tmp_path, catalogue):
    row = weights(b"x", "https://nowhere.invalid/w")
    catalogue(row)
    (tmp_path / "toy").mkdir()
    (tmp_path / row.id).write_bytes(b"by hand")
    assert fetching.fetch(["toy"], tmp_path).present == [row.id]
    assert sources.checksum(row.id, tmp_path) == hashlib.sha256(b"by hand").hexdigest()


def test_a_broken_record_is_named(tmp_path, catalogue):
    catalogue(weights(b"x", "https://nowhere.invalid/w"))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "weights.bin").write_bytes(b"x")
    for text in ("{", "[]", '{"toy/weights.bin": {}}'):
        (tmp_path / CHECKSUMS).write_text(text)
        with pytest.raises(HowfarError, match=CHECKSUMS):
            sources.available(["toy"], tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_one_file_comes_out_of_an_archive(tmp_path, catalogue, server, kind):
    content = random.Random(0).randbytes(3 * PIECE)
    box = archive_of(kind, other=b"not this", wanted=content)
    answer = Ranges(box, drop=2 * PIECE)
    row = weights(content, server.url("a", answer), member="wanted")
    catalogue(row)
    assert fetching.fetch(["toy"], tmp_path).ok and len(answer.sent) == 2
    assert (tmp_path / row.id).read_bytes() == content
    assert files_in(tmp_path) == {row.id, CHECKSUMS}  # the archive does not stay


def test_an_archive_from_a_mirror_and_one_that_lacks_the_file(tmp_path, catalogue, monkeypatch):
    row = weights(b"x", "https://host.example/deep/a.tar.gz", member="wanted")
    catalogue(row)
    place = tmp_path / "mirror" / "host.example" / "deep" / "a.tar.gz"
    place.parent.mkdir(parents=True)
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path / "mirror"))
    whole = archive_of("tar", wanted=CONTENT)
    for box, found in {
        archive_of("tar", other=b"x"): "no such file in the archive",
        b"<html>": "can't be read",
        whole[: len(whole) // 2]: "can't be read",
    }.items():
        place.write_bytes(box)
        report = fetching.fetch(["toy"], tmp_path / "out")
        assert found in str(report.failed[row.id]) and "wanted" in str(report.failed[row.id])
    place.write_bytes(whole)
    assert fetching.fetch(["toy"], tmp_path / "out").ok
    assert (tmp_path / "out" / row.id).read_bytes() == CONTENT


def test_nothing_is_fetched_before_the_licence_is_agreed_to(tmp_path, catalogue, server):
    bound = weights(b"x", server.url("w", send(b"x")), licence="Princeton Academic Use")
    free = source("free", b"y", server.url("free", send(b"y")))
    catalogue(bound, free)
    assert licences_to_accept(sources.missing(["toy"], tmp_path)) == [bound.licence]
    with pytest.raises(HowfarError, match="--accept-licence") as error:
        fetching.fetch(["toy"], tmp_path)
    assert "not-for-profit" in str(error.value) and "use-agreement" in str(error.value)
    assert server.asked == [] and not files_in(tmp_path)
    assert fetching.fetch(["toy/free"], tmp_path).ok  # which needs no agreement
    assert fetching.fetch(["toy"], tmp_path, accepted=True).fetched == [bound.id]
    assert fetching.fetch(["toy"], tmp_path).ok  # what is there needs no agreement


def test_sizes_and_licences_are_said_before_much_is_fetched():
    small = source("a", b"x")
    large = dataclasses.replace(small, id="toy/b", bytes=LARGE, licence="GPL-3.0")
    unknown = dataclasses.replace(small, id="toy/c", bytes=0)
    assert licences.announce([small]) == ""
    text = licences.announce([small, large])
    assert "toy/b: 50.0 MB, licence GPL-3.0" in text and "toy/a" in text
    assert "of unpublished size" in licences.announce([unknown])
    assert unknown.description in licences.announce([unknown])  # which says what is known
