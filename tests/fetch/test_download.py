"""One download: what is continued, what begins again (`test_fetching`: with the whole fetch)."""

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
