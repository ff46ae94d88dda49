"""Windows built from what is kept are those built from the files, and go stale with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import howfar as hf
from helpers.strategies import CONTIG, Record, World, worlds
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.vcf import VariantFile

WORLD = World("ACGTTGCAAC" * 40, [Record(195, "TGCAACA", ("T",), ("1|0", "1|1"))])


def cohort_of(world: World, folder: Path, tss: int):
    fasta, vcf = world.write(folder)
    genes = folder / "genes.csv"
    genes.write_text(f"gene_id,gene_name,chrom,tss,strand\nE1,A,{CONTIG},{tss},+\n")
    return hf.open_cohort(reference=fasta, variants=vcf, genes=genes, alleles="all", max_n=1)


def same(one, other) -> bool:
    return (
        np.array_equal(one.sequences, other.sequences)
        and np.array_equal(one.index, other.index)
        and np.array_equal(one.skipped, other.skipped)
        and np.array_equal(one.reference, other.reference)
        and one.counts == other.counts
        and one.samples == other.samples
        and all(np.array_equal(one.position_map(i), other.position_map(i)) for i in range(len(one)))
    )


@pytest.mark.filterwarnings("ignore:no intervals found")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds(), data=st.data())
def test_kept_windows_are_those_of_the_files(tmp_path_factory, world, data):
    folder = tmp_path_factory.mktemp("kept")
    cohort = cohort_of(world, folder, data.draw(st.integers(1, len(world.sequence))))
    length = data.draw(st.integers(2, 90))
    offset = data.draw(st.integers(0, length - 1))
    plain = cohort.windows("E1", length, offset)
    hf.keep_windows(cohort, folder)
    first = cohort.windows("E1", length, offset)
    assert same(plain, first) and same(plain, cohort.windows("E1", length, offset))


def test_genotypes_are_read_once(tmp_path, monkeypatch):
    cohort = cohort_of(WORLD, tmp_path, 200)
    folder = hf.keep_windows(cohort, tmp_path)
    assert folder == tmp_path / "cohort" / "windows"
    cohort.windows("E1", 100)
    monkeypatch.setattr(VariantFile, "read", lambda *a, **k: pytest.fail("read again"))
    cohort.windows("E1", 100)
    with pytest.raises(pytest.fail.Exception, match="read again"):
        cohort.windows("E1", 102)


@pytest.mark.parametrize("change", ["variants", "reference", "alleles", "people"])
def test_kept_windows_go_stale_with_their_source(tmp_path, change):
    hf.keep_windows(before := cohort_of(WORLD, tmp_path, 200), tmp_path)
    kept = before.windows("E1", 100)
    world = World(WORLD.sequence, [Record(198, "C", ("G",), ("1|0", "0|1"))])
    if change == "reference":
        world = World("T" + WORLD.sequence[1:], WORLD.records)
    after = cohort_of(world if change in ("variants", "reference") else WORLD, tmp_path, 200)
    if change == "people":
        after.samples = after.samples[:1]
    hf.keep_windows(after, tmp_path)
    found = after.windows("E1", 100, alleles="snv" if change == "alleles" else None)
    assert len(list((tmp_path / "cohort" / "windows").iterdir())) == 2
    assert change == "reference" or not same(kept, found)


def test_a_damaged_file_of_kept_windows_is_an_error(tmp_path):
    cohort = cohort_of(WORLD, tmp_path, 200)
    folder = hf.keep_windows(cohort, tmp_path)
    cohort.windows("E1", 100)
    (path,) = folder.rglob("*.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(HowfarError, match=r"\.npz: found a damaged file"):
        cohort.windows("E1", 100)
