"""A study is one YAML file in ``data/studies/``; this module reads and checks it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from howfar.core.errors import HowfarError
from howfar.core.project import from_folder, is_there, project_root, resolve
from howfar.core.registry import DRIVER_RULES, LINEAR_MODELS, STRATEGIES

_MOST = 2**31 - 1  # a contig's length, a seed, as every library takes them


_Linear = Literal[tuple(LINEAR_MODELS)]  # type: ignore[valid-type]
_DriverRule = Literal[tuple(DRIVER_RULES)]  # type: ignore[valid-type]
_Strategy = Literal[tuple(STRATEGIES)]  # type: ignore[valid-type]


#: Folders of the results folder that are no study's.
RESERVED = ("book", "cohorts", "indexes", "models", "sources", "timings")


def _from_its_file(path: Path, info: ValidationInfo) -> Path:
    """Count a path from the folder of the study file, of which the validation's context tells."""
    file = (info.context or {}).get("file")
    if file is None:
        return path
    found = from_folder(path, file.parent)
    if path.is_absolute() or found == path or is_there(found):
        return found
    old = project_root() / path
    if is_there(old):
        line = f"{info.field_name}: {os.path.relpath(old, file.parent.resolve())}"
        raise HowfarError(
            f"{file}, key {info.field_name}",
            found=f"the path {path}, which is there only if it counts from the project's folder",
            expected="a path that counts from the study file's folder",
            do=f"Write `{line}`, or an absolute path.",
        )
    return found


#: A path of a study file: absolute, ``results/...``, ``~/...``, or relative to the file's folder.
StudyPath = Annotated[Path, AfterValidator(_from_its_file)]


#: A folder and part of a label.
_Tissue = Annotated[str, Field(pattern=r"^\w[\w .-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reality(_Strict):
    """Which parts are real and which simulated; every figure's caption says so."""

    genotypes: str
    expression: str
    weights: str


class Only(_Strict):
    """Which genes of the gene table are used; where both are given, those in both."""

    genes: list[str] = []  # ids or names; empty: all
    contigs: list[str] = []  # empty: all

    @field_validator("genes", "contigs", mode="before")
    @classmethod
    def _words(cls, given: Any) -> Any:
        """Take `20` for `"20"`, as contigs are named by numbers."""
        return [str(x) if type(x) is int else x for x in given] if type(given) is list else given


class Cohort(_Strict):
    """The files of a cohort; `resolve` says what relative paths count from."""

    reference: StudyPath | None = None  # what reads sequence needs it; it checks REF elsewhere
    variants: StudyPath
    genes: StudyPath | None = None  # None: the places of an expression BED
    expression: StudyPath | None = None  # or {tissue: file, ...}, of which the first is the study's
    tissues: dict[_Tissue, StudyPath] = {}  # filled in from such an `expression`
    samples: StudyPath | None = None  # columns sample, population
    sample_map: StudyPath | None = None  # columns expression, genotype, where samples' names differ
    only: Only | None = None  # None: all genes of the gene table
    # Of a GTF or GFF3, or 'centre' of a BED whose rows are peaks (genes.read_genes).
    tss: Literal["gene", "canonical", "first", "centre"] = "gene"
    alleles: Literal["snv", "all"] = "snv"
    # None: 'dosage' for PLINK 1 files, which carry no phase; else 'error'
    unphased: str | None = Field(None, pattern=r"^(error|dosage|random\(\d+\))$")
    max_ref_mismatch: float = Field(0.01, ge=0, le=1)
    max_n: float = Field(0.5, ge=0, le=1)  # share of N in a gene's reference window
    gene_versions: Literal["keep", "strip"] = "keep"
    expression_units: str = "expression"
    log_base: float | None = Field(
        math.e, gt=1, allow_inf_nan=False
    )  # of the expression; None: a linear scale

    @model_validator(mode="before")
    @classmethod
    def _by_tissue(cls, given: Any) -> Any:
        """Take ``expression: {LCL: FILE, blood: FILE}`` as the first file, and all by tissue."""
        if not isinstance(given, dict) or not isinstance(given.get("expression"), dict):
            return given
        tissues = given["expression"]
        if given.get("tissues") or not tissues:
            raise ValueError("`expression` as a file, or as one file for each tissue")
        return given | {"expression": next(iter(tissues.values())), "tissues": tissues}


#: Keys of `Cohort` that are files.
FILES = ("reference", "variants", "genes", "expression", "samples", "sample_map")


def _source_of(path: Path | None) -> str | None:
    """Id in data/sources.csv of a file below ``results/sources``; None for other files."""
    fetched = path is not None and path.parts[:2] == ("results", "sources")
    return "/".join(path.parts[2:]) if path is not None and fetched else None


#: Options of networks that are files or folders. They stay as written, as they stand in the key
#: of the predictions.
_FILE_OPTIONS = ("params", "targets", "tissues")


class Readout(_Strict):
    """All tracks of a network weighted into expression (see `howfar.models.readout`)."""

    weights: StudyPath
    recipe: Literal["sagenet2024", "sasse2023"] = "sagenet2024"


class Run(_Strict):
    """One model applied in one way; together the fields define what a prediction is."""

    id: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")
    label: str
    model: str
    weights: StudyPath | None = None
    options: dict[str, Any] = {}
    tracks: list[int | str | dict[str, Any]] | None = None  # None: the only one of the model
    tissue_tracks: dict[str, list[int | str | dict[str, Any]]] = {}  # from `tracks` by tissue
    # 'sense': each gene by the tracks of its own strand, where tracks come in pairs
    strand: Literal["both", "sense"] = "both"
    readout: Readout | None = None  # None: the tracks themselves
    # None: as the network is read (Borzoi: exons), or three around the TSS, or the one there is
    bins: str | list[int] | None = None
    annotation: StudyPath | None = None  # GTF or GFF3 of `bins: exons | gene`; None: cohort.genes
    transcripts: Literal["merged", "canonical"] | list[str] = "merged"
    licence: str | None = None  # of the values, where the package doesn't know it
    transform: list[str] = ["sum_bins", "mean_tracks", "mean_haplotypes"]
    alleles: Literal["snv", "all"] | None = None  # None: as the cohort says
    device: str = "auto"
    batch_size: int = Field(8, ge=1)
    _place: str = PrivateAttr("")
    _folder: Path = PrivateAttr(Path())

    @model_validator(mode="before")
    @classmethod
    def _from_a_table(cls, given: Any) -> Any:
        """``predictions: FILE`` with `units` and `made` stands for model `table`."""
        if not isinstance(given, dict) or "predictions" not in given:
            return given
        keys = dict(given)
        if {"model", "weights", "tracks", "options"} & set(keys):
            raise ValueError("either `predictions`, or a model with its keys")
        words = {name: keys.pop(name) for name in ("units", "made") if name in keys}
        file = keys.pop("predictions")
        return keys | {"model": "table", "weights": file, "options": words}

    @field_validator("tracks", mode="before")
    @classmethod
    def _one_rule(cls, tracks: Any) -> Any:
        """Take ``tracks: {match: WORDS, count: N}`` for a list of that one."""
        return [tracks] if isinstance(tracks, dict) else tracks

    @model_validator(mode="before")
    @classmethod
    def _by_tissue(cls, given: Any) -> Any:
        """Take ``tracks: {LCL: [...], blood: [...]}`` as the first's tracks, and all by tissue."""
        tissues = given.get("tracks") if isinstance(given, dict) else None
        if not isinstance(tissues, dict) or "match" in tissues:
            return given
        if given.get("tissue_tracks") or not tissues:
            raise ValueError("`tracks` as a list, or as one list for each tissue")
        lists = {name: [t] if isinstance(t, dict) else t for name, t in tissues.items()}
        return given | {"tracks": next(iter(lists.values())), "tissue_tracks": lists}

    @field_validator("options")
    @classmethod
    def _not_of_the_run(cls, options: dict[str, Any]) -> dict[str, Any]:
        if {"weights", "device", "batch_size"} & set(options):
            raise ValueError("no weights, device or batch_size: they are keys of the run itself")
        return options

    @model_validator(mode="after")
    def _one_choice_of_tracks(self) -> Run:
        if self.readout is not None and self.tracks is not None:
            raise ValueError("either `tracks` or `readout`, which weighs all tracks")
        if self.readout is not None and self.strand != "both":
            raise ValueError("`strand: sense` with `tracks`, not with `readout`")
        return self

    @property
    def place(self) -> str:
        """Where the run is described, for messages: its study's file and its id."""
        return self._place or f"run {self.id}"

    @property
    def network_options(self) -> dict[str, Any]:
        """`options` as the network takes them: those that are files counted as `resolve` does."""
        return {
            name: self._files(value) if name in _FILE_OPTIONS else value
            for name, value in self.options.items()
        }

    @property
    def option_files(self) -> list[Path]:
        """The files and folders that `options` name."""
        values = [self.network_options.get(name) for name in _FILE_OPTIONS]
        every = [each for v in values for each in (v if isinstance(v, list) else [v])]
        return [each for each in every if isinstance(each, Path)]

    def _files(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._files(each) for each in value]
        return resolve(from_folder(Path(value), self._folder)) if isinstance(value, str) else value

    @property
    def weight_files(self) -> list[Path]:
        """The files and folders of weights: the network's, and its readout's."""
        own = [] if self.weights is None else [self.weights]
        if self.readout is None:
            return own
        path = self.readout.weights
        return [*own, path, *([path.with_name("intercept.npy")] if path.suffix == ".npy" else [])]

    @property
    def fetched_weights(self) -> str | None:
        """Id in data/sources.csv of weights below ``results/sources``; None for other weights."""
        return _source_of(self.weights)


class Evaluation(_Strict):
    """Options of the statistics."""

    null_draws: int = Field(10_000, ge=100)
    cis_window: int = Field(200_000, ge=1, le=_MOST)  # bp in total, centred on the TSS
    min_maf: float = Field(0.05, ge=0, lt=0.5)
    folds: int = Field(5, ge=2)
    bootstrap: int = Field(2_000, ge=100)
    drivers: _DriverRule = "sasse-forward"
    seed: int = Field(1, ge=0, le=_MOST)


class Baselines(_Strict):
    """Linear models trained on the cohort itself (see `howfar.linear`)."""

    models: list[_Linear] = []
    window: int = Field(196_608, ge=1, le=_MOST)  # bp in total, centred on the TSS
    min_maf: float = Field(0.05, ge=0, lt=0.5)  # in the people who train
    max_missing: float = Field(0.05, ge=0, le=1)  # share of calls
    variant_types: Literal["snv", "all"] = "snv"
    folds: int = Field(5, ge=2)
    seed: int = Field(1, ge=0, le=_MOST)
    genes: dict[_Linear, Annotated[int, Field(ge=1)]] = {}  # model: so many genes, drawn


class Eqtl(_Strict):
    """How cis-eQTLs are mapped; window and minor allele frequency are those of `Evaluation`."""

    covariates: StudyPath | None = None  # covariates x samples, as FastQTL has them, or turned
    external: StudyPath | None = None  # slopes that others published (eqtl.external)
    populations: bool = True  # populations of the sample table as covariates
    expression_pcs: int = Field(0, ge=0)
    genotype_pcs: int = Field(0, ge=0)
    max_missing: float = Field(0.05, ge=0, le=1)  # share of calls a variant may lack
    permutations: int = Field(1_000, ge=100)
    fdr: float = Field(0.05, gt=0, lt=1)  # of genes whose independent signals are looked for
    seed: int = Field(1, ge=0, le=_MOST)


class Cures(_Strict):
    """What is compared of a network that errs across people (see `howfar.attribution.cures`)."""

    run: str | None = None  # None: the study's first
    genes: int = Field(0, ge=0)  # so many, evenly spaced along the table; 0: all
    tracks: str = "ChIP"  # what descriptions begin with of those that it is told the sign of
    promoter: int = Field(320, ge=0, le=_MOST)  # bp either side of the TSS summed by themselves
    window: int = Field(32_768, ge=1, le=_MOST)  # bp in total, of the linear models
    min_maf: float = Field(0.05, ge=0, lt=0.5)
    folds: int = Field(5, ge=2)
    seed: int = Field(1, ge=0, le=_MOST)


class FineTune(_Strict):
    """A training on the study's people (see `howfar.training`), kept in finetune/<name>."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")
    strategy: _Strategy
    run: str | None = None  # that it begins from; None: the study's first
    as_published: bool = False
    options: dict[str, Any] = {}  # of the strategy (training.recipe.Recipe)
    splits: dict[str, Any] = {}  # who and what is held out (training.splits.SplitOptions)


class Published(_Strict):
    """A study whose tables others published: the loader and the files it needs."""

    loader: str
    needs: list[str]  # ids of data/sources.csv
    expression_units: str = "expression"
    level: Literal["mean", "median"] = "mean"  # over people, beside reference predictions


#: Widths of figures by name, mm: a journal's one column, and both.
FIGURE_WIDTHS = {"single": 89.0, "double": 183.0}


class Style(_Strict):
    """How figures look, where not as the book's."""

    width: Literal["single", "double"] | Annotated[float, Field(ge=60, le=400)] | None = None  # mm
    font: str = ""  # family of an installed font
    size: float | None = Field(
        None, ge=5, le=20
    )  # points of an axis's name; the rest in proportion
    #: Colours of runs in drawing order, or by run_id, label or model.
    palette: list[str] | dict[str, str] = []


class Study(_Strict):
    """One study: a cohort with runs, or published tables."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    summary: str = ""
    individuals: Literal["public", "private"] = "private"
    min_people: int | None = Field(None, ge=1)  # behind a shared value; None: by `individuals`
    weights: Literal["shareable", "private"] = "private"  # trained on the study's people
    # Of weights whose values nothing may be fitted to: that you may all the same, for research.
    terms: Literal["accepted-for-research"] | None = None
    reality: Reality
    simulate: dict[str, Any] | None = None  # {world: demo, seed: 1, ...}
    train: dict[str, Any] = {}  # options of the demo model's training (demo.train.Recipe)
    cohort: Cohort | None = None
    runs: list[Run] = []
    effects: list[str] = []  # genes (ids or names) whose variants are looked at one by one
    gradients: int = Field(0, ge=0)  # along so many genes' windows, evenly spaced, beside `effects`
    evaluation: Evaluation = Evaluation()
    baselines: Baselines = Baselines()
    cures: Cures | None = None  # None: compared by `howfar cures` alone
    finetune: list[FineTune] = []  # trained in this order, before runs are predicted
    eqtl: Eqtl | None = None  # None: cis-eQTLs are mapped by `howfar eqtl` alone
    published: Published | None = None
    style: Style = Style()
    beside: list[str] = []  # studies whose tables stand beside these in some figures
    drawn_from: StudyPath | None = None  # tables (`howfar export --summary`) for a book
    notebooks: list[str] = ["reference_correlation", "across_individuals", "tss_distance"]
    _file: Path | None = PrivateAttr(None)

    @field_validator("name")
    @classmethod
    def _own_folder(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"a name other than {', '.join(RESERVED)}: folders of the results")
        return name

    @model_validator(mode="after")
    def _one_kind(self) -> Study:
        if (self.cohort is None) == (self.published is None):
            raise ValueError("a study has either `cohort` or `published`, and not both")
        ids = [run.id for run in self.runs]
        if len(ids) != len(set(ids)):
            raise ValueError(f"run ids must differ, found {sorted(ids)}")
        models = self.baselines.models
        if len(set(models)) < len(models) or set(models) & set(ids):
            raise ValueError(
                f"models of `baselines` and run ids must differ, found {models}, {ids}"
            )
        if self.cohort is not None and self.cohort.reference is None:
            networks = [run for run in self.runs if run.model != "table"]
            reads = {"runs": networks, "effects": self.effects, "simulate": self.simulate}
            if keys := [key for key, value in reads.items() if value]:
                raise ValueError(f"`cohort.reference`, a FASTA, as `{keys[0]}` reads sequence")
        if self.cohort is not None and self.cohort.genes is None is self.cohort.expression:
            raise ValueError("`cohort.genes`, or an expression BED with the genes' places")
        if models and self.cohort is None:
            raise ValueError("`baselines` need a cohort")
        if self.cures and (self.cures.run or next(iter(ids), None)) not in ids:
            raise ValueError(f"`cures` need a run of the study, found {self.cures.run} of {ids}")
        known = list(self.cohort.tissues) if self.cohort is not None else []
        for run in self.runs:
            named = list(run.tissue_tracks)
            if named and (set(named) - set(known) or named[0] != known[0]):
                raise ValueError(
                    f"`tracks` of run {run.id} by the tissues of `cohort.expression`, the first of "
                    f"them first: {', '.join(known) or 'none'}; found {', '.join(named)}"
                )
        names = [each.name for each in self.finetune]
        if len(set(names)) < len(names) or {t.run for t in self.finetune} - {*ids, None}:
            raise ValueError(f"`finetune` needs names that differ and the study's runs: {names}")
        return self

    @property
    def place(self) -> str:
        """The file the study was read from, for messages; else its name."""
        return f"study {self.name}" if self._file is None else str(self._file)

    @property
    def handle(self) -> str:
        """How commands are told of the study: its name, or its file where that lies elsewhere."""
        known = self._file is None or self._file.resolve() == study_file(self.name).resolve()
        return self.name if known else str(self._file.resolve())

    def from_file(self, path: Path | None) -> Study:
        """The study itself, noted as read from `path`."""
        self._file = path
        for run in self.runs:
            run._place = f"{self.place}, run {run.id}"
            run._folder = Path() if path is None else path.parent
        return self

    @property
    def expression_units(self) -> str:
        """Units of the observed expression, for axis labels."""
        return (self.cohort or self.published).expression_units

    @property
    def level(self) -> str:
        """What stands beside a reference prediction: 'mean' or 'median' over people."""
        return self.published.level if self.published else "mean"

    @property
    def needs(self) -> list[str]:
        """Ids of the fetched files that the study is made from, weights of its runs included."""
        if self.published:
            return self.published.needs
        files = [getattr(self.cohort, name) for name in FILES]
        fetched = {_source_of(path) for path in [*files, *self.eqtl_files]}
        fetched |= {_source_of(path) for run in self.runs for path in run.weight_files}
        return [*(self.simulate or {}).get("from", []), *sorted(fetched - {None})]

    @property
    def eqtl_files(self) -> list[Path]:
        """Files that the key `eqtl` names."""
        named = [] if self.eqtl is None else [self.eqtl.covariates, self.eqtl.external]
        return [path for path in named if path is not None]

    @property
    def trained_weights(self) -> list[Path]:
        """Weights that the study's own training makes: those of a simulation, not fetched."""
        if not self.simulate:
            return []
        own = [r for r in self.runs if r.model != "fine-tuned"]
        kept = {r.weights for r in own if r.weights and not r.fetched_weights}
        return sorted(resolve(path) for path in kept)

    @property
    def fetch_names(self) -> list[str]:
        """The names under which `howfar fetch` brings these files."""
        return sorted({need.split("/")[0] for need in self.needs})

    def run(self, run_id: str) -> Run:
        """The run of that id; HowfarError if there is none."""
        for run in self.runs:
            if run.id == run_id:
                return run
        raise HowfarError(
            f"{self.place}, key runs",
            found=f"no run {run_id!r} among {', '.join(r.id for r in self.runs) or 'none at all'}",
            expected="the run that was asked for",
            do="Correct the run's name, or add it to the study file.",
        )

    def chosen_runs(self, run: str = "", model: str = "") -> list[Run]:
        """Return the runs of that id and model, all where neither is given; HowfarError if none."""
        runs = [self.run(run)] if run else list(self.runs)
        kept = [each for each in runs if model in ("", each.model)]
        if not kept:
            every = ", ".join(f"run {each.id} of model {each.model}" for each in self.runs)
            raise HowfarError(
                f"{self.place}, key runs",
                found=every or "no run",
                expected=f"a run of model {model}" if model else "a run to predict",
                do="Correct --run or --model, or add a run to the study file.",
            )
        return kept


def study_file(name: str) -> Path:
    """``data/studies/<name>.yaml``, or `name` itself where it is a path to a YAML file."""
    if not isinstance(name, str):  # papermill reads `-p study 2024` as a number
        raise HowfarError(
            "parameter study",
            found=f"{name!r}, a {type(name).__name__}",
            expected="a study's name or its YAML file, as text",
            do=f"Write it in quotes; by papermill `-r study {name}`.",
        )
    given = Path(name)
    if given.suffix in (".yaml", ".yml"):
        return given
    return project_root() / "data" / "studies" / f"{name}.yaml"


def study_names() -> list[str]:
    """Names of the studies in ``data/studies/``, the template left out."""
    found = sorted(p.stem for p in (project_root() / "data" / "studies").glob("*.yaml"))
    return [name for name in found if name != "template"]
