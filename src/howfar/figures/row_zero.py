"""Controls without a model ("row zero"), drawn in one grey and named in captions."""

from __future__ import annotations

import re

import pandas as pd

from howfar.evaluation.heritability import sources
from howfar.evaluation.numbers.heritability import source_key
from howfar.evaluation.row_zero import LOOKUP, NEAREST, PAIRS, ROW_ZERO, TISSUE

#: The grey of everything that needs no model.
GREY = "#9a9a9a"
_COLUMNS = ["label", "value", "ci_low", "ci_high", "n"]


def genes(view) -> pd.DataFrame:
    """Look-ups across genes, one row each: label, value (Pearson r), ci_low, ci_high, n."""
    names = {LOOKUP: "look-up", PAIRS: "look-up of pairs", TISSUE: "look-up (ρ)"}
    return _of_summary(view, names)


def people(view, run: str | None = None) -> pd.DataFrame:
    """Controls across people, mean r over genes; the sign coin and permuted people are `run`'s."""
    rows = []
    if run is not None:
        for what, label in (
            ("pooled.sign_coin", "random signs"),
            ("permuted.mean_r", "people permuted"),
        ):
            number = view.number(f"{run}.across.{what}")
            if number is not None:
                rows.append((label, number.value, number.ci_low, number.ci_high, number.n))
    near = _of_summary(view, {NEAREST: "nearest variant"})
    parts = [part for part in (pd.DataFrame(rows, columns=_COLUMNS), near) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else near


def ceiling(view):
    """The mean over genes of sqrt(h2), a row of `numbers`; None where no h2 is known."""
    known = sorted(sources(view.tables))
    return view.number(f"h2.{source_key(known[0])}.root") if known else None


def _of_summary(view, names: dict[str, str]) -> pd.DataFrame:
    table = view.summary(ROW_ZERO)
    table = table[table["method"].isin(names)]
    labels = table["method"].map(names) + ", " + table["group"]
    return table.assign(label=labels)[_COLUMNS].reset_index(drop=True)


def words(view, what: str) -> str:
    """Row zero of a figure as sentences: its numbers, and what those that lack would need.

    what: 'genes' or 'people', the correlations that the figure shows, or 'signs'.
    """
    if what == "signs":
        return " Control without a model: a coin gets half of the signs right."
    said = _genes_words(view) if what == "genes" else _people_words(view)
    return f" Controls without a model, across {what}: {said}"


def _genes_words(view) -> str:
    parts = [f"{row.label}: {row.value:.3f}" for row in genes(view).itertuples()]
    if not parts:
        return "the look-up (other people's mean expression) would need expression of people."
    pairs = "; of pairs: over all pairs of gene and person" if "pairs" in " ".join(parts) else ""
    return "; ".join(parts) + f" (look-up: a gene's mean expression in other people{pairs})."


def _people_words(view) -> str:
    run = next(iter(view.comparable), None)
    parts, lacking = [], []
    coin = None if run is None else view.number(f"{run}.across.pooled.sign_coin")
    if coin is not None:
        parts.append(
            f"with a random sign for each gene {view.labels[run]} has a mean r of 0 ± "
            f"{coin.ci_high:.3f}"
        )
    null = None if run is None else view.number(f"{run}.across.pooled.null_rms")
    if null is None:
        lacking.append("random weights on own variants (needs genotypes)")
    else:
        parts.append(
            "random weights on a gene's own variants give r of "
            f"± {null.value:.3f} (root mean square)"
        )
    moved = None if run is None else view.number(f"{run}.across.permuted.mean_r")
    if moved is None:
        lacking.append("permuted people (needs predictions of people)")
    else:
        parts.append(f"with people permuted the mean r is {moved.value:.3f}")
    near = people(view)
    parts += [f"{row.label}, mean r: {row.value:.3f}" for row in near.itertuples()]
    if near.empty:
        lacking.append("the variant nearest to the TSS (needs genotypes)")
    if not {"lead_snp", "top1"} & set(view.tables["across"]["run_id"]) and "lead_snp" not in set(
        view.kinds.values()
    ):
        lacking.append("lead SNP (needs genotypes)")
    limit = ceiling(view)
    if limit is not None:
        parts.append(f"ceiling (mean √h²): {limit.value:.3f}")
    elif "truth" in view.kinds.values():
        parts.append("ceiling: the truth's r")
    else:
        lacking.append("ceiling (needs the genes' heritability)")
    text = re.sub(r"(?<!\w)-(?=\d)", "−", "; ".join(parts))
    if lacking:
        text += (". N" if text else "n") + "ot known here: " + ", ".join(lacking)
    return text + "."
