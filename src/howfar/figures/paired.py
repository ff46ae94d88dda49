"""Two runs gene by gene: what averages over genes hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from howfar.evaluation import run_comparison
from howfar.evaluation.run_comparison import Pair
from howfar.figures import style
from howfar.figures.view import Drawn, View, figure

#: Most linear runs drawn beside the network.
MOST = 4
NO_RUNS = "This study has no network and linear model with r across people for shared genes."


@dataclass(frozen=True)
class Couple:
    """Two runs, their genes with both r (see `paired`), what `numbers` says, shares below 0."""

    first: str
    second: str
    rows: pd.DataFrame
    pair: Pair
    negative: tuple[float, float]


def pairs(view: View) -> list[tuple[str, str]]:
    """(network, rival) for each linear run with r across people, at most `MOST`.

    The network's run is the one judged on the same numbers of people as the rival for most genes.
    Lead-SNP runs stand in where a study has no other linear one.
    """
    rivals = judged(view, "linear") or judged(view, "lead_snp")
    return against_networks(view, rivals)[:MOST]


def network_pairs(view: View) -> list[tuple[str, str]]:
    """(other, first) of the network runs, where their people are the same for most genes."""
    networks = judged(view, "network")
    couples = [(other, networks[0]) for other in networks[1:]]
    return [couple for couple in couples if _shared_genes(view, *couple) > 0][:MOST]


def judged(view: View, *kinds: str) -> list[str]:
    """The runs of those kinds that have r across people, in drawing order."""
    return [run for run in view.runs_in(_pooled(view)["run_id"]) if view.kinds[run] in kinds]


def against_networks(view: View, rivals: list[str]) -> list[tuple[str, str]]:
    """(network, rival): each with the network run judged on the same people for most genes."""
    networks = judged(view, "network")
    if not networks:
        return []
    return [(max(networks, key=lambda n: _shared_genes(view, n, r)), r) for r in rivals]


def _pooled(view: View) -> pd.DataFrame:
    table = view["across"]
    return table[(table["population"] == "pooled") & table["pearson"].notna()]


def _shared_genes(view: View, first: str, second: str) -> int:
    """Genes for which both runs have r over the same number of people."""
    table = _pooled(view)
    n = {r: table[table["run_id"] == r].set_index("gene_id")["n"] for r in (first, second)}
    both = pd.DataFrame(n).dropna()
    return int((both[first] == both[second]).sum())


def compared(view: View, couples: list[tuple[str, str]]) -> list[Couple]:
    """The couples with at least two genes in common."""
    found = []
    for first, second in couples:
        rows = run_comparison.paired(view["across"], first, second)
        if len(rows) > 1:
            found.append(Couple(first, second, rows, *_numbers(view, first, second)))
    return found


def _numbers(view: View, first: str, second: str) -> tuple[Pair, tuple[float, float]]:
    """The couple in table `numbers`, which has it once, run ids in the order of the alphabet."""
    if first > second:
        pair, negative = _numbers(view, second, first)
        return pair.turned(), negative[::-1]
    key = f"{first}.paired.{second}"
    names = ("mean_first", "mean_second", "difference", "wins", "losses", "r")
    number = {name: view.need(f"{key}.{name}") for name in names}
    difference, r = number["difference"], number["r"]
    pair = Pair(
        genes=int(difference.n),
        means=(number["mean_first"].value, number["mean_second"].value),
        difference=difference.value,
        difference_ci=(difference.ci_low, difference.ci_high),
        wins=int(number["wins"].value),
        losses=int(number["losses"].value),
        r=r.value,
        r_ci=(r.ci_low, r.ci_high),
        unit=difference.unit,
    )
    negative = (view.need(f"{key}.negative_{which}").value for which in ("first", "second"))
    return pair, tuple(negative)


@figure("paired_scatter", zero="people")
def paired_scatter(view: View) -> Drawn:
    """Each gene's r of the network against its r of a linear rival."""
    found = compared(view, pairs(view))
    return drawn_pairs(view, found, "a linear model on genotypes") if found else NO_RUNS


@figure("paired_networks", zero="people")
def paired_networks(view: View) -> Drawn:
    """Each gene's r of one network run against that of another."""
    found = compared(view, network_pairs(view))
    if not found:
        return "This study has no two network runs that were judged on the same people."
    return drawn_pairs(view, found, "another run of the network")


def drawn_pairs(view: View, couples: list[Couple], other: str) -> Drawn:
    """One panel per couple; `other`: what the second run is, for the caption."""
    drawn, axes = style.panels([3.5] * len(couples))
    for axis, couple in zip(axes, couples, strict=True):
        _scatter(axis, view, couple)
    caption = (
        "One point is one gene: r across people of the model on the horizontal axis and of "
        f"{other} on the vertical axis. On the line both do equally well. The interval of the mean "
        "difference "
        f"resamples {couples[0].pair.unit}."
    )
    return drawn, _stacked(couples), caption


def _stacked(couples: list[Couple]) -> pd.DataFrame:
    parts = [c.rows.assign(first_run=c.first, second_run=c.second) for c in couples]
    return pd.concat(parts, ignore_index=True)


def _scatter(axis, view: View, couple: Couple) -> None:
    axis.axhline(0, color=style.FAINT, lw=0.6)
    axis.axvline(0, color=style.FAINT, lw=0.6)
    axis.plot([-1, 1], [-1, 1], "--", color=style.INK, lw=1)
    dots = {"s": 8, "linewidths": 0, "rasterized": True, "alpha": 0.4}
    rows, pair = couple.rows, couple.pair
    axis.scatter(rows["first"], rows["second"], color=view.colours[couple.second], **dots)
    axis.set(xlim=(-1, 1), ylim=(-1, 1.62), yticks=np.arange(-1, 1.01, 0.5), aspect="auto")
    axis.set_xlabel(style.wrapped(f"r across people, {view.labels[couple.first]}", 60))
    axis.set_ylabel(f"r, {style.wrapped(view.labels[couple.second], 26)}")
    ends = style.interval(*pair.difference_ci)
    axis.set_title(f"Mean difference {style.signed(pair.difference)} {ends}")
    level = pair.genes - pair.wins - pair.losses
    style.note(
        axis,
        f"n = {pair.genes} genes; mean r {style.signed(pair.means[0])} (horizontal) and "
        f"{style.signed(pair.means[1])} (vertical)\n"
        f"below the line {pair.wins} genes, above {pair.losses}, on it {level}\n"
        f"r over genes of the two = {style.signed(pair.r, 2)} {style.interval(*pair.r_ci, 2)}",
        size=8.5,
    )


@figure("paired_density", zero="people")
def paired_density(view: View) -> Drawn:
    """Distribution over the shared genes of r of the network and of each linear rival."""
    couples = compared(view, pairs(view))
    if not couples:
        return NO_RUNS
    drawn, axes = style.panels([2.2] * len(couples))
    for axis, couple in zip(axes, couples, strict=True):
        _densities(axis, view, couple)
        axis.set_title(f"n = {couple.pair.genes} genes with both", fontsize=10)
    axes[-1].set_xlabel("r across people (one gene, one value)")
    caption = (
        "The same genes for all models drawn. Lines: means. Genes left of 0 are predicted in the "
        "wrong direction."
    )
    return drawn, _stacked(couples), caption


def _densities(axis, view: View, couple: Couple) -> None:
    edges = np.linspace(-1, 1, 61)
    runs = zip(("first", "second"), couple.pair.means, couple.negative, strict=True)
    for which, mean, negative in runs:
        run, values = getattr(couple, which), couple.rows[which]
        colour = view.colours[run]
        label = f"{style.wrapped(view.labels[run], 26)}\nmean {style.signed(mean)}, "
        label += f"{100 * negative:.0f} % below 0"
        filled = {"histtype": "stepfilled", "alpha": 0.45, "lw": 0}  # one path, not 60
        axis.hist(values, edges, density=True, color=colour, **filled)
        axis.hist(values, edges, density=True, color=colour, histtype="step", lw=1.4, label=label)
        axis.axvline(mean, ymax=0.57, color=colour, lw=1.2)
    top = axis.get_ylim()[1]
    axis.set(xlim=(-1, 1), ylim=(0, top * 1.7), ylabel="density")
    axis.legend(loc="upper left", fontsize=8.5, borderaxespad=0.2, ncols=2)
