"""The cis-eQTL map of a study: all genes, written so that a killed run goes on where it stopped.

``results/<study>/eqtl/`` holds three Parquet files with provenance:

`nominal`: one row per gene and variant of its window with enough minor alleles. gene_id, variant
(chrom:position:ref:alt, 1-based), distance (position - TSS in bp, not signed by strand), maf,
r (partial Pearson), slope and slope_se (expression per copy of the alternative allele), t, p,
log10p (-log10 p).

`lead`: one row per gene, none left out. status (`STATUSES`), n (people), df, tried (variants),
rare (variants below the least minor allele frequency) and missing (other variants that lack too
many calls), the lead variant's columns as in `nominal`,
p_permuted, beta_df, beta_a, beta_b, p_beta, log10p_beta, q_bh and q (Benjamini-Hochberg's and
Storey's over genes, of p_beta), threshold (nominal p below which a variant of the gene counts).

`conditional`: one row per independent signal of the genes with q at or below the false discovery
rate: gene_id, rank, the variant's columns with the other signals as covariates, log10p_beta.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as arrow
import pyarrow.parquet as parquet

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.core import provenance
from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.core.progress import track
from howfar.core.project import resolve
from howfar.core.provenance import digest
from howfar.eqtl.covariates import covariate_table
from howfar.eqtl.gene import Beta, GeneData, independent, storey_q
from howfar.eqtl.gene import lead as find_lead
from howfar.eqtl.lead import Scan, covariate_basis, filled, minor_frequency
from howfar.results import tables
from howfar.stats import benjamini_hochberg
from howfar.study.schema import Eqtl, Study

STATUSES = ("mapped", "no_variants", "constant_expression", "too_few_people")
NAMES = ("nominal", "lead", "conditional")
_FIRST, _LAST = {"gene_id": str, "variant": str}, {"p": float, "log10p": float}
NOMINAL = _FIRST | dict.fromkeys(["distance", "maf", "r", "slope", "slope_se", "t"], float) | _LAST
LEAD = (
    {"gene_id": str, "status": str, "n": int, "df": int, "tried": int, "rare": int, "missing": int}
    | NOMINAL
    | dict.fromkeys(["p_permuted", "beta_df", "beta_a", "beta_b", "p_beta", "log10p_beta"], float)
)
CONDITIONAL = NOMINAL | {"rank": int, "log10p_beta": float}
_COUNTS = {"gene_id": str, "counts": str}  # what each gene was read with, as JSON
_VERSION = 2  # of these definitions; a new one makes old results out of date
_EVERY = 5.0  # seconds between writes of finished genes
_FEW = 10  # people; fewer are not mapped


@dataclass(frozen=True)
class Map:
    """What `compute` has made: tables `lead` and `conditional`, and where `nominal` lies."""

    lead: pd.DataFrame
    conditional: pd.DataFrame
    nominal: Path
    parameters: dict

    @property
    def counts(self) -> dict[str, int]:
        """What was counted on the way, and genes by their status."""
        statuses = self.lead["status"].str.replace("_", " ").value_counts()
        by_status = {f"genes, {status}": n for status, n in statuses.items()}
        return tables.read_provenance(self.nominal)["warnings"] | by_status

    def pairs(self, genes: Iterable[str]) -> pd.DataFrame:
        """Rows of `nominal` of these genes."""
        wanted = sorted(set(genes))
        if not wanted:  # a filter needs a value to know its type from
            return _arrow(pd.DataFrame(), NOMINAL).to_pandas()
        return tables.frame_of(self.nominal, filters=[("gene_id", "in", wanted)])


def path_of(results: str | Path, study: str, name: str) -> Path:
    """Where the table `name` of the map lies."""
    return Path(results) / study / "eqtl" / f"{name}.parquet"


# --- one gene --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prepared:
    """One gene as it is mapped, or the status that leaves it out.

    counts: n, tried, rare, missing, df, as in `lead`. data: with "mapped" alone, as are variant
    (names) and maf, one each per column of its genotypes.
    """

    gene_id: str
    status: str
    counts: dict[str, int]
    data: GeneData | None = None
    variant: np.ndarray | None = None
    maf: np.ndarray | None = None

    def columns(self, scan: Scan, at: int | slice = slice(None)) -> dict:
        """Return the columns of `nominal` for the variants `at`, with their statistics."""
        statistics = {"r": scan.r, "slope": scan.slope, "slope_se": scan.se, "t": scan.t}
        statistics |= {"p": scan.p, "log10p": scan.log10p}
        columns = {"variant": self.variant, "distance": self.data.distance, "maf": self.maf}
        rows = {name: values[at] for name, values in (columns | statistics).items()}
        return {"gene_id": self.gene_id} | rows


@dataclass(frozen=True)
class MappedGene:
    """One gene's row of `lead`, and its columns of `nominal`, None where it isn't mapped."""

    lead: dict
    nominal: dict | None = None


def prepared(
    panel: Panel, gene: tuple, covariates: pd.DataFrame, min_maf: float, max_missing: float
) -> Prepared:
    """Prepare one gene (a row of `panel.genes`): its people, variants and covariates."""
    y = panel.expression.loc[gene.gene_id].to_numpy(float)
    measured = ~np.isnan(y)
    dosages, variants = panel.dosages(gene.gene_id)
    calls, y = dosages[measured].astype(float), y[measured]
    x = filled(calls)
    maf = minor_frequency(x)
    # Of the people with expression: a variant rare among them says nothing of this gene.
    rare = (maf < min_maf) | (maf == 0)
    lacking = ~rare & (np.isnan(calls).sum(axis=0) > max_missing * len(y))
    common = np.flatnonzero(~rare & ~lacking)
    z = covariates.to_numpy(float)[measured] if covariates.shape[1] else None
    df = len(y) - covariate_basis(z, len(y)).shape[1] - 1 if len(y) else 0
    counts = {"n": len(y), "tried": len(common), "rare": int(rare.sum())}
    counts |= {"missing": int(lacking.sum()), "df": max(df, 0)}
    if len(y) < _FEW or df < 1:
        return Prepared(gene.gene_id, "too_few_people", counts)
    if np.ptp(y) == 0:
        return Prepared(gene.gene_id, "constant_expression", counts)
    if not common.size:
        return Prepared(gene.gene_id, "no_variants", counts)
    distance = np.array([variants[i].start0 - (gene.tss - 1) for i in common], float)
    names = np.array([str(variants[i]) for i in common], object)
    data = GeneData(x[:, common], y, distance, z)
    return Prepared(gene.gene_id, "mapped", counts, data, names, maf[common])


def map_gene(
    panel: Panel, gene: tuple, covariates: pd.DataFrame, min_maf: float, options: Eqtl
) -> MappedGene:
    """Map one gene (a row of `panel.genes`): its lead variant and all pairs."""
    source = prepared(panel, gene, covariates, min_maf, options.max_missing)
    row = {"gene_id": gene.gene_id, "status": source.status} | source.counts
    if source.data is None:
        return MappedGene(row)
    lead = find_lead(source.data, options.permutations, options.seed)
    if lead is None:  # nothing is left beyond the covariates, of the variants or of expression
        status = "no_variants" if source.data.varies else "constant_expression"
        return MappedGene(row | {"status": status})
    row |= source.columns(lead.scan, lead.index) | {
        "p_permuted": lead.p_permuted,
        "beta_df": lead.beta.df,
        "beta_a": lead.beta.a,
        "beta_b": lead.beta.b,
        "p_beta": lead.p_beta,
        "log10p_beta": lead.log10p_beta,
    }
    return MappedGene(row, source.columns(lead.scan))


def signals_of_gene(
    panel: Panel,
    gene: tuple,
    covariates: pd.DataFrame,
    min_maf: float,
    options: Eqtl,
    threshold: float,
) -> list[dict]:
    """Find rows of `conditional` of one gene; one row of rank 0 where no signal stays."""
    source = prepared(panel, gene, covariates, min_maf, options.max_missing)
    signals = independent(source.data, threshold, options.permutations, options.seed)
    rows = [
        source.columns(each.lead.scan, each.lead.index)
        | {"rank": each.rank, "log10p_beta": each.lead.log10p_beta}
        for each in signals
    ]
    return rows or [{"gene_id": gene.gene_id, "rank": 0}]


# --- the study -------------------------------------------------------------------------------


def compute(
    study: Study, cohort: OpenCohort, panel: Panel, results: str | Path, options: Eqtl
) -> Map:
    """Map every gene of `panel` and write the three tables; finished genes are kept.

    Tables are begun anew where an option or an input file has changed.
    """
    text = _text(definition_of(study, options))
    here = load(study, results, options)
    if here is not None:
        return here
    parts = Parts(path_of(results, study.name, "parts").with_suffix(""), text)
    covariates = covariate_table(panel, options, study.cohort.sample_map)
    min_maf, window = study.evaluation.min_maf, study.evaluation.cis_window
    genes = list(panel.genes.itertuples(index=False))
    done = parts.genes("lead")
    for row in parts.read("counts", _COUNTS).itertuples():
        cohort.count_gene(row.gene_id, window, json.loads(row.counts))
    todo = [g for g in genes if g.gene_id not in done]
    made = (map_gene(panel, g, covariates, min_maf, options) for g in todo)
    for batch in _batches(track(made, len(genes), f"{study.name}: eQTL genes", done=len(done))):
        nominal = [pd.DataFrame(each.nominal) for each in batch if each.nominal is not None]
        parts.write("nominal", pd.concat(nominal) if nominal else pd.DataFrame(), NOMINAL)
        lead = pd.DataFrame([each.lead for each in batch])
        counts = [json.dumps(cohort.counts_of(gene, window)) for gene in lead["gene_id"]]
        parts.write("counts", lead[["gene_id"]].assign(counts=counts), _COUNTS)
        parts.write("lead", lead, LEAD)
    lead = with_q(parts.read("lead", LEAD), options.fdr)
    _signals(parts, panel, covariates, min_maf, options, lead)
    return _finished(study, cohort, results, options, parts, lead)


def map_study(study: Study, results: str | Path, options: Eqtl) -> Map:
    """Map the cis-eQTLs of a study from its files (see `compute`)."""
    cohort = OpenCohort(study)
    return compute(study, cohort, cohort.panel(), results, options)


def _signals(parts: Parts, panel, covariates, min_maf, options: Eqtl, lead: pd.DataFrame) -> None:
    """Write the parts of `conditional` that aren't there."""
    chosen = set(lead.loc[lead["q"] <= options.fdr, "gene_id"])
    if not chosen:
        return
    threshold = lead.loc[lead["q"] <= options.fdr, "p_beta"].max()
    done = parts.genes("conditional")
    todo = [g for g in panel.genes.itertuples(index=False) if g.gene_id in chosen - done]
    made = (signals_of_gene(panel, g, covariates, min_maf, options, threshold) for g in todo)
    watched = track(made, len(chosen), "independent signals: genes", done=len(done))
    for batch in _batches(watched):
        rows = pd.DataFrame([row for rows in batch for row in rows])
        parts.write("conditional", rows, CONDITIONAL)


def with_q(lead: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """`lead` with q_bh, q and each gene's nominal threshold at this false discovery rate.

    The threshold is the nominal p that gives the gene a p_beta midway between the largest of the
    genes found and the smallest of the others (FastQTL's rule); none where no gene is found.
    """
    p = lead["p_beta"].to_numpy(float)
    q = storey_q(p)
    lead = lead.assign(q_bh=benjamini_hochberg(p), q=q, threshold=np.nan)
    found = q <= fdr
    if not found.any():
        return lead
    others = p[q > fdr]
    limit = (p[found].max() + (others.min() if others.size else p[found].max())) / 2
    mapped = lead["status"] == "mapped"
    lead.loc[mapped, "threshold"] = [
        Beta(r.beta_df, r.beta_a, r.beta_b).nominal_threshold(limit, r.df)
        for r in lead[mapped].itertuples()
    ]
    return lead


def definition_of(study: Study, options: Eqtl) -> dict:
    """All that a map depends on: options, window, least frequency, and input files by SHA-256."""
    files = dict(input_files(study))
    if options.covariates is not None:
        files["covariates"] = _existing(resolve(options.covariates))
    return {
        "version": _VERSION,
        "options": options.model_dump(mode="json"),
        "window": study.evaluation.cis_window,
        "min_maf": study.evaluation.min_maf,
        "max_ref_mismatch": study.cohort.max_ref_mismatch,
        "gene_versions": study.cohort.gene_versions,
        "tss": study.cohort.tss,
        "inputs": {role: digest(path) for role, path in sorted(files.items())},
    }


def _existing(path: Path) -> Path:
    if path.is_file():
        return path
    raise HowfarError(
        str(path), found="no such file", expected="covariates of an eQTL map",
        do="Correct `eqtl.covariates` in the study file, or --covariates.",
    )  # fmt: skip


def load(study: Study, results: str | Path, options: Eqtl | None = None) -> Map | None:
    """The map on disk, or None where there is none of these options, window and input files.

    options: None takes the map with whichever options it was made.
    """
    paths = [path_of(results, study.name, name) for name in NAMES]
    if not all(path.is_file() for path in paths):
        return None
    kept = tables.read_provenance(paths[1]).get("parameters", {})
    options = options or Eqtl.model_validate(kept.get("options", {}))
    if _text(definition_of(study, options)) != _text(kept):
        return None
    lead, conditional = tables.frame_of(paths[1]), tables.frame_of(paths[2])
    return Map(lead, conditional, paths[0], kept)


def _text(definition: dict) -> str:
    return json.dumps(definition, sort_keys=True)


def _finished(study: Study, cohort, results, options: Eqtl, parts: Parts, lead) -> Map:
    """Write the three tables from the parts, remove the parts, and read the map."""
    block = provenance.block(definition_of(study, options), input_files(study),
                             seed=options.seed, warnings=cohort.warnings)  # fmt: skip
    conditional = parts.read("conditional", CONDITIONAL)
    conditional = conditional[conditional["rank"] > 0].sort_values(["gene_id", "rank"])
    _write(path_of(results, study.name, "nominal"), parts.frames("nominal"), NOMINAL, block)
    _write(path_of(results, study.name, "conditional"), [conditional], CONDITIONAL, block)
    kinds = LEAD | dict.fromkeys(["q_bh", "q", "threshold"], float)
    _write(path_of(results, study.name, "lead"), [lead.sort_values("gene_id")], kinds, block)
    shutil.rmtree(parts.folder)
    return load(study, results, options)


def _batches(items: Iterable, every: float = _EVERY) -> Iterator[list]:
    """Lists of items, one at least every so many seconds."""
    batch, start = [], time.monotonic()
    for item in items:
        batch.append(item)
        if time.monotonic() - start >= every:
            yield batch
            batch, start = [], time.monotonic()
    if batch:
        yield batch


_ARROW = {str: arrow.string(), float: arrow.float64(), int: arrow.int64()}


def _arrow(frame: pd.DataFrame, kinds: dict[str, type]) -> arrow.Table:
    schema = arrow.schema([(name, _ARROW[kind]) for name, kind in kinds.items()])
    full = frame.reindex(columns=list(kinds)).reset_index(drop=True)
    return arrow.Table.from_pandas(full, schema, preserve_index=False).replace_schema_metadata()


def _write(path: Path, frames: Iterable[pd.DataFrame], kinds: dict[str, type], block: dict) -> None:
    """One Parquet file from `frames`, whole or not at all, `block` in its metadata."""
    schema = _arrow(pd.DataFrame(), kinds).schema
    schema = schema.with_metadata({b"howfar": json.dumps(block, sort_keys=True).encode()})
    with whole(path) as part, parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        for frame in frames:
            writer.write_table(_arrow(frame, kinds).cast(schema))


class Parts:
    """Finished genes of a run that isn't finished, in a folder that names its definition."""

    def __init__(self, folder: Path, definition: str) -> None:
        """Take up `folder`; what lies there of another definition is removed."""
        self.folder = folder
        mark = folder / "definition.json"
        if not mark.is_file() or mark.read_text() != definition:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            mark.write_text(definition)

    def _files(self, name: str) -> list[Path]:
        return sorted(self.folder.glob(f"{name}-*.parquet"))

    def write(self, name: str, frame: pd.DataFrame, kinds: dict[str, type]) -> None:
        """Add rows to the table `name`; those of a gene count once `lead` has the gene."""
        number = len(self._files(name if name == "conditional" else "lead"))
        _write(self.folder / f"{name}-{number:06d}.parquet", [frame], kinds, {})

    def frames(self, name: str) -> Iterator[pd.DataFrame]:
        """The table `name`, part by part."""
        return (tables.frame_of(path) for path in self._files(name))

    def read(self, name: str, kinds: dict[str, type]) -> pd.DataFrame:
        """The table `name` whole."""
        empty = _arrow(pd.DataFrame(), kinds).to_pandas()
        found = [frame for frame in self.frames(name) if len(frame)]
        return pd.concat(found, ignore_index=True) if found else empty

    def genes(self, name: str) -> set[str]:
        """Ids of the genes that the table `name` holds."""
        return {gene for frame in self.frames(name) for gene in frame["gene_id"]}
