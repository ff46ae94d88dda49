"""The demo cohort: valid files, a truth that agrees with them, realistic genetics."""

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from cyvcf2 import VCF
from scipy import stats

from howfar.cohort.expression import read_expression
from howfar.core.provenance import sha256_of
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows
from howfar.simulate import peaks
from howfar.simulate.demo import genome, people, world
from howfar.simulate.demo import grammar as g

PEOPLE, GENES = 90, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("world")
    world.simulate(path, seed=3, people=PEOPLE, genes=GENES)
    return path


@pytest.fixture(scope="module")
def truth(folder):
    values = pd.read_parquet(folder / "truth_values.parquet")
    return {
        "genes": pd.read_csv(folder / "truth_genes.csv").set_index("gene_id"),
        "variants": pd.read_csv(folder / "truth_variants.csv"),
        "a": values.pivot(index="gene_id", columns="sample", values="value_a"),
        "b": values.pivot(index="gene_id", columns="sample", values="value_b"),
    }


@pytest.fixture(scope="module")
def opened(folder):
    with (
        Reference(folder / "reference.fa") as fasta,
        VariantFile(folder / "variants.vcf.gz") as variants,
    ):
        yield fasta, variants, read_genes(folder / "genes.csv")


def test_the_same_arguments_give_the_same_bytes(folder, tmp_path):
    world.simulate(tmp_path / "again", seed=3, people=PEOPLE, genes=GENES)
    world.simulate(tmp_path / "other", seed=4, people=PEOPLE, genes=GENES)
    names = sorted(p.name for p in folder.iterdir())
    assert names == sorted(p.name for p in (tmp_path / "again").iterdir())
    for name in names:
        assert sha256_of(folder / name) == sha256_of(tmp_path / "again" / name), name
    for name in ("reference.fa", "variants.vcf.gz", "expression.bed.gz", "grammar.json"):
        assert sha256_of(folder / name) != sha256_of(tmp_path / "other" / name), name


def test_the_vcf_is_valid(folder, opened):
    fasta, _, _ = opened
    last, kinds = ("", 0), set()
    for record in VCF(str(folder / "variants.vcf.gz")):
        text = fasta._fasta.fetch(record.CHROM, record.start, record.end)
        assert text.upper() == record.REF and len(record.ALT) == 1
        assert last[0] != record.CHROM or record.start >= last[1], "records overlap"
        assert all(phased for *_, phased in record.genotypes)
        count = sum(a + b for a, b, _ in record.genotypes)
        assert 0 < count < 2 * PEOPLE
        kinds.add((record.is_snp, len(record.REF) > 1))
        last = (record.CHROM, record.end)
    assert kinds == {(True, False), (False, True), (False, False)}


def test_bcftools_agrees_that_it_is_normal(folder):
    if shutil.which("bcftools") is None:
        pytest.skip("bcftools is not installed")
    words = ["bcftools", "norm", "-c", "e", "-f", folder / "reference.fa", "-o", "/dev/null"]
    done = subprocess.run(
        [*words, folder / "variants.vcf.gz"], capture_output=True, text=True, check=True
    )
    total, *changed = done.stderr.split("total/")[-1].split(":")[-1].split("/")
    assert int(total) > 100 and {int(x.split()[0]) for x in changed} == {0}, done.stderr


def test_expression_of_sequences_built_from_the_files_is_the_truth(folder, opened, truth):
    fasta, variants, genes = opened
    grammar = g.load(folder / "grammar.json")
    for gene in genes:
        windows = build_windows(fasta, variants, gene, world.CONTEXT, alleles="all")
        level = np.exp(g.log_expression(windows.sequences, grammar))
        value = np.log(level[windows.index].mean(axis=1))
        for cell, name in enumerate("ab"):
            expected = truth[name].loc[gene.gene_id, list(windows.samples)]
            np.testing.assert_allclose(value[:, cell], expected, rtol=0, atol=1e-12)


def test_variant_effects_are_those_of_a_mutated_string(folder, opened, truth):
    fasta, _, genes = opened
    grammar = g.load(folder / "grammar.json")
    checked = 0
    for gene in genes[::2]:
        rows = truth["variants"].query("gene_id == @gene.gene_id")
        tss, reach = gene.tss - 1, 4600
        low = max(0, tss - reach)
        text = fasta._fasta.fetch(gene.chrom, low, tss + reach)
        level = _log(text, tss - low, grammar)
        for row in rows.itertuples():
            _, pos, ref, alt = row.variant.split(":")
            start = int(pos) - 1
            if start < tss < start + len(ref):
                continue  # the TSS base itself is deleted
            mutated = text[: start - low] + alt + text[start - low + len(ref) :]
            moved = len(alt) - len(ref) if start + len(ref) <= tss else 0
            effect = _log(mutated, tss - low + moved, grammar) - level
            np.testing.assert_allclose([row.effect_a, row.effect_b], effect, atol=2e-7)
            assert (row._5 == "none") == (np.abs(effect).max() < 1e-12)
            checked += 1
    assert checked > 100
    assert truth["variants"]["causal"].sum() > 20


def _log(text, tss, grammar):
    return g.log_expression(np.frombuffer(text.encode(), np.uint8)[None], grammar, tss)[0]


@pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
def test_heritability_is_the_projection_that_least_squares_gives(opened, truth):
    fasta, variants, genes = opened
    for gene in genes[:6]:
        dosages, names = variants.dosages(gene.window(2 * 4096 + 512), fasta)
        assert len(names) > 5
        y = truth["a"].loc[gene.gene_id, list(variants.samples)].to_numpy()
        fit = sm.OLS(y, sm.add_constant(dosages.astype(float))).fit()
        row = truth["genes"].loc[gene.gene_id]
        total = y.var() + row["sd_noise"] ** 2
        assert row["h2_broad"] == pytest.approx(y.var() / total, rel=1e-6)
        assert row["h2_additive"] == pytest.approx(fit.rsquared * y.var() / total, rel=1e-5)


def test_heritability_spans_its_range_and_expression_has_it(folder, truth):
    table = truth["genes"]
    assert (table["h2_additive"] <= table["h2_broad"] + 1e-9).all()
    assert table["h2_broad"].min() < 0.15 and table["h2_broad"].max() > 0.35
    assert table["h2_broad"].between(0, 0.5).all()
    observed = read_expression(folder / "expression.bed.gz").values.reindex(table.index)
    r2 = np.array([_r(observed.loc[i], truth["a"].loc[i]) ** 2 for i in table.index])
    assert abs(r2.mean() - table["h2_broad"].mean()) < 0.08
    assert stats.spearmanr(r2, table["h2_broad"]).statistic > 0.7


def test_the_null_expression_is_independent_of_genotype(folder, truth):
    observed = read_expression(folder / "expression_null.bed.gz").values
    p = [stats.pearsonr(observed.loc[i], truth["a"].loc[i]).pvalue for i in observed.index]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    real = read_expression(folder / "expression.bed.gz").values
    assert _r(observed.mean(axis=1), real.mean(axis=1).reindex(observed.index)) > 0.95


def _r(x, y):
    return np.corrcoef(x, y)[0, 1]


def test_peaks_move_nothing_else(folder, tmp_path, monkeypatch):
    """Without peaks, all other files of a world have the same bytes."""
    monkeypatch.setattr(world, "_write_peaks", lambda *given: None)
    world.simulate(tmp_path, seed=3, people=PEOPLE, genes=GENES)
    without = {path.name: sha256_of(path) for path in tmp_path.iterdir()}
    there = {path.name: sha256_of(path) for path in folder.iterdir()}
    names = {
        "peaks.csv",
        "peaks_varying.csv",
        "peaks.bed.gz",
        "peaks.bed.gz.tbi",
        "truth_peaks.parquet",
    }
    assert set(there) - set(without) == names
    assert without == {name: digest for name, digest in there.items() if name not in names}


def test_peaks_have_their_truth(folder, opened):
    """Occupancy around each centre, on haplotypes whose windows other code built, gives it."""
    fasta, variants, _ = opened
    grammar = g.load(folder / "grammar.json")
    table = pd.read_csv(folder / "peaks.csv").set_index("gene_id")
    values = pd.read_parquet(folder / "truth_peaks.parquet")
    values = values.pivot(index="gene_id", columns="sample", values="value")
    centres = read_genes(folder / "peaks.csv")
    assert (table.groupby("gene").size() == 1 + peaks.ENHANCERS).all()
    varying = pd.read_csv(folder / "peaks_varying.csv").set_index("gene_id")
    pd.testing.assert_frame_equal(varying, table[table["h2_broad"] > 0])
    for peak in centres[::3]:
        reach = table.loc[peak.gene_id, "reach"]
        built = build_windows(fasta, variants, peak, 2 * (reach + 50), alleles="all")
        found = g.sites(built.sequences, grammar)
        inside = np.abs(found.start + g.MIDDLE - reach - 50) <= reach
        inside &= found.motif < g.FACTORS
        total = np.bincount(
            found.window[inside], found.occupancy[inside] / g.UNIT, len(built.sequences)
        )
        value = np.log((total / (1 + total / 6))[built.index].mean(axis=1) + 0.1)
        expected = values.loc[peak.gene_id, list(built.samples)]
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12)


def test_peaks_lie_apart_and_are_heritable(folder):
    table = pd.read_csv(folder / "peaks.csv")
    genes = pd.read_csv(folder / "genes.csv").set_index("gene_id")["tss"]
    away = table["tss"] - table["gene"].map(genes)
    assert (away[table["gene_id"].str.endswith("promoter")] == 0).all()
    assert (away.abs() + table["reach"] <= g.DISTAL).all()
    for _, mine in table.sort_values("tss").groupby("gene"):
        reach = mine["reach"].to_numpy()
        assert (np.diff(mine["tss"]) >= reach[1:] + reach[:-1]).all()
    truth = pd.read_parquet(folder / "truth_peaks.parquet")
    truth = truth.pivot(index="gene_id", columns="sample", values="value")
    observed = read_expression(folder / "peaks.bed.gz").values.loc[table["gene_id"]]
    truth = truth.loc[table["gene_id"], observed.columns]
    varies = table["h2_broad"].to_numpy() > 0
    assert varies.mean() > 0.5 and table["h2_broad"].max() <= 0.5
    r2 = np.array(
        [_r(a, b) ** 2 for a, b in zip(observed.to_numpy(), truth.to_numpy(), strict=True)]
    )
    assert abs(np.nanmean(r2[varies]) - table["h2_broad"][varies].mean()) < 0.05


def test_frequencies_and_linkage_are_of_an_out_of_africa_history(folder):
    samples = pd.read_csv(folder / "samples.csv")
    assert samples["population"].value_counts().to_dict() == {"EUR": 60, "AFR": 30}
    records = list(VCF(str(folder / "variants.vcf.gz")))
    dosage = np.array([[a + b for a, b, _ in v.genotypes] for v in records], float)
    counts = dosage.sum(axis=1)
    spectrum = np.histogram(counts, [1, 2, 4, 8, 16, 32, 181])[0]
    assert spectrum[0] == max(spectrum[:4]) and (counts > 36).mean() > 0.1
    assert 0.05 < np.mean([not v.is_snp for v in records]) < 0.2
    f = {
        p: dosage[:, (samples["population"] == p).to_numpy()].mean(axis=1) / 2
        for p in ("EUR", "AFR")
    }
    diversity = {p: (2 * x * (1 - x)).sum() for p, x in f.items()}
    assert diversity["AFR"] > 1.1 * diversity["EUR"]
    common = (counts > 36) & (counts < 144)
    place = np.array([int(v.CHROM[3:]) * 1e8 + v.POS for v in records])[common]
    r2 = np.corrcoef(dosage[common]) ** 2
    gap = np.abs(place[:, None] - place)
    near, far = r2[(gap > 0) & (gap < 2_000)].mean(), r2[gap > 1e7].mean()
    assert near > 5 * far


def test_contigs_are_held_out_whole(folder):
    table = pd.read_csv(folder / "genes.csv")
    assert table.groupby("chrom")["split"].nunique().max() == 1
    assert set(table["split"]) == {"train", "valid", "test"}
    assert set(table["strand"]) == {"+", "-"}


def test_promoters_bear_their_core_and_their_value(folder):
    promoters = pd.read_csv(folder / "promoters.csv", keep_default_na=False)
    grammar = g.load(folder / "grammar.json")
    with Reference(folder / "reference.fa") as fasta:
        contigs = {
            c: np.frombuffer(fasta._fasta.fetch(c, 0, fasta.length(c)).encode(), np.uint8)
            for c in promoters["chrom"].unique()
        }
    windows = genome.windows_at(contigs, promoters, world.CONTEXT)
    values = g.log_expression(windows, grammar)
    np.testing.assert_allclose(values[:, 0], promoters["log_a"], atol=1e-7)
    at = 4096 - g.WIDTH // 2
    assert {w[at : at + g.WIDTH].tobytes().decode() for w in windows} == {grammar.motifs[13]}


@pytest.mark.parametrize("deleted", ["AAC", "G"])
def test_indels_move_left_as_far_as_they_go(deleted):
    reference = np.frombuffer(b"TTTGAACAACAACTGGGGGTC", np.uint8)
    place = {"AAC": 9, "G": 17}[deleted]
    start, ref, alt = people._left_aligned(reference, place, deleted.encode(), deletion=True)
    assert (start, ref, alt) == {"AAC": (3, "GAAC", "G"), "G": (13, "TG", "T")}[deleted]


def test_a_deleted_tss_is_replaced_by_the_next_base_to_the_right():
    reference = np.random.default_rng(0).choice(np.frombuffer(b"ACGT", np.uint8), 12_000)
    variants = people.Variants(
        "chr1",
        np.array([5_999]),
        [reference[5_998:6_003].tobytes().decode()],
        [chr(reference[5_998])],
        np.array([[0, 1]], np.uint8),
    )
    rows, patterns = np.array([0]), np.array([[1]], np.uint8)
    window = world.haplotype_windows(reference, variants, rows, patterns, 6_000)[0]
    expected = np.concatenate([reference[:5_999], reference[6_003:]])
    assert (window == expected[5_999 - 4_096 : 5_999 + 4_096]).all()
