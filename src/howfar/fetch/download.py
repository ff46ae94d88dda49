"""Download a file, continuing where an earlier call was cut off; take a file out of an archive."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from howfar.core.errors import HowfarError

_CHUNK = 1 << 16  # what a broken connection may lose
#: Bytes of a file whose size the catalogue does not know.
MOST = 20_000_000_000


def download(
    url: str,
    part: str | Path,
    timeout: tuple[float, float] = (10, 60),
    at: Callable[[int], None] = lambda position: None,
    most: int = MOST,
) -> None:
    """Download `url` into the file `part`, continuing it where the server allows.

    Beside `part` a note (``<part>.from``) keeps the address and the server's validator (ETag or
    date), so that bytes of two versions are never joined: without a validator, or when the file
    changed, the download begins again. timeout: seconds to connect, and without a byte. at: called
    with the number of bytes that are there, again and again. most: bytes; HowfarError where more
    come, or are announced. Bytes are written as they are sent: what a server packs on the way,
    against our wish, is not unpacked. Raises requests.RequestException, an OSError, for anything
    that another attempt may mend.
    """
    part = Path(part)
    start, validator = _begun(url, part)
    headers = {"Accept-Encoding": "identity"}  # sizes and ranges count the bytes of the file
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
        if answer.status_code == 416 and _total(answer) == start:
            return  # it was complete
        if answer.status_code in (206, 416) and _first_byte(answer) != start:
            forget(part)
            raise requests.ConnectionError(f"{url}: another range than the one asked for")
        answer.raise_for_status()
        _write(answer, part, url, start if answer.status_code == 206 else 0, at, most)


def forget(part: Path) -> None:
    """Remove a half-made download and its note."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".from")


def _begun(url: str, part: Path) -> tuple[int, str]:
    """Return (bytes that are there and may be continued, the validator they came with)."""
    if not (part.is_file() and _note(part).is_file()):
        return 0, ""
    address, _, validator = _note(part).read_text().partition("\n")
    return (part.stat().st_size, validator) if address == url and validator else (0, "")


def _validator(answer: requests.Response) -> str:
    tag = answer.headers.get("ETag", "")
    strong = "" if tag.startswith("W/") else tag  # a weak tag may not be used with ranges
    return strong or answer.headers.get("Last-Modified", "")


def _first_byte(answer: requests.Response) -> int | None:
    words = answer.headers.get("Content-Range", "").removeprefix("bytes ").split("-")
    return int(words[0]) if words[0].isdigit() else None


def _total(answer: requests.Response) -> int | None:
    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _write(
    answer: requests.Response,
    part: Path,
    url: str,
    start: int,
    at: Callable[[int], None],
    most: int,
) -> None:
    if not start:
        forget(part)
        _note(part).write_text(f"{url}\n{_validator(answer)}")
    promised = answer.headers.get("Content-Length", "")
    if promised.isdigit() and start + int(promised) > most:
        raise _too_large(part, url, start + int(promised), most)
    with part.open("ab") as out:
        for chunk in _sent(answer, url):
            out.write(chunk)
            at(out.tell())
            if out.tell() > most:
                raise _too_large(part, url, out.tell(), most)
    if promised.isdigit() and part.stat().st_size != start + int(promised):
        raise requests.ConnectionError(f"{url}: cut off after {part.stat().st_size} bytes")


def _sent(answer: requests.Response, url: str) -> Iterator[bytes]:
    """Yield the bytes of an answer as they are sent; requests would unpack them."""
    try:
        yield from answer.raw.stream(_CHUNK, decode_content=False)
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError(f"{url}: {error}") from error


def _too_large(part: Path, url: str, size: int, most: int) -> HowfarError:
    forget(part)
    return HowfarError(
        url,
        found=f"{size:,} bytes or more",
        expected=f"at most {most:,} bytes",
        do="The file has changed at its source, or the server sends something else; nothing of it "
        "is kept.",
    )


def extract(
    archive: str | Path, member: str, target: str | Path, called: str = "", most: int = MOST
) -> None:
    """Write the one file `member` of a tar (any compression) or zip archive to `target`.

    called: the name by which errors speak of the archive. Raises HowfarError where the archive
    can't be read, holds no such file, or one of more than `most` bytes.
    """
    archive, target = Path(archive), Path(target)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as box, box.open(member) as source:
                _copy(source, target, most)
            return
        with tarfile.open(archive, "r|*") as box:  # as a stream: members before it are skipped
            for entry in box:
                if entry.isfile() and os.path.normpath(entry.name) == os.path.normpath(member):
                    _copy(box.extractfile(entry), target, most)
                    return
        found = "no such file in the archive"
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError) as error:
        found = f"an archive that can't be read ({error})"
    raise HowfarError(
        called or str(archive),
        found=found,
        expected=f"the file {member}",
        do="Run `howfar fetch` again; if it stays so, the authors have changed the archive.",
    )


class _Remote(io.RawIOBase):
    """A file behind an address, read by ranges: what `zipfile` needs of an archive elsewhere."""

    def __init__(self, url: str, timeout: tuple[float, float]) -> None:
        self.url, self.timeout, self.at = url, timeout, 0
        with self._ask(0, 1) as answer:
            self.size = _total(answer) or 0
        if not self.size:
            raise requests.ConnectionError(f"{url}: the server sends no parts of a file")

    def _ask(self, first: int, end: int) -> requests.Response:
        headers = {"Range": f"bytes={first}-{end - 1}", "Accept-Encoding": "identity"}
        answer = requests.get(self.url, headers=headers, stream=True, timeout=self.timeout)
        answer.raise_for_status()
        if answer.status_code != 206 or _first_byte(answer) != first:
            raise requests.ConnectionError(f"{self.url}: another range than the one asked for")
        return answer

    def seekable(self) -> bool:
        """Say that it can be read anywhere."""
        return True

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it; nothing is read yet."""
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        return self.at

    def readinto(self, buffer) -> int:
        """Fill the buffer by one request of that range; return how many bytes came."""
        end = min(self.at + len(buffer), self.size)
        if end <= self.at:
            return 0
        with self._ask(self.at, end) as answer:
            data = answer.content
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


def extract_remote(
    url: str, member: str, target: Path, timeout: tuple[float, float], most: int = MOST
) -> None:
    """Write the file `member` of a zip archive behind `url`, of which no more is downloaded.

    The archive's own checksum (CRC-32) is checked. Errors as of `extract` and `download`.
    """
    try:
        file = io.BufferedReader(_Remote(url, timeout), 1 << 22)
        with zipfile.ZipFile(file) as box, box.open(member) as source:
            _copy(source, target, most)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise HowfarError(
            url,
            found=f"an archive that can't be read ({error})",
            expected=f"the file {member}",
            do="Fetch again; if it stays so, the authors have changed the archive.",
        ) from error


def _copy(source, target: Path, most: int) -> None:
    with target.open("wb") as out:
        while chunk := source.read(_CHUNK):
            out.write(chunk)
            if out.tell() > most:
                raise OSError(f"its file has more than {most:,} bytes")
