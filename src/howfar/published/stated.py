"""What the papers state, beside the numbers computed here."""

from __future__ import annotations

import re

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


#: How a study is cited in short; others by their name and year ("Sasse 2023").
_CITED = {
    "rastogi2024": "Rastogi, Reddy 2024",
    "capstone2025": "UCSD capstone 2025",
    "sagenet2024": "SAGE-net 2024",
    "variantformer": "VariantFormer",
}

_STATED = ["id", "stated", "where", "note"]


_PANELS = ["study", "panel", "what", "status", "where", "own", "figures", "needs", "grants"]


def stated() -> pd.DataFrame:
    """What the papers state: columns id, stated (as printed), where, note. All are text."""
    return _read("published_numbers.csv", _STATED, ["id"])


def panels() -> pd.DataFrame:
    """Every panel of the studies: columns as in `_PANELS`, all text.

    where: from published tables; own: from cohorts of ours; figures: names of the figures, on
    these pages, that re-make it; needs: what real data would add.
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
    if (number := printed(text)) is None:
        return "in words"
    there, tolerance = number
    return "agrees" if abs(value - there) <= tolerance * (1 + 1e-9) else "differs"


def printed(text: str) -> tuple[float, float] | None:
    """Return a number as a paper prints it, and half of its last digit; None for words."""
    plain = text.replace(",", "").replace("−", "-")
    try:
        return float(plain), 0.5 * 10 ** -len(plain.partition(".")[2])
    except ValueError:
        return None


def own_numbers(numbers: pd.DataFrame, study: str) -> pd.DataFrame:
    """The rows of `numbers` that a published study brings itself: those with ids of its own."""
    return numbers[~numbers["id"].str.startswith(f"{study}.")]


def panel_label(study: str, panel: str) -> str:
    """Cite a panel: 'Sasse 2023, Fig. 2A'; one without a number by its words."""
    cited = _CITED.get(study) or re.sub(r"(\d+)$", r" \1", study).capitalize()
    return f"{cited}, {'Fig. ' if re.match(r'S?[0-9]', panel) else ''}{panel}"


def panel_numbers(every: pd.DataFrame, panel: pd.Series) -> pd.DataFrame:
    """Rows of `compare` that belong to a panel: those of its ids' families, and of its figure.

    panel: row of `panels`. The family of ``S.2A.neg`` is ``S.2A``; a number also belongs to the
    panel under which its paper prints it ("Fig 2A").
    """
    ids = [w for w in re.split(r"[;,]\s*", panel["where"]) if re.match(r"[A-Z]\.", w)]
    families = tuple(f"{'.'.join(i.split('.')[:2])}." for i in ids if i.count(".") > 1)
    mine = every["id"].isin(ids) | every["id"].str.startswith(families)
    figures = panel["panel"].split(", ")
    if ids and all(re.fullmatch(r"S?\d+[A-Za-z]?", figure) for figure in figures):
        printed = every["where"].str.contains(rf"Fig (?:\S+ / )?(?:{'|'.join(figures)})\b")
        mine |= printed & every["id"].str.startswith(f"{ids[0][0]}.")
    return every[mine]


def panel_verdict(every: pd.DataFrame, panel: pd.Series) -> str:
    """Say how a panel, made again, stands to the paper's: a word, and by what it differs."""
    if panel["status"] != "made":
        return "other data" if panel["status"] == "substitute" else STATUS[panel["status"]]
    rows = panel_numbers(every, panel)
    counts = rows["verdict"].value_counts()
    judged = rows[rows["verdict"].isin(["agrees", "differs"])]
    if len(judged):
        unlike = judged[judged["verdict"] == "differs"]
        pairs = [f"{written(r.value, r.stated)} against {r.stated}" for r in unlike.itertuples()]
        said = "; ".join([*pairs[:2], *([f"{len(pairs) - 2} more"] if len(pairs) > 2 else [])])
        same = len(judged) - len(unlike)
        of = f" ({same} of {len(judged)} printed numbers)" if len(judged) > 1 else ""
        if pairs:
            why = "; ".join(dict.fromkeys(filter(None, unlike["note"])))
            return f"differs: {said}{of.replace(' (', ' (agree: ')}{why and f'; {why}'}"
        return f"agrees{of}"
    if "in words" in counts:
        return "the paper gives it in words only"
    return "not computed" if "not computed" in counts else "the paper prints no number"


def written(value: float, printed: str) -> str:
    """Write a value of ours with as many digits as the paper prints; more where it differs."""
    digits = len(printed.partition(".")[2])
    return f"{value:,.{digits + (digits > 0)}f}".replace("-", "−")
