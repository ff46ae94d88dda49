"""What the papers state, beside the numbers computed here."""

from __future__ import annotations

import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.project import project_root

#: What can be said of a number of ours beside the paper's.
VERDICTS = {
    "agrees": "equal to every digit that the paper gives",
    "differs": "not equal to the digits that the paper gives",
    "in words": "the paper gives it in words only",
    "not stated": "the paper does not give it",
    "not computed": "the study's tables are not on this machine",
}


STATUS = {
    "made": "made",
    "substitute": "shown with other data",
    "permission": "needs permission",
}


_STATED = ["id", "stated", "where", "note"]


_PANELS = ["study", "panel", "what", "status", "where", "own", "needs", "grants"]


def stated() -> pd.DataFrame:
    """What the papers state: columns id, stated (as printed), where, note. All are text."""
    return _read("published_numbers.csv", _STATED, ["id"])


def panels() -> pd.DataFrame:
    """Every panel of the studies: columns study, panel, what, status, where, own, needs, grants.

    where: from published tables; own: from cohorts of ours; needs: what real data would add.
    """
    found = _read("panels.csv", _PANELS, ["study", "panel"])
    wrong = sorted(set(found["status"]) - set(STATUS))
    if wrong:
        raise HowfarError(
            str(project_root() / "data" / "panels.csv"),
            found=f"status {wrong[0]!r}",
            expected=f"one of {', '.join(STATUS)}",
            do="Correct the row.",
        )
    return found


def _read(name: str, columns: list[str], key: list[str]) -> pd.DataFrame:
    path = project_root() / "data" / name
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    repeated = frame[frame.duplicated(key)] if list(frame.columns) == columns else frame
    if list(frame.columns) != columns or len(repeated):
        raise HowfarError(
            str(path),
            found=f"columns {list(frame.columns)}, {len(repeated)} repeated rows",
            expected=f"columns {columns}, one row for each {' and '.join(key)}",
            do="Correct the file.",
        )
    return frame


def compare(numbers: pd.DataFrame, given: pd.DataFrame | None = None) -> pd.DataFrame:
    """Our numbers beside the papers'.

    numbers: rows of table `numbers`; given: `stated` by default. Returns all columns of
    `numbers` and `stated`, `where`, `note`, `verdict` (a key of `VERDICTS`). A number that a
    paper states and that isn't among ours has the verdict 'not computed'.
    """
    given = stated() if given is None else given
    both = numbers.merge(given, on="id", how="outer")
    both[["stated", "where", "note"]] = both[["stated", "where", "note"]].fillna("")
    verdicts = [verdict(v, text) for v, text in zip(both["value"], both["stated"], strict=True)]
    return both.assign(verdict=verdicts)


def verdict(value: float, text: str) -> str:
    """How `value` stands beside the paper's `text`: equal when rounded to the digits printed."""
    if pd.isna(value):
        return "not computed"
    if not text:
        return "not stated"
    plain = text.replace(",", "").replace("−", "-")
    try:
        printed = float(plain)
    except ValueError:
        return "in words"
    digits = len(plain.partition(".")[2])
    return "agrees" if abs(value - printed) <= 0.5 * 10**-digits * (1 + 1e-9) else "differs"


def own_numbers(numbers: pd.DataFrame, study: str) -> pd.DataFrame:
    """The rows of `numbers` that a published study brings itself: those with ids of its own."""
    return numbers[~numbers["id"].str.startswith(f"{study}.")]
