"""bgzipped files: whole or not, with an index that fits or one made in the results folder.

htslib ends a region's records quietly where a block of the file is broken, so that a damaged
download would pass for a region with fewer variants. Hence a file is read through once before it
is used; one that was found whole is remembered by its size and date.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import os
import shutil
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import pysam
from cyvcf2.cyvcf2 import set_htslib_log_level

from howfar.core.errors import HowfarError
from howfar.core.project import results_root
from howfar.core.text import is_gzip
from howfar.genome.genotypes.index import index_belongs
from howfar.genome.genotypes.vcf_text import LineCheck

_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_CHUNK = 1 << 22
_SMALL = 1 << 18  # files below are read through each time, as that takes no time

# Whatever htslib can't read is raised with its place; htslib's own lines would stand beside that.
pysam.set_verbosity(0)
if "CYVCF2_HTSLIB_LOG_LEVEL" not in os.environ:
    set_htslib_log_level(0)


def is_bgzf(path: Path) -> bool:
    """Whether the file's first block is one of bgzip's, from any place of which can be read."""
    with path.open("rb") as handle:
        head = handle.read(18)
    return head[:4] == b"\x1f\x8b\x08\x04" and head[12:14] == b"BC"


def check_whole(path: Path) -> None:
    """Raise HowfarError unless every block of a bgzipped file is there and intact."""
    if not is_bgzf(path):
        raise HowfarError(
            str(path),
            found="gzip, and not bgzip",
            expected="a file compressed by bgzip, from any place of which can be read",
            do=f"Run `gunzip -c {path.name} | bgzip > new.gz`, and index the new file.",
        )
    with path.open("rb") as handle:
        handle.seek(max(path.stat().st_size - len(_END), 0))
        if handle.read() != _END:
            raise _broken(path, "no end-of-file block, so the file was cut short")
    stamp = _place(path) / "whole"
    if stamp.is_file():
        return
    _read_through(path)
    if path.stat().st_size > _SMALL:
        with suppress(OSError):  # a results folder that can't be written costs time alone
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()


def _read_through(path: Path) -> None:
    read, lines = 0, None
    try:
        with pysam.BGZFile(str(path), "r") as handle:
            while chunk := handle.read(_CHUNK):
                if not read and chunk.startswith(b"##fileformat=VCF"):
                    lines = LineCheck(path)
                read += len(chunk)
                if lines:
                    lines.feed(chunk)
        if lines:
            lines.end()
    except (OSError, zlib.error, EOFError) as error:
        raise _broken(path, f"a broken block after {read:,} bytes of text") from error


def _check_lines(path: Path) -> None:
    lines = LineCheck(path, copied=True)
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            lines.feed(chunk)
    lines.end()


def _broken(path: Path, found: str) -> HowfarError:
    return HowfarError(
        str(path),
        found=found,
        expected="a bgzipped file with all its blocks",
        do="Fetch or copy the file again, and compare its checksum with the source's.",
    )


def _place(path: Path) -> Path:
    """The folder below the results for what belongs to this file as it is now."""
    status = path.stat()
    key = f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}"
    return results_root() / "indexes" / hashlib.sha256(key.encode()).hexdigest()[:20]


def indexed(path: Path) -> Path:
    """A VCF or BCF file that can be read by region: `path`, or its stand-in in the results folder.

    `path` itself where an index beside it (.csi, .tbi) is no older than the file. Otherwise a
    link to the file (a VCF that isn't compressed: a bgzipped copy) with a new index; a warning
    says so once. Nothing is written beside the user's file. HowfarError for a broken file and
    for one whose records can't be indexed.
    """
    _check_kind(path)
    packed = is_gzip(path)
    if packed:
        check_whole(path)
    else:
        _check_lines(path)
    age = path.stat().st_mtime
    beside = [path.with_name(path.name + end) for end in (".csi", ".tbi")]
    there = [index for index in beside if index.is_file()]
    fresh = packed and there and all(index.stat().st_mtime >= age for index in there)
    if fresh and all(index_belongs(path, index) for index in there):
        return path
    made = _place(path) / (path.name if packed else f"{path.name}.gz")
    if not made.with_name(f"{made.name}.csi").is_file():
        why = "is older than the file" if there and packed else "is not there"
        why = "does not fit the file" if fresh else why
        warnings.warn(
            f"{path}: the index {why}; one was made at {made.parent}"
            + ("" if packed else ", with a bgzipped copy of the file"),
            stacklevel=4,
        )
        _make(path, made, packed)
    return made


def _start(head: bytes) -> str:
    return f"a file that starts with {head.decode('latin-1')!r}" if head else "an empty file"


def _check_kind(path: Path) -> None:
    if not path.is_file():
        raise HowfarError(
            str(path),
            found="no such file",
            expected="a VCF or BCF file",
            do="Correct the path of the variants.",
        )
    with (gzip.open if is_bgzf(path) else open)(path, "rb") as handle:
        try:
            head = handle.read(19)
        except (OSError, zlib.error, EOFError) as error:
            raise _broken(path, "a broken first block") from error
    if head.startswith(codecs.BOM_UTF8 + b"##fileformat=VCF"):
        if not is_gzip(path):
            return  # the copy that is made is without
        raise HowfarError(
            str(path),
            found="a byte order mark (UTF-8 BOM) before its first line",
            expected="##fileformat=VCFv4.x at its very start",
            do=f"Run `gunzip -c {path.name} | tail -c +4 | bgzip > new.vcf.gz`.",
        )
    head = head[:16]
    plain_bcf = head.startswith(b"BCF") and not is_gzip(path)
    if plain_bcf or not head.startswith((b"##fileformat=VCF", b"BCF\2", b"\x1f\x8b")):
        raise HowfarError(
            str(path),
            found="BCF that is not compressed" if plain_bcf else _start(head),
            expected="a VCF (its first line is ##fileformat=VCFv4.x) or a compressed BCF file",
            do="Run `bcftools view -Ob` on it."
            if plain_bcf
            else "Correct the path, or fetch "
            "the file again: a download may have brought an error page.",
        )


def _make(path: Path, made: Path, packed: bool) -> None:
    """Link or copy the file to `made` and index it there; the index is put in place last."""
    made.parent.mkdir(parents=True, exist_ok=True)
    part = made.parent / f"{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    work = part / made.name
    try:
        if packed:
            work.symlink_to(path.resolve())
        else:
            pysam.tabix_compress(str(_readable(path, part)), str(work))
        _index(path, work)
        os.replace(work, made)
        os.replace(f"{work}.csi", f"{made}.csi")
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _readable(path: Path, part: Path) -> Path:
    """A plain VCF that htslib can read: `path`, or a copy in `part` without a byte order mark and
    the empty lines at the end."""
    with path.open("rb") as handle:
        start = len(codecs.BOM_UTF8) * handle.read(3).startswith(codecs.BOM_UTF8)
        handle.seek(max(path.stat().st_size - _SMALL, 0))
        tail = handle.read()
        after = tail[len(tail.rstrip(b"\r\n")) :]
        if not start and after.count(b"\n") < 2:
            return path
        copy, left = part / "readable.vcf", path.stat().st_size - len(after) - start
        handle.seek(start)
        with copy.open("wb") as out:
            while chunk := handle.read(min(left, _CHUNK)):
                left -= out.write(chunk)
            out.write(b"\n")
    return copy


def _index(path: Path, work: Path) -> None:
    """Index `work`, which stands for the user's `path`.

    The index of a BCF has room for the contig as the header has it, which a long deletion near
    its end may pass; one with wider bins has more room.
    """
    binary = path.suffix == ".bcf"
    for shift in (14, 16, 18) if binary else (14,):
        try:
            preset = "bcf" if binary else "vcf"
            pysam.tabix_index(str(work), preset=preset, csi=True, min_shift=shift, force=True)
            return
        except OSError as error:
            if error.errno is not None:  # a full disk and the like; a refusal has no number
                raise
            refusal = error
    raise HowfarError(
        str(path),
        found=f"records that can't be indexed ({refusal})",
        expected="records sorted by contig and position",
        do="Run `bcftools sort` on it.",
    ) from refusal
