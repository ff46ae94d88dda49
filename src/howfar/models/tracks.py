"""Finding tracks of a network by words, assay, tissue and strand."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from howfar.core.errors import HowfarError

#: Other names by which tables of tracks know a word.
SYNONYMS = {
    "lcl": ("lymphoblastoid", "gm12878", "ebv-transformed lymphocytes"),
    "pbmc": ("peripheral blood mononuclear",),
    "rna-seq": ("rna", "rna_seq"),
    "dnase-seq": ("dnase",),
    "atac-seq": ("atac",),
    "chip-seq": ("chip",),
}
_STRANDS = ("+", "-")


class TrackTable(pd.DataFrame):
    """A network's tracks by number, with `description` and what its table says besides."""

    @property
    def _constructor(self) -> Any:
        return TrackTable

    def find(
        self,
        words: str = "",
        *,
        assay: str | None = None,
        tissue: str | None = None,
        strand: str | None = None,
    ) -> pd.DataFrame:
        """Find tracks; what is left out doesn't restrict them.

        words: each must begin a word of the description or identifier, or one of its synonyms
        must ("lcl": lymphoblastoid, GM12878); upper and lower case are one. assay: such as RNA,
        CAGE, DNASE, the description's beginning. tissue: words of the rest. strand: '+', '-', or
        '.' for tracks without one. Returns description, assay, tissue and strand by number.

        Examples
        --------
        >>> import howfar as hf
        >>> hf.load_model("gc-content").tracks.find("share").index.tolist()
        [0]
        """
        shown = described(self)
        text = shown["description"] + " " + self.get("identifier", pd.Series("", self.index))
        kept = _has(text, words)
        if assay is not None:
            kept &= shown["assay"].str.casefold().isin(_names(assay))
        if tissue is not None:
            kept &= _has(shown["tissue"], tissue)
        if strand is not None:
            kept &= shown["strand"] == strand
        return pd.DataFrame(shown[kept])


def described(tracks: pd.DataFrame) -> pd.DataFrame:
    """Return description, assay, tissue and strand of tracks, from the table where it has them.

    Else assay and tissue are what stands before and after the description's first colon, and the
    strand is the identifier's last letter, + or -.
    """
    text = tracks["description"].astype(str)
    halves = text.str.partition(":")
    named = halves[1] == ":"
    ends = tracks.get("identifier", text).astype(str).str[-1]
    derived = {
        "assay": halves[0].where(named, ""),
        "tissue": halves[2].where(named, text),
        "strand": ends.where(ends.isin(_STRANDS), "."),
    }
    columns = {name: tracks.get(name, value).astype(str) for name, value in derived.items()}
    return pd.DataFrame({"description": text} | columns, index=tracks.index)


def by_strand(
    tracks: pd.DataFrame, numbers: list[int], model: str, oriented: bool
) -> tuple[list[int], list[int]]:
    """Return the tracks that genes on the plus strand are read from, and those of the minus strand.

    tracks: the table. numbers: tracks, of a pair either or both; one without a strand is read for
    every gene. oriented: of a model that reads each gene's own strand, for which + is that strand.
    HowfarError where no track has a strand, or one has no partner on the other.
    """
    strands = described(tracks)["strand"]
    pairs: dict[int, int] = {}
    for number in numbers:
        strand = strands[number]
        other = number if strand == "." else _partner(tracks, strands, number)
        if strand != "." and (other is None or {strand, strands[other]} != {"+", "-"}):
            text = tracks["description"][number]
            raise HowfarError(
                f"model {model}, track {number}, `strand: sense`",
                found=f"no one track of the other strand beside {text!r} ({strand})",
                expected="tracks in pairs, or without a strand",
                do="Leave the track or `strand` out, or say the strands in a table of `targets`.",
            )
        plus, minus = (other, number) if strand == "-" else (number, other)
        pairs[plus] = minus
    if all(plus == minus for plus, minus in pairs.items()):
        raise HowfarError(
            f"model {model}, `strand: sense`",
            found=f"no strand of tracks {', '.join(map(str, numbers))}",
            expected="tracks of either strand, such as stranded RNA-seq",
            do="Choose such tracks (`howfar models NAME --tracks`), or leave `strand` out.",
        )
    return [*pairs], [*pairs] if oriented else [*pairs.values()]


def _partner(tracks: pd.DataFrame, strands: pd.Series, number: int) -> int | None:
    """Return the track of the other strand, as the table pairs them or by its description."""
    if "strand_pair" in tracks:
        return int(tracks["strand_pair"][number])
    same = tracks["description"] == tracks["description"][number]
    found = tracks.index[same & (strands != strands[number]) & (strands != ".")]
    return int(found[0]) if len(found) == 1 else None


def listed(found: pd.DataFrame, most: int = 20) -> list[str]:
    """Return a line for each track found: number, description, strand; of the first `most`."""
    lines = [
        f"{number} {row.description}" + (f" ({row.strand})" if row.strand in _STRANDS else "")
        for number, row in zip(found.index, found.itertuples(), strict=True)
    ]
    return lines[:most] + [f"and {len(lines) - most:,} more"] * (len(lines) > most)


def _names(word: str) -> tuple[str, ...]:
    word = word.casefold()
    return word, *SYNONYMS.get(word, ())


def _has(text: pd.Series, words: str) -> pd.Series:
    kept = pd.Series(True, text.index)
    for word in words.split():
        either = "|".join(map(re.escape, _names(word)))
        kept &= text.str.contains(rf"(?<![a-z0-9])(?:{either})", case=False, regex=True)
    return kept
