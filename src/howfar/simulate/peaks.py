"""Peaks beside genes: accessibility in the people, a known function of the motifs.

A gene has one peak at its promoter and four at enhancers. With T the occupancy of the twelve
factors within `reach` bp of a peak's centre, a haplotype's accessibility is T / (1 + T / 6), and a
person's value is the log of the two haplotypes' mean plus 0.1; the environment adds normal noise.

- peaks.csv: gene_id (the peak's own name), name, chrom, tss (its centre, 1-based), strand (+), as a
  table of genes; gene (whose), reach, h2_broad, sd_noise.
- peaks_varying.csv: the rows whose accessibility differs between people.
- peaks.bed.gz: measured values, log units, a column for each person, the centre as start (0-based).
- truth_peaks.parquet: gene_id, sample, value without noise.

So a table and the measured values are a cohort whose rows are peaks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as arrow

from howfar.core import sealed
from howfar.simulate import files

ENHANCERS = 4
PROMOTER_REACH, ENHANCER_REACH = 320, 200  # bp from a centre to a site's middle
REACH = (PROMOTER_REACH, *[ENHANCER_REACH] * ENHANCERS)
SATURATION = 6.0  # total occupancy at which accessibility is half of what it would be without
_NO_VARIATION_SD = 0.5  # environmental SD of a row without genetic variance, log units


def accessibility(total: np.ndarray) -> np.ndarray:
    """Accessibility of a place from the occupancy of all twelve factors around it."""
    return total / (1 + total / SATURATION)


def of_people(totals: np.ndarray) -> np.ndarray:
    """Values of people (people, peaks), log units, of haplotypes' T (people, 2, peaks)."""
    return np.log(accessibility(totals).mean(axis=1) + 0.1)


def noise_variance(
    rng: np.random.Generator, values: np.ndarray, least: float, most: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Genetic variance, whether there is any, and the noise's for h2 ~ U(least, most).

    values: (rows, people), without noise; rows are genes or peaks.
    """
    genetic = values.var(axis=1)
    target = rng.uniform(least, most, len(values))
    varies = genetic > 1e-12
    return genetic, varies, np.where(varies, genetic * (1 - target) / target, _NO_VARIATION_SD**2)


def rows_of(gene: str, chrom: str, tss: int, centres: np.ndarray) -> list[dict]:
    """The rows of one gene's peaks; centres: bp from its TSS (1-based), the promoter's first."""
    return [
        {"gene_id": name, "name": name, "chrom": chrom, "tss": tss + int(centre), "strand": "+"}
        | {"gene": gene, "reach": reach}
        for name, centre, reach in zip(
            [f"{gene}_promoter", *(f"{gene}_enhancer{k + 1}" for k in range(len(centres) - 1))],
            centres,
            REACH,
            strict=False,
        )
    ]


def write(
    rng: np.random.Generator,
    folder: Path,
    rows: list[dict],
    values: np.ndarray,
    samples: pd.DataFrame,
    h2: tuple[float, float],
) -> None:
    """Write the three files of peaks; values: (peaks, people) without noise, h2 ~ U of `h2`."""
    table = pd.DataFrame(rows)
    genetic, varies, noise = noise_variance(rng, values, *h2)
    broad = np.where(varies, genetic, 0) / (genetic + noise)
    table = table.assign(h2_broad=broad, sd_noise=np.sqrt(noise))
    files.write_csv(folder / "peaks.csv", table)
    files.write_csv(folder / "peaks_varying.csv", table[varies])
    write_values(folder / "truth_peaks.parquet", table["gene_id"], samples, value=values)
    observed = values + np.sqrt(noise)[:, None] * rng.normal(size=values.shape)
    files.write_bed(folder / "peaks.bed.gz", table, samples, observed)


def write_values(path: Path, names: pd.Series, samples: pd.DataFrame, **values: np.ndarray) -> None:
    """Write a long table: gene_id, sample, and a column for each (rows, people) array."""
    keys = {
        "gene_id": np.repeat(names.to_numpy(), len(samples)),
        "sample": np.tile(samples["sample"].to_numpy(), len(names)),
    }
    columns = {name: array.ravel() for name, array in values.items()}
    sealed.write_parquet(path, arrow.table(keys | columns))
