"""Expression as each study prepared it, from counts, RPKM or TPM: one function per recipe.

Matrices are frames gene x sample, complete and not negative. Sources: Sasse et al. 2023 and
SAGE-net (Spiro, Tu et al. 2025), methods; Rastogi, Reddy et al. 2024, methods; the GTEx
Consortium 2020, supplement; TMM: Robinson and Oshlack 2010; voom: Law et al. 2014.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from howfar.cohort.expression import read_expression
from howfar.cohort.people import read_covariates
from howfar.core.errors import HowfarError

_MILLION = 1e6
#: Eigenvalues below this part of the largest are rounding.
_NULL = 1e-12


@dataclass(frozen=True)
class Prepared:
    """A recipe's result.

    `values`: float64, gene x sample; `units`: of them; `counts`: genes left out, by reason, and
    what else was counted; `weights`: precision weights of each value (voom), or None.
    """

    values: pd.DataFrame
    units: str
    counts: Counter = field(default_factory=Counter)
    weights: pd.DataFrame | None = None


# --- recipes ---------------------------------------------------------------------------------


def sasse2023(
    counts: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    genotype_pcs: pd.DataFrame | None = None,
    pcs: int = 10,
    min_mean: float = 2.0,
) -> Prepared:
    """Read counts to log2 CPM without covariates: Sasse et al. 2023 (ROSMAP).

    TMM effective library sizes, log2 CPM with voom weights, genes with a mean log2 CPM above
    `min_mean`; covariates (sample x covariate) and the first `pcs` components of expression
    regressed out by weighted least squares, gene means kept. The study regresses out no genotype
    components; those given are added to the covariates.
    """
    check(counts, "read counts", whole=True)
    left = _not_constant(counts)
    library = counts.sum() * tmm_factors(counts)
    values = log2_cpm(counts.loc[left], library)
    known = _joined([covariates, genotype_pcs], list(counts.columns))
    weights = voom_weights(values, library, known)
    kept = values.mean(axis=1) > min_mean
    values, weights = values[kept], weights[kept]
    dropped = {"genes of one value": len(counts) - len(left)}
    dropped[f"genes with a mean log2 CPM of {min_mean:g} or below"] = int((~kept).sum())
    nuisance = _joined([known, components(values.T, pcs)], list(values.columns))
    cleaned = regressed_out(values, nuisance, weights)
    return Prepared(cleaned, "log2 CPM, corrected", Counter(dropped), weights)


def rastogi2024(
    rpkm: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    genotype_pcs: pd.DataFrame | None = None,
    pcs: int = 10,
    offset: float = 0.01,
) -> Prepared:
    """RPKM to ln TPM without components: Rastogi, Reddy et al. 2024 (Geuvadis).

    TPM = RPKM / column sum x 10^6; genes at zero in half of the samples or more left out;
    ln(TPM + `offset`); each gene standardised (population SD), the first `pcs` components of the
    samples x genes matrix removed, the standardisation undone. The study removes no covariates.
    """
    if covariates is not None or genotype_pcs is not None:
        raise HowfarError(
            "recipe rastogi2024", found="covariates", expected="none: the study removes "
            "components of expression alone", do="Leave them out, or choose another recipe.",
        )  # fmt: skip
    check(rpkm, "RPKM")
    tpm = to_tpm(rpkm)
    zeros = (rpkm == 0).mean(axis=1) >= 0.5
    logs = np.log(tpm[~zeros] + offset)
    left = _not_constant(logs)
    counts = Counter({"genes at zero in half of the samples or more": int(zeros.sum())})
    counts["genes of one value"] = len(logs) - len(left)
    scaled, mean, sd = standardised(logs.loc[left])
    rest = without_components(scaled, pcs)
    return Prepared(rest.mul(sd, axis=0).add(mean, axis=0), "ln(TPM + 0.01), corrected", counts)


def sagenet2024(
    tpm: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    genotype_pcs: pd.DataFrame | None = None,
    pcs: int = 10,
    explained: float = 0.9,
) -> Prepared:
    """TPM to log2(TPM + 1) without covariates: SAGE-net (ROSMAP).

    The first `pcs` components of expression, genotype components (3 in the study), and those
    known covariates of which the expression components explain less than `explained` (R2) are
    regressed out together, gene means kept.
    """
    check(tpm, "TPM")
    left = _not_constant(tpm)
    values = np.log2(tpm.loc[left] + 1)
    first = components(values.T, pcs)
    known = _joined([covariates], list(values.columns))
    share = r_squared(known, first)
    kept = known.loc[:, share < explained]
    counts = Counter({"genes of one value": len(tpm) - len(left)})
    counts["covariates left to the components that explain them"] = known.shape[1] - kept.shape[1]
    nuisance = _joined([kept, first, genotype_pcs], list(values.columns))
    return Prepared(regressed_out(values, nuisance), "log2(TPM + 1), corrected", counts)


def gtex(
    counts: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    genotype_pcs: pd.DataFrame | None = None,
    pcs: int = 0,
    tpm: pd.DataFrame | None = None,
) -> Prepared:
    """Read counts to normal scores: the GTEx pipeline for eQTL mapping (v8).

    Genes with at least 6 reads (and, where `tpm` is given, more than 0.1 TPM) in 20 % of the
    samples; TMM-normalised CPM; each gene's ranks over samples as normal quantiles,
    rank / (samples + 1), ties at their mean rank. Nothing is regressed out: covariates enter the
    eQTL model.
    """
    if covariates is not None or genotype_pcs is not None or pcs:
        raise HowfarError(
            "recipe gtex", found="covariates or components", expected="none: they enter the eQTL "
            "model", do="Give them to `howfar eqtl`.",
        )  # fmt: skip
    check(counts, "read counts", whole=True)
    enough = (counts >= 6).mean(axis=1) >= 0.2
    if tpm is not None:
        check(tpm, "TPM")
        enough &= (aligned(tpm, counts, "TPM") > 0.1).mean(axis=1) >= 0.2
    dropped = Counter({"genes expressed in fewer than 20 % of the samples": int((~enough).sum())})
    cpm = counts / (counts.sum() * tmm_factors(counts)) * _MILLION
    left = _not_constant(cpm[enough])
    dropped["genes of one value"] = int(enough.sum()) - len(left)
    return Prepared(normal_scores(cpm.loc[left]), "normal scores", dropped)


RECIPES: dict[str, Callable[..., Prepared]] = {
    "gtex": gtex,
    "rastogi2024": rastogi2024,
    "sagenet2024": sagenet2024,
    "sasse2023": sasse2023,
}


def run(
    recipe: str,
    source: str | Path,
    covariates: str | Path | None = None,
    genotype_pcs: str | Path | None = None,
    pcs: int | None = None,
    tpm: str | Path | None = None,
) -> Prepared:
    """Recipe `recipe` on the matrix in the file `source`."""
    if recipe not in RECIPES or (tpm is not None and recipe != "gtex"):
        raise HowfarError(
            "howfar preprocess",
            found=f"recipe {recipe!r}" + (" with --tpm" if tpm else ""),
            expected=f"one of {', '.join(RECIPES)}; --tpm with gtex alone",
            do="Correct the recipe.",
        )
    options = {} if pcs is None else {"pcs": pcs}
    if tpm is not None:
        options["tpm"] = read_expression(tpm).values
    values = read_expression(source).values
    people = list(values.columns)
    files = (covariates, genotype_pcs)
    tables = [None if path is None else read_covariates(path, people) for path in files]
    try:
        return RECIPES[recipe](values, *tables, **options)
    except HowfarError as error:
        where = f"{source}, {error.where}"
        raise HowfarError(where, found=error.found, expected=error.expected, do=error.do) from error


def write(values: pd.DataFrame, out: str | Path, positions_from: str | Path | None = None) -> None:
    """Write `values` (gene x sample) as .csv, .tsv or .bed, with .gz compressed, whole or not.

    A BED file takes the genes' positions from the BED file `positions_from`.
    """
    out = Path(out)
    kind = Path(out.name.removesuffix(".gz")).suffix
    if kind not in (".csv", ".tsv", ".bed"):
        raise HowfarError(
            str(out), found=f"a name that ends in {kind or 'nothing'}",
            expected=".csv, .tsv or .bed, or these with .gz", do="Rename the file.",
        )  # fmt: skip
    table = values.rename_axis("gene_id").reset_index()
    if kind == ".bed":
        table = _positioned(table, positions_from)
    part = out.with_name(f".{os.getpid()}.{out.name}")
    table.to_csv(part, index=False, sep="," if kind == ".csv" else "\t", lineterminator="\n")
    os.replace(part, out)


def _positioned(table: pd.DataFrame, source: str | Path | None) -> pd.DataFrame:
    positions = None if source is None else read_expression(source).positions
    if positions is None:
        raise HowfarError(
            str(source), found="no positions of genes", expected="a BED file",
            do="Write .csv or .tsv.",
        )  # fmt: skip
    place = positions.loc[table["gene_id"], ["chrom", "start0", "end"]].reset_index(drop=True)
    place.columns = ["#chr", "start", "end"]
    return pd.concat([place, table], axis=1)


# --- checks ----------------------------------------------------------------------------------


def check(values: pd.DataFrame, what: str, whole: bool = False) -> None:
    """Raise HowfarError for a matrix that is not complete, finite, >= 0, or too small.

    whole: fractions are refused too, up to the rounding of estimated counts (RSEM's and the
    like are fractions: round them).
    """
    matrix = values.to_numpy(float)
    lost, negative = int((~np.isfinite(matrix)).sum()), int((matrix < 0).sum())
    parts = int((np.abs(matrix - np.round(matrix)) > 1e-6).sum()) if whole and not lost else 0
    empty = int((matrix.sum(axis=0) <= 0).sum()) if not (lost or negative) else 0
    if lost or negative or parts or empty or min(matrix.shape) < 3:
        raise HowfarError(
            f"{what}, {matrix.shape[0]} genes x {matrix.shape[1]} samples",
            found=f"{lost} missing or infinite, {negative} negative and {parts} fractional values, "
            f"{empty} samples without any expression",
            expected="at least 3 genes and 3 samples, every value finite and not negative"
            + (", counts whole" if whole else ""),
            do="Give the matrix before any transform; round estimated counts.",
        )


def aligned(other: pd.DataFrame, values: pd.DataFrame, what: str) -> pd.DataFrame:
    """`other` with the genes and samples of `values`; HowfarError where it lacks some."""
    genes = len(values.index.difference(other.index))
    samples = len(values.columns.difference(other.columns))
    if genes or samples:
        raise HowfarError(
            what,
            found=f"{genes} genes and {samples} samples fewer than the other matrix",
            expected="the same genes and samples",
            do="Write both matrices from the same run.",
        )
    return other.loc[values.index, values.columns]


def _joined(tables: list[pd.DataFrame | None], samples: list[str]) -> pd.DataFrame:
    """Covariates (sample x covariate) side by side, in the order of `samples`."""
    found = [pd.DataFrame(index=samples)]
    for table in tables:
        if table is None:
            continue
        lacking = sum(s not in table.index for s in samples)
        chosen = table.reindex(samples).astype(float)
        if lacking or chosen.isna().to_numpy().any():
            raise HowfarError(
                "covariates",
                found=f"{lacking} of {len(samples)} samples without a row, "
                f"{int(chosen.isna().to_numpy().sum())} missing values",
                expected="a number for every sample of the expression",
                do="Add the samples, or turn the table if its rows are covariates.",
            )
        found.append(chosen)
    return pd.concat(found, axis=1)


def _not_constant(values: pd.DataFrame) -> pd.Index:
    """The genes that vary; HowfarError where none does."""
    matrix = values.to_numpy(float)
    varies = np.ptp(matrix, axis=1) > 1e-12 * np.abs(matrix).max(axis=1)
    if not varies.any():
        raise HowfarError(
            "genes to prepare",
            found=f"none left: {len(values)} expressed in enough samples, none of which varies",
            expected="genes whose expression differs between samples",
            do="Check that the matrix has the values of each sample, before any transform.",
        )
    return values.index[varies]


# --- steps -----------------------------------------------------------------------------------


def to_tpm(rpkm: pd.DataFrame) -> pd.DataFrame:
    """Transcripts per million: each sample's RPKM scaled to a sum of one million."""
    return rpkm / rpkm.sum() * _MILLION


def tmm_factors(counts: pd.DataFrame) -> pd.Series:
    """TMM normalisation factors by sample, with a product of 1 (Robinson and Oshlack 2010).

    The reference is the sample whose upper quartile is nearest to the mean; 30 % of log ratios
    and 5 % of mean intensities trimmed, as edgeR does. Its rules for sparse samples too: where
    most upper quartiles are 0 the reference has the largest sum of square roots, and a sample
    that shares no gene with the reference has the factor 1.
    """
    expressed = counts[(counts > 0).any(axis=1)]  # edgeR takes quartiles without empty genes
    with np.errstate(divide="ignore", invalid="ignore"):  # samples without a gene in common
        factors = _tmm().fit(expressed.T).get_norm_factors(expressed.T)
    return pd.Series(np.asarray(factors, float), index=counts.columns)


def _tmm():
    """rnanorm's TMM with the rules for sparse samples, which it lacks."""
    from rnanorm import TMM

    class SparseTMM(TMM):
        """TMM with edgeR's choice of the reference; 1 for samples that share nothing with it."""

        def _get_ref(self, X):
            upper = np.percentile(X, 75, axis=1) / X.sum(axis=1)
            if np.median(upper) < 1e-20:
                return X[np.argmax(np.sqrt(X).sum(axis=1))]
            return X[np.argmin(np.abs(upper - upper.mean()))]

        def _get_norm_factors(self, X):
            factors = super()._get_norm_factors(X)
            return np.where(np.isfinite(factors), factors, 1.0)

    return SparseTMM()


def log2_cpm(counts: pd.DataFrame, library: pd.Series) -> pd.DataFrame:
    """log2((count + 0.5) / (library + 1) x 10^6), as voom takes it."""
    return np.log2((counts + 0.5) / (library + 1) * _MILLION)


def voom_weights(
    values: pd.DataFrame, library: pd.Series, covariates: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Precision weights of log2 CPM, gene x sample (Law et al. 2014; limma's voom, span 0.5).

    The square root of each gene's residual SD is smoothed by lowess against its mean log2 count;
    a value's weight is the smooth at its fitted log2 count to the power of -4.
    """
    from statsmodels.nonparametric.smoothers_lowess import lowess

    design = _design(covariates, values.shape[1], "voom")
    y = values.to_numpy(float)
    fitted = y @ np.linalg.pinv(design).T @ design.T
    rank = np.linalg.matrix_rank(design)
    sd = np.sqrt(((y - fitted) ** 2).sum(axis=1) / (y.shape[1] - rank))
    size = np.log2(library.to_numpy(float) + 1) - np.log2(_MILLION)
    level = y.mean(axis=1) + size.mean()
    smooth = lowess(np.sqrt(sd), level, frac=0.5, it=3, delta=0.01 * np.ptp(level))
    place, first = np.unique(smooth[:, 0], return_index=True)
    trend = np.interp(fitted + size, place, smooth[first, 1])
    return pd.DataFrame(trend**-4.0, index=values.index, columns=values.columns)


def _design(covariates: pd.DataFrame | None, samples: int, where: str) -> np.ndarray:
    """Intercept and covariates (samples, k); HowfarError without residual degrees of freedom."""
    ones = np.ones((samples, 1))
    given = covariates is not None and covariates.shape[1]
    design = np.hstack([ones, covariates.to_numpy(float)]) if given else ones
    if design.shape[1] >= samples:
        raise HowfarError(
            where,
            found=f"{design.shape[1] - 1} covariates for {samples} samples",
            expected="fewer covariates than samples, by 2 at least",
            do="Leave out covariates or components.",
        )
    return design


def regressed_out(
    values: pd.DataFrame, covariates: pd.DataFrame, weights: pd.DataFrame | None = None
) -> pd.DataFrame:
    """`values` (gene x sample) less what covariates (sample x k) explain; gene means are kept.

    weights: of each value, for weighted least squares; None for ordinary.
    """
    design = _design(covariates, values.shape[1], "covariates to regress out")
    spread = design[:, 1:].std(axis=0)
    x = np.hstack([design[:, :1], (design[:, 1:] - design[:, 1:].mean(axis=0))
                   / np.where(spread > 0, spread, 1)])  # fmt: skip
    y = values.to_numpy(float)
    if weights is None:
        rest = y - y @ np.linalg.pinv(x).T @ x.T
    else:
        root = np.sqrt(weights.to_numpy(float))
        rest = np.array([e - x @ np.linalg.lstsq(x * w[:, None], e * w, rcond=1e-10)[0]
                         for e, w in zip(y, root, strict=True)])  # fmt: skip
    kept = rest - rest.mean(axis=1, keepdims=True) + y.mean(axis=1, keepdims=True)
    return pd.DataFrame(kept, index=values.index, columns=values.columns)


def standardised(values: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Genes at mean 0 and population SD 1, their means, and their SDs (1 for a constant gene)."""
    mean, sd = values.mean(axis=1), values.std(axis=1, ddof=0)
    sd = sd.where(sd > 0, 1.0)
    return values.sub(mean, axis=0).div(sd, axis=0), mean, sd


def components(matrix: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first principal components' scores of samples x features, centred: sample x count.

    The sign of each makes its largest score positive. Scores have mean 0 and the length of their
    singular value.
    """
    centred = matrix.to_numpy(float) - matrix.to_numpy(float).mean(axis=0)
    return components_of_product(centred @ centred.T, matrix.index, count)


def components_of_product(product: np.ndarray, samples, count: int) -> pd.DataFrame:
    """As `components`, from the product (samples, samples) of a centred matrix with itself."""
    if not 0 <= count < len(product):
        raise HowfarError(
            "principal components",
            found=f"{count} components of {len(product)} samples",
            expected="fewer components than samples",
            do="Ask for fewer.",
        )
    size, vectors = np.linalg.eigh(product)
    first = np.argsort(-size, kind="stable")[:count]
    there = int((size > max(size[-1], 0) * _NULL).sum())
    if count > there:  # directions of rounding alone would pass as components
        raise HowfarError(
            "principal components",
            found=f"{count} components asked for, of values that vary in {there} directions",
            expected=f"{there} or fewer",
            do="Ask for fewer, or give more genes or variants.",
        )
    scores = vectors[:, first] * np.sqrt(np.maximum(size[first], 0))
    largest = np.abs(scores).argmax(axis=0)
    scores = scores * np.where(scores[largest, np.arange(count)] < 0, -1.0, 1.0)
    return pd.DataFrame(scores, index=samples)


def without_components(values: pd.DataFrame, count: int) -> pd.DataFrame:
    """`values` (gene x sample, genes centred) less their first components over samples."""
    scores = components(values.T, count).to_numpy()
    basis = scores / np.maximum(np.linalg.norm(scores, axis=0), np.finfo(float).tiny)
    rest = values.to_numpy(float) @ (np.eye(values.shape[1]) - basis @ basis.T)
    if np.abs(rest).max() <= 1e-9 * np.abs(values.to_numpy(float)).max():
        raise HowfarError(
            "components of expression to remove",
            found=f"{count}, which leave nothing of {len(values)} genes",
            expected="fewer components than directions in which expression varies",
            do="Ask for fewer.",
        )
    return pd.DataFrame(rest, index=values.index, columns=values.columns)


def r_squared(targets: pd.DataFrame, predictors: pd.DataFrame) -> np.ndarray:
    """Share of each target's variance that the predictors explain together (samples in rows)."""
    x = _design(predictors, len(targets), "components")
    y = targets.to_numpy(float)
    rest = y - x @ np.linalg.pinv(x) @ y
    total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    return 1 - (rest**2).sum(axis=0) / np.where(total > 0, total, np.inf)


def normal_scores(values: pd.DataFrame) -> pd.DataFrame:
    """Each gene's ranks over samples as normal quantiles, rank / (samples + 1); ties averaged."""
    ranks = stats.rankdata(values.to_numpy(float), axis=1)
    scores = stats.norm.ppf(ranks / (values.shape[1] + 1))
    return pd.DataFrame(scores, index=values.index, columns=values.columns)
