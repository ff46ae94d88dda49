"""Fetching: the catalogue, checksums, retries, resumption, and what happens without a network."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest

from howfar import sources, study
from howfar.errors import HowfarError

SHARED = Path(__file__).resolve().parents[2] / "shared"
MIRROR = SHARED / "mirror"
needs_mirror = pytest.mark.skipif(
    not (MIRROR / "MANIFEST.csv").is_file(), reason="no ../shared/mirror on this machine"
)


def source(name: str, content: bytes, url: str = "", study_name: str = "toy") -> sources.Source:
    return sources.Source(
        id=f"{study_name}/{name}",
        study=study_name,
        url=url or f"{sources.HOST}owner/repository/{'0' * 40}/{name}",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="MIT",
        citation="A. Author. A toy.",
        description="a toy",
    )


@pytest.fixture
def catalogue(monkeypatch):
    """A function that replaces data/sources.csv by the given files."""

    def use(*rows: sources.Source) -> list[str]:
        monkeypatch.setattr(sources, "sources", lambda: {r.id: r for r in rows})
        return [r.id for r in rows]

    monkeypatch.delenv("HOWFAR_MIRROR", raising=False)
    return use


class Server:
    """A local web server: `answers[path]` is a list of behaviours, the last one repeated."""

    def __init__(self) -> None:
        self.answers: dict[str, list] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(200)
                self.end_headers()

            def do_GET(self):
                outer.asked.append(self.path)
                todo = outer.answers[self.path]
                (todo.pop(0) if len(todo) > 1 else todo[0])(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def url(self, name: str, *behaviours) -> str:
        self.answers[f"/{name}"] = list(behaviours)
        return f"http://127.0.0.1:{self.http.server_port}/{name}"


def send(content: bytes, status: int = 200, promised: int | None = None, pause: float = 0):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(promised or len(content)))
        handler.end_headers()
        half = len(content) // 2
        handler.wfile.write(content[:half])
        handler.wfile.flush()
        time.sleep(pause)
        handler.wfile.write(content[half:])

    return answer


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


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
    assert all(r.licence and r.citation and r.description and r.bytes > 0 for r in rows)
    assert all(len(r.mirrored.split("/")[2]) == 40 for r in rows)  # a commit, never a branch
    assert all(quote(r.mirrored) == r.mirrored for r in rows)  # nothing that a URL must escape


def test_every_need_of_every_study_is_listed():
    known = sources.sources()
    for name in study.study_names():
        published = study.load_study(name).published
        assert published is None or set(published.needs) <= set(known), name


@needs_mirror
def test_catalogue_agrees_with_the_mirrors_manifest():
    manifest = pd.read_csv(MIRROR / "MANIFEST.csv", keep_default_na=False)
    wanted = {
        (f"{r.repo}/{r.commit}/{r.path}", r.study, int(r.bytes), r.sha256, r.license)
        for r in manifest.itertuples()
    }
    rows = sources.sources().values()
    assert {(r.mirrored, r.study, r.bytes, r.sha256, r.licence) for r in rows} == wanted


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: [lines[0].replace("sha256", "md5"), *lines[1:]], "line 1"),
        (lambda lines: [*lines, lines[1]], "line 4"),
        (lambda lines: [*lines, lines[1].replace("toy/a", "../a")], "../a"),
        (lambda lines: [*lines, lines[1].replace("toy/a", "toy/c").replace("https", "ftp")], "ftp"),
        (lambda lines: [*lines, "toy/c,toy,https://"], "another length"),
    ],
)
def test_a_broken_catalogue_names_the_line(tmp_path, monkeypatch, change, found):
    columns = "id,study,url,bytes,sha256,licence,citation,description"
    rows = [
        f"toy/{n},toy,{sources.HOST}o/r/{'0' * 40}/{n},3,{'a' * 64},MIT,cited,text" for n in "ab"
    ]
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
    needs = set(study.load_study("geuvadis_public").published.needs)
    assert {s.id for s in sources.select(["geuvadis_public"])} == needs
    both = {s.id for s in sources.select(["huang2023"])}
    assert both >= {s.id for s in sources.sources().values() if s.study == "huang2023"}
    assert both >= set(study.load_study("huang2023").published.needs)


@pytest.mark.parametrize("word", ["huang2032", "huang2023/none.csv", "demo"])
def test_an_unknown_name_is_refused(word):
    with pytest.raises(HowfarError, match=word):
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
    report = sources.fetch(["toy"], out)
    assert report.ok and report.fetched == ["toy/a.csv", "toy/deep/b.csv"]
    assert sources.path("toy/deep/b.csv", out).read_bytes() == b"beta"
    again = sources.fetch(["toy"], out)
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
    report = sources.fetch(["toy"], tmp_path / "out")
    assert not report.ok and report.fetched == [have.id] and list(report.failed) == [lack.id]
    assert lack.mirrored in str(report.failed[lack.id])
    assert lack.id in report.summary()
    assert sources.available(["toy"], tmp_path / "out") == {have.id: True, lack.id: False}


def test_a_mirror_that_is_not_there_is_one_clear_error(tmp_path, catalogue, monkeypatch):
    catalogue(*(source(f"{i}", b"x") for i in range(20)))
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(HowfarError, match="nowhere"):
        sources.fetch(["toy"], tmp_path / "out")
    monkeypatch.setenv("HOWFAR_MIRROR", str(tmp_path))  # there, but empty
    report = sources.fetch(["toy"], tmp_path / "out")
    assert len(report.failed) == 20 and report.summary().count("failed:") == 6


def test_a_folder_that_cannot_be_written_is_reported(tmp_path, catalogue, server):
    catalogue(source("a", b"x", server.url("a", send(b"x"))))
    (tmp_path / "toy").write_text("a file where a folder must be")
    report = sources.fetch(["toy"], tmp_path)
    assert "FileExistsError" in str(report.failed["toy/a"])


@pytest.mark.parametrize(
    "content", [b"", b"<html>429: Too Many Requests</html>", b"alphA", b"alpha beta gamm"]
)
def test_other_content_is_refused_and_kept_aside(tmp_path, catalogue, server, content):
    right = b"alpha beta gamma"
    row = source("a.csv", right, server.url("a.csv", send(content)))
    catalogue(row)
    with pytest.raises(HowfarError) as error:
        sources.fetch(["toy"], tmp_path)
    assert row.sha256 in str(error.value)
    assert hashlib.sha256(content).hexdigest() in str(error.value)
    assert files_in(tmp_path) == {"toy/a.csv.rejected"}
    assert (tmp_path / "toy" / "a.csv.rejected").read_bytes() == content
    server.answers["/a.csv"] = [send(right)]
    assert sources.fetch(["toy"], tmp_path).fetched == [row.id]


def test_a_changed_file_on_disk_is_fetched_again(tmp_path, catalogue, server):
    row = source("a.csv", b"alpha", server.url("a.csv", send(b"alpha")))
    catalogue(row)
    target = tmp_path / row.id
    target.parent.mkdir()
    target.write_bytes(b"alphA")  # the same size
    assert sources.available(["toy"], tmp_path) == {row.id: True}
    assert sources.available(["toy"], tmp_path, checksums=True) == {row.id: False}
    assert sources.fetch(["toy"], tmp_path).fetched == [row.id]
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
    assert sources.fetch(["toy"], tmp_path).ok
    assert (tmp_path / row.id).read_bytes() == content
    assert len(server.asked) == 3


def test_lasting_trouble_is_reported_per_file(tmp_path, catalogue, server):
    good = source("good.csv", b"good", server.url("good.csv", send(b"good")))
    gone = source("gone.csv", b"gone", server.url("gone.csv", send(b"404", status=404)))
    down = source("down.csv", b"down", server.url("down.csv", send(b"500", status=500)))
    catalogue(good, gone, down)
    report = sources.fetch(["toy"], tmp_path)
    assert report.fetched == [good.id] and sorted(report.failed) == [down.id, gone.id]
    assert "404" in str(report.failed[gone.id])
    assert server.asked.count("/gone.csv") == 1  # asking again would not help
    assert server.asked.count("/down.csv") == sources.RETRIES + 1
    assert files_in(tmp_path) == {good.id}


def test_right_files_are_not_asked_for_again(tmp_path, catalogue, server):
    rows = [source(n, n.encode(), server.url(n, send(n.encode()))) for n in ("a", "b", "c")]
    catalogue(*rows)
    sources.fetch(["toy/a"], tmp_path)
    report = sources.fetch(["toy"], tmp_path)
    assert report.present == ["toy/a"] and report.fetched == ["toy/b", "toy/c"]
    assert sorted(server.asked) == ["/a", "/b", "/c"]


def test_no_network_fails_at_once_and_says_what_to_do(tmp_path, catalogue):
    catalogue(*(source(f"{i}.csv", b"x", f"http://127.0.0.1:9/{i}.csv") for i in range(50)))
    start = time.monotonic()
    with pytest.raises(HowfarError, match="HOWFAR_MIRROR") as error:
        sources.fetch(["toy"], tmp_path)
    assert time.monotonic() - start < 5
    assert "50 file(s)" in str(error.value) and not files_in(tmp_path)


def test_a_network_that_swallows_requests_fails_in_time(tmp_path, catalogue, monkeypatch):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(sources, "CONNECT_S", 1)
        catalogue(source("a.csv", b"x", f"http://127.0.0.1:{silent.getsockname()[1]}/a.csv"))
        start = time.monotonic()
        with pytest.raises(HowfarError, match="no connection"):
            sources.fetch(["toy"], tmp_path)
        assert time.monotonic() - start < 5


_KILLED = """
import sys
from howfar import sources
rows = {rows!r}
sources.sources = lambda: {{r[0]: sources.Source(*r) for r in rows}}
sources.fetch(["toy"], {folder!r}, progress=False, workers=2)
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
    report = sources.fetch(["toy"], tmp_path)
    assert report.ok and sorted(report.present) == sorted(r.id for r in done)


def test_progress_is_lines_where_there_is_no_terminal(tmp_path, catalogue, server, capfd):
    rows = [source(f"{i}", b"x", server.url(f"{i}", send(b"x"))) for i in range(40)]
    catalogue(*rows)
    sources.fetch(["toy"], tmp_path)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 10 and lines[-1].startswith("40 of 40 files")
    assert not any("\r" in line or "\x1b" in line for line in lines)


def test_licences_and_citations_are_in_the_summary(tmp_path, catalogue, server):
    catalogue(source("a", b"x", server.url("a", send(b"x"))))
    text = sources.fetch(["toy"], tmp_path, progress=False).summary()
    assert "licence: MIT" in text and "A. Author. A toy." in text and "1 fetched" in text


def test_licence_table_counts_every_file():
    table = sources.licence_table()
    assert table["files"].sum() == len(sources.sources())
    assert table["bytes"].sum() == sum(s.bytes for s in sources.sources().values())
    assert set(table["licence"]) >= {"MIT", "GPL-3.0", "none stated"}


@needs_mirror
def test_every_study_comes_from_the_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("HOWFAR_MIRROR", str(MIRROR))
    words = sorted({s.study for s in sources.sources().values()})
    report = sources.fetch(words, tmp_path, progress=False)
    assert report.ok and len(report.fetched) == len(sources.sources())
    assert all(sources.available(words, tmp_path, checksums=True).values())
