"""Values of each network, reduced and seeded, don't change without a new version.

The networks run in float64, so that the values are the same on every processor. Whoever changes
values raises `VERSION` of the network's module in `zoo` or of `models.engine`, and writes the
table anew with ``HOWFAR_WRITE_GOLDEN=1``; rows of unchanged versions are never written over with
other values.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import reduced_networks
from howfar.core.registry import MODELS
from howfar.models.registry import version_of

# borzoi-pytorch makes its table of scales from an array that pandas gives read-only.
pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
GOLDEN = Path(__file__).with_name("golden.csv")
WRITE = bool(os.environ.get("HOWFAR_WRITE_GOLDEN"))
RELATIVE = 1e-6
CASES = {case: name for case, name, *_ in reduced_networks.CASES}


def text_of(version) -> str:
    return " ".join(f"{name}={number}" for name, number in sorted(version.items()))


def rows_of(case: str, folder: Path) -> pd.DataFrame:
    """The values of a case, one a row, beside the versions that made them."""
    if case.startswith("borzoi"):
        pytest.importorskip("borzoi_pytorch")
    model = reduced_networks.load(case, folder)
    if case == "borzoi":  # of the published width, slow in float64; flashzoi's are shared
        model.engine = "plain"
    reduced_networks.widen(model)
    values = reduced_networks.predict(model)
    places = [",".join(map(str, place)) for place in np.ndindex(values.shape)]
    rows = pd.DataFrame({"case": case, "place": places, "value": values.ravel().astype(float)})
    return rows.assign(version=text_of(model.version))


def problem(kept: pd.DataFrame, rows: pd.DataFrame) -> str:
    """What is wrong with a table of kept values of a case; '' where nothing is."""
    if kept.empty or set(kept["version"]) != set(rows["version"]):
        return "another VERSION: write the table anew with HOWFAR_WRITE_GOLDEN=1"
    same = list(kept["place"]) == list(rows["place"]) and np.allclose(
        rows["value"], kept["value"], rtol=RELATIVE, atol=0
    )
    return "" if same else "values changed without a new VERSION"


@pytest.mark.parametrize("case", CASES)
def test_values_change_only_with_a_version(case, tmp_path):
    rows = rows_of(case, tmp_path)
    table = pd.read_csv(GOLDEN) if GOLDEN.is_file() else pd.DataFrame(columns=rows.columns)
    kept = table[table["case"] == case]
    found = problem(kept, rows)
    if WRITE and "another VERSION" in found:
        others = table[table["case"] != case]
        table = pd.concat([others, rows]) if len(others) else rows
        table.to_csv(GOLDEN, index=False, float_format="%.9g", lineterminator="\n")
    else:
        assert not found, f"{case}: {found}"


def test_a_change_of_values_or_version_is_seen():
    rows = pd.read_csv(GOLDEN)
    rows = rows[rows["case"] == "xpresso"]
    assert not problem(rows, rows.assign(value=rows["value"] * (1 + 1e-8)))
    assert "without a new VERSION" in problem(rows, rows.assign(value=rows["value"] * 1.00001))
    assert "another VERSION" in problem(rows, rows.assign(version="engine=1 xpresso=2"))


def test_every_network_of_the_registry_has_values():
    assert set(CASES.values()) == set(MODELS) - {"table"}  # whose values are the user's
    versions = pd.read_csv(GOLDEN).groupby("case")["version"].unique()
    for case, name in CASES.items():
        assert list(versions[case]) == [text_of(version_of(name))]
