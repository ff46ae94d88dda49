"""The benchmark of saturation mutagenesis, on a narrow Beluga."""

from __future__ import annotations

import numpy as np

from howfar.bench import attribution
from howfar.models.zoo.beluga import WIDTHS

NARROW = dict.fromkeys(WIDTHS, 24)


def test_all_ways_give_the_effects_of_plain_batches_in_double_precision():
    """tangermeme is another's code; so short a job it does in its slow way."""
    table = attribution.measure(5, rounds=1, double=True, widths=NARROW).set_index("way")
    assert list(table.index) == [attribution.PLAIN, *attribution.TANGERMEME, attribution.OURS]
    assert table.loc[attribution.OURS, "largest"] < 1e-10
    assert (table["largest"] < 1e-10).all() and (table["ms"] > 0).all()
    np.testing.assert_allclose(table["times"], table["ms"].iloc[0] / table["ms"])


def test_a_way_that_differs_is_seen(monkeypatch):
    ways = attribution._ways

    def wrong(model, positions):
        made = ways(model, positions)
        return made | {attribution.OURS: lambda: 1.01 * made[attribution.PLAIN]()}

    monkeypatch.setattr(attribution, "_ways", wrong)
    table = attribution.measure(2, rounds=1, double=True, widths=NARROW).set_index("way")
    assert 0.009 < table.loc[attribution.OURS, "largest"] < 0.011
