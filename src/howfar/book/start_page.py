"""The start page: the answer in five sentences, and the central pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from howfar.book.figure_block import on_start_page
from howfar.core.project import figures_folder
from howfar.core.text import as_markdown
from howfar.figures.view import View
from howfar.study.reading import load_study

_FIRST_PICTURES = ["geuvadis_public", "demo"]
#: How sentences name a study's people.
_AMONG = {"geuvadis_public": "among Geuvadis people", "sasse2023": "in the brain cortex (ROSMAP)"}
#: The number that a run must have to stand in a sentence.
_ACROSS_GENES, _ACROSS_PEOPLE = "reference.pearson", "across.pooled.mean_r"


def answer(views: dict[str, View]) -> str:
    """Answer in five sentences, every number from the table `numbers`."""
    real, demo = views["geuvadis_public"], views["demo"]
    shown = real if real.tables is not None else demo  # without network, the demo cohort's
    people = [
        _sentence(view, "network", _ACROSS_PEOPLE, _across_people)
        for view in (real, views["sasse2023"])
    ]
    sentences = [
        _sentence(shown, "network", _ACROSS_GENES, _across_genes),
        "**Across people, hardly:** " + "; ".join(people) + ".",
        _directions(shown, views["sasse2023"]),
        _sentence(real, "linear", _ACROSS_PEOPLE, _linear_model),
        _known_truth(demo),
    ]
    return "\n".join(f"{i}. {text}" for i, text in enumerate(sentences, 1))


def _sentence(view: View, kind: str, number: str, words: Callable[[View, str], str]) -> str:
    """Write a sentence about the first run of that kind with that number, or what is missing."""
    run = _run_of(view, kind, number)
    return absent(view) if run is None else words(view, run)


def _run_of(view: View, kind: str, number: str) -> str | None:
    """Return the first run of that kind with that number."""
    if view.tables is None:
        return None
    runs = (run for run in view.colours if view.kinds[run] == kind)
    return next((run for run in runs if view.number(f"{run}.{number}") is not None), None)


def absent(view: View) -> str:
    """Say that a study's tables are not here, and what makes them."""
    if view.study.published:
        return f"({_title(view)}: not fetched yet; run `howfar fetch {view.study.name}`)"
    return f"({_title(view)}: not run yet; run `howfar run --study {view.study.name}`)"


def _title(view: View) -> str:
    return as_markdown(view.study.title)


def _label(view: View, run: str) -> str:
    return as_markdown(view.labels[run])


def _value(number, digits: int = 3) -> str:
    """Write a row of `numbers` as '0.044 (95 % interval 0.020 to 0.068)'."""
    text = f"{number.value:.{digits}f}"
    if pd.notna(number.ci_low):
        text += f" (95 % interval {number.ci_low:.{digits}f} to {number.ci_high:.{digits}f})"
    return text.replace("-", "−")


def _where(view: View) -> str:
    return " of the simulated demo cohort" if view.study.simulate else ""


def _across_genes(view: View, run: str) -> str:
    r, rho = (view.number(f"{run}.{name}") for name in (_ACROSS_GENES, "reference.spearman"))
    ranks = "" if rho is None else f"; Spearman's ρ, independent of the scale: {_value(rho)}"
    return (
        f"**Across genes, well:** from the reference sequence alone the prediction of "
        f"{_label(view, run)} correlates over {r.n:,} genes{_where(view)} with their average "
        f"expression with r = {_value(r)}{ranks}."
    )


def _across_people(view: View, run: str) -> str:
    mean, low, high = (
        view.number(f"{run}.across.pooled.{name}") for name in ("mean_r", "min_r", "max_r")
    )
    return (
        f"{_AMONG[view.study.name]} the mean r of {_label(view, run)} over {mean.n:,} genes is "
        f"{_value(mean)}, from {low.value:.2f} to {high.value:.2f}".replace("-", "−")
    )


def _directions(shown: View, cortex: View) -> str:
    """Say how often the direction is right where r is clear, and what chance alone spreads."""
    head = "**The predicted direction is right more often than a coin's, but often wrong:** "
    parts = []
    if (run := _run_of(shown, "network", "across.pooled.right_sign.significant")) is not None:
        clear = shown.number(f"{run}.across.pooled.right_sign.significant")
        tested = shown.number(f"{run}.across.pooled.mean_r")
        parts.append(
            f"where r of {_label(shown, run)}{_where(shown)} is clear (q ≤ 0.05, {clear.n} of "
            f"{tested.n:,} genes), it is positive in {_percent(clear)}"
        )
    if (run := _run_of(cortex, "network", "across.pooled.null_rms")) is not None:
        key = f"{run}.across.pooled"
        strong, null, sd, chance = (
            cortex.number(f"{key}.{name}")
            for name in ("right_sign.strong", "null_rms", "observed_sd", "sampling_sd")
        )
        parts.append(
            f"in the cortex, among {strong.n} genes with |r| above 0.2, in {_percent(strong)}; "
            f"there the standard deviation of r over genes is {sd.value:.3f}, with random weights "
            f"on a gene's own variants {null.value:.3f}, and by sampling alone {chance.value:.3f}"
        )
    if not parts:
        return absent(shown)
    return head + "; ".join(parts) + "."


def _percent(number) -> str:
    """Write a share as '76 % (95 % interval 69 to 83)'."""
    ends = f"{100 * number.ci_low:.0f} to {100 * number.ci_high:.0f}"
    return f"{100 * number.value:.0f} % (95 % interval {ends})"


def _linear_model(view: View, run: str) -> str:
    mean = view.number(f"{run}.{_ACROSS_PEOPLE}")
    text = f"**A linear model does better:** {_label(view, run)}, trained on people's genotypes, "
    text += f"has a mean r of {_value(mean)} over {mean.n:,} genes"
    groups = [
        f"{part.value:.3f} over {part.n:,} in {group}"
        for group in view.tables["across"].query("run_id == @run")["population"].unique()
        if group not in ("pooled", "centred", "permuted")
        and (part := view.number(f"{run}.across.{group}.mean_r")) is not None
    ]
    if len(groups) > 1:
        text += f" ({', '.join(groups)})"
    network = _same_people(view, run)
    if network is not None:
        first, second = sorted((run, network))
        end = "first" if network == first else "second"
        both = view.number(f"{first}.paired.{second}.mean_{end}")
        text += f", where {_label(view, network)} has {_value(both)} on the same genes and people"
    return f"{text}; but it can't predict a gene, or use a variant, that it was not trained on."


def _same_people(view: View, run: str) -> str | None:
    """Return the network judged on the genes and people of a linear run."""
    splits = view.runs.set_index("run_id")["split"]
    networks = [r for r in view.colours if view.kinds[r] == "network"]
    pairs = {r: ".paired.".join(sorted((run, r))) for r in networks}
    given = [r for r in networks if view.number(f"{pairs[r]}.mean_first") is not None]
    same = [r for r in given if splits[r] == splits[run]]
    return next(iter(same or given), None)


def _known_truth(view: View) -> str:
    if view.tables is None:
        return absent(view)
    words = {"network": "the network", "linear": "a linear model", "truth": "the truth itself"}
    means = {
        kind: view.number(f"{run}.{_ACROSS_PEOPLE}")
        for kind in words
        if (run := _run_of(view, kind, _ACROSS_PEOPLE)) is not None
    }
    parts = [f"{words[kind]} {_value(mean)}" for kind, mean in means.items()]
    text = "in the simulated demo cohort the mean r across people is, for " + ", ".join(parts)
    if {"network", "truth"} <= means.keys():
        share = means["network"].value / means["truth"].value
        text += f"; the network reaches {100 * share:.0f} % of the truth's r, the most possible"
    return f"**Where the truth is known, the gap can be measured:** {text}."


def central_pictures(results: Path) -> str:
    """Show the central picture of each study that has one."""
    blocks = []
    for name in _FIRST_PICTURES:
        picture = figures_folder(results, name) / f"central.{name}.svg"
        if picture.is_file():
            study = load_study(name)
            real = study.reality
            caption = (
                f"{study.title}. Genotypes: {real.genotypes}. Expression: {real.expression}. "
                f"Models: {real.weights}. Open discs: means over genes, with their 95 % "
                "interval; curves: the distribution over genes. Grey: controls without a model; "
                "the look-up predicts each gene by its mean expression in other people (of pairs: "
                "over all pairs of gene and person). Dashed: the ceiling, mean √h², the most that "
                "an additive model can reach."
            )
            alt = f"Correlation across genes, and across people: {study.title}"
            blocks.append(on_start_page(f"central.{name}", picture, caption, alt))
    return "\n".join(blocks) or "The central picture appears here when a study has been run.\n"
