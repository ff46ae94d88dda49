"""All studies on one scale: across genes, across people, the ceiling, and the sampling spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from howfar.core.project import figures_folder, results_folder
from howfar.evaluation.heritability import sources
from howfar.evaluation.numbers.heritability import source_key
from howfar.figures import row_zero, style
from howfar.figures.view import Box, NotInTables, View, view

_COLUMNS = [
    *("study", "title", "run_id", "label", "kind", "quantity", "value", "ci_low", "ci_high"),
    *("genes", "spread", "sampling", "null"),
]
#: How the figure marks each quantity.
_MARKS = {
    "across genes": {"marker": "s", "facecolor": "white"},
    "across people": {"marker": "o"},
}
_AGAIN = "Run `howfar evaluate --study STUDY` for each of them."
#: The class of genes and people on which a study's fine-tuned models are compared.
_CLASS = "random_split"


def rows_of(view: View) -> pd.DataFrame:
    """One study's correlations: one row per run and quantity.

    quantity 'across genes': Spearman's rho of the reference prediction; 'across people': mean
    Pearson r over genes, with `spread` its SD over genes and `sampling` the SD that sampling
    alone gives at these numbers of people, `null` that of random weights; 'ceiling': mean of
    sqrt(h2), h2 the cis-heritability of the run's genes (negative estimates as 0). Intervals
    are those of table `numbers`; of the ceiling, by block bootstrap. Columns study, title,
    run_id, label, kind, quantity, value, ci_low, ci_high, genes, spread, sampling, null.
    """
    rows = []
    kinds = view.kinds
    for run, label in view.labels.items():
        base = {"study": view.study.name, "title": view.study.title, "run_id": run}
        base |= {"label": label, "kind": kinds[run]}
        mean = f"{run}.across.pooled.mean_r"
        beside = run in view.comparable or view.number(mean) is None
        people = _people(view, run) if beside else ()
        rows += [base | found for found in (*_genes(view, run), *people)]
    rows += _lookups(view)
    rows += _ceilings(view)
    return pd.DataFrame(rows, columns=_COLUMNS)


def _entry(quantity: str, number, **more: float) -> dict:
    ends = {"ci_low": number.ci_low, "ci_high": number.ci_high}
    return {"quantity": quantity, "value": number.value, "genes": number.n} | ends | more


def _genes(view: View, run: str) -> Iterator[dict]:
    if (found := view.number(f"{run}.reference.spearman")) is not None:
        yield _entry("across genes", found)


def _people(view: View, run: str) -> Iterator[dict]:
    """The run's mean r over all people, or where there is none as published for `_CLASS`."""
    key = f"{run}.across.pooled"
    if (mean := view.number(f"{key}.mean_r")) is not None:
        spread, sampling = (view.number(f"{key}.{w}") for w in ("observed_sd", "sampling_sd"))
        null = view.number(f"{key}.null_rms")
        known = {} if spread is None else {"spread": spread.value, "sampling": sampling.value}
        known |= {} if null is None else {"null": null.value}
        yield _entry("across people", mean, **known)
        return
    table = view.summary("performance.mean")
    table = table[(table["group"] == _CLASS) & (table["method"] == view.labels[run])]
    for row in table.itertuples():
        yield _entry("across people", row)


def _lookups(view: View) -> Iterator[dict]:
    """What other people's mean expression says across genes."""
    for row in row_zero.genes(view).itertuples():
        fields = {
            "study": view.study.name,
            "title": view.study.title,
            "run_id": f"zero.{row.label}",
        }
        fields |= {"label": row.label, "kind": "row zero"}
        yield fields | _entry("across genes", row)


def _ceilings(view: View) -> Iterator[dict]:
    """Mean sqrt(h2) per source of heritability estimates, over the genes that have one."""
    for source in sorted(sources(view.tables)):
        fields = {"study": view.study.name, "title": view.study.title, "run_id": f"h2.{source}"}
        fields |= {"label": f"√h² ({source})", "kind": "ceiling"}
        yield fields | _entry("ceiling", view.need(f"h2.{source_key(source)}.root"))


def synthesis(
    studies: Sequence[str], results: str | Path = "results", output: str | Path = ""
) -> style.Shown | Box:
    """The figure for those studies (the ones that have tables), or a Box where none has.

    output: where it goes; empty: ``book/figures`` of the results folder.
    """
    views = [v for v in (view(s, results=results) for s in studies) if v.tables is not None]
    if not views:
        return Box("No figure yet", ("No study has been run or fetched. Run: make book",))
    try:
        parts = [rows_of(v).assign(colour=lambda t, v=v: t["run_id"].map(v.colours)) for v in views]
    except NotInTables as lacking:
        names = ", ".join(v.study.name for v in views)
        lines = f"The tables of {names} lack {lacking}: made before it was.", _AGAIN
        return Box("No figure yet", lines)
    parts = [part.dropna(subset=["value"]) for part in parts]
    if not any(len(part) for part in parts):
        return Box("No figure yet", ("No run of these studies has a correlation over genes.",))
    table = pd.concat([p for p in parts if len(p)], ignore_index=True)
    with style.look():
        drawn = _draw(table)
        folder = output or figures_folder(views[0].results, "book")
        output = results_folder(folder).absolute()
        data, caption = table.drop(columns="colour"), _CAPTION + _reached(views)
        return style.save(drawn, data, "synthesis", output, caption)


#: Classes of genes and people of Rastogi, Reddy et al. 2024, in words.
_CLASSES = {
    "random_split": "unseen people of the populations trained on",
    "yri_split": "Yoruba, none of whom was trained on",
}


def _reached(views: Sequence[View]) -> str:
    """How much of the ceiling linear models reach, class by class, as a sentence; or ''."""
    parts = []
    for each in views:
        for group, words in _CLASSES.items():
            shares = {
                kind: [
                    100 * number.value
                    for run, its in each.kinds.items()
                    if its == kind
                    and (number := each.number(f"{run}.heritability.{group}.ratio")) is not None
                ]
                for kind in ("linear", "lead_snp")
            }
            if shares["linear"]:
                text = f"{min(shares['linear']):.0f} to {max(shares['linear']):.0f} % on {words}"
                lead = [f" (the lead SNP {share:.0f} %)" for share in shares["lead_snp"][:1]]
                parts.append(text + "".join(lead))
    joined = "; ".join(parts)
    return f" Of the mean √h² of the same genes, linear models reach {joined}." if parts else ""


_CAPTION = (
    "All studies on one scale. Open squares: Spearman's ρ across genes, reference prediction "
    "against average expression (mean, or median where the study says so). Discs: mean Pearson "
    "r across people over genes, with its 95 % interval; the thin line is ± 1 SD of r over "
    "genes, the grey band what sampling alone gives at that number of people, the dotted line "
    "what random weights on each gene's own variants give (where genotypes or their moments are"
    " known). Grey squares: Pearson's r of other people's mean expression, without any model. "
    "Triangles: mean √h², what a perfect additive predictor of cis effects would reach. Where a "
    "study published only averages, the line spans its replicates and is not a confidence "
    "interval. Models with predictions for fewer than half of a study's genes are not drawn, "
    "because their genes are selected; the page 'Network against linear model' compares them on "
    "the same genes."
)


def _draw(table: pd.DataFrame) -> Figure:
    lines = table.drop_duplicates(["study", "run_id"])
    places, place = {}, 0.0
    heads = []
    for _, part in lines.groupby("study", sort=False):
        heads.append((place, part["title"].iloc[0]))
        for row in part.itertuples():
            place += 1
            places[row.study, row.run_id] = place
        place += 1.3
    drawn, (axis,) = style.panels([0.8 + 0.25 * place])
    for row in table.itertuples():
        _mark(axis, places[row.study, row.run_id], row)
    axis.set_yticks(list(places.values()), [style.wrapped(t, 30) for t in lines["label"]])
    axis.tick_params(axis="y", labelsize=7.5)
    drawn.get_layout_engine().set(rect=(0.03, 0, 0.97, 1))
    across = blended_transform_factory(drawn.transFigure, axis.transData)
    for y, title in heads:
        # It runs over the panel's edge on purpose.
        bold = {"fontweight": "bold", "zorder": 4, "transform": across}
        style.words(axis, 0.01, y, title, 7.5, **bold)
    axis.set_ylim(place - 0.6, -0.6)
    axis.axvline(0, color=style.FAINT, lw=0.8)
    axis.set_xlabel("correlation")
    drawn.legend(handles=_handles(), loc="outside upper center", ncols=3, fontsize=7.5)
    return drawn


def _mark(axis, y: float, row) -> None:
    plain = row_zero.GREY if row.kind == "row zero" else style.INK
    colour = row.colour if isinstance(row.colour, str) else plain
    if row.quantity == "ceiling":
        axis.plot([row.ci_low, row.ci_high], [y, y], color=colour, lw=1)
        axis.scatter(row.value, y, marker="^", s=26, color=colour, zorder=3)
        return
    if pd.notna(row.sampling):
        axis.barh(y, 2 * row.sampling, left=-row.sampling, height=0.8, color="#dddddd", zorder=0)
    if pd.notna(row.null):
        axis.plot([-row.null, row.null], [y + 0.3] * 2, ":", color=style.INK, lw=1.2)
    if pd.notna(row.spread):
        ends = [row.value - row.spread, row.value + row.spread]
        axis.plot(ends, [y, y], color=colour, lw=0.7, zorder=1)
    axis.plot([row.ci_low, row.ci_high], [y, y], color=colour, lw=2.6, zorder=2)
    look = {"facecolor": colour} | _MARKS[row.quantity]
    axis.scatter(row.value, y, s=24, edgecolor=colour, zorder=3, **look)


def _handles() -> list[Line2D]:
    plain = {"linestyle": "", "color": style.INK}
    return [
        Line2D([], [], marker="s", markerfacecolor="white", label="across genes (ρ)", **plain),
        Line2D([], [], marker="o", label="across people (mean r)", **plain),
        Line2D([], [], marker="^", label="ceiling (√h²)", **plain),
    ]
