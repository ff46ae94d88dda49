"""Places on a genome, each stating its coordinate base.

`Interval` is 0-based and half-open. `Variant.pos` and `Gene.tss` are 1-based, as in the files
they come from, and never enter arithmetic: `.start0` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from howfar.core.errors import HowfarError


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of a contig, 0-based half-open; `start` may be negative (off the contig).

    Examples
    --------
    >>> import howfar as hf
    >>> len(hf.Interval("20", 999_999, 1_000_010))
    11
    """

    chrom: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise HowfarError(
                f"interval {self}",
                found=f"end {self.end} before start {self.start}",
                expected="0-based half-open bounds with start <= end",
                do="Swap or correct the bounds.",
            )

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start}-{self.end}"


@dataclass(frozen=True, slots=True)
class Variant:
    """One reference/alternative allele pair; `pos` is 1-based, as in VCF.

    Examples
    --------
    >>> import howfar as hf
    >>> str(hf.Variant("20", 1_000_000, "A", "G"))
    '20:1000000:A:G'
    """

    chrom: str
    pos: int
    ref: str
    alt: str

    @property
    def start0(self) -> int:
        """0-based start of the reference allele."""
        return self.pos - 1

    @property
    def end0(self) -> int:
        """0-based end (exclusive) of the reference allele."""
        return self.start0 + len(self.ref)

    def __str__(self) -> str:
        return f"{self.chrom}:{self.pos}:{self.ref}:{self.alt}"


@dataclass(frozen=True, slots=True)
class Gene:
    """A gene by its transcription start site, or another locus by its anchor; `tss` is 1-based.

    A peak of accessibility has its centre as `tss` and '+' as strand.

    strand: '+', '-', or '.' where it isn't known: `tss` is then the place that variants are
    counted from, which may be none (the eQTL Catalogue has the middle of a gene), and no network
    reads the gene.

    Examples
    --------
    >>> import howfar as hf
    >>> gene = hf.Gene("ENSG1", "PSMF1", "20", 1_093_906, "+")
    >>> str(gene.window(196_608))
    '20:995601-1192209'
    """

    gene_id: str
    name: str
    chrom: str
    tss: int
    strand: str

    def __post_init__(self) -> None:
        if any(ord(letter) < 32 for letter in self.gene_id + self.name + self.chrom):
            raise HowfarError(
                f"gene {self.gene_id!r}",
                found="a control character in its id, name or contig",
                expected="letters that can be seen",
                do="Correct the gene table; in GFF3 a %00 to %1F stands for one.",
            )
        if self.strand not in ("+", "-", "."):
            raise HowfarError(
                f"gene {self.gene_id}",
                found=f"strand {self.strand!r}",
                expected="'+' or '-', or '.' where it isn't known",
                do="Correct the strand column of the gene table.",
            )
        if self.tss < 1:
            raise HowfarError(
                f"gene {self.gene_id}",
                found=f"TSS {self.tss}",
                expected="a 1-based position of at least 1",
                do="Check whether the gene table counts from 0 and add 1 if so.",
            )

    @property
    def start0(self) -> int:
        """0-based position of the TSS base."""
        return self.tss - 1

    def window(self, length: int, tss_offset: int | None = None) -> Interval:
        """The reference window of `length` bp with the TSS base at index `tss_offset`.

        Forward strand; `tss_offset` defaults to ``length // 2``. The interval may reach past
        the contig's ends, where the reference reads N.
        """
        offset = length // 2 if tss_offset is None else tss_offset
        start = self.start0 - offset
        return Interval(self.chrom, start, start + length)
