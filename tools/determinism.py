"""Compare two results folders, each made from nothing: what is equal to the byte, what in values.

python tools/determinism.py RESULTS_A RESULTS_B > data/measured/determinism.csv
"""

from __future__ import annotations

import csv
import datetime
import filecmp
import os
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

#: What is compared, by the folder below a study and the ends of its files.
KINDS = {
    "simulated people, genes and truth": ("world", {".csv", ".fa", ".gz", ".parquet", ".json"}),
    "weights of the demo's network": ("weights", {".safetensors"}),
    "weights of the network trained on people": ("finetune", {".safetensors"}),
    "predictions of networks": ("predictions", {".npz"}),
    "predictions of linear models": ("baseline", {".npz"}),
    "effects of single variants": ("effects", {".npz", ".parquet"}),
    "eQTL maps": ("eqtl", {".parquet"}),
    "stacked regressors": ("stacking", {".parquet"}),
    "result tables": ("tables", {".parquet"}),
    "figures: plotted values": ("figures", {".csv"}),
    "figures: SVG, PNG and PDF": ("figures", {".svg", ".png", ".pdf"}),
}
#: What says which run made a file, or how long it took.
_OF_THE_RUN = {"_about", "seconds", "commit"}


def columns_of(path: Path) -> dict[str, np.ndarray]:
    """Read a file's values by name; none of a file that is only compared as bytes."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if name not in _OF_THE_RUN}
    readers = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
    if path.suffix not in readers:
        return {}
    frame = readers[path.suffix](path).drop(columns=list(_OF_THE_RUN), errors="ignore")
    return {str(name): column.to_numpy() for name, column in frame.items()}


def difference(first: Path, second: Path) -> float:
    """Return the largest difference of any number; infinite where words or shapes differ."""
    one, two = columns_of(first), columns_of(second)
    if not one or list(one) != list(two):
        return np.inf
    largest = 0.0
    for name, values in one.items():
        others = two[name]
        if values.shape != others.shape:
            return np.inf
        if values.dtype.kind == others.dtype.kind == "f":
            if (np.isnan(values) != np.isnan(others)).any():
                return np.inf
            with np.errstate(invalid="ignore"):  # infinite less infinite
                apart = np.nan_to_num(np.abs(values - others).astype(float), nan=0.0)
            largest = max(largest, float(apart.max(initial=0.0)))
        elif (
            not pd.Series(values.ravel()).astype(str).equals(pd.Series(others.ravel()).astype(str))
        ):
            return np.inf
    return largest


def main(first: Path, second: Path) -> None:
    """Write the table to the standard output."""
    counts: dict[str, list[float]] = defaultdict(list)
    bytes_equal: dict[str, int] = defaultdict(int)
    for path in sorted(p for p in first.rglob("*") if p.is_file()):
        parts = path.relative_to(first).parts
        for kind, (folder, ends) in KINDS.items():
            if len(parts) > 2 and parts[1] == folder and path.suffix in ends:
                other = second / path.relative_to(first)
                same = other.is_file() and filecmp.cmp(path, other, shallow=False)
                bytes_equal[kind] += same
                apart = np.inf if not other.is_file() else difference(path, other)
                counts[kind].append(0.0 if same else apart)
                if counts[kind][-1] > 0:
                    print(path.relative_to(first), counts[kind][-1], file=sys.stderr)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["date", "machine", "what", "files", "bytes", "values", "largest"])
    today = datetime.date.today().isoformat()
    for kind in filter(counts.__contains__, KINDS):
        apart = np.array(counts[kind])
        finite = apart[np.isfinite(apart)]
        row = [
            len(apart),
            bytes_equal[kind],
            int((apart == 0).sum()),
            f"{finite.max(initial=0):.2g}",
        ]
        writer.writerow([today, f"{os.cpu_count()} shared CPU cores (x86-64)", kind, *row])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
