"""Weights of linear models, ours and published, applied to a cohort with alleles matched.

A weight is of the alternative allele: prediction = intercept + sum of weight x dosage. Weights that
name their variants by rsid alone have the positions of the cohort's records of these ids. A cohort
may write the same variant with the two alleles exchanged (its dosage is then 2 - dosage), or on the
other strand (complementary letters). A variant whose alleles are each other's complement (A/T,
C/G) looks the same on both strands: it is taken as written unless other variants show that the
strands differ, and left out then.
"""

from __future__ import annotations

import gzip
import re
import sqlite3
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.cohort.files import input_files
from howfar.cohort.opened import OpenCohort
from howfar.core import provenance, sealed
from howfar.core.errors import HowfarError
from howfar.core.text import PARQUET, SQLITE, is_gzip, starts_with
from howfar.genome.genes import strip_version
from howfar.genome.intervals import Gene, Interval, Variant
from howfar.study.schema import Study

_NUMBERS, _LONGEST = ("pos", "weight"), 2**31 - 1  # longest contig that VCF can hold
COLUMNS = ("gene_id", "chrom", "pos", "ref", "alt", "weight")
#: Least share of a gene's weights that must be found in the cohort.
MIN_SHARE = 0.8
_RSID = r"rs\d+"
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_SAME, _SWAPPED, _FLIPPED, _BOTH = "same", "swapped", "flipped", "flipped and swapped"


@dataclass(frozen=True)
class Weights:
    """table: gene_id, chrom (as in the source), pos (1-based), ref, alt, weight of the
    alternative allele; one row a variant and gene. Where the source names variants by rsid alone,
    chrom is the rsid and pos 0. intercepts: by gene_id, 0 where the source has
    none. source: the file.
    """

    table: pd.DataFrame
    intercepts: pd.Series
    source: str

    def of(self, gene: str) -> pd.DataFrame:
        """The rows of one gene."""
        return self.table[self.table["gene_id"] == gene]


def read_weights(path: str | Path, gene_versions: str = "keep") -> Weights:
    """Read weights of `howfar baseline` (.weights.parquet), PredictDB (.db) or FUSION (text).

    FUSION's text: a folder or tar archive of <gene>.<model>.weights.txt, or one such file.
    gene_versions: as in a study file; 'strip' makes ENSG...1.5 ENSG...1.
    """
    path = Path(path)
    if not path.exists():
        raise _bad(path, "no such file", "weights of linear models")
    if path.name.lower().endswith((".rdat", ".rdata", ".rds")):
        raise HowfarError(
            str(path),
            found="a file of R",
            expected="FUSION's weights as text",
            do=_FROM_R.format(file=path, gene=path.name.split(".wgt.")[0]),
        )
    if path.is_file() and _is_pgs(path):
        raise HowfarError(
            str(path),
            found="a scoring file of the PGS Catalog, which names no gene",
            expected="weights by gene",
            do=_FROM_PGS.format(file=path, cat="gzip -dc" if is_gzip(path) else "cat"),
        )
    database = path.suffix == ".db" or starts_with(path, SQLITE)
    read = _read_ours if _is_ours(path) else read_predictdb if database else read_fusion
    weights = read(path)
    return _without_versions(weights) if gene_versions == "strip" else weights


#: From FUSION's .wgt.RDat to lines that `read_fusion` reads. Its `wgt.matrix` (variants x models)
#: has the rows of its `snps`, a .bim table with columns V1 to V6: contig, id, cM, position, the
#: allele that is counted, the other. By row, as make_score.R: ids may be repeated, or be a factor.
_FROM_R = (
    'In R: load("{file}"); m <- "enet"; s <- snps; w <- wgt.matrix[, m]; '
    'if (m == "top1") w[-which.max(w^2)] <- 0; '
    'write.table(data.frame(sprintf("%s_%s_%d", s$V2, s$V1, s$V4), s$V5, s$V6, w), '
    'paste0("{gene}.", m, ".weights.txt"), sep="\\t", quote=FALSE, row.names=FALSE, '
    "col.names=FALSE). For m take a column of wgt.matrix (top1, blup, lasso, enet or bslmm)."
)
#: From a scoring file of the PGS Catalog to such lines, at harmonised positions where it has them.
#: It is not read as it is: it names a trait and no gene, and is of one where that is the trait.
_FROM_PGS = (
    "Where the score is of a gene's expression, write it under the gene's id: "
    "{cat} {file} | awk -F'\\t' -v OFS='\\t' -v a=effect_allele -v b=other_allele "
    "-v w=effect_weight -v k=hm_chr -v p=hm_pos '/^#/ {{next}} !n++ {{for (i = 1; i <= NF; i++) "
    'c[$i] = i; if (!(p in c)) {{k = "chr_name"; p = "chr_position"}}; next}} '
    '{{print "v_" $c[k] "_" $c[p], $c[a], $c[b], $c[w]}}\' > GENE.score (a folder may hold several)'
)


def _is_pgs(path: Path) -> bool:
    opener = gzip.open if is_gzip(path) else open
    with suppress(OSError, EOFError, zlib.error), opener(path, "rb") as handle:
        return handle.read(16).replace(b" ", b"").startswith(b"###PGSCATALOG")
    return False


def _without_versions(weights: Weights) -> Weights:
    intercepts = weights.intercepts.rename(strip_version)
    twice = intercepts.index[intercepts.index.duplicated()]
    if len(twice):
        raise HowfarError(
            weights.source,
            found=f"gene {twice[0]} twice once versions are stripped",
            expected="each gene once",
            do="Set gene_versions to keep, or keep one model per gene.",
        )
    table = weights.table.assign(gene_id=weights.table["gene_id"].map(strip_version))
    return Weights(table, intercepts, weights.source)


def _is_ours(path: Path) -> bool:
    return path.suffix == ".parquet" or starts_with(path, PARQUET)


def files_of(path: str | Path) -> dict[str, Path]:
    """List the files that `read_weights` reads at `path`, by their role in a provenance block."""
    path = Path(path)
    if path.is_dir():
        return {f"weights {p.name}": p for p in _texts_in(path)}
    ours = {"genes of the weights": _genes_beside(path)} if _is_ours(path) else {}
    return {"weights": path, **ours}


def _genes_beside(path: Path) -> Path:
    return path.with_name(path.name.replace(".weights.", ".genes."))


_DO = (
    "Give the right file: <model>.weights.parquet of `howfar baseline`, a PredictDB .db, or "
    "FUSION's *.weights.txt or make_score.R's *.score."
)


def _bad(path: Path | str, found: str, expected: str) -> HowfarError:
    return HowfarError(str(path), found=found, expected=expected, do=_DO)


def _checked(path: Path | str, table: pd.DataFrame, intercepts: pd.Series) -> Weights:
    table = table[list(COLUMNS)].reset_index(drop=True)
    table = table.assign(
        ref=table["ref"].astype(str).str.upper(), alt=table["alt"].astype(str).str.upper()
    )
    letters = table["ref"].str.fullmatch("[ACGT]+") & table["alt"].str.fullmatch("[ACGT]+")
    table = table.assign(**{name: pd.to_numeric(table[name], "coerce") for name in _NUMBERS})
    placed = table["pos"].between(1, _LONGEST) & (table["pos"] % 1 == 0)
    placed |= (table["pos"] == 0) & table["chrom"].astype(str).str.fullmatch(_RSID)
    whole = letters & placed & np.isfinite(table["weight"].astype(float)) & table["gene_id"].notna()
    wrong = np.flatnonzero(~whole.to_numpy(bool))
    if len(wrong):
        found = f"{len(wrong)} of {len(table)} weights, the first in record {wrong[0] + 1}, without"
        what = "a gene, two alleles of letters ACGT, a position and a number"
        raise _bad(path, f"{found} {what}", "all")
    table = table.astype({"pos": int, "weight": float})
    repeats = int(table.duplicated(list(COLUMNS[:5])).sum())
    if repeats:
        raise _bad(path, f"{repeats} variants twice in a gene", "each variant once in a gene")
    _check_genes(path, table, intercepts)
    return Weights(table, intercepts.astype(float), str(path))


def _check_genes(path: Path | str, table: pd.DataFrame, intercepts: pd.Series) -> None:
    if not intercepts.index.is_unique:
        raise _bad(path, "a gene twice in the table of genes", "each gene once")
    lacking = set(table["gene_id"]) - set(intercepts.index)
    if lacking:
        found = f"weights of {len(lacking)} genes without a row in the table of genes"
        raise _bad(path, f"{found}, such as {min(lacking)}", "a row for every gene")
    unknown = int((~np.isfinite(pd.to_numeric(intercepts, "coerce").astype(float))).sum())
    if unknown:
        raise _bad(path, f"{unknown} genes whose intercept is no number", "an intercept a gene")


def _read_ours(path: Path) -> Weights:
    genes = _genes_beside(path)
    if not genes.is_file():
        raise _bad(genes, "no such file", "the table of genes beside the weights")
    try:
        table, rows = sealed.read_parquet(path), sealed.read_parquet(genes).set_index("gene_id")
        return _checked(path, table, rows["intercept"])
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise _bad(
            path, f"no table of weights ({error})", f"columns {', '.join(COLUMNS)}"
        ) from error


def read_predictdb(path: str | Path) -> Weights:
    """Read a PredictDB file (SQLite, tables `weights` and `extra`) as MetaXcan does.

    Positions come from varID (chr1_12345_A_G_b38), or from an rsid written in that way; an rsid
    alone is looked for in the cohort. Alleles are
    from ref_allele and eff_allele, the weight being of the latter. Where `extra` says how many
    variants a gene's model has, all must be there.
    """
    try:
        with sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True) as base:
            views = base.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall()
            if {"weights", "extra"} & {name.lower() for (name,) in views}:
                # a view is a program, which may never end
                raise _bad(path, "views in the place of tables", "tables weights and extra")
            weights = pd.read_sql_query("SELECT * FROM weights", base)
            extra = pd.read_sql_query("SELECT * FROM extra", base)
    except (sqlite3.Error, pd.errors.DatabaseError) as error:
        raise _bad(path, f"no PredictDB file ({error})", "tables weights and extra") from error
    lacking = {"gene", "ref_allele", "eff_allele", "weight"} - set(weights.columns)
    lacking |= set() if {"varID", "rsid"} & set(weights.columns) else {"varID"}
    if lacking or "gene" not in extra:
        names = ", ".join(sorted(lacking)) or "gene in the table extra"
        raise _bad(path, f"no column {names}", "PredictDB's columns")
    _complete(path, weights, extra)
    place = weights["varID" if "varID" in weights else "rsid"].astype(str)
    found = place.str.extract(r"^(?:chr)?([^_]+)_(\d+)_[ACGT]+_[ACGT]+(?:_b\d+)?$")
    bare = weights["rsid" if "rsid" in weights else "varID"].astype(str)
    named = found[0].isna() & bare.str.fullmatch(_RSID)
    found = found.mask(named, pd.DataFrame({0: bare, 1: "0"}))
    if found.isna().any(axis=None):
        count = int(found.isna().any(axis=1).sum())
        expected = "chr1_12345_A_G_b38, or an rsid"
        raise _bad(path, f"{count} variants without a position in their id", expected)
    table = weights.rename(columns={"gene": "gene_id", "ref_allele": "ref", "eff_allele": "alt"})
    table = table.assign(chrom=found[0], pos=found[1])
    return _checked(path, table, pd.Series(0.0, index=extra["gene"].unique()))


def _complete(path, weights: pd.DataFrame, extra: pd.DataFrame) -> None:
    if "n.snps.in.model" not in extra:
        return
    stated = extra.drop_duplicates("gene").set_index("gene")["n.snps.in.model"].dropna()
    counts = weights["gene"].value_counts().reindex(stated.index, fill_value=0)
    short = int((counts != pd.to_numeric(stated, "coerce")).sum())
    if short:
        found = f"{short} of {len(stated)} genes with another number of weights than stated"
        raise _bad(path, found, "as many as `extra` says (n.snps.in.model)")


def read_fusion(path: str | Path) -> Weights:
    """Read FUSION weights as text.

    Per line: variant id (name_chrom_pos or an rsid), alternative allele, reference allele, weight,
    with tabs. Lines that are wholly 'NA' (lasso writes them) count as weight 0.
    path: one file <gene>.<model>.weights.txt, or what FUSION's make_score.R prints as <gene>.score;
    or a folder or tar archive of files of one model.
    """
    rows, genes, models = [], [], set()
    for name, data in _texts(Path(path)):
        gene, _, model = name.split("/")[-1].removesuffix(".weights.txt").rpartition(".")
        models.add(model)
        genes.append(gene)
        place = str(path) if Path(path).name == name else f"{path}, {name}"
        rows += [(gene, *row) for row in _fusion_rows(place, data)]
    if len(models) != 1 or len(set(genes)) < len(genes):
        found = f"{len(genes)} files *.weights.txt of the models {', '.join(sorted(models))}"
        raise _bad(path, found, "<gene>.<model>.weights.txt of one model, each gene once")
    table = pd.DataFrame(rows, columns=COLUMNS)
    return _checked(path, table, pd.Series(0.0, index=genes))


def _texts(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        yield from ((p.name, p.read_bytes()) for p in _texts_in(path))
    elif path.name.endswith(_TEXTS):
        yield path.name, path.read_bytes()
    else:
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and member.name.endswith(_TEXTS):
                        yield member.name, archive.extractfile(member).read()
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            said = str(error).splitlines()[0].rstrip(":")
            raise _bad(path, f"no readable archive ({said})", "*.weights.txt in a tar") from error


#: How the names of FUSION's texts end.
_TEXTS = (".weights.txt", ".score")


def _texts_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(_TEXTS))


def _fusion_rows(place: str, data: bytes) -> Iterator[tuple]:
    wanted = "id_chrom_pos or an rsid, alt, ref, weight, with tabs"
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise _bad(place, "bytes that are no UTF-8 text", f"lines of {wanted}") from error
    if not lines:
        raise _bad(place, "an empty file", f"lines of {wanted}")
    for number, line in enumerate(lines, start=1):
        fields = [field.strip() for field in line.split("\t")]
        if set(fields) == {"NA"}:
            continue
        try:
            variant, alternative, reference, weight = fields
            alone = re.fullmatch(_RSID, variant)
            chrom, position = (variant, 0) if alone else variant.rsplit("_", 2)[-2:]
            yield chrom, int(position), reference, alternative, float(weight)
        except ValueError as error:
            raise _bad(f"{place}, line {number}", repr(line[:80]), wanted) from error


# --- matching and applying -------------------------------------------------------------------


@dataclass(frozen=True)
class Match:
    """A gene's weights found in a cohort: `row` of the weights, `column` of the dosages.

    how: 'same', 'swapped', 'flipped' or 'flipped and swapped' alleles.
    """

    row: np.ndarray
    column: np.ndarray
    how: np.ndarray
    palindromic: np.ndarray


def is_palindromic(ref: str, alt: str) -> bool:
    """Tell whether the alleles are each other's complement, so that no strand shows."""
    return len(ref) == len(alt) == 1 and ref.translate(_COMPLEMENT) == alt


def _spellings(ref: str, alt: str) -> dict[tuple[str, str], str]:
    """List the ways to write a variant; the first of equal ones is the simplest."""
    ways = {(ref, alt): _SAME}
    ways.setdefault((alt, ref), _SWAPPED)
    if len(ref) == len(alt) == 1:
        other = ref.translate(_COMPLEMENT), alt.translate(_COMPLEMENT)
        ways.setdefault(other, _FLIPPED)
        ways.setdefault(other[::-1], _BOTH)
    return ways


def match(
    rows: pd.DataFrame, variants: Sequence[Variant], called: np.ndarray | None = None
) -> Match:
    """Match a gene's weights (rows of `Weights.table`) with a cohort's variants.

    Contigs are compared without 'chr'. Exactly written variants win over other spellings. called:
    bool (variants,), False for a variant that nobody's call is known of: the cohort lacks it.
    """
    columns: dict[tuple, int] = {}
    for column, v in enumerate(variants):
        if called is None or called[column]:
            columns.setdefault((_bare(v.chrom), v.pos, v.ref.upper(), v.alt.upper()), column)
    matches = []
    for row, (_, chrom, pos, ref, alt, _) in enumerate(rows[list(COLUMNS)].itertuples(index=False)):
        for spelling, how in _spellings(ref, alt).items():
            column = columns.get((_bare(chrom), pos, *spelling))
            if column is not None:
                matches.append((row, column, how, is_palindromic(ref, alt)))
                break
    fields = zip(*matches, strict=True) if matches else ((),) * 4
    return Match(*map(np.array, fields, (int, int, object, bool)))


def _bare(chrom: object) -> str:
    return str(chrom).removeprefix("chr")


Dosages = Callable[[str], tuple[np.ndarray, Sequence[Variant]]]


@dataclass(frozen=True)
class Around:
    """Where a gene's dosages are from. ids: 1-based positions of the records there, by id."""

    window: Interval
    ids: Mapping[str, int] = field(default_factory=dict)

    def placed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Give the rows of rsids that the cohort has here their place."""
        known = (rows["pos"] == 0) & rows["chrom"].isin(list(self.ids))
        places = rows["chrom"].map(self.ids)
        return rows.assign(
            pos=rows["pos"].mask(known, places).astype(int),
            chrom=rows["chrom"].mask(known, self.window.chrom),
        )

    def inside(self, rows: pd.DataFrame) -> np.ndarray:
        """Tell which weights (rows) lie here; of one without a place nothing else is known."""
        start0 = rows["pos"].to_numpy(int) - 1
        near = (start0 >= self.window.start) & (start0 < self.window.end)
        here = (rows["chrom"].map(_bare) == _bare(self.window.chrom)).to_numpy(bool)
        return near & here | (start0 < 0)


def apply(
    weights: Weights,
    genes: Sequence[str],
    dosages: Dosages,
    min_share: float = MIN_SHARE,
    around: Callable[[str], Around] | None = None,
) -> tuple[pd.DataFrame, Counter]:
    """Predict people (genes x people) by the genes that have a model, and count what was met.

    dosages: from a gene id to (people, variants) of the alternative alleles, NaN where missing (the
    mean is taken), and the variants. around: where a gene's dosages are from. A gene of whose
    weights less than `min_share` is found, or none, is NaN for everybody, and counted by name; a
    gene that has no weights has its intercept. Raises HowfarError where no gene is predicted: the
    cohort then has other variants, gene ids or another genome build.
    """
    chosen = [gene for gene in genes if gene in weights.intercepts.index]
    groups = dict(list(weights.table.groupby("gene_id", sort=False)))
    places = {gene: around(gene) for gene in chosen if around and gene in groups}
    groups |= {gene: place.placed(groups[gene]) for gene, place in places.items()}
    nothing = weights.table.iloc[:0]
    matches, used_dosages = {}, {}
    for gene in chosen:
        x, variants = dosages(gene)
        found = _matched(groups.get(gene, nothing), x, variants)
        matches[gene] = replace(found, column=np.arange(len(found.column)))
        used_dosages[gene] = np.asarray(x)[:, found.column]
    flipped = any(np.isin(m.how, [_FLIPPED, _BOTH]).any() for m in matches.values())
    counts = Counter({"weights": 0, "used": 0, "not found": 0})
    values, missing = {}, []
    for gene, found in matches.items():
        rows, x = groups.get(gene, nothing), used_dosages[gene]
        of_gene = _counted(rows, found, flipped, places.get(gene))
        counts.update(of_gene)
        used = of_gene["used"]
        if used >= min_share * len(rows) and (used or not len(rows)):
            values[gene] = _predicted(rows, found, x, flipped) + float(weights.intercepts[gene])
        else:
            values[gene] = np.full(len(x), np.nan)
            missing.append(gene)
    if len(missing) == len(chosen):
        raise _nothing_predicted(weights, genes, chosen, counts, min_share)
    if missing:
        names = ", ".join(missing[:5]) + ", ..." * (len(missing) > 5)
        counts[f"genes left missing, too few of their weights found: {names}"] = len(missing)
    return pd.DataFrame.from_dict(values, orient="index"), counts


def _words(counts: Counter) -> str:
    return ", ".join(f"{n} {what}" for what, n in counts.items() if n or what == "used")


def _nothing_predicted(
    weights: Weights,
    genes: Sequence[str],
    chosen: Sequence[str],
    counts: Counter,
    min_share: float,
) -> HowfarError:
    found = f"{len(chosen)} genes in common; {_words(counts)}"
    do = "Check genome build, gene ids and window; or lower the share."
    versions = {strip_version(g) for g in genes} & set(map(strip_version, weights.intercepts.index))
    if versions and not chosen:
        found += f"; the ids of {len(versions)} genes differ by their version"
        do = "Set cohort.gene_versions to strip."
    elif (weights.table["pos"] == 0).any():
        do = _IDS
    return HowfarError(
        f"{weights.source}, applied to a cohort",
        found=found,
        expected=f"a gene of whose weights a share of {min_share:g} is found",
        do=do,
    )


_IDS = (
    "These weights name variants by rsid alone: give the cohort's file ids, such as by `bcftools "
    "annotate -c ID -a DBSNP.vcf.gz`; check gene ids and window."
)


def apply_to_cohort(
    study: Study, path: Path, window: int, min_share: float = MIN_SHARE
) -> tuple[pd.DataFrame, Counter, dict]:
    """Predict a study's people by the weights in a file.

    window: bp in total around the TSS in which variants are sought. Returns predictions (genes x
    people), what was counted, and the provenance block: input files, options, counts.
    """
    cohort = OpenCohort(study)
    genes = {gene.gene_id: gene for gene in cohort.genes}
    weights = read_weights(path, cohort.settings.gene_versions)
    weights, named = _by_name(weights, cohort.genes)
    by_id = bool((weights.table["pos"] == 0).any())

    def around(gene: str) -> Around:
        """Return a gene's interval, with its variants' ids where weights are by id."""
        inside = cohort.inside(genes[gene], window)
        return Around(inside, cohort.variants.ids(inside) if by_id else {})

    values, counts = apply(
        weights,
        list(genes),
        lambda gene: cohort.dosages(genes[gene], window),
        min_share,
        around,
    )
    values.columns = cohort.samples
    counts["genes of the weights known by their name"] = named
    counts["genes of the weights that the gene table lacks"] = len(weights.intercepts) - len(values)
    met = cohort.warnings + counts
    options = {"weights": path.name, "window": window, "min_share": min_share}
    block = provenance.block(
        {"study": study.name, "cohort": study.cohort.model_dump(), **options},
        input_files(study) | files_of(path),
        warnings=met,
        genes_left_missing=list(values.index[values.isna().all(axis=1)]),
    )
    return values, met, block


def _by_name(weights: Weights, genes: Sequence[Gene]) -> tuple[Weights, int]:
    """Weights whose genes are called by name (as scPrediXcan's may be) under the cohort's ids."""
    known = set(weights.intercepts.index)
    times = Counter(gene.name for gene in genes)
    ids = {
        gene.name: gene.gene_id
        for gene in genes
        if gene.gene_id not in known and gene.name in known and times[gene.name] == 1
    }
    table = weights.table.assign(gene_id=weights.table["gene_id"].replace(ids))
    return Weights(table, weights.intercepts.rename(ids), weights.source), len(ids)


def _matched(rows: pd.DataFrame, dosages: np.ndarray, variants: Sequence[Variant]) -> Match:
    return match(rows, variants, ~np.isnan(np.asarray(dosages, float)).all(axis=0))


def _kept(found: Match, flipped: bool) -> np.ndarray:
    return ~found.palindromic if flipped else np.ones(len(found.row), bool)


def _counted(rows: pd.DataFrame, found: Match, flipped: bool, around: Around | None) -> Counter:
    """Count one gene's weights by what became of them."""
    kept = _kept(found, flipped)
    counts = Counter({"weights": len(rows), "used": int(kept.sum())})
    lost = np.setdiff1d(np.arange(len(rows)), found.row)
    far = 0 if around is None else int((~around.inside(rows.iloc[lost])).sum())
    counts["not found"] = len(lost) - far
    counts["not found, outside the window"] = far
    counts["palindromic, left out"] = int((~kept).sum())
    counts["palindromic, taken as written"] = int((found.palindromic & kept).sum())
    counts.update(f"alleles {how}" for how in found.how[kept])
    return counts


def _predicted(rows: pd.DataFrame, found: Match, dosages: np.ndarray, flipped: bool) -> np.ndarray:
    from howfar.eqtl.lead import filled

    kept = _kept(found, flipped)
    x = filled(np.asarray(dosages, float)[:, found.column[kept]])
    turned = np.isin(found.how[kept], [_SWAPPED, _BOTH])
    x[:, turned] = 2 - x[:, turned]
    return x @ rows["weight"].to_numpy(float)[found.row[kept]]
