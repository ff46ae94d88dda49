"""The text of the book's page on the models: what each is, and what was verified and measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from howfar.book.markdown import formatted, markdown_table
from howfar.core.project import project_root, results_root
from howfar.doctor.verdicts import models_table, recorded
from howfar.fetch.licences import CONSENT

MEASURED = Path("data") / "measured" / "model_oracles.csv"
_INTRODUCTION = (
    "Each model is a class with the same small interface: a window of bases in, values per output "
    "bin and named track out. Two questions are answered apart from one another: is the arithmetic "
    "that of the authors' code, and do the published weights give the published predictions?"
)
_FETCH = (
    "`howfar fetch NAME` brings a model's weights from the addresses that its authors publish, "
    "with size and licence; a file that was cut off is continued, and where the authors publish no "
    "checksum, the one of the first file is kept and a later difference is an error. "
    "`howfar doctor --verify NAME` then predicts the reference sequence of the genes whose whole "
    "window lies in the real megabase, tries every reading of the study's instructions (bins, "
    "logarithm, strands, shifts, place of the TSS) against the predictions that Huang et al. 2023 "
    "published, and says which one fits. Until it has, the model stands here as **unverified**. "
    "`howfar predict-sequences --model NAME --fasta F --csv OUT` predicts plain sequences."
)
_ORACLES = (
    "Outputs of the authors' own programs, for made-up and for real sequences, and the largest "
    "difference from them (`howfar bench oracles`). Xpresso's weights are the published ones; "
    "those of Basenji2, Beluga and ExPecto are random, as the real ones are not needed to compare "
    "arithmetic."
)


def models_page(results: str | Path | None = None) -> str:
    """Write the page.

    results: the folder whose fetched files and verifications it reports; default: the one in use.
    """
    results = Path(results) if results is not None else results_root()
    rows = models_table(results)
    parts = [
        "# Models",
        _INTRODUCTION,
        _models(rows),
        "## Weights, and what verification means",
        _FETCH,
        *_licences(),
        *_verdicts(rows, results),
        "## Against the authors' code",
        _ORACLES,
        _measured(),
    ]
    return "\n\n".join(parts) + "\n"


def _models(rows: list[dict[str, str]]) -> str:
    table = pd.DataFrame(rows)
    table["name"] = "**" + table["name"] + "**<br>" + table["title"]
    columns = {
        "model": ("name", "{}"),
        "reads": ("reads", "{}"),
        "gives": ("gives", "{}"),
        "licence of the weights": ("licence", "{}"),
        "published predictions": ("verified", "{}"),
    }
    return markdown_table(formatted(table, columns))


def _licences() -> list[str]:
    return [
        f"Licence *{name}* ([text]({where})): {words}." for name, (words, where) in CONSENT.items()
    ]


def _verdicts(rows: list[dict[str, str]], results: Path) -> list[str]:
    """Write a sentence per model that was verified against its published predictions."""
    sentences = []
    for row in rows:
        kept = recorded(row["name"], results)
        if kept is None or row["verified"].startswith("unverified"):
            continue
        verdict = "reproduces" if kept["verified"] else "does **not** reproduce"
        sentences.append(
            f"**{row['name']}** {verdict} the published predictions of "
            f"{', '.join(gene.upper() for gene in kept['genes'])}: best of {kept['candidates']} "
            f"readings is “{kept['candidate']}”, largest {kept['difference']} difference "
            f"{kept['largest_difference']:.1e} (tolerance {kept['tolerance']:g}; {kept['date']}, "
            f"howfar {kept['howfar']}, {kept['device']})."
        )
    return sentences


def _measured() -> str:
    path = project_root() / MEASURED
    if not path.is_file():
        return "Not measured yet."
    table = pd.read_csv(path)
    columns = {
        "model": ("model", "{}"),
        "what": ("what", "{}"),
        "sequences": ("n", "{}"),
        "largest difference": ("largest_difference", "{:.1e}"),
        "tolerance": ("tolerance", "{:.0e}"),
        "s per sequence": ("seconds_each", "{:.2g}"),
    }
    return (
        f"{markdown_table(formatted(table, columns))}\n\nMeasured on {table['date'].max()}, one "
        "thread of a shared CPU with other work on it; the seconds of narrow networks say nothing "
        "about the published ones."
    )
