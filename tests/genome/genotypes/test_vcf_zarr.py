"""VCF Zarr gives what its VCF gives: `odd.vcz` is `odd.vcf` as bio2zarr 0.2.1 converted it."""

import json
import os
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from howfar.core.errors import HowfarError
from howfar.genome.genotypes.open import kind_of, open_variants
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference

zarr = pytest.importorskip("zarr")
HERE = Path(__file__).parent
SEQUENCES = {"1": {10: "A", 20: "AT", 30: "G", 40: "A", 50: "A", 995: "A"}}
SEQUENCES["X"] = {100: "A", 200: "ATA"}
pytestmark = pytest.mark.filterwarnings("ignore:.*with a bgzipped copy of the file")


@pytest.fixture
def store(tmp_path) -> Path:
    """The store as a folder."""
    folder = tmp_path / "odd.vcz"
    with zipfile.ZipFile(HERE / "odd.vcz") as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture
def reference(tmp_path) -> Reference:
    lines = []
    for contig, bases in SEQUENCES.items():
        letters = ["G"] * 1000
        for place, text in bases.items():
            letters[place - 1 : place - 1 + len(text)] = text
        lines.append(f">{contig}\n{''.join(letters)}\n")
    (tmp_path / "r.fa").write_text("".join(lines))
    return Reference(tmp_path / "r.fa")


def same(one, other) -> bool:
    return (
        one.alleles == other.alleles
        and one.starts.tolist() == other.starts.tolist()
        and one.calls.tolist() == other.calls.tolist()
        and one.samples == other.samples
        and +one.counts == +other.counts
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("contig", ["1", "chrX"])
@pytest.mark.parametrize("alleles", ["snv", "all"])
@pytest.mark.parametrize("people", [None, ("p4", "p2")])
def test_calls_windows_and_counts_are_those_of_the_vcf(
    store, reference, packed, contig, alleles, people
):
    path = HERE / "odd.vcz" if packed else store
    assert kind_of(path) == "zarr"
    with open_variants(path) as zarred, open_variants(HERE / "odd.vcf") as text:
        assert zarred.samples == text.samples and zarred.contigs == text.contigs
        assert zarred.record_count == 9 and list(zarred.check_records())[-1] == 9
        for interval in (Interval(contig, 0, 1000), Interval(contig, 20, 200)):
            asked = (interval, reference)
            options = {"samples": people, "alleles": alleles}
            found, expected = (f.read(*asked, unphased="dosage", **options) for f in (zarred, text))
            assert same(found, expected) and len(found)
            (x, names), (y, others) = (f.dosages(*asked, **options) for f in (zarred, text))
            assert names == others and np.array_equal(x, y, equal_nan=True)
            assert zarred.ids(interval) == text.ids(interval)
            # A symbolic allele's letters may count there: farther left does no harm.
            assert zarred.cluster_start(contig, 41) <= text.cluster_start(contig, 41)


def test_an_unphased_call_stops_the_work(store, reference):
    with open_variants(store) as source, pytest.raises(HowfarError, match="without phase"):
        source.read(Interval("1", 0, 15), reference)


@pytest.mark.parametrize("name", ["call_genotype/0.0.0", "variant_allele/0.0", "sample_id/0"])
def test_a_lost_or_damaged_chunk_is_no_reference_call(store, reference, name):
    chunk = store / name
    whole = chunk.read_bytes()
    for damaged in (None, whole[: len(whole) // 2], b""):
        chunk.unlink() if damaged is None else chunk.write_bytes(damaged)
        with pytest.raises(HowfarError, match="damaged or cut short"):
            open_variants(store).dosages(Interval("1", 0, 1000), reference)


def test_a_store_of_something_else_is_refused(store):
    shutil.rmtree(store / "call_genotype")
    with pytest.raises(HowfarError, match="a Zarr store without calls; expected VCF Zarr"):
        open_variants(store)
    shutil.rmtree(store / "variant_position")
    with pytest.raises(HowfarError, match="without variant_position"):
        open_variants(store)


def test_other_ploidy_is_read_or_refused(store, reference):
    calls = zarr.open_group(store)["call_genotype"][:]
    haploid, triploid = calls[..., :1], np.concatenate([calls, calls[..., :1]], axis=2)
    group = zarr.open_group(store)
    group.create_array("call_genotype", data=haploid, overwrite=True)
    with open_variants(store) as source:
        read = source.read(Interval("1", 0, 15), reference, unphased="dosage")
    assert read.calls[0].tolist() == [[0, 0], [1, 1], [1, 1], [0, 0]]
    assert read.counts["haploid calls"] > 0
    group.create_array("call_genotype", data=triploid, overwrite=True)
    with open_variants(store) as source, pytest.raises(HowfarError, match="3 alleles"):
        source.dosages(Interval("1", 0, 1000), reference)


def test_dosages_alone_serve_what_needs_no_haplotypes(store, reference):
    group = zarr.open_group(store)
    dosages = np.linspace(0, 2, 36, dtype=np.float32).reshape(9, 4)
    dosages[0, 1] = np.nan
    group.create_array("call_DS", data=dosages)
    with open_variants(store) as source:
        source.dosages(Interval("1", 0, 15), reference, counts=(counts := Counter()))
        assert counts["records with dosages beside calls, which are used"] == 2
    shutil.rmtree(store / "call_genotype")
    with open_variants(store) as source:
        found, variants = source.dosages(Interval("1", 0, 15), reference, samples=["p3", "p2"])
        assert np.array_equal(found, dosages[:2, [2, 1]].T, equal_nan=True) and len(variants) == 2
        with pytest.raises(HowfarError, match="dosages, without haplotypes"):
            source.read(Interval("1", 0, 15), reference)
        with pytest.raises(HowfarError, match="one from 0 to 2 for each ALT"):
            source.dosages(Interval("1", 0, 1000), reference)  # one DS for two ALTs


def test_without_zarr_the_extra_is_named(store, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(HowfarError, match=r"howfar\[zarr\]"):
        open_variants(store)


def test_a_study_takes_a_store_and_its_content_is_its_digest(store, tmp_path):
    from howfar.cohort.files import input_files, is_here
    from howfar.core.provenance import digest
    from howfar.study.reading import parse_study

    words = dict.fromkeys(("genotypes", "expression", "weights"), "x")
    study = parse_study(
        {"name": "s", "title": "", "summary": "", "reality": words}
        | {"cohort": {"variants": store, "genes": store / "sample_id" / "0"}},
        "here",
    )
    assert all(map(is_here, input_files(study).values()))
    before = digest(store)
    moved = shutil.copytree(store, tmp_path / "other")
    assert digest(moved) == before
    (moved / "call_genotype" / "0.0.0").write_bytes(b"other")
    assert digest(moved) != before


@pytest.mark.slow
@pytest.mark.skipif(os.getenv("HOWFAR_LONG") != "1", reason="HOWFAR_LONG=1: needs bio2zarr")
def test_the_store_is_what_bio2zarr_writes(tmp_path, store):
    vcf = pytest.importorskip("bio2zarr.vcf")
    import pysam

    packed = tmp_path / "odd.vcf.gz"
    pysam.tabix_compress(str(HERE / "odd.vcf"), str(packed))
    pysam.tabix_index(str(packed), preset="vcf")
    vcf.convert([packed], tmp_path / "made", worker_processes=0)
    made, kept = zarr.open_group(tmp_path / "made", mode="r"), zarr.open_group(store, mode="r")
    assert set(made) == set(kept)
    for name, array in kept.arrays():
        assert made[name][:].tolist() == array[:].tolist() or name == "variant_quality", name
        assert json.loads((tmp_path / "made" / name / ".zarray").read_text())["zarr_format"] == 2
