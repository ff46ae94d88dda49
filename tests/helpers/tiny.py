"""A tiny study: two genes and four people on a contig of A, checked by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pysam

from howfar.models import base
from howfar.study.schema import Study

CONTEXT, BIN = 64, 8


SAMPLES = ["P1", "P2", "P3", "P4"]


GENES = [("g1", "1", 101, "+"), ("g2", "1", 201, "-")]


# pos, ref, alt, calls of P1..P4
RECORDS = [
    (95, "A", "G", "0|1 1|1 0|0 0|0"),
    (103, "A", "C", "0|0 0|1 0|0 0|0"),
    (201, "A", "G", "1|1 0|0 0|0 0|1"),
]


EXPRESSION = {"g1": [1.0, 2.0, 0.5, 0.1], "g2": [3.0, 1.0, 1.5, 2.5]}


class CountLetters(base.SequenceModel):
    """Track 0: G per bin; track 1: C per bin. `seen` counts the windows predicted."""

    name, units, weights_sha256 = "count", "letters per bin", "0" * 64
    layout = base.Layout(CONTEXT, BIN, CONTEXT // BIN)
    tracks = pd.DataFrame({"description": ["G", "C"]})
    windows_at_once = 4
    seen = 0

    def predict(self, windows, bins, tracks):
        self.seen += len(windows)
        letters = np.stack([windows == ord("G"), windows == ord("C")], axis=-1)
        per_bin = letters.reshape(len(windows), -1, BIN, 2).sum(2)
        return per_bin[:, list(bins)][:, :, list(tracks)].astype(np.float32)


def count_letters(weights, device, **options) -> CountLetters:
    """The loader that a study file would name."""
    return CountLetters()


def _write_vcf(path: Path) -> None:
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1,length=400>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join([*fixed, *SAMPLES]),
    ]
    for pos, ref, alt, calls in RECORDS:
        lines.append("\t".join(["1", str(pos), ".", ref, alt, *"...", "GT", *calls.split()]))
    path.write_text("\n".join(lines) + "\n")
    pysam.tabix_compress(str(path), f"{path}.gz", force=True)
    pysam.tabix_index(f"{path}.gz", preset="vcf", force=True)


def make_study(folder: Path) -> Study:
    """The tiny study: files in `folder`, one run `g` of the model that counts G."""
    (folder / "ref.fa").write_text(">1\n" + "A" * 400 + "\n")
    rows = ["gene_id,name,chrom,tss,strand"] + [f"{i},{i},{c},{t},{s}" for i, c, t, s in GENES]
    (folder / "genes.csv").write_text("\n".join(rows) + "\n")
    expression = pd.DataFrame.from_dict(EXPRESSION, orient="index", columns=SAMPLES)
    expression.rename_axis("gene_id").to_csv(folder / "expression.csv")
    people = pd.DataFrame({"sample": SAMPLES, "population": ["X", "X", "Y", "Y"]})
    people.to_csv(folder / "samples.csv", index=False)
    _write_vcf(folder / "v.vcf")
    names = {
        "reference": "ref.fa",
        "variants": "v.vcf.gz",
        "genes": "genes.csv",
        "expression": "expression.csv",
        "samples": "samples.csv",
    }
    return Study.model_validate(
        {
            "name": "tiny",
            "title": "Tiny",
            "min_people": 1,
            "reality": {"genotypes": "made up", "expression": "made up", "weights": "none"},
            "cohort": {role: str(folder / name) for role, name in names.items()}
            | {"alleles": "all", "log_base": None},
            "runs": [
                {
                    "id": "g",
                    "label": "G",
                    "model": "helpers.tiny:count_letters",
                    "tracks": ["G"],
                    "bins": "centre3",
                }
                | {"batch_size": 1}  # so small that no genes share batches
            ],
            "evaluation": {"null_draws": 100, "bootstrap": 100, "folds": 2, "min_maf": 0.1},
        }
    )
