"""The page of measured speeds, from the committed tables of ``data/measured``."""

from __future__ import annotations

import pandas as pd

from howfar.bench.growth import LIMIT_GB, PEOPLE, exponents
from howfar.book.markdown import fill, markdown_table, rate, table_of
from howfar.core.project import measured_file

_HAPLOTYPES = {
    "alleles": "alleles",
    "way": "method",
    "windows timed": ("windows_timed", "{:,}"),
    "windows/s": ("windows_per_s", rate),
    "howfar is faster by": ("speedup", "{:,.0f}×"),
    "compared, all equal": "equal",
}
_KEPT = {
    "genotypes": "source",
    "window, bp": ("context", "{:,}"),
    "way": "method",
    "first pass, s": ("first_seconds", rate),
    "kept, MB": ("kept_bytes", lambda size: f"{size / 1e6:.1f}"),
    "again, s": ("again_seconds", rate),
    "over howfar's": ("again_ratio", "{:.1f}×"),
    "windows": ("windows", "{:,}"),
    "equal": ("equal", "{:,}"),
}
_STEPS = {
    "step": "step",
    "seconds": ("seconds", "{:.0f}"),
}
_SCORING = {
    "way": "way",
    "precision": "precision",
    "haplotypes timed": "haplotypes_timed",
    "haplotypes/s": ("per_s", rate),
    "faster by": ("speedup", "{:.1f}×"),
    "ceiling by operations": ("ceiling", "{:.1f}×"),
    "Tflop in all": ("tflop", rate),
    "share of matrix rate": ("matrix_share", "{:.0%}"),
    "memory, GB": ("peak_gb", "{:.2f}"),
    "largest error / SD": ("error_sd", "{:.0e}"),
    "r": ("r", "{:.6f}"),
}
_TRAINING = {
    "alleles": "alleles",
    "way": "way",
    "windows of tower": ("tower", "{:.1f}"),
    "seconds a step": ("cpu_s", rate),
    "faster by": ("cpu_speedup", "{:.1f}×"),
    "ceiling by operations": ("ceiling", "{:.1f}×"),
    "memory, GB": ("peak_gb", "{:.1f}"),
    "less memory by": ("memory_less", "{:.1f}×"),
    "error of gradients": ("error", "{:.0e}"),
    "in double precision, any parameter": ("error_double", "{:.0e}"),
}
_ROUNDING = {
    "way": "way",
    "error of gradients": ("error", "{:.1e}"),
    "of any parameter": ("error_largest", "{:.1e}"),
}
_FITTING = {
    "model": "model",
    "task": "task",
    "variants": ("variants", "{:,.0f}"),
    "seconds": ("seconds", rate),
    "against": "other",
    "its seconds": ("other_seconds", rate),
    "faster by": ("times_as_fast", "{:.1f}×"),
    "largest difference, SD": ("difference", "{:.0e}"),
    "hours, 3,259 genes": ("hours", rate),
}

_SATURATION = {
    "way": "way",
    "precision": "precision",
    "substitutions": ("substitutions", "{:,}"),
    "ms of CPU each": ("ms", rate),
    "faster by": ("times", "{:.1f}×"),
    "largest difference / largest effect": ("largest", "{:.0e}"),
}


_LONG = 10  # seconds of a step that is listed


def measured(name: str) -> pd.DataFrame:
    """Read a committed table of ``data/measured``: what was measured, when and on what."""
    return pd.read_csv(measured_file(name))


def circumstances(table: pd.DataFrame) -> pd.Series:
    """Return the first row of a measured table, with the date of the last measurement."""
    return pd.Series(table.iloc[0].to_dict() | {"date": table["date"].max()})


def speed_page() -> str:
    """Write the page."""
    haplotypes, scoring = measured("haplotype_benchmark"), measured("inference_benchmark")
    saturation = measured("attribution_benchmark")
    growth, linear = measured("inference_growth"), measured("baselines_benchmark")
    training, rounding = measured("training_benchmark"), measured("training_rounding")
    cohorts = measured("cohort_growth")
    kept, steps = measured("windows_benchmark"), measured("book_steps").set_index("step")
    tried = measured("arithmetic")
    book, steps = steps.loc["all"], steps.drop(index="all").reset_index()
    pages = steps["step"].str.startswith("notebook.")
    return fill(
        "speed",
        stepping=table_of(training, _TRAINING),
        training=circumstances(training),
        rounding_table=table_of(rounding, _ROUNDING),
        rounding=circumstances(rounding),
        haplotypes=table_of(haplotypes, _HAPLOTYPES),
        haplotype=circumstances(haplotypes),
        stepping_through=table_of(steps[~pages & (steps["seconds"] > _LONG)], _STEPS),
        steps=circumstances(steps),
        book_minutes=f"{book['seconds'] / 60:.0f}",
        book_cpu=f"{book['cpu_seconds'] / 60:.0f}",
        pages=f"{pages.sum()}",
        pages_minutes=f"{steps.loc[pages, 'seconds'].sum() / 60:.0f}",
        keeping=table_of(kept, _KEPT),
        kept=circumstances(kept),
        judged=int(kept["judged"].sum()),
        judged_as_howfar=int(kept["judged_as_howfar"].sum()),
        scoring=table_of(scoring, _SCORING),
        inference=circumstances(scoring),
        sharing=_alphagenome(),
        checking=_checked(),
        trying=table_of(tried, _TRIED),
        tried=circumstances(tried),
        saturating=table_of(saturation, _SATURATION),
        saturation=circumstances(saturation),
        growing=_growth(growth),
        growth=circumstances(growth),
        cohorts=_cohorts(cohorts),
        cohort=circumstances(cohorts),
        most_gb=cohorts["peak_gb"].max(),
        limit_gb=LIMIT_GB,
        powers=_powers(cohorts),
        fitting=table_of(linear, _FITTING),
        linear=circumstances(linear),
    )


_CHECKED = {
    "network": "case",
    "precision": "precision",
    "largest difference / largest value": ("error", "{:.0e}"),
    "allowed": ("allowed", "{:.0e}"),
    "r": ("r", "{:.5f}"),
}
_TRIED = {
    "way": "way",
    "to prepare, s": ("prepare_s", rate),
    "seconds": ("seconds", rate),
    "faster by": ("gain", "{:.2f}×"),
    "largest error / SD": ("error_sd", "{:.0e}"),
}

_OWN = {
    "what": "what",
    "windows": ("windows", "{:.0f}"),
    "shared": ("shared_s", rate),
    "plain": ("plain_s", rate),
}


def own_model() -> str:
    """Write what sharing gains the network of the page on own models."""
    table = measured("own_model")
    genes = table[table["step"] == "gene"]
    first = ", the first: with its check and what is recorded on the way"
    names = [f"gene {g}" + first * (k == 0) for k, g in enumerate(genes["gene"])]
    table["what"] = ["looking at the network, once", *names]
    ran = (genes["tower_share"] * genes["windows"]).sum() / genes["windows"].sum()
    return fill(
        "own_model",
        table=table_of(table, _OWN),
        of=circumstances(table),
        error=f"{genes['error_sd'].max():.1e}",
        share=f"{ran:.0%}",
    )


def _checked() -> str:
    """Write what `make gpu-check` found where it was last run, if it was."""
    if not measured_file("gpu_values").is_file():
        return "It was not run yet."
    table = measured("gpu_values")
    of = circumstances(table)
    return (
        f"Values of its last run ({of.date}; {of['card']}, {of['mode']}), "
        f"{int(table['right'].sum())} of {len(table)} within what is allowed:\n\n"
        + table_of(table, _CHECKED)
    )


def _alphagenome() -> str:
    """Write the table of AlphaGenome's scoring with what it was measured on, where it was."""
    if not measured_file("alphagenome_benchmark").is_file():
        return "Not measured yet."
    table = measured("alphagenome_benchmark")
    of = circumstances(table)
    parts = []
    for (network, context, haplotypes), rows in table.groupby(
        ["network", "context", "haplotypes"], sort=False
    ):
        shown = table_of(rows, _SCORING | {"hours of Geuvadis": ("geuvadis_hours", rate)})
        parts.append(
            f"{network[:1].upper()}{network[1:]}, windows of {context:,} bp, {haplotypes} "
            f"haplotypes ({rows['distinct'].iloc[0]} distinct):\n\n{shown}"
        )
    return "\n\n".join(parts) + (
        f"\n\nMeasured on {of.date}, {of.device}, torch {of.torch}. The error is that of float32: "
        "plain batches have it, too. The more haplotypes, the more is shared; in longer windows "
        "more of them are distinct, so less is. There most of what is left to do is attention, and "
        "at this width a third of that is a tanh, which the ceiling by operations doesn't count."
    )


def _cohorts(table: pd.DataFrame) -> str:
    """Write seconds a gene and GB by people, a row for each source and step."""
    wide = table.pivot(index=["source", "step"], columns="people", values=["seconds", "peak_gb"])
    order = table[["source", "step"]].drop_duplicates()
    shown = order.rename(columns={"source": "file"}).reset_index(drop=True)
    for people in sorted(table["people"].unique()):
        for title, column, how in (("s", "seconds", "{:.3g}"), ("GB", "peak_gb", "{:.1f}")):
            values = wide[column, people].reindex(pd.MultiIndex.from_frame(order))
            written = [how.format(v) if pd.notna(v) else "" for v in values]
            shown[f"{people:,}: {title}"] = written
    return markdown_table(shown)


def _powers(table: pd.DataFrame) -> str:
    """Write by which power of people each step grows, and which cohorts lack."""
    found = exponents(table).query("step != 'open'")
    shown = pd.DataFrame({"file": found["source"], "step": found["step"]})
    shown["power of people"] = found["power"].map("{:.2f}".format)
    shown["between"] = [f"{a:,} and {b:,}" for a, b in zip(found["from"], found["to"], strict=True)]
    lacking = ", ".join(f"{n:,}" for n in PEOPLE if n not in set(table["people"]))
    note = f"\n\nNot measured yet: cohorts of {lacking} people." if lacking else ""
    return markdown_table(shown) + note


def _growth(table: pd.DataFrame) -> str:
    """Write how the tower's work grows with people, from counts alone."""
    wide = table.pivot(index="haplotypes", columns="context", values=["distinct", "tower_windows"])
    shown = pd.DataFrame({"haplotypes": [f"{n:,}" for n in wide.index]})
    kinds = {"distinct": ("distinct", "{:,.0f}"), "tower": ("tower_windows", "{:.1f}")}
    for context in sorted(table["context"].unique()):
        for title, (column, how) in kinds.items():
            values = wide[column, context].map(how.format)
            shown[f"{title}, {context:,} bp"] = values.to_numpy()
    return markdown_table(shown)
