"""The reference genome: windows of a FASTA file as bytes.

A contig that is not there is an error, never a run of N. An index (`.fai`) beside the FASTA is
used only if it fits; otherwise one is made in a cache folder, never beside the FASTA, so that a
read-only folder works and a stale index does no harm.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyfaidx
import pysam
from pysam.utils import SamtoolsError

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError, no_such_file
from howfar.genome.genotypes.bgzf import check_whole, is_bgzf, state_key
from howfar.genome.intervals import Interval

_N = ord("N")


def _cleaning_table() -> np.ndarray:
    """uint8 (256,): upper case for A C G T N, N for IUPAC letters, 0 for anything else."""
    table = np.zeros(256, np.uint8)
    for letter in "ACGTN":
        table[[ord(letter), ord(letter.lower())]] = ord(letter)
    for letter in "RYSWKMBDHVU":
        table[[ord(letter), ord(letter.lower())]] = _N
    return table


_CLEAN = _cleaning_table()
_FIRST_BASE = bytes.maketrans(b"RYSWKMBDHVU", b"ACCAGACAAAT")


def _of_accession(name: str) -> str:
    """The human chromosome that a RefSeq accession stands for; another name as it is."""
    if re.fullmatch(r"NC_012920\.\d+", name):
        return "MT"
    match = re.fullmatch(r"NC_0000(0[1-9]|1\d|2[0-4])\.\d+", name)
    number = int(match[1]) if match else 0
    return {0: name, 23: "X", 24: "Y"}.get(number, str(number))


class NoSuchContig(HowfarError):
    """A contig that a file lacks."""


def match_contig(
    name: str, available: Iterable[str], where: str, lacking: str = "no such contig among"
) -> str:
    """The name of contig `name` in `available`: itself, with/without 'chr', or its accession.

    'chrM', 'chrMT', 'M' and 'MT' are one contig, and so are a human chromosome and its RefSeq
    accession ('NC_000001.11' is '1'). Raises HowfarError listing the contigs, `lacking` before.
    """
    have = list(available)
    bare = _of_accession(name[3:] if name.lower().startswith("chr") else name)
    names = [name, bare, f"chr{bare}"]
    if bare in ("M", "MT"):
        names += ["MT", "M", "chrM", "chrMT"]
    for candidate in names:
        if candidate in have:
            return candidate
    for candidate in have:
        if candidate.startswith("NC_") and _of_accession(candidate) in names:
            return candidate
    listed = ", ".join(have[:30]) + (f" and {len(have) - 30} more" if len(have) > 30 else "")
    raise NoSuchContig(
        f"{where}, contig {name!r}",
        found=f"{lacking} {listed or 'none at all'}",
        expected="the contig, with or without the prefix 'chr'",
        do="Check that the files belong to one genome build, and correct the contig names.",
    )


class Reference:
    """Sequence of a FASTA file, read through pyfaidx, or through htslib where it is bgzipped.

    `path` is a FASTA file, plain or compressed by bgzip. `counts` collects what was put right on
    the way: 'ambiguous bases read as N' (each once) and 'stale index of the reference ignored'.

    Examples
    --------
    >>> import howfar as hf
    >>> from howfar.simulate.example import FOLDER
    >>> with hf.Reference(FOLDER / "reference.fa") as reference:
    ...     reference.length("chr1")
    61440
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.counts: Counter[str] = Counter()
        self._ambiguous: dict[str, set[int]] = {}
        _check_readable(self.path)
        self._fasta = self._packed() if is_bgzf(self.path) else self._plain()
        self._lengths = dict(zip(self._fasta.references, self._fasta.lengths, strict=True))
        if not self._lengths:
            raise _not_fasta(self.path, "no sequence")

    def _plain(self) -> _Plain:
        index, stale = _find_index(self.path)
        self.counts["stale index of the reference ignored"] += stale
        try:
            return _Plain(
                pyfaidx.Fasta(
                    _named_plain(self.path), indexname=str(index), as_raw=True, rebuild=False
                )
            )
        except (pyfaidx.IndexNotFoundError, pyfaidx.FastaIndexingError, ValueError) as error:
            raise _not_fasta(self.path, _in_words(error)) from error

    def _packed(self) -> pysam.FastaFile:
        check_whole(self.path)
        fai, gzi = _find_packed_indexes(self.path)
        try:
            return pysam.FastaFile(
                str(self.path), filepath_index=str(fai), filepath_index_compressed=str(gzi)
            )
        except (OSError, ValueError) as error:
            raise _not_fasta(self.path, str(error)) from error

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._fasta.close()

    @property
    def contigs(self) -> dict[str, int]:
        """Length in bp of each contig, by its name in the file."""
        return dict(self._lengths)

    def contig(self, name: str) -> str:
        """The file's own name of contig `name` ('20' and 'chr20' are one); error if none."""
        return match_contig(name, self._lengths, str(self.path))

    def length(self, chrom: str) -> int:
        """Length of a contig, bp."""
        return int(self._lengths[self.contig(chrom)])

    def fetch(self, interval: Interval) -> np.ndarray:
        """uint8 (len(interval),): upper-case ASCII A C G T N, forward strand.

        `interval` is 0-based half-open; what lies beyond the contig's ends is N. IUPAC codes
        become N and are counted; any other byte raises HowfarError.
        """
        name = self.contig(interval.chrom)
        start = min(max(interval.start, 0), self._lengths[name])
        end = max(min(interval.end, self._lengths[name]), start)
        window = np.full(len(interval), _N, np.uint8)
        if start == end:
            return window
        raw = np.frombuffer(self._fasta.fetch(name, start, end).encode("latin-1"), np.uint8)
        if len(raw) != end - start:
            raise _not_fasta(self.path, f"{len(raw)} of {end - start} bases of {name}")
        window[start - interval.start : end - interval.start] = self._clean(raw, name, start)
        return window

    def _clean(self, raw: np.ndarray, name: str, start: int) -> np.ndarray:
        clean: np.ndarray = _CLEAN[raw]
        if not clean.all():
            first = int(np.argmin(clean))
            raise HowfarError(
                f"{self.path}, contig {name}, position {start + first + 1} (1-based)",
                found=f"the letter {chr(raw[first])!r}",
                expected="a base (A C G T N, upper or lower case) or an IUPAC code",
                do="Repair the FASTA file, or remove a .fai file that belongs to another one.",
            )
        changed = np.flatnonzero((clean == _N) & (raw != _N) & (raw != ord("n")))
        if changed.size:
            met = self._ambiguous.setdefault(name, set())
            met.update((changed + start).tolist())
            self.counts["ambiguous bases read as N"] = sum(map(len, self._ambiguous.values()))
        return clean

    def spellings(self, interval: Interval) -> tuple[bytes, bytes]:
        """What VCF may write for `interval`, which lies on the contig, where `fetch` has N.

        The FASTA's IUPAC codes, and in their place the first of their bases by the alphabet.
        """
        raw = self._fasta.fetch(self.contig(interval.chrom), interval.start, interval.end)
        letters = raw.upper().encode("latin-1")
        return letters, letters.translate(_FIRST_BASE)

    def ambiguous(self, interval: Interval) -> int:
        """How many of the ambiguous bases read so far lie in `interval`."""
        met = self._ambiguous.get(self.contig(interval.chrom), set())
        return sum(interval.start <= position < interval.end for position in met)


class _Plain:
    """pyfaidx with the names of `pysam.FastaFile`."""

    def __init__(self, fasta: pyfaidx.Fasta) -> None:
        self._fasta = fasta
        self.close = fasta.close
        self.references = list(fasta.keys())
        self.lengths = [len(fasta[name]) for name in self.references]

    def fetch(self, name: str, start: int, end: int) -> str:
        """Bases of a contig, 0-based half-open, as the file has them."""
        return str(self._fasta[name][start:end])


def _not_fasta(path: Path, found: str) -> HowfarError:
    return HowfarError(
        str(path),
        found=found,
        expected="a FASTA file with lines of equal length and contig names that differ",
        do="Check the file with `samtools faidx`, or fetch it again.",
    )


def _in_words(error: Exception) -> str:
    """What pyfaidx says of a FASTA file that it can't index, in this project's words."""
    text = str(error)
    twice = re.search(r'Duplicate key "(.*)"', text)
    uneven = re.search(r"Inconsistent line found in >(.*) at line (\d+)", text)
    if twice:
        return f"contig {twice[1]!r} twice"
    return f"lines of unequal length in contig {uneven[1]!r}, line {uneven[2]}" if uneven else text


def _check_readable(path: Path) -> None:
    if not path.is_file():
        expected = "the reference genome as FASTA"
        raise no_such_file(path, expected, "Correct the path of the reference.")
    with path.open("rb") as handle:
        start = handle.read(2)
    packed = start == b"\x1f\x8b"
    if packed and not is_bgzf(path):
        raise HowfarError(
            str(path),
            found="a compressed file, not by bgzip",
            expected="a FASTA file that is plain or bgzipped, as windows are read by position",
            do=f"Run `gunzip -k {path.name}` and name the new file.",
        )
    if packed:
        with gzip.open(path) as handle:
            start = handle.read(2)
    if start[:1] != b">":
        first = repr(start[:1].decode("latin-1")) if start else "nothing"
        raise _not_fasta(path, f"{first} at the file's start, instead of '>'")


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "howfar" / "fai"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    folder = Path(tempfile.gettempdir()) / f"howfar-fai-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _find_index(path: Path) -> tuple[Path, bool]:
    """Return an index that fits `path`, and whether the one beside the FASTA is stale.

    The one beside the FASTA where it fits; else one in the cache folder, made if need be.
    """
    beside = path.with_name(path.name + ".fai")
    fits = beside.is_file() and index_fits(path, beside)
    if fits and beside.stat().st_mtime >= path.stat().st_mtime:
        return beside, False
    index = _cache_folder() / f"{state_key(path)[:32]}.fai"
    stale = beside.is_file() and not fits
    if stale:
        warnings.warn(
            f"{beside}: the index does not fit the FASTA file and is ignored; "
            "make it again with `samtools faidx`",
            stacklevel=3,
        )
    if not (index.is_file() and index_fits(path, index)):
        _make_index(path, index, beside if fits else None)
    os.utime(index)  # pyfaidx takes an index older than its FASTA for a stale one
    return index, stale


def _find_packed_indexes(path: Path) -> tuple[Path, Path]:
    """Return the .fai and .gzi of a bgzipped FASTA, made in the cache folder when first read.

    Those beside it are not used, as nothing shows cheaply that they belong to it.
    """
    name = state_key(path)[:32]
    fai, gzi = (_cache_folder() / f"{name}{end}" for end in (".gz.fai", ".gz.gzi"))
    if not (fai.is_file() and gzi.is_file()):
        try:
            with whole(fai) as lines, whole(gzi) as blocks:
                words = [str(path), "--fai-idx", str(lines), "--gzi-idx", str(blocks)]
                pysam.faidx(*words, catch_stdout=False)
        except SamtoolsError as error:
            raise _not_fasta(path, str(error)) from error
    return fai, gzi


def _named_plain(path: Path) -> str:
    """Return `path`, or a link to it, as pyfaidx takes what is named .gz for compressed."""
    if path.suffix.lower() not in (".gz", ".bgz"):
        return str(path)
    link = _cache_folder() / f"{state_key(path)[:32]}.fa"
    with suppress(FileExistsError):
        link.symlink_to(path.resolve())
    return str(link)


def _make_index(path: Path, index: Path, known: Path | None) -> None:
    """Write the index of `path`: a copy of the one `known`, or a new one."""
    with whole(index) as part:
        if known is not None:
            shutil.copyfile(known, part)
            return
        try:
            pyfaidx.Faidx(_named_plain(path), indexname=str(part), build_index=True).close()
        except (pyfaidx.FastaIndexingError, ValueError) as error:
            part.unlink(missing_ok=True)
            if not _index_by_samtools(path, part):
                raise _not_fasta(path, _in_words(error)) from error


def _index_by_samtools(path: Path, index: Path) -> bool:
    """Whether samtools indexes what pyfaidx refuses: empty lines at a contig's end."""
    try:
        pysam.faidx(str(path), "--fai-idx", str(index), catch_stdout=False)
    except SamtoolsError:
        index.unlink(missing_ok=True)
        return False
    return index_fits(path, index)


def index_fits(path: Path, index: Path) -> bool:
    """Whether a `.fai` belongs to the FASTA as it is now, whatever the files' dates say.

    Each contig's header must stand right before its first base and the next header (or the end
    of the file) right after its last; the bases between are counted by the file's own length.
    """
    size = path.stat().st_size
    try:
        entries = sorted(map(_index_entry, index.read_text().splitlines()))
    except (ValueError, IndexError, UnicodeDecodeError):
        return False
    expected = 0  # where the next header starts
    with path.open("rb") as handle:
        for offset, name, length, bases, width in entries:
            handle.seek(expected)
            header = handle.read(max(offset - expected, 0))
            words = header[1:].split()
            if header[:1] != b">" or not header.endswith(b"\n") or header.count(b"\n") != 1:
                return False
            if not words or words[0].decode("utf-8", "replace") != name or bases < 1:
                return False
            full, rest = divmod(length, bases)
            last = offset + full * width + (rest or bases - width)
            handle.seek(offset + bases)
            if last > size or (length > bases and handle.read(1) not in (b"\r", b"\n")):
                return False
            handle.seek(last)
            tail = handle.read(4096).lstrip(b"\r\n")
            if tail[:1] not in (b"", b">"):
                return False
            expected = size - len(tail) if not tail else handle.tell() - len(tail)
    return bool(entries) and expected >= size


def _index_entry(line: str) -> tuple[int, str, int, int, int]:
    """Offset, contig, length, bases in a line, and bytes in a line, of a line of a `.fai`."""
    name, length, offset, bases, width = line.split("\t")[:5]
    return int(offset), name, int(length), int(bases), int(width)
