"""Cures of a network that errs across people, beside what no network is needed for."""

from __future__ import annotations

import pandas as pd

from howfar.attribution import cures as methods
from howfar.core.project import measured_file
from howfar.evaluation.cures import ALL, CEILING, CURES, SEEN, TRACKS, UNSEEN
from howfar.figures import style
from howfar.figures.row_zero import GREY
from howfar.figures.view import Drawn, View, figure

_NETWORK, _CURE, _LINEAR = "#D55E00", "#009E73", "#0072B2"
#: From the network down to the ceiling.
_COLOURS = {
    methods.NETWORK: _NETWORK,
    methods.TRACKS: _NETWORK,
    methods.POOLED: _CURE,
    methods.TOLD: _CURE,
    methods.PRIOR: _CURE,
    methods.BLUP: _LINEAR,
    methods.BLUP_CONTEXT: _LINEAR,
    methods.LEAD: GREY,
    methods.RANDOM: GREY,
}
_ORDER = {methods.LABELS[name]: colour for name, colour in _COLOURS.items()} | {CEILING: GREY}


@figure("cures", zero="people")
def cured(view: View) -> Drawn:
    """Mean r across people of a network, its cures and linear models, by genes and population."""
    table = view.summary(CURES)
    if table.empty:
        return "Cures were not compared for this study; run `howfar cures` and evaluate."
    others = [group for group in table["group"].unique() if group not in (ALL, SEEN, UNSEEN)]
    groups = [group for group in (SEEN, UNSEEN, *others) if group in set(table["group"])]
    table = table[table["group"].isin(groups)]
    names = [name for name in _ORDER if name in set(table["method"])]
    drawn, axes = style.panels([0.7 + 0.27 * len(names)] * len(groups))
    low, high = style.from_zero(table[["value", "ci_low", "ci_high"]])
    for axis, group in zip(axes, groups, strict=True):
        rows = table[table["group"] == group].set_index("method")
        for place, name in enumerate(names):
            row = rows.loc[name]
            style.bar(axis, place, row, _ORDER[name], height=0.62)
            style.words(axis, 1.03 * high, place, style.estimated(row, 2), 7.5)
        style.rows(axis, [style.wrapped(name, 30) for name in names], 7.5, top=-0.6)
        axis.axvline(0, color=style.INK, lw=0.8)
        axis.set_title(f"{group} (n = {int(rows['n'].iloc[0])})", fontsize=9)
        axis.set_xlim(low, 1.75 * high)
        style.no_ticks_beyond(axis.xaxis, high)
    axes[-1].set_xlabel("mean r across people")
    caption = (
        "Red: the network as it is, and all its tracks at the TSS, weighted across genes to fit "
        "mean expression. Green: cures, which combine the network with people's expression. Blue: "
        "linear models of genotypes alone. Grey: the lead SNP, random weights on a gene's "
        "variants, and the true genetic value, the ceiling. All but the network, random weights "
        "and the ceiling are trained on people and predict other people; n: number of genes. They "
        "are trained gene by gene, except the one weighting, which is trained on people for the "
        "genes of the network's training. Mean over genes, 95 % interval by block bootstrap."
    )
    return drawn, table, caption


@figure("track_sets", zero="genes")
def track_sets(view: View) -> Drawn:
    """r across genes of tracks weighted into expression: the full matrix against some of it."""
    table = view.summary(TRACKS).query("group == 'test'").reset_index(drop=True)
    if table.empty:
        return "Tracks were not weighted for this study; `howfar tracks` does it."
    drawn, (axis,) = style.panels([0.9 + 0.3 * len(table)])
    for place, row in enumerate(table.itertuples()):
        style.bar(axis, place, row, _NETWORK, height=0.62)
        style.words(axis, 0.02, place, style.estimated(row, 2), 7.5)
    style.rows(axis, list(table["method"]), 8.5)
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set_xlabel(f"r across test genes (n = {int(table['n'].iloc[0])})")
    caption = (
        "Tracks of the network at the TSS of the reference, weighted to fit mean expression by an "
        "elastic net across genes (number of tracks in brackets): all tracks, the run's own "
        "track, the tracks of transcription-factor binding, and all but the run's own. Weights "
        "are fitted on the "
        "genes of the network's training regions, the penalty is chosen on those of its "
        "validation regions, r is over those of its test regions; 95 % interval by bootstrap over "
        "blocks of neighbouring genes. How all tracks do across people is a bar of the first "
        "figure."
    )
    return drawn, table, caption


#: Columns of the committed table of seeds, and how they are drawn.
_SEEDS = {
    "network": ("network", _NETWORK, "s"),
    "told": ("network told the sign", _CURE, "o"),
    "blup": ("BLUP", _LINEAR, "o"),
    "prior": ("BLUP with the network's prior", _CURE, "D"),
    "lead_snp": ("lead SNP", GREY, "^"),
    "random": ("random weights", GREY, "x"),
    "ceiling": ("ceiling", GREY, "|"),
}


@figure("cure_seeds", zero="people")
def cure_seeds(view: View) -> Drawn:
    """Mean r across people in worlds made from five seeds, from the committed table."""
    path = measured_file("demo_hard_seeds")
    options = view.study.simulate or {}
    if options.get("world") != "demo" or options.get("setting") == "kind" or not path.is_file():
        return "Only the demo world in its hard setting was made from several seeds."
    table = pd.read_csv(path).query("design == 1")
    drawn, (axis,) = style.panels([1.2 + 0.42 * len(table)])
    for name, (label, colour, shape) in _SEEDS.items():
        error = 1.96 * table[f"{name}_se"] if f"{name}_se" in table else None
        axis.errorbar(
            table[name], range(len(table)), xerr=error, fmt=shape, color=colour, ms=6, label=label
        )
    style.rows(axis, [f"seed {seed}" for seed in table["seed"]], 8.5)
    axis.axvline(0, color=style.INK, lw=0.8)
    axis.set_xlabel("mean r across people")
    style.legend(drawn, axis, "outside upper left")
    caption = (
        f"The demo world simulated from {len(table)} seeds, its network trained in each (measured "
        f"on {table['date'].max()}). n = {int(table['people_genes'].iloc[0])} genes and "
        f"300 people a seed; bars: 1.96 standard errors of the mean over "
        "genes. Grey: the ceiling, and what needs no network."
    )
    return drawn, table, caption
