"""The page on which a reader turns the knobs of the hard demo world (`howfar bench knobs`)."""

from __future__ import annotations

import json
from html import escape

import pandas as pd

from howfar.book.markdown import Format, fill, markdown_table, written
from howfar.book.speed_page import circumstances, measured
from howfar.figures import style


def _percent(share: float) -> str:
    return f"{100 * round(share, 2):.0f} %"  # as the figure rounds it


#: Columns of the table that are knobs: their words, how a value is written, the default's value.
KNOBS = {
    "coin": ("genes whose switch is +", _percent, 0.55),
    "distal": ("cis variance beyond the network's context", _percent, 0.4),
    "training_genes": ("training genes", "{:,.0f}", 600),
    "people": ("people", "{:,.0f}", 300),
}
_NETWORK, _LINEAR = style.KIND_COLOURS["network"], style.KIND_COLOURS["linear"]
#: Means of r across people: words and colour.
_MEANS = {
    "random": ("Random weights on the same variants", style.FAINT),
    "network": ("Network", _NETWORK[0]),
    "told": ("Network told the sign", _NETWORK[1]),
    "blup_context": ("BLUP, the network's 8 kb", _LINEAR[2]),
    "blup": ("BLUP, 32 kb", _LINEAR[0]),
    "prior": ("BLUP with the network's prior", _LINEAR[1]),
    "ceiling": ("Ceiling: the true genetic value", style.KIND_COLOURS["truth"][0]),
}
#: Shares: words and colour.
_SHARES = {
    "random_negative": ("Genes with r below 0: random weights", style.FAINT),
    "network_negative": ("Genes with r below 0: network", _NETWORK[0]),
    "wrong_promoter": ("Wrong signs at promoters", _NETWORK[0]),
    "wrong_enhancer": ("Wrong signs at enhancers", _NETWORK[0]),
}
_BLOCKS = {
    "means": ("Mean r across people, over genes", _MEANS, (-0.2, 0.6), (-0.2, 0, 0.2, 0.4, 0.6)),
    "shares": ("Share", _SHARES, (0.0, 1.0), (0, 0.25, 0.5, 0.75, 1)),
}


def knobs_page(table: pd.DataFrame | None = None) -> str:
    """Write the page; table: as `howfar bench knobs` writes it, default the committed one."""
    table = measured("demo_knobs") if table is None else table
    base = _at(table, default(table))
    return fill(
        "knobs",
        figure=_figure(table, base),
        one_at_a_time=_one_at_a_time(table),
        base=base,
        first=circumstances(table),
        networks=int(table.groupby("training_genes")["worlds"].first().sum()),
    )


def default(table: pd.DataFrame) -> dict[str, float]:
    """The knobs of the study `demo`, or the values nearest to them in the table."""
    return {
        name: min(table[name].unique(), key=lambda value: abs(value - wanted))
        for name, (_, _, wanted) in KNOBS.items()
    }


def _at(table: pd.DataFrame, chosen: dict[str, float]) -> pd.Series:
    return table.loc[(table[list(chosen)] == pd.Series(chosen)).all(axis=1)].iloc[0]


def sentence(row: pd.Series) -> str:
    """What a row says, in one sentence."""
    tells = "can't tell people apart"
    if row["network_low"] > 0:
        tells = "tells people apart, " + (
            "yet less than BLUP of the same people's genotypes"
            if row["network"] < row["blup"]
            else "as BLUP of the same people's genotypes does"
        )
    elif row["network_high"] < 0:
        tells = "is wrong about people more often than right"
    negative = _percent(row["network_negative"])
    return (
        f"The network ranks genes (r {row['genes_held_out']:.2f} on those held out) and {tells}: "
        f"mean r {_interval(row, 'network')}, below 0 in {negative} of genes; "
        f"told the sign by people it reaches {row['told']:.2f}, as a prior it takes BLUP from "
        f"{row['blup']:.2f} to {row['prior']:.2f}, and {row['ceiling']:.2f} is possible."
    )


def _interval(row: pd.Series, name: str, how: Format = "{:.2f}") -> str:
    value, low, high = (_signed(row[f"{name}{end}"], how) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def _signed(value: float, how: Format) -> str:
    return _minus(written(value, how))


def _minus(text: str) -> str:
    return text.replace("-", "−") if text.strip("-0.% ") else text.lstrip("-")


# --- the figure -----------------------------------------------------------------------------------


def _figure(table: pd.DataFrame, base: pd.Series) -> str:
    """Plain HTML that shows the default and needs no script; knobs.js turns it.

    Blocks of raw HTML in Markdown end at an empty line, so there is none.
    """
    sliders = [_slider(table, base, name) for name in KNOBS]
    blocks = [_block(base, *block) for block in _BLOCKS.values()]
    data = json.dumps(_data(table), separators=(",", ":")).replace("<", "\\u003c")
    return "\n".join(
        [
            '<div class="knobs">',
            '<form class="knobs-form" hidden>',
            *sliders,
            "</form>",
            f'<p class="knobs-chosen">{escape(_chosen(base))}</p>',
            *blocks,
            f'<p class="knobs-reading" aria-live="polite">{escape(sentence(base))}</p>',
            f'<script type="application/json" class="knobs-data">{data}</script>',
            "</div>",
        ]
    )


def _values(table: pd.DataFrame, name: str) -> list[float]:
    return sorted(table[name].unique().tolist())


def _slider(table: pd.DataFrame, base: pd.Series, name: str) -> str:
    words, how, _ = KNOBS[name]
    values = _values(table, name)
    return (
        f"<label>{escape(words.capitalize())}: <output>{written(base[name], how)}</output>"
        f'<input type="range" name="{name}" min="0" max="{len(values) - 1}" step="1" '
        f'value="{values.index(base[name])}" autocomplete="off"></label>'
    )


def _chosen(row: pd.Series) -> str:
    parts = [f"{written(row[name], how)} {words}" for name, (words, how, _) in KNOBS.items()]
    return f"{'; '.join(parts)} (n = {row['genes']:.0f} genes of {_worlds(row)})."


def _worlds(row: pd.Series) -> str:
    return f"{row['worlds']:.0f} worlds" if row["worlds"] > 1 else "one world"


def _block(
    base: pd.Series,
    title: str,
    rows: dict[str, tuple[str, str]],
    limits: tuple[float, float],
    ticks: tuple[float, ...],
) -> str:
    low, high = limits
    marks = [
        f'<span style="left:{100 * (t - low) / (high - low):.2f}%">{_signed(t, "{:g}")}</span>'
        for t in ticks
    ]
    lines = [_line(base, name, *row, limits) for name, row in rows.items()]
    return "\n".join(
        [
            f'<div class="knobs-block" data-low="{low}" data-high="{high}">',
            *lines,
            f'<div class="knobs-line"><span></span><span class="knobs-axis">{"".join(marks)}</span>'
            f'<span class="knobs-title">{escape(title)}</span></div>',
            "</div>",
        ]
    )


def _line(base: pd.Series, name: str, words: str, colour: str, limits: tuple[float, float]) -> str:
    low, high = limits
    value, first, last = (
        100 * (min(max(base[f"{name}{end}"], low), high) - low) / (high - low)
        for end in ("", "_low", "_high")
    )
    zero = 100 * (0 - low) / (high - low)
    return (
        f'<div class="knobs-line" data-row="{name}" style="--colour:{colour}">'
        f'<span>{escape(words)}</span><span class="knobs-track">'
        f'<i class="knobs-zero" style="left:{zero:.2f}%"></i>'
        f'<i class="knobs-bar" style="left:{first:.2f}%;width:{last - first:.2f}%"></i>'
        f'<i class="knobs-dot" style="left:{value:.2f}%"></i></span>'
        f'<span class="knobs-value">{_interval(base, name)}</span></div>'
    )


def _data(table: pd.DataFrame) -> dict:
    """What the script reads: values of the knobs as shown, and a row for each setting."""
    shown = {
        name: [written(value, how) for value in _values(table, name)]
        for name, (_, how, _) in KNOBS.items()
    }
    names = [f"{name}{end}" for name in (*_MEANS, *_SHARES) for end in ("", "_low", "_high")]
    places = {name: _values(table, name).index for name in KNOBS}
    rows = {}
    for _, row in table.iterrows():
        key = ",".join(str(places[name](row[name])) for name in KNOBS)
        values = [None if pd.isna(v) else round(float(v), 3) for v in row[names]]
        rows[key] = [values, _chosen(row), sentence(row)]
    return {"shown": shown, "names": [*_MEANS, *_SHARES], "rows": rows}


# --- the table ------------------------------------------------------------------------------------


def _one_at_a_time(table: pd.DataFrame) -> str:
    """Rows in which one knob differs from the default, all others as it."""
    base, rows = default(table), []
    for name, (words, how, _) in KNOBS.items():
        for value in _values(table, name):
            row = _at(table, base | {name: value})
            mark = " (default)" if value == base[name] else ""
            rows.append(
                {"knob": words, "value": written(value, how) + mark}
                | {k: _interval(row, k) for k in ("network", "told", "blup", "prior", "ceiling")}
                | {
                    "network below 0": _interval(row, "network_negative", _percent),
                    "SD": f"{row['network_sd']:.2f}",
                    "genes held out": f"{row['genes_held_out']:.2f}",
                }
            )
    frame = pd.DataFrame(rows).rename(columns={"blup": "BLUP, 32 kb"})
    return markdown_table(frame)
