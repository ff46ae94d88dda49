"""Compare two results folders: which values moved, and what differs in how they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.results import tables

#: Largest difference, as a share of the larger value, that isn't one: processors differ by less.
TOLERANCE = 1e-6
_MOVED = ["study", "table", "key", "column", "a", "b", "change", "tolerance"]
_PARTS = ["study", "table", "values", "moved", "cause"]
#: Entries of a provenance block that say nothing of why values differ.
_NO_CAUSE = ("created", "table", "tables", "schema", "warnings")
_WORDS = ("title", "summary", "notebooks")  # of a study file, for readers
_THERE, _ABSENT = "there", "absent"


@dataclass(frozen=True)
class Difference:
    """What differs between two results folders.

    moved: one row a value that moved (columns study, table, key, column, a, b, change, tolerance),
    a row of a table that only one has (column "row"), and a table or figure that only one has.
    parts: one row a table or figure compared, with the count of its values and of those that
    moved, and the cause: what its provenance says was different; '' where nothing moved.
    """

    moved: pd.DataFrame
    parts: pd.DataFrame

    def __bool__(self) -> bool:
        """Whether anything moved."""
        return len(self.moved) > 0


def diff(a: str | Path, b: str | Path, tolerance: float = TOLERANCE) -> Difference:
    """Compare the result tables, and the data behind figures, of two results folders.

    Tables of single people are left out. Numbers count as equal within `tolerance`, a share of the
    larger one; all else must be equal. Raises HowfarError for a folder without result tables, for
    two folders without a study in common, and for a damaged table.

    Parameters
    ----------
    a, b
        Results folders, folders of `howfar export`, or such a folder of one study.
    tolerance
        Largest relative difference of numbers that isn't one.

    Examples
    --------
    >>> import howfar as hf
    >>> bool(hf.diff("data/kind", "data/kind"))
    False
    """
    ours, theirs = _studies(a), _studies(b)
    if not ours.keys() & theirs.keys():
        raise HowfarError(
            f"{a}, {b}",
            found=f"no study in both: {', '.join(ours)}; {', '.join(theirs)}",
            expected="two results folders with a study in common",
            do="Correct the folders.",
        )
    moved, parts = [], []
    for study in sorted(ours.keys() | theirs.keys()):
        left, right = ours.get(study, {}), theirs.get(study, {})
        for name in [*left, *(name for name in right if name not in left)]:
            values, rows = _compare(name, left.get(name), right.get(name), tolerance)
            cause = _cause(left, right, name) if len(rows) else ""
            moved.append(rows.assign(study=study, table=name))
            parts.append((study, name, values, len(rows), cause))
    every = [rows for rows in moved if len(rows)]
    frame = pd.concat(every, ignore_index=True) if every else pd.DataFrame()
    return Difference(frame.reindex(columns=_MOVED), pd.DataFrame(parts, columns=_PARTS))


def describe(found: Difference, shown: int = 3) -> str:
    """Say study by study what moved, with the `shown` largest relative changes of each table."""
    lines = []
    for study, parts in found.parts.groupby("study", sort=False):
        lines.append(f"{study}: {parts['moved'].sum():,} of {parts['values'].sum():,} values moved")
        last = ""
        for part in parts[parts["moved"] > 0].itertuples():
            cause = "as above" if part.cause == last else part.cause
            lines.append(f"  {part.table}: {part.moved:,} of {part.values:,}; {cause}")
            last = part.cause
            rows = found.moved.query("study == @study and table == @part.table")
            size = rows["change"].abs() / rows["tolerance"]
            for row in rows.loc[size.sort_values(ascending=False).index[:shown]].itertuples():
                change = "" if pd.isna(row.change) else f" ({row.change:+.3g})"
                place = ", ".join(filter(None, (row.key, row.column)))
                lines.append(f"    {place}: {_short(row.a)} -> {_short(row.b)}{change}")
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _studies(folder: str | Path) -> dict[str, dict[str, Path]]:
    """The files of each study in a results folder, or of the one whose folder it is, by name."""
    folder = Path(folder)
    alone = [
        f for f in (folder / "tables" / "runs.parquet", folder / "runs.parquet") if f.is_file()
    ]
    runs = alone[:1] or sorted(folder.glob("*/tables/runs.parquet"))
    if not runs:
        raise HowfarError(
            str(folder),
            found="no result tables",
            expected="a results folder, or what `howfar export` wrote",
            do="Correct the folder, or run `howfar run` first.",
        )
    found = {}
    for path in runs:
        name = path.parent.parent.name
        if path.parent == folder:  # committed tables, in a folder of any name
            named = tables.read_provenance(path).get("parameters", {}).get("study", name)
            name = named.get("name", name) if isinstance(named, Mapping) else named
        files = {n: path.with_name(f"{n}.parquet") for n in tables.SCHEMAS}
        files |= {
            f"figure {each.name.split('.')[0]}": each
            for each in sorted((path.parent.parent / "figures").glob("*.csv"))
        }
        found[name] = {n: f for n, f in files.items() if f.is_file()}
    return found


def _compare(
    name: str, a: Path | None, b: Path | None, tolerance: float
) -> tuple[int, pd.DataFrame]:
    """Return how many values two files have in common, and which moved."""
    if a is None or b is None:
        states = [_ABSENT if path is None else _THERE for path in (a, b)]
        return 0, pd.DataFrame([("", "file", *states)], columns=_MOVED[2:6])
    left, right = (_read(name, path) for path in (a, b))
    key = list(tables.SCHEMAS[name].unique or []) if name in tables.SCHEMAS else []
    if left.equals(right):
        return len(left) * (left.shape[1] - len(key)), pd.DataFrame(columns=_MOVED[2:])
    left, right = (frame.set_index(_keys(frame, key)).drop(columns=key) for frame in (left, right))
    both = left.index.intersection(right.index)
    found = [
        _rows(index.difference(both), "row", *states)
        for index, states in ((left.index, (_THERE, _ABSENT)), (right.index, (_ABSENT, _THERE)))
    ]
    found += [
        _rows(pd.Index([""]), f"column {column}", *states)
        for these, others, states in (
            (left, right, (_THERE, _ABSENT)),
            (right, left, (_ABSENT, _THERE)),
        )
        for column in these.columns.difference(others.columns, sort=False)
    ]
    common = [column for column in left.columns if column in right.columns]
    for column in common:
        found.append(_values(column, left.loc[both, column], right.loc[both, column], tolerance))
    return len(both) * len(common), pd.concat([f for f in found if len(f)] or found[:1])


def _read(name: str, path: Path) -> pd.DataFrame:
    """A table as it was written, which was checked then; or a figure's data."""
    return sealed.read_own_parquet(path) if name in tables.SCHEMAS else pd.read_csv(path)


def _keys(frame: pd.DataFrame, key: list[str]) -> pd.Index:
    """Name each row by its key; of a figure's data by its number, from 1."""
    if not key:
        return pd.Index([f"row {i + 1}" for i in range(len(frame))])
    names = pd.Series("", index=frame.index, dtype=object)
    for column in key:
        values = frame[column]
        text = values.map("{:.9g}".format) if values.dtype == float else values.astype(str)
        shown = text.where(values.notna(), "-").astype(object)
        names = names + (" " if column != key[0] else "") + f"{column}=" + shown
    return pd.Index(names)


def _rows(keys: pd.Index, column: str, a: Any, b: Any) -> pd.DataFrame:
    return pd.DataFrame({"key": keys, "column": column, "a": a, "b": b}, dtype=object)


def _values(column: str, a: pd.Series, b: pd.Series, tolerance: float) -> pd.DataFrame:
    """Return the values of a column that differ by more than the tolerance."""
    numbers = all(pd.api.types.is_float_dtype(each.dtype) for each in (a, b))
    if numbers:
        x, y = a.to_numpy(float), b.to_numpy(float)
        allowed = tolerance * np.fmax(np.abs(x), np.abs(y))
        with np.errstate(invalid="ignore"):
            same = (np.abs(x - y) <= allowed) | (x == y) | (np.isnan(x) & np.isnan(y))
    else:
        same = ((a == b).fillna(False) | (a.isna() & b.isna())).to_numpy(bool)
    differ = ~same
    found = _rows(a.index[differ], column, a[differ].to_numpy(object), b[differ].to_numpy(object))
    if numbers:
        found = found.assign(change=(y - x)[differ], tolerance=allowed[differ])
    return found


# --- causes ----------------------------------------------------------------------------------


def _cause(a: Mapping[str, Path], b: Mapping[str, Path], name: str) -> str:
    """Say what differs in how two files were made, most telling first.

    Table `numbers` and figures are made of the other tables, of which `runs` is always there.
    """
    read = name if name in tables.SCHEMAS else "runs"
    names = dict.fromkeys([read, "runs"] if read == "numbers" else [read])
    blocks = [
        {key: value for n in reversed(names) if n in files for key, value in _flat_of(files[n])}
        for files in (a, b)
    ]
    left, right = blocks
    if not left or not right:
        return "not known: one of the two has no record of how it was made"
    differ = {
        key: (left.get(key, _ABSENT), right.get(key, _ABSENT))
        for key in [*left, *(k for k in right if k not in left)]
        if left.get(key) != right.get(key)  # an option that is new, and not used, is None
    }
    said = sorted((_said(key, *values) for key, values in differ.items()), key=lambda s: s[0])
    kinds = {rank for rank, _ in said}
    texts = list(dict.fromkeys(text for _, text in said))
    if not texts:
        if str(left.get("commit", "")).endswith("+"):
            return f"code: both were made with changes to commit {_commit(left['commit'])}"
        return "nothing recorded differs: a changed file, or a result that isn't deterministic"
    if kinds == {_CODE}:
        texts.append("no layer's version was raised")
    return "; ".join(texts)


_INPUT, _OPTION, _LAYER, _PACKAGE, _CODE = range(5)


def _said(key: str, a: Any, b: Any) -> tuple[int, str]:
    """Return the rank of a difference between two provenance blocks, and its words."""
    words = key.split("\t")
    if "inputs" in words:
        role = words[words.index("inputs") + 1]
        return _INPUT, f"input {role}: {str(a)[:12]} -> {str(b)[:12]}"
    if "versions" in words:
        return _LAYER, f"layer {words[-1]}: version {a} -> {b}"
    if words[0] == "packages":
        return _PACKAGE, f"{words[-1]} {a} -> {b}"
    if words[0] in ("python", "platform"):
        return _PACKAGE, f"{words[0]} {a} -> {b}"
    if words[0] == "commit":
        return _CODE, f"code: commit {_commit(a)} -> {_commit(b)}"
    shown = ".".join(w for w in words if w not in ("parameters", "study")) or key
    return _OPTION, f"option {shown}: {a} -> {b}"


def _commit(name: str) -> str:
    """Shorten a commit's name; its '+' says that files differed from it."""
    return name[:8] + "+" * name.endswith("+") or "unknown"


def _flat_of(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a table's provenance that may explain its values, by their place."""
    block = tables.read_provenance(path)
    yield from _flat({key: value for key, value in block.items() if key not in _NO_CAUSE})


def _flat(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if place[:2] == ("parameters", "tables") or (place[1:2] == ("study",) and place[-1] in _WORDS):
        return
    if place[-1:] == ("file",) and "inputs" in place:  # a file renamed is the same file
        return
    if isinstance(value, Mapping | list):
        for key, each in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _flat(each, (*place, str(key)))
    else:
        yield "\t".join(place), value
