"""A run's store: raw model outputs per gene and distinct haplotype, on disk or in memory.

``results/<study>/predictions/<run>-<digest>/`` holds one file per finished gene (see
`results.cache.Units`), the key (everything that defines the raw outputs: inputs, people, tracks,
bins, alleles, weights, versions of the code) and the run's description. Arrays of a gene:

``values`` float32 (1 + distinct haplotypes, bins, tracks), row 0 the reference sequence;
``index`` int32 (people, 2), the row of each person's haplotypes.

Logs, sums and means come later (`transform`), so one store serves every definition of
"the prediction" on the same bins and tracks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.cohort.files import unphased_rule
from howfar.cohort.opened import OpenCohort
from howfar.core import sealed
from howfar.core.errors import HowfarError, NotMade, about, damaged_file
from howfar.core.project import resolve
from howfar.core.provenance import digest
from howfar.fetch.licences import bound
from howfar.genome.intervals import Gene
from howfar.models.base import GENE_RULES, SequenceModel, default_bins, parse_bins
from howfar.models.engine.gene_bins import check_rule
from howfar.models.registry import version_of
from howfar.models.tracks import by_strand
from howfar.prediction.transform import reference_prediction, transform
from howfar.results.cache import Key, MemoryUnits, Unit, Units, cohort_key
from howfar.results.policy import licence_of_model, licence_of_run
from howfar.study.schema import Run, Study

_DESCRIPTION = "run.json"
#: Settings of a cohort that decide predictions, beside alleles and unphased calls.
_SETTINGS = ("tss", "gene_versions")
_ROLES = ("reference", "variants", "genes")


@dataclass(frozen=True)
class Outputs:
    """Which outputs of a network are kept: bins by strand ("+", "-"), and tracks, by number.

    minus: the tracks of genes on the minus strand, in the same order, where they are others.
    rule: 'gene' or 'exons' where bins depend on each gene and haplotype (see `gene_bins`): their
    sum is kept, one value a track, and `bins` is empty. Else ''.
    """

    bins: dict[str, list[int]]
    tracks: list[int]
    rule: str = ""
    minus: list[int] | None = None

    def tracks_on(self, strand: str) -> list[int]:
        """Return the tracks of genes on a strand."""
        return self.minus if strand == "-" and self.minus is not None else self.tracks

    def at(self, strand: str) -> list[int]:
        """Return the bins of genes on a strand; HowfarError where they depend on the gene."""
        if not self.rule:
            return self.bins[strand]
        raise HowfarError(
            f"bins: {self.rule}",
            found="bins that depend on each gene",
            expected="the same bins for all genes here",
            do="Take a run with `bins: tss` or centreK.",
        )


def rule_of(run: Run, model: SequenceModel) -> str | list[int]:
    """Return a run's rule for bins; where it names none, that of the network."""
    usual = model.usual_bins or default_bins(model.layout.n_bins)
    return default_bins(model.layout.n_bins) if run.readout else run.bins or usual


def outputs_of(run: Run, model: SequenceModel, every: bool = False) -> Outputs:
    """Return the bins and tracks that a run asks of a model; HowfarError where it has none such.

    every: the tracks of all tissues, as one pass predicts them; else those of the study's own.
    """
    n_bins = model.layout.n_bins
    with about(run.place):
        rule = rule_of(run, model)
        tracks, minus = _tracks_of(run, model, run.tracks)
        for more in run.tissue_tracks.values() if every else ():
            for plus, other in zip(*_tracks_of(run, model, more), strict=True):
                if plus not in tracks:
                    tracks, minus = [*tracks, plus], [*minus, other]
        others = None if minus == tracks else minus
        if rule in GENE_RULES:
            check_rule(model, str(rule), run.transform)
            return Outputs({}, tracks, str(rule), others)
        bins = {s: parse_bins(rule, model.tss_bin(s), n_bins, model.tss_edge(s)) for s in "+-"}
        return Outputs(bins, tracks, minus=others)


def _tracks_of(run: Run, model: SequenceModel, named: Any) -> tuple[list[int], list[int]]:
    """Return the tracks of genes on the plus strand, and those of genes on the minus strand."""
    numbers = model.track_indices(named)
    if run.strand == "both":
        return numbers, numbers
    return by_strand(model.tracks, numbers, model.name, model.oriented)


@dataclass(frozen=True)
class RunDescription:
    """What an evaluation must know of a run's network, so that it needs no weights.

    tracks: descriptions of the tracks kept. bins: the rule that chose them. context: bp. opened:
    when predictions were last made or asked for (ISO 8601). splits: of a network trained on the
    cohort's people, `definition` in words, `genes` to a class, and `people` by class and part.
    tissues: places of each tissue's tracks among those kept, the study's own first; where there
    are some, `tracks` are its own. licence: that the values carry.
    """

    model: str
    weights_sha256: str
    tracks: list[str]
    units: str
    context: int
    precision: str
    engine: str
    device: str
    opened: str = ""
    bins: str = ""
    splits: Mapping[str, Any] = field(default_factory=dict)
    tissues: Mapping[str, Sequence[int]] = field(default_factory=dict)
    licence: str = ""

    def held_out(self, people: pd.DataFrame) -> pd.DataFrame:
        """Predictions (genes x people) without those of whom a gene was trained or validated on."""
        if not self.splits:
            return people
        kept = people.copy()
        for gene, kind in self.splits["genes"].items():
            parts = self.splits["people"].get(kind, {})
            known = {*parts.get("train", ()), *parts.get("validation", ())}
            if gene in kept.index and known:
                kept.loc[gene, kept.columns.isin(list(known))] = np.nan
        return kept


def describe(run: Run, model: SequenceModel) -> RunDescription:
    """Return the description of a run's network."""
    outputs = outputs_of(run, model)
    rows = model.tracks.loc[outputs.tracks, "description"]
    own = zip(outputs.tracks, outputs.tracks_on("-"), strict=True)
    ends = ["" if plus == minus else ", the gene's strand" for plus, minus in own]
    return RunDescription(
        model.name,
        model.weights_sha256,
        [str(text) + end for text, end in zip(rows, ends, strict=True)],
        model.units,
        model.layout.context,
        model.precision,
        model.engine,
        model.device,
        datetime.now(UTC).isoformat(timespec="microseconds"),
        bins_text(run, model),
        dict(getattr(model, "splits", {})),
        _tissue_places(run, model),
        bound(licence_of_model(model)) or licence_of_run(run),
    )


def _tissue_places(run: Run, model: SequenceModel) -> dict[str, list[int]]:
    """Places of each tissue's tracks among those that one pass predicts."""
    every = outputs_of(run, model, every=True).tracks
    chosen = {name: _tracks_of(run, model, t)[0] for name, t in run.tissue_tracks.items()}
    return {name: [every.index(track) for track in tracks] for name, tracks in chosen.items()}


def bins_text(run: Run, model: SequenceModel) -> str:
    """Say which bins a run's values are of."""
    rule = run.bins if run.readout else rule_of(run, model)
    if rule not in GENE_RULES:
        return str(rule or default_bins(model.layout.n_bins))
    named = run.transcripts if isinstance(run.transcripts, str) else ", ".join(run.transcripts)
    what = "exons" if rule == "exons" else "first to last exon"
    return f"{rule}: sum of the bins over the gene's {what}, transcripts {named}, by haplotype"


@dataclass(frozen=True)
class Store:
    """The raw outputs of a run, on disk or in memory, and the description of its network."""

    units: Units | MemoryUnits
    description: RunDescription

    @property
    def path(self) -> Path:
        """The folder of a store on disk."""
        return self.units.folder

    @property
    def provenance_path(self) -> Path:
        """The JSON file that says how the store was made, with the counts of all its genes."""
        return self.path / "provenance.json"

    def has(self, gene: Gene) -> bool:
        """Whether the gene is finished."""
        return self.units.has(gene.gene_id)

    def write(
        self,
        gene: Gene,
        values: np.ndarray,
        index: np.ndarray,
        counts: Counter[str],
        region: str | None = None,
    ) -> None:
        """Keep a gene; `region` is that of the network's training data it lies in."""
        self.units.write(gene.gene_id, {"values": values, "index": index}, counts, region=region)

    def read(self, gene_id: str, tissue: str | None = None) -> Unit:
        """Return a finished gene with the tracks of a tissue; HowfarError for a damaged file.

        tissue: None for the study's own, or where there is one alone.
        """
        unit, tissues = self.units.read(gene_id), self.description.tissues
        if not tissues:
            return unit
        places = list(tissues[tissue or next(iter(tissues))])
        values = unit.arrays["values"][..., places]
        return replace(unit, arrays={**unit.arrays, "values": values})

    def counts(self, genes: Iterable[Gene]) -> Counter[str]:
        """Sum what was counted when the finished ones of `genes` were made."""
        return self.units.counts(gene.gene_id for gene in genes)


def network_row(study: Study, run: Run, network: RunDescription) -> dict[str, Any]:
    """Return the row of a network's run in table `runs`."""
    return {
        "run_id": run.id,
        "study": study.name,
        "label": _label(study, run),
        "kind": "network",
        "model": run.model,
        "weights_sha256": network.weights_sha256,
        "tracks": "; ".join(network.tracks),
        "bins": network.bins or str(run.bins or default_bins(3)),
        "transform": " > ".join(run.transform),
        "units": _units(run, network),
        "context": None if network.engine == "given" else network.context,
        "alleles": run.alleles or study.cohort.alleles,
        "split": network.splits.get("definition"),
        "precision": network.precision,
        "engine": network.engine,
        "licence": bound(network.licence) or licence_of_run(run) or network.licence,
    }


def _label(study: Study, run: Run) -> str:
    """The run's label; it says so where a prediction isn't the mean of two haplotypes."""
    return f"{run.label} (unphased dosage)" if unphased_rule(study) == "dosage" else run.label


def _units(run: Run, network: RunDescription) -> str:
    """Units of a prediction: the model's, or their logarithm where the transform takes one."""
    if not any(step.startswith("log") for step in run.transform):
        return network.units
    return f"log of {network.units.split(',')[0]}"


def store_key(cohort: OpenCohort, run: Run, network: dict[str, Any]) -> Key:
    """Return the key of a run's raw outputs; `network`: what its loaded model adds."""
    options = {
        "run": run.id,
        "model": run.model,
        "options": run.options,
        "tracks": [0] if run.tracks is None else run.tracks,
        # Where the network's own rule or number of bins decides, `network` tells.
        "bins": run.bins or default_bins(3),
        "alleles": run.alleles or cohort.settings.alleles,
        "unphased": cohort.unphased,
        "network": network,
    }
    if run.tissue_tracks:
        options["tissue_tracks"] = run.tissue_tracks
    if run.strand != "both":
        options["strand"] = run.strand
    if run.readout is not None:
        options["readout"] = run.readout.recipe
    if run.annotation is not None or run.transcripts != "merged":
        options["transcripts"] = run.transcripts
        options["annotation"] = run.annotation and digest(resolve(run.annotation))
    key = cohort_key(
        cohort, "predict", options, ["prediction"], roles=_ROLES, cohort_settings=_SETTINGS
    )
    return replace(key, versions=key.versions | version_of(run.model))


def network_of(run: Run, model: SequenceModel) -> dict[str, Any]:
    """Return what a loaded model adds to the key of a run's raw outputs."""
    outputs = asdict(outputs_of(run, model, every=True))
    return {
        "weights_sha256": model.weights_sha256,
        "context": model.layout.context,
        **{name: value for name, value in outputs.items() if value not in ("", None)},
        "precision": model.precision,
        "engine": model.engine,
        "units": model.units,
    }


def folder_of(results: str | Path, study: str) -> Path:
    """Where a study's predictions lie."""
    return Path(results) / study / "predictions"


def open_store(cohort: OpenCohort, run: Run, model: SequenceModel, results: str | Path) -> Store:
    """Return the store of a run on the cohort's people; made if it isn't there."""
    folder = folder_of(results, cohort.study.name)
    key = store_key(cohort, run, network_of(run, model))
    if not any((folder / f"{run.id}-{key.digest}").glob("*.npz")):  # nor was anything compared
        settle_engine(cohort, run, model)
        key = store_key(cohort, run, network_of(run, model))
    units = Units.open(folder, run.id, key)
    others = stores_of(cohort.study.name, run, results)
    latest = max(others, key=lambda store: store.description.opened, default=None)
    if latest is not None and latest.path == units.folder:
        return latest  # already the one that an evaluation takes
    description = describe(run, model)
    sealed.write_json(units.folder / _DESCRIPTION, asdict(description))
    return Store(units, description)


def settle_engine(cohort: OpenCohort, run: Run, model: SequenceModel) -> None:
    """Have a network that shares work compare the first gene's first windows with the plain way.

    Where they differ it shares nothing from then on, before a key or a description names its
    engine. Does nothing for other networks.
    """
    if model.engine != "shared" or model.compared:
        return
    outputs, counted = outputs_of(run, model), Counter(cohort.warnings)
    context = model.layout.context
    for gene in cohort.genes_to_run():
        try:
            built = cohort.windows(gene, context, model.tss_offset(gene.strand), run.alleles)
        except HowfarError:  # it comes again where the gene is predicted
            continue
        bins = outputs.bins.get(gene.strand) or [model.tss_bin(gene.strand)]
        forward = np.concatenate([built.reference[None], built.rows(0, run.batch_size)])
        with about(run.place):
            model.predict(model.orient(forward, gene.strand), bins, outputs.tracks)
        break
    cohort.warnings = counted


def find_store(cohort: OpenCohort, run: Run, results: str | Path) -> Store | None:
    """Return the store of a run as it would be made now, found without its weights; None if none.

    Where predictions of several weights are there, those that were made or asked for last.
    """
    key = store_key(cohort, run, {})
    current = [
        store
        for store in stores_of(cohort.study.name, run, results)
        if not key.differences(store.units.key, ignore=("options.network",))
    ]
    return max(current, key=lambda store: store.description.opened, default=None)


def stores_of(study: str, run: Run, results: str | Path) -> list[Store]:
    """Return every store of a run on disk, current or not, by path; none of older versions."""
    stores = []
    for path in sorted(folder_of(results, study).glob(f"*/{_DESCRIPTION}")):
        if path.parent.name.rpartition("-")[0] == run.id:
            with suppress(sealed.Older):
                stores.append(Store(Units(path.parent), _read_description(path)))
    return stores


def _read_description(path: Path) -> RunDescription:
    try:
        return RunDescription(**sealed.read_json(path))
    except TypeError as error:
        raise damaged_file(
            path,
            error,
            "the description of a run's network",
            "Delete the file and run `howfar predict` again; predictions are kept.",
        ) from error


def finished_genes(cohort: OpenCohort, run: Run, store: Store) -> list[Gene]:
    """Return the genes that the run has predicted and count the others; NotMade for none."""
    every = cohort.genes_to_run()
    genes = [g for g in every if store.has(g)]
    if not genes:
        raise _not_predicted(cohort, run, str(store.path), 0)
    cohort.warnings[f"genes that run {run.id} has not predicted"] += len(every) - len(genes)
    return genes


def require_store(cohort: OpenCohort, run: Run, results: str | Path) -> Store:
    """Return a run's current store; NotMade where there is none."""
    store = find_store(cohort, run, results)
    if store is None:
        folder = folder_of(results, cohort.study.name)
        stale = [path for path in folder.glob(f"{run.id}-*") if path.is_dir()]
        raise _not_predicted(cohort, run, str(folder), 0, stale)
    return store


def _not_predicted(
    cohort: OpenCohort, run: Run, where: str, count: int, stale: Sequence[Path] = ()
) -> NotMade:
    why = f"; {len(stale)} stale: `howfar doctor --study {cohort.study.handle}` says why"
    return NotMade(
        f"{where}, run {run.id}",
        found=f"predictions of {count} genes" + (why if stale else ""),
        expected=f"of all {len(cohort.genes_to_run())}",
        do=f"Run `howfar predict --study {cohort.study.handle} --run {run.id}`.",
    )


def collect(
    store: Store,
    genes: Sequence[Gene],
    samples: Sequence[str],
    steps: Sequence[str],
    tissue: str | None = None,
) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Return transformed predictions (genes x people), those of the reference, and regions.

    The series are by gene id; a region is 'train', 'valid' or 'test' of the network's own data,
    None where that isn't known.
    """
    people, reference, regions = {}, {}, {}
    for gene in genes:
        unit = store.read(gene.gene_id, tissue)
        values = unit.arrays["values"]
        people[gene.gene_id] = transform(values[unit.arrays["index"]], steps)
        reference[gene.gene_id] = reference_prediction(values, steps)
        regions[gene.gene_id] = unit.notes.get("region")
    frame = pd.DataFrame.from_dict(people, orient="index", columns=list(samples))
    return frame, pd.Series(reference, name="reference"), pd.Series(regions, dtype=object)
