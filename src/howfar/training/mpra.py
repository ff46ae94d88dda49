"""Reporter assays of variants (MPRA): the table of five cell types, and items to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.training.samplers import Augmented, draw_augmented

CELLS = ("K562", "HepG2", "GM12878", "SK-N-SH", "A549")
#: Bases of an element, to which shorter ones are padded with N at the end.
LENGTH = 200
_IDS = ["ref_ID", "alt_ID", "ref_sequence", "alt_sequence"]
_VALUES = ["Log2Skew", "Skew_logP", "Skew_logFDR"]


def read_elements(path: Path) -> pd.DataFrame:
    """Read a FASTA of elements (id, sequence); two sequences may share an id."""
    import pysam

    with pysam.FastxFile(str(path)) as fasta:
        rows = [
            (" ".join(filter(None, [record.name, record.comment])), record.sequence)
            for record in fasta
        ]
    return pd.DataFrame(rows, columns=["id", "sequence"])


def cell_table(elements: Sequence[pd.DataFrame], effects: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Pool one cell type's experiments: ids, sequences, mean effects, and the effect as z-score.

    A row without a finite effect, or without a sequence of either allele, is left out.
    """
    sequences = pd.concat(elements).drop_duplicates()
    rows = pd.concat([frame[["ID", *_VALUES]] for frame in effects]).drop_duplicates()
    rows = rows[np.isfinite(rows["Log2Skew"])].rename(columns={"ID": "ref_ID"})
    rows["alt_ID"] = rows["ref_ID"].str.replace(":R:", ":A:", regex=False)
    for allele in ("ref", "alt"):
        named = sequences.rename(columns={"id": f"{allele}_ID", "sequence": f"{allele}_sequence"})
        rows = rows.merge(named, on=f"{allele}_ID")
    table = rows.groupby(_IDS, as_index=False)[_VALUES].mean()
    skew = table["Log2Skew"]
    return table.assign(normalized_variant_effect=(skew - skew.mean()) / skew.std(ddof=1))


def mpra_table(cells: Mapping[str, pd.DataFrame], seed: int = 97) -> pd.DataFrame:
    """Join the tables of cell types (`cell_table`), shuffle, and split into test, val and train.

    One row per variant that any cell has; 5 % (rounded up) each are test and val.
    """
    joined: pd.DataFrame | None = None
    for cell, table in cells.items():
        named = table.rename(columns={c: f"{cell}_{c}" for c in table.columns if c not in _IDS})
        joined = named if joined is None else joined.merge(named, on=_IDS, how="outer")
    if joined is None:
        raise HowfarError(
            "MPRA table",
            found="no cell type",
            expected="tables of at least one",
            do="Fetch the experiments.",
        )
    shuffled = joined.sample(frac=1, random_state=seed).reset_index(drop=True)
    part = int(np.ceil(0.05 * len(shuffled)))
    split = np.where(
        shuffled.index < part, "test", np.where(shuffled.index < 2 * part, "val", "train")
    )
    return shuffled.assign(split=split)


def from_portal(folder: Path) -> pd.DataFrame:
    """Build the table from a folder of the ENCODE portal's files, cell type by cell type.

    files.csv: cell (of `CELLS`), element_references_id, variant_effect_quantifications_id, one row
    an experiment; beside it <id>.fasta and <id>.tsv, or .gz of them. Progress is printed.
    """
    listed = pd.read_csv(folder / "files.csv")
    tables = {}
    for cell in track(CELLS, len(CELLS), "MPRA: cell types"):
        rows = listed[listed["cell"] == cell]
        if rows.empty:
            raise HowfarError(
                str(folder / "files.csv"),
                found=f"no experiment of {cell}",
                expected=f"experiments of {', '.join(CELLS)}",
                do="Add its experiments.",
            )
        elements = [
            read_elements(_file(folder, str(name), "fasta"))
            for name in rows["element_references_id"]
        ]
        effects = [
            pd.read_csv(_file(folder, str(name), "tsv"), sep="\t", usecols=["ID", *_VALUES])
            for name in rows["variant_effect_quantifications_id"]
        ]
        tables[cell] = cell_table(elements, effects)
    return mpra_table(tables)


def _file(folder: Path, name: str, kind: str) -> Path:
    for path in (folder / f"{name}.{kind}", folder / f"{name}.{kind}.gz"):
        if path.is_file():
            return path
    raise HowfarError(
        str(folder / f"{name}.{kind}"),
        found="no such file, nor with .gz",
        expected="every file that files.csv names",
        do=f"Fetch {name} from the ENCODE portal.",
    )


@dataclass(frozen=True)
class Variant:
    """A variant to train on: one-hot (200, 4) twice, effects (cells,), and which are measured."""

    reference: np.ndarray
    alternative: np.ndarray
    effects: np.ndarray
    measured: np.ndarray


def variant_item(
    row: Mapping[str, Any], generator: Any | None = None, cells: Sequence[str] = CELLS
) -> Variant:
    """Make an item from a row of `mpra_table`, varied alike for both alleles.

    generator: numpy's older generator for training; None: as it is.
    """
    change = Augmented(False, 0) if generator is None else draw_augmented(generator, coin=True)
    first, second = (change.apply(_one_hot(row[f"{a}_sequence"])) for a in ("ref", "alt"))
    effects = np.array([row[f"{c}_normalized_variant_effect"] for c in cells], np.float32)
    return Variant(first, second, effects, ~np.isnan(effects))


def _one_hot(sequence: str) -> np.ndarray:
    bases = np.frombuffer(sequence.upper().encode()[:LENGTH].ljust(LENGTH, b"N"), np.uint8)
    return (bases[:, None] == np.frombuffer(b"ACGT", np.uint8)).astype(np.float32)
