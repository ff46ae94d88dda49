"""What the last `howfar doctor --verify` of each model found, kept in the results folder.

Read by lists of models, which must not wait for torch.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from howfar.fetch import catalogue
from howfar.models.registry import MODELS

_NEEDED = {"verified", "candidate", "largest_difference", "difference", "date", "howfar"}


def keep(name: str, found: dict[str, Any], results: str | Path) -> Path:
    """Write `found` with date, package version and checksums of the fetched files.

    The file is ``models/<name>.verified.json`` in the results folder; its path is returned.
    """
    path = _path(name, Path(results))
    row = found | {
        "date": datetime.now(UTC).date().isoformat(),
        "howfar": version("howfar"),
        "sources": _source_sums(name, Path(results)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps({"model": name} | row, indent=1) + "\n")
    os.replace(part, path)
    return path


def _path(name: str, results: Path) -> Path:
    return results / "models" / f"{name}.verified.json"


def _source_sums(name: str, results: Path) -> dict[str, str]:
    folder = results / "sources"
    return {i: catalogue.checksum(i, folder) for i in MODELS[name].sources}


def recorded(name: str, results: str | Path) -> dict[str, Any] | None:
    """What `keep` wrote for the model; None where there is nothing, or nothing readable."""
    try:
        kept = json.loads(_path(name, Path(results)).read_text())
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and set(kept) >= _NEEDED else None


def state(name: str, results: str | Path) -> str:
    """'verified ...', 'does not fit ...' or 'unverified ...', in words for a table.

    A verification counts only for the fetched files that it was made with.
    """
    kept = recorded(name, results)
    if kept is None:
        return (
            "unverified" if MODELS[name].card.published else "unverified (no published predictions)"
        )
    if kept.get("sources") != _source_sums(name, Path(results)):
        return f"unverified (other weights than on {kept['date']})"
    apart = f"{kept['difference']} difference {kept['largest_difference']:.1e} on {kept['date']}"
    if not kept["verified"]:
        return f"does not fit ({apart})"
    older = "" if kept["howfar"] == version("howfar") else f", by howfar {kept['howfar']}"
    return f"verified ({apart}{older})"


def models_table(results: str | Path) -> list[dict[str, str]]:
    """One row per model: name, title, reads, gives, licence, needs, present, verified, checked.

    present: 'yes' or 'no' for what `howfar fetch` brings, '-' where nothing is fetched.
    """
    return [
        {
            "name": name,
            "title": entry.title,
            "reads": entry.card.reads,
            "gives": entry.card.gives,
            "licence": entry.card.licence,
            "needs": _needs(name),
            "present": _present(name, Path(results)),
            "verified": state(name, results),
            "checked": entry.card.checked,
        }
        for name, entry in MODELS.items()
    ]


def _needs(name: str) -> str:
    """What a user does before the model can be used."""
    entry = MODELS[name]
    extra = entry.extra and f"`pip install 'howfar[{entry.extra}]'`"
    if extra and find_spec(f"{entry.extra}_pytorch"):
        extra += " (done)"
    fetch = entry.sources and f"`howfar fetch {name}`"
    return ", ".join(filter(None, [extra, fetch])) or "weights, by path"


def _present(name: str, results: Path) -> str:
    wanted = MODELS[name].sources
    if not wanted:
        return "-"
    here = all(catalogue.available(wanted, folder=results / "sources").values())
    return "yes" if here else "no"
