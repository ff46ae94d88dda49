"""The network of the book's page on own models over people: shared without a word, and plain."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from howfar.bench.clock import cpu_seconds
from howfar.cohort.opened import open_cohort
from howfar.core.errors import no_such_file
from howfar.core.project import project_root
from howfar.models.registry import load_model

_MODULE = "network_of_the_page"


def measure(reference: Path, variants: Path, genes: Path, number: int = 3) -> pd.DataFrame:
    """Measure the first genes of a cohort, SNVs, on one thread.

    Returns a row for looking at the network and one for each gene with the columns step, gene,
    people, windows, shared_s and plain_s (CPU), error_sd (largest difference over the SD between
    haplotypes) and tower_share (bins that the local part ran for, of those asked for).
    """
    import torch

    cohort = open_cohort(reference=reference, variants=variants, genes=genes)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with loader_of_page() as loader:
            plain = load_model(loader, device="cpu", engine="plain")
            looking, shared = cpu_seconds(lambda: _looked_at(loader))
            rows: list[dict[str, Any]] = [{"step": "looking at the network", "shared_s": looking}]
            for gene in cohort.genes[:number]:
                rows.append(of_gene(cohort, gene, shared, plain))
    finally:
        torch.set_num_threads(threads)
    table = pd.DataFrame(rows).assign(people=len(cohort.samples))
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": f"{os.cpu_count()} cores"}
    return table.assign(**about, torch=torch.__version__)


def of_gene(cohort: Any, gene: Any, shared: Any, plain: Any) -> dict[str, Any]:
    """Measure a gene: `shared` and `plain` are the same model."""
    built = cohort.windows(gene, shared.layout.context, shared.tss_offset(gene.strand), "snv")
    windows, bins = built.sequences, [shared.tss_bin(gene.strand)]
    towers = [module.tower for module in shared._sharing.modules.values()]
    before = [(tower.bins_run, tower.bins_asked) for tower in towers]
    seconds, found = cpu_seconds(lambda: shared.predict(windows, bins, [0]))
    others, wanted = cpu_seconds(lambda: plain.predict(windows, bins, [0]))
    run, asked = np.sum([(t.bins_run, t.bins_asked) for t in towers], 0) - np.sum(before, 0)
    return {
        "step": "gene",
        "gene": gene.name,
        "windows": len(windows),
        "shared_s": seconds,
        "plain_s": others,
        "error_sd": float(np.abs(found - wanted).max() / wanted.std()),
        "tower_share": run / asked,
    }


def _looked_at(loader: str) -> Any:
    model = load_model(loader, device="cpu")
    if model.engine != "shared":
        raise AssertionError(model.notes)
    return model


@contextmanager
def loader_of_page() -> Iterator[str]:
    """Have the page's code as a module for the time within; yield its loader's path."""
    page = project_root() / "book" / "own_model.md"
    if not page.is_file():
        raise no_such_file(page, "the page whose network is measured", "Run it in the project.")
    with TemporaryDirectory() as folder:
        code = page.read_text("utf-8").split("```python\n", 1)[1].split("```", 1)[0]
        (Path(folder) / f"{_MODULE}.py").write_text(code, "utf-8")
        sys.path.insert(0, folder)
        try:
            yield f"{_MODULE}:load"
        finally:
            sys.path.remove(folder)
            sys.modules.pop(_MODULE, None)
