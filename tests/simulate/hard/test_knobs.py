"""The knobs of the hard setting: exact mixtures, what was done is kept, and what it is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from howfar.cli import app
from howfar.core.errors import HowfarError
from howfar.simulate.hard import knobs, train, world
from howfar.simulate.hard.setting import Setting

GRID = knobs.Grid(
    seeds=(5,),
    extra=(0, 2),
    distal=(0.4,),
    coins=(0.0, 0.5, 1.0),
    people=(20, 40),
    genes=2,
    size=(40, 8),
)
SETTING = Setting(free=10)
RECIPE = train.Recipe(tower_steps=1, tower_batch=1, epochs=1)


def measure(folder, say=lambda line: None):
    return knobs.measure(
        folder / "kept", folder / "out.csv", grid=GRID, setting=SETTING, recipe=RECIPE, say=say
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("knobs")

    def killed(line):
        if line.startswith("epoch") and not list(folder.rglob("seed5_extra*")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(folder, killed)
    said = []
    return folder, measure(folder, said.append), said


def test_a_killed_grid_goes_on(made):
    folder, table, said = made
    assert said[0] == "seed 5, 0 training genes without people: done"  # trained before
    assert said[-1] == "seed 5, 2 training genes without people: done"
    again = []
    pd.testing.assert_frame_equal(measure(folder, again.append), table)
    assert not again


def test_rows_and_columns(made):
    folder, table, _ = made
    keys = ["training_genes", "distal", "people", "coin"]
    assert len(table) == 2 * 2 * 3 and not table.duplicated(keys).any()
    assert set(table["training_genes"]) == {5, 7} and (table["genes"] == 2).all()
    kept = pd.read_csv(folder / "out.csv")
    pd.testing.assert_frame_equal(kept, table.round(3), check_dtype=False, atol=1.1e-3)
    for name in knobs.METHODS:
        inside = table[f"{name}_low"].le(table[name]) & table[name].le(table[f"{name}_high"])
        assert inside.all()


def test_what_the_knob_cannot_move(made):
    """Linear models don't ask how many genes trained the network, nor promoters the coin."""
    table = made[1].set_index(["training_genes", "distal", "people", "coin"])
    few, many = table.loc[5], table.loc[7]
    for name in ("blup", "blup_context", "ceiling", "random"):
        np.testing.assert_array_equal(few[name], many[name])
    assert (few["network"] != many["network"]).any()
    assert table["wrong_promoter"].groupby(["training_genes", "people"]).nunique().eq(1).all()


def test_a_share_is_a_mixture():
    """Of two genes and two switches, by hand: mean, SD and share negative."""
    r = {("g1", True): 0.4, ("g1", False): -0.2, ("g2", True): 0.1, ("g2", False): -0.3}
    rows = pd.DataFrame(
        [
            (name, gene, up, value, 0.4, 30)
            for name in knobs.METHODS
            for (gene, up), value in r.items()
        ],
        columns=["what", "gene_id", "up", "value", "distal", "people"],
    ).assign(chrom="chr1", seed=1, extra=0)
    signs = rows[rows["what"] == "network"].assign(what="wrong_enhancer", people=np.nan)
    signs["value"] = [0.0, 1.0, 1.0, 0.0]
    promoter = signs.assign(what="wrong_promoter", value=0.0)
    names = [*knobs.ACROSS, "training_genes"]
    across = pd.DataFrame({"what": names, "value": 1.0, "seed": 1, "extra": 0})
    found = knobs.summarise(pd.concat([rows, signs, promoter, across]), [0.75]).iloc[0]
    weighted = [0.75 * v if up else 0.25 * v for (_, up), v in r.items()]
    mean = sum(weighted) / 2
    assert found["network"] == pytest.approx(mean)
    square = sum((0.75 if up else 0.25) * v**2 for (_, up), v in r.items()) / 2
    assert found["network_sd"] == pytest.approx(np.sqrt(square - mean**2))
    assert found["network_negative"] == pytest.approx(0.25)
    assert found["wrong_enhancer"] == pytest.approx((0.25 + 0.75) / 2)
    assert found["wrong_promoter"] == 0 and found["wrong_promoter_variants"] == 2


def test_expression_of_a_share_is_that_of_its_world(folder):
    """Every gene of a world with a free share is as in the world with all switches its way."""
    setting = Setting(extra=2, free=10)
    rng = np.random.default_rng(5)
    population = world.populate(rng, 40, 8, setting)
    state, made = rng.bit_generator.state, {}
    for coin in (0.0, 0.55, 1.0):
        rng.bit_generator.state = state
        made[coin] = world.express(rng, population, replace(setting, coin=coin))
    both = made[0.55]
    for gene, up in enumerate(both.truth["switch"] > 0):
        np.testing.assert_array_equal(both.observed[gene], made[float(up)].observed[gene])
    written = pd.read_csv(folder / "expression.bed.gz", sep="\t").set_index("gene_id")
    written = written.loc[population.table["gene_id"]].iloc[:, 3:].to_numpy(float)
    np.testing.assert_allclose(written, both.observed, atol=1e-6)


def test_the_command(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(knobs, "measure", lambda *given, **options: asked.append((given, options)))
    words = ["--results", str(tmp_path / "results"), "bench", "knobs", "--seeds", "2"]
    CliRunner().invoke(app.app, [*words, "--out", str(tmp_path / "o.csv")], catch_exceptions=False)
    ((folder, out), options), *_ = asked
    assert (folder, out) == (tmp_path / "results" / "bench" / "knobs", tmp_path / "o.csv")
    assert options["grid"] == knobs.Grid(seeds=(1, 2))
    assert len(knobs.Grid().seeds) * len(knobs.Grid().extra) <= 12


def test_a_knob_that_is_none(tmp_path):
    grid = replace(GRID, distal=(0.95,))
    with pytest.raises(HowfarError, match="knobs"):
        knobs.measure(tmp_path, tmp_path / "out.csv", grid=grid, setting=SETTING)
