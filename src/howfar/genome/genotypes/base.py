"""Genotypes of a region as one compact matrix, whatever kind of file they come from.

What the calls mean, decided once:

- a missing call is reference (as in ``bcftools consensus``) and counted; a half-call is its known
  allele plus reference, counted; a haploid call goes to both haplotypes, counted;
- ``*``, symbolic alleles (``<DEL>``, breakends) and those of IUPAC codes are
  never applied, and counted; records with nothing but such alleles are left out;
- records whose FILTER is neither PASS nor missing, and those whose REF PLINK marks as provisional
  (INFO field PR), are used and counted;
- calls phased in several phase sets (FORMAT field PS) are read as one, and the people counted;
- a record whose REF is not what the FASTA has is left out and counted; above a given share of
  such records, if there are two or more, reading stops, as the files then belong to different
  genomes. Where the FASTA has an IUPAC code, REF may be that code, N, or the first of its bases,
  which VCF asks for. A REF with N where the FASTA has a base says nothing of the genome: such a
  record is left out and counted too.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from howfar.core.errors import HowfarError, wrong_option
from howfar.genome.intervals import Interval, Variant
from howfar.genome.reference import Reference, match_contig

MISSING = -1
SEVERAL_SETS = "people's windows over several phase sets, read as one"
SYMBOLIC = "symbolic alleles"
BESIDE_CALLS = "records with dosages beside calls, which are used"
_FEW_ALLELES = 100  # whose calls are int8, with room for IUPAC pseudo-alleles
_IUPAC = {
    frozenset(pair): code.encode()
    for pair, code in {"AG": "R", "CT": "Y", "CG": "S", "AT": "W", "GT": "K", "AC": "M"}.items()
}
_SYMBOLIC = re.compile(rb"^<.*>$|[\[\]]|^\.|\.$")  # named, breakends, missing
_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")
_RESOLVED = re.compile(rb"[ACGTN]+")
_NO_CHANGE = (b"*", b"<*>", b"<NON_REF>", b"<X>")  # '*', and "any other allele" of gVCF files
# What may be an ALT: bases (IUPAC codes too, which are left out), '*', symbolic, a breakend.
_ALLELE = re.compile(rb"[ACGTNRYSWKMBDHVU]+|\*|<[^<>\s]+>|.*[\[\]].*|\.[A-Z]*|[A-Z]+\.")


@dataclass
class Genotypes:
    """The calls of V records for P people.

    chrom: contig, as asked for. starts, ends: int64 (V,), 0-based half-open span of REF, in file
    order. alleles: per record REF, then the ALTs, upper case. calls: int8 (V, P, 2), int16 where a
    record has over 100 alleles; 0 is REF, k is ``alleles[v][k]``, -1 is missing. samples: the P
    names. counts: what was met, by kind. ambiguous: (v, k) -> the two allele numbers that an IUPAC
    allele k stands for (only with ``unphased="dosage"``). stated: float32 (P, ALTs) per record, the
    copies that a file without calls states.
    """

    chrom: str
    starts: np.ndarray
    ends: np.ndarray
    alleles: list[tuple[bytes, ...]]
    calls: np.ndarray
    samples: tuple[str, ...]
    counts: Counter[str] = field(default_factory=Counter)
    ambiguous: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    stated: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, keep: np.ndarray) -> Genotypes:
        """The records at the indices `keep`; counts stay those of the whole."""
        if len(keep) == len(self):
            return self
        place = {int(v): i for i, v in enumerate(keep)}
        return Genotypes(
            self.chrom,
            self.starts[keep],
            self.ends[keep],
            [self.alleles[v] for v in keep],
            self.calls[keep],
            self.samples,
            self.counts,
            {(place[v], k): p for (v, k), p in self.ambiguous.items() if v in place},
            None if self.stated is None else [self.stated[v] for v in keep],
        )

    def dosages(self) -> tuple[np.ndarray, list[Variant]]:
        """(float32 (P, W) copies of each ALT, 0-2; the W variants).

        One column per sequence-resolved ALT, so a multiallelic record gives several. NaN where
        any allele of the call is missing. A haploid call counts twice. Unphased indels that
        `read(unphased="dosage")` skipped read as reference here; `VariantFile.dosages` has them.
        """
        ambiguous = {key for key in self.ambiguous}
        rows = [
            (v, k)
            for v, alleles in enumerate(self.alleles)
            for k in range(1, len(alleles))
            if (v, k) not in ambiguous and is_resolved(alleles[k])
        ]
        variants = [
            Variant(
                self.chrom,
                int(self.starts[v]) + 1,
                self.alleles[v][0].decode(),
                self.alleles[v][k].decode(),
            )
            for v, k in rows
        ]
        if not rows:
            return np.zeros((len(self.samples), 0), np.float32), []
        return np.ascontiguousarray(self._copies(*np.array(rows).T).T), variants

    def _copies(self, record: np.ndarray, allele: np.ndarray) -> np.ndarray:
        """float32 (W, P): copies of the ALT number `allele` of `record`, each int (W,)."""
        if self.stated is not None:
            return np.stack([self.stated[v][:, k - 1] for v, k in zip(record, allele, strict=True)])
        calls = self._unmixed()[record]
        first, second = calls[..., 0], calls[..., 1]
        copies: np.ndarray = (first == allele[:, None]).astype(np.float32) + (
            second == allele[:, None]
        )
        copies[(first == MISSING) | (second == MISSING)] = np.nan
        return copies

    def _unmixed(self) -> np.ndarray:
        """The calls with IUPAC alleles written as the heterozygotes they are."""
        if not self.ambiguous:
            return self.calls
        calls = self.calls.copy()
        for (v, k), pair in self.ambiguous.items():
            calls[v, self.calls[v, :, 0] == k] = pair
        return calls


def is_resolved(allele: bytes) -> bool:
    """Whether an allele is a sequence (not ``*``, symbolic or a breakend)."""
    return _RESOLVED.fullmatch(allele) is not None


def is_symbolic(allele: bytes) -> bool:
    """Whether an allele is named (``<DEL>``), a breakend or missing."""
    return _SYMBOLIC.search(allele) is not None


def is_snv_site(alleles: Sequence[bytes]) -> bool:
    """Whether each ALT changes exactly one base and no length.

    ``*`` and the ``<*>`` or ``<NON_REF>`` of gVCF files don't matter. A record with any insertion,
    deletion, multi-nucleotide or other symbolic allele is none, as with the SNV sets of
    ``bcftools view``.
    """
    ref = alleles[0]
    alts = [a for a in alleles[1:] if a not in _NO_CHANGE]
    return bool(alts) and all(
        len(a) == len(ref)
        and is_resolved(a)
        and (len(a) == 1 or sum(x != y for x, y in zip(a, ref, strict=True)) == 1)
        for a in alts
    )


@dataclass(frozen=True)
class RawCalls:
    """Records as a file has them.

    starts: 0-based, (V,). alleles, stated: as in `Genotypes`. matrix: int16 (V, P, 3), two alleles
    (-1 missing, -2 none) and 1 where they are phased.
    """

    starts: list[int]
    alleles: list[tuple[bytes, ...]]
    matrix: np.ndarray
    stated: list[np.ndarray] | None = None


class VariantSource:
    """People's genotypes, read region by region: what files of every kind have in common.

    path: the file. samples: its people, in its order. counts: what was put right when the file was
    opened. default_unphased: what `read` does with unphased heterozygotes where nothing is asked
    for. A kind of file gives `_fetch` and `cluster_start`.
    """

    default_unphased = "error"
    ref_advice = (
        "Use the FASTA of the VCF's genome build; files coded by major and minor allele "
        "need `bcftools norm --check-ref s`."
    )
    flip_advice = ""  # for SNVs of the other strand, where a command turns them
    list_samples = "`bcftools query -l`"

    def __init__(self, path: Path, samples: Sequence[str], contigs: Sequence[str]) -> None:
        self.path = path
        self.samples: tuple[str, ...] = tuple(samples)
        self.counts: Counter[str] = Counter()
        self._column = {name: i for i, name in enumerate(self.samples)}
        self._contigs = list(contigs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""

    @property
    def contigs(self) -> list[str]:
        """The contigs that the file names."""
        return list(self._contigs)

    def contig(self, chrom: str) -> str:
        """The files' own name of contig `chrom` ('20' and 'chr20' are one); error if none."""
        return self._contig(chrom)

    def read(
        self,
        interval: Interval,
        reference: Reference,
        *,
        samples: Sequence[str] | None = None,
        alleles: str = "snv",
        unphased: str | None = None,
        max_ref_mismatch: float = 0.01,
    ) -> Genotypes:
        """The records whose REF overlaps `interval`, with the calls of `samples` (default: all).

        alleles: 'snv' keeps SNV-only sites (`is_snv_site`), 'all' each record with a
        sequence-resolved ALT. unphased: what an unphased heterozygous call is (default:
        `default_unphased`): 'error' stops at it; 'random(SEED)' gives its alleles to the
        haplotypes by a coin that depends on the seed, the record and the person's place in the
        file alone; 'dosage' writes the IUPAC code of both alleles on both haplotypes (alleles of
        unequal length are left out and counted).
        Raises HowfarError for unknown or repeated samples, an unknown contig, more than two
        alleles a call, or more than `max_ref_mismatch` (share) of records, and more than one unless
        that is 0, whose REF differs.
        """
        rule, seed = _parse_unphased(unphased or self.default_unphased)
        genotypes, phased = self._records(interval, reference, samples, alleles, max_ref_mismatch)
        _settle_ploidy(genotypes)
        del genotypes.counts[BESIDE_CALLS]  # haplotypes need calls
        for v, people in self._open_calls(genotypes, phased, rule):
            if rule == "random":
                coins = _coins(genotypes, v, seed, len(self.samples))[self._columns(samples)]
                swap = people & (coins < 0.5)
                genotypes.calls[v, swap] = genotypes.calls[v, swap, ::-1]
            else:
                _mix(genotypes, v, people)
        return genotypes

    def _open_calls(
        self, genotypes: Genotypes, phased: np.ndarray, rule: str
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(record, people whose heterozygous call has no phase), counted; an error by `rule`.

        A half-call is open only if its known allele is not the reference.
        """
        alleles = np.maximum(genotypes.calls, 0)
        without = ~phased & (alleles[..., 0] != alleles[..., 1])
        genotypes.counts["unphased calls"] += int(without.sum())
        for v in np.flatnonzero(without.any(1)).tolist():
            if rule == "error":
                raise HowfarError(
                    f"{self.path}, record {genotypes.chrom}:{genotypes.starts[v] + 1}",
                    found=f"{int(without[v].sum())} heterozygous call(s) without phase",
                    expected="phased calls, as haplotypes are asked for",
                    do="Phase the file (Eagle, SHAPEIT, Beagle), or choose unphased: dosage or "
                    "random(SEED).",
                )
            yield v, without[v]

    def dosages(
        self,
        interval: Interval,
        reference: Reference | None,
        *,
        samples: Sequence[str] | None = None,
        alleles: str = "all",
        max_ref_mismatch: float = 0.01,
        counts: Counter[str] | None = None,
    ) -> tuple[np.ndarray, list[Variant]]:
        """(float32 (P, W) copies of each ALT, the W variants) that start inside `interval`.

        As `Genotypes.dosages`; phase plays no part. What was met is added to `counts`. Without a
        reference no REF is compared with anything.
        """
        genotypes, _ = self._records(interval, reference, samples, alleles, max_ref_mismatch)
        _settle_ploidy(genotypes)
        del genotypes.counts[SEVERAL_SETS]
        if counts is not None:
            counts.update(genotypes.counts)
        return genotypes.take(np.flatnonzero(genotypes.starts >= interval.start)).dosages()

    def ids(self, interval: Interval) -> dict[str, int]:
        """The 1-based positions of the records that overlap `interval`, by their ids."""
        raise NotImplementedError

    @property
    def record_count(self) -> int:
        """How many records the file has; 0 where it doesn't say."""
        raise NotImplementedError

    def check_records(self) -> Iterator[int]:
        """Read each record and its calls; yields their running number.

        HowfarError for the first that `read` would refuse, wherever it lies.
        """
        raise NotImplementedError

    def cluster_start(self, chrom: str, position: int) -> int:
        """The leftmost 0-based start of the records that reach over `position` from the left.

        Directly or through records that overlap one another; `position` if none does.
        """
        raise NotImplementedError

    def _fetch(
        self,
        interval: Interval,
        reference: Reference | None,
        columns: np.ndarray,
        alleles: str,
        counts: Counter[str],
    ) -> RawCalls:
        """The records of `interval` that `alleles` keeps, with the calls of `columns`."""
        raise NotImplementedError

    def _contig(self, chrom: str) -> str:
        return match_contig(chrom, self._contigs, str(self.path))

    def _columns(self, samples: Sequence[str] | None) -> np.ndarray:
        """Places in the file of the samples asked for; names of people stay out of errors."""
        if samples is None:
            return np.arange(len(self.samples))
        unknown = sum(name not in self._column for name in samples)
        repeated = len(samples) - len(set(samples))
        if unknown or repeated or not len(samples):
            raise HowfarError(
                str(self.path),
                found=f"{len(samples)} samples asked for, of which {unknown} are not in the file "
                f"and {repeated} are asked for twice",
                expected=f"some of the file's {len(self.samples)} samples, each once",
                do=f"Compare the sample list with {self.list_samples}; the first line of a list "
                "may have been taken for a header, or a header for a person.",
            )
        return np.array([self._column[name] for name in samples])

    def _records(
        self,
        interval: Interval,
        reference: Reference | None,
        samples: Sequence[str] | None,
        alleles: str,
        max_ref_mismatch: float,
    ) -> tuple[Genotypes, np.ndarray]:
        """The records and, bool (V, P), whether each call is phased; -2 marks no allele."""
        if alleles not in ("snv", "all"):
            where = "--alleles, argument alleles"
            raise wrong_option(where, alleles, "'snv' or 'all'", "Correct the option.")
        columns = self._columns(samples)
        counts: Counter[str] = Counter()
        raw = self._fetch(interval, reference, columns, alleles, counts)
        starts = np.array(raw.starts, np.int64)
        few = max(map(len, raw.alleles), default=0) <= _FEW_ALLELES
        top, number = (127, np.int8) if few else (32_767, np.int16)
        genotypes = Genotypes(
            interval.chrom,
            starts,
            starts + np.array([len(a[0]) for a in raw.alleles], np.int64),
            raw.alleles,
            np.clip(raw.matrix[..., :2], -2, top).astype(number),
            tuple(self.samples[c] for c in columns),
            counts,
            stated=raw.stated,
        )
        self._check_records(genotypes)
        good = _matching_ref(genotypes, reference, max_ref_mismatch, self)
        counts["duplicate positions"] += int((np.diff(genotypes.starts) == 0).sum())
        return genotypes.take(good), raw.matrix[good, :, 2] == 1

    def _check_records(self, read: Genotypes) -> None:
        """Raise HowfarError for records out of order and for alleles that a record lacks."""
        back = np.flatnonzero(np.diff(read.starts) < 0)
        if len(back):
            raise HowfarError(
                f"{self.path}, record {read.chrom}:{read.starts[back[0] + 1] + 1}",
                found=f"a record after one at {read.starts[back[0]] + 1}",
                expected="records sorted by position",
                do="Sort the file and index it again.",
            )
        number = np.array([len(a) for a in read.alleles], np.int64)
        for v in np.flatnonzero(read.calls.max(axis=(1, 2), initial=-2) >= number)[:1]:
            where = f"{read.chrom}:{read.starts[v] + 1}"
            self._check_alleles(read.calls[v], read.alleles[v], where)

    def _check_alleles(self, calls: np.ndarray, names: tuple[bytes, ...], record: str) -> None:
        """Raise HowfarError for calls of an allele beyond `names` (REF, ALTs)."""
        if calls.max(initial=-2) >= len(names):
            raise HowfarError(
                f"{self.path}, record {record}",
                found=f"the allele number {calls.max()} in a call",
                expected=f"0 to {len(names) - 1}, as the record has {len(names) - 1} ALT",
                do="Repair the record; its ALT column may have been edited.",
            )


def kept_alleles(
    names: tuple[bytes, ...], where: str, wanted: str, counts: Counter[str]
) -> tuple[bytes, ...] | None:
    """`names` (REF, ALTs), or None where 'snv' or 'all' as `wanted` has no use for the record.

    Counts why. HowfarError, naming `where`, for an allele that is none.
    """
    stars = names.count(b"*")
    resolved = sum(is_resolved(a) for a in names[1:])
    counts["star alleles"] += stars
    symbolic = sum(map(is_symbolic, names[1:]))
    counts[SYMBOLIC] += symbolic
    counts["alleles of IUPAC codes"] += len(names) - 1 - stars - resolved - symbolic
    odd = next((a for a in names[1:] if not _ALLELE.fullmatch(a)), None)
    if odd is not None:
        raise HowfarError(
            where,
            found=f"the allele {odd[:20].decode(errors='replace')!r}",
            expected="bases, '*', a symbolic allele (<DEL>) or a breakend",
            do="Repair the record, or leave it out.",
        )
    if not resolved:
        return None
    if wanted == "snv" and not is_snv_site(names):
        counts["non-SNV sites left out"] += 1
        return None
    return names


def _matching_ref(
    genotypes: Genotypes, reference: Reference | None, limit: float, source: VariantSource
) -> np.ndarray:
    """Indices of the records whose REF is what the FASTA has; of all, where there is none.

    HowfarError above the share `limit`, unless one record alone differs and some may.
    """
    if reference is None or not len(genotypes):
        return np.arange(len(genotypes))
    first, last = int(genotypes.starts.min()), int(genotypes.ends.max())
    around = Interval(genotypes.chrom, first, last)
    sequence = reference.fetch(around).tobytes()
    same = _equal_ref(genotypes, sequence, first)
    if same.all():
        return np.arange(len(genotypes))
    if reference.ambiguous(around):
        for spelled in reference.spellings(around):
            same |= _equal_ref(genotypes, spelled, first)
    unknown = ~same & np.array([b"N" in alleles[0] for alleles in genotypes.alleles])
    genotypes.counts["records whose REF has N in place of a base, left out"] += int(unknown.sum())
    bad = np.flatnonzero(~same & ~unknown)
    genotypes.counts["REF mismatches"] += len(bad)
    if len(bad) > max(limit * len(genotypes), limit > 0):
        shown = []
        for v in bad[:5]:
            start, end = genotypes.starts[v], genotypes.ends[v]
            ref = genotypes.alleles[v][0].decode()[:20]
            base = sequence[start - first : end - first].decode()[:20]
            shown.append(f"{genotypes.chrom}:{start + 1} REF {ref} FASTA {base}")
        flipped = source.flip_advice and _on_the_other_strand(genotypes, sequence, first, bad)
        raise HowfarError(
            f"{source.path} against {reference.path}",
            found=f"{len(bad)} of {len(genotypes)} records whose REF differs: {', '.join(shown)}"
            + (", most of them the letters of the other strand" if flipped else ""),
            expected=f"at most a share of {limit} (max_ref_mismatch; --max-ref-mismatch of "
            "`howfar sequences`)",
            do=source.flip_advice if flipped else source.ref_advice,
        )
    return np.flatnonzero(same)


def _equal_ref(genotypes: Genotypes, sequence: bytes, first: int) -> np.ndarray:
    """bool (V,): whether each REF stands in the FASTA's `sequence`, from 0-based `first` on."""
    starts, ends = (genotypes.starts - first).tolist(), (genotypes.ends - first).tolist()
    spans = zip(starts, ends, genotypes.alleles, strict=True)
    return np.array([sequence[start:end] == alleles[0] for start, end, alleles in spans])


def _on_the_other_strand(
    genotypes: Genotypes, sequence: bytes, first: int, bad: np.ndarray
) -> bool:
    """Whether most of the SNVs `bad`, and 3 or more, fit the FASTA's other strand only.

    Palindromic ones fit both and don't count.
    """
    snvs = [(genotypes.alleles[v], genotypes.starts[v] - first) for v in bad]
    snvs = [
        (alleles, sequence[at : at + 1])
        for alleles, at in snvs
        if set(map(len, alleles)) == {1} and alleles[0].translate(_COMPLEMENT) not in alleles
    ]
    fitting = sum(a[0].translate(_COMPLEMENT) == base and base not in a for a, base in snvs)
    return bool(fitting >= 3 and 2 * fitting > len(snvs))


def _parse_unphased(unphased: str) -> tuple[str, int]:
    match = re.fullmatch(r"(error|dosage)|random\((\d+)\)", unphased)
    if match is None:
        expected = "'error', 'dosage' or 'random(SEED)' with a whole number"
        where = "--unphased, argument unphased"
        raise wrong_option(where, unphased, expected, "Correct the option.")
    return (match[1], 0) if match[1] else ("random", int(match[2]))


def _coins(genotypes: Genotypes, v: int, seed: int, people: int) -> np.ndarray:
    """Numbers in [0, 1), one per person of the file, that depend on the seed and the record."""
    key = zlib.crc32(b",".join(genotypes.alleles[v]))
    return np.random.default_rng([seed, int(genotypes.starts[v]), key]).random(people)


def _settle_ploidy(genotypes: Genotypes) -> None:
    first, second = genotypes.calls[..., 0], genotypes.calls[..., 1]
    haploid = second == -2
    second[haploid] = first[haploid]
    none, other = first == MISSING, second == MISSING
    genotypes.counts["missing calls"] += int((none & other).sum())
    genotypes.counts["half calls"] += int((none ^ other).sum())
    genotypes.counts["haploid calls"] += int((haploid & ~none).sum())


def _mix(genotypes: Genotypes, v: int, people: np.ndarray) -> None:
    """Write the unphased heterozygotes of record `v` as IUPAC alleles on both haplotypes."""
    pairs = np.maximum(genotypes.calls[v], 0)
    for a, b in np.unique(np.sort(pairs[people], axis=1), axis=0).tolist():
        who = people & (np.sort(pairs, axis=1) == (a, b)).all(1)
        mixed = _iupac(genotypes.alleles[v], a, b)
        if mixed is None:
            genotypes.counts["unphased indels skipped"] += int(who.sum())
            genotypes.calls[v, who] = 0
            continue
        genotypes.alleles[v] = (*genotypes.alleles[v], mixed)
        k = len(genotypes.alleles[v]) - 1
        genotypes.ambiguous[v, k] = (a, b)
        genotypes.calls[v, who] = k


def _iupac(alleles: tuple[bytes, ...], a: int, b: int) -> bytes | None:
    """The IUPAC spelling of two alleles of REF's length; None for other alleles."""
    one, two = alleles[a], alleles[b]
    if not (len(one) == len(two) == len(alleles[0]) and is_resolved(one) and is_resolved(two)):
        return None
    letters = [
        bytes([x]) if x == y else _IUPAC.get(frozenset((chr(x), chr(y))), b"N")
        for x, y in zip(one, two, strict=True)
    ]
    return b"".join(letters)
