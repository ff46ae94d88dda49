"""An exported study as an RO-Crate: every file with what it is, its size and SHA-256."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from howfar.core.errors import HowfarError
from howfar.core.extras import require_module
from howfar.core.provenance import sha256_of
from howfar.fetch.catalogue import sources
from howfar.results import tables
from howfar.study.schema import Study

METADATA = "ro-crate-metadata.json"
_MEDIA = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".csv": "text/csv",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
}
_FOLDERS = {
    "tables": "Result table",
    "individuals": "Predicted and observed values of people, without identifiers: table",
    "figures": "Figure",
    "predictions": "Description of the predictions of run",
    "baseline": "Weights of linear model",
}
_LICENCE = "https://spdx.org/licenses/MIT"
_PROGRAM = "#howfar"


def write_crate(study: Study, folder: Path, files: Sequence[Path]) -> Path:
    """Describe an exported study's files in its folder; return the metadata file.

    folder: that of the study. files: what lies in it, as `howfar.results.export.export_study`
    wrote it. Inputs, which stay behind, stand by name and SHA-256, public ones with their address
    and licence. Raises HowfarError where the crate, read again, lacks a file (`check_crate`).
    """
    require_module("rocrate")
    from rocrate.model import ContextEntity, SoftwareApplication
    from rocrate.rocrate import ROCrate

    block = tables.read_provenance(folder / "tables" / "runs.parquet")
    crate = ROCrate()
    crate.name = f"howfar: {study.title}"
    crate.description = (
        f"{study.summary or study.title} Result tables and figures made by howfar. Genotypes and "
        "identifiers of people are not part of it; nor are input files, whose licences hold for "
        "them."
    )
    crate.license = _LICENCE
    crate.add(ContextEntity(crate, _LICENCE, {"@type": "CreativeWork", "name": "MIT licence"}))
    people = ContextEntity(
        crate, "#developers", {"@type": "Organization", "name": "The howfar developers"}
    )
    crate.publisher = crate.creator = crate.add(people)
    if "created" in block:
        crate.datePublished = block["created"]
    program = {"name": "howfar", "version": version("howfar"), "license": {"@id": _LICENCE}}
    if block.get("commit"):
        program["softwareVersion"] = f"commit {block['commit']}"
    software = crate.add(SoftwareApplication(crate, _PROGRAM, properties=program))
    inputs = [crate.add(ContextEntity(crate, *each)) for each in _inputs(block.get("inputs", {}))]
    described = []
    for path in sorted(files):
        place = path.relative_to(folder)
        properties = {
            "name": place.name,
            "description": _description(place),
            "contentSize": str(path.stat().st_size),
            "sha256": sha256_of(path),
            "encodingFormat": _MEDIA.get(path.suffix, "application/octet-stream"),
        }
        described.append(crate.add_file(path, place.as_posix(), properties=properties))
    made = {"name": f"howfar run --study {study.name}", "endTime": block.get("created", "")}
    crate.add_action(software, "#run", object=inputs, result=described, properties=made)
    crate.metadata.write(folder)
    check_crate(folder)
    return folder / METADATA


def check_crate(folder: str | Path) -> int:
    """Return how many files a crate describes; HowfarError for one that is absent or differs.

    rocrate reads a crate whose files are not there without complaint.
    """
    require_module("rocrate")
    from rocrate.rocrate import ROCrate

    entities = [each for each in ROCrate(Path(folder)).data_entities if each.get("sha256")]
    for entity in entities:
        path = Path(folder) / entity.id
        found = _state(path)
        expected = f"{entity['contentSize']} bytes with SHA-256 {entity['sha256'][:12]}"
        if found != expected:
            raise HowfarError(
                str(path),
                found=found,
                expected=f"{expected}, as {METADATA} says",
                do="Export again with --crate, or copy the folder again.",
            )
    return len(entities)


def _state(path: Path) -> str:
    if not path.is_file():
        return "no such file"
    return f"{path.stat().st_size} bytes with SHA-256 {sha256_of(path)[:12]}"


def _description(place: Path) -> str:
    """Say what a file of an exported folder is, from its place."""
    name = place.parts[1] if place.parts[0] == "predictions" else place.name.split(".")[0]
    text = f"{_FOLDERS.get(place.parts[0], 'File')} {name}"
    if place.parts[0] == "figures" and place.suffix == ".csv":
        return f"{text}: the data behind it"
    if name in tables.SCHEMAS:
        columns = ", ".join(tables.SCHEMAS[name].columns)
        text += f"; columns {columns}"
    return text


def _inputs(inputs: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the id and properties of each input file, of which no byte is in the crate."""
    public = {source.sha256: source for source in sources().values() if source.sha256}
    for role, each in inputs.items():
        source = public.get(each["sha256"])
        properties = {
            "@type": "CreativeWork",  # no File: those must be in the crate
            "name": each["file"],
            "description": f"Input of the study ({role}), not part of the crate",
            "sha256": each["sha256"],
        }
        if source is not None:
            properties |= {"description": source.description, "usageInfo": source.licence}
            properties |= {"url": source.url, "contentSize": str(source.bytes)}
        yield f"#input-{each['sha256'][:16]}", properties
