"""VariantFormer's public person: made-up files everywhere, the published ones where mirrored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.published_studies import fetch_mirrored, load, needs_mirror
from howfar.core.errors import HowfarError
from howfar.published import variantformer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fetch_mirrored(["variantformer", "rastogi2024"], tmp_path_factory.mktemp("results"))


@needs_mirror
def test_the_person_stands_beside_the_look_up(folder):
    frames = load("variantformer", folder)
    table = frames["reference"]
    r = np.corrcoef(table["prediction"], table["observed_mean"])[0, 1]
    assert len(table) == 2771 and r == pytest.approx(0.902, abs=0.001)
    (lookup,) = frames["summary"].itertuples()
    assert (lookup.method, lookup.n) == ("lookup", 499)
    assert lookup.value == pytest.approx(0.984, abs=0.001) and lookup.ci_low > r
    (number,) = frames["numbers"].itertuples()  # nothing of what sets the person apart
    assert number.ci_low < 0 < number.ci_high and abs(number.value) < 0.1


@needs_mirror
def test_another_list_of_tissues_is_named(folder, tmp_path):
    for file in folder.rglob("*"):
        if file.is_file():
            (tmp_path / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.relative_to(folder)).symlink_to(file)
    path = tmp_path / variantformer.PREDICTIONS
    frame = pd.read_parquet(path)
    path.unlink()
    frame["tissues"] = [[["lung"]]] * len(frame)
    frame.to_parquet(path)
    with pytest.raises(HowfarError, match=r"another list of tissues"):
        load("variantformer", tmp_path)
