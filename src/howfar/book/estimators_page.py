"""The page that says whether the estimators are right, from the committed table of their trial."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from howfar.bench.estimators import off
from howfar.bench.trials import SHOWN
from howfar.book.figure_block import on_written_page
from howfar.book.markdown import fill, table_of, written
from howfar.book.speed_page import circumstances, measured
from howfar.core.project import figures_folder
from howfar.figures import estimators

_SHARE = {
    "estimator": "estimator",
    "truth": "truth",
    "stated, %": ("says", lambda share: f"{100 * share:g}"),
    "found, %": "does",
    "bias": "off_by",
    "simulations": ("simulations", "{:,}"),
}


def estimators_page(results: Path) -> str:
    """Write the page; its picture lies among the results' figures."""
    table = measured("estimators")
    table["off"] = off(table)
    table["does"] = [_observed(row) for row in table.itertuples()]
    table["off_by"] = [_bias(row) for row in table.itertuples()]
    shown = estimators.draw(table, figures_folder(results, "book"))
    wrong = table[table["off"]].assign(shown=lambda t: t["estimator"].map(SHOWN))
    short = wrong["observed"] < wrong["says"]
    narrow = wrong[(wrong["kind"] == "interval") & short]
    eager = wrong[(wrong["kind"] == "test") & ~short]
    safe = wrong.drop(index=[*narrow.index, *eager.index])
    columns = {title: _SHARE[title] for title in ("estimator", "truth", "stated, %", "found, %")}
    columns |= {"used in": "shown"}
    judged = table[table["judged"] > 0]
    return fill(
        "estimators",
        figure=on_written_page(shown.name, shown.svg, shown.caption, _alt(judged)),
        held=(~judged["off"]).sum(),
        rows=len(judged),
        estimators=table["estimator"].nunique(),
        few=_few_blocks(table),
        narrow=table_of(narrow, columns),
        eager=table_of(eager, columns),
        safe=table_of(safe, columns),
        every=table_of(table, _SHARE),
        first=circumstances(table),
    )


def _alt(judged: pd.DataFrame) -> str:
    """What the figure says, with its numbers."""
    said = [
        f"{(~rows['off']).sum()} of {len(rows)} {words}"
        for kind, words in (
            ("interval", "intervals contain the truth as often as stated"),
            ("test", "tests are significant without an effect as often as their level"),
        )
        for rows in [judged[judged["kind"] == kind]]
    ]
    return f"On simulated truth {', and '.join(said)}; the others stand in the tables below"


def _observed(row) -> str:
    if not row.judged:
        return ""
    digits = 0 if row.says == 0.95 and row.ci_high - row.ci_low > 0.02 else 1
    digits = 2 if row.says < 0.01 else digits
    low, value, high = (f"{100 * v:.{digits}f}" for v in (row.ci_low, row.observed, row.ci_high))
    return f"{value} ({low} to {high})"


def _bias(row) -> str:
    if pd.isna(row.bias):
        return ""
    low, value, high = (written(v, "{:+.3f}") for v in (row.bias_low, row.bias, row.bias_high))
    return f"{value} ({low} to {high})".replace("-", "−")


def _few_blocks(table: pd.DataFrame) -> str:
    """What the bootstrap of a mean holds by number of blocks, in words."""
    rows = table[
        (table["estimator"] == "mean of r over genes") & table["truth"].str.contains("a fifth of")
    ]
    blocks = rows["truth"].str.extract(r"in (\d+) blocks")[0]
    held = (100 * rows["observed"]).map("{:.0f} %".format)
    return ", ".join(f"{h} with {b} blocks" for b, h in zip(blocks, held, strict=True))
