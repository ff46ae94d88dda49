"""The benchmark compares like with like, and refuses times of windows that differ."""

from __future__ import annotations

import json
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.strategies import CONTIG, Record, World, worlds
from howfar.bench import haplotypes as bench_haplotypes
from howfar.bench.haplotypes import _Loop, _sequence, run
from howfar.core.errors import HowfarError
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Gene
from howfar.genome.reference import Reference
from howfar.genome.windows import WindowPlan, build_windows

WORLD = World(
    "ACGTTGCAAC" * 40,
    [
        Record(150, "C", ("T",), ("1|0", "0|1")),
        Record(195, "TGCAACA", ("T",), ("1|0", "1|1")),
        Record(230, "C", ("CGG", "A"), ("2|1", "1|0")),
    ],
)
GENES = [Gene("E1", "A", CONTIG, 200, "+"), Gene("E2", "B", CONTIG, 10, "-")]
TOOLS = all(shutil.which(name) for name in ("bcftools", "samtools"))


def test_table_and_json(tmp_path):
    fasta, vcf = WORLD.write(tmp_path)
    out = tmp_path / "bench.json"
    options = {"context": 100, "n_consensus": 3, "n_loop": 5, "json_path": out}
    table = run(fasta, vcf, GENES, **options)
    assert table["method"].tolist()[:: 1 + TOOLS] == ["howfar", "pyfaidx + cyvcf2 loop"]
    assert table["windows_timed"].tolist() == [8, *([3] if TOOLS else []), 5]
    assert (table["windows_total"] == 8).all() and not table["scaled"][0]
    assert (table["equal"] == [5, *([3] if TOOLS else []), 5]).all()
    assert (table["windows_per_s"] * table["seconds"]).tolist() == pytest.approx(
        table["windows_timed"].tolist()
    )
    record = json.loads(out.read_text())
    assert record["people"] == 2 and len(record["methods"]) == len(table)


def test_windows_that_differ_are_an_error(tmp_path, monkeypatch):
    fasta, vcf = WORLD.write(tmp_path)
    right = _sequence
    monkeypatch.setattr(bench_haplotypes, "_sequence", lambda *a: right(*a)[1:] + b"A")
    with pytest.raises(HowfarError, match="windows that differ from howfar's"):
        run(fasta, vcf, GENES, context=100)


def test_building_the_windows_is_inside_the_clock(tmp_path, monkeypatch):
    fasta, vcf = WORLD.write(tmp_path)
    build = WindowPlan.build

    def slow(*given):
        time.sleep(0.2)
        return build(*given)

    monkeypatch.setattr(WindowPlan, "build", slow)
    table = run(fasta, vcf, GENES, context=100)
    assert table["seconds"][0] >= 0.2 * len(GENES)


@pytest.mark.filterwarnings("ignore:no intervals found")
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=worlds(), data=st.data())
def test_the_plain_loop_makes_the_same_windows(tmp_path, world, data):
    """A third way to the same windows."""
    fasta, vcf = world.write(tmp_path)
    gene = Gene("g", "g", CONTIG, data.draw(st.integers(1, len(world.sequence))), "+")
    length = data.draw(st.integers(1, 90))
    with Reference(fasta) as reference, VariantFile(vcf) as variants:
        windows = build_windows(reference, variants, gene, length, alleles="all")
    with _Loop(fasta, vcf, length, "all") as loop:
        for person, sample in enumerate(world.people):
            for h in (1, 2):
                expected = windows.sequences[windows.index[person, h - 1]].tobytes()
                assert loop.window(gene, sample, h) == expected
