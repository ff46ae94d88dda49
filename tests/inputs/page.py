"""The book's page of inputs, made by running every case of the catalogue."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from howfar.core.errors import HowfarError
from inputs import (
    expression,
    fasta,
    genes,
    models,
    people,
    plink,
    results,
    sequences,
    study_files,
    vcf,
    weights,
)
from inputs.case import Case
from inputs.cohort import Files
from inputs.running import Outcome, run

KINDS = {
    "genotypes": "Genotypes",
    "reference": "Reference genome",
    "genes": "Gene tables",
    "expression": "Expression",
    "people": "Samples, sample maps and covariates",
    "study": "Study files",
    "model": "Models, weights and devices",
    "weights": "Weights of linear models",
    "sequences": "Plain sequences",
    "results": "Results, folders and disks",
}
#: In the order of the page.
_MODULES = [
    vcf,
    plink,
    fasta,
    genes,
    expression,
    people,
    study_files,
    models,
    weights,
    sequences,
    results,
]
_HEAD = """---
fold: 1
---

# What the program makes of an input

Each row below was made by giving that input to the command line, with a small made-up cohort
({people} people, {genes} genes). An input that can be used works, and *counted* says how much was
left out or changed; any other ends with exit status 2 and one message that says where, what was
found, what was expected and what to do, and leaves no unfinished file. {good} of these {all} inputs
are good and {bad} are not.
"""


def catalogue() -> list[Case]:
    """All cases, by kind."""
    return [case for module in _MODULES for case in module.CASES]


def page(folder: Path | None = None) -> str:
    """The Markdown page of all inputs, made by running them in `folder` (default: a temporary one).

    Raises HowfarError for an input that ends otherwise than the catalogue says.
    """
    with tempfile.TemporaryDirectory(prefix="howfar-inputs-") as temporary:
        rows = [
            (case, checked(case, Path(folder or temporary) / f"{i:03d}"))
            for i, case in enumerate(catalogue())
        ]
    return text_of(rows)


def text_of(rows: list[tuple[Case, Outcome]]) -> str:
    """The page of these inputs and what became of them."""
    good = sum(case.good for case, _ in rows)
    counts = {"people": len(Files.PEOPLE), "genes": len(Files.GENES), "all": len(rows)}
    text = [_HEAD.format(**counts, good=good, bad=len(rows) - good)]
    for kind, title in KINDS.items():
        text += [f"## {title}\n", "| input | result |", "|---|---|"]
        text += [_row(case, outcome) for case, outcome in rows if case.kind == kind]
        text.append("")
    return "\n".join(text)


def checked(case: Case, folder: Path) -> Outcome:
    """`run` in `folder`, which is made and removed; HowfarError where the catalogue is wrong."""
    folder.mkdir(parents=True)
    try:
        outcome = run(case, folder.resolve())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not outcome.fits(case):
        raise HowfarError(
            f"input {case.title!r}",
            found=f"exit status {outcome.status}, files {outcome.left}, {outcome.message[-500:]!r}",
            expected=f"{'no error' if case.good else 'an error'} that says {case.says!r}",
            do="Correct the program or the catalogue of inputs.",
        )
    return outcome


def _row(case: Case, outcome: Outcome) -> str:
    if case.good:
        counted = re.findall(r"counted (.+)", outcome.printed)
        result = "works" + (f"; counted {'; '.join(counted)}" if counted else "")
    else:
        result = f"`{_code(outcome.error.removeprefix('howfar: '))}`"
    return f"| {case.title} | {result} |"


def _code(text: str) -> str:
    """One line that may stand between backticks in a table."""
    return re.sub(r"\s+", " ", text).replace("`", "'").replace("|", "\\|")
