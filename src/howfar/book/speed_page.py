"""The page of measured speeds, from the committed tables of ``data/measured``."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from howfar.book.models_page import markdown_table
from howfar.core.project import project_root


def measured(name: str) -> pd.DataFrame:
    """A committed table of ``data/measured``: what was measured, when and on what."""
    return pd.read_csv(project_root() / "data" / "measured" / f"{name}.csv")


def speed() -> str:
    """The page of measured speeds."""
    return (
        "\n\n".join(["# Speed", _haplotype_speed(), _inference_speed(), _growth(), _linear_speed()])
        + "\n"
    )


def _haplotype_speed() -> str:
    found = measured("haplotype_benchmark")
    shown = pd.DataFrame(
        {
            "alleles": found["alleles"],
            "way": found["method"],
            "windows timed": found["windows_timed"].map("{:,}".format),
            "windows/s": found["windows_per_s"].map(_rate),
            "howfar is faster by": found["speedup"].map("{:,.0f}×".format),
            "compared, all equal": found["equal"],
        }
    )
    return (
        "## Personal haplotype windows\n\nWindows of 196,608 bp for 842 haplotypes "
        "of 11 genes of the real megabase, files read within the time. The slow ways are timed on "
        "a random subset; each of their windows is compared with howfar's, byte by byte.\n\n"
        f"{markdown_table(shown)}\n\n"
        f"Measured on {found['date'].max()}, {found['machine'].iloc[0]}. "
        "Again, on your machine and files: `howfar bench haplotypes --help`."
    )


def _rate(x: float) -> str:
    return f"{x:,.0f}" if x > 99 else f"{x:.3g}"


def _inference_speed() -> str:
    """Scoring a cohort: what was measured, beside what the count of operations allows."""
    found = measured("inference_benchmark")
    first = found.iloc[0]
    shown = pd.DataFrame(
        {
            "way": found["way"],
            "precision": found["precision"],
            "haplotypes timed": found["haplotypes_timed"],
            "haplotypes/s": found["per_s"].map(_rate),
            "faster by": found["speedup"].map("{:.1f}×".format),
            "ceiling by operations": found["ceiling"].map("{:.1f}×".format),
            "Tflop in all": found["tflop"].map(_rate),
            "share of matrix rate": found["matrix_share"].map("{:.0%}".format),
            "memory, GB": found["peak_gb"].map("{:.2f}".format),
            "largest error / SD": found["error_sd"].map("{:.0e}".format),
            "r": found["r"].map("{:.6f}".format),
        }
    )
    return (
        f"## Scoring a cohort\n\n{first['haplotypes']} haplotypes of one gene of the real "
        f"megabase ({first['distinct']} distinct), windows of {first['context']:,} bp, "
        f"{first['network']}. The ways score the same haplotypes in turns in one process. 'As the "
        "studies did' is one sequence at a time, all bins and tracks, in float32; all but howfar "
        "are timed on a random subset. On the CPU howfar has the process keep the memory that a "
        "layer frees (`howfar.models.memory`), which the studies' way profits from as well; "
        "'memory released' is without. The error is the largest difference from the studies' "
        "way, over the standard deviation between haplotypes; the ceiling is what the count of "
        "operations allows at equal arithmetic speed.\n\n"
        f"{markdown_table(shown)}\n\nMeasured on {first['date']}, {first['device']}, torch "
        f"{first['torch']}. Haplotype handling (content of all stretches looked up) took "
        f"{first['hashing_s']:.2f} s. Again: `howfar bench inference --help`."
    )


def _growth() -> str:
    """How the tower's work grows with people, from counts alone."""
    found = measured("inference_growth")
    wide = found.pivot(index="haplotypes", columns="context", values=["distinct", "tower_windows"])
    shown = pd.DataFrame({"haplotypes": [f"{n:,}" for n in wide.index]})
    for context in sorted(found["context"].unique()):
        place = f"{context:,} bp"
        shown[f"distinct, {place}"] = wide["distinct", context].map("{:,.0f}".format).to_numpy()
        shown[f"tower, {place}"] = wide["tower_windows", context].map("{:.1f}".format).to_numpy()
    return (
        "## How the work grows with people\n\nSimulated Europeans, SNVs, one gene. 'Distinct': "
        "haplotypes whose whole window differs from all others, each of which passes the "
        "transformer. 'Tower': the convolution tower's work in windows' worth, halos included. "
        "The work grows in proportion to the number of genes.\n\n"
        f"{markdown_table(shown)}\n\nCounted on {found['date'].max()} "
        "(`howfar.bench_inference.growth`)."
    )


def _linear_speed() -> str:
    """Linear models: seconds beside what a user would run instead, with the difference."""
    found = measured("baselines_benchmark")
    shown = pd.DataFrame(
        {
            "model": found["model"],
            "task": found["task"],
            "variants": found["variants"].map("{:,.0f}".format),
            "seconds": found["seconds"].map(_rate),
            "against": found["other"].fillna(""),
            "its seconds": _known(found["other_seconds"], _rate),
            "faster by": _known(found["times_as_fast"], "{:.1f}×".format),
            "largest difference, SD": _known(found["difference"], "{:.0e}".format),
            "hours, 3,259 genes": _known(found["hours"], _rate),
        }
    )
    return (
        "## Linear models\n\nCPU seconds on one thread, 421 people. 'Nested 5-fold' is all that a "
        "gene costs: inner folds for the penalty, outer folds for the predictions; hours are for "
        "3,259 genes on two cores. What FUSION's users state is one fit a gene on other machines, "
        "so no ratio is given.\n\n"
        f"{markdown_table(shown)}\n\nMeasured on {found['date'].max()}, "
        f"{found['machine'].iloc[0]}. Again: `howfar bench baselines --help`."
    )


def _known(values: pd.Series, words: Callable[[float], str]) -> list[str]:
    """Each value in `words`; empty where missing."""
    return ["" if pd.isna(x) else words(x) for x in values]
