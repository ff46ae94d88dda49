"""Made-up files in the shape of the tables of Rastogi et al. 2024.

Genes 0-3 are random_split, 4-7 yri_split, 8-11 unseen. Each gene has 20 common variants.
"""

from __future__ import annotations

import atexit
import functools
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.geuvadis_files import GENES, keys, make_geuvadis, read, write
from howfar.published import geuvadis_public
from howfar.published import rastogi2024_causal as causal
from howfar.published import rastogi2024_individuals as individuals
from howfar.published import rastogi2024_performance as performance
from howfar.published import rastogi2024_variants as variants
from howfar.published.rastogi2024_methods import CLASSES, METHODS

TESTED, COMMON = keys()[:8], 20
_REST = "0.0001_wd_0.001_rcprob_0.5_rsmax_3"


def make_rastogi(folder: Path, rng: np.random.Generator) -> None:
    """Every file that the study needs."""
    make_geuvadis(folder, rng)
    classes = dict(zip(keys(), np.repeat(list(CLASSES), 4), strict=True))
    table = pd.DataFrame({"gene": list(classes), "class": list(classes.values())})
    write(folder, individuals.CLASS_FILE, table.to_csv(index=False))
    for key in list(individuals.HERITABILITY)[1:]:
        lines = [f"./tmp/{gene} {rng.normal(0.1, 0.1):.4f} 0.1 0.1 " for gene in TESTED]
        write(folder, f"rastogi2024/heritability.{key}.tsv", "\n".join(lines) + "\n")
    whole = read(folder / individuals.BLUP.format(100, 1))
    for percent in performance.FRACTIONS[:-1]:
        for replicate in (1, 2, 3):
            frame = whole + rng.normal(size=whole.shape)
            write(folder, individuals.BLUP.format(percent, replicate), frame.to_csv())
    make_summaries(folder, rng)
    make_drivers(folder, rng)
    make_causal(folder, rng)
    assert set(individuals.PREDICTIONS.values()) >= {geuvadis_public.ENFORMER}


def _averages(rng: np.random.Generator, linear: bool) -> dict[str, float]:
    columns = [performance.column(c, kind) for c in CLASSES for kind in ("", "_abs")]
    values = dict(zip(columns, rng.uniform(0, 0.3, len(columns)), strict=True))
    return values | ({c: 0.0 for c in columns if "unseen" in c} if linear else {})


def make_summaries(folder: Path, rng: np.random.Generator) -> None:
    """Both versions of the summary (the same values) and BLUP by the people trained on."""
    rows = []
    for method in METHODS:
        tuned = method.run_id != "enformer" and method.kind == "network"
        names = [method.summary]
        if tuned:
            names = [f"{method.summary}_data_seed_{seed}_lr_{_REST}" for seed in (42, 7, 97)]
        if method.run_id == "pairwise_regression":
            endings = [f"_subsample_ratio_0.{i}" for i in (2, 4, 6, 8)] + ["_af_0.05", "_af_0.1"]
            names += [name + ending for name in names for ending in endings]
        counts = {"n_random_split": 200, "n_yri_split": 200, "n_unseen": 670}
        linear = method.kind != "network"
        rows += [{"Model": n} | counts | _averages(rng, linear) for n in names]
    for name in performance.SUMMARIES.values():
        write(folder, name, pd.DataFrame(rows).to_csv(index=False))
    scaling = [
        {"Model": "BLUP"} | _averages(rng, True) | {"Replicate": i, "Subsample Ratio": percent}
        for percent in performance.FRACTIONS
        for i in (1, 2, 3)
    ]
    write(folder, performance.SCALING, pd.DataFrame(scaling).to_csv(index=False))


def make_drivers(folder: Path, rng: np.random.Generator) -> None:
    """Drivers, footprints, unseen alleles and shares of unseen variants."""
    drivers, draws = [], []
    for method in (m for m in METHODS if m.driver):
        for gene in TESTED:
            for place in rng.choice(900, 2, replace=False):
                maf = round(rng.uniform(0, 0.5), 3)
                drivers.append((method.driver, gene, f"chr1:{place} A/G", maf, place))
        draws.append(pd.DataFrame({"model": method.driver, "enrichment": rng.uniform(1, 2, 1000)}))
    columns = ["model", "gene", "driver", "train_MAF", "TSS_dist"]
    write(folder, variants.DRIVERS, pd.DataFrame(drivers, columns=columns).to_csv(index=False))
    table = pd.concat(draws).rename_axis("bootstrap").reset_index()
    write(folder, variants.DNASE, table.to_csv(index=False))
    unseen = pd.DataFrame({"gene": np.repeat(TESTED, 5)})
    unseen["variant"] = [f"chr1:{i} A/G" for i in range(len(unseen))]
    unseen = unseen.assign(allele="G", test_af=rng.integers(1, 10, len(unseen)) / 30)
    write(folder, variants.UNSEEN, unseen.to_csv(index=False))
    share = "Percent of all variants only seen during testing"
    given = {"gene": keys(), "class": np.repeat(list(CLASSES), 4), share: rng.uniform(1, 9, GENES)}
    write(folder, variants.COUNTS, pd.DataFrame(given).to_csv(index=False))


def positions(gene: str) -> list[int]:
    """Of the gene's common variants."""
    return [10_000 * (keys().index(gene) + 1) + 10 * i for i in range(COMMON)]


def variant(gene: str, i: int) -> str:
    """Name of common variant `i` of the gene: reference A, alternative G."""
    return f"chr{1 + keys().index(gene) % 5}:{positions(gene)[i]} A/G"


def make_causal(folder: Path, rng: np.random.Generator) -> None:
    """Weights, effects, fine-mapped pairs (variant 3 is causal) and reporter assay."""
    with tarfile.open(folder / causal.WEIGHTS, "w:gz") as archive:
        for gene in TESTED:
            for name in ("top1", "lasso", "enet", "blup", "bslmm"):
                _add(archive, f"WEIGHTS/{gene}.{name}.weights.txt", _weights(gene, name, rng))
            _add(archive, f"WEIGHTS/{gene}.wgt.RDat", "binary")
    fine, assay = [], []
    for gene in TESTED:
        names = [variant(gene, i) for i in range(COMMON)]
        effects = pd.DataFrame({"ISM": rng.normal(size=COMMON)}, index=names)
        write(folder, causal.ISM.format(gene), effects.to_csv())
        for i, pip in ((3, 0.95), (4, 0.3), (5, 0.02), (6, 0.004)):
            fine.append((gene, names[i], pip, 0.2, 100 * i))
        for i, fdr in ((3, 0.1), (7, 0.2), (8, 0.9)):
            assay.append((names[i], gene, rng.normal(), fdr / 10, fdr))
    columns = ["our_gene_name", "hg19_variant", "variantPIP", "MAF", "TSS_dist"]
    write(folder, causal.MAGE, pd.DataFrame(fine, columns=columns).to_csv(sep="\t", index=False))
    columns = ["hg19_variant", "our_gene_name", "GM12878_normalized_variant_effect"]
    columns += ["GM12878_Skew_P", "GM12878_Skew_FDR"]
    write(folder, causal.MPRA, pd.DataFrame(assay, columns=columns).to_csv(index=False))


def _weights(gene: str, name: str, rng: np.random.Generator) -> str:
    """FUSION's text: alternative allele first; lasso has lines of NA, top1 a single line."""
    chosen = {"top1": [3], "lasso": range(2, 7), "enet": range(0, 9)}.get(name, range(COMMON))
    chrom = 1 + keys().index(gene) % 5
    lines = [f"snp_{chrom}_{positions(gene)[i]}\tG\tA\t{rng.normal(): .4f}" for i in chosen]
    return "\n".join(lines + (["NA\tNA\tNA\tNA"] if name == "lasso" else [])) + "\n"


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    archive.addfile(member, io.BytesIO(text.encode()))


@functools.cache
def made_view():
    """The figures' view of the study on made-up files, made once a test run."""
    from helpers.figure_views import write_numbers
    from howfar import figures, published
    from howfar.results import tables
    from howfar.study.reading import load_study

    folder = _folder()
    make_rastogi(folder / "sources", np.random.default_rng(3))
    frames = published.load_published(load_study("rastogi2024"), folder / "sources", verify=False)
    for name, frame in frames.items():
        tables.write(tables.path_of(folder, "rastogi2024", name), name, frame, {})
    write_numbers(folder, "rastogi2024")
    return figures.view("rastogi2024", [], folder, folder / "figures")


@functools.cache
def other_view():
    """A view of a study without any of these tables, made once a test run."""
    from helpers import synthetic
    from howfar import figures

    folder = _folder()
    synthetic.write(folder, "sasse2023")
    return figures.view("sasse2023", [], folder, folder / "figures")


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rastogi"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
