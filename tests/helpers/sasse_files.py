"""Made-up files in the shape of the tables of Sasse et al. 2023."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd

from howfar.published import sasse2023
from howfar.published import sasse2023_attribution as attribution

GENES = 12


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def make_sasse(folder: Path, rng: np.random.Generator) -> None:
    ids = [f"ENSG{i:011d}" for i in range(GENES)]
    r = np.round(rng.uniform(-0.6, 0.6, (GENES, 3)), 3)
    statistics = pd.DataFrame(
        {
            "# gene_name": ids,
            "gene_id": ids,
            "MeanObs": rng.uniform(2, 9, GENES),
            "StdObs": rng.uniform(0.1, 1, GENES),
            "PearsonRfineTuned": r[:, 0],
            "PearsonRCAGE,adult,brain": r[:, 1],
            "RmeanRandom": 0.05,
            "Rstdrandom": np.linspace(0.02, 0.1, GENES),
            "PrediXcanR": r[:, 2],
            "SuSieCausalBrainhg38": ["chr1_1500_A_C_b38", *["NA"] * (GENES - 1)],
            "SusieCausalCortexhg38": [*["NA"] * (GENES - 1), "chr1_11000_A_C_b38"],
        }
    )
    statistics.loc[2, "PearsonRCAGE,adult,brain"] = np.nan
    statistics.loc[5:, "PrediXcanR"] = np.nan
    write(folder, sasse2023.STATISTICS, statistics.to_csv(sep="\t", index=False, na_rep="NaN"))
    drivers = pd.DataFrame(
        {
            "gene_id": [ids[0], ids[0], ids[1]],
            "chr_hg38": 1,
            "LociDriverhg38": [1500, 900, 7000],
            "DisttoTSS": [500, -100, -20],
            "ISM": [0.1, -0.2, 0.3],
            "SumISMPearsonRtoCAGE,adult,brain": [0.9, 0.9, 0.1],
            "IncreasedFractionofSumPearonRbyrankedDrivertoCAGE,adult,brain": [0.2, 0.7, 1.0],
            "NIndividualsWithSNV": [10, 20, 30],
            "IsMainDriver": [False, True, True],
            "eQTL": [0.5, 0.5, -0.1],
            "MaxISM+-1000TSS": [4.0, 4.0, 2.0],
        }
    )
    write(folder, sasse2023.DRIVERS, drivers.to_csv(sep="\t", index=False))
    positions = pd.DataFrame(
        {
            "gene_name": [f"S{i}" for i in range(GENES + 3)],
            "gene_id": [*ids, "ENSG90", "ENSG91", "ENSG92"],
            "chr_hg38": "1",
            "strand_hg38": "-",
            "tss_hg38": np.arange(GENES + 3) * 1000 + 1000,
        }
    )
    write(folder, sasse2023.POSITIONS, positions.to_csv(sep="\t", index=False))
    names = ["mean gene expression", "Enf prediction, Reference, fine-tuned"]
    values = pd.DataFrame(rng.normal(size=(5, 2)), index=[*ids[:4], "ENSG90"], columns=names)
    write(folder, sasse2023.REFERENCE, values.to_csv(sep="\t"))
    np.save(folder / sasse2023.TEST_GENES, np.array([ids[0], "ENSG90", "ENSG90"]))
    _attributions(folder, [(ids[0], 900), (ids[1], 7000)], rng)


def _attributions(folder: Path, mains: list[tuple[str, int]], rng: np.random.Generator) -> None:
    """Profiles of two main drivers, the table made from them, and the windows of three drivers."""
    lines, largest = [f"gene_id MainDriverLoci {' '.join(COLUMNS)}"], [4.0, 2.0]
    with tarfile.open(folder / attribution.PROFILES, "w") as tar:
        for (gene, at), top in zip(mains, largest, strict=True):
            centre = []
            for side in ("from_ref", "from_main_var"):
                change = rng.normal(size=(41, 4))
                change[np.arange(41), rng.integers(0, 4, 41)] = 0
                centre.append(-change[20].sum() / 3 / top)
                _add(tar, f"{side}/{gene}_{at}_attribution.npz", attribution=change)
            lines.append(f"{gene} {at} {centre[0]} {centre[1]}")
    write(folder, attribution.RELATIVE, "\n".join(lines) + "\n")
    names, at = [mains[0][0], *(gene for gene, _ in mains)], ["1500", *(str(p) for _, p in mains)]
    letters = np.eye(4, dtype=int)[rng.integers(0, 4, (3, 13))]
    np.savez(folder / attribution.WINDOWS, seqs=letters, genes=np.array(names), loci=np.array(at))


COLUMNS = ["MeanISMatLoci_in_refseq/MaxISM", "MeanISMatLoci_in_varseq/MaxISM"]


def _add(tar: tarfile.TarFile, name: str, **arrays: np.ndarray) -> None:
    content = io.BytesIO()
    np.savez(content, **arrays)
    info = tarfile.TarInfo(name)
    info.size = len(content.getvalue())
    content.seek(0)
    tar.addfile(info, content)
