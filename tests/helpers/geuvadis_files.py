"""Made-up files in the shape of the tables of Huang et al. 2023 and of geuvadis_public."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.published import geuvadis_public, huang2023

GENES, PEOPLE = 12, 40


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@functools.cache
def keys() -> list[str]:
    """Names in the tables: symbols in lower case; the last gene has none and uses its id."""
    return [*(f"sym{i}" for i in range(GENES - 1)), f"ensg{GENES - 1:011d}"]


def make_huang(folder: Path, rng: np.random.Generator) -> None:
    rows = [
        f"ENSG{i:011d},{1 + i % 5},{10_000 * (i + 1)},{f'SYM{i}' if i < GENES - 1 else ''},+"
        for i in range(GENES)
    ]
    write(folder, huang2023.GENES, "\n".join(rows) + "\n")
    header, lines = ",GENE_ID,name,distance,minor_allele_freq,rvalue,log10pvalue", []
    for i, key in enumerate(keys()):
        given = f"ENSG{i:011d}.3,{key},{100.0 * i},0.2,-0.3,6.5" if i % 4 else f",{key},,,,"
        lines.append(f"{i},{given}")
    write(folder, huang2023.EQTLS, "\n".join([header, *lines]) + "\n")
    cortex = [f"ENSG{i:011d}\t{0.5 * i:.3f}" for i in range(0, GENES, 2)]
    write(folder, huang2023.CORTEX, "\n".join(["\tmean gene expression", *cortex]) + "\n")
    models = ["Xpresso", "Enformer", "Basenji2", "ExPecto"]
    frame = pd.DataFrame(rng.normal(size=(GENES, 4)), index=keys(), columns=models)
    frame["Enformer"] = np.exp(frame["Enformer"])
    write(folder, huang2023.PREDICTIONS, frame.rename_axis("gene").to_csv())


def people() -> list[str]:
    return [f"NA{i:05d}" for i in range(PEOPLE)]


def make_geuvadis(folder: Path, rng: np.random.Generator) -> None:
    """People 0-14 are YRI; 15 random test people per gene; gene 3's Enformer is constant."""
    make_huang(folder, rng)
    write(folder, huang2023.SAMPLES, "\n".join(people()) + "\n")
    level = rng.normal(size=(GENES, 1)) + rng.normal(size=(GENES, PEOPLE)).astype(np.float16)
    observed = pd.DataFrame(level, index=keys(), columns=people())
    random = np.zeros((GENES, PEOPLE), bool)
    for row in random:
        row[rng.choice(PEOPLE, 15, replace=False)] = True
    yoruba = np.tile(np.arange(PEOPLE) < 15, (GENES, 1))
    write(folder, huang2023.COUNTS[0], observed.where(random).to_csv())
    shuffled = observed.where(yoruba).iloc[::-1, ::-1]  # the order of rows and columns is free
    write(folder, huang2023.COUNTS[1], shuffled.to_csv())
    enformer = np.exp(observed * 0.5 + rng.normal(size=observed.shape))
    enformer.iloc[3] = 56.7
    write(folder, geuvadis_public.ENFORMER, enformer.iloc[:8, ::-1].to_csv())
    tested = np.where(np.arange(GENES)[:, None] < 4, random, yoruba)
    for source, *_ in geuvadis_public.LINEAR.values():
        linear = (observed + rng.normal(size=observed.shape)).where(tested).iloc[:8]
        write(folder, source, linear.to_csv())
    samples = pd.DataFrame({"sample": people(), "population": "Non-YRI"})
    samples.loc[:14, "population"] = "YRI"
    write(folder, geuvadis_public.SAMPLES, samples.sample(frac=1, random_state=1).to_csv(index=0))
    lines = [f"./tmp/{key} {0.1 * i - 0.1:.3f} 0.05 0.01 " for i, key in enumerate(keys()[:8])]
    write(folder, geuvadis_public.HERITABILITY, "\n".join(lines) + "\n")


def read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, index_col=0)


def joined(folder: Path, source: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and observations, genes by people, joined without the package."""
    first, second = (read(folder / c) for c in huang2023.COUNTS)
    observed = first.fillna(second.loc[first.index, first.columns])
    predicted = read(folder / source)
    return predicted, observed.loc[predicted.index, predicted.columns]
