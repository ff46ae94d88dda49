"""The estimators of the package on simulated truth: what their intervals and tests hold.

One row per estimator and truth. Intervals of the shares observed here are Wilson's, of biases by
the normal law: simulations are independent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from howfar.bench.trials import Outcome, Outcomes, Trial, trials
from howfar.core.atomic import whole
from howfar.core.threads import one_thread
from howfar.core.versions import versions_of
from howfar.stats.shares import wilson_interval

COLUMNS = [
    *("estimator", "truth", "kind", "says", "observed", "ci_low", "ci_high", "judged"),
    *("bias", "bias_low", "bias_high", "simulations", "date", "versions"),
]
#: Layers whose estimators are on trial.
_LAYERS = ("eqtl", "evaluation", "linear", "published", "stacking", "stats")
#: p below which what is observed is not what is said: with 200 rows, one in five tables has a
#: false one.
SURE = 1e-3


def measure(
    out: str | Path,
    chosen: Iterable[Trial] | None = None,
    seed: int = 1,
    say: Callable[[str], object] = print,
) -> pd.DataFrame:
    """Run all trials and keep the table in `out` (CSV), written anew after each of them.

    Trials whose rows are in `out` with as many simulations and the same versions of the layers are
    taken up: a run that was killed goes on where it stopped.
    """
    out, chosen = Path(out), list(trials() if chosen is None else chosen)
    versions = " ".join(f"{k} {v}" for k, v in versions_of(*_LAYERS).items())
    kept = pd.read_csv(out) if out.is_file() else pd.DataFrame(columns=COLUMNS)
    kept = kept[kept["versions"] == versions]
    stamp = {"date": datetime.now(UTC).date().isoformat(), "versions": versions}
    parts = []
    for number, trial in enumerate(chosen, 1):
        mine = kept[(kept["truth"] == trial.truth) & (kept["simulations"] == trial.simulations)]
        if mine.empty:
            mine = rows_of(trial, simulated(trial, seed)).assign(**stamp)
            parts.append(mine)
            with whole(out) as part:
                done = pd.concat(parts, ignore_index=True)
                done[COLUMNS].to_csv(part, index=False, float_format="%.6g", lineterminator="\n")
            say(f"{number}/{len(chosen)} {trial.truth}")
        else:
            parts.append(mine)
    return pd.read_csv(out)


def simulated(trial: Trial, seed: int, simulations: int | None = None) -> list[Outcomes]:
    """Simulate a trial as often as it says, or `simulations` times; each has its own seed."""
    key = zlib.crc32(trial.truth.encode())
    with one_thread():
        return [
            trial.once(np.random.default_rng([seed, key, i]))
            for i in range(simulations or trial.simulations)
        ]


def rows_of(trial: Trial, outcomes: Sequence[Outcomes]) -> pd.DataFrame:
    """Summarise simulations of a trial: a row per estimator, without date and versions.

    says, observed: how often intervals should and did hold the truth, or tests called. judged:
    simulations with an interval or a p. bias: mean of estimate less truth.
    """
    names = list(dict.fromkeys(name for found in outcomes for name in found))
    rows = []
    for name in names:
        found = [each[name] for each in outcomes if name in each]
        row = {"estimator": name, "truth": trial.truth, "kind": found[0].kind}
        row |= _share(found) | _bias([each.error for each in found])
        rows.append(row | {"simulations": len(outcomes)})
    return pd.DataFrame(rows)


def _share(found: Sequence[Outcome]) -> dict[str, float]:
    hits = [each.hit for each in found if each.hit is not None]
    row = dict.fromkeys(("says", "observed", "ci_low", "ci_high"), np.nan) | {"judged": len(hits)}
    if not hits:
        return row
    low, high = wilson_interval(sum(hits), len(hits))
    row |= {"says": found[0].says, "observed": float(np.mean(hits))}
    return row | {"ci_low": low, "ci_high": high}


def _bias(errors: Sequence[float]) -> dict[str, float]:
    known = np.array([error for error in errors if np.isfinite(error)])
    if len(known) < 2:
        return dict.fromkeys(("bias", "bias_low", "bias_high"), np.nan)
    half = 1.96 * known.std(ddof=1) / np.sqrt(len(known))
    mean = float(known.mean())
    return {"bias": mean, "bias_low": mean - half, "bias_high": mean + half}


def off(table: pd.DataFrame) -> pd.Series:
    """Mark rows whose observed share is surely (p below `SURE`, exact binomial) not what is said.

    Tests may call too often, intervals hold too seldom; the reverse is marked as well.
    """
    counts = zip(table["observed"], table["judged"], table["says"], strict=True)
    found = [
        judged > 0 and stats.binomtest(round(share * judged), judged, says).pvalue < SURE
        for share, judged, says in counts
    ]
    return pd.Series(found, table.index, dtype=bool)


def disagreement(kept: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """Compute p that rows of fewer simulations are of the kept table's law.

    Columns estimator, truth, shares, biases. shares: Fisher's exact test of the counts. biases:
    normal law of the two means, the errors' SD as in the kept table, which has more of them.
    """
    rows = []
    for row in kept.merge(again, on=["estimator", "truth"]).itertuples():
        share = bias = np.nan
        if row.judged_x and row.judged_y:
            hits = round(row.observed_x * row.judged_x), round(row.observed_y * row.judged_y)
            missed = row.judged_x - hits[0], row.judged_y - hits[1]
            share = stats.fisher_exact([hits, missed]).pvalue
        error = (row.bias_high_x - row.bias_x) / 1.96
        error *= np.sqrt(1 + row.simulations_x / row.simulations_y)
        if error > 0:
            bias = 2 * stats.norm.sf(abs(row.bias_x - row.bias_y) / error)
        rows.append((row.estimator, row.truth, share, bias))
    return pd.DataFrame(rows, columns=["estimator", "truth", "shares", "biases"])
