"""The text of the book's page on the models: what each is, and what was verified and measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

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
    """The page, as Markdown.

    results: the results folder, whose fetched files and verifications it reports; default: the
    one in use.
    """
    results = Path(results) if results is not None else results_root()
    parts = [
        "# Models",
        _INTRODUCTION,
        _models(results),
        "## Weights, and what verification means",
        _FETCH,
        *_licences(),
        *_verdicts(results),
        "## Against the authors' code",
        _ORACLES,
        _measured(),
    ]
    return "\n\n".join(parts) + "\n"


def _models(results: Path) -> str:
    rows = [
        {
            "model": f"**{row['name']}**<br>{row['title']}",
            "reads": row["reads"],
            "gives": row["gives"],
            "licence of the weights": row["licence"],
            "published predictions": row["verified"],
        }
        for row in models_table(results)
    ]
    return markdown_table(pd.DataFrame(rows))


def _licences() -> list[str]:
    return [f"Licence *{name}* ([text]({where})): {words}." for name, (words, where) in
            CONSENT.items()]  # fmt: skip


def _verdicts(results: Path) -> list[str]:
    """One sentence per model that was held against its published predictions."""
    found = []
    for row in models_table(results):
        kept = recorded(row["name"], results)
        if kept is None or row["verified"].startswith("unverified"):
            continue
        verdict = "reproduces" if kept["verified"] else "does **not** reproduce"
        found.append(
            f"**{row['name']}** {verdict} the published predictions of "
            f"{', '.join(gene.upper() for gene in kept['genes'])}: best of {kept['candidates']} "
            f"readings is “{kept['candidate']}”, largest {kept['difference']} difference "
            f"{kept['largest_difference']:.1e} (tolerance {kept['tolerance']:g}; {kept['date']}, "
            f"howfar {kept['howfar']}, {kept['device']})."
        )
    return found


def _measured() -> str:
    path = project_root() / MEASURED
    if not path.is_file():
        return "Not measured yet."
    table = pd.read_csv(path)
    shown = pd.DataFrame(
        {
            "model": table["model"],
            "what": table["what"],
            "sequences": table["n"],
            "largest difference": table["largest_difference"].map("{:.1e}".format),
            "tolerance": table["tolerance"].map("{:.0e}".format),
            "s per sequence": table["seconds_each"].map("{:.2g}".format),
        }
    )
    return (
        f"{markdown_table(shown)}\n\nMeasured on {table['date'].max()}, one thread of a shared CPU "
        "with other work on it; the seconds of narrow networks say nothing about the published "
        "ones."
    )


def markdown_table(frame: pd.DataFrame) -> str:
    """A table in Markdown, cells as text."""
    cells = frame.astype(str).map(lambda text: text.replace("|", "\\|")).to_numpy()
    lines = [list(frame.columns), ["---"] * frame.shape[1], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
