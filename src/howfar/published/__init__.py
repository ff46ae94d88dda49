"""Tables that others published, brought into the result tables of `howfar.results.tables`.

One module per study; its `load(study, files)` returns frames by table name. What a study didn't
publish stays missing: nothing is filled in.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from howfar.core import provenance
from howfar.core.errors import HowfarError
from howfar.core.registry import PUBLISHED
from howfar.core.threads import one_thread
from howfar.fetch.catalogue import FOLDER
from howfar.published.files import Files
from howfar.study.schema import Study

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 2


def load_published(
    study: Study, sources_folder: str | Path = FOLDER, verify: bool = True
) -> dict[str, pd.DataFrame]:
    """The result tables of a published study by name, in the schemas of `howfar.results.tables`.

    `sources_folder` holds the fetched files. With `verify` their SHA-256 is compared with
    ``data/sources.csv``. Raises HowfarError for a study without published tables, a missing or
    changed file, and a file without the expected columns or rows.
    """
    from howfar.evaluation.model_agreement import of_individuals  # slow, and others read VERSION
    from howfar.results import tables

    files = Files(_published(study).needs, study.name, Path(sources_folder), verify)
    with one_thread():
        frames = PUBLISHED[_published(study).loader].load()(study, files)
    where = f"study {study.name}"
    if "individuals" in frames and "agreement" not in frames:
        frames["agreement"] = of_individuals(frames["individuals"], frames["runs"])
    return {name: tables.validate(name, frame, where) for name, frame in frames.items()}


def write_tables(study: Study, results: str | Path = "results") -> pd.DataFrame:
    """Write the result tables of a published study, with the checksums of what they come from.

    All but `numbers`: the study's own numbers are returned, to join those that every study has.

    Reads ``<results>/sources``, writes ``<results>/<study>/tables`` and, for person-level rows,
    ``<results>/<study>/individuals``. Raises as `load_published`.
    """
    from howfar.results import tables

    needs = _published(study).needs
    folder = Path(results) / "sources"
    frames = load_published(study, folder)
    block = provenance.block(
        {"study": study.name, "loader": _published(study).loader},
        {name: folder / name for name in needs},
        seed=study.evaluation.seed,
    )
    own = frames.pop("numbers", tables.empty("numbers"))
    tables.write_all(results, study.name, frames, block)
    return own


def _published(study: Study):
    if study.published is not None and study.published.loader in PUBLISHED:
        return study.published
    loader = study.published.loader if study.published else None
    raise HowfarError(
        f"study {study.name}, key published.loader",
        found="no published tables" if loader is None else f"loader {loader!r}",
        expected=f"one of {', '.join(PUBLISHED)}",
        do="Correct the study file; a cohort of your own goes through `howfar evaluate`.",
    )
