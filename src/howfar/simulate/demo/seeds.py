"""The demo world over several seeds: across genes, across people, beside simple baselines."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from howfar import stats
from howfar.cohort.expression import read_expression
from howfar.core import sealed
from howfar.eqtl.lead import lead_snp_prediction
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.reference import Reference
from howfar.genome.windows import Windows, build_windows
from howfar.models.registry import SequenceModel, load_model
from howfar.prediction.transform import reference_prediction, transform
from howfar.simulate.demo import genome, train, world

STEPS = ("sum_bins", "mean_tracks", "mean_haplotypes", "log")  # as the study file says
KMER_REACH = 400  # bp either side of the TSS that the ridges read; 320 carry the promoter


def report(
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    out_csv: str | Path = "demo_seeds.csv",
    *,
    people: int = 300,
    genes: int = 240,
    recipe: train.Recipe | None = None,
    threads: int = 2,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Simulate, train and score the demo world for each seed; write one row per seed.

    Columns: r across genes (reference prediction and mean observed expression) of the network
    on training and held-out genes, of ridges on GC content and on k-mers beside it, with 95 %
    Fisher intervals; mean r across people over genes, of the model, the lead SNP (out of fold)
    and the true genetic value; the share of genes where the model's r is negative; counts and
    seconds. A seed that is done is in the file when the next one starts.
    """
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            size = {"people": people, "genes": genes}
            training = {"recipe": recipe, "threads": threads, "say": say}
            rows.append(_one_seed(Path(folder), seed, size, training))
        table = pd.DataFrame(rows)
        table.to_csv(out_csv, index=False, float_format="%.4f", lineterminator="\n")
        say(table.iloc[-1].to_string())
    return table


def _one_seed(folder: Path, seed: int, size: dict, training: dict) -> dict:
    clock = [time.perf_counter()]
    world.simulate(folder / "world", seed=seed, **size)
    clock.append(time.perf_counter())
    train.train(folder / "world", folder / "weights", seed=seed, **training)
    clock.append(time.perf_counter())
    row = {"date": datetime.now(UTC).date().isoformat(), "seed": seed}
    row |= score(folder / "world", folder / "weights")
    clock.append(time.perf_counter())
    parts = zip(("simulate", "train", "score"), np.diff(clock), strict=True)
    return row | size | {f"seconds_{k}": float(v) for k, v in parts}


def score(world_folder: str | Path, weights: str | Path) -> dict[str, float]:
    """All numbers of one trained world; see `report`."""
    folder = Path(world_folder)
    reference, variants = (
        Reference(folder / "reference.fa"),
        VariantFile(folder / "variants.vcf.gz"),
    )
    model = load_model("demo-enformer", weights)
    observed = read_expression(folder / "expression.bed.gz").values
    truth = sealed.read_own_parquet(folder / "truth_values.parquet")
    truth = truth.pivot(index="gene_id", columns="sample", values="value_a")
    predicted, across = {}, []
    for gene in read_genes(folder / "genes.csv"):
        windows = build_windows(reference, variants, gene, model.layout.context, alleles="all")
        level, people = predict_gene(model, windows, gene.strand)
        predicted[gene.gene_id] = level
        y = observed.loc[gene.gene_id, list(windows.samples)].to_numpy(float)
        value = truth.loc[gene.gene_id, list(windows.samples)].to_numpy(float)
        dosages, _ = variants.dosages(gene.window(model.layout.context), reference)
        lead, _ = lead_snp_prediction(dosages, y)
        across.append((_r(people, y), _r(lead, y), _r(value, y)))
    return _across_genes(folder, pd.Series(predicted), observed.mean(axis=1)) | _people(across)


def predict_gene(model: SequenceModel, windows: Windows, strand: str) -> tuple[float, np.ndarray]:
    """Log CAGE of cell type A in centre3: of the reference, and per person (haplotype mean)."""
    middle = model.tss_bin(strand)
    tracks = model.track_indices(["CAGE:cell type A"])
    both = np.vstack([windows.reference[None], windows.sequences])
    values = model.predict(both, [middle - 1, middle, middle + 1], tracks)
    return reference_prediction(values, STEPS), transform(values[windows.index + 1], STEPS)


def _r(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson r; NaN where one of them doesn't vary or x is not predicted for everybody."""
    varied = np.isfinite(x).all() and np.ptp(x) > 0 and np.ptp(y) > 0
    return float(np.corrcoef(x, y)[0, 1]) if varied else np.nan


def _people(across: list[tuple[float, float, float]]) -> dict[str, float]:
    """Means over genes of the r across people; the lead SNP's constant predictions left out."""
    model, lead, truth = np.array(across).T
    return {
        "people_model": np.nanmean(model),
        "people_share_negative": np.nanmean(np.where(np.isnan(model), np.nan, model < 0)),
        "people_lead_snp": np.nanmean(lead),
        "people_truth": np.nanmean(truth),
        "people_genes": int(np.isfinite(model).sum()),
    }


def _across_genes(folder: Path, predicted: pd.Series, observed: pd.Series) -> dict[str, float]:
    """r across genes of the network, and of the ridges on the held-out genes."""
    w = train.read_world(folder)
    genes = w.genes.set_index("gene_id")
    held = genes.index[genes["split"] != "train"]
    seen = genes.index[genes["split"] == "train"]
    out = {"genes_train": len(seen), "genes_held_out": len(held)}
    out["network_train"] = _r(predicted[seen], observed[seen])
    for name, values in ({"network": predicted} | ridges(w)).items():
        r = _r(values[held], observed[held])
        low, high = stats.fisher_interval(r, len(held))
        out |= {f"{name}_held_out": r, f"{name}_low": float(low), f"{name}_high": float(high)}
    return out


# --- baselines that know no motif ----------------------------------------------------------------


def ridges(w: train.World) -> dict[str, pd.Series]:
    """Log expression of every gene by ridges on GC content and on k-mers (k up to 6).

    They learn from the CAGE of every promoter on the training contigs, listed or not, as the
    network does; ``ridge_kmers_genes`` from the listed genes alone. Penalties by leave-one-out.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    promoters = w.promoters
    windows = genome.windows_at(w.contigs, promoters, 2 * KMER_REACH)
    train_rows = np.array([genome.split_of(chrom) == "train" for chrom in promoters["chrom"]])
    listed = (promoters["gene_id"] != "").to_numpy()
    gc = np.isin(windows, [ord("G"), ord("C")])
    middle = slice(KMER_REACH - 200, KMER_REACH + 200)
    counts = [kmers(windows, k) for k in range(1, 7)]
    features = {
        "ridge_gc": np.column_stack([gc.mean(axis=1), gc[:, middle].mean(axis=1)]),
        "ridge_kmers": np.hstack([gc.mean(axis=1)[:, None], *counts]),
    }
    features["ridge_kmers_genes"] = features["ridge_kmers"]
    out = {}
    for name, x in features.items():
        rows = train_rows & listed if name.endswith("genes") else train_rows
        fit = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 6, 17)))
        fit.fit(x[rows], promoters["log_a"][rows])
        out[name] = pd.Series(fit.predict(x[listed]), promoters["gene_id"][listed])
    return out


def kmers(windows: np.ndarray, k: int) -> np.ndarray:
    """Counts of each k-mer and its reverse complement together: float64 (n, distinct k-mers).

    windows: uint8 ASCII (n, length); k-mers with N are not counted.
    """
    words = ["".join(word) for word in product("ACGT", repeat=k)]
    flip = str.maketrans("ACGT", "TGCA")
    kept = sorted({min(word, word.translate(flip)[::-1]) for word in words})
    column = {word: i for i, word in enumerate(kept)}
    merge = np.array([column[min(word, word.translate(flip)[::-1])] for word in words])
    codes = np.searchsorted(np.frombuffer(b"ACGT", np.uint8), windows)
    known = np.isin(windows, np.frombuffer(b"ACGT", np.uint8))
    size = windows.shape[1] - k + 1
    number, valid = np.zeros((len(windows), size), np.int64), np.ones((len(windows), size), bool)
    for j in range(k):
        number = number * 4 + np.where(known, codes, 0)[:, j : j + size]
        valid &= known[:, j : j + size]
    out = np.zeros((len(windows), len(kept)))
    row = np.broadcast_to(np.arange(len(windows))[:, None], number.shape)
    np.add.at(out, (row[valid], merge[number[valid]]), 1)
    return out
