"""How fast a cohort is scored: the studies' way, plain batches, and the shared engine.

All three score haplotypes of one gene in one process, in turns, on the same network, and their
values are compared. The slow two are timed on a random subset and scaled, which the table says.
Operations are counted (`torch.utils.flop_counter`), so that the ceiling, what the shared engine
could save at best, stands beside what it did save.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.reference import Reference
from howfar.genome.windows import Windows, build_windows
from howfar.models.base import Layout, encoding_table
from howfar.models.engine.enformer_network import build_network, embeddings, split
from howfar.models.engine.memory import give_back
from howfar.models.engine.network import pick_device
from howfar.models.engine.options import check_context
from howfar.models.engine.precision import arithmetic, check_precision
from howfar.models.engine.shared_network import BLOCK, SharedNetwork
from howfar.models.engine.shared_tower import cuts
from howfar.models.zoo.enformer import SIZES, layout_of
from howfar.simulate.demo.people import MUTATION_RATE, RECOMBINATION_RATE, demography

#: A reduced Enformer whose tower and transformer share the work as the published one's do (76 and
#: 22 in a hundred), small enough for two cores; heads as wide as the published one's.
QUICK = {
    **{"dim": 192, "depth": 3, "heads": 2, "attn_dim_key": 64, "dim_divisible_by": 16},
    "output_heads": {"human": 600},
}
GEUVADIS = 842 * 3259  # haplotypes of its people, times the genes of the studies
TIMED = 32  # haplotypes on which the slow ways are timed
STUDIES, PLAIN, OURS = "as the studies did", "plain batches", "howfar"
RELEASED = "as the studies did, memory released"


@dataclass(frozen=True)
class Case:
    """What is measured: the network's sizes, the windows, the device, the precision."""

    sizes: dict[str, Any]
    windows: np.ndarray  # uint8 (distinct, context)
    index: np.ndarray  # (haplotypes,) row of `windows`
    device: str
    precision: str
    batch_size: int
    seed: int = 1
    model: str = "enformer"  # of `SUBJECTS`
    timed: int = TIMED  # haplotypes, of the slow ways


class Subject(Protocol):
    """The network that is measured, with random weights."""

    def whole(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the studies' way: one window at a time in float32, (n, context) to (n,)."""

    def model(self, engine: str) -> Any:
        """Return the network as a `SharedNetwork` with that engine."""

    def work(self) -> dict[str, float]:
        """Count operations for one window: whole, tower, after; see `operations`."""


@dataclass(frozen=True)
class Row:
    """One way to score the cohort."""

    way: str
    precision: str
    batch: int
    haplotypes_timed: int
    haplotypes: int
    scaled: bool
    seconds: float
    per_s: float
    tflop: float  # for all haplotypes
    matrix_share: float  # of the device's measured rate of matrix products
    peak_gb: float  # beyond what was taken before
    error_sd: float  # largest error against the studies' way / SD between haplotypes
    r: float  # correlation over haplotypes with the studies' way


def run(case: Case, *, rounds: int = 2) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a row for each way (`Row`, columns `speedup`, `ceiling`), and what else was measured.

    speedup: rate over the studies' way; ceiling: operations of the studies' way over this one's,
    which no arithmetic of the same speed can exceed.
    """
    device = pick_device(case.device)
    subject: Subject = SUBJECTS[case.model](case, device)
    # First, as no model of ours has asked this process yet to keep the memory that a layer frees.
    before = {RELEASED: _Way(subject.whole(), 1, "float32", _subset(case))}
    first = _measure(before, case.windows, 1)
    ours = subject.model("shared")
    ways = _ways(subject, ours, case)
    values = _measure(ways, case.windows, rounds) | first
    ways |= before
    work = subject.work()
    flop = _flop(case, work, ours._tower)
    with arithmetic(case.precision, device):
        rate = {"float32": matrix_rate(device, "float32")}
        rate.setdefault(case.precision, matrix_rate(device, case.precision))
    rows = [
        _row(name, way, values, ways[STUDIES].rows, flop[name], rate[way.precision], case)
        for name, way in ways.items()
    ]
    table = pd.DataFrame([asdict(row) for row in rows])
    table["speedup"] = table["per_s"] / table["per_s"].iloc[0]
    table["ceiling"] = table["tflop"].iloc[0] / table["tflop"]
    return table, _surroundings(case, device, work, ours)


# --- the ways --------------------------------------------------------------------------------


@dataclass
class _Way:
    """One way: how it scores windows, and what its rounds took."""

    score: Callable[[np.ndarray], np.ndarray]
    batch: int
    precision: str
    rows: np.ndarray
    seconds: float = np.inf  # of the fastest round
    peak: float = 0.0


def _ways(subject: Subject, ours: Any, case: Case) -> dict[str, _Way]:
    """Make the three ways by name; the slow two score the windows of a random subset."""
    rows, every = _subset(case), np.arange(len(case.windows))
    return {
        STUDIES: _Way(subject.whole(), 1, "float32", rows),
        PLAIN: _Way(scorer(subject.model("plain")), case.batch_size, case.precision, rows),
        OURS: _Way(scorer(ours), case.batch_size, case.precision, every),
    }


def _subset(case: Case) -> np.ndarray:
    """Draw the windows of a few haplotypes at random."""
    return case.index[np.random.default_rng(case.seed).permutation(len(case.index))[: case.timed]]


def _measure(ways: dict[str, _Way], windows: np.ndarray, rounds: int) -> dict[str, np.ndarray]:
    """Compute values of each way, timed in turns; a first, short round warms everything up."""
    values = {}
    for way in ways.values():
        way.score(windows[way.rows[: way.batch]])
    for _ in range(rounds):
        for name, way in ways.items():
            with Peak() as peak:
                begin = time.perf_counter()
                values[name] = way.score(windows[way.rows])
                way.seconds = min(way.seconds, time.perf_counter() - begin)
            way.peak = max(way.peak, peak.bytes)
    return values


def _whole(network: Any, device: str) -> Callable[[np.ndarray], np.ndarray]:
    """Score one sequence at a time, in float32, all bins and tracks; return the value asked for."""
    import torch

    table = torch.from_numpy(encoding_table(0.25)).to(device)

    def score(windows: np.ndarray) -> np.ndarray:
        """Turn uint8 (n, context) into (n,)."""
        values = []
        with torch.inference_mode(), arithmetic("float32", device):
            for window in windows:
                bases = torch.from_numpy(window.copy())[None].to(device)
                out = network(table[bases.long()], head="human")
                values.append(out[:, out.shape[1] // 2, 0].cpu())
        return torch.cat(values).numpy()

    return score


def scorer(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Score by a model's own `predict`, for the central bin of the first track."""
    bins = model.layout.n_bins

    def score(windows: np.ndarray) -> np.ndarray:
        """Turn uint8 (n, context) into (n,)."""
        if model.engine == "shared":
            model._tower = model._new_tower()  # remembers nothing, and counts this round alone
        return model.predict(windows, [bins // 2], [0])[:, 0, 0]

    return score


class _Enformer:
    """Enformer as `Subject`."""

    def __init__(self, case: Case, device: str) -> None:
        self._case, self._device = case, device
        self._network = lively(case.sizes, case.windows.shape[1], case.seed).to(device)

    def whole(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return the studies' way."""
        return _whole(self._network, self._device)

    def model(self, engine: str) -> SharedNetwork:
        """Return the network with that engine."""
        return _Bench(self._network, self._case, self._device, engine, self._case.precision)

    def work(self) -> dict[str, float]:
        """Count operations for one window."""
        return operations(self._case.sizes, self._case.windows.shape[1])


def _alphagenome(case: Case, device: str) -> Subject:
    from howfar.bench.alphagenome import Measured

    return Measured(case, device, scorer, count)


SUBJECTS: dict[str, Callable[[Case, str], Subject]] = {
    "enformer": _Enformer,
    "alphagenome": _alphagenome,
}


class _Bench(SharedNetwork):
    """The network's human head on all bins of a window, none cropped."""

    name, units, weights_sha256 = "enformer", "coverage", "random"

    def __init__(self, network: Any, case: Case, device: str, engine: str, precision: str) -> None:
        context = case.windows.shape[1]
        self.layout, self.precision = Layout(context, 128, context // 128), precision
        heads = case.sizes["output_heads"]
        self.tracks = pd.DataFrame({"description": ["track"] * heads["human"]})
        self._ready(network, device, case.batch_size, encoding_table(0.25))
        self._share(split(network, self._head), engine)

    def _head(self, x: Any, tracks: Any) -> Any:
        import torch

        linear, positive = self._network.heads["human"]
        weight, bias = linear.weight[tracks], linear.bias[tracks]
        return positive(torch.nn.functional.linear(x, weight, bias)).float()

    def _forward(self, bases: Any, bins: Any, tracks: Any) -> Any:
        return self._head(embeddings(self._network, self._one_hot(bases), bins), tracks)


def lively(sizes: dict[str, Any], context: int, seed: int = 1) -> Any:
    """Make a random Enformer whose values differ between haplotypes by about a hundredth or more.

    At birth they differ by a ten-millionth of their level, so that any engine would pass: weights
    get unit gain, and batch-norm statistics are those of random sequences.
    """
    import torch

    torch.manual_seed(seed)
    network = build_network(sizes | {"target_length": -1})
    for module in network.modules():
        if isinstance(module, torch.nn.Conv1d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.xavier_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = None  # the statistics become the mean over what is seen
    letters = np.frombuffer(b"ACGT", np.uint8)
    few = min(context, 16_384)
    bases = letters[np.random.default_rng(seed).integers(0, 4, (4, few))]
    with torch.no_grad():
        network.train()(torch.from_numpy(encoding_table())[torch.from_numpy(bases).long()])
    return network.eval()


# --- what is counted and measured beside the time ----------------------------------------------


def operations(sizes: dict[str, Any], context: int) -> dict[str, float]:
    """Floating-point operations for one window: whole (all bins and tracks), tower, after (one
    bin, one track, the transformer without waste)."""
    import torch

    with torch.device("meta"):
        network = build_network(sizes | {"target_length": -1}).eval()
        one_hot = torch.empty(1, context, 4)
    linear, positive = network.heads["human"]
    parts = split(network, lambda x, tracks: positive(linear(x)[..., :1]))
    features = torch.empty(1, context // 128, parts.channels, device="meta")
    return {
        "whole": count(lambda: network(one_hot, head="human")),
        "tower": count(lambda: parts.tower(one_hot)),
        "after": count(lambda: parts.after(features, [context // 256], None)),
    }


def count(what: Callable[[], Any]) -> float:
    """Count floating-point operations of a call."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        what()
    return float(counter.get_total_flops())


def _flop(case: Case, work: dict[str, float], tower: Any) -> dict[str, float]:
    """Count operations of each way for all haplotypes; of the shared tower, what ran."""
    people, windows = len(case.index), len(case.windows)
    ran = tower.bins_run / (len(tower._cuts) * tower._block)  # in windows' worth
    return {
        STUDIES: people * work["whole"],
        RELEASED: people * work["whole"],
        PLAIN: people * (work["tower"] + work["after"]),
        OURS: ran * work["tower"] + windows * work["after"],
    }


def matrix_rate(device: str, precision: str) -> float:
    """Measure operations per second of a large matrix product: what the device can do."""
    import torch

    size = 8192 if device.startswith("cuda") else 2048
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(size, size, device=device, dtype=kind)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        out = a @ a
        out[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


class Peak:
    """Memory taken inside a block beyond what was taken before: main memory, or a GPU's."""

    def __enter__(self) -> Peak:
        import torch

        self._cuda = torch.cuda.is_available()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        give_back()
        self._before, self.bytes, self._done = _resident(), 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.bytes = max(self.bytes, _resident() - self._before)

    def __exit__(self, *error: Any) -> None:
        import torch

        self._done.set()
        self._thread.join()
        if self._cuda:
            self.bytes = float(torch.cuda.max_memory_allocated())


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _row(
    name: str, way: _Way, values: dict, rows: np.ndarray, flop: float, rate: float, case: Case
) -> Row:
    """Make a row of the table; the error is over the haplotypes that every way has scored.

    rows: the windows that the slow ways have scored.
    """
    whole = name == OURS
    expected = values[STUDIES].astype(float)
    scored = values[name][rows] if whole else values[name]
    timed = len(case.index) if whole else len(rows)
    return Row(
        way=name,
        precision=way.precision,
        batch=way.batch,
        haplotypes_timed=timed,
        haplotypes=len(case.index),
        scaled=not whole,
        seconds=way.seconds,
        per_s=timed / way.seconds,
        tflop=flop / 1e12,
        matrix_share=flop / len(case.index) * timed / way.seconds / rate,
        peak_gb=way.peak / 1e9,
        error_sd=float(np.abs(scored - expected).max() / expected.std()),
        r=float(np.corrcoef(scored, expected)[0, 1]),
    )


def _surroundings(case: Case, device: str, work: dict, ours: Any) -> dict[str, Any]:
    """Describe where the work is, and what handling haplotypes costs."""
    import torch

    begin = time.perf_counter()
    for window in case.windows:
        ours._tower._keys(window)
    hashing = time.perf_counter() - begin
    name = torch.cuda.get_device_name() if device.startswith("cuda") else f"{os.cpu_count()} cores"
    return {
        "device": name,
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "context": case.windows.shape[1],
        "haplotypes": len(case.index),
        "distinct": len(case.windows),
        "tower_share": work["tower"] / work["whole"],
        "windows_worth_of_tower": ours._tower.bins_run / (case.windows.shape[1] // 128),
        "hashing_s": hashing,
    }


def case_of(windows: Windows, haplotypes: int | None = None, **options: Any) -> Case:
    """Make the case of a gene's windows: the first `haplotypes` of its people, each once."""
    index = np.asarray(windows.index).ravel()[:haplotypes]
    used, rows = np.unique(index, return_inverse=True)
    every = np.concatenate([windows.reference[None], windows.sequences])
    return Case(windows=every[used + 1], index=rows, **options)


def measure(
    reference: Path,
    variants: Path,
    genes: Path,
    *,
    gene: str,
    context: int,
    haplotypes: int,
    device: str,
    precision: str,
    batch_size: int,
    quick: bool,
    model: str = "enformer",
    timed: int = TIMED,
    narrow: bool = False,
) -> pd.DataFrame:
    """Measure a gene of a cohort's files, with everything about the run in the columns.

    timed: haplotypes of the slow ways. model: of `SUBJECTS`. quick: its reduced network in the
    place of the published one's sizes, with `narrow` (AlphaGenome) of half its widths; each has
    random weights, on which neither speed nor rounding depends.
    """
    from howfar.bench import alphagenome

    check_precision(model, precision, pick_device(device))
    reduced, published = QUICK, SIZES
    if model == "enformer":
        layout_of(128, context, None)
        named = ("a reduced Enformer (width 192, 3 layers)", "Enformer at its published size")
    else:
        check_context(model, context, alphagenome.UNIT, alphagenome.LONGEST)
        reduced = alphagenome.NARROW if narrow else alphagenome.QUICK
        published, width = alphagenome.PUBLISHED, reduced["channels"]
        named = (
            f"a reduced AlphaGenome (width {width}, 9 blocks)",
            "AlphaGenome at its published size",
        )
    chosen = next((g for g in read_genes(genes) if gene in (g.gene_id, g.name)), None)
    if chosen is None:
        raise HowfarError(
            str(genes),
            found=f"no gene {gene!r}",
            expected="an id or a name in the gene table",
            do="Correct --gene.",
        )
    with Reference(reference) as fasta, VariantFile(variants) as file:
        begin = time.perf_counter()
        windows = build_windows(fasta, file, chosen, context)
        case = case_of(
            windows,
            haplotypes,
            sizes=reduced if quick else published,
            device=device,
            precision=precision,
            batch_size=batch_size,
            model=model,
            timed=timed,
        )
        building = time.perf_counter() - begin
    table, around = run(case, rounds=1 if quick else 2)
    network = named[not quick]
    table["geuvadis_hours"] = GEUVADIS / table["per_s"] / 3600
    return table.assign(gene=gene, network=network, building_s=building, **around)


def tower_work(alleles: np.ndarray, positions: np.ndarray, context: int) -> float:
    """Count the tower's work for the haplotypes of `alleles`, in windows' worth, with halos.

    alleles: (variants, haplotypes), SNVs at `positions`, 0-based in the window. Two haplotypes
    share a stretch where they have the same alleles in it, so nothing needs to be run.
    """
    bins, total = context // 128, 0
    for cut in cuts(bins, BLOCK, 3):
        inside = (positions >= cut.left * 128) & (positions < cut.right * 128)
        patterns = np.unique(np.packbits(alleles[inside], axis=0), axis=1).shape[1]
        total += max(patterns, 1) * (cut.right - cut.left)
    return total / bins


def growth(counts: list[int], context: int = 196_608, seed: int = 1) -> pd.DataFrame:
    """Measure how work grows with the cohort: simulated Europeans, SNVs, one gene.

    Columns haplotypes, distinct (whole windows), tower_windows (the tower's work in windows'
    worth). The history is the demo world's; the same haplotypes are taken again, and more.
    """
    import msprime

    trees = msprime.sim_ancestry(
        samples={"EUR": max(counts) // 2},
        demography=demography(),
        sequence_length=context,
        recombination_rate=RECOMBINATION_RATE,
        random_seed=seed,
    )
    trees = msprime.sim_mutations(trees, rate=MUTATION_RATE, random_seed=seed)
    alleles = (trees.genotype_matrix() > 0).astype(np.uint8)
    positions = trees.tables.sites.position.astype(int)
    rows = []
    for n in counts:
        first = alleles[:, :n]
        distinct = np.unique(np.packbits(first, axis=0), axis=1).shape[1]
        rows.append((n, distinct, tower_work(first, positions, context)))
    return pd.DataFrame(rows, columns=["haplotypes", "distinct", "tower_windows"])
