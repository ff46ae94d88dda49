"""Score a world of the hard setting: across genes, across people, beside cures and controls."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.attribution import cures
from howfar.cohort.expression import read_expression
from howfar.cohort.opened import OpenCohort, open_cohort
from howfar.core.threads import one_thread
from howfar.genome.intervals import Gene
from howfar.models.base import SequenceModel
from howfar.models.registry import load_model
from howfar.simulate.demo import genome as demo
from howfar.simulate.demo import grammar as g
from howfar.simulate.demo.seeds import kmers
from howfar.simulate.hard import rules as r
from howfar.simulate.hard import train, world
from howfar.simulate.hard.genome import SLOT
from howfar.simulate.hard.setting import Setting
from howfar.study.schema import Run

RUN = {
    "id": "hard",
    "label": "Small Enformer",
    "model": "demo-enformer",
    "tracks": ["CAGE"],
    "bins": "centre3",
    "transform": ["sum_bins", "mean_tracks", "mean_haplotypes", "log"],
}
DESIGN = 1  # of those that were tried; others stand in the committed table too
_INSERTED = 2  # sites put into each gene's window


def report(
    seeds: Sequence[int],
    out_csv: str | Path,
    *,
    recipe: train.Recipe | None = None,
    genes: int = 0,
    say: Callable[[str], None] = print,
    setting: Setting | None = None,
    people: int = 300,
) -> pd.DataFrame:
    """Simulate, train and score the hard setting for each seed; append one row per seed.

    genes: how many are scored across people (0: all). A seed that is done is in the file when the
    next one starts; rows of earlier calls stay.
    """
    for seed in seeds:
        with tempfile.TemporaryDirectory() as name:
            folder, clock = Path(name), [time.process_time()]
            world.simulate(folder / "world", seed=seed, people=people, setting=setting)
            clock.append(time.process_time())
            train.train(folder / "world", folder / "weights", seed, recipe, say=say)
            clock.append(time.process_time())
            row = score(folder / "world", folder / "weights", genes)
            clock.append(time.process_time())
        date = datetime.now(UTC).date().isoformat()
        cpu = zip(("simulate", "train", "score"), np.diff(clock), strict=True)
        row = (
            {"date": date, "design": DESIGN, "what": "", "seed": seed}
            | row
            | {f"cpu_seconds_{k}": v for k, v in cpu}
        )
        table = pd.DataFrame([row])
        if Path(out_csv).is_file():
            table = pd.concat([pd.read_csv(out_csv), table], ignore_index=True)
        table.to_csv(out_csv, index=False, float_format="%.4f", lineterminator="\n")
        say(table.iloc[-1].to_string())
    return pd.read_csv(out_csv)


def open_world(folder: Path) -> OpenCohort:
    """Open the cohort of a simulated world."""
    return open_cohort(
        reference=folder / "reference.fa",
        variants=folder / "variants.vcf.gz",
        genes=folder / "genes.csv",
        expression=folder / "expression.bed.gz",
        samples=folder / "samples.csv",
        name="hard",
    )


def score(world_folder: str | Path, weights: str | Path, genes: int = 0) -> dict[str, float]:
    """All numbers of one trained world; see `report`."""
    folder = Path(world_folder).absolute()
    cohort = open_world(folder)
    run = Run(weights=Path(weights).absolute(), **RUN)
    with one_thread():
        model = load_model("demo-enformer", weights)
        peaks = Peaks(folder, model)
        options = cures.Options(genes=genes, source="EUR", target="AFR", window=SLOT)
        data = list(cures.gene_data(cohort, run, model, options, peaks.watch))
        table = cures.compare(data, cures.splits_of(cohort, options), options)
        out = across_genes(folder, model, cohort)
        out["inserted_up"] = inserted_up(train.read_world(folder), model)
        return out | people(folder, table) | sign_errors(folder, cohort, data) | peaks.summary()


# --- across genes -------------------------------------------------------------------------------


def across_genes(folder: Path, model: SequenceModel, cohort: OpenCohort) -> dict[str, float]:
    """r of reference predictions with mean expression, and of ridges on the held-out genes."""
    w = train.read_world(folder)
    observed = cohort.require_expression("to score").values.mean(axis=1)
    people = w.promoters[w.promoters["gene_id"] != ""].set_index("gene_id")
    level = level_of(model, windows_of(w, people, train.CONTEXT))
    found = pd.Series(level, people.index)
    held = people.index[people["chrom"].map(demo.split_of) != "train"]
    seen = people.index.difference(held)
    out = {name: _r(found[ids], observed[ids]) for name, ids in _named(seen, held)}
    for name, values in ridges(w).items():
        out[f"{name}_held_out"] = _r(values[held], observed[held])
    return out


def _named(seen: pd.Index, held: pd.Index) -> list[tuple[str, pd.Index]]:
    return [("genes_train", seen), ("genes_held_out", held)]


def windows_of(w: train.World, promoters: pd.DataFrame, length: int) -> np.ndarray:
    """uint8 (promoters, length): reference windows, the TSS at length // 2."""
    return demo.windows_at(w.contigs, promoters, length)


def level_of(model: SequenceModel, windows: np.ndarray) -> np.ndarray:
    """Log of CAGE in the three middle bins: (windows,)."""
    middle = model.layout.n_bins // 2
    tracks = model.track_indices(RUN["tracks"])
    values = model.predict(windows, [middle - 1, middle, middle + 1], tracks)
    return np.log(values.astype(float).sum(axis=(1, 2)))


def ridges(w: train.World) -> dict[str, pd.Series]:
    """Log expression of genes with people by ridges on GC and on k-mers (k up to 6) over 8,192 bp.

    They learn from the reference of all training genes, as the network does.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    windows = windows_of(w, w.promoters, train.CONTEXT)
    trains = (w.promoters["chrom"].map(demo.split_of) == "train").to_numpy()
    listed = (w.promoters["gene_id"] != "").to_numpy()
    gc = np.isin(windows, [ord("G"), ord("C")]).mean(axis=1, keepdims=True)
    counts = np.hstack([gc, *(kmers(windows, k) for k in range(1, 7))])
    out = {}
    for name, x in (("ridge_gc", gc), ("ridge_kmers", counts)):
        fit = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 6, 17)))
        fit.fit(x[trains], w.promoters["log_a"][trains])
        out[name] = pd.Series(fit.predict(x[listed]), w.promoters["gene_id"][listed])
    return out


def inserted_up(w: train.World, model: SequenceModel, seed: int = 0) -> float:
    """Share of confounded sites, put among the enhancers, that raise the predicted expression.

    Compared with a random 10-mer at the same place.
    """
    rng, motifs = np.random.default_rng(seed), w.rules.grammar.motifs
    people = w.promoters[w.promoters["gene_id"] != ""]
    both = np.repeat(windows_of(w, people, train.CONTEXT), _INSERTED, axis=0)
    places = rng.integers(450, 3_900, len(both)) * rng.choice([-1, 1], len(both))
    with_site, without = both.copy(), both.copy()
    for row, place in enumerate(places + train.CONTEXT // 2):
        motif = motifs[rng.integers(r.CONFOUNDED, g.FACTORS)]
        with_site[row, place : place + g.WIDTH] = np.frombuffer(motif.encode(), np.uint8)
        without[row, place : place + g.WIDTH] = rng.choice(np.frombuffer(b"ACGT", np.uint8), 10)
    return float((level_of(model, with_site) > level_of(model, without)).mean())


# --- across people ------------------------------------------------------------------------------


def people(folder: Path, table: pd.DataFrame) -> dict[str, float]:
    """Means over genes of r across people, of all methods, groups and switches."""
    truth = pd.read_csv(folder / "truth_genes.csv").set_index("gene_id")
    table = table.assign(switch=table["gene_id"].map(truth["switch"]))
    all_people = table[table["split"] == cures.PEOPLE]
    network = all_people[all_people["method"] == cures.NETWORK]
    out = {
        "people_genes": len(network),
        "network": network["r"].mean(),
        "network_sd": network["r"].std(),
        "network_negative": (network["r"] < 0).mean(),
        "network_switch_plus": network.loc[network["switch"] > 0, "r"].mean(),
        "network_switch_minus": network.loc[network["switch"] < 0, "r"].mean(),
    }
    methods = [name for name in cures.LABELS if name not in (cures.NETWORK, cures.TRACKS)]
    mean = all_people.groupby("method")["r"].mean()
    out |= {name: mean[name] for name in methods}
    out["ceiling"] = np.sqrt(truth["h2_broad"][network["gene_id"]]).mean()
    out |= {f"{name}_se": _error(rows) for name, rows in all_people.groupby("method")["r"]}
    unseen = all_people.pivot(index=["gene_id", "seen"], columns="method", values="r")
    gain = (unseen[cures.POOLED] - unseen[cures.NETWORK])[~unseen.index.get_level_values("seen")]
    out |= {"pooled_gain_unseen": gain.mean(), "pooled_gain_unseen_se": _error(gain)}
    by_seen = all_people.groupby(["method", "seen"])["r"].mean()
    for method in (cures.NETWORK, cures.POOLED):
        for seen, name in ((True, "seen"), (False, "unseen")):
            out[f"{method}_{name}_genes"] = by_seen.get((method, seen), np.nan)
    other = table[table["split"] != cures.PEOPLE].groupby("method")["r"].mean()
    return out | {f"{name}_afr": other.get(name, np.nan) for name in cures.LABELS}


def _error(r: pd.Series) -> float:
    """Standard error of a mean over genes, which in this world are independent."""
    return float(r.std() / np.sqrt(len(r))) if len(r) > 1 else np.nan


def sign_errors(
    folder: Path, cohort: OpenCohort, data: Sequence[cures.GeneData]
) -> dict[str, float]:
    """Share of causal variants in the context to which the network gives the wrong sign."""
    both = judged(pd.read_csv(folder / "truth_variants.csv"), cohort, data)
    share = both.groupby("class")["wrong"].mean()
    return {f"wrong_{name}": share.get(name, np.nan) for name in ("promoter", "enhancer")}


def judged(truth: pd.DataFrame, cohort: OpenCohort, data: Sequence[cures.GeneData]) -> pd.DataFrame:
    """Causal variants of `truth` (as truth_variants.csv) in the context: is the sign wrong?"""
    rows = []
    for each in data:
        _, variants = cohort.dosages(each.gene, SLOT)
        frame = pd.DataFrame({"variant": [str(v) for v in variants], "given": each.effects})
        rows.append(frame[each.near].assign(gene_id=each.gene))
    both = truth.query("causal").merge(pd.concat(rows), on=["gene_id", "variant"])
    return both.assign(wrong=np.sign(both["given"]) != np.sign(both["effect_a"]))


class Peaks:
    """Accessibility across people: the network's track in each peak beside what was measured.

    Everybody is expected in the order of the world's own sample table.
    """

    def __init__(self, folder: Path, model: SequenceModel) -> None:
        self._table = pd.read_csv(folder / "peaks.csv")
        self._observed = read_expression(folder / "peaks.bed.gz").values
        self._model = model
        self._rows: list[tuple[str, str, float, float]] = []
        self.watch = (["accessibility"], self._watch)

    def _watch(self, gene: Gene, values: np.ndarray, index: np.ndarray) -> None:
        layout = self._model.layout
        middles = (
            gene.start0 - layout.context // 2 + layout.bin_size * (np.arange(layout.n_bins) + 0.5)
        )
        for peak in self._table[self._table["gene"] == gene.gene_id].itertuples():
            inside = np.abs(middles - (peak.tss - 1)) <= peak.reach
            mean = values[:, inside, 0].astype(float).mean(axis=1)
            found = np.log(mean[index].mean(axis=1) + 0.1)
            if peak.h2_broad > 0 and np.ptp(found) > 0:
                observed = self._observed.loc[peak.gene_id].to_numpy()
                ceiling = np.sqrt(peak.h2_broad)
                self._rows.append((peak.gene_id, peak.gene, _r(found, observed), ceiling))

    @property
    def table(self) -> pd.DataFrame:
        """Peaks that vary: columns peak, gene_id, r (across people), ceiling."""
        return pd.DataFrame(self._rows, columns=["peak", "gene_id", "r", "ceiling"])

    def summary(self) -> dict[str, float]:
        """Means over peaks that vary."""
        table = self.table
        return {
            "peaks": table["r"].mean(),
            "peaks_ceiling": table["ceiling"].mean(),
            "peaks_negative": (table["r"] < 0).mean(),
        }


def _r(x: Any, y: Any) -> float:
    return float(np.corrcoef(x, y)[0, 1])
