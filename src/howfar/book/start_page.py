"""The start page: the answer in five sentences, and the central pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from howfar.core.project import figures_folder
from howfar.figures.view import View
from howfar.study.reading import load_study

_FIRST_PICTURES = ["geuvadis_public", "demo"]
#: How sentences name a study's people.
_AMONG = {"geuvadis_public": "among GEUVADIS people", "sasse2023": "in the brain cortex (ROSMAP)"}
#: Share of genes with negative r from which the direction is said not to be seen.
_OFTEN_WRONG = 0.25
#: The number that a run must have to stand in a sentence.
_ACROSS_GENES, _ACROSS_PEOPLE = "reference.spearman", "across.pooled.mean_r"


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
        _sentence(shown, "network", _ACROSS_PEOPLE, _signs),
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
        return f"({view.study.title}: not fetched yet; run `howfar fetch {view.study.name}`)"
    return f"({view.study.title}: not run yet; run `howfar run --study {view.study.name}`)"


def _value(number, digits: int = 3) -> str:
    """Write a row of `numbers` as '0.044 (95 % interval 0.020 to 0.068)'."""
    text = f"{number.value:.{digits}f}"
    if pd.notna(number.ci_low):
        text += f" (95 % interval {number.ci_low:.{digits}f} to {number.ci_high:.{digits}f})"
    return text.replace("-", "−")


def _where(view: View) -> str:
    return " of the simulated demo cohort" if view.study.simulate else ""


def _across_genes(view: View, run: str) -> str:
    rho = view.number(f"{run}.{_ACROSS_GENES}")
    return (
        f"**Across genes, well:** from the reference sequence alone {view.labels[run]} ranks the "
        f"mean expression of {rho.n:,} genes{_where(view)} with Spearman's ρ = {_value(rho)}."
    )


def _across_people(view: View, run: str) -> str:
    mean, low, high = (
        view.number(f"{run}.across.pooled.{name}") for name in ("mean_r", "min_r", "max_r")
    )
    return (
        f"{_AMONG[view.study.name]} the mean r of {view.labels[run]} over {mean.n:,} genes is "
        f"{_value(mean)}, from {low.value:.2f} to {high.value:.2f}".replace("-", "−")
    )


def _signs(view: View, run: str) -> str:
    spread, chance, below = (
        view.number(f"{run}.across.pooled.{name}")
        for name in ("observed_sd", "sampling_sd", "share_negative")
    )
    unseen = below.value >= _OFTEN_WRONG
    direction = "its direction is not" if unseen else "mostly with its direction"
    return (
        f"**The effect is seen, {direction}:** r{_where(view)} spreads over genes with a "
        f"standard deviation of {spread.value:.3f} where sampling alone gives "
        f"{chance.value:.3f}, and {100 * below.value:.0f} % of the genes have a negative r."
    )


def _linear_model(view: View, run: str) -> str:
    mean = view.number(f"{run}.{_ACROSS_PEOPLE}")
    return (
        f"**A linear model does better:** {view.labels[run]}, trained on people's genotypes, has a "
        f"mean r of {_value(mean)} over {mean.n:,} genes, but says nothing about a gene or a "
        "variant it was not trained on."
    )


def _known_truth(view: View) -> str:
    if view.tables is None:
        return absent(view)
    words = {
        "network": "the network",
        "lead_snp": "the lead SNP alone",
        "truth": "the truth itself",
    }
    means = {
        kind: view.number(f"{run}.{_ACROSS_PEOPLE}")
        for kind in words
        if (run := _run_of(view, kind, _ACROSS_PEOPLE)) is not None
    }
    parts = [f"{words[kind]} {_value(mean)}" for kind, mean in means.items()]
    text = "in the simulated demo cohort the mean r across people is, for " + ", ".join(parts)
    if {"network", "truth"} <= means.keys():
        share = means["network"].value / means["truth"].value
        text += f"; the network reaches {100 * share:.0f} % of what a genome can tell there"
    return f"**Where the truth is known, the gap can be measured:** {text}."


def central_pictures(results: Path, folder: Path) -> str:
    """Copy the central picture of each study that has one to `folder`, and show it."""
    blocks = []
    for name in _FIRST_PICTURES:
        picture = figures_folder(results, name) / f"central.{name}.svg"
        if picture.is_file():
            shutil.copyfile(picture, folder / picture.name)
            study = load_study(name)
            real = study.reality
            blocks.append(
                f"```{{figure}} /_generated/{picture.name}\n"
                ":alt: Correlation across genes above, across people below\n"
                ":figclass: central\n\n"
                f"{study.title}. Genotypes: {real.genotypes}. Expression: "
                f"{real.expression}. Model weights: {real.weights}.\n```\n"
            )
    return "\n".join(blocks) or "The central picture appears here when a study has been run.\n"
