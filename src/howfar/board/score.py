"""Score bundles: beside the look-up, nulls and the other submissions of their task.

Every number is computed from the bundle's predictions and the task's answers, by the statistics of
the studies; intervals are by block bootstrap over genes, 95 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from howfar import stats
from howfar.board import bundle
from howfar.board.bundle import Bundle, Submission
from howfar.board.submit import published
from howfar.board.tasks import Answers, answers_of, task_of
from howfar.core.errors import HowfarError
from howfar.core.project import project_root, results_root
from howfar.core.threads import one_thread
from howfar.evaluation.across import across_table
from howfar.evaluation.row_zero import pair_sums, r_of_sums
from howfar.evaluation.run_comparison import judged, share_interval, summarise_pair
from howfar.results import tables
from howfar.results.predictions import Predictions
from howfar.stats.blocks import blocks_of

LOOKUP = "Look-up"
#: Measures of `Board.table`.
MEAN, PERMUTED, CENTRED, TRUTH, PAIRS, RANK = (
    "mean r across people",
    "mean r across people, exchanged within populations",
    "mean r across people, population means removed",
    "mean r with the planted truth",
    "rho over pairs of gene and person",
    "rank",
)
_DRAWS, _SEED = 2000, 1
_COLUMNS = ("name", "measure", "against", "value", "ci_low", "ci_high", "genes", "wins", "losses")


@dataclass(frozen=True)
class Board:
    """The submissions of a task and their scores.

    table: name, measure, against ('' but for differences), value, ci_low, ci_high, genes, wins
    (genes where the submission's r is higher than the other's), losses. across: table `across` of
    every submission, run_id its name.
    """

    answers: Answers
    submissions: tuple[Submission, ...]
    table: pd.DataFrame
    across: pd.DataFrame

    def row(self, name: str, measure: str, against: str = "") -> pd.Series | None:
        """One row of `table`; None where there is none."""
        rows = self.table
        found = rows[
            (rows["name"] == name) & (rows["measure"] == measure) & (rows["against"] == against)
        ]
        return None if found.empty else found.iloc[0]


@dataclass(frozen=True)
class Score:
    """One bundle's rows of a `Board`; prints as a table. ranked: of how many submissions."""

    submission: Submission
    table: pd.DataFrame
    across: pd.DataFrame
    ranked: int

    def __str__(self) -> str:
        said = self.submission
        lines = [
            f"{said.label}, task {said.task}: {said.genes:,} genes, {said.people:,} people; "
            f"training may have seen: {said.mark or 'nothing'}"
        ]
        for row in self.table.itertuples():
            other = "the look-up" if row.against == LOOKUP else row.against
            what = f"{row.measure}, minus {other}" if other else row.measure
            if row.name == LOOKUP:
                what = f"the look-up's {what}"
            ends = "" if pd.isna(row.ci_low) else f" ({row.ci_low:.3f} to {row.ci_high:.3f})"
            text = f"{row.value:.3f}{ends}"
            if row.measure == RANK:
                text = f"{row.value:.0f} ({row.ci_low:.0f} to {row.ci_high:.0f}) of {self.ranked}"
            lines.append(f"  {what}: {text}")
        return "\n".join(lines)


def submissions_folder() -> Path:
    """Return where the project keeps the board's bundles."""
    return project_root() / "data" / "submissions"


def submitted(task: str) -> list[Path]:
    """Return the bundles of a task that the project keeps, by name."""
    return sorted(submissions_folder().glob(f"{task}.*.zip"))


def score(path: str | Path) -> Score:
    """Check a bundle and score it, beside those of its task that the project keeps.

    One of the same name gives way, as on the board where a submission is replaced.

    Parameters
    ----------
    path
        What `howfar.submit` or ``howfar submit`` has written.

    Returns
    -------
    Score
        `.table` has a row for each measure: mean r across people (genes without a prediction
        count as 0), the same with people exchanged, Spearman's rho over pairs of gene and person,
        differences to baselines and look-up on the same genes and people, and the rank.

    Raises
    ------
    HowfarError
        For a damaged or changed bundle, and where the task's answers are not here.

    Examples
    --------
    >>> import tempfile, howfar as hf
    >>> out = tempfile.mkdtemp() + "/bundle.zip"
    >>> cohort = hf.example_cohort()
    >>> linear = hf.fit_linear(cohort, "top1", folds=2)
    >>> made = hf.submit("example", linear, out, label="Top SNP", people_seen="no")
    >>> print(hf.score(out))  # doctest: +ELLIPSIS
    Top SNP, task example: 6 genes, 20 people; training may have seen: genes perhaps
    ...
    """
    return score_in(Path(path), results_root())


def score_in(path: Path, results: Path) -> Score:
    """As `score`, with the results folder in which fetched files lie."""
    answers = answers_of(task_of(bundle.read_submission(path).task), results)
    mine = bundle.read(path, answers)
    name = mine.submission.name
    others = [each for each in _others(answers) if each.submission.name != name]
    made = standings(answers, [*others, mine])
    rows = made.table[made.table["name"].isin([name, LOOKUP])]
    across = made.across[made.across["run_id"] == name].reset_index(drop=True)
    return Score(mine.submission, rows.reset_index(drop=True), across, len(made.submissions))


def board(task: str, results: Path) -> Board:
    """Score all bundles of a task that the project keeps."""
    answers = answers_of(task_of(task), results)
    return standings(answers, _others(answers))


def _others(answers: Answers) -> list[Bundle]:
    """Bundles of the task that the project keeps, and what others published."""
    kept = [bundle.read(path, answers) for path in submitted(answers.task.name)]
    return [*kept, *published(answers)]


def standings(answers: Answers, bundles: Sequence[Bundle]) -> Board:
    """Score bundles of one task beside each other."""
    if not bundles:
        return Board(answers, (), pd.DataFrame(columns=list(_COLUMNS)), tables.empty("across"))
    names = [each.submission.name for each in bundles]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise HowfarError(
            f"task {answers.task.name}",
            found=f"two submissions named {twice[0]!r}",
            expected="a name of its own for each",
            do="Give `howfar submit` another --name or --label.",
        )
    nobody = pd.Series(np.nan, index=answers.genes, dtype=float)
    runs = [Predictions(b.submission.name, b.frame(answers), nobody) for b in bundles]
    with one_thread():
        across = across_table(answers.judged, runs, seed=_SEED)
        r = judged(across).pivot(
            index=["population", "gene_id"], columns="run_id", values="pearson"
        )
        rows = [row for each in bundles for row in _scores(answers, each, r)]
        rows += _differences(answers, names, _of(r, "pooled", answers))
        rows += _over_pairs(answers, bundles)
        rows += _ranks(answers, names, _of(r, "pooled", answers))
    table = pd.DataFrame(rows).reindex(columns=list(_COLUMNS)).fillna({"against": ""})
    order = {name: place for place, name in enumerate([*names, LOOKUP])}
    table = table.sort_values("name", key=lambda c: c.map(order), kind="stable")
    said = tuple(each.submission for each in bundles)
    return Board(answers, said, table.reset_index(drop=True), across)


def _of(r: pd.DataFrame, population: str, answers: Answers) -> pd.DataFrame | None:
    """r of each gene of the task (rows) and submission, 0 where none; None: no such population."""
    if population not in r.index.get_level_values("population"):
        return None
    return r.loc[population].reindex(answers.genes).fillna(0.0)


def _mean(answers: Answers, name: str, measure: str, r: pd.Series) -> dict:
    low, high = share_interval(r, r.index, answers.panel.genes, _DRAWS, _SEED)
    row = {"name": name, "measure": measure, "value": float(r.mean()), "genes": len(r)}
    return row | {"ci_low": low, "ci_high": high}


def _scores(answers: Answers, each: Bundle, r: pd.DataFrame) -> Iterable[dict]:
    name = each.submission.name
    for measure, population in ((MEAN, "pooled"), (PERMUTED, "permuted"), (CENTRED, "centred")):
        found = _of(r, population, answers)
        if found is not None:
            yield _mean(answers, name, measure, found[name])
    if answers.truth is not None:
        values, _ = stats.pearson_rows(each.values, answers.truth.to_numpy(float))
        found = pd.Series(np.nan_to_num(values), answers.genes)
        yield _mean(answers, name, TRUTH, found)


def _differences(answers: Answers, names: Sequence[str], r: pd.DataFrame) -> Iterable[dict]:
    """Differences of mean r to the task's baselines, and to the look-up, which has r = 0."""
    others = {label: r[name] for label, name in answers.task.against.items() if name in names}
    others[LOOKUP] = r.iloc[:, 0] * 0.0
    for name in names:
        for label, theirs in others.items():
            if answers.task.against.get(label) == name:
                continue
            rows = (
                pd.DataFrame({"first": r[name], "second": theirs})
                .rename_axis("gene_id")
                .reset_index()
            )
            rows["difference"] = rows["first"] - rows["second"]
            pair = summarise_pair(rows, answers.panel.genes, _DRAWS, _SEED)
            row = {"name": name, "measure": MEAN, "against": label, "value": pair.difference}
            low, high = pair.difference_ci
            row |= {"ci_low": low, "ci_high": high, "genes": pair.genes}
            yield row | {"wins": pair.wins, "losses": pair.losses}


def _over_pairs(answers: Answers, bundles: Sequence[Bundle]) -> Iterable[dict]:
    """Spearman's rho over the pairs of gene and person that the look-up is judged on.

    Values are ranked once, over all these pairs, before genes are resampled.
    """
    level = np.broadcast_to(answers.lookup[:, None], answers.asked.shape)
    cells = answers.asked & ~answers.known & np.isfinite(level)
    observed = answers.panel.expression.to_numpy(float)
    blocks, _ = blocks_of(answers.panel.genes, answers.genes)
    for each in [*bundles, None]:
        values = level if each is None else each.values
        given = cells & np.isfinite(values)
        x, y, z = (_ranked(part, given) for part in (values, observed, level))
        sums = np.column_stack([pair_sums(x, y), pair_sums(z, y)])
        sums = sums[given.any(axis=1)]
        found = _rho_and_gap(sums, np.ones((1, len(sums))))[0]
        ends = stats.block_bootstrap(
            sums, blocks[given.any(axis=1)], _rho_and_gap, _DRAWS, _SEED, weighted=True
        )
        name = LOOKUP if each is None else each.submission.name
        for i, against in enumerate(("", LOOKUP)[: 1 if each is None else 2]):
            row = {"name": name, "measure": PAIRS, "against": against, "value": float(found[i])}
            yield row | {"ci_low": ends[0][i], "ci_high": ends[1][i], "genes": len(sums)}


def _ranked(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Ranks among the given values, centred; NaN elsewhere."""
    ranks = np.full(values.shape, np.nan)
    ranks[given] = rankdata(values[given])
    return ranks - np.nanmean(ranks) if given.any() else ranks


def _rho_and_gap(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """rho of the prediction, and by how much it exceeds the look-up's: (draws, 2)."""
    rho, lookup = r_of_sums(sums[:, :6], weights), r_of_sums(sums[:, 6:], weights)
    return np.column_stack([rho, rho - lookup])


def _ranks(answers: Answers, names: Sequence[str], r: pd.DataFrame) -> Iterable[dict]:
    """Ranks by mean r, 1 the highest, in whole numbers that hold the bootstrap's interval."""
    blocks, _ = blocks_of(answers.panel.genes, answers.genes)
    values = r[list(names)].to_numpy(float)
    found = _rank_of_means(values, np.ones((1, len(values))))[0]
    low, high = stats.block_bootstrap(values, blocks, _rank_of_means, _DRAWS, _SEED, weighted=True)
    for i, name in enumerate(names):
        row = {"name": name, "measure": RANK, "value": float(found[i]), "genes": len(values)}
        yield row | {"ci_low": np.floor(low[i]), "ci_high": np.ceil(high[i])}


def _rank_of_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    means = stats.weighted_mean(values, weights)
    return rankdata(-means.round(12), axis=1, method="min")
