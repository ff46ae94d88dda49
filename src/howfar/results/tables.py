"""The result tables: one schema for what we compute and for what others published.

Every table is a Parquet file checked when written and when read, with a provenance block in the
file's metadata. A study's tables lie in ``results/<study>/tables/<name>.parquet``; person-level
rows (`individuals`) in ``results/<study>/individuals/``, apart, as they may be private. What of
all this may leave the folder, `howfar.results.policy` decides.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow

from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.core.project import results_folder

SCHEMA_VERSION = 1

_KEY = {"nullable": False, "coerce": True}


def _text(**kw: Any) -> pa.Column:
    return pa.Column("string", **({"nullable": True, "coerce": True} | kw))


def _number(*checks: pa.Check, **kw: Any) -> pa.Column:
    return pa.Column("float64", list(checks), **({"nullable": True, "coerce": True} | kw))


def _count(**kw: Any) -> pa.Column:
    return pa.Column("Int64", pa.Check.ge(0), **({"nullable": True, "coerce": True} | kw))


_R = pa.Check.in_range(-1, 1)
_P = pa.Check.in_range(0, 1)


def _table(unique: list[str], **columns: pa.Column) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, unique=unique, strict=True, ordered=True)


def _run() -> pa.Column:
    return _text(**_KEY)


SCHEMAS: dict[str, pa.DataFrameSchema] = {
    # label: how figures name the run. kind: 'network', 'linear', 'lead_snp', 'truth'.
    # transform: ordered steps, e.g. "mean_bins > mean_haplotypes" or "log10p1 > sum_bins > ...".
    "runs": _table(
        ["run_id"],
        run_id=_run(),
        study=_run(),
        label=_run(),
        kind=_text(
            nullable=False, checks=pa.Check.isin(["network", "linear", "lead_snp", "truth"])
        ),
        model=_run(),
        weights_sha256=_text(),
        tracks=_text(),
        bins=_text(),
        transform=_text(),
        units=_text(),
        context=_count(),
        alleles=_text(),
        split=_text(),
        training_fraction=_number(_P),
        seed=_count(),
        population=_text(),
        precision=_text(),
        engine=_text(),
        licence=_text(),  # of the network's weights, which its values carry
    ),
    "genes": _table(
        ["gene_id"],
        gene_id=_run(),
        name=_text(),
        chrom=_text(),
        tss=_count(),  # 1-based
        strand=_text(checks=pa.Check.isin(["+", "-", "."])),
    ),
    # feature names are listed in FEATURES.
    "features": _table(
        ["gene_id", "feature", "source"],
        gene_id=_run(),
        feature=_run(),
        source=_run(),
        value=_number(),
        se=_number(),
    ),
    # observed_mean: over people; a published study says in its file where it is a median.
    "reference": _table(
        ["run_id", "gene_id"],
        run_id=_run(),
        gene_id=_run(),
        prediction=_number(),
        observed_mean=_number(),
        region=_text(checks=pa.Check.isin(["train", "valid", "test"])),
    ),
    # population: 'pooled', a population's name, 'centred' (population means removed) or 'permuted'
    # (the same, people permuted within population: a control). p, q, ci_* are of `pearson`.
    "across": _table(
        ["run_id", "gene_id", "population"],
        run_id=_run(),
        gene_id=_run(),
        population=_run(),
        n=_count(),
        pearson=_number(_R),
        spearman=_number(_R),
        p=_number(_P),
        q=_number(_P),
        null_mean=_number(),
        null_sd=_number(),
        p_null=_number(_P),
        ci_low=_number(_R),
        ci_high=_number(_R),
    ),
    # correlation across genes within one person; `rank` orders people by r and names nobody.
    "within": _table(
        ["run_id", "population", "rank"],
        run_id=_run(),
        population=_run(),
        rank=_count(),
        n_genes=_count(),
        pearson=_number(_R),
        spearman=_number(_R),
    ),
    "drivers": _table(
        ["run_id", "gene_id", "variant"],
        run_id=_run(),
        gene_id=_run(),
        variant=_run(),
        effect=_number(),
        eqtl_slope=_number(),
        distance=_number(),
        gain=_number(),
        carriers=_count(),
        is_main=pa.Column("boolean", nullable=True, coerce=True),
    ),
    # agreement of two runs' predictions over people, per gene; run_id before other_id in `runs`.
    "agreement": _table(
        ["run_id", "other_id", "gene_id"],
        run_id=_run(),
        other_id=_run(),
        gene_id=_run(),
        n=_count(),
        pearson=_number(_R),
        spearman=_number(_R),
        ci_low=_number(_R),
        ci_high=_number(_R),
    ),
    # effects of single variants, beside a measurement of the same variant where there is one
    # (slope: per copy of the alternative allele). source: where the measurement comes from.
    "effects": _table(
        ["run_id", "gene_id", "variant", "source"],
        run_id=_run(),
        gene_id=_run(),
        variant=_run(),
        source=_run(),
        effect=_number(),
        slope=_number(),
        slope_se=_number(),
        p=_number(_P),
        pip=_number(_P),
        maf=_number(_P),
        distance=_number(),
    ),
    # group-level values that a study gives or that are averages over its genes, long: `set` is
    # the question ("performance", "training_size", ...), `method` what is compared, `group` the
    # class of genes or variants, `x` a number on an axis, `replicate` one of several.
    "summary": _table(
        ["set", "method", "group", "x", "replicate"],
        set=_run(),
        method=_run(),
        group=_run(),
        x=_number(),
        replicate=_count(),
        value=_number(),
        n=_count(),
        ci_low=_number(),
        ci_high=_number(),
        units=_text(),
    ),
    "numbers": _table(
        ["id"],
        id=_run(),
        value=_number(),
        n=_count(),
        ci_low=_number(),
        ci_high=_number(),
        definition=_text(),
        source=_text(),
    ),
    "individuals": _table(
        ["run_id", "gene_id", "sample"],
        run_id=_run(),
        gene_id=_run(),
        sample=_run(),
        predicted=_number(),
        observed=_number(),
        fold=_count(),
    ),
    # of a study whose people are public, what leaves of `individuals`: ordered by value.
    "points": _table(
        [],
        run_id=_run(),
        gene_id=_run(),
        predicted=_number(),
        observed=_number(),
    ),
}
#: Tables with rows of single people, in a folder of their own.
PERSON_LEVEL = ("individuals", "points")

#: What columns hold, with their units; one meaning in all tables, but where a table says otherwise.
COLUMNS = {
    "run_id": "name of a run: a network's, a linear model's, lead_snp or truth",
    "study": "name of the study",
    "label": "how figures name the run",
    "kind": "network, linear, lead_snp or truth",
    "model": "name of the model",
    "weights_sha256": "SHA-256 of its weights",
    "tracks": "output tracks that were read",
    "bins": "output bins that were read around the TSS",
    "transform": "steps from outputs to the value, in order",
    "units": "units of the value; where empty, those of the study's expression",
    "context": "length of the window, bp",
    "alleles": "snv or all",
    "split": "how people were held out",
    "training_fraction": "share of people trained on, 0 to 1",
    "seed": "seed of what is drawn",
    "population": "people meant: pooled, one population, centred (means of populations removed), "
    "or permuted (a control)",
    "precision": "number format of the network's pass",
    "engine": "how the network was run",
    "licence": "licence of the weights, which the values carry",
    "gene_id": "id of the gene",
    "name": "name of the gene",
    "chrom": "contig, as the study's genes name it",
    "tss": "transcription start site, bp, 1-based",
    "strand": "+, - or . (not known)",
    "feature": "name of the feature (listed under Features)",
    "source": "where the value comes from",
    "value": "the value; units by feature, set or definition",
    "se": "standard error, units of value",
    "prediction": "prediction from the reference sequence, units of the run",
    "observed_mean": "mean measured expression over people, units of the study's expression",
    "region": "train, valid or test: the model's use of the gene's region",
    "n": "count behind the value: people, or as the definition says",
    "pearson": "Pearson r, -1 to 1",
    "spearman": "Spearman r, -1 to 1",
    "p": "two-sided p-value",
    "q": "Benjamini-Hochberg q over the run's genes",
    "null_mean": "mean r of the gene-specific null",
    "null_sd": "standard deviation of r of that null",
    "p_null": "p-value against that null",
    "ci_low": "lower end of the 95 % interval, units of the value (of `across`: of pearson)",
    "ci_high": "upper end of the 95 % interval",
    "rank": "place of the person by r, from 1; names nobody",
    "n_genes": "genes behind r within one person",
    "variant": "contig:position:REF:ALT, position 1-based",
    "effect": "change of the prediction with one copy of the alternative allele, units of the run",
    "eqtl_slope": "slope of expression on copies of the alternative allele",
    "distance": "position minus TSS on the forward strand, bp",
    "gain": "what the driver adds, as its rule says: share of r (Sasse et al.), or r itself "
    "(Rastogi et al.)",
    "carriers": "people with the allele",
    "is_main": "whether it is the gene's main driver",
    "other_id": "the other run",
    "slope": "measured effect per copy of the alternative allele, units of the source",
    "slope_se": "its standard error",
    "pip": "posterior probability to be causal",
    "maf": "frequency of the minor allele, 0 to 0.5",
    "set": "the question",
    "method": "what is compared",
    "group": "class of genes, variants or people",
    "x": "number on the horizontal axis, where the question has one",
    "replicate": "which of several draws",
    "id": "name of the number",
    "definition": "what the number is, in words",
    "sample": "the person",
    "predicted": "prediction for the person, units of the run",
    "observed": "measured expression, units of the study's expression",
    "fold": "fold in which the person was held out, from 0",
}

#: Feature names of the `features` table and their units.
FEATURES = {
    "lead_eqtl_distance": "bp from the TSS, unsigned",
    "lead_eqtl_log10p": "-log10 p",
    "lead_eqtl_log10p_beta": "-log10 p of the gene: over its variants, from permutations",
    "lead_eqtl_q": "q over genes of that p",
    "eqtl_signals": "independent signals",
    "lead_eqtl_r": "Pearson r of dosage and expression",
    "lead_eqtl_maf": "minor allele frequency",
    "mean_expression": "units of the study's expression",
    "median_expression": "units of the study's expression",
    "cv_expression": "coefficient of variation over people",
    "h2": "cis-heritability",
    "main_driver_distance": "bp of the main driver from the TSS, unsigned",
    "main_driver_relative_size": "contribution of the main driver's base, share of the gene's "
    "largest within 1 kb of the TSS",
    "linear_approximation_r": "Pearson r of the sum of variant effects with the prediction",
    "fine_mapped_distance_brain": "bp of the fine-mapped brain eQTL from the TSS, unsigned",
    "fine_mapped_distance_cortex": "bp of the fine-mapped cortex eQTL from the TSS, unsigned",
}


@dataclass(frozen=True)
class Tables(Mapping[str, pd.DataFrame]):
    """A study's result tables by name: ``tables["across"]``; absent ones are empty frames."""

    study: str
    frames: dict[str, pd.DataFrame]

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.frames[name] if name in self.frames else empty(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)


def empty(name: str) -> pd.DataFrame:
    """An empty table with the columns and types of schema `name`."""
    return _empty(name).copy()


@functools.cache
def _empty(name: str) -> pd.DataFrame:
    columns = SCHEMAS[name].columns
    return pd.DataFrame({c: pd.Series(dtype=str(s.dtype)) for c, s in columns.items()})


def validate(name: str, frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """`frame` with the schema's types, column order, and row order by key.

    Columns that a source lacks are filled with missing values. Raises HowfarError naming the
    first column and row that breaks the schema.
    """
    schema = SCHEMAS[name]
    extra = frame.columns.difference(list(schema.columns), sort=False)
    full = frame.reindex(columns=list(schema.columns)).reset_index(drop=True)
    if len(extra):
        raise _broken(name, where, f"columns outside the schema: {', '.join(map(str, extra))}")
    try:
        checked = _kept(schema, full)
        if checked is None:
            checked = schema.validate(full, lazy=False)
    except (pa.errors.SchemaError, pa.errors.SchemaErrors) as error:
        raise _broken(name, where, str(error).splitlines()[0]) from error
    order = schema.unique or list(schema.columns)
    return checked.sort_values(order, kind="stable").reset_index(drop=True)


def _kept(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> pd.DataFrame | None:
    """`frame` in the schema's types where it keeps the schema; None leaves all else to pandera."""
    # What pandera does to say what is wrong takes several times as long as to see that nothing is.
    try:
        typed = {name: c.dtype.coerce(frame[name]) for name, c in schema.columns.items()}
    except Exception:
        return None
    for name, column in schema.columns.items():
        if not column.nullable and typed[name].hasnans:
            return None
        if not all(_holds(check, typed[name].dropna()) for check in column.checks):
            return None
    checked = pd.DataFrame(typed)
    repeated = bool(schema.unique) and checked.duplicated(schema.unique).any()
    return None if repeated else checked


def _holds(check: pa.Check, values: pd.Series) -> bool:
    """Whether values keep one of the checks that the schemas have; False of any other."""
    limits: dict[str, Any] = check.statistics or {}
    if check.name == "isin":
        return bool(values.isin(limits["allowed_values"]).all())
    if check.name == "in_range" and limits["include_min"] and limits["include_max"]:
        return bool(values.between(limits["min_value"], limits["max_value"]).all())
    return check.name == "greater_than_or_equal_to" and bool((values >= limits["min_value"]).all())


def stack(name: str, parts: Iterable[pd.DataFrame], where: str) -> pd.DataFrame:
    """Table `name` from parts of it, checked by `validate`; empty where no part has a row."""
    parts = [part for part in parts if len(part)]
    return validate(name, pd.concat(parts, ignore_index=True), where) if parts else empty(name)


def _broken(name: str, where: str, found: str) -> HowfarError:
    return HowfarError(
        f"{where}, table {name}",
        found=found,
        expected=f"schema {name}, version {SCHEMA_VERSION}",
        do="Run the step that writes this table again with this version of howfar.",
    )


def path_of(results: str | Path, study: str, name: str) -> Path:
    """Where table `name` of `study` lies."""
    folder = "individuals" if name in PERSON_LEVEL else "tables"
    return Path(results) / study / folder / f"{name}.parquet"


def write(path: str | Path, name: str, frame: pd.DataFrame, provenance: Mapping[str, Any]) -> Path:
    """Check `frame` against schema `name` and write it, whole or not at all."""
    path = Path(path)
    table = arrow.Table.from_pandas(validate(name, frame, str(path)), preserve_index=False)
    return write_arrow(path, table, {"table": name, "schema": SCHEMA_VERSION, **provenance})


def write_all(
    results: str | Path,
    study: str,
    frames: Mapping[str, pd.DataFrame],
    provenance: Mapping[str, Any],
) -> None:
    """Write a study's tables; `runs`, the last, lists them, so that one that lacks is missed.

    Table `numbers` is listed too: it is made of the others, and follows.
    """
    listed = {"tables": sorted({*frames, "numbers"})}
    for name in sorted(frames, key="runs".__eq__):
        block = {**provenance, **(listed if name == "runs" else {})}
        write(path_of(results, study, name), name, frames[name], block)


def names_of(results: str | Path, study: str) -> list[str]:
    """Return the names of the tables that the last evaluation of a study wrote.

    Those that are on disk, where an older version listed none.
    """
    paths = {name: path_of(results, study, name) for name in SCHEMAS}
    listed = read_provenance(paths["runs"]).get("tables") if paths["runs"].exists() else None
    return [n for n in SCHEMAS if (paths[n].exists() if listed is None else n in listed)]


def write_arrow(path: Path, table: arrow.Table, provenance: Mapping[str, Any]) -> Path:
    """Write any table, sealed, with its provenance block in the metadata."""
    sealed.write_parquet(path, table, provenance_metadata(provenance))
    return path


def provenance_metadata(provenance: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return a provenance block as a Parquet file's metadata."""
    return {b"howfar": json.dumps(dict(provenance), sort_keys=True).encode()}


def read(path: str | Path, name: str) -> pd.DataFrame:
    """Table `name` from `path`, checked against its schema and schema version."""
    found = read_provenance(path).get("schema")
    if found != SCHEMA_VERSION:
        raise HowfarError(
            str(path),
            found=f"schema version {found}",
            expected=f"version {SCHEMA_VERSION} of table {name}",
            do="Run the step that writes this table again with this version of howfar.",
        )
    return validate(name, sealed.read_own_parquet(path), str(path))


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance block in a table's metadata; empty if it carries none."""
    return dict(json.loads(sealed.read_parquet_metadata(path).get(b"howfar", b"{}")))


def load(study: str, results: str | Path = "results") -> Tables | None:
    """Read the shareable result tables of a study (never those of `PERSON_LEVEL`).

    study: its name. results: the results folder. Returns None where there are no tables yet;
    raises HowfarError for a damaged one, and one that the evaluation wrote and that is gone.

    Examples
    --------
    >>> import howfar as hf
    >>> hf.load_tables("demo", "no_such_folder") is None
    True
    """
    return load_but(PERSON_LEVEL, study, results)


def load_but(leave: Iterable[str], study: str, results: str | Path) -> Tables | None:
    """Read a study's result tables as `load`, but for those named in `leave`."""
    folder = results_folder(results)
    if not path_of(folder, study, "runs").exists():
        return None
    names = [name for name in names_of(folder, study) if name not in set(leave)]
    return Tables(
        study,
        {name: empty(name) for name in SCHEMAS if name not in PERSON_LEVEL}
        | {name: read(path_of(folder, study, name), name) for name in names},
    )
