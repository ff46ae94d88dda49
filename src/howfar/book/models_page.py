"""The text of the book's page on the models: what each is, and what was verified and measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from howfar.book.markdown import fill, table_of
from howfar.core.project import measured_file, results_root
from howfar.doctor.verdicts import models_table, recorded
from howfar.fetch.licences import CONSENT

_MODELS = {
    "model": "model",
    "reads": "reads",
    "gives": "gives",
    "licence of the weights": "licence",
    "published predictions": "verified",
}
_MEASURED = {
    "model": "model",
    "what": "what",
    "sequences": "n",
    "largest difference": ("largest_difference", "{:.1e}"),
    "tolerance": ("tolerance", "{:.0e}"),
    "s per sequence": ("seconds_each", "{:.2g}"),
}


def models_page(results: str | Path | None = None) -> str:
    """Write the page.

    results: the folder whose fetched files and verifications it reports; default: the one in use.
    """
    results = Path(results) if results is not None else results_root()
    models = pd.DataFrame(models_table(results))
    models["model"] = "**" + models["name"] + "**<br>" + models["title"]
    licences = (
        f"Licence *{name}* ([text]({where})): {words}." for name, (words, where) in CONSENT.items()
    )
    return fill(
        "models",
        models=table_of(models, _MODELS),
        licences="\n\n".join(licences),
        verdicts="\n\n".join(_verdicts(models, results)),
        measured=_measured(),
    )


def _verdicts(models: pd.DataFrame, results: Path) -> list[str]:
    """Write a sentence per model that was verified against its published predictions."""
    sentences = []
    for row in models.itertuples():
        kept = recorded(row.name, results)
        if kept is None or row.verified.startswith("unverified"):
            continue
        verdict = "reproduces" if kept["verified"] else "does **not** reproduce"
        sentences.append(
            f"**{row.name}** {verdict} the published predictions of "
            f"{', '.join(gene.upper() for gene in kept['genes'])}: best of {kept['candidates']} "
            f"readings is “{kept['candidate']}”, largest {kept['difference']} difference "
            f"{kept['largest_difference']:.1e} (tolerance {kept['tolerance']:g}; {kept['date']}, "
            f"howfar {kept['howfar']}, {kept['device']})."
        )
    return sentences


def _measured() -> str:
    path = measured_file("model_oracles")
    if not path.is_file():
        return "Not measured yet."
    table = pd.read_csv(path)
    return (
        f"{table_of(table, _MEASURED)}\n\nMeasured on {table['date'].max()}, one "
        "thread of a shared CPU with other work on it; the seconds of narrow networks say nothing "
        "about the published ones."
    )
