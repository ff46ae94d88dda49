"""The page of measured speeds, from the committed tables of ``data/measured``."""

from __future__ import annotations

import pandas as pd

from howfar.book.markdown import formatted, markdown_table, rate
from howfar.core.project import project_root


def measured(name: str) -> pd.DataFrame:
    """Read a committed table of ``data/measured``: what was measured, when and on what."""
    return pd.read_csv(project_root() / "data" / "measured" / f"{name}.csv")


def speed() -> str:
    """Write the page."""
    sections = [_haplotype_speed(), _inference_speed(), _growth(), _linear_speed()]
    return "\n\n".join(["# Speed", *sections]) + "\n"


def _haplotype_speed() -> str:
    table = measured("haplotype_benchmark")
    columns = {
        "alleles": ("alleles", "{}"),
        "way": ("method", "{}"),
        "windows timed": ("windows_timed", "{:,}"),
        "windows/s": ("windows_per_s", rate),
        "howfar is faster by": ("speedup", "{:,.0f}×"),
        "compared, all equal": ("equal", "{}"),
    }
    return (
        "## Personal haplotype windows\n\nWindows of 196,608 bp for 842 haplotypes "
        "of 11 genes of the real megabase, files read within the time. The slow ways are timed on "
        "a random subset; each of their windows is compared with howfar's, byte by byte.\n\n"
        f"{markdown_table(formatted(table, columns))}\n\n"
        f"Measured on {table['date'].max()}, {table['machine'].iloc[0]}. "
        "Again, on your machine and files: `howfar bench haplotypes --help`."
    )


def _inference_speed() -> str:
    """Write the section on scoring a cohort: what was measured, and what operations allow."""
    table = measured("inference_benchmark")
    first = table.iloc[0]
    columns = {
        "way": ("way", "{}"),
        "precision": ("precision", "{}"),
        "haplotypes timed": ("haplotypes_timed", "{}"),
        "haplotypes/s": ("per_s", rate),
        "faster by": ("speedup", "{:.1f}×"),
        "ceiling by operations": ("ceiling", "{:.1f}×"),
        "Tflop in all": ("tflop", rate),
        "share of matrix rate": ("matrix_share", "{:.0%}"),
        "memory, GB": ("peak_gb", "{:.2f}"),
        "largest error / SD": ("error_sd", "{:.0e}"),
        "r": ("r", "{:.6f}"),
    }
    return (
        f"## Scoring a cohort\n\n{first['haplotypes']} haplotypes of one gene of the real "
        f"megabase ({first['distinct']} distinct), windows of {first['context']:,} bp, "
        f"{first['network']}. The ways score the same haplotypes in turns in one process. 'As the "
        "studies did' is one sequence at a time, all bins and tracks, in float32; all but howfar "
        "are timed on a random subset. On the CPU howfar has the process keep the memory that a "
        "layer frees (`howfar.models.engine.memory`), which the studies' way profits from as well; "
        "'memory released' is without. The error is the largest difference from the studies' "
        "way, over the standard deviation between haplotypes; the ceiling is what the count of "
        "operations allows at equal arithmetic speed.\n\n"
        f"{markdown_table(formatted(table, columns))}\n\nMeasured on {first['date']}, "
        f"{first['device']}, torch {first['torch']}. Haplotype handling (content of all stretches "
        f"looked up) took {first['hashing_s']:.2f} s. Again: `howfar bench inference --help`."
    )


def _growth() -> str:
    """Write how the tower's work grows with people, from counts alone."""
    table = measured("inference_growth")
    wide = table.pivot(index="haplotypes", columns="context", values=["distinct", "tower_windows"])
    shown = pd.DataFrame({"haplotypes": [f"{n:,}" for n in wide.index]})
    for context in sorted(table["context"].unique()):
        for title, column, how in (
            ("distinct", "distinct", "{:,.0f}"),
            ("tower", "tower_windows", "{:.1f}"),
        ):
            values = wide[column, context].map(how.format)
            shown[f"{title}, {context:,} bp"] = values.to_numpy()
    return (
        "## How the work grows with people\n\nSimulated Europeans, SNVs, one gene. 'Distinct': "
        "haplotypes whose whole window differs from all others, each of which passes the "
        "transformer. 'Tower': the convolution tower's work in windows' worth, halos included. "
        "The work grows in proportion to the number of genes.\n\n"
        f"{markdown_table(shown)}\n\nCounted on {table['date'].max()} "
        "(`howfar.bench.inference.growth`)."
    )


def _linear_speed() -> str:
    """Write the section on linear models: seconds beside what a user would run instead."""
    table = measured("baselines_benchmark")
    columns = {
        "model": ("model", "{}"),
        "task": ("task", "{}"),
        "variants": ("variants", "{:,.0f}"),
        "seconds": ("seconds", rate),
        "against": ("other", "{}"),
        "its seconds": ("other_seconds", rate),
        "faster by": ("times_as_fast", "{:.1f}×"),
        "largest difference, SD": ("difference", "{:.0e}"),
        "hours, 3,259 genes": ("hours", rate),
    }
    return (
        "## Linear models\n\nCPU seconds on one thread, 421 people. 'Nested 5-fold' is all that a "
        "gene costs: inner folds for the penalty, outer folds for the predictions; hours are for "
        "3,259 genes on two cores. What FUSION's users state is one fit a gene on other machines, "
        "so no ratio is given.\n\n"
        f"{markdown_table(formatted(table, columns))}\n\nMeasured on {table['date'].max()}, "
        f"{table['machine'].iloc[0]}. Again: `howfar bench baselines --help`."
    )
