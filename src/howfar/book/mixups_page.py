"""The page on mix-ups of samples: what planted ones show, and what was found in the studies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from howfar.book.figure_block import on_written_page
from howfar.book.markdown import fill, markdown_table, table_of, written
from howfar.book.speed_page import circumstances, measured
from howfar.core import sealed
from howfar.core.project import figures_folder
from howfar.figures import mixups
from howfar.stats.mixups import ENOUGH, pool

#: The signal from which on swaps are found, dashed in the figure.
_ENOUGH_SIGNAL = 20
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


def mixups_page(results: Path) -> str:
    """Write the page; its picture lies among the results' figures."""
    table = measured("mixups")
    swapped = pool(table[table["planted"] == "swapped pairs"])
    shown = mixups.draw(swapped, figures_folder(results, "book"))
    clean = table[(table["planted"] == "none") & (table["says"] >= ENOUGH)]
    trials = table[~((table["draws"] < 20) & table["r"].notna())]
    return fill(
        "mixups",
        figure=on_written_page(shown.name, shown.svg, shown.caption, _alt(swapped)),
        clean=f"{clean['draws'].sum():,}",
        alarms=f"{clean['alarms'].sum():,}",
        studies=_studies(results),
        trials=table_of(trials.assign(what=_words(trials), share=_shares(trials)), _TRIAL),
        first=circumstances(table),
    )


def _alt(swapped: pd.DataFrame) -> str:
    """What the figure says, with its numbers."""
    enough = swapped[swapped["signal"] >= _ENOUGH_SIGNAL]
    few = swapped[swapped["signal"] < _ENOUGH_SIGNAL]
    return (
        "Share of planted swaps found against the signal: "
        f"at least {100 * enough['found'].min():.0f} % from a signal of {_ENOUGH_SIGNAL} on, "
        f"{100 * few['found'].min():.0f} to {100 * few['found'].max():.0f} % below it; "
        "and the signal, which grows with genes, r and people"
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
