"""The page on mix-ups of samples: what planted ones show, and what was found in the studies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from howfar.book.markdown import fill, markdown_table, table_of, written
from howfar.book.speed_page import circumstances, measured
from howfar.core import sealed
from howfar.core.project import figures_folder
from howfar.core.text import as_markdown
from howfar.figures import mixups
from howfar.stats.mixups import ENOUGH, pool

_TRIAL = {
    "people": "setting",
    "sum": ("sum", "{:.1f}"),
    "signal": ("signal", "{:.1f}"),
    "planted": "what",
    "planted in all": ("trials", "{:,}"),
    "found, %": "share",
    "draws": ("draws", "{:,}"),
    "with others named by expression": ("alarms", "{:,}"),
}


def mixups_page(results: Path, folder: Path) -> str:
    """Write the page, and its picture into `folder`."""
    table = measured("mixups")
    swapped = pool(table[table["planted"] == "swapped pairs"])
    shown = mixups.draw(swapped, figures_folder(results, "book"))
    shutil.copyfile(shown.svg, folder / "mixups.svg")
    clean = table[(table["planted"] == "none") & (table["says"] >= ENOUGH)]
    trials = table[~((table["draws"] < 20) & table["r"].notna())]
    return fill(
        "mixups",
        caption=as_markdown(shown.caption),
        clean=f"{clean['draws'].sum():,}",
        alarms=f"{clean['alarms'].sum():,}",
        studies=_studies(results),
        trials=table_of(trials.assign(what=_words(trials), share=_shares(trials)), _TRIAL),
        first=circumstances(table),
    )


def _words(table: pd.DataFrame) -> list[str]:
    """What was planted, in words."""
    words = {
        "none": "nobody",
        "swapped pairs": "{:g} swapped pair(s)",
        "replaced": "a stranger's genotypes",
        "duplicates": "one person's genotypes twice",
        "contaminated": "{:.0%} of another's dosages",
    }
    rows = zip(table["planted"], table["amount"], strict=True)
    return [words[planted].format(amount).replace("%", " %") for planted, amount in rows]


def _shares(table: pd.DataFrame) -> list[str]:
    ends = zip(table["found"], table["ci_low"], table["ci_high"], strict=True)
    return [
        "" if pd.isna(share) else f"{100 * share:.0f} ({100 * low:.0f} to {100 * high:.0f})"
        for share, low, high in ends
    ]


def _studies(results: Path) -> str:
    """What `howfar evaluate` found in each computed study of these results."""
    found = [(path.parent.name, sealed.read_json(path)) for path in results.glob("*/mixups.json")]
    rows = [
        {
            "study": name,
            "people": f"{each['people']:,}",
            "genes": f"{each['genes']:,}",
            "signal": written(each["signal"], "{:.1f}"),
            "would find, %": f"{100 * each['found']:.0f}",
            "suspected": "; ".join(f"{what}: {n:,}" for what, n in each["counts"].items())
            or ("nobody" if each["found"] >= ENOUGH else "too little signal to tell"),
        }
        for name, each in sorted(found)
    ]
    return markdown_table(pd.DataFrame(rows)) if rows else "No study was computed here."
