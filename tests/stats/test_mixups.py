"""Whose expression fits whose genotypes, and kinship."""

import shutil
import subprocess

import numpy as np
import pytest

from howfar.stats import mixups


def cohort(people=100, genes=60, r=0.6, seed=1):
    """Predictions and expression (genes, people) with one r in every gene."""
    p, noise = np.random.default_rng(seed).standard_normal((2, genes, people))
    return p, r * p + np.sqrt(1 - r * r) * noise


def exchanged(values, source):
    """Columns of `values` in other people's places: {place: whose}."""
    changed = values.copy()
    changed[:, list(source)] = values[:, list(source.values())]
    return changed


@pytest.mark.parametrize("source", [{3: 7, 7: 3}, {1: 2, 2: 5, 5: 1}, {3: 7, 7: 3, 20: 30, 30: 20}])
def test_a_swap_and_a_ring_are_named_with_their_right_genotypes(source):
    p, e = cohort()
    _, found = mixups.examine(p, exchanged(e, source))
    named = {i: j for each in found for i, j in zip(each.people, each.proposed, strict=True)}
    assert named == source
    assert all(each.probability > 0.99 for each in found)


def test_whose_genotypes_are_a_strangers_fits_nobody():
    p, e = cohort(genes=120)
    p[:, 4] = np.random.default_rng(9).standard_normal(120)
    _, found = mixups.examine(p, e)
    assert [(each.people, each.proposed) for each in found] == [((4,), (-1,))]


def test_the_signal_is_the_sum_and_the_share_found_is_what_planted_swaps_give():
    r, genes = 0.3, 100
    p, e = cohort(80, genes, r)
    fit = mixups.concordance(p, e)
    assert fit.signal == pytest.approx(genes * r * r / (1 - r * r), rel=0.25)
    hits, pairs = 0, 25
    for a in range(pairs):
        b = a + 40
        _, found = mixups.examine(p, exchanged(e, {a: b, b: a}))
        hits += any(set(each.people) == {a, b} for each in found)
    assert 0.2 < fit.found < 0.9  # where a wrong one would show
    assert hits / pairs == pytest.approx(fit.found, abs=0.2)


def test_genes_that_tell_nothing_are_no_signal_and_no_alarm():
    p, e = cohort(100, 1_500, 0)
    fit, found = mixups.examine(p, e)
    assert fit.signal < 1 and fit.found < 0.01 and not fit.enough and not found


def test_a_factor_that_all_genes_share_makes_no_alarm():
    p, e = cohort(100, 100, 0.4)
    rng = np.random.default_rng(5)
    e = e + 2 * rng.standard_normal((100, 1)) * rng.standard_normal(100)
    fit, found = mixups.examine(p, e)
    alone, _ = mixups.examine(*cohort(100, 100, 0.4))
    assert not found and fit.signal < alone.signal


def test_weights_find_more_people_than_plain_correlation():
    rng = np.random.default_rng(2)
    r = rng.uniform(0, 0.6, 100)[:, None]
    p, noise = rng.standard_normal((2, 100, 300))
    e = r * p + np.sqrt(1 - r * r) * noise
    plain = np.corrcoef(p.T, e.T)[300:, :300]
    best = (plain.argmax(axis=1) == np.arange(300)).mean()
    weighed = (mixups.concordance(p, e).gain.argmax(axis=1) == np.arange(300)).mean()
    assert weighed > best + 0.1


def test_missing_values_and_flat_genes_are_no_obstacle():
    p, e = cohort()
    p[0], e[1] = 1, 2
    e[5, ::3], p[6, ::4] = np.nan, np.nan
    fit, found = mixups.examine(p, exchanged(e, {3: 7, 7: 3}))
    assert np.isfinite(fit.gain).all()
    assert [set(each.people) for each in found] == [{3, 7}]


def genotypes(people=40, variants=4_000, seed=3):
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.05, 0.5, variants)
    haplotypes = (rng.random((people, 2, variants)) < frequency).astype(float)
    child = np.where(rng.random(variants) < 0.5, haplotypes[0, 0], haplotypes[0, 1])
    other = np.where(rng.random(variants) < 0.5, haplotypes[1, 0], haplotypes[1, 1])
    haplotypes[2] = child, other
    dosages = haplotypes.sum(axis=1)
    dosages[9] = dosages[8]  # the same person twice, one call of a hundred wrong
    wrong = rng.random(variants) < 0.01
    dosages[9, wrong] = rng.integers(0, 3, wrong.sum())
    return dosages


def test_one_person_twice_and_a_child_are_told_from_strangers():
    found = mixups.related(mixups.kinship(genotypes()))
    assert found == [
        (0, 2, "first-degree relatives"),
        (1, 2, "first-degree relatives"),
        (8, 9, "same person"),
    ]


def test_haploid_and_inbred_copies_are_found_without_heterozygotes():
    calls = 2 * (np.random.default_rng(1).random((30, 800)) < 0.4).astype(float)
    calls[4] = calls[3]
    assert mixups.related(mixups.kinship(calls)) == [(3, 4, "same person")]


def test_kinship_is_that_of_plink2(tmp_path):
    if shutil.which("plink2") is None:
        pytest.skip("plink2 isn't installed")
    dosages = genotypes(12, 600)
    dosages[5, ::7] = np.nan
    text = {0.0: "0/0", 1.0: "0/1", 2.0: "1/1"}
    rows = [
        "\t".join(["1", str(k + 1), f"v{k}", "A", "G", ".", ".", ".", "GT"])
        + "\t"
        + "\t".join(text.get(d, "./.") for d in column)
        for k, column in enumerate(dosages.T)
    ]
    names = "\t".join(f"P{i}" for i in range(12))
    head = f"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n"
    (tmp_path / "v.vcf").write_text(head + "\n".join(rows) + "\n")
    words = ["plink2", "--vcf", "v.vcf", "--make-king", "square", "--out", "k", "--threads", "1"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    assert mixups.kinship(dosages) == pytest.approx(np.loadtxt(tmp_path / "k.king"), abs=1e-6)
