"""The example cohort's files are those that the demo world's simulation gives."""

import gzip

import pytest

from howfar.simulate.example import FOLDER, write_example


@pytest.mark.slow
def test_the_files_of_the_package_are_made_again(tmp_path):
    write_example(tmp_path)
    for name in ("genes.csv", "samples.csv", "expression.csv", "reference.fa"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name
    made, kept = (gzip.decompress((f / "variants.vcf.gz").read_bytes()) for f in (tmp_path, FOLDER))
    assert made == kept
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 200_000
