import shutil

import numpy as np
import pytest

from howfar import pipeline, region
from howfar.errors import HowfarError
from howfar.intervals import Interval
from howfar.reference import Reference
from howfar.study import load_study
from howfar.variants import VariantFile

SOURCES = {"region/z.fa": "z.fa", "region/z.vcf.gz": "z.vcf.gz"}


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


def test_the_written_cohort_reads_back(tmp_path, shared, monkeypatch):
    folder = next((shared / "mirror" / "vgteam" / "vg").glob("*/test/1mb1kgp"))
    monkeypatch.setattr(region.sources, "path", lambda name, **_: folder / SOURCES[name])
    region.simulate(tmp_path)
    reference = Reference(tmp_path / "chr20_1Mb.fa")
    found = VariantFile(tmp_path / "chr20_1Mb.vcf.gz").read(
        Interval("20", 90_000, 110_000), reference, alleles="all"
    )
    assert len(found.samples) == 421 and len(found.starts) > 100
    assert found.counts["ref mismatches"] == 0


def test_the_study_finds_fetched_files_in_the_results_folder_in_use(shared, results_folder):
    folder = next((shared / "mirror" / "vgteam" / "vg").glob("*/test/1mb1kgp"))
    fetched = results_folder / "sources" / "region"
    fetched.mkdir(parents=True)
    for name in SOURCES.values():
        shutil.copy(folder / name, fetched)
    pipeline.simulate(load_study("region"))
    assert (results_folder / "region" / "data" / "chr20_1Mb.vcf.gz.csi").is_file()


def test_a_file_without_frequencies_names_the_line(tmp_path):
    import gzip

    path = tmp_path / "z.vcf.gz"
    with gzip.open(path, "wt") as out:
        out.write("##x\nz\t10\t.\tA\tT\t100\tPASS\tAC=1\n")
    with pytest.raises(HowfarError, match="line 2: found INFO without"):
        region.read_sites(path)
