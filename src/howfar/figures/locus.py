"""One gene's locus: what a model says of each variant beside what an eQTL scan found."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.attribution.variant_effects import SOURCE
from howfar.figures import style
from howfar.figures.view import Box, View, figure
from howfar.stats import top_overlap
from howfar.stats.top_overlap import BLOCK, rank_agreement

#: Size of the lists of top variants that are marked and compared; of fewer than 100, a fifth.
TOP = 50
_NONE = "No variant effects beside an eQTL scan are public for this study."
_FEW = 10  # variants with both, at least


def locus_rows(view: View, gene: str = "") -> pd.DataFrame:
    """Rows of `effects` with an effect, of the gene and source with most p-values; else empty.

    gene: look at this one, by id or name. Adds `log10p` (-log10 p) and `size` (|effect|).
    """
    table = view["effects"].dropna(subset=["effect", "distance"])
    if gene:
        genes = view.tables["genes"]
        table = table[table["gene_id"].isin([gene, *genes.loc[genes["name"] == gene, "gene_id"]])]
    given = table.dropna(subset=["p"])
    counts = given.groupby(["gene_id", "source"]).size() / max(given["run_id"].nunique(), 1)
    if counts.empty or counts.max() < _FEW:
        return table.iloc[:0]
    gene, source = counts.idxmax()
    rows = table[(table["gene_id"] == gene) & (table["source"] == source)]
    return rows.assign(log10p=-np.log10(rows["p"]), size=rows["effect"].abs())


def gene_name(view: View, rows: pd.DataFrame) -> str:
    """Symbol of the rows' gene, or its id."""
    genes = view.tables["genes"].set_index("gene_id")["name"]
    gene = rows["gene_id"].iloc[0]
    name = genes.get(gene)
    return gene if pd.isna(name) else str(name)


@figure("locus")
def locus_plot(view: View, gene: str = ""):
    """-log10 p of the eQTL scan and each run's |effect| along the region of a gene."""
    rows = locus_rows(view, gene)
    if rows.empty:
        return _NONE
    name, runs = gene_name(view, rows), list(dict.fromkeys(rows["run_id"]))
    drawn, axes = style.panels([2.5] + [2.2] * len(runs))
    scan = rows.drop_duplicates("variant").dropna(subset=["p"])
    limit = -np.log10(0.05 / len(scan))
    length, unit = _unit(rows)
    _scan_panel(axes[0], scan, limit, rows["source"].iloc[0], length)
    for axis, run in zip(axes[1:], runs, strict=True):
        _effect_panel(axis, rows[rows["run_id"] == run], scan, view, run, length)
    for axis in axes:
        axis.axvline(0, color=style.FAINT, lw=0.8)
        axis.set_xlim(rows["distance"].min() / length * 1.02, _right(rows) / length)
    axes[-1].set_xlabel(f"position relative to the start of {name} ({unit})")
    caption = (
        f"{name}: {_span(rows)} Top: the eQTL scan; dashed: the Bonferroni limit for "
        f"n = {len(scan)} variants, −log10 p = {limit:.2f}; the highest value is "
        f"{scan['log10p'].max():.2f}. Below: the size of each model's score. Dark circles: the "
        f"{_size(scan)} variants with the lowest p in every panel."
    )
    return drawn, rows.drop(columns=["slope_se", "pip"]), caption


def _right(rows: pd.DataFrame) -> float:
    """Right edge of the panels, bp: the start of the gene stays visible."""
    width = rows["distance"].max() - rows["distance"].min()
    return max(rows["distance"].max(), 0) + 0.03 * width


def _unit(rows: pd.DataFrame) -> tuple[float, str]:
    """Length in bp of the axis's unit, and its name."""
    return (1e6, "Mb") if np.ptp(rows["distance"]) > 500_000 else (1e3, "kb")


def _size(scan: pd.DataFrame) -> int:
    """Variants in a list of the top ones."""
    return TOP if len(scan) >= 2 * TOP else max(1, len(scan) // 5)


def _span(rows: pd.DataFrame) -> str:
    low, high = rows["distance"].min(), rows["distance"].max()
    count = rows["variant"].nunique()
    return (
        f"n = {count:,} variants from {_place(low)} to {_place(high)} its start (forward strand)."
    )


def _place(distance: float) -> str:
    return f"{abs(int(distance)):,} bp {'before' if distance < 0 else 'after'}"


def _scan_panel(axis, scan: pd.DataFrame, limit: float, source: str, length: float) -> None:
    best = top_overlap.top(scan["log10p"], _size(scan))
    _points(axis, scan["distance"] / length, scan["log10p"], best, "#9a9a9a")
    axis.axhline(limit, color=style.INK, ls="--", lw=1)
    axis.set(ylabel="−log10 p", ylim=(0, max(limit, scan["log10p"].max()) * 1.25))
    above = int((scan["log10p"] > limit).sum())
    axis.set_title(f"eQTL scan: {above} of {len(scan)} variants pass Bonferroni", fontsize=9.5)
    if source != SOURCE:  # else the scan is the study's own map
        style.note(axis, style.wrapped(source, 60))


def _effect_panel(axis, part: pd.DataFrame, scan, view: View, run: str, length: float) -> None:
    size = _size(scan)
    best = set(scan.loc[top_overlap.top(scan["log10p"], size), "variant"])
    marked = part["variant"].isin(best).to_numpy()
    _points(axis, part["distance"] / length, part["size"], marked, view.colours[run])
    mine = top_overlap.top(part["size"], size)
    axis.set(ylabel="|score|", ylim=(0, part["size"].max() * 1.25))
    axis.set_title(f"{view.labels[run]}: |score|", fontsize=9.5)
    style.note(axis, f"{int((mine & marked).sum())} of the {size} largest are among the {size} "
               "with the lowest p")  # fmt: skip


def _points(axis, x, y, marked, colour: str) -> None:
    marked = np.asarray(marked)
    kw = {"linewidths": 0, "rasterized": True}
    axis.scatter(x[~marked], y[~marked], s=7, alpha=0.45, color=colour, **kw)
    axis.scatter(x[marked], y[marked], s=18, facecolors="none", edgecolors=style.INK,
                 linewidths=0.9)  # fmt: skip


@figure("locus_agreement")
def locus_agreement(view: View):
    """|effect| against -log10 p, one point per variant, with Spearman's rho."""
    rows = locus_rows(view)
    if rows.empty:
        return _NONE
    summary = rank_agreement(rows, view.study.evaluation.seed)
    drawn, axes = style.panels([2.5] * len(summary))
    for axis, row in zip(axes, summary.itertuples(), strict=True):
        part = rows[rows["run_id"] == row.run_id].dropna(subset=["p"])
        axis.scatter(part["size"], part["log10p"], s=7, alpha=0.4, lw=0, rasterized=True,
                     color=view.colours[row.run_id])  # fmt: skip
        axis.set(ylabel="−log10 p", ylim=(0, part["log10p"].max() * 1.3))
        axis.set_title(f"{view.labels[row.run_id]}", fontsize=9.5)
        ends = style.interval(row.ci_low, row.ci_high, 2)
        style.note(axis, f"ρ = {style.signed(row.rho, 3)} {ends}, n = {row.n} variants")
    axes[-1].set_xlabel("|score| of the variant")
    caption = (
        f"{gene_name(view, rows)}: does a larger score go with a lower p? ρ is Spearman's, with a "
        f"95 % interval by bootstrap over blocks of {BLOCK // 1000} kb, as neighbouring "
        "variants aren't independent."
    )
    return drawn, summary, caption


def curves(view: View) -> pd.DataFrame:
    """Overlaps of top lists: rows of `summary`, worked out from `effects` where it has none."""
    table = view.tables["summary"]
    table = table[table["set"].str.startswith("overlap")]
    rows = locus_rows(view)
    if len(table) or rows.empty:
        return table.reset_index(drop=True)
    columns = view.tables["effects"].columns
    return top_overlap.curves(rows[columns], seed=view.study.evaluation.seed)


@figure("locus_overlaps")
def locus_overlaps(view: View):
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
        f"Two lists of {TOP} variants and what they share (bars). Combined score: |score| and "
        "−log10 p, each brought to 0–1 and summed, as the study did. It holds the p-value itself. "
        "Black: what chance gives, mean and 95 % range; for the combined score, with the model's "
        "scores exchanged at random between variants; for the model alone, with the scores turned "
        f"along the region. n = {int(rows['n'].iloc[0]):,} variants."
    )
    return drawn, shown, caption


_CHANCE = {"combined": "overlap_shuffled", "model": "overlap_rotated"}
_RANKING = {"combined": "combined score", "model": "model alone"}


def _overlap_rows(view: View, rows: pd.DataFrame) -> pd.DataFrame:
    """One row per bar: label, value, chance, chance_low, chance_high, colour."""
    found = rows.set_index(["set", "method", "group"])
    shown = []
    for group, kind in _RANKING.items():
        for run in view.labels:
            seen = found.loc[("overlap", run, group)]
            chance = found.loc[(_CHANCE[group], run, group)]
            label = f"{view.labels[run]}, {kind}; eQTL scan"
            shown.append((label, seen["value"], *chance[["value", "ci_low", "ci_high"]],
                          view.colours[run]))  # fmt: skip
        pairs = rows[(rows["set"] == "overlap_runs") & (rows["group"] == group)]
        for row in pairs.itertuples():
            label = " and ".join(view.labels.get(r, r) for r in row.method.split("/"))
            shown.append((f"{label}, {kind}", row.value, *[np.nan] * 3, style.FAINT))
    columns = ["label", "value", "chance", "chance_low", "chance_high", "colour"]
    return pd.DataFrame(shown, columns=columns)


def _overlap_title(view: View, rows: pd.DataFrame) -> str:
    seen = rows[rows["set"] == "overlap"].set_index(["group", "method"])["value"]
    counts = {
        kind: " and ".join(f"{seen[group, run]:.0f}" for run in view.labels)
        for group, kind in _RANKING.items()
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
def locus_overlap_curves(view: View):
    """Overlap with the eQTL scan against the size of the lists, with what chance gives."""
    rows = curves(view)
    if rows.empty:
        return _NONE
    drawn, axes = style.panels([2.9, 2.9])
    for axis, (group, kind) in zip(axes, reversed(_RANKING.items()), strict=True):
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
        "range by chance; above with the model's scores turned along the region, below with them "
        "exchanged between variants. Inside its band a line is what chance gives. "
        f"{_outside(view, rows)} Vertical line: k = {TOP}; n = {int(rows['n'].iloc[0]):,} variants."
    )
    return drawn, rows, caption


def _labels(view: View, rows: pd.DataFrame) -> dict[str, str]:
    """Labels of the runs that have curves."""
    return {run: label for run, label in view.labels.items() if (rows["method"] == run).any()}


def _outside(view: View, rows: pd.DataFrame) -> str:
    """A sentence: at how many sizes each line is above and below its band."""
    table, parts = rows.set_index(["group", "set", "method", "x"]).sort_index(), []
    for group, kind in _RANKING.items():
        for run, label in _labels(view, rows).items():
            seen = table.loc[(group, "overlap", run), "value"]
            chance = table.loc[(group, _CHANCE[group], run)]
            above, below = (seen > chance["ci_high"]).sum(), (seen < chance["ci_low"]).sum()
            parts.append(f"{label}, {kind}: {above} above, {below} below")
    return f"Of {len(seen)} sizes outside the band: {'; '.join(parts)}."


def _curve(axis, part: pd.DataFrame, group: str, colour: str, label: str) -> None:
    seen = part[part["set"] == "overlap"].sort_values("x")
    chance = part[part["set"] == _CHANCE[group]].sort_values("x")
    axis.fill_between(chance["x"], chance["ci_low"], chance["ci_high"], color=colour, alpha=0.18,
                      lw=0, label=f"{label}: 95 % range by chance")  # fmt: skip
    axis.plot(seen["x"], seen["value"], color=colour, label=f"{label}: observed")


def locus_facts(view: View):
    """The study's own counts as a table in Markdown; None without tables, a box without counts."""
    if view.tables is None:
        return None
    from IPython.display import Markdown

    rows = [row for row in view.all_numbers() if not np.isnan(row.value)]
    if not rows:
        return Box("No such table for this study", ("It has no numbers of its own.",))
    head = ["| id | value | interval or range | n | what |", "|---|---|---|---|---|"]
    lines = []
    for row in rows:
        ends = "" if pd.isna(row.ci_low) else f"{row.ci_low:.4g} to {row.ci_high:.4g}"
        words = row.definition.replace("|", "\\|")
        value = f"{row.value:,.7g}".replace("-", "\N{MINUS SIGN}")
        lines.append(f"| `{row.id}` | {value} | {ends} | {row.n:,} | {words} |")
    return Markdown("\n".join([*head, *lines]))
