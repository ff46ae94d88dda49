"""One download: what is continued, what begins again (`test_fetching`: with the whole fetch)."""

import contextlib
import gzip

import pytest
import requests

from helpers.web import CONTENT, PIECE, Ranges, archive_of, send
from howfar.core.errors import HowfarError
from howfar.fetch import download


def cut_off(server, tmp_path, answer, headers=None):
    """The address of a file of which `PIECE` bytes have come."""

    def with_headers(handler):
        handler.send_header, plain = _adding(handler, headers or {}), handler.send_header
        answer(handler)
        handler.send_header = plain

    url = server.url("w", with_headers)
    answer.drop = PIECE
    with pytest.raises(requests.RequestException):
        download.download(url, tmp_path / "w.part")
    assert (tmp_path / "w.part").stat().st_size == PIECE
    answer.drop = 0
    return url


def _adding(handler, headers):
    """send_header that adds `headers` before the length of the content."""
    plain = handler.send_header

    def send_header(key, value):
        if key == "Content-Length":
            for pair in headers.items():
                plain(*pair)
        plain(key, value)

    return send_header


def test_a_date_continues_a_download_where_there_is_no_strong_tag(tmp_path, server):
    date = "Sat, 01 Jan 2022 00:00:00 GMT"
    answer = Ranges(CONTENT, etag="")
    url = cut_off(server, tmp_path, answer, {"ETag": 'W/"1"', "Last-Modified": date})
    answer.etag = date  # what If-Range must say
    download.download(url, tmp_path / "w.part")
    assert (tmp_path / "w.part").read_bytes() == CONTENT
    assert [start for start, _ in answer.sent] == [0, PIECE]


def test_a_weak_tag_alone_begins_again(tmp_path, server):
    answer = Ranges(CONTENT, etag="")
    url = cut_off(server, tmp_path, answer, {"ETag": 'W/"1"'})
    download.download(url, tmp_path / "w.part")
    assert (tmp_path / "w.part").read_bytes() == CONTENT
    assert [start for start, _ in answer.sent] == [0, 0]


def test_a_part_of_another_address_is_not_continued(tmp_path, server):
    cut_off(server, tmp_path, Ranges(CONTENT))
    other = Ranges(CONTENT[::-1])
    download.download(server.url("other", other), tmp_path / "w.part")
    assert (tmp_path / "w.part").read_bytes() == CONTENT[::-1] and other.sent[0][0] == 0


def test_positions_are_told_as_bytes_come(tmp_path, server):
    places = []
    url = server.url("w", Ranges(CONTENT))
    download.download(url, tmp_path / "w.part", at=places.append)
    assert places == sorted(places) and places[-1] == len(CONTENT) and len(places) > 3
    download.forget(tmp_path / "w.part")
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_server_is_raised_and_leaves_nothing(tmp_path, server):
    with pytest.raises(requests.HTTPError):
        download.download(server.url("w", send(b"no", status=404)), tmp_path / "w.part")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_member_that_is_not_there_is_named(tmp_path, kind):
    (tmp_path / "a").write_bytes(archive_of(kind, other=b"x"))
    with pytest.raises(HowfarError, match=r"the archive: found .*expected the file wanted"):
        download.extract(tmp_path / "a", "wanted", tmp_path / "out", called="the archive")


def test_no_more_is_written_than_the_file_may_have(tmp_path, server):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):  # the client has gone
            while True:
                handler.wfile.write(b"0" * 70_000)

    for answer in (endless, send(CONTENT, promised=10**12)):
        with pytest.raises(HowfarError, match="expected at most 200,000 bytes"):
            download.download(server.url("w", answer), tmp_path / "w.part", most=200_000)
        assert not list(tmp_path.iterdir())


def test_what_a_server_packs_on_the_way_is_not_unpacked(tmp_path, server):
    packed = gzip.compress(b"0" * 10_000_000)

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)

    download.download(server.url("w", answer), tmp_path / "w.part")
    assert (tmp_path / "w.part").read_bytes() == packed


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_member_larger_than_it_may_be_is_refused(tmp_path, kind):
    (tmp_path / "a").write_bytes(archive_of(kind, wanted=b"0" * 1_000_000))
    with pytest.raises(HowfarError, match="more than 1,000 bytes"):
        download.extract(tmp_path / "a", "wanted", tmp_path / "out", most=1_000)


def _parts(content: bytes, sent: list[int]):
    """Answers that honour both ends of a range, as Zenodo's."""

    def answer(handler):
        first, end = handler.headers["Range"].removeprefix("bytes=").split("-")
        part = content[int(first) : int(end) + 1]
        sent.append(len(part))
        handler.send_response(206)
        last = int(first) + len(part) - 1
        handler.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        handler.send_header("Content-Length", str(len(part)))
        handler.end_headers()
        handler.wfile.write(part)

    return answer


def test_one_file_of_a_zip_archive_elsewhere_comes_alone(server, tmp_path):
    archive = archive_of("zip", a=bytes(30_000_000), b=b"wanted", c=bytes(30_000_000))
    sent: list[int] = []
    url = server.url("box.zip", _parts(archive, sent))
    download.extract_remote(url, "b", tmp_path / "b", (5, 5))
    assert (tmp_path / "b").read_bytes() == b"wanted"
    assert sum(sent) < len(archive) / 4
    with pytest.raises(HowfarError, match="expected the file z"):
        download.extract_remote(url, "z", tmp_path / "z", (5, 5))
    spoilt = archive.replace(b"wanted", b"wanned", 1)
    with pytest.raises(HowfarError, match="CRC-32"):
        download.extract_remote(
            server.url("s.zip", _parts(spoilt, sent)), "b", tmp_path / "s", (5, 5)
        )
    with pytest.raises(requests.ConnectionError, match="another range"):
        download.extract_remote(server.url("w.zip", send(b"no parts")), "b", tmp_path / "w", (5, 5))
