"""The cis-eQTL map of a study: every gene a unit of the cache, then three tables.

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

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as arrow

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.core import provenance, sealed
from howfar.core.atomic import only_one
from howfar.core.errors import no_such_file
from howfar.core.progress import track
from howfar.core.project import resolve
from howfar.core.provenance import digest
from howfar.core.versions import versions_of
from howfar.eqtl.covariates import covariate_table
from howfar.eqtl.gene import Beta, GeneData, independent, known_lead, storey_q
from howfar.eqtl.gene import lead as find_lead
from howfar.eqtl.lead import Scan, covariate_basis, filled, minor_frequency
from howfar.results import cache, tables
from howfar.results.cache import Key, Units
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
_ROW_GROUP = 100  # genes in a row group of `nominal`: few enough that a gene is found fast
_FEW = 10  # people; fewer are not mapped


@dataclass(frozen=True)
class Map:
    """A finished map: tables `lead` and `conditional`, where `nominal` lies, the cache key.

    options: it was made with; by_hand: they were not the study file's, but a command's.
    """

    lead: pd.DataFrame
    conditional: pd.DataFrame
    nominal: Path
    key: dict
    options: Eqtl
    by_hand: bool

    @property
    def counts(self) -> dict[str, int]:
        """What was counted on the way, and genes by their status."""
        statuses = self.lead["status"].str.replace("_", " ").value_counts()
        by_status = {f"genes, {status}": n for status, n in statuses.items()}
        return tables.read_provenance(self.nominal)["warnings"] | by_status

    def pairs(self, genes: Iterable[str]) -> pd.DataFrame:
        """Read the rows of `nominal` of these genes."""
        wanted = sorted(set(genes))
        if not wanted:  # a filter needs a value to know its type from
            return _typed([], NOMINAL)
        return sealed.read_own_parquet(self.nominal, filters=[("gene_id", "in", wanted)])


def path_of(results: str | Path, study: str, name: str) -> Path:
    """Return where the table `name` of the map lies."""
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
    mapped: Mapping[str, Any],
) -> list[dict]:
    """Find rows of `conditional` of one gene; one row of rank 0 where no signal stays.

    mapped: the gene's row of `lead`.
    """
    source = prepared(panel, gene, covariates, min_maf, options.max_missing)
    beta = Beta(*(mapped[f"beta_{name}"] for name in ("df", "a", "b")))
    first = known_lead(source.data, beta, mapped["p_permuted"], mapped["log10p_beta"])
    signals = independent(source.data, threshold, options.permutations, options.seed, first)
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

    Tables are begun anew where an option, an input file or the code's version has changed.
    """
    current = load(study, results, options)
    if current is not None:
        return current
    lock = path_of(results, study.name, "lead").with_name(".lock")
    with only_one(lock, "map of cis-eQTLs"):  # whose end removes the finished genes
        return _compute(study, cohort, panel, results, options)


def _compute(
    study: Study, cohort: OpenCohort, panel: Panel, results: str | Path, options: Eqtl
) -> Map:
    key, folder = key_of(study, options), path_of(results, study.name, "lead").parent
    covariates = covariate_table(panel, options, study.cohort.sample_map)
    min_maf, window = study.evaluation.min_maf, study.evaluation.cis_window
    genes = list(panel.genes.itertuples(index=False))
    units = Units.open(folder, "genes", key)
    for gene in genes:
        if units.has(gene.gene_id):
            cohort.count_gene(gene.gene_id, window, units.counts([gene.gene_id]))
    for gene in _unfinished(genes, units, f"{study.name}: eQTL genes"):
        mapped = map_gene(panel, gene, covariates, min_maf, options)
        counts = cohort.counts_of(gene.gene_id, window)
        units.write(gene.gene_id, _packed(mapped.nominal), counts, lead=mapped.lead)
    rows: dict[str, dict] = {}
    commits: Counter[str] = Counter()
    for gene in genes:
        unit = units.read(gene.gene_id)
        rows[gene.gene_id] = unit.notes["lead"]
        commits[unit.commit] += 1
    lead = with_q(_typed(list(rows.values()), LEAD), options.fdr)
    hits = lead[lead["q"] <= options.fdr]
    # A signal must reach the p of the last gene that counts, which all genes together decide: so
    # signals are units of another key.
    threshold = float(hits["p_beta"].max())
    signal_key = replace(key, step="eqtl signals", options={"map": key.digest, "p": threshold})
    signals = Units.open(folder, "signals", signal_key)
    chosen = [gene for gene in genes if gene.gene_id in set(hits["gene_id"])]
    for gene in _unfinished(chosen, signals, "independent signals: genes"):
        known = rows[gene.gene_id]
        found = signals_of_gene(panel, gene, covariates, min_maf, options, threshold, known)
        signals.write(gene.gene_id, {}, rows=found)
    kept = [row for gene in chosen for row in signals.read(gene.gene_id).notes["rows"]]
    conditional = _typed(kept, CONDITIONAL)
    conditional = conditional[conditional["rank"] > 0].sort_values(["gene_id", "rank"])
    block = provenance.block(
        key.values,
        input_files(study),
        seed=options.seed,
        warnings=cohort.warnings,
        covariates=None if options.covariates is None else options.covariates.name,
        by_hand=options != study.eqtl,
        commits=dict(commits),
    )
    names = [gene.gene_id for gene in genes]
    _write(path_of(results, study.name, "nominal"), _nominal(units, names), NOMINAL, block)
    _write(path_of(results, study.name, "conditional"), [conditional], CONDITIONAL, block)
    kinds = LEAD | dict.fromkeys(["q_bh", "q", "threshold"], float)
    _write(path_of(results, study.name, "lead"), [lead.sort_values("gene_id")], kinds, block)
    units.remove()
    signals.remove()
    return load(study, results, options)


def map_study(study: Study, results: str | Path, options: Eqtl) -> Map:
    """Map the cis-eQTLs of a study from its files (see `compute`)."""
    cohort = OpenCohort(study)
    return compute(study, cohort, cohort.panel(), results, options)


def _unfinished(genes: Sequence[tuple], units: Units, what: str) -> Iterator[tuple]:
    """Yield the genes (rows of `panel.genes`) that have no unit yet, printing progress."""
    todo = [gene for gene in genes if not units.has(gene.gene_id)]
    return track(todo, len(genes), what, done=len(genes) - len(todo))


def _packed(nominal: dict | None) -> dict[str, np.ndarray]:
    """Return the columns of a gene as its unit keeps them: names as text, one per line.

    An array of text is as wide as its longest entry, and one long indel would fill a disk.
    """
    if nominal is None:
        return {}
    text = "\n".join(nominal["variant"]).encode()
    columns = {name: column for name, column in nominal.items() if name != "gene_id"}
    return columns | {"variant": np.frombuffer(text, np.uint8)}


def _nominal(units: Units, genes: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield `nominal` in row groups, read from the genes' units."""
    for first in range(0, len(genes), _ROW_GROUP):
        frames = []
        for gene in genes[first : first + _ROW_GROUP]:
            columns = units.read(gene).arrays
            if columns:
                names = columns.pop("variant").tobytes().decode().split("\n")
                frames.append(pd.DataFrame({"gene_id": gene, "variant": names, **columns}))
        yield pd.concat(frames) if frames else pd.DataFrame()


def with_q(lead: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Add q_bh, q and each gene's nominal threshold at a false discovery rate to `lead`.

    The threshold is the nominal p that gives the gene a p_beta midway between the largest of the
    genes found and the smallest of the others (FastQTL's rule); none where no gene is found.
    """
    p = lead["p_beta"].to_numpy(float)
    q = storey_q(p)
    lead = lead.assign(q_bh=benjamini_hochberg(p), q=q, threshold=np.nan)
    hits, others = p[q <= fdr], p[q > fdr]
    if not hits.size:
        return lead
    limit = (hits.max() + (others.min() if others.size else hits.max())) / 2
    mapped = lead["status"] == "mapped"
    lead.loc[mapped, "threshold"] = [
        Beta(r.beta_df, r.beta_a, r.beta_b).nominal_threshold(limit, r.df)
        for r in lead[mapped].itertuples()
    ]
    return lead


def key_of(study: Study, options: Eqtl) -> Key:
    """Return the cache key of a map: the people are those of the input files."""
    files = dict(input_files(study))
    if options.covariates is not None:
        files["covariates"] = resolve(options.covariates)
        if not files["covariates"].is_file():
            raise no_such_file(
                files["covariates"],
                "covariates of an eQTL map",
                "Correct `eqtl.covariates` in the study file, or --covariates.",
            )
    return Key(
        "eqtl",
        {role: digest(path) for role, path in sorted(files.items())},
        {
            "window": study.evaluation.cis_window,
            "min_maf": study.evaluation.min_maf,
            "max_ref_mismatch": study.cohort.max_ref_mismatch,
            "gene_versions": study.cohort.gene_versions,
            "tss": study.cohort.tss,
            **({"only": study.cohort.only.model_dump()} if study.cohort.only else {}),
        },
        # Covariates count by what they hold; published slopes are no part of the own map.
        options.model_dump(mode="json", exclude={"covariates", "external"}),
        versions_of("genome", "cohort", "eqtl", "stats"),
    )


def key_as_kept(study: Study, kept: Mapping[str, Any]) -> Key:
    """Return the key of a map with the options and covariates of one that is kept.

    Covariates count by what they held: their file may be gone, and its place isn't kept.
    """
    key = key_of(study, Eqtl.model_validate(kept.get("options", {})))
    held = {k: v for k, v in kept.get("inputs", {}).items() if k == "covariates"}
    return replace(key, inputs={**key.inputs, **held})


def load(study: Study, results: str | Path, options: Eqtl | None = None) -> Map | None:
    """Read the map on disk; None where there is none of these options, window and input files.

    options: None takes the map with whichever options and covariates it was made.
    """
    paths = [path_of(results, study.name, name) for name in NAMES]
    if not all(path.is_file() for path in paths):
        return None
    kept, block = cache.kept_key(paths[1]), tables.read_provenance(paths[1])
    key = key_as_kept(study, kept) if options is None else key_of(study, options)
    if key.differences(kept):
        return None
    if options is None:
        named = {"covariates": block.get("covariates")}
        options = Eqtl.model_validate(kept["options"] | named)
    frames = (sealed.read_own_parquet(path) for path in paths[1:])
    return Map(*frames, paths[0], kept, options, bool(block.get("by_hand")))


_ARROW = {str: arrow.string(), float: arrow.float64(), int: arrow.int64()}


def _arrow(frame: pd.DataFrame, kinds: dict[str, type]) -> arrow.Table:
    schema = arrow.schema([(name, _ARROW[kind]) for name, kind in kinds.items()])
    full = frame.reindex(columns=list(kinds)).reset_index(drop=True)
    return arrow.Table.from_pandas(full, schema, preserve_index=False).replace_schema_metadata()


def _typed(rows: Sequence[dict], kinds: dict[str, type]) -> pd.DataFrame:
    """Make a frame of rows with the columns and types of a table, also where there is none."""
    return _arrow(pd.DataFrame(rows), kinds).to_pandas()


def _write(path: Path, frames: Iterable[pd.DataFrame], kinds: dict[str, type], block: dict) -> None:
    """Write one sealed Parquet file from `frames`, `block` in its metadata."""
    schema = _arrow(pd.DataFrame(), kinds).schema
    with sealed.parquet_writer(path, schema, tables.provenance_metadata(block)) as writer:
        for frame in frames:
            writer.write_table(_arrow(frame, kinds).cast(writer.schema))
