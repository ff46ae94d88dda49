import shutil

import numpy as np
import pandas as pd
import pytest

from helpers.commands import invoke
from howfar.cohort.expression import read_expression
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Gene, Interval
from howfar.genome.reference import Reference
from howfar.simulate import region
from howfar.simulate.worlds import simulate_study
from howfar.study.reading import load_study

SOURCES = ("z.fa", "z.vcf.gz")


def site(pos, *frequencies, alts=("T",)):
    eur, afr = zip(*frequencies, strict=True)
    info = {"EUR_AF": ",".join(map(str, eur)), "AFR_AF": ",".join(map(str, afr))}
    return region.Site(pos, ".", "A", alts, info)


@pytest.fixture(scope="module")
def mutations():
    return region.simulated_mutations(seed=1)


@pytest.mark.parametrize("frequency", [(0.5, 0.5), (0.1, 0.4), (0.9, 0.8), (0.02, 0.0)])
def test_carriers_have_the_sites_frequencies(mutations, frequency):
    sites = [site(pos, frequency) for pos in range(100_000, 900_000, 20_000)]
    carried = region.assign_carriers(sites, *mutations)
    cut = 2 * region.PEOPLE["EUR"]
    found = carried[:, :cut].mean(), carried[:, cut:].mean()
    # within what the mutations near 40 places offer; arcsine-rooted, as 0 and 1 are finer
    assert np.abs(np.arcsin(np.sqrt(found)) - np.arcsin(np.sqrt(frequency))).max() < 0.08


def test_alleles_too_rare_for_the_cohort_are_carried_by_nobody(mutations):
    assert not region.assign_carriers([site(500_000, (0.0, 0.0008))], *mutations).any()


def test_alleles_of_one_site_are_carried_by_different_haplotypes(mutations):
    both = site(500_000, (0.3, 0.3), (0.2, 0.1), alts=("T", "G"))
    carried = region.assign_carriers([both], *mutations)[0]
    assert set(carried) == {0, 1, 2}


def test_linkage_is_that_of_a_coalescent(mutations):
    near = [site(500_000 + d, (0.3, 0.2)) for d in (0, 100)]
    far = [site(p, (0.3, 0.2)) for p in (200_000, 800_000)]
    r_near = np.corrcoef(region.assign_carriers(near, *mutations))[0, 1]
    r_far = np.corrcoef(region.assign_carriers(far, *mutations))[0, 1]
    assert r_near > 0.9 and abs(r_far) < 0.3


@pytest.fixture(scope="module")
def made(mutations):
    """Expression of six genes from sites of many frequencies, some of them no SNVs."""
    places = range(2_000, 998_000, 2_000)
    rng = np.random.default_rng(2)
    sites = [site(p, (f, f)) for p, f in zip(places, rng.uniform(0.02, 0.6, 498), strict=True)]
    sites[10:400:40] = [site(s.pos, (0.3, 0.3), alts=("TC",)) for s in sites[10:400:40]]
    genes = [Gene(f"g{i}", f"g{i}", "20", 100_000 + 160_000 * i, "+") for i in range(6)]
    carried = region.assign_carriers(sites, *mutations)
    names = [f"P{i}" for i in range(carried.shape[1] // 2)]
    return genes, sites, carried, region.simulated_expression(genes, sites, carried, names, seed=3)


def test_expression_has_the_stated_heritability(made):
    *_, found = made
    share = found.genetic.var(axis=1) / found.values.var(axis=1)
    # six genes of 421 people: the mean share is known to about 0.015
    assert share.mean() == pytest.approx(region.HERITABILITY, abs=0.04)
    r = [np.corrcoef(found.genetic.loc[g], found.values.loc[g])[0, 1] ** 2 for g in share.index]
    assert np.mean(r) == pytest.approx(region.HERITABILITY, abs=0.06)


def test_causal_variants_are_common_snvs_near_the_tss_and_act_alike_in_everybody(made):
    genes, sites, carried, found = made
    tss = {g.gene_id: g.tss for g in genes}
    row = {s.pos: i for i, s in enumerate(sites)}
    assert found.causal.groupby("gene_id").size().eq(region.CAUSAL).all()
    for gene, part in found.causal.groupby("gene_id"):
        pos = part["variant"].str.split(":").str[1].astype(int)
        assert (pos - tss[gene]).abs().max() <= region.WITHIN
        assert part["variant"].str.endswith(":A:T").all()
        dosages = carried[[row[p] for p in pos]].reshape(len(part), -1, 2).sum(axis=2)
        share = dosages.mean(axis=1) / 2
        assert np.allclose(share, part["frequency"])
        assert np.minimum(share, 1 - share).min() >= 0.05
        # the genetic part is the sum of copies times effects, in both populations
        summed = part["effect"].to_numpy() @ dosages
        assert np.allclose(summed - summed.mean(), found.genetic.loc[gene])


def test_the_same_seed_draws_the_same_expression(made):
    genes, sites, carried, found = made
    names = list(found.values.columns)
    again = region.simulated_expression(genes, sites, carried, names, seed=3)
    assert again.values.equals(found.values)
    other = region.simulated_expression(genes, sites, carried, names, seed=4)
    assert not np.allclose(other.values, found.values)


def test_the_study_is_written_from_fetched_files_and_reads_back(shared, results_folder):
    mirrored = next((shared / "mirror" / "vgteam" / "vg").glob("*/test/1mb1kgp"))
    fetched = results_folder / "sources" / "region"
    fetched.mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(mirrored / name, fetched)
    simulate_study(load_study("region"))
    folder = results_folder / "region" / "data"
    reference = Reference(folder / "chr20_1Mb.fa")
    found = VariantFile(folder / "chr20_1Mb.vcf.gz").read(
        Interval("20", 90_000, 110_000), reference, alleles="all"
    )
    assert len(found.samples) == 421 and len(found.starts) > 100
    assert found.counts["ref mismatches"] == 0
    values = read_expression(folder / "expression.csv").values
    assert values.shape == (11, 421) and list(values.columns) == list(found.samples)
    causal = pd.read_csv(folder / "causal_variants.csv").iloc[0]
    place = int(causal["variant"].split(":")[1])
    near = VariantFile(folder / "chr20_1Mb.vcf.gz").dosages(
        Interval("20", place - 1, place), reference
    )
    copies = dict(zip(map(str, near[1]), near[0].T, strict=True))[causal["variant"]]
    assert copies.mean() / 2 == pytest.approx(causal["frequency"], rel=1e-5)


STUDY = """
name: realregion
title: The oracle's people
reality: {{genotypes: simulated carriers, expression: none, weights: real}}
cohort:
  reference: {shared}/realregion/chr20_1Mb.fa
  variants: {shared}/realregion/chr20_1Mb.vcf.gz
  genes: {shared}/realregion/genes.csv
  samples: {folder}/people.csv
  alleles: snv
runs:
  - id: GM12878
    label: Xpresso (GM12878)
    model: xpresso
    weights: {shared}/oracles/xpresso/GM12878_trainepoch.06-0.5062.h5
    bins: centre1
  - id: humanMedian
    label: Xpresso (human median)
    model: xpresso
    weights: {shared}/oracles/xpresso/humanMedian_trainepoch.11-0.426.h5
    bins: centre1
"""


def test_the_whole_pipeline_gives_the_oracles_people(shared, tmp_path, results_folder):
    """Real weights, real sequence: each person's mean over haplotypes, and the reference."""
    pytest.importorskip("torch")
    oracle = pd.read_csv(shared / "oracles" / "xpresso" / "region_haplotypes_expected.csv")
    people = [name for name in oracle["sample"].unique() if name != "reference"]
    pd.DataFrame({"sample": people}).to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "real.yaml").write_text(STUDY.format(shared=shared, folder=tmp_path))
    study = load_study(str(tmp_path / "real.yaml"))
    invoke(study, results_folder, "predict", "--out", tmp_path / "found.csv")
    names = pd.read_csv(shared / "realregion" / "genes.csv").set_index("gene_id")["name"]
    found = pd.read_csv(tmp_path / "found.csv").assign(gene=lambda f: f["gene_id"].map(names))
    for run, rows in found.groupby("run_id"):
        known = oracle.pivot_table(index="gene", columns="sample", values=run, aggfunc="mean")
        assert known.shape == (7, 7)  # seven genes; six people and the reference
        ours = rows.set_index("gene").loc[known.index, known.columns]
        assert np.abs(ours - known).to_numpy().max() < 1e-5
    assert set(found["run_id"]) == {"GM12878", "humanMedian"} and len(people) == 6
    # four of the predictions that Huang et al. published
    published = pd.read_csv(shared / "realregion" / "genes.csv").set_index("gene_id")
    published = published["published_xpresso_reference"].dropna()
    ours = found[found["run_id"] == "GM12878"].set_index("gene_id")["reference"]
    assert len(published) == 4 and (ours.loc[published.index] - published).abs().max() < 1e-6


def test_a_file_without_frequencies_names_the_line(tmp_path):
    import gzip

    path = tmp_path / "z.vcf.gz"
    with gzip.open(path, "wt") as out:
        out.write("##x\nz\t10\t.\tA\tT\t100\tPASS\tAC=1\n")
    with pytest.raises(HowfarError, match="line 2: found INFO without"):
        region.read_sites(path)
