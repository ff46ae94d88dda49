"""Whose expression fits whose genotypes: mix-ups of samples, and kinship from genotypes.

A gene whose prediction, made without the person, has correlation r with expression tells the
log-likelihood r/(1 - r^2) e p + ... about whether expression e is of the genotypes behind p
(both with variance 1). Of the right person a pair of people expects 2 sum r^2/(1 - r^2) more than
of the swapped one: that sum, the signal, decides what can be found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from howfar.stats.shares import wilson_interval

#: A suspicion is this many times likelier than no mix-up, prior included; one that fits nobody is
#: believed less readily, as any other fault of a sample looks like it.
ODDS, RARER = np.log(100), np.log(100)
#: Share of planted swaps that must be found before "no swap" is said.
ENOUGH = 0.95
#: KING-robust kinship from which on two people are the same, first and second degree relatives.
DEGREES = {
    "same person": 2**-1.5,
    "first-degree relatives": 2**-2.5,
    "second-degree relatives": 2**-3.5,
}
_MANY = 200  # people from which on r of nine tenths of them is good enough
_LARGEST_R = 0.99
_FEWEST = 10  # people to compare
_SURE = 6  # robust standard deviations above the usual pair that relatives stand out by
_SAME = 0.42  # kinship of one person sampled twice, 1 % of calls wrong, in a megabase alone


@dataclass(frozen=True)
class Concordance:
    """How well each person's expression fits each person's genotypes.

    gain: float64 (people, people), log-likelihood of row's expression with column's genotypes less
    that with the row's own. nobody: (people,), log-likelihood that expression fits no genotypes
    here less that of its own. signal: sum of r^2/(1 - r^2), as far as it is not noise. found:
    share of swapped pairs that would be found among these people. genes: with r above 0.
    """

    gain: np.ndarray
    nobody: np.ndarray
    signal: float
    found: float
    genes: int

    @property
    def enough(self) -> bool:
        """Whether finding no swap means that there is none."""
        return self.found >= ENOUGH


@dataclass(frozen=True)
class Suspicion:
    """People whose expression fits other genotypes: rows, and those (-1: of nobody here)."""

    people: tuple[int, ...]
    proposed: tuple[int, ...]
    log_odds: float

    @property
    def probability(self) -> float:
        """Of this mix-up against none, one in the whole cohort expected beforehand."""
        return float(1 / (1 + np.exp(-self.log_odds)))


def examine(
    predicted: np.ndarray, observed: np.ndarray, groups: np.ndarray | None = None, seed: int = 1
) -> tuple[Concordance, list[Suspicion]]:
    """Compare everybody with everybody, then again with weights of those who are not suspected."""
    people = predicted.shape[1]
    if not len(predicted) or people < _FEWEST:
        return Concordance(np.zeros((people, people)), np.zeros(people), 0.0, 0.0, 0), []
    found = concordance(predicted, observed, groups, seed)
    suspected = suspicions(found)
    if suspected:
        trusted = np.full(predicted.shape[1], True)
        trusted[[person for each in suspected for person in each.people]] = False
        found = concordance(predicted, observed, groups, seed, trusted)
        suspected = suspicions(found)
    return found, suspected


def concordance(
    predicted: np.ndarray,
    observed: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 1,
    trusted: np.ndarray | None = None,
) -> Concordance:
    """Compare everybody's expression with everybody's predictions.

    predicted, observed: (genes, people), NaN where missing; predictions are out of fold. groups:
    (people,) populations. trusted: bool (people,), whose r makes the weights; None: all. Each pair
    is weighed by r of the other people, so that chance in few people is no signal; spread beyond
    what the weights expect (genes that err together) makes the likelihood flatter, apart for pairs
    of one population and of two, as populations may have been measured apart.
    """
    people = predicted.shape[1]
    parts = min(20 if people < _MANY else 10, people)
    order = np.random.default_rng(seed).permutation(people)  # parts are stretches of it
    ends = np.linspace(0, people, parts + 1).astype(int)
    members = [slice(*ends[k : k + 2]) for k in range(parts)]
    p, e = _standardised(predicted)[:, order], _normal_scores(observed)[:, order]
    e = e / np.maximum(1, np.sqrt((e**2).mean(axis=0)))  # a sample that is off everywhere
    weighed = np.full(people, True) if trusted is None else trusted[order]
    # (parts, 3, genes): sums of e p, e^2 and p^2 over the trusted people of each part
    sums = np.array(
        [_moments(e[:, who][:, weighed[who]], p[:, who][:, weighed[who]]) for who in members]
    )
    counts = np.array([weighed[who].sum() for who in members])
    total, number = sums.sum(axis=0), counts.sum()
    gain, distance = np.zeros((people, people)), np.zeros((people, people))
    nobody, products, squares = np.zeros(people), e * p, p**2
    for a, first in enumerate(members):
        for b, second in list(enumerate(members))[a:]:
            out = sorted({a, b})
            r = _shrunk(total - sums[out].sum(axis=0), number - counts[out].sum())
            w = r / (1 - r * r)
            half = {k: (w * r) @ squares[:, members[k]] / 2 for k in out}
            own = {k: w @ products[:, members[k]] for k in out}
            for x, y in ((a, b), (b, a)) if a != b else ((a, a),):
                theirs = p[:, members[y]] * w[:, None]
                change = half[y] - half[x][:, None]
                cross = e[:, members[x]].T @ theirs
                gain[members[x], members[y]] = cross - own[x][:, None] - change
            shared = (p[:, first] * (w * r)[:, None]).T @ p[:, second]
            distance[first, second] = 2 * (half[a][:, None] + half[b] - shared)
            distance[second, first] = distance[first, second].T
            if a == b:
                fits = own[a] - half[a] - (w * r) @ e[:, first] ** 2 / 2
                nobody[first] = np.log1p(-(r * r)).sum() / 2 - fits
    back = np.argsort(order)
    gain, distance = gain[np.ix_(back, back)], distance[np.ix_(back, back)]
    alike = np.full((people, people), True) if groups is None else groups[:, None] == groups
    genes = int((_shrunk(total, number) > 0).sum())
    return _calibrated(gain, distance, nobody[back], weighed[back], alike, genes)


def gene_r(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Correlation of each gene over people, what chance gives taken off its square (genes,)."""
    sums = np.array(_moments(_normal_scores(observed), _standardised(predicted)))
    return _shrunk(sums, predicted.shape[1])


def _moments(e: np.ndarray, p: np.ndarray) -> list[np.ndarray]:
    return [(e * p).sum(axis=1), (e * e).sum(axis=1), (p * p).sum(axis=1)]


def _calibrated(
    gain: np.ndarray,
    distance: np.ndarray,
    nobody: np.ndarray,
    trusted: np.ndarray,
    alike: np.ndarray,
    genes: int,
) -> Concordance:
    """Scale by what pairs of people show: their mean q and variance 2 q, where weights are right.

    Beyond the median of pairs nothing is taken of them, as some may be swapped.
    """
    people = len(gain)
    told = np.triu(trusted[:, None] & trusted & (distance > 1e-9), 1)
    d = -(gain + gain.T)
    scale = np.zeros_like(gain)
    signal = 0.0
    for kind in (alike, ~alike):
        pairs = told & kind
        if not pairs.any():
            continue
        slope = max(float(np.median(d[pairs] / distance[pairs])), 0.0)
        rest = (d[pairs] - slope * distance[pairs]) / np.sqrt(2 * distance[pairs])
        spread = scipy.stats.median_abs_deviation(rest, scale="normal") ** 2
        flatter = min(slope / max(spread, 1e-9), 1.0)  # never surer than the weights are
        scale[kind] = flatter
        signal += flatter * slope * float(distance[pairs].sum()) / 2
    pairs = told.sum()
    if not pairs:
        return Concordance(np.zeros_like(gain), np.zeros(people), 0.0, 0.0, genes)
    needed = ODDS + 2 * np.log(people) - np.log(2)
    found = float((scale * d > needed)[told].mean())
    own = scale.diagonal()
    return Concordance(scale * gain, own * nobody, signal / pairs, found, genes)


def suspicions(found: Concordance) -> list[Suspicion]:
    """Find who fits others: swaps, longer rings, and those who fit nobody, surest first.

    The best assignment of people to genotypes, each once or none, a change of each person costing
    log(people); rings and chains of it whose odds are `ODDS` or more.
    """
    people = len(found.gain)
    price = np.log(people)
    moved = found.gain - price
    np.fill_diagonal(moved, 0)
    alone = np.full((people, people), -1e9)
    np.fill_diagonal(alone, found.nobody - price - RARER)
    value = np.hstack([moved, alone])
    _, chosen = scipy.optimize.linear_sum_assignment(value, maximize=True)
    target = np.where(chosen < people, chosen, -1)
    listed = []
    for people_of in _components(target):
        odds = float(value[people_of, chosen[people_of]].sum())
        ring = (target[people_of] >= 0).all()
        odds += np.log(len(people_of)) if ring else 0  # a ring can be begun at each of them
        if odds >= ODDS:
            listed.append(Suspicion(tuple(people_of), tuple(target[people_of].tolist()), odds))
    return sorted(listed, key=lambda each: -each.log_odds)


def _components(target: np.ndarray) -> list[list[int]]:
    """Rings and chains of people who moved."""
    moved = np.flatnonzero(target != np.arange(len(target))).tolist()
    label = {person: person for person in moved}
    for person in moved:
        other = int(target[person])
        if other in label:
            old, new = label[other], label[person]
            label = {who: new if mark == old else mark for who, mark in label.items()}
    return [[who for who in moved if label[who] == mark] for mark in dict.fromkeys(label.values())]


def _shrunk(sums: np.ndarray, people: int) -> np.ndarray:
    """Correlation of each gene, what chance gives taken off its square; 0 where none is left."""
    length = np.sqrt(sums[1] * sums[2])
    r = np.clip(sums[0] / np.where(length > 0, length, np.inf), 0, _LARGEST_R)
    return np.sqrt(np.maximum(r * r - (1 - r * r) / max(people - 2, 1), 0))


def _standardised(values: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1 of each gene; missing values and flat genes are 0."""
    kept = ~np.isnan(values)
    count = np.maximum(kept.sum(axis=1, keepdims=True), 1)
    rest = np.where(kept, values, 0.0).astype(float)
    rest = np.where(kept, rest - rest.sum(axis=1, keepdims=True) / count, 0.0)
    sd = np.sqrt((rest**2).sum(axis=1, keepdims=True) / count)
    return np.where(sd > 1e-12, rest / np.where(sd > 1e-12, sd, 1), 0.0)


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Ranks of each gene as a normal variable; missing values and flat genes are 0."""
    count = np.maximum((~np.isnan(values)).sum(axis=1, keepdims=True), 1)
    ranks = scipy.stats.rankdata(values, axis=1, nan_policy="omit")
    return _standardised(scipy.stats.norm.ppf((ranks - 0.5) / count))


def kinship(dosages: np.ndarray) -> np.ndarray:
    """KING-robust kinship of all pairs (Manichaikul et al. 2010), float64 (people, people).

    dosages: (people, variants), copies of one allele, NaN where missing. Of genotypes that are
    hardly ever heterozygous, as of haploid or inbred ones: 1/2 less the share that differs, scaled
    so that unrelated pairs are around 0. The diagonal is 1/2.
    """
    calls = np.rint(dosages)
    none, one, two = (np.asarray(calls == copies, np.float32) for copies in (0, 1, 2))
    called = none + one + two
    ibs0 = none @ two.T
    ibs0 = ibs0 + ibs0.T
    if one.sum() < 0.01 * called.sum():
        differ = ibs0 / np.maximum(called @ called.T, 1)
        usual = np.median(differ[np.triu_indices(len(differ), 1)])
        phi = (0.5 - 0.5 * differ / usual if usual > 0 else np.full_like(differ, 0.5)).astype(float)
    else:
        het = np.asarray(one @ called.T, float)
        fewer = np.maximum(np.minimum(het, het.T), 1)
        phi = (one @ one.T - 2 * ibs0) / (2 * fewer) + 0.5 - (het + het.T) / (4 * fewer)
    np.fill_diagonal(phi, 0.5)
    return phi


def related(phi: np.ndarray) -> list[tuple[int, int, str]]:
    """List pairs who are the same person or relatives, by kinship (people, people).

    Relatives stand out from usual pairs too, whose kinship scatters where genotypes are of a
    small part of the genome.
    """
    first, second = np.triu_indices(len(phi), 1)
    values = phi[first, second]
    if not len(values):
        return []
    usual = float(np.median(values))
    least = usual + _SURE * scipy.stats.median_abs_deviation(values, scale="normal")
    least = max(least, min(DEGREES.values()))
    same = max(DEGREES["same person"], min(least, _SAME))
    limits = DEGREES | {"same person": same}
    return [
        (int(first[at]), int(second[at]), next(n for n, low in limits.items() if values[at] > low))
        for at in np.flatnonzero(values > min(least, same))
    ]


def pool(table: pd.DataFrame) -> pd.DataFrame:
    """Pool a setting's swaps of one, two and five pairs: share found, with Wilson's interval.

    table: rows of `howfar bench mixups`, of swapped pairs alone.
    """
    hits = (table["found"] * table["trials"]).round()
    grouped = table.assign(hits=hits).groupby("setting", sort=False)
    rows = grouped.agg(
        {"people": "first", "genes": "first", "r": "first", "signal": "mean"}
        | {"hits": "sum", "trials": "sum"}
    ).reset_index()
    ends = [wilson_interval(row.hits, row.trials) for row in rows.itertuples()]
    found = rows["hits"] / rows["trials"]
    return rows.assign(
        found=found, ci_low=[low for low, _ in ends], ci_high=[high for _, high in ends]
    )
