"""The scatter of one gene: a network's prediction against expression, one point per person."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from howfar import stats
from howfar.cohort.opened import OpenCohort
from howfar.figures import style
from howfar.results import policy


def scatter_people(predicted: pd.Series, observed: pd.Series, cohort: OpenCohort) -> Figure | str:
    """Draw predicted against observed values of one gene, by sample.

    Points have neither name nor order; a sentence stands in their place unless the study of
    `cohort` says ``individuals: public``.
    """
    if not policy.shows_people(cohort.study):
        return policy.NO_POINTS
    pairs = pd.DataFrame({"x": predicted, "y": observed}).dropna().sort_values(["x", "y"])
    r, n = stats.pearson_rows(pairs["x"].to_numpy(), pairs["y"].to_numpy())
    low, high = stats.fisher_interval(r, n)
    with style.look():
        drawn, (axis,) = style.panels([3.0])
        drawn.arrange(style.PANEL)  # no wider than a telephone: shown as it is on either
        axis.plot(pairs["x"], pairs["y"], "o", markersize=3, alpha=0.6, markeredgewidth=0)
        axis.set_xlabel(str(predicted.name))
        axis.set_ylabel(f"observed ({cohort.settings.expression_units})")
        axis.set_title(f"r {r[0]:.2f} ({low[0]:.2f} to {high[0]:.2f}), n {int(n[0])}")
    return drawn
