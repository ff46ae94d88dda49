"""An index is used only for the file it belongs to."""

import gzip

import pysam
import pytest

from howfar.genome.genotypes.index import index_belongs
from inputs.cohort import write_base

KINDS = {"TBI": ("v.vcf.gz", "tbi"), "CSI": ("v.vcf.gz", "csi"), "BCF": ("v.bcf", "csi")}


def indexed(folder, kind, records=None, notes=0):
    """A file of the small cohort's first `records` records, and its index."""
    write_base(folder)
    name, end = KINDS[kind]
    with pysam.VariantFile(str(folder / "variants.vcf.gz")) as source:
        header = source.header.copy()
        for i in range(notes):
            header.add_line(f"##note{i}={i * 7919 % 1_000_003}")
        header.contigs.add("21", length=4_000)
        mode = "wb" if kind == "BCF" else "wz"
        with pysam.VariantFile(str(folder / name), mode, header=header) as out:
            for record in list(source)[:records]:
                record.translate(header)
                out.write(record)
                last = record.copy()
            last.chrom = "21"
            out.write(last)
    preset = "bcf" if kind == "BCF" else "vcf"
    pysam.tabix_index(str(folder / name), preset=preset, csi=end == "csi", force=True)
    return folder / name, folder / f"{name}.{end}"


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_fits_its_own_file_alone(tmp_path, kind):
    folders = [tmp_path / name for name in ("whole", "fewer", "longer")]
    for folder in folders:
        folder.mkdir()
    whole = indexed(folders[0], kind)
    fewer = indexed(folders[1], kind, records=40)
    longer = indexed(folders[2], kind, notes=9_000)
    files = [whole, fewer, longer]
    found = [[index_belongs(path, index) for _, index in files] for path, _ in files]
    assert found == [[i == j for j in range(3)] for i in range(3)]


def test_the_real_region_and_its_index(shared):
    path = shared / "realregion" / "chr20_1Mb.vcf.gz"
    assert index_belongs(path, path.with_name(path.name + ".csi"))


@pytest.mark.parametrize(
    "damage",
    [b"", b"\x1f\x8bno", gzip.compress(b"TBI\1"), gzip.compress(b"BAI\1" + bytes(40))],
    ids=["empty", "no gzip", "header alone", "of another format"],
)
def test_a_damaged_index_fits_nothing(tmp_path, damage):
    write_base(tmp_path)
    index = tmp_path / "variants.vcf.gz.tbi"
    assert index_belongs(tmp_path / "variants.vcf.gz", index)
    index.write_bytes(damage)
    assert not index_belongs(tmp_path / "variants.vcf.gz", index)
