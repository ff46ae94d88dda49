"""Values of the statistics on a small seeded table don't change without a new version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import golden
from howfar import stats
from howfar.stats import blocks, null, top_overlap


def values() -> dict[str, object]:
    rng = np.random.default_rng(20)
    x = rng.normal(size=(30, 12))
    y = 0.5 * x + rng.normal(size=x.shape)
    y[0, :9], y[1] = np.nan, 2.0
    groups = np.repeat(["A", "B"], 6)
    pearson, n = stats.pearson_rows(x, y)
    found = {"pearson": pearson[:4], "n": n[:4], "spearman": stats.spearman_rows(x, y)[0][:4]}
    found["p"] = stats.correlation_p(pearson[2:5], 10)
    found["log10p"] = stats.correlation_log10p([0.3, -0.999999, 0.99999999], 400)
    found["fisher"] = stats.fisher_interval(pearson[2:4], n[2:4])
    found["detectable"] = stats.smallest_detectable_r(421)
    found["bh"] = stats.benjamini_hochberg([0.01, np.nan, 0.02, 0.9])
    found["centred"] = stats.centre_within(y, groups)[2, :3]
    found["permuted"] = stats.permute_within(np.arange(12), groups, np.random.default_rng(1))
    block = np.arange(30) % 7
    pairs = np.column_stack([x[:, 0], y[:, 0]])
    for name in ("mean", "median", "pearson", "spearman"):
        statistic = getattr(stats, f"weighted_{name}")
        rows = pairs if name in ("pearson", "spearman") else pairs[:, 0]
        found[f"bootstrap_{name}"] = stats.block_bootstrap(
            rows, block, statistic, 200, weighted=True
        )
        many = stats.block_bootstrap(rows, np.arange(30) * 2, statistic, 200, weighted=True)
        found[f"bootstrap_many_{name}"] = many
    found["bootstrap_rows"] = stats.block_bootstrap(pairs[:, 0], block, draws=200)
    wide = stats.spread(pearson, n, block, draws=200)
    found["spread"] = [wide.observed_sd, wide.sampling_sd, wide.mean, wide.true_sd]
    found["spread_ci"] = list(wide.true_sd_ci)
    genes = pd.DataFrame({"gene_id": list("abcdef"), "chrom": "1", "tss": np.arange(6) * 900_000})
    found["blocks"] = blocks.blocks_of(genes, list("fa"))[1]
    dosages = rng.binomial(2, 0.4, (20, 30)).astype(float)
    for case, absolute in (("axes", False), ("weights", True)):
        draws = null.gene_null(dosages, y[2:22, 0], 50, absolute=absolute)
        found[f"null_{case}"] = draws[:3]
        found[f"null_{case}_p"] = null.own_null(0.4, draws)
    for name, rule in null.RULES.items():
        found[name] = rule(0.35, 0.2, 0.1)
    effect, log10p = rng.normal(size=40), rng.exponential(size=40)
    found["shared"] = top_overlap.shared(np.abs(effect), log10p, [5, 10, 20])
    found["by_chance"] = top_overlap.by_chance(40, [5, 10])
    found["rotated"] = top_overlap.rotated(effect, log10p, [10])[:3]
    found["shuffled_p"] = top_overlap.shuffled_p(effect, log10p, 10, 99, 1)
    columns = {"variant": np.arange(40).astype(str), "effect": effect, "p": 10.0**-log10p}
    table = pd.DataFrame(columns | {"distance": np.arange(40) * 50_000})
    table = pd.concat([table.assign(run_id="a"), table.assign(run_id="b", effect=effect[::-1])])
    curves = top_overlap.curves(table, [5, 10])
    found["curves_set"], found["curves"] = curves["set"].to_numpy(str), curves["value"].to_numpy()
    found["rank"] = top_overlap.rank_agreement(table)[["rho", "ci_low", "ci_high"]].to_numpy()
    return found


def test_values_change_only_with_the_version():
    golden.check(Path(__file__).with_name("golden.csv"), stats.VERSION, values())


def test_a_changed_value_or_version_fails(tmp_path, monkeypatch):
    path = tmp_path / "golden.csv"
    monkeypatch.setenv("HOWFAR_WRITE_GOLDEN", "1")
    golden.check(path, 1, {"r": np.array([0.5, np.nan]), "name": "a"})
    golden.check(path, 1, {"r": np.array([0.5 + 1e-8, np.nan]), "name": "a"})
    for other in ({"r": np.array([0.51, np.nan]), "name": "a"}, {"r": np.array([0.5, np.nan])}):
        with pytest.raises(AssertionError, match="without a new VERSION"):
            golden.check(path, 1, other)
    monkeypatch.delenv("HOWFAR_WRITE_GOLDEN")
    with pytest.raises(AssertionError, match="another VERSION"):
        golden.check(path, 2, {"name": "a"})
