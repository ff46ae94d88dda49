"""Growth is measured on files that say the same, and its power is that of the seconds."""

import numpy as np
import pandas as pd
import pytest

from howfar.bench import growth
from howfar.core.project import measured_file
from howfar.genome.genotypes.open import open_variants
from howfar.genome.intervals import Interval
from howfar.genome.reference import Reference


def test_the_three_files_hold_the_same_calls(tmp_path, monkeypatch):
    pytest.importorskip("zarr")
    monkeypatch.setattr(growth, "_SITES", 60)
    cohort = growth.simulate(tmp_path, 15)
    with Reference(tmp_path / "r.fa") as reference:
        asked = (Interval("1", 0, growth._LENGTH), reference)
        read = [open_variants(w(tmp_path, cohort)).read(*asked) for w in growth.WRITERS.values()]
    for one in read:
        assert one.calls.tolist() == cohort.calls.tolist() and not +one.counts
        assert one.samples == tuple(cohort.names)
        assert (one.starts + 1).tolist() == cohort.sites.tolist()


def test_powers_are_of_the_two_largest_cohorts():
    people = np.array([10, 100, 1000])
    rows = {"people": people, "source": "PGEN", "step": "blup", "seconds": [9.0, 1.0, 100.0]}
    found = growth.exponents(pd.DataFrame(rows))
    assert found["power"].tolist() == [2.0] and found["from"].tolist() == [100]


def test_the_committed_table_reaches_fifty_thousand_people_and_none_grows_faster():
    table = pd.read_csv(measured_file("cohort_growth"))
    largest = table[table["people"] == max(growth.PEOPLE)]
    assert set(largest["source"]) == {"PGEN", "VCF Zarr"}
    assert (largest["peak_gb"] < growth.LIMIT_GB).all()
    beyond = growth.exponents(table).query("`from` >= 10_000 and step != 'open'")
    assert len(beyond) >= 7
    assert beyond["power"].mean() < 1.1
    assert (beyond["power"] < 1.35).all()  # a single time is uncertain by a fifth under load
