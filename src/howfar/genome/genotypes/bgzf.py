"""bgzipped files: whole or not, with an index that fits or one made in the results folder.

A run looks at the end of a file; whoever needs all of it to be good (`howfar doctor --check`, the
index of a file that has none) reads it through, and a file that was found good is remembered by
its size and date.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pysam
from cyvcf2.cyvcf2 import set_htslib_log_level

from howfar.core.errors import HowfarError, no_such_file
from howfar.core.progress import track
from howfar.core.project import results_root
from howfar.core.text import is_gzip
from howfar.genome.genotypes.index import index_belongs
from howfar.genome.genotypes.vcf_text import LineCheck

_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_CHUNK = 1 << 22
_TAIL = 1 << 18  # bytes at the end of a plain file among which empty lines are looked for
VCF_START = b"##fileformat=VCF"

# Whatever htslib can't read is raised with its place; htslib's own lines would stand beside that.
pysam.set_verbosity(0)
if "CYVCF2_HTSLIB_LOG_LEVEL" not in os.environ:
    set_htslib_log_level(0)


def is_bgzf(path: Path) -> bool:
    """Whether the file's first block is one of bgzip's, from any place of which can be read."""
    with path.open("rb") as handle:
        head = handle.read(18)
    return head[:4] == b"\x1f\x8b\x08\x04" and head[12:14] == b"BC"


def check_end(path: Path) -> None:
    """Raise HowfarError for a file that bgzip didn't write, or whose last block is missing."""
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


def check_whole(path: Path, shown: bool = False) -> None:
    """Raise HowfarError unless every block of a bgzipped file, and each line of a VCF, is good.

    The whole file is read, the first time. shown: with lines of progress.
    """
    check_end(path)
    if is_checked(path):
        return
    read_through(path, shown=shown)
    stamp = _stamp(path)
    with suppress(OSError):  # a results folder that can't be written costs time alone
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()


def is_checked(path: Path) -> bool:
    """Whether `check_whole` found the file good, as it is now."""
    return _stamp(path).is_file()


def _stamp(path: Path) -> Path:
    return _place(path) / "whole"


def read_through(path: Path, copied: bool = False, shown: bool = False) -> None:
    """Read all of a file, plain or bgzipped; HowfarError for a broken block or a bad line of VCF.

    copied: as `LineCheck` has it. shown: with lines of progress.
    """
    steps = _mebibytes(path, copied)
    for _ in track(steps, path.stat().st_size >> 20, f"{path.name} MiB") if shown else steps:
        pass


def _mebibytes(path: Path, copied: bool) -> Iterator[int]:
    """Read and check all of a file; yields the number of MiB behind, as each is passed."""
    packed = is_gzip(path)
    read, behind, lines = 0, 0, None
    try:  # round `with`, as closing raises too behind a broken block
        with pysam.BGZFile(str(path), "r", None) if packed else path.open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                if not read and chunk.removeprefix(codecs.BOM_UTF8).startswith(VCF_START):
                    lines = LineCheck(path, copied)
                read += len(chunk)
                if lines:
                    lines.feed(chunk)
                offset = handle.tell() >> 16 if packed else handle.tell()
                while behind < offset >> 20:
                    behind += 1
                    yield behind
    except (OSError, zlib.error, EOFError) as error:
        raise _broken(path, f"a broken block after {read:,} bytes of text") from error
    if lines:
        lines.end()


def broken_block(path: Path, offset: int) -> HowfarError:
    """Make the error for a block that can't be decompressed, near a virtual offset."""
    return _broken(path, f"a broken block after {offset >> 16:,} bytes of the file")


def _broken(path: Path, found: str) -> HowfarError:
    return HowfarError(
        str(path),
        found=found,
        expected="a bgzipped file with all its blocks",
        do="Fetch or copy the file again, and compare its checksum with the source's.",
    )


def _place(path: Path) -> Path:
    """The folder below the results for what belongs to this file as it is now."""
    return results_root() / "indexes" / state_key(path)[:20]


def state_key(path: Path) -> str:
    """Hash a file's path, size and date, which tell apart its states without reading it."""
    status = path.stat()
    key = f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}"
    return hashlib.sha256(key.encode()).hexdigest()


def index_beside(path: Path) -> Path:
    """The index that htslib takes for a file: its .csi, else its .tbi."""
    csi = path.with_name(f"{path.name}.csi")
    return csi if csi.is_file() else path.with_name(f"{path.name}.tbi")


def indexed(path: Path) -> Path:
    """A VCF or BCF file that can be read by region: `path`, or its stand-in in the results folder.

    `path` itself where an index beside it (.csi, .tbi) is no older than the file and the name is
    that of its format, by which cyvcf2 tells BCF from VCF. Otherwise a link to the file (a VCF that
    isn't compressed: a bgzipped copy) with a new index; a warning says so once, and as the file has
    to be read for it, all of it is checked. Nothing is written beside the user's file. HowfarError
    for a file without its end, and for one to be indexed that is broken or has records that can't
    be.
    """
    binary = check_kind(path)
    end = ".bcf" if binary else ".vcf.gz"
    named = path.name.endswith((".bcf", ".bcf.gz")) == binary
    packed = is_gzip(path)
    if packed:
        check_end(path)
    age = path.stat().st_mtime
    beside = [path.with_name(path.name + end) for end in (".csi", ".tbi")]
    there = [index for index in beside if index.is_file()]
    fresh = packed and there and all(index.stat().st_mtime >= age for index in there)
    fits = fresh and all(index_belongs(path, index) for index in there)
    if fits and named:
        return path
    stand_in = _place(path) / (path.name if packed and named else f"genotypes{end}")
    if not stand_in.with_name(f"{stand_in.name}.csi").is_file():
        if packed:
            check_whole(path)
        else:
            read_through(path, copied=True)
        why = "is older than the file" if there and packed else "is not there"
        why = "does not fit the file" if fresh else why
        why = f"is of a {'BCF' if binary else 'VCF'} file under another name" if fits else why
        warnings.warn(
            f"{path}: the index {why}; one was made at {stand_in.parent}"
            + ("" if packed else ", with a bgzipped copy of the file"),
            stacklevel=4,
        )
        _make(path, stand_in, packed)
    return stand_in


def _start(head: bytes) -> str:
    return f"a file that starts with {head.decode('latin-1')!r}" if head else "an empty file"


def check_kind(path: Path) -> bool:
    """Whether a file is BCF; HowfarError unless it starts as VCF or compressed BCF does."""
    if not path.is_file():
        raise no_such_file(path, "a VCF or BCF file", "Correct the path of the variants.")
    with (gzip.open if is_bgzf(path) else open)(path, "rb") as handle:
        try:
            head = handle.read(19)
        except (OSError, zlib.error, EOFError) as error:
            raise _broken(path, "a broken first block") from error
    if head.startswith(codecs.BOM_UTF8 + VCF_START):
        if not is_gzip(path):
            return False  # the copy that is made is without
        raise HowfarError(
            str(path),
            found="a byte order mark (UTF-8 BOM) before its first line",
            expected="##fileformat=VCFv4.x at its very start",
            do=f"Run `gunzip -c {path.name} | tail -c +4 | bgzip > new.vcf.gz`.",
        )
    head = head[:16]
    plain_bcf = head.startswith(b"BCF") and not is_gzip(path)
    if plain_bcf or not head.startswith((VCF_START, b"BCF\2", b"\x1f\x8b")):
        raise HowfarError(
            str(path),
            found="BCF that is not compressed" if plain_bcf else _start(head),
            expected="a VCF (its first line is ##fileformat=VCFv4.x) or a compressed BCF file",
            do="Run `bcftools view -Ob` on it."
            if plain_bcf
            else "Correct the path, or fetch "
            "the file again: a download may have brought an error page.",
        )
    return head.startswith(b"BCF")


def _make(path: Path, stand_in: Path, packed: bool) -> None:
    """Link or copy the file to `stand_in` and index it there; the index is put in place last."""
    stand_in.parent.mkdir(parents=True, exist_ok=True)
    part = stand_in.parent / f"{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    work = part / stand_in.name
    try:
        if packed:
            work.symlink_to(path.resolve())
        else:
            pysam.tabix_compress(str(_readable(path, part)), str(work))
        _index(path, work)
        os.replace(work, stand_in)
        os.replace(f"{work}.csi", f"{stand_in}.csi")
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _readable(path: Path, part: Path) -> Path:
    """Return a plain VCF that htslib can read: `path`, or a copy in the folder `part`.

    The copy is without a byte order mark and the empty lines at the end.
    """
    with path.open("rb") as handle:
        start = len(codecs.BOM_UTF8) * handle.read(3).startswith(codecs.BOM_UTF8)
        handle.seek(max(path.stat().st_size - _TAIL, 0))
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
    binary = work.suffix == ".bcf"
    preset: Any = "bcf" if binary else "vcf"  # pysam's annotations lack the former
    for shift in (14, 16, 18) if binary else (14,):
        try:
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
