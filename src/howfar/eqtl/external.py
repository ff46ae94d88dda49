"""Slopes of cis-eQTLs that others published, matched to a cohort's genes and variants.

Summary statistics as the eQTL Catalogue, GTEx, tensorQTL and FastQTL write them, all pairs or leads
alone: CSV, TSV or Parquet with a gene, a variant, a slope and, where they are there, its standard
error and p. Slopes are per copy of ALT; a variant is ``chr20_1000_A_G`` (GTEx adds the build), or
stands in columns chromosome, position, ref, alt.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.core import sealed
from howfar.core.errors import HowfarError, no_such_file
from howfar.core.text import is_gzip
from howfar.genome.genes import strip_version

#: Names of columns, the first that is there is taken.
_NAMES = {
    "gene_id": ("gene_id", "molecular_trait_id", "phenotype_id", "gene"),
    "variant": ("variant", "variant_id", "snp"),
    "chrom": ("chromosome", "chrom", "chr"),
    "pos": ("position", "pos"),
    "ref": ("ref",),
    "alt": ("alt",),
    "slope": ("beta", "slope"),
    "slope_se": ("se", "slope_se"),
    "p": ("pvalue", "pval_nominal", "p", "pval"),
}
_SITE = ["chrom", "pos", "ref", "alt"]
_LINES = 1_000_000  # read at once: all pairs of a tissue are gigabytes
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_EXPECTED = (
    "a gene, a slope (beta or slope) and a variant (variant_id as chr20_1000_A_G; or chromosome, "
    "position, ref, alt)"
)


@dataclass(frozen=True)
class ExternalEqtls:
    """Published pairs of the cohort's genes: gene_id, chrom, pos, ref, alt, slope, slope_se, p."""

    path: Path
    pairs: pd.DataFrame

    def slopes(self, asked: pd.DataFrame) -> tuple[pd.DataFrame, Counter[str]]:
        """Find published slopes of pairs (gene_id, variant as chrom:pos:ref:alt), and count.

        Returns gene_id, variant, slope, slope_se, p of those that are found. Alleles the other way
        round turn the slope's sign; letters of the other strand are taken where they can't be
        mistaken. A/T and C/G sites are taken in the cohort's own order alone.
        """
        pairs = asked[["gene_id", "variant"]].astype(object).drop_duplicates()
        if pairs.empty:
            return pairs.assign(slope=np.nan, slope_se=np.nan, p=np.nan), Counter()
        site = pairs["variant"].str.split(":", n=3, expand=True).reindex(columns=range(4))
        pairs[_SITE] = site.to_numpy()
        pairs["chrom"] = _plain(pairs["chrom"])
        pairs["pos"] = pairs["pos"].astype(int)
        plain = pairs["gene_id"].map(strip_version)
        merged = pairs.assign(plain=plain).merge(
            self.pairs.assign(plain=self.pairs["gene_id"].map(strip_version)).drop(
                columns="gene_id"
            ),
            on=["plain", "chrom", "pos"],
            suffixes=("", "_theirs"),
        )
        sign, how = _compared(merged)
        counts: Counter[str] = Counter()
        for words, chosen in how.items():
            counts[f"pairs of {self.path.name} {words}"] += int(chosen.sum())
        merged["slope"] *= sign
        found = merged[sign != 0].drop_duplicates(["gene_id", "variant"])
        counts[f"pairs with a slope of {self.path.name}"] += len(found)
        counts[f"pairs without a slope in {self.path.name}"] += len(pairs) - len(found)
        return found[["gene_id", "variant", "slope", "slope_se", "p"]], +counts


def _compared(merged: pd.DataFrame) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sign of each pair's slope for our alleles, 0 where they don't fit, and what was met."""
    ours = merged[["ref", "alt"]].to_numpy(str)
    theirs = merged[["ref_theirs", "alt_theirs"]].to_numpy(str)
    turned = np.char.translate(theirs, _COMPLEMENT) if len(theirs) else theirs
    snv = (np.char.str_len(ours) == 1).all(axis=1) if len(ours) else np.zeros(0, bool)
    palindrome = snv & (
        np.char.translate(ours[:, 0], _COMPLEMENT) == ours[:, 1] if len(ours) else snv
    )
    same = (ours == theirs).all(axis=1)
    swapped = (ours == theirs[:, ::-1]).all(axis=1)
    strand = snv & ~palindrome & (ours == turned).all(axis=1)
    both = snv & ~palindrome & (ours == turned[:, ::-1]).all(axis=1)
    flipped = (swapped & ~palindrome) | both
    sign = np.where(same | strand, 1.0, 0.0) - np.where(flipped, 1.0, 0.0)
    return sign, {
        "with alleles the other way round, sign turned": flipped,
        "with letters of the other strand": strand | both,
        "at A/T or C/G sites, taken as they stand": palindrome & same,
        "at A/T or C/G sites the other way round, left out": palindrome & ~same & (sign == 0),
        "with other alleles, left out": (sign == 0) & ~palindrome,
    }


def read_external(path: Path, genes: Collection[str]) -> ExternalEqtls:
    """Read published slopes of these genes (ids, versions don't count).

    HowfarError for a file without the columns, and for one that has none of the genes.
    """
    if not path.is_file():
        raise no_such_file(path, "published eQTLs", "Correct `eqtl.external`.")
    wanted = {strip_version(gene) for gene in genes}
    parts, rows, example = [], 0, ""
    for chunk in _chunks(path):
        frame = _canonical(path, chunk)
        rows += len(frame)
        example = example or str(next(iter(frame["gene_id"]), ""))
        parts.append(frame[frame["gene_id"].map(strip_version).isin(wanted)])
    pairs = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if pairs.empty:
        raise HowfarError(
            str(path),
            found=f"none of the cohort's {len(wanted):,} genes in {rows:,} rows"
            + (f" (a gene there: {example})" if example else ""),
            expected="pairs of the cohort's genes",
            do="Name a file with the same kind of gene ids, or leave `eqtl.external` out.",
        )
    return ExternalEqtls(path, pairs)


def _chunks(path: Path) -> Iterator[pd.DataFrame]:
    try:
        if path.suffix == ".parquet":
            yield sealed.read_parquet(path)
            return
        packing = "gzip" if is_gzip(path) else None
        with (gzip.open if packing else open)(path, "rt", encoding="utf-8") as handle:
            separator = "\t" if "\t" in handle.readline() else ","
        yield from pd.read_csv(
            path, sep=separator, compression=packing, dtype=object, chunksize=_LINES
        )
    except (ValueError, OSError, EOFError) as error:
        raise HowfarError(
            str(path),
            found=f"a table that can't be read ({str(error).splitlines()[0]})",
            expected=_EXPECTED,
            do="Correct `eqtl.external`, or the file.",
        ) from error


def _canonical(path: Path, chunk: pd.DataFrame) -> pd.DataFrame:
    """The columns of `ExternalEqtls.pairs` of one part of a file."""
    lower = {str(name).lower().lstrip("#"): name for name in chunk.columns}
    named = {
        ours: lower[next(name for name in names if name in lower)]
        for ours, names in _NAMES.items()
        if any(name in lower for name in names)
    }
    apart = set(_SITE) <= set(named)
    if not {"gene_id", "slope"} <= set(named) or not (apart or "variant" in named):
        raise HowfarError(
            str(path),
            found=f"the columns {', '.join(map(str, chunk.columns[:20]))}",
            expected=_EXPECTED,
            do="Name the columns so, or leave `eqtl.external` out.",
        )
    frame = pd.DataFrame({ours: chunk[theirs] for ours, theirs in named.items()})
    if not apart:
        site = (
            frame["variant"]
            .astype(str)
            .str.extract(r"^([^_:]+)[_:](\d+)[_:]([A-Za-z]+)[_:]([A-Za-z]+)")
        )
        frame[_SITE] = site.to_numpy()
    frame = frame.dropna(subset=["gene_id", *_SITE])
    for column in ("slope", "slope_se", "p"):
        frame[column] = pd.to_numeric(frame.get(column, pd.Series(np.nan, frame.index)), "coerce")
    kept = frame[frame["slope"].notna()].copy()
    kept["chrom"], kept["pos"] = _plain(kept["chrom"].astype(str)), kept["pos"].astype(int)
    for allele in ("ref", "alt"):
        kept[allele] = kept[allele].astype(str).str.upper()
    return kept[["gene_id", *_SITE, "slope", "slope_se", "p"]].astype({"gene_id": object})


def _plain(chroms: pd.Series) -> pd.Series:
    return chroms.str.removeprefix("chr")
