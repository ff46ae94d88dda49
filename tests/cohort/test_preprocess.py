"""Expression as the studies prepared it: against published definitions computed another way."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from howfar.cli.app import app
from howfar.cohort.expression import read_expression
from howfar.cohort.panel import Panel
from howfar.cohort.preprocess import gtex, rastogi2024, sagenet2024, sasse2023, statistics
from howfar.cohort.preprocess.files import prepare_expression, write_expression
from howfar.core.errors import HowfarError
from howfar.core.registry import RECIPES
from howfar.eqtl.covariates import expression_components, read_covariates


def named(matrix) -> pd.DataFrame:
    genes, samples = np.shape(matrix)
    index = [f"g{i}" for i in range(genes)]
    return pd.DataFrame(np.asarray(matrix, float), index, [f"s{i}" for i in range(samples)])


def read_counts(seed=1, genes=300, samples=24) -> pd.DataFrame:
    """Negative binomial counts over four decades, libraries of unlike size and composition."""
    rng = np.random.default_rng(seed)
    level = 10 ** rng.uniform(-0.5, 3.5, (genes, 1)) * rng.uniform(0.4, 2.5, samples)
    level[:20, :6] *= 12  # some samples spend reads on a few genes
    shape = 8.0
    counts = rng.negative_binomial(shape, shape / (shape + level))
    counts[5] = 0
    return named(counts)


def covariates(samples: int, seed=2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = {"age": rng.uniform(60, 100, samples), "sex": rng.integers(0, 2, samples)}
    return pd.DataFrame(table, [f"s{i}" for i in range(samples)]).astype(float)


# --- TMM -------------------------------------------------------------------------------------


def edger_factors(counts: np.ndarray, trim_m=0.3, trim_a=0.05) -> np.ndarray:
    """Robinson and Oshlack (2010) by their definition, gene by gene, as edgeR documents it."""
    counts = counts[counts.sum(axis=1) > 0]
    library = counts.sum(axis=0)
    upper = [np.quantile(c, 0.75) / n for c, n in zip(counts.T, library, strict=True)]
    ref = int(np.argmin(np.abs(upper - np.mean(upper))))
    if np.median(upper) < 1e-20:
        ref = int(np.argmax(np.sqrt(counts).sum(axis=0)))
    factors = []
    for k in range(counts.shape[1]):
        ratio, mean, variance = [], [], []
        for g in range(len(counts)):
            x, y = counts[g, k], counts[g, ref]
            if x == 0 or y == 0:
                continue
            ratio.append(np.log2((x / library[k]) / (y / library[ref])))
            mean.append((np.log2(x / library[k]) + np.log2(y / library[ref])) / 2)
            variance.append(
                (library[k] - x) / library[k] / x + (library[ref] - y) / library[ref] / y
            )
        ratio, mean, weight = np.array(ratio), np.array(mean), 1 / np.array(variance)
        if np.abs(ratio).max(initial=0) < 1e-6:
            factors.append(1.0)
            continue
        n = len(ratio)
        low_m, low_a = int(n * trim_m) + 1, int(n * trim_a) + 1
        ranks_m, ranks_a = stats.rankdata(ratio), stats.rankdata(mean)
        kept = (ranks_m >= low_m) & (ranks_m <= n + 1 - low_m)
        kept &= (ranks_a >= low_a) & (ranks_a <= n + 1 - low_a)
        factors.append(2 ** np.average(ratio[kept], weights=weight[kept]))
    factors = np.array(factors)
    return factors / np.exp(np.log(factors).mean())


def sparse_counts(kind: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    counts = rng.poisson(rng.gamma(1, 40, (120, 1)), (120, 8))
    if kind == "one sample nearly empty":
        counts[20:, 0] = 0
    elif kind == "upper quartiles of 0":
        counts[rng.random((120, 8)) < 0.85] = 0
    else:
        counts[:60, 1:], counts[60:, 0] = 0, 0
    return counts


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "kind", ["one sample nearly empty", "upper quartiles of 0", "no gene in common"]
)
def test_factors_of_sparse_samples_are_edgers(kind):
    counts = sparse_counts(kind)
    found = statistics.tmm_factors(pd.DataFrame(counts))
    np.testing.assert_allclose(found, edger_factors(counts.astype(float)), rtol=1e-9)


@pytest.mark.parametrize("recipe", ["gtex", "sasse2023", "sagenet2024", "rastogi2024"])
def test_nothing_left_to_prepare_is_said(recipe):
    same = pd.DataFrame(np.tile(np.arange(1, 41)[:, None] * 10, (1, 12)))
    with pytest.raises(HowfarError, match="none left"):
        RECIPES.load(recipe)(same)


def test_removing_all_components_is_refused():
    rpkm = pd.DataFrame(np.random.default_rng(0).gamma(2, 5, (30, 6)))
    assert np.ptp(rastogi2024.prepare(rpkm, pcs=4).values, axis=1).min() > 0.01
    with pytest.raises(HowfarError, match="leave nothing"):
        rastogi2024.prepare(rpkm, pcs=5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_factors_are_edgers(seed):
    """Equal counts of small genes tie in mean intensity; edgeR leaves such ties to rounding."""
    counts = read_counts(seed)
    high = counts[counts.min(axis=1) >= 10]
    assert len(high) > 120
    exact = edger_factors(high.to_numpy())
    np.testing.assert_allclose(statistics.tmm_factors(high), exact, rtol=1e-12)
    found = statistics.tmm_factors(counts)
    np.testing.assert_allclose(found, edger_factors(counts.to_numpy()), rtol=2e-4)
    assert np.log(found).sum() == pytest.approx(0, abs=1e-10)
    assert found[:6].mean() < 0.9 * found[6:].mean()  # their other genes look lower


def test_a_library_twice_as_large_hardly_changes_a_factor():
    counts = read_counts(4)
    doubled = counts.copy()
    doubled["s3"] *= 2
    found, other = statistics.tmm_factors(counts), statistics.tmm_factors(doubled)
    np.testing.assert_allclose(found, other, rtol=0.01)


# --- voom ------------------------------------------------------------------------------------


def cleveland(x: np.ndarray, y: np.ndarray, share=0.5, rounds=3) -> np.ndarray:
    """Cleveland's (1979) robust local regression at every point, by its definition; x sorted."""
    n, near = len(x), int(share * len(x))
    robust, fit = np.ones(n), np.zeros(n)
    for _ in range(rounds + 1):
        for i in range(n):
            away = np.abs(x - x[i])
            reach = np.sort(away)[near - 1]
            w = np.where(away < reach, (1 - (away / reach) ** 3) ** 3, 0) * robust
            slope, level = np.polyfit(x, y, 1, w=np.sqrt(w))
            fit[i] = level + slope * x[i]
        rest = np.abs(y - fit)
        robust = (1 - np.clip(rest / (6 * np.median(rest)), 0, 1) ** 2) ** 2
    return fit


def test_weights_are_limmas():
    """Law et al. (2014): a value's precision is the trend of residual SDs at its fitted count."""
    counts = read_counts(5)
    counts = counts[counts.sum(axis=1) > 0]
    z = covariates(24)
    library = counts.sum() * statistics.tmm_factors(counts)
    values = statistics.log2_cpm(counts, library)
    np.testing.assert_allclose(
        values.loc["g7", "s3"], np.log2((counts.loc["g7", "s3"] + 0.5) / (library["s3"] + 1) * 1e6)
    )
    found = statistics.voom_weights(values, library, z)
    fits = [sm.OLS(row, sm.add_constant(z.to_numpy())).fit() for row in values.to_numpy()]
    sd = np.array([np.sqrt(fit.scale) for fit in fits])
    level = values.mean(axis=1).to_numpy() + np.mean(np.log2(library + 1)) - np.log2(1e6)
    order = np.argsort(level)
    trend = cleveland(level[order], np.sqrt(sd)[order])
    sizes = np.array([f.fittedvalues for f in fits]) + np.log2(library.to_numpy() + 1)
    sizes -= np.log2(1e6)
    expected = np.interp(sizes, level[order], trend) ** -4.0
    np.testing.assert_allclose(found, expected, rtol=0.02)  # lowess leaps over near points
    # counts that are high are measured better
    assert stats.spearmanr(found.mean(axis=1), counts.mean(axis=1)).statistic > 0.8


# --- steps -----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_regressing_out_is_statsmodels_and_keeps_the_mean(seed, weighted):
    rng = np.random.default_rng(seed)
    values, z = named(rng.normal(5, 2, (4, 20))), covariates(20, seed)
    weights = named(rng.uniform(0.2, 5, (4, 20))) if weighted else None
    found = statistics.regressed_out(values, z, weights)
    np.testing.assert_allclose(found.mean(axis=1), values.mean(axis=1), rtol=1e-10)
    for gene in values.index:
        w = 1.0 if weights is None else weights.loc[gene].to_numpy()
        fit = sm.WLS(values.loc[gene].to_numpy(), sm.add_constant(z.to_numpy()), weights=w).fit()
        rest = fit.resid - fit.resid.mean() + values.loc[gene].mean()
        np.testing.assert_allclose(found.loc[gene], rest, atol=1e-8)


def test_components_are_those_of_scikit_learn():
    matrix = named(np.random.default_rng(3).normal(size=(60, 15)) @ np.diag(np.arange(1, 16)))
    found = statistics.components(matrix.T, 5)
    other = PCA(5, svd_solver="full").fit_transform(matrix.T)
    np.testing.assert_allclose(np.abs(found), np.abs(other), atol=1e-9)
    assert (found.to_numpy()[np.abs(found.to_numpy()).argmax(axis=0), range(5)] > 0).all()
    with pytest.raises(HowfarError, match="15 components of 15 samples"):
        statistics.components(matrix.T, 15)


def test_genes_are_standardised_by_the_population_sd():
    values = named(np.random.default_rng(9).normal(3, 2, (5, 12)))
    values.iloc[2] = 7.0
    scaled, mean, sd = statistics.standardised(values)
    np.testing.assert_allclose(scaled.T, StandardScaler().fit_transform(values.T), atol=1e-12)
    assert sd["g2"] == 1 and mean["g2"] == 7


def test_normal_scores_are_ranks_as_quantiles():
    values = named([[3, 1, 2, 2, 10], [5, 4, 3, 2, 1]])
    found = statistics.normal_scores(values)
    ranks = stats.mstats.rankdata(values.to_numpy(), axis=1)
    np.testing.assert_allclose(found, stats.norm.ppf(ranks / 6))
    assert found.loc["g0", "s2"] == found.loc["g0", "s3"]
    assert found.loc["g1"].sum() == pytest.approx(0)


def test_explained_share_is_that_of_a_regression():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    y[:, 0] += x[:, 1]
    found = statistics.r_squared(pd.DataFrame(y), pd.DataFrame(x))
    fits = [sm.OLS(column, sm.add_constant(x)).fit().rsquared for column in y.T]
    np.testing.assert_allclose(found, fits)


# --- recipes ---------------------------------------------------------------------------------


def test_sasse_filters_weighs_and_removes_covariates():
    counts, z = read_counts(6), covariates(24)
    made = sasse2023.prepare(counts, z, pcs=3)
    library = counts.sum() * statistics.tmm_factors(counts)
    logs = statistics.log2_cpm(counts[counts.sum(axis=1) > 0], library)
    kept = logs.index[logs.mean(axis=1) > 2]
    assert list(made.values.index) == list(kept) and 0 < len(kept) < 299
    assert made.counts["genes of one value"] == 1
    assert made.counts["genes with a mean log2 CPM of 2 or below"] == 299 - len(kept)
    np.testing.assert_allclose(made.values.mean(axis=1), logs.loc[kept].mean(axis=1))
    first = PCA(3).fit_transform(logs.loc[kept].T)
    design = sm.add_constant(np.column_stack([z, first]))
    gene = kept[11]
    fit = sm.WLS(logs.loc[gene].to_numpy(), design, weights=made.weights.loc[gene]).fit()
    rest = fit.resid - fit.resid.mean() + logs.loc[gene].mean()
    np.testing.assert_allclose(made.values.loc[gene], rest, atol=1e-7)
    plain = sasse2023.prepare(counts, None, pcs=0)
    assert np.corrcoef(plain.values.loc[gene], logs.loc[gene])[0, 1] == pytest.approx(1)


def test_rastogi_is_what_scikit_learn_makes_of_its_steps():
    rng = np.random.default_rng(7)
    rpkm = named(rng.gamma(1.5, 3, (200, 40)) * rng.uniform(0.5, 2, 40))
    rpkm.iloc[0, :20] = 0  # half: out
    rpkm.iloc[1, :19] = 0  # just fewer: stays
    made = rastogi2024.prepare(rpkm)
    tpm = rpkm / rpkm.sum() * 1e6
    y = np.log(tpm.drop("g0") + 0.01).T
    scaler, pca = StandardScaler(), PCA(10, svd_solver="full")
    scaled = scaler.fit_transform(y)
    rest = scaled - pca.inverse_transform(pca.fit_transform(scaled))
    expected = scaler.inverse_transform(rest)
    np.testing.assert_allclose(made.values.T, expected, atol=1e-8)
    assert made.counts["genes at zero in half of the samples or more"] == 1
    assert "g1" in made.values.index and made.units.startswith("ln")
    np.testing.assert_allclose(statistics.to_tpm(rpkm).sum(), 1e6)
    with pytest.raises(HowfarError, match="found covariates"):
        rastogi2024.prepare(rpkm, covariates(40))


def test_sagenet_leaves_covariates_to_the_components_that_explain_them():
    rng = np.random.default_rng(8)
    factor = rng.normal(size=40)
    tpm = named(np.exp(rng.normal(2, 0.2, (150, 40)) + np.outer(rng.normal(size=150), factor)))
    z = covariates(40).assign(batch=factor)
    genotype = pd.DataFrame(rng.normal(size=(40, 3)), z.index)
    made = sagenet2024.prepare(tpm, z, genotype, pcs=2)
    assert made.counts["covariates left to the components that explain them"] == 1
    logs = np.log2(tpm + 1)
    first = PCA(2).fit_transform((logs.T - logs.mean(axis=1)) / logs.std(axis=1))
    design = sm.add_constant(np.column_stack([z[["age", "sex"]], first, genotype]))
    fit = sm.OLS(logs.loc["g4"].to_numpy(), design).fit()
    np.testing.assert_allclose(made.values.loc["g4"], fit.resid + logs.loc["g4"].mean(), atol=1e-8)
    assert made.values.mean(axis=1).max() > 2  # means are kept


def test_gtex_is_tmm_then_normal_scores():
    counts = read_counts(9)
    made = gtex.prepare(counts)
    enough = (counts >= 6).sum(axis=1) >= 0.2 * 24
    assert list(made.values.index) == list(counts.index[enough])
    cpm = counts / (counts.sum() * edger_factors(counts.to_numpy())) * 1e6
    ranks = stats.rankdata(cpm.loc["g50"])
    np.testing.assert_allclose(made.values.loc["g50"], stats.norm.ppf(ranks / 25))
    low = counts * 0 + 1.0
    low.loc["g50"] = 0.1
    assert "g50" not in gtex.prepare(counts, tpm=low).values.index
    with pytest.raises(HowfarError, match="1 gene and 0 samples fewer"):
        gtex.prepare(counts, tpm=low.drop("g3"))


# --- input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.replace(c.iloc[3, 3], -1.0), "negative"),
        (lambda c: c.mask(c.index.to_series() == "g2"), "24 missing"),
        (lambda c: c + 0.5, "fractional"),
        (lambda c: c.assign(s4=0.0), "1 sample without any expression"),
        (lambda c: c.iloc[:, :2], "x 2 samples"),
    ],
)
def test_matrices_that_are_no_counts_are_refused(change, message):
    with pytest.raises(HowfarError, match=message):
        sasse2023.prepare(change(read_counts()))


def test_covariates_must_cover_the_samples_and_leave_freedom():
    counts, z = read_counts(), covariates(24)
    with pytest.raises(HowfarError, match="1 of 24 samples without a row"):
        sasse2023.prepare(counts, z.drop("s3"))
    with pytest.raises(HowfarError, match="1 missing"):
        sasse2023.prepare(counts, z.mask(z == z.iloc[2, 0]))
    with pytest.raises(HowfarError, match="25 covariates for 24 samples"):
        sasse2023.prepare(counts, z, pcs=23)


def test_command_writes_what_the_recipe_gives(tmp_path):
    counts = read_counts()
    counts.rename_axis("gene").to_csv(tmp_path / "counts.csv")
    covariates(24).T.rename_axis("id").to_csv(tmp_path / "c.tsv", sep="\t")
    arguments = [str(tmp_path / name) for name in ("counts.csv", "out.tsv.gz")]
    more = ["--pcs", "2", "--covariates", str(tmp_path / "c.tsv")]
    ran = CliRunner().invoke(app, ["preprocess", "sasse2023", *arguments, *more])
    assert ran.exit_code == 0, ran.output
    assert "24 samples" in ran.output and "genes of one value: 1" in ran.output
    written = read_expression(arguments[1]).values
    expected = sasse2023.prepare(counts, covariates(24), pcs=2).values
    np.testing.assert_allclose(written, expected)
    with pytest.raises(HowfarError, match="expected a BED file"):
        write_expression(expected, tmp_path / "x.bed", arguments[0])
    with pytest.raises(HowfarError, match=r"one of gtex"):
        prepare_expression("voom", arguments[0])
    (tmp_path / "bad.csv").write_text("gene,a,b,c\nx,1,2,3\ny,1,-2,3\nz,1,2,3\n")
    with pytest.raises(HowfarError, match=r"bad\.csv, read counts.*1 negative"):
        prepare_expression("gtex", tmp_path / "bad.csv")


def test_a_bed_file_keeps_its_positions(tmp_path):
    lines = ["#chr\tstart\tend\tgene_id\ta\tb\tc"]
    lines += [f"chr1\t{i}\t{i + 1}\tg{i}\t{i + 1}\t{3 * i}\t{7 * i % 5}" for i in range(1, 6)]
    with gzip.open(tmp_path / "in.bed.gz", "wt") as handle:
        handle.write("\n".join(lines) + "\n")
    made = prepare_expression("sagenet2024", tmp_path / "in.bed.gz", pcs=1)
    write_expression(made.values, tmp_path / "out.bed", tmp_path / "in.bed.gz")
    again = read_expression(tmp_path / "out.bed")
    np.testing.assert_allclose(again.values, made.values)
    assert again.positions.loc["g3", "start0"] == 3


def test_components_and_covariates_of_real_expression(shared):
    """Chr22 of Geuvadis, 373 people, with the covariates of FastQTL's example."""
    (folder,) = (shared / "mirror" / "francois-a" / "fastqtl").glob("*/example")
    values = read_expression(folder / "phenotypes.bed.gz").values
    assert values.shape == (364, 373)
    genes = pd.DataFrame({"gene_id": values.index, "chrom": "22", "tss": 1, "strand": "+"})
    first = expression_components(Panel(values, genes.assign(name="")), 5)
    scaled = StandardScaler().fit_transform(values.T)
    other = PCA(5, svd_solver="full").fit_transform(scaled)
    np.testing.assert_allclose(np.abs(first), np.abs(other), atol=1e-7)
    table = read_covariates(folder / "covariates.txt.gz", list(values.columns))
    assert table.shape == (373, 4)
    with pytest.raises(HowfarError, match="negative"):
        prepare_expression("rastogi2024", folder / "phenotypes.bed.gz")  # is already transformed


def test_components_of_more_samples_than_features_are_those_of_sklearn():
    table = pd.DataFrame(np.random.default_rng(1).normal(size=(50, 12)))
    found = statistics.components(table, 3)
    expected = PCA(3, svd_solver="full").fit_transform(table)
    assert np.allclose(found.abs(), np.abs(expected), atol=1e-10)
    assert (found.loc[found.abs().idxmax()].to_numpy().diagonal() > 0).all()
    turned = table - table.mean()
    assert np.allclose(found, statistics.components_of_product(turned @ turned.T, found.index, 3))
    with pytest.raises(HowfarError, match="in 12 directions; expected 12 or fewer"):
        statistics.components(table, 13)
