"""What a training step on people of one gene costs with a shared tower, and that it is the same.

A step is forward, loss and backward of all people at once, batch norm frozen, without dropout.
The plain way runs in chunks of people, whose gradients add up: its seconds are those of a chunk,
scaled to all people, its memory that of two sizes of chunk, continued in a line. Gradients are
compared with the plain ones in the same precision, where plain passes of the same people in other
chunks show what the order of sums alone changes, and in double precision.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.bench.inference import QUICK, Peak, lively, operations
from howfar.core.errors import HowfarError
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows
from howfar.models.base import encoding_table
from howfar.models.engine.enformer_network import tower
from howfar.models.engine.memory import keep_freed
from howfar.models.engine.network import pick_device
from howfar.models.engine.precision import arithmetic, check_precision
from howfar.models.zoo.enformer import SIZES, layout_of
from howfar.training import heads, losses, schedules
from howfar.training.network import PersonalNetwork, embeddings
from howfar.training.shared_tower import lay_stretches

PLAIN, SHARED, ONCE = "plain", "shared tower", "shared tower, equal windows once"
BIN, HALO = 128, 3  # bp; bins on either side on which a bin of Enformer's tower depends
_NO_DROPOUT = {"dropout_rate": 0.0, "attn_dropout": 0.0, "pos_dropout": 0.0}
#: A parameter whose gradient is below this share of all is 0 but for rounding (an offset that
#: softmax takes away, say); its error is a share of this.
_ZERO = 1e-6
#: Columns that say what is gained against the plain way, and of which column.
_AGAINST = {
    "speedup": "seconds",
    "cpu_speedup": "cpu_s",
    "memory_less": "peak_gb",
    "ceiling": "tflop",
}


@dataclass(frozen=True)
class Case:
    """What is measured: the network's sizes, windows uint8 (distinct, bases), each person's two
    rows of them (people, 2), the device, the precision, and how many people a plain pass takes.
    """

    sizes: dict[str, Any]
    windows: np.ndarray
    index: np.ndarray
    device: str
    precision: str = "float32"
    chunk: int = 8
    seed: int = 1


class Step:
    """A random network, people with measurements drawn at random, and ways to their gradients.

    Each way adds gradients to the parameters; `gradients` takes them away.
    """

    def __init__(self, case: Case) -> None:
        """Make the network, with a head of attention, and lay the stretches."""
        import torch

        network = lively(case.sizes | _NO_DROPOUT, case.windows.shape[1], case.seed)
        head = heads.AttentionHead(2 * case.sizes["dim"])
        self.model = PersonalNetwork(network, head).to(case.device).train()
        schedules.freeze_batch_norm(self.model)
        self.stretches = lay_stretches(case.windows, BIN, HALO)
        self.windows = torch.from_numpy(case.windows).to(case.device)
        self.index = torch.from_numpy(case.index.astype(np.int64)).to(case.device)
        self._observed = torch.randn(len(case.index)).to(case.device)
        self._table = torch.from_numpy(encoding_table()).to(case.device)

    def _encode(self, bases: Any) -> Any:
        return self._table[bases.long()]

    def _values(self, rows: Any) -> Any:
        """Predict windows by themselves: (n,) rows of the windows to (n,)."""
        return self.model.head(embeddings(self.model.base, self._encode(self.windows[rows])))

    def every(self) -> Any:
        """Rows of all distinct windows."""
        import torch

        return torch.arange(len(self.windows), device=self.windows.device)

    def _loss(self, people: Any) -> Any:
        import torch

        people = people.to(torch.promote_types(people.dtype, torch.float32))  # as in training
        return losses.variformer(people, self._observed.to(people.dtype))

    def asked(
        self, rows: Any, people_of: Callable[[Any], Any], size: int
    ) -> tuple[np.ndarray, Any]:
        """Return predictions of people, and the loss's derivative by each window's value (n,).

        people_of: values of these windows to those of people.
        """
        import torch

        with torch.no_grad():
            values = torch.cat([self._values(part) for part in rows.split(size)])
        values = values.to(self._table.dtype).requires_grad_()
        people = people_of(values)
        self._loss(people).backward()
        return people.detach().cpu().numpy(), values.grad

    def passes(self, rows: Any, asked: Any, size: int) -> None:
        """Run windows forward and backward, `size` at once."""
        for part, weight in zip(rows.split(size), asked.split(size), strict=True):
            (self._values(part) * weight).sum().backward()

    def shared(self, *, once: bool = False) -> np.ndarray:
        """Run the tower once for each distinct stretch; return predictions of people.

        once: equal windows pass the transformer once, too, which its dropout would forbid.
        """
        network, head = self.model.base, self.model.head
        x = self.stretches.features(partial(tower, network), self._encode, self.windows)
        x = x if once else x[self.index.flatten()]
        values = head(network.final_pointwise(network.transformer(x)))
        people = values[self.index].mean(1) if once else heads.people_of(values)
        self._loss(people).backward()
        return people.detach().cpu().float().numpy()

    def exact(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Return predictions and gradients of passes of one window, each distinct one by itself."""
        rows = self.every()
        people, asked = self.asked(rows, lambda values: values[self.index].mean(1), 1)
        self.passes(rows, asked, 1)
        return people, self.gradients()

    @contextmanager
    def double(self) -> Iterator[None]:
        """Compute in double precision inside."""
        kept, self._table = self._table, self._table.double()
        self.model.double()
        yield
        self._table = kept
        self.model.float()

    def gradients(self) -> dict[str, Any]:
        """Take the parameters' gradients away, as float64 on the CPU."""
        named = {n: p for n, p in self.model.named_parameters() if p.grad is not None}
        found = {n: p.grad.detach().double().cpu() for n, p in named.items()}
        self.model.zero_grad(set_to_none=True)
        return found


def errors(found: dict[str, Any], expected: dict[str, Any]) -> tuple[float, float]:
    """Return the relative error (norm of the difference) of all gradients, and the largest of any.

    inf where a parameter has a gradient on one side alone.
    """
    if set(found) != set(expected):
        return np.inf, np.inf
    whole = float(sum((g**2).sum() for g in expected.values())) ** 0.5
    apart = {n: float((found[n] - g).norm()) for n, g in expected.items()}
    each = [apart[n] / max(float(g.norm()), _ZERO * whole) for n, g in expected.items()]
    return float(np.linalg.norm(list(apart.values()))) / whole, max(each)


def run(case: Case, say: Callable[[str], None] = lambda text: None) -> pd.DataFrame:
    """Measure a row for each way: plain, and the shared tower's two.

    seconds, cpu_s: of a step of all people; peak_gb: memory beyond what was taken before; speedup,
    memory_less: against plain; ceiling: the same by operations; tower: its work in windows' worth;
    error, error_largest: of gradients (`errors`) against plain passes over every distinct window;
    error_sd: of predictions, over their SD between people. Plain's errors are those of plain
    passes of all people in half as large chunks: the least that can be asked of the others.
    error_double is on half of a chunk's people, in double precision.
    """
    step, half = Step(case), max(case.chunk // 2, 1)
    people, rows, size = len(case.index), step.index.flatten(), 2 * case.chunk
    every = step.every()

    def whole(at_once: int) -> tuple[Any, Any, Any]:
        """Pass every distinct window; return predictions, the loss's derivatives, gradients."""
        out, asked = step.asked(every, lambda values: values[step.index].mean(1), at_once)
        step.passes(every, asked, at_once)
        return out, asked, step.gradients()

    with arithmetic(case.precision, case.device):
        predicted, asked, expected = whole(size)
        again, _, other = whole(size // 2)
        say("plain gradients")
        of_rows = asked[rows] / rows.bincount()[rows]

        def plain(n: int, at_once: int) -> Callable[[], None]:
            """Run the first `n` people, so many at once."""
            return lambda: step.passes(rows[: 2 * n], of_rows[: 2 * n], 2 * at_once)

        few, most = (_timed(plain(n, n), step) for n in (half, 2 * half))
        found = {PLAIN: most} | {
            name: _timed(partial(step.shared, once=once), step)
            for name, once in ((SHARED, False), (ONCE, True))
        }
    say("timed")
    scale = people / (2 * half)
    more = (most["peak_gb"] - few["peak_gb"]) / half
    apart = {n: errors(found[n]["gradients"], expected) for n in (SHARED, ONCE)}
    apart[PLAIN] = errors(other, expected)
    found[PLAIN] = {
        "out": again,
        "seconds": scale * most["seconds"],
        "cpu_s": scale * most["cpu_s"],
        "peak_gb": most["peak_gb"] + more * (people - 2 * half),
    }
    double = _in_double(case, half)
    flop = operations(case.sizes | {"output_heads": {"human": 1}}, case.windows.shape[1])
    table = []
    for name, one in found.items():
        tower_windows = 2 * people if name == PLAIN else step.stretches.work
        passed = len(case.windows) if name == ONCE else 2 * people
        after = passed * (flop["whole"] - flop["tower"])
        table.append(
            {
                "way": name,
                "precision": case.precision,
                "timed": 2 * half if name == PLAIN else people,
                "tower": tower_windows,
                "tflop": 3 * (tower_windows * flop["tower"] + after) / 1e12,
                **{k: one[k] for k in ("seconds", "cpu_s", "peak_gb")},
                "people_per_s": people / one["seconds"],
                "error": apart[name][0],
                "error_largest": apart[name][1],
                "error_double": double.get(name, np.nan),
                "error_sd": float(np.abs(one["out"] - predicted).max() / predicted.std()),
            }
        )
    frame = pd.DataFrame(table)
    for name, column in _AGAINST.items():
        frame[name] = frame[column].iloc[0] / frame[column]
    return frame


def _in_double(case: Case, people: int) -> dict[str, float]:
    """Return the largest error of the shared tower's ways on the first people."""
    used, index = np.unique(case.index[:people], return_inverse=True)
    step = Step(replace(case, windows=case.windows[used], index=index.reshape(-1, 2)))
    with step.double():
        exact = step.exact()[1]
        return {
            name: errors((step.shared(once=once), step.gradients())[1], exact)[1]
            for name, once in ((SHARED, False), (ONCE, True))
        }


def _timed(way: Callable[[], Any], step: Step) -> dict[str, Any]:
    """Run a way, and return what it gave, its gradients, seconds and memory."""
    import torch

    with Peak() as peak:
        begin, cpu = time.perf_counter(), time.process_time()
        out = way()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    found = {"out": out, "seconds": seconds, "cpu_s": cpu_s, "peak_gb": peak.bytes / 1e9}
    return found | {"gradients": step.gradients()}


def measure(
    reference: Path,
    variants: Path,
    genes: Path,
    *,
    gene: str,
    context: int,
    people: int,
    device: str,
    precision: str,
    chunk: int,
    quick: bool,
    say: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Measure a gene of a cohort's files, with SNVs alone and with all alleles.

    quick: the reduced network of `bench.inference.QUICK` in the place of the published sizes;
    either has random weights, on which neither speed nor rounding depends.
    """
    import torch

    keep_freed()  # both ways profit
    device = pick_device(device)
    check_precision("enformer", precision, device)
    layout_of(BIN, context, None)
    chosen = next((g for g in read_genes(genes) if gene in (g.gene_id, g.name)), None)
    if chosen is None:
        raise HowfarError(
            str(genes),
            found=f"no gene {gene!r}",
            expected="an id or a name in the gene table",
            do="Correct --gene.",
        )
    frames = []
    with Reference(reference) as fasta, VariantFile(variants) as file:
        for alleles in ("snv", "all"):
            found = build_windows(
                fasta, file, chosen, context, samples=file.samples[:people], alleles=alleles
            )
            sizes = QUICK if quick else SIZES
            case = Case(sizes, found.sequences, found.index, device, precision, chunk)
            frames.append(
                run(case, say).assign(alleles=alleles, people=len(found.index), distinct=len(found))
            )
    cuda = device.startswith("cuda")
    return pd.concat(frames, ignore_index=True).assign(
        gene=gene,
        context=context,
        network="a reduced Enformer (width 192, 3 layers)"
        if quick
        else "Enformer at its published size",
        device=torch.cuda.get_device_name() if cuda else f"{os.cpu_count()} cores",
        torch=torch.__version__,
        date=time.strftime("%Y-%m-%d"),
    )
