"""The linear models beside the network: who wins, by how much, and what people they need."""

from __future__ import annotations

import pandas as pd

from howfar.core.project import measured_file
from howfar.core.registry import LINEAR_MODELS
from howfar.evaluation import transfer
from howfar.evaluation.run_comparison import common_genes
from howfar.figures import style
from howfar.figures.paired import NO_RUNS, against_networks, compared, drawn_pairs, judged
from howfar.figures.view import Drawn, View, figure

_NO_PEOPLE = (
    "Linear models have not been trained on fewer people for this study; run `howfar transfer` and "
    "evaluate."
)
_NO_MOVE = "This study has no linear models judged in another population."
_CEILING = transfer.KNOWN["truth"]
_EXPECTED = transfer.KNOWN["expected"]


# --- network against each linear model ---------------------------------------------------------


def wins(view: View) -> pd.DataFrame:
    """Network against every linear run: run_id, label, network, and numbers of their genes.

    Each linear run meets the network run that was judged on the same people for most genes.
    """
    rows = []
    for couple in compared(view, against_networks(view, judged(view, "linear", "lead_snp"))):
        fields = {"run_id": couple.second, "label": view.labels[couple.second]}
        fields |= {"network": view.labels[couple.first]} | vars(couple.pair)
        low, high = fields.pop("difference_ci")
        network, linear = fields.pop("means")
        fields.pop("r_ci")
        fields |= {"ci_low": low, "ci_high": high}
        rows.append(fields | {"mean_network": network, "mean_linear": linear})
    return pd.DataFrame(rows)


@figure("linear_wins", zero="people")
def linear_wins(view: View) -> Drawn:
    """Mean difference of r, network less linear model, and genes won, for every linear run."""
    table = wins(view)
    if table.empty:
        return NO_RUNS
    drawn, (axis,) = style.panels([1.1 + 0.55 * len(table)])
    for place, row in enumerate(table.rename(columns={"difference": "value"}).itertuples()):
        style.estimate(axis, place, row, view.colours[row.run_id])
        text = f"{style.estimated(row)}; network ahead in {row.wins} of {row.genes}"
        at = {"transform": axis.get_yaxis_transform(), "bbox": style.PALE}  # x: share of the panel
        style.words(axis, 0, place - 0.14, text, 8, va="bottom", **at)
    style.rows(axis, [style.wrapped(v, 22) for v in table["label"]], 8.5, top=-0.75)
    axis.axvline(0, color=style.INK, lw=0.9, ls="--")
    axis.spines["left"].set_visible(False)  # the numbers above each mark begin there
    span = float(table[["ci_low", "ci_high", "difference"]].abs().max(axis=None)) * 1.2
    axis.set_xlim(-span, span)
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel("mean difference of r over genes: network − linear")
    behind, ahead = int((table["ci_high"] < 0).sum()), int((table["ci_low"] > 0).sum())
    axis.set_title(
        f"The network is behind {behind} of {len(table)} models, ahead of {ahead}", fontsize=10
    )
    caption = (
        f"{table['network'].iloc[0]} against each model trained on people, on the same genes and "
        "people. Left of the dashed line the linear model is better on average. Intervals: 95 %, "
        f"bootstrap over {table['unit'].iloc[0]}."
    )
    return drawn, table, caption


@figure("linear_distribution", zero="people")
def linear_distribution(view: View) -> Drawn:
    """r across people of every run, over the genes that all have in common."""
    table = common_genes(view.tables["across"])
    table = table[table["run_id"].isin(view.labels)]
    if table.empty:
        return "This study has no runs with r across people for shared genes."
    runs = view.runs_in(table["run_id"])
    means = {run: view.need(f"{run}.common_genes.mean_r") for run in runs}
    drawn, (axis,) = style.panels([1.2 + 0.55 * len(runs)])
    ends = [_distribution(axis, view, place, run, means[run]) for place, run in enumerate(runs)]
    axis.set_yticks(range(len(runs)), [style.wrapped(view.labels[r], 22) for r in runs])
    axis.tick_params(axis="y", labelsize=8.5)
    axis.axvline(0, color=style.FAINT, lw=0.8)
    axis.set(xlim=(min(-0.1, *ends), 1.02), ylim=(len(runs) - 0.4, -0.85))
    axis.set_xlabel("r across people")
    best = max(runs, key=lambda run: means[run].value if view.kinds[run] != "truth" else -2)
    value = f"mean r {style.signed(means[best].value)}, n = {means[best].n} genes"
    axis.set_title(f"{style.wrapped(view.labels[best], 44)}:\n{value}", fontsize=10)
    caption = (
        "Genes that all models have in common; models for fewer than half of the genes are left "
        "out; a constant prediction counts as r = 0. Bars: "
        "middle half of the genes; thin lines: 5 to 95 %; white ticks: median; diamonds: mean, "
        "with its 95 % block-bootstrap interval in the text."
    )
    return drawn, table, caption


def _distribution(axis, view: View, place: int, run: str, mean) -> float:
    """Draw quantiles and mean of a run's r; returns the lowest quantile."""
    names, colour = ("q05", "q25", "median", "q75", "q95"), view.colours[run]
    low, first, middle, third, high = (view.need(f"{run}.common_genes.{n}").value for n in names)
    axis.plot([low, high], [place, place], color=colour, lw=1.2)
    axis.barh(place, third - first, left=first, height=0.34, color=colour)
    axis.plot([middle, middle], [place - 0.17, place + 0.17], color="white", lw=1.6)
    axis.plot(mean.value, place, "D", ms=5, mfc="white", mec=style.INK)
    style.words(axis, min(low, 0.0), place - 0.36, f"mean {style.estimated(mean)}", 8)
    return low


@figure("polygenic_scores", zero="people")
def polygenic_scores(view: View) -> Drawn:
    """Each gene's r of the score of index variants against that of the score of all variants."""
    runs = {label: run for run, label in view.labels.items()}
    couple = tuple(runs.get(LINEAR_MODELS[name].help) for name in ("prs_pt", "prs"))
    found = [] if None in couple else compared(view, [couple])
    if not found:
        return "This study has no two polygenic scores with r across people."
    return drawn_pairs(view, found, "the score of all cis variants")


# --- BSLMM, from its committed table -------------------------------------------------------------

_NO_BSLMM = (
    "BSLMM has not been fitted to all genes of these data: `howfar bench bslmm --study NAME --out "
    "data/measured/bslmm.csv`."
)


def bslmm_rows(view: View, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the committed table made from this view's data; empty where there are none.

    Those rows are known by the other models' mean r, which the study's own tables give too.
    """
    for _, rows in table.groupby("study", sort=False):
        own = rows["model"].map(lambda model: view.number(f"{model}.across.pooled.mean_r"))
        shared = rows[own.notna()]
        apart = [abs(n.value - r) for n, r in zip(own.dropna(), shared["mean_r"], strict=True)]
        if len(shared) > 1 and max(apart) < 1e-3:
            return rows
    return table.iloc[:0]


@figure("bslmm", zero="people")
def bslmm(view: View) -> Drawn:
    """Mean r of BSLMM on all genes beside the other linear models, and the paired differences."""
    path = measured_file("bslmm")
    table = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["study"])
    mine = bslmm_rows(view, table)
    if mine.empty:
        return _NO_BSLMM
    first = mine.index[0]
    mine = mine.sort_values("mean_r", ascending=False, ignore_index=True)
    drawn, (axis,) = style.panels([1.1 + 0.5 * len(mine)])
    colours = method_colours(view, pd.Series([LINEAR_MODELS[m].help for m in mine["model"]]))
    for place, row in enumerate(mine.rename(columns={"mean_r": "value"}).itertuples()):
        style.estimate(axis, place, row, colours[LINEAR_MODELS[row.model].help])
        text = style.estimated(row)
        if row.model != "bslmm":
            ends = style.interval(row.difference_low, row.difference_high)
            text += f"; BSLMM − it {style.signed(row.difference)} {ends}"
        style.words(axis, 0.0, place - 0.14, text, 8, va="bottom")
    style.rows(axis, [LINEAR_MODELS[m].help for m in mine["model"]], 8.5, top=-0.75)
    axis.set_xlim(0, 1.1 * mine["ci_high"].max())
    axis.set_xlabel("mean r across people, over genes")
    axis.set_title(f"All {mine['genes'].iloc[0]} genes, out of fold", fontsize=10)
    caption = (
        "BSLMM on all genes, beside the other linear models on the same genes, people and folds; a "
        "constant prediction counts as r = 0. Intervals: 95 %, block bootstrap over genes; "
        f"differences are paired by gene. Fitted on {mine['date'].max()} in a separate run, not "
        "while the book is made."
    ) + "".join(_other_data(rows) for _, rows in table.groupby("study") if rows.index[0] != first)
    return drawn, mine, caption


def _other_data(rows: pd.DataFrame) -> str:
    """A sentence on what BSLMM and the best other model reach on another study's genes."""
    mean = rows.set_index("model")["mean_r"]
    best = mean.drop("bslmm").idxmax()
    return (
        f" In {rows['study'].iloc[0]} ({rows['genes'].iloc[0]} genes) BSLMM has "
        f"{style.signed(mean['bslmm'])}, {LINEAR_MODELS[best].help} {style.signed(mean[best])}."
    )


# --- people to train on ---------------------------------------------------------------------------


def method_colours(view: View, methods: pd.Series) -> dict[str, str]:
    """Colours of methods of `summary`: those of the runs with their labels, else of their kind."""
    known = {view.labels[run]: colour for run, colour in view.colours.items()}
    fixed = {_CEILING: style.KIND_COLOURS["truth"][0], _EXPECTED: style.KIND_COLOURS["truth"][1]}
    labels = [entry.help for entry in LINEAR_MODELS.values()]
    ordered = [m for m in [*labels, *fixed] if m in set(methods)]
    found, spare = {}, list(style.KIND_COLOURS["linear"])
    for method in ordered:
        colour = fixed.get(method) or known.get(method)
        free = [c for c in spare if c not in [*found.values(), *known.values()]]
        found[method] = colour or (free or spare)[0]
    return found


@figure("training_people", zero="people")
def training_people(view: View) -> Drawn:
    """Mean r against people trained on, beside what theory expects and the ceiling."""
    table = view.summary(transfer.TRAINING).dropna(subset=["value"])
    if table.empty:
        return _NO_PEOPLE
    drawn, (axis,) = style.panels([4.0])
    colours = method_colours(view, table["method"])
    marks = style.marks(colours)
    for method, colour in colours.items():
        part = table[table["method"] == method].sort_values("x")
        line = {_CEILING: ":", _EXPECTED: "--"}.get(method, "-")
        look = {"marker": marks[method], "ms": 4, "label": method}
        axis.plot(part["x"], part["value"], line, color=colour, **look)
        if method not in (_CEILING, _EXPECTED):
            axis.fill_between(part["x"], part["ci_low"], part["ci_high"], color=colour, alpha=0.1)
    most = table[table["x"] == table["x"].max()].set_index("method")["value"]
    least, highest = min(0.0, table["value"].min()), max(0.0, table["value"].max())
    top = 1.12 * highest if highest > 0 else 0.1
    axis.set(ylim=(1.12 * least, top), ylabel="mean r over genes")
    _people_axis(axis, sorted(table["x"].unique()))
    axis.set_title(_training_title(most, table["x"].max()), fontsize=10)
    style.legend(drawn, axis)
    caption = (
        f"{table['n'].max()} genes drawn at random; the same people are tested at every size, "
        "results averaged over draws of people. Bands: 95 % intervals, block bootstrap over genes."
        + (
            f" Dashed ({_EXPECTED.lower()}): calculated from the true genetic values, the noise "
            "and the genotypes, without any expression. Dotted: r of the true genetic value, the "
            "ceiling."
            if _EXPECTED in most
            else ""
        )
    )
    return drawn, table, caption


#: Of each thing swept: its set of table `summary`, and what the axis says.
_SWEPT = {
    "sweep_window": "window around the TSS (kb in total)",
    "sweep_people": "people who train a fit",
    "sweep_maf": "lowest minor allele frequency (training people)",
}


def sweep_rows(view: View, name: str) -> pd.DataFrame:
    """Rows of a sweep's set: the study's own, else, of the demo, those that are committed."""
    own, kept = view.summary(name), measured_file("linear_sweep_demo")
    if len(own) or view.study.name != "demo" or not kept.is_file():
        return own
    return pd.read_csv(kept).query("set == @name")


@figure("sweeps", zero="people")
def sweeps(view: View) -> Drawn:
    """Mean r out of fold against the window, the people trained on, the least allele frequency."""
    means = {name: sweep_rows(view, f"{name}.mean") for name in _SWEPT}
    means = {name: table for name, table in means.items() if len(table)}
    if not means:
        return "No linear model was swept for this study; `howfar baseline --sweep` does it."
    every = pd.concat(means.values())
    colours = method_colours(view, every["method"])
    marks = style.marks(colours)
    drawn, axes = style.panels([2.5] * len(means))
    limits = style.from_zero(every[["value", "ci_low", "ci_high"]], room=1.1)
    for axis, (name, table) in zip(axes, means.items(), strict=True):
        scale = 1_000 if name == "sweep_window" else 1
        for method, colour in colours.items():
            part = table[table["method"] == method].sort_values("x")
            x = part["x"] / scale
            axis.plot(x, part["value"], f"{marks[method]}-", color=colour, ms=4, label=method)
            axis.fill_between(x, part["ci_low"], part["ci_high"], color=colour, alpha=0.1)
            seeds = sweep_rows(view, name).query("method == @method")
            axis.scatter(seeds["x"] / scale, seeds["value"], s=9, color=colour, alpha=0.55, lw=0)
        places = sorted((table["x"] / scale).unique())
        axis.set(xlabel=_SWEPT[name], ylabel="mean r over genes", ylim=limits)
        if name != "sweep_maf":
            axis.set_xscale("log")
            axis.minorticks_off()
        axis.set_xticks(places, [f"{x:.3g}" if x < 1 else f"{x:.0f}" for x in places])
        axis.set_title(f"n = {int(table['n'].max())} genes, {table['group'].iloc[0]}", fontsize=9.5)
    style.legend(drawn, axes[0], "outside upper left")
    caption = (
        "Linear models with one option changed and all others as in the study's file; the same "
        "people are predicted each time, each by a fit without them. Lines: mean over genes, "
        "averaged "
        "over draws of people; small points: single draws. Bands: 95 % intervals, block bootstrap "
        "over genes."
    )
    if "date" in every:  # the committed table
        caption += f" Measured on {every['date'].max()}."
    return drawn, every, caption


def _people_axis(axis, sizes: list[float]) -> None:
    axis.set(xscale="log", xlabel="people trained on")
    axis.set_xticks(sizes, [f"{x:.0f}" for x in sizes])
    axis.minorticks_off()


def _training_title(most: pd.Series, people: float) -> str:
    models = most.drop([m for m in (_CEILING, _EXPECTED) if m in most])
    best = "BLUP" if "BLUP" in models else models.idxmax()
    text = f"{best} on {people:.0f} people: r {style.signed(models[best])}"
    if _EXPECTED in most and best == "BLUP":
        text += f", expected {style.signed(most[_EXPECTED])}"
    return text


@figure("calibration")
def calibration(view: View) -> Drawn:
    """Slope of expression on prediction against people trained on."""
    table = view.summary(transfer.CALIBRATION).dropna(subset=["value"])
    if table.empty:
        return _NO_PEOPLE
    drawn, (axis,) = style.panels([3.3])
    colours = method_colours(view, table["method"])
    for i, (method, colour) in enumerate(colours.items()):
        part = table[table["method"] == method].sort_values("x")
        x = part["x"] * 1.05 ** (i - (len(colours) - 1) / 2)  # side by side
        axis.vlines(x, part["ci_low"], part["ci_high"], color=colour, lw=1.6)
        look = {"marker": style.MARKS[i], "ms": 4.5, "lw": 1, "label": method}
        axis.plot(x, part["value"], color=colour, **look)
    axis.axhline(1, color=style.INK, lw=0.9, ls="--")
    axis.set_ylim(style.from_zero(table[["value", "ci_low", "ci_high"]], [1.3 / 1.05]))
    axis.set_ylabel("slope of expression on prediction")
    _people_axis(axis, sorted(table["x"].unique()))
    row = table[table["x"] == table["x"].max()]
    row = row[row["method"] == ("BLUP" if "BLUP" in colours else row["method"].iloc[0])].iloc[0]
    title = f"{row['method']}, {row['x']:.0f} people: slope {style.estimated(row, 2)}"
    axis.set_title(title, fontsize=10)
    style.legend(drawn, axis)
    caption = (
        "Within genes, for people not trained on. At 1 (dashed) a predicted difference is right on "
        "average; below 1, predicted differences are too large. Intervals: 95 %, block bootstrap "
        "over "
        f"n = {table['n'].max()} genes."
    )
    return drawn, table, caption


# --- another population ---------------------------------------------------------------------------


@figure("population_transfer", zero="people")
def population_transfer(view: View) -> Drawn:
    """Mean r in the population trained on and in the other, numbers of people matched."""
    table = view.summary(transfer.TRANSFER)
    if table.empty:
        return _NO_MOVE
    colours = method_colours(view, table["method"])
    groups = sorted(table["group"].unique(), key=lambda g: (g.split(" → ")[1], g))
    drawn, (axis,) = style.panels([1.3 + 0.2 * len(groups) * len(colours)])
    step = 0.7 / max(len(colours) - 1, 1)
    for i, (method, colour) in enumerate(colours.items()):
        part = table[table["method"] == method].set_index("group").reindex(groups)
        y = [place - 0.35 + i * step for place in range(len(groups))]
        known = method in (_CEILING, _EXPECTED)
        axis.hlines(y, part["ci_low"], part["ci_high"], color=colour, lw=1.6)
        look = {"marker": style.MARKS[i], "facecolor": "white" if known else colour}
        axis.scatter(part["value"], y, edgecolor=colour, s=26, zorder=3, label=method, **look)
    style.rows(axis, [_moved(group) for group in groups], 9)
    for place in range(len(groups) - 1):
        axis.axhline(place + 0.5, color="#dddddd", lw=0.6)
    axis.set_xlim(style.from_zero(table[["value", "ci_low", "ci_high"]]))
    axis.axvline(0, color=style.FAINT, lw=0.8)
    axis.set_xlabel(f"mean r over n = {table['n'].max()} genes")
    axis.set_title(_loss_title(view), fontsize=10)
    style.legend(drawn, axis)
    caption = (
        f"Models trained on {table['x'].iloc[0]:.0f} people of one population, tested on equal "
        "numbers of other people of each population; results averaged over draws of people. "
        "Rows of one test population share people and ceiling. Intervals: 95 %, block bootstrap "
        "over genes."
    )
    return drawn, table, caption


def _moved(group: str) -> str:
    source, target = group.split(" → ")
    return f"tested in {target},\ntrained in {source}"


def _loss_title(view: View) -> str:
    """What a model trained in the other population lacks beside one trained where it is tested."""
    table = view.summary(transfer.LOSS)
    # BLUP and Europeans as the source where they are there, else whatever comes first.
    wanted = (table["method"] == "BLUP") * 2 + (table["group"] == "EUR → AFR")
    row = table.loc[wanted.idxmax()]
    source, target = row["group"].split(" → ")
    lacks = f"Tested in {target}, {row['method']} trained in {source} loses"
    return f"{lacks} {style.estimated(row)} of r"
