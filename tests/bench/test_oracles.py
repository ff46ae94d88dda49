"""The table of differences from the authors' code: a right port passes, a wrong one shows."""

import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from howfar.bench import oracles as bench_oracles
from howfar.bench.oracles import COLUMNS
from howfar.cli import app
from howfar.core.errors import HowfarError


@pytest.fixture
def oracles(shared):
    return shared / "oracles"


def test_every_narrow_oracle_is_within_its_tolerance(oracles):
    rows = list(bench_oracles.beluga(oracles / "beluga", "cpu"))
    assert len(rows) == 3
    assert all(0 < row["largest_difference"] < row["tolerance"] for row in rows)
    assert all(row["seconds_each"] > 0 for row in rows)


def test_a_wrong_value_shows(oracles, tmp_path):
    folder = tmp_path / "expecto"
    folder.mkdir()
    for name in ("beluga_reduced.pth", "beluga_reduced.fa"):
        shutil.copyfile(oracles / "expecto" / name, folder / name)
    expected = dict(np.load(oracles / "expecto" / "beluga_reduced_expected.npz"))
    expected["reverse"][3, 5] += 0.01
    np.savez(folder / "beluga_reduced_expected.npz", **expected)
    rows = {row["what"]: row for row in bench_oracles.beluga(folder, "cpu")}
    apart = {what: row["largest_difference"] for what, row in rows.items()}
    assert apart["narrow network, reverse strand"] == pytest.approx(0.01, rel=0.02)
    assert apart["narrow network, forward strand"] < 1e-5


def test_haplotypes_of_the_region(oracles, shared, tmp_path):
    name = "region_haplotypes_expected.csv"
    table = pd.read_csv(oracles / "xpresso" / name, dtype=str)
    table[table["gene"].isin(["PSMF1", "FKBP1A"])].to_csv(tmp_path / name, index=False)
    for weights in (oracles / "xpresso").glob("*.h5"):
        (tmp_path / weights.name).symlink_to(weights)
    rows = list(bench_oracles.haplotypes(tmp_path, shared / "realregion", "cpu"))
    assert [row["n"] for row in rows] == [26, 26]
    assert all(0 < row["largest_difference"] < row["tolerance"] for row in rows)


def test_a_folder_without_oracles_is_named(tmp_path):
    with pytest.raises(HowfarError, match="synthetic_expected"):
        bench_oracles.measure(tmp_path)


def test_the_command_ends_with_the_verdict(monkeypatch, tmp_path):
    for apart, status in ((1e-6, 0), (1e-4, 1)):
        row = ["m", "o", "w", 1, apart, 1e-5, 0.1, "2026-01-01"]
        table = pd.DataFrame([row], columns=COLUMNS)
        monkeypatch.setattr(bench_oracles, "measure", lambda *_, t=table, **__: t)
        done = CliRunner().invoke(app.app, ["bench", "oracles", str(tmp_path), "--csv",
                                            str(tmp_path / "o.csv")])  # fmt: skip
        assert done.exit_code == status
        assert list(pd.read_csv(tmp_path / "o.csv").columns) == COLUMNS
