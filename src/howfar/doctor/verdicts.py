"""What the last `howfar doctor --verify` of each model found, kept in the results folder.

Read by lists of models, which must not wait for torch.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.core.extras import is_installed
from howfar.fetch import catalogue
from howfar.models.base import Card
from howfar.models.registry import MODELS

_NEEDED = {"verified", "candidate", "largest_difference", "difference", "date", "howfar"}


def keep(name: str, found: dict[str, Any], results: str | Path) -> Path:
    """Record an outcome with date, package version and checksums of the fetched files.

    The file is ``models/<name>.verified.json`` in the results folder; its path is returned.
    """
    path = _path(name, Path(results))
    row = found | {
        "date": datetime.now(UTC).date().isoformat(),
        "howfar": version("howfar"),
        "sources": _source_sums(name, Path(results)),
    }
    sealed.write_json(path, {"model": name} | row)
    return path


def _path(name: str, results: Path) -> Path:
    return results / "models" / f"{name}.verified.json"


def _source_sums(name: str, results: Path) -> dict[str, str]:
    folder = results / "sources"
    return {i: catalogue.checksum(i, folder) for i in MODELS[name].sources}


def recorded(name: str, results: str | Path) -> dict[str, Any] | None:
    """Return what `keep` wrote for the model; None where there is nothing, or nothing readable."""
    try:
        kept = sealed.read_json(_path(name, Path(results)))
    except (FileNotFoundError, HowfarError):
        return None
    return kept if set(kept) >= _NEEDED else None


def state(name: str, results: str | Path) -> str:
    """Say 'verified ...', 'does not fit ...' or 'unverified ...', in words for a table.

    A verification counts only for the fetched files that it was made with.
    """
    kept = recorded(name, results)
    if kept is None:
        published = MODELS[name].card.published
        return "unverified" if published else "unverified (no published predictions)"
    if kept.get("sources") != _source_sums(name, Path(results)):
        return f"unverified (other weights than on {kept['date']})"
    apart = f"{kept['difference']} difference {kept['largest_difference']:.1e} on {kept['date']}"
    if not kept["verified"]:
        return f"does not fit ({apart})"
    older = "" if kept["howfar"] == version("howfar") else f", by howfar {kept['howfar']}"
    return f"verified ({apart}{older})"


def models_table(results: str | Path) -> list[dict[str, str]]:
    """Return one row per model: name, title, needs, present, verified, and texts of its card.

    present: 'yes' or 'no' for what `howfar fetch` brings, '-' where nothing is fetched. Of the
    card: reads, gives, licence, checked.
    """
    return [
        {
            "name": name,
            "title": model.title,
            **{key: getattr(model.card, key) for key in ("reads", "gives", "licence", "checked")},
            "needs": _needs(name, model.card),
            "present": _present(model.sources, Path(results)),
            "verified": state(name, results),
        }
        for name, model in MODELS.items()
    ]


def _needs(name: str, card: Card) -> str:
    """Say what a user does before the model can be used."""
    extra = card.extra and f"`pip install 'howfar[{card.extra}]'`"
    if extra and is_installed(card.package):
        extra += " (done)"
    fetch = card.sources and f"`howfar fetch {name}`"
    needed = ", ".join(filter(None, [extra, fetch]))
    return needed or ("nothing" if "weights: null" in card.run else "weights, by path")


def _present(sources: tuple[str, ...], results: Path) -> str:
    if not sources:
        return "-"
    here = all(catalogue.available(sources, folder=results / "sources").values())
    return "yes" if here else "no"
