"""Patterns at drivers: planted groups come back, their enrichment is Fisher's."""

import numpy as np
import pytest
from scipy.stats import fisher_exact

from howfar.attribution import driver_motifs
from howfar.core.errors import HowfarError


class Contig:
    letters = np.frombuffer(b"ACGTACGTTGCAACGTTTTGACCA", np.uint8)

    def contig(self, name):
        return name.removeprefix("chr")

    def fetch(self, interval):
        return self.letters[interval.start : interval.end]


def test_windows_have_the_drivers_base_in_their_middle():
    (found,) = driver_motifs.windows(Contig(), ["chr1:11:C:T"])  # 0-based 10
    assert found == "ACGTTGCAACGTT" and found[6] == "C"


@pytest.fixture(scope="module")
def planted():
    """Twelve windows of one pattern, ten of them unsupported, and windows without any."""
    rng = np.random.default_rng(2)
    letters = np.array(list("ACGT"))
    random = ["".join(letters[rng.integers(0, 4, 13)]) for _ in range(30)]
    planted = [
        "".join(letters[rng.integers(0, 4, 3)])
        + "TGACTCA"
        + "".join(letters[rng.integers(0, 4, 3)])
        for _ in range(12)
    ]
    types = ["unsupported"] * 10 + ["supported"] * 2 + ["unsupported", "supported"] * 15
    return planted + random, types


def test_a_planted_pattern_is_the_largest_group_and_its_test_is_fishers(planted):
    table, patterns = driver_motifs.groups(
        [*planted[0], "NNNNNNNNNNNNN"], [*planted[1], "supported"]
    )
    first = table.iloc[0]
    assert first["group"] == 1 and first["n"] >= 12 and first["unsupported"] >= 10
    every, hits = 42, planted[1].count("unsupported")
    inside = [first["unsupported"], first["n"] - first["unsupported"]]
    outside = [hits - inside[0], every - hits - inside[1]]
    assert first["p_more"] == pytest.approx(fisher_exact([inside, outside], "greater").pvalue)
    pattern = patterns[1] / patterns[1].sum(axis=1, keepdims=True).clip(1e-9)
    assert "TGACTCA" in "".join(np.array(list("ACGT"))[pattern.argmax(axis=1)])
    assert (table["n"] >= 2).all() and set(patterns) == set(table["group"])


def test_without_drivers_it_says_what_makes_them():
    with pytest.raises(HowfarError, match="found 0 with a sequence"):
        driver_motifs.groups(["ACGTACGTACGTA"], ["neither"])


def test_jaspar_ships_vertebrate_motifs_as_shares():
    found = driver_motifs.jaspar()
    assert len(found) > 800 and "CTCF (MA0139.2)" in found
    assert all(np.allclose(motif.sum(axis=1), 1) for motif in found.values())
