"""Two runs gene by gene: what averages over genes hide."""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.evaluation import run_comparison
from howfar.evaluation.run_comparison import summarise_pair
from howfar.figures import style
from howfar.figures.view import View, figure

#: Most linear runs drawn beside the network.
MOST = 4
NO_RUNS = "This study has no network and linear model with r across people for shared genes."


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
    found = [(other, networks[0]) for other in networks[1:]]
    return [pair for pair in found if _shared_genes(view, *pair) > 0][:MOST]


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


def compared(view: View, couples: list[tuple[str, str]]) -> list[tuple]:
    """(first, second, rows, summary) of couples with at least two genes in common."""
    found = []
    for first, second in couples:
        rows = run_comparison.paired(view["across"], first, second)
        if len(rows) > 1:
            summary = summarise_pair(rows, view.tables["genes"])
            found.append((first, second, rows, summary))
    return found


@figure("paired_scatter")
def paired_scatter(view: View):
    """Each gene's r of the network against its r of a linear rival."""
    found = compared(view, pairs(view))
    if not found:
        return NO_RUNS
    return drawn_pairs(view, found, "a linear model on genotypes")


@figure("paired_networks")
def paired_networks(view: View):
    """Each gene's r of one network run against that of another."""
    found = compared(view, network_pairs(view))
    if not found:
        return "This study has no two network runs that were judged on the same people."
    return drawn_pairs(view, found, "another run of the network")


def drawn_pairs(view: View, found: list[tuple], rival: str):
    """One panel per couple of `compared`; `rival`: what the second run is, for the caption."""
    drawn, axes = style.panels([3.5] * len(found))
    for axis, (first, second, rows, summary) in zip(axes, found, strict=True):
        _scatter(axis, view, first, second, rows, summary)
    caption = (
        f"One point is one gene: r across people of the first run, and of {rival} for the "
        "same gene. On the line both do equally well. The interval of the mean difference "
        f"resamples {found[0][3].unit}."
    )
    return drawn, _stacked(found), caption


def _stacked(found: list[tuple]) -> pd.DataFrame:
    parts = [rows.assign(first_run=a, second_run=b) for a, b, rows, _ in found]
    return pd.concat(parts, ignore_index=True)


def _scatter(axis, view: View, first: str, second: str, rows, summary) -> None:
    axis.axhline(0, color=style.FAINT, lw=0.6)
    axis.axvline(0, color=style.FAINT, lw=0.6)
    axis.plot([-1, 1], [-1, 1], "--", color=style.INK, lw=1)
    dots = {"s": 8, "linewidths": 0, "rasterized": True}
    axis.scatter(rows["first"], rows["second"], color=view.colours[second], alpha=0.4, **dots)
    axis.set(xlim=(-1, 1), ylim=(-1, 1.62), yticks=np.arange(-1, 1.01, 0.5), aspect="auto")
    axis.set_xlabel(style.wrapped(f"r across people, {view.labels[first]}", 60))
    axis.set_ylabel(f"r, {style.wrapped(view.labels[second], 26)}")
    axis.set_title(
        f"Mean difference {style.signed(summary.difference)} "
        f"{style.interval(*summary.difference_ci)}"
    )
    level = summary.genes - summary.wins - summary.losses
    style.note(
        axis,
        f"n = {summary.genes} genes; mean r {style.signed(summary.means[0])} (axis across) and "
        f"{style.signed(summary.means[1])} (axis up)\n"
        f"below the line {summary.wins} genes, above {summary.losses}, on it {level}\n"
        f"r over genes of the two = {style.signed(summary.r, 2)} "
        f"{style.interval(*summary.r_ci, 2)}",
        size=8.5,
    )


@figure("paired_density")
def paired_density(view: View):
    """Distribution over the shared genes of r of the network and of each linear rival."""
    found = compared(view, pairs(view))
    if not found:
        return NO_RUNS
    drawn, axes = style.panels([2.2] * len(found))
    for axis, (first, second, rows, summary) in zip(axes, found, strict=True):
        _densities(axis, view, first, second, rows)
        axis.set_title(f"n = {summary.genes} genes with both", fontsize=10)
    axes[-1].set_xlabel("r across people (one gene, one value)")
    caption = (
        "The same genes, both runs. Lines: means. Genes left of 0 are predicted in the wrong "
        "direction."
    )
    return drawn, _stacked(found), caption


def _densities(axis, view: View, first: str, second: str, rows: pd.DataFrame) -> None:
    edges = np.linspace(-1, 1, 61)
    for run, column in ((first, "first"), (second, "second")):
        colour, values = view.colours[run], rows[column]
        label = (
            f"{style.wrapped(view.labels[run], 26)}\nmean {style.signed(values.mean())}, "
            f"{100 * (values < 0).mean():.0f} % below 0"
        )
        axis.hist(values, edges, density=True, color=colour, alpha=0.45, lw=0)
        axis.hist(values, edges, density=True, color=colour, histtype="step", lw=1.4, label=label)
        axis.axvline(values.mean(), ymax=0.57, color=colour, lw=1.2)
    top = axis.get_ylim()[1]
    axis.set(xlim=(-1, 1), ylim=(0, top * 1.7), ylabel="density")
    axis.legend(loc="upper left", fontsize=8.5, borderaxespad=0.2, ncols=2)
