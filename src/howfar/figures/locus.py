"""One gene's locus: what a model says of each variant beside what an eQTL scan found."""

from __future__ import annotations

import numpy as np
import pandas as pd
from IPython.display import HTML

from howfar.attribution.variant_effects import SOURCE
from howfar.evaluation.locus import RANKINGS, TOP, most_measured, top_size, top_variants
from howfar.figures import style
from howfar.figures.eqtl import mapped_with
from howfar.figures.view import Box, Drawn, View, figure

_NONE = "No variant effects beside an eQTL scan are public for this study."
_WORDS = {"combined": "combined score", "model": "model alone"}


def locus_rows(view: View, gene: str = "") -> pd.DataFrame:
    """Rows of `effects` with an effect, of the gene and source with most p-values; else empty.

    gene: look at this one, by id or name. Adds `log10p` (-log10 p) and `size` (|effect|).
    """
    table = view["effects"]
    if gene:
        genes = view.tables["genes"]
        table = table[table["gene_id"].isin([gene, *genes.loc[genes["name"] == gene, "gene_id"]])]
    return most_measured(table)


@figure("locus")
def locus_plot(view: View, gene: str = "") -> Drawn:
    """-log10 p of the eQTL scan and each run's |effect| along the region of a gene."""
    rows = locus_rows(view, gene)
    if rows.empty:
        return _NONE
    gene_id, runs = rows["gene_id"].iloc[0], list(dict.fromkeys(rows["run_id"]))
    name = view.gene_names.get(gene_id, gene_id)
    drawn, axes = style.panels([2.5] + [2.2] * len(runs), columns=1)
    scan = rows.drop_duplicates("variant").dropna(subset=["p"])
    limit, highest = (view.need(f"locus.{gene_id}.{what}").value for what in ("limit", "highest"))
    length, unit = _unit(rows)
    _scan_panel(axes[0], scan, view, rows["source"].iloc[0], length)
    for axis, run in zip(axes[1:], runs, strict=True):
        _effect_panel(axis, rows[rows["run_id"] == run], scan, view, run, length)
    for axis in axes:
        axis.axvline(0, color=style.FAINT, lw=0.8)
        axis.set_xlim(rows["distance"].min() / length * 1.02, _right(rows) / length)
    axes[-1].set_xlabel(f"position relative to the start of {name} ({unit})")
    caption = (
        f"{name}: {_span(rows)} Top: the eQTL scan; dashed: the Bonferroni limit for "
        f"n = {len(scan)} variants, −log10 p = {limit:.2f}; the highest value is "
        f"{highest:.2f}. Below: the size of each model's score. Dark circles: the "
        f"{top_size(len(scan))} variants with the lowest p in every panel."
    ) + mapped_with(view)
    return drawn, rows.drop(columns=["slope_se", "pip"]), caption


def _right(rows: pd.DataFrame) -> float:
    """Right edge of the panels, bp: the start of the gene stays visible."""
    width = rows["distance"].max() - rows["distance"].min()
    return max(rows["distance"].max(), 0) + 0.03 * width


def _unit(rows: pd.DataFrame) -> tuple[float, str]:
    """Length in bp of the axis's unit, and its name."""
    return (1e6, "Mb") if np.ptp(rows["distance"]) > 500_000 else (1e3, "kb")


def _span(rows: pd.DataFrame) -> str:
    low, high = rows["distance"].min(), rows["distance"].max()
    count = rows["variant"].nunique()
    return (
        f"n = {count:,} variants from {_place(low)} to {_place(high)} its start (forward strand)."
    )


def _place(distance: float) -> str:
    return f"{abs(int(distance)):,} bp {'before' if distance < 0 else 'after'}"


def _scan_panel(axis, scan: pd.DataFrame, view: View, source: str, length: float) -> None:
    best = scan["variant"].isin(top_variants(scan, "log10p", top_size(len(scan))))
    _points(axis, scan["distance"] / length, scan["log10p"], best, "#9a9a9a")
    names = ("limit", "passed", "highest")
    limit, passed, highest = (view.need(f"locus.{scan['gene_id'].iloc[0]}.{n}") for n in names)
    axis.axhline(limit.value, color=style.INK, ls="--", lw=1)
    axis.set(ylabel="−log10 p", ylim=(0, max(limit.value, highest.value) * 1.25))
    title = f"eQTL scan: {passed.value:.0f} of {passed.n} variants pass Bonferroni"
    axis.set_title(title, fontsize=9.5)
    if source != SOURCE:  # else the scan is the study's own map
        style.note(axis, style.wrapped(source, 60))


def _effect_panel(axis, part: pd.DataFrame, scan, view: View, run: str, length: float) -> None:
    size = top_size(len(scan))
    best = top_variants(scan, "log10p", size)
    marked = part["variant"].isin(best).to_numpy()
    _points(axis, part["distance"] / length, part["size"], marked, view.colours[run])
    axis.set(ylabel="|score|", ylim=(0, part["size"].max() * 1.25))
    axis.set_title(f"{view.labels[run]}: |score|", fontsize=9.5)
    shared = view.need(f"{run}.locus.{part['gene_id'].iloc[0]}.top").value
    among = f"of the {size} largest are among the {size} with the lowest p"
    style.note(axis, f"{shared:.0f} {among}")


def _points(axis, x, y, marked, colour: str) -> None:
    marked = np.asarray(marked)
    kw = {"linewidths": 0, "rasterized": True}
    axis.scatter(x[~marked], y[~marked], s=7, alpha=0.45, color=colour, **kw)
    ring = {"facecolors": "none", "edgecolors": style.INK, "linewidths": 0.9}
    axis.scatter(x[marked], y[marked], s=18, **ring)


@figure("locus_agreement")
def locus_agreement(view: View) -> Drawn:
    """|effect| against -log10 p, one point per variant, with Spearman's rho."""
    rows = locus_rows(view)
    if rows.empty:
        return _NONE
    gene, runs, data = rows["gene_id"].iloc[0], list(dict.fromkeys(rows["run_id"])), []
    drawn, axes = style.panels([2.5] * len(runs))
    for axis, run in zip(axes, runs, strict=True):
        part = rows[rows["run_id"] == run].dropna(subset=["p"])
        dots = {"s": 7, "alpha": 0.4, "lw": 0, "rasterized": True}
        axis.scatter(part["size"], part["log10p"], color=view.colours[run], **dots)
        axis.set(ylabel="−log10 p", ylim=(0, part["log10p"].max() * 1.3))
        axis.set_title(view.labels[run], fontsize=9.5)
        rho = view.need(f"{run}.locus.{gene}.rho")
        style.note(axis, f"ρ = {style.estimated(rho, 3, 2)}, n = {rho.n} variants")
        data.append((run, rho.value, rho.ci_low, rho.ci_high, rho.n))
    axes[-1].set_xlabel("|score| of the variant")
    caption = (
        f"{view.gene_names.get(gene, gene)}: does a larger score go with a lower p? ρ is "
        f"Spearman's, with a 95 % interval by bootstrap over {rho.unit}, as neighbouring variants "
        "aren't independent."
    ) + mapped_with(view)
    columns = ["run_id", "rho", "ci_low", "ci_high", "n"]
    return drawn, pd.DataFrame(data, columns=columns), caption


def curves(view: View) -> pd.DataFrame:
    """Overlaps of top lists: rows of `summary`, of the runs shown."""
    table = view.tables["summary"]
    runs = table["method"].str.split("/").map(lambda names: set(names) <= set(view.labels))
    table = table[table["set"].str.fullmatch("overlap(_.*)?") & runs]
    if table.empty and view.study.cohort and len(locus_rows(view)):
        view.need("overlap of table summary")
    return table.reset_index(drop=True)


@figure("locus_overlaps")
def locus_overlaps(view: View) -> Drawn:
    """Shared variants of the top 50 lists: by the combined score, and by the model alone."""
    rows = curves(view)
    rows = rows[rows["x"] == TOP]
    if rows.empty:
        return _NONE
    shown = _overlap_rows(view, rows)
    drawn, (axis,) = style.panels([1.5 + 0.56 * len(shown)])
    for place, row in enumerate(shown.itertuples()):
        _overlap_bar(axis, place, row)
    axis.set_yticks(range(len(shown)), [style.wrapped(n, 30) for n in shown["label"]], fontsize=8)
    axis.set(xlim=(0, TOP * 1.25), ylim=(len(shown) - 0.4, -0.7), xticks=range(0, TOP + 1, 10))
    axis.set_xlabel(f"variants that two lists of {TOP} share")
    axis.set_title(_overlap_title(view, rows), fontsize=9.5)
    caption = (
        f"Number of variants that two lists of {TOP} share (bars). Combined score: |score| and "
        "−log10 p, each scaled to 0–1 and added, as the study did; so it contains the p-value "
        "itself. Black: what chance gives, mean and 95 % range; for the combined score, with the "
        "model's scores shuffled between variants; for the model alone, with the scores shifted "
        f"circularly along the region. n = {int(rows['n'].iloc[0]):,} variants."
    ) + mapped_with(view)
    return drawn, shown, caption


def _overlap_rows(view: View, rows: pd.DataFrame) -> pd.DataFrame:
    """One row per bar: label, value, chance, chance_low, chance_high, colour."""
    found = rows.set_index(["set", "method", "group"])
    shown = []
    for group, kind in _WORDS.items():
        for run in _labels(view, rows):
            seen = found.loc[("overlap", run, group)]
            chance = found.loc[(RANKINGS[group], run, group)]
            label = f"{view.labels[run]}, {kind}; eQTL scan"
            by_chance = chance[["value", "ci_low", "ci_high"]]
            shown.append((label, seen["value"], *by_chance, view.colours[run]))
        pairs = rows[(rows["set"] == "overlap_runs") & (rows["group"] == group)]
        for row in pairs.itertuples():
            label = " and ".join(view.labels.get(r, r) for r in row.method.split("/"))
            shown.append((f"{label}, {kind}", row.value, *[np.nan] * 3, style.FAINT))
    columns = ["label", "value", "chance", "chance_low", "chance_high", "colour"]
    return pd.DataFrame(shown, columns=columns)


def _overlap_title(view: View, rows: pd.DataFrame) -> str:
    seen = rows[rows["set"] == "overlap"].set_index(["group", "method"])["value"]
    counts = {
        kind: " and ".join(f"{seen[group, run]:.0f}" for run in _labels(view, rows))
        for group, kind in _WORDS.items()
    }
    lines = [f"{kind}: {count}" for kind, count in counts.items()]
    return "\n".join([f"Shared with the eQTL scan, of {TOP}:", *lines])


def _overlap_bar(axis, place: int, row) -> None:
    axis.barh(place, row.value, color=row.colour, height=0.5, alpha=0.85)
    text = f" {row.value:.0f}"
    end = row.value
    if not np.isnan(row.chance):
        axis.plot([row.chance_low, row.chance_high], [place, place], color=style.INK, lw=1.6)
        axis.plot(row.chance, place, "o", color=style.INK, ms=5)
        text += f" (by chance {row.chance:.1f}, {row.chance_low:.0f}–{row.chance_high:.0f})"
        end = max(end, row.chance_high)
    if end > 0.4 * TOP:
        style.words(axis, 0.6, place - 0.42, text.strip(), 8)
    else:
        style.words(axis, end + 0.6, place, text, 8)


@figure("locus_overlap_curves")
def locus_overlap_curves(view: View) -> Drawn:
    """Overlap with the eQTL scan against the size of the lists, with what chance gives."""
    rows = curves(view)
    if rows.empty:
        return _NONE
    drawn, axes = style.panels([2.9, 2.9])
    for axis, (group, kind) in zip(axes, reversed(_WORDS.items()), strict=True):
        part = rows[rows["group"] == group]
        for run, label in _labels(view, rows).items():
            _curve(axis, part[part["method"] == run], group, view.colours[run], label)
        axis.axvline(TOP, color=style.FAINT, lw=0.8)
        axis.set(ylabel="shared variants", xlim=(0, part["x"].max()), ylim=(0, None))
        axis.set_title(f"Ranked by the {kind}")
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper left", ncols=1, fontsize=8)
    axes[-1].set_xlabel("size k of both lists")
    caption = (
        "Variants that the top k of a ranking shares with the top k of the eQTL scan. Bands: 95 % "
        "range by chance; first panel: with the model's scores shifted circularly along the "
        "region; second: shuffled between variants. A line inside its band is what chance gives. "
        f"{_outside(view, rows)} Vertical line: k = {TOP}; n = {int(rows['n'].iloc[0]):,} variants."
    ) + mapped_with(view)
    return drawn, rows, caption


def _labels(view: View, rows: pd.DataFrame) -> dict[str, str]:
    """Labels of the runs that have curves."""
    return {run: label for run, label in view.labels.items() if (rows["method"] == run).any()}


def _outside(view: View, rows: pd.DataFrame) -> str:
    """A sentence: at how many sizes each line is above and below its band."""
    parts = []
    for group, kind in _WORDS.items():
        for run, label in _labels(view, rows).items():
            key = f"{run}.locus.overlap.{group}"
            above, below = (view.need(f"{key}.{side}") for side in ("above", "below"))
            parts.append(f"{label}, {kind}: {above.value:.0f} above, {below.value:.0f} below")
    return f"Of {above.n} sizes outside the band: {'; '.join(parts)}."


def _curve(axis, part: pd.DataFrame, group: str, colour: str, label: str) -> None:
    seen = part[part["set"] == "overlap"].sort_values("x")
    chance = part[part["set"] == RANKINGS[group]].sort_values("x")
    band = {"color": colour, "alpha": 0.18, "label": f"{label}: 95 % range by chance"}
    axis.fill_between(chance["x"], chance["ci_low"], chance["ci_high"], lw=0, **band)
    axis.plot(seen["x"], seen["value"], color=colour, label=f"{label}: observed")


def locus_facts(view: View) -> HTML | Box | None:
    """The study's own counts as a table; None without tables, a box without counts."""
    if view.tables is None:
        return None
    # rows of single runs belong to the figures above
    of_runs = tuple(f"{view.study.name}.{run}." for run in view.labels)
    rows = [
        row
        for row in view.all_numbers()
        if not np.isnan(row.value) and not row.id.startswith(of_runs)
    ]
    if not rows:
        return Box("No such table for this study", ("It has no numbers of its own.",))
    table = pd.DataFrame(
        {
            "id": row.id,
            "value": f"{row.value:,.7g}".replace("-", "\N{MINUS SIGN}"),
            "interval or range": ""
            if pd.isna(row.ci_low)
            else f"{row.ci_low:.4g} to {row.ci_high:.4g}",
            "n": f"{row.n:,}",
            "what": row.definition,
        }
        for row in rows
    )
    with pd.option_context("display.max_colwidth", None):
        return HTML(table.to_html(index=False))
