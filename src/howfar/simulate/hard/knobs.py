"""The hard setting with its knobs turned: which of them makes a network fail, and which cure helps.

Each network is trained once. A coin's share is exact: every gene is judged with its switch up and
with it down, and a share q is q of the one and 1 - q of the other. Expression is drawn anew for
each share beyond the context, from the same random numbers, on the same people.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as arrow

from howfar import simulate, stats
from howfar.attribution import cures
from howfar.attribution.cures import GeneData, Options
from howfar.core import sealed
from howfar.core.atomic import whole
from howfar.core.threads import one_thread
from howfar.linear.folds import nested
from howfar.models.registry import load_model
from howfar.simulate.files import write_csv
from howfar.simulate.hard import report, train, world
from howfar.simulate.hard.genome import SLOT
from howfar.simulate.hard.setting import Setting
from howfar.study.schema import Run

#: Random weights on the gene's own variants, and the true genetic value.
RANDOM, CEILING = "random", "ceiling"
METHODS = (
    cures.NETWORK,
    cures.TOLD,
    cures.BLUP_CONTEXT,
    cures.BLUP,
    cures.PRIOR,
    CEILING,
    RANDOM,
)
WRONG = ("wrong_promoter", "wrong_enhancer")
ACROSS = ("genes_train", "genes_held_out", "ridge_kmers_held_out")


@dataclass(frozen=True)
class Grid:
    """Values of each knob. seeds, extra: a network for each pair, `extra` training genes without
    people beside those with. distal: shares of cis variance beyond the context. coins: shares of
    genes whose switch is +. people: how many, of those simulated. genes: how many are scored.
    size: people and genes of the world.
    """

    seeds: tuple[int, ...] = (1, 2, 3)
    extra: tuple[int, ...] = (0, 150, 450, 900)
    distal: tuple[float, ...] = (0.1, 0.4, 0.7)
    coins: tuple[float, ...] = (0.25, 0.4, 0.5, 0.55, 0.7, 0.85, 1.0)
    people: tuple[int, ...] = (75, 150, 300)
    genes: int = 80
    size: tuple[int, int] = (300, 240)


def measure(
    folder: str | Path,
    out_csv: str | Path,
    *,
    grid: Grid | None = None,
    setting: Setting | None = None,
    recipe: train.Recipe | None = None,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Train and score every network of the grid; write a row for each setting of the knobs.

    Networks that are done lie in `folder`, and a training that was killed goes on. The table is
    written after each network, of those that are done.
    """
    grid, setting = grid or Grid(), setting or Setting()
    recipe = recipe or train.Recipe()
    setting = replace(setting, extra=max(grid.extra))
    # What each network's rows depend on, seed and number of training genes aside.
    made_of = [asdict(replace(grid, seeds=(), coins=())), asdict(setting), asdict(recipe)]
    words = json.dumps([simulate.VERSION, *made_of], sort_keys=True)
    folder = Path(folder) / hashlib.sha256(words.encode()).hexdigest()[:12]
    paths = {
        (seed, extra): folder / f"seed{seed}_extra{extra}.parquet"
        for seed in grid.seeds
        for extra in grid.extra
    }
    for seed in grid.seeds:
        lacking = [e for e in grid.extra if not paths[seed, e].is_file()]
        world_folder = folder / f"seed{seed}"
        networks = _one_world(world_folder, seed, lacking, grid, setting, recipe, say)
        for extra, rows in networks:
            sealed.write_parquet(paths[seed, extra], arrow.Table.from_pandas(rows))
            say(f"seed {seed}, {extra} training genes without people: done")
            _write(out_csv, paths, grid)
        shutil.rmtree(world_folder, ignore_errors=True)
    return _write(out_csv, paths, grid)


def _write(out_csv: str | Path, paths: dict[tuple[int, int], Path], grid: Grid) -> pd.DataFrame:
    """Write the table of the networks that are done."""
    done = {key: path for key, path in paths.items() if path.is_file()}
    rows = [sealed.read_parquet(p).assign(seed=s, extra=e) for (s, e), p in done.items()]
    table = summarise(pd.concat(rows, ignore_index=True), grid.coins)
    last = max(path.stat().st_mtime for path in done.values())
    table.insert(0, "date", date.fromtimestamp(last).isoformat())
    with whole(out_csv) as part:
        table.to_csv(part, index=False, float_format="%.3f", lineterminator="\n")
    return table


def _one_world(
    folder: Path,
    seed: int,
    lacking: list[int],
    grid: Grid,
    setting: Setting,
    recipe: train.Recipe,
    say: Callable[[str], None],
) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield how many genes without people trained a network, and its rows, of those lacking."""
    if not lacking:
        return
    rng = np.random.default_rng(seed)
    population = world.populate(rng, *grid.size, setting)
    state = rng.bit_generator.state

    def express(knobs: Setting) -> world.Expression:
        """Draw expression by other knobs, all else the same."""
        rng.bit_generator.state = state
        return world.express(rng, population, knobs)

    world.write(folder, rng, population, express(setting), setting)
    promoters = pd.read_csv(folder / "promoters.csv", keep_default_na=False)
    made = {
        (distal, up): express(replace(setting, distal=distal, coin=float(up)))
        for distal in grid.distal
        for up in (True, False)
    }
    for extra in lacking:
        without = promoters["gene_id"] == ""
        write_csv(folder / "promoters.csv", promoters[~without | (without.cumsum() <= extra)])
        weights = folder / f"weights{extra}"
        train.train(folder, weights, seed, recipe, say=say)
        yield extra, _score(folder, weights, made, grid)


def _score(
    folder: Path,
    weights: Path,
    made: dict[tuple[float, bool], world.Expression],
    grid: Grid,
) -> pd.DataFrame:
    """Rows of one network: what, gene_id, distal, up, people, value.

    what: a method, value its r across people; a class of causal variants, value 1 for a wrong
    sign; or a correlation across genes.
    """
    cohort = report.open_world(folder)
    run = Run(weights=weights.absolute(), **report.RUN)
    with one_thread():
        model = load_model("demo-enformer", weights)
        options = Options(genes=grid.genes, window=SLOT)
        data = list(cures.gene_data(cohort, run, model, options))
        across = report.across_genes(folder, model, cohort)
        across["training_genes"] = len(train.training_promoters(train.read_world(folder)))
        parts = [pd.DataFrame({"what": across.keys(), "value": across.values()})]
        for (distal, up), expression in made.items():
            wrong = report.judged(expression.effects, cohort, data)
            wrong = wrong[["gene_id"]].assign(what="wrong_" + wrong["class"], value=wrong["wrong"])
            wrong = wrong[wrong["what"].isin(WRONG)]
            people = [_people(data, expression, count, options) for count in grid.people]
            parts.append(pd.concat([wrong, *people]).assign(distal=distal, up=up))
    chroms = {gene.gene_id: gene.chrom for gene in cohort.genes}
    rows = pd.concat(parts, ignore_index=True).astype({"value": float})
    return rows.assign(chrom=rows["gene_id"].map(chroms))


def _people(
    data: list[GeneData], expression: world.Expression, count: int, options: Options
) -> pd.DataFrame:
    """r across `count` people of each method on each gene: gene_id, what, value, people."""
    row_of = {gene: row for row, gene in enumerate(expression.truth["gene_id"])}
    some = np.arange(0, expression.values.shape[1], expression.values.shape[1] // count)[:count]
    split = nested(count, options.folds, options.seed)
    rows = []
    for each in data:
        row = row_of[each.gene]
        mine = replace(
            each,
            network=each.network[some],
            features=each.features[some],
            x=each.x[some],
            y=expression.observed[row, some],
        )
        rng = np.random.default_rng(row)
        made = cures.predictions(mine, split, options) | {
            cures.NETWORK: mine.network,
            CEILING: expression.values[row, some],
            RANDOM: mine.x[:, mine.near] @ rng.normal(size=mine.near.sum()),
        }
        for name in METHODS:
            r, _ = stats.pearson_rows(made[name], mine.y)
            rows.append((each.gene, name, float(np.nan_to_num(r[0]))))
    return pd.DataFrame(rows, columns=["gene_id", "what", "value"]).assign(people=count)


def summarise(rows: pd.DataFrame, coins: Sequence[float]) -> pd.DataFrame:
    """Write one row for each number of training genes, share beyond the context, people and coin.

    Means over genes of r, with block-bootstrap intervals (a world's contig is a block); beside the
    network's mean the lowest and highest of the worlds. genes_train, genes_held_out,
    ridge_kmers_held_out: r across genes, means over worlds.
    """
    rows = rows.assign(block=rows["seed"].astype(str) + " " + rows["chrom"].astype(str))
    networks = rows[rows["distal"].isna()].groupby(["extra", "what"])["value"]
    across, least, most = (networks.agg(how).unstack() for how in ("mean", "min", "max"))
    signs = rows[rows["what"].isin(WRONG)]
    out = []
    for (extra, distal, people), part in rows.groupby(["extra", "distal", "people"]):
        wide = part.pivot_table("value", ["seed", "block", "gene_id"], ["what", "up"])
        mine = signs[(signs["extra"] == extra) & (signs["distal"] == distal)]
        level = {name: across.loc[extra, name] for name in ACROSS}
        level |= {"genes_held_out_least": least.loc[extra, "genes_held_out"]}
        level |= {"genes_held_out_most": most.loc[extra, "genes_held_out"]}
        for coin in coins:
            row = {"training_genes": int(across.loc[extra, "training_genes"])}
            row |= {"distal": distal, "people": int(people), "coin": coin}
            row |= {"worlds": part["seed"].nunique(), "genes": len(wide)}
            out.append(row | _mixed(wide, coin) | _mixed_signs(mine, coin) | level)
    return pd.DataFrame(out)


def _mixed(wide: pd.DataFrame, coin: float) -> dict[str, float]:
    """Summaries over genes, a share `coin` of them with the switch up."""
    out, blocks = {}, wide.index.get_level_values("block").to_numpy()

    def mix(name: str, of: Callable[[pd.Series], pd.Series] = lambda r: r) -> pd.Series:
        """Weigh the two ways a coin falls."""
        return coin * of(wide[name, True]) + (1 - coin) * of(wide[name, False])

    for name in METHODS:
        out |= _mean(name, mix(name).to_numpy(), blocks)
    for name in (cures.NETWORK, RANDOM):
        out[f"{name}_sd"] = np.sqrt((mix(name, np.square)).mean() - mix(name).mean() ** 2)
        negative = mix(name, lambda r: (r < 0).astype(float))
        out |= _mean(f"{name}_negative", negative.to_numpy(), blocks)
    worlds = mix(cures.NETWORK).groupby("seed").mean()
    return out | {"network_least": worlds.min(), "network_most": worlds.max()}


def _mixed_signs(signs: pd.DataFrame, coin: float) -> dict[str, float]:
    """Shares of causal variants with the wrong sign, of each class, and how many there are."""
    out = {}
    for name in WRONG:
        mine = signs[signs["what"] == name]
        weight = np.where(mine["up"], coin, 1 - coin)
        out |= _mean(name, mine["value"].to_numpy(), mine["block"].to_numpy(), weight)
        out[f"{name}_variants"] = len(mine) // 2
    return out


def _mean(
    name: str, values: np.ndarray, blocks: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, float]:
    """A mean with its interval: three columns."""
    pairs = np.column_stack([values, np.ones(len(values)) if weight is None else weight])
    low, high = stats.block_bootstrap(pairs, blocks, _averages, weighted=True)
    mean = _averages(pairs, np.ones((1, len(pairs))))[0]
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _averages(pairs: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Means (draws,) of values with weights (rows, 2), each row drawn so often (draws, rows)."""
    return drawn @ pairs.prod(axis=1) / (drawn @ pairs[:, 1])
