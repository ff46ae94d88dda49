"""The small made-up cohort that the catalogue of inputs varies."""

from __future__ import annotations

import functools
import gzip
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import yaml

from howfar.models.base import Layout, SequenceModel

_FIXED = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
_LENGTH, _LINE = 4_000, 60


class LetterCounts(SequenceModel):
    """Counts letters per bin: enough of a model to try inputs with, and none of biology."""

    name, units, weights_sha256 = "letters", "letters per bin", "0" * 64
    layout = Layout(context=256, bin_size=32, n_bins=8)
    tracks = pd.DataFrame({"description": ["letters G", "letters C"]})

    def __init__(self, broken: bool = False) -> None:
        """broken: return values that are not finite, as damaged weights do."""
        self.broken = broken

    def predict(self, windows, bins, tracks):
        """Counts of G and C, float32 (n, bins, tracks)."""
        letters = np.stack([windows == ord("G"), windows == ord("C")], axis=-1)
        binned = letters.reshape(len(windows), self.layout.n_bins, self.layout.bin_size, 2)
        counts = binned.sum(axis=2)[:, list(bins)][:, :, list(tracks)].astype(np.float32)
        return counts * np.nan if self.broken else counts


def letter_counts(weights, device, batch_size: int = 32, **options) -> LetterCounts:
    """The loader of `LetterCounts`; weights and device play no part."""
    return LetterCounts(**options)


class Files:
    """The cohort's files in a folder, with short ways to change them and to name commands."""

    PEOPLE = ("P1", "P2", "P3", "P4", "P5", "P6")
    GENES = (
        ("ENSG00000000001.4", "ONE", 1001, "+"),
        ("ENSG00000000002.1", "TWO", 2001, "-"),
        ("ENSG00000000003.7", "THREE", 3001, "+"),
    )
    PLANTED: frozenset[str] = frozenset({".runs.parquet.999999.part"})

    def __init__(self, folder: Path) -> None:
        """The files of `folder`, see `write_base`.

        `room`: bytes that a file may have while the last command runs, as on a full disk.
        """
        self.folder, self.room = folder, None

    def put(self, name: str, text: str | bytes) -> Path:
        """Write a file; text is compressed where the name ends in .gz."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode() if isinstance(text, str) else text
        packed = isinstance(text, str) and name.endswith(".gz")
        path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
        return path

    def change(self, name: str, old: str, new: str, count: int = 1) -> None:
        """Replace what the regular expression `old` matches in a text file, the first time."""
        path = self.folder / name
        text, done = re.subn(old, new, path.read_text(), count=count, flags=re.MULTILINE)
        assert done, f"{name} has no {old!r}"
        path.write_text(text)

    def cut(self, name: str, share: float) -> None:
        """Keep only the first part of a file, by bytes."""
        data = (self.folder / name).read_bytes()
        (self.folder / name).write_bytes(data[: int(len(data) * share)])

    def vcf(self, edit: Callable[[str], str] | None = None, index: bool = True) -> None:
        """Write variants.vcf.gz, its text changed by `edit`; with `index=False` none is made."""
        text = vcf_text(self.sequence())
        plain = self.put("variants.vcf", edit(text) if edit else text)
        pysam.tabix_compress(str(plain), f"{plain}.gz", force=True)
        plain.unlink()
        (self.folder / "variants.vcf.gz.tbi").unlink(missing_ok=True)
        if index:
            pysam.tabix_index(f"{plain}.gz", preset="vcf", force=True)

    def records(self, edit: Callable[[list[list[str]]], list[list[str]]]) -> None:
        """Write variants.vcf.gz with its records, lists of columns, changed by `edit`."""

        def change(text: str) -> str:
            """The text of the VCF with its records changed."""
            lines = text.splitlines()
            head = [line for line in lines if line.startswith("#")]
            rows = edit([line.split("\t") for line in lines[len(head) :]])
            return "\n".join([*head, *("\t".join(row) for row in rows)]) + "\n"

        self.vcf(change)

    def vcf_rows(self) -> list[list[str]]:
        """The columns of each record of variants.vcf.gz."""
        text = gzip.decompress((self.folder / "variants.vcf.gz").read_bytes()).decode()
        return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]

    def sequence(self) -> str:
        """The sequence of the one contig."""
        lines = (self.folder / "reference.fa").read_text().splitlines()
        return "".join(lines[1:]).upper()

    def settings(self, **values) -> None:
        """Change keys of the study file; `cohort__tss` is tss in the block cohort."""
        path = self.folder / "study.yaml"
        study = yaml.safe_load(path.read_text())
        for key, value in values.items():
            block = study
            *outer, last = key.split("__")
            for name in outer:
                block = block[name]
                block = block[0] if isinstance(block, list) else block
            block[last] = str(self.folder / value) if isinstance(value, Path) else value
        path.write_text(yaml.safe_dump(study, sort_keys=False))

    def expression(self) -> pd.DataFrame:
        """Gene x sample expression of the cohort."""
        return expression_values()

    def sequences(
        self,
        *more: str,
        genes: str = "genes.csv",
        variants: str = "variants.vcf.gz",
        reference: str = "reference.fa",
    ) -> list[list[str]]:
        """`howfar sequences` of these files."""
        files = {"--reference": reference, "--variants": variants, "--genes": genes}
        words = [w for flag, name in files.items() for w in (flag, str(self.folder / name))]
        out = ["--checksums", str(self.folder / "windows.csv")]
        return [["sequences", *words, "--context", "200", *out, *more]]

    def predict(self, *more: str) -> list[list[str]]:
        """`howfar predict` of the study."""
        table = ["--csv", str(self.folder / "predictions.csv")]
        return [["predict", "--study", str(self.folder / "study.yaml"), *table, *more]]

    def predict_with_expression(self, name: str) -> list[list[str]]:
        """`howfar predict` of the study with another file of expression."""
        self.settings(cohort__expression=self.folder / name)
        return self.predict()

    def eqtl(self, *more: str) -> list[list[str]]:
        """`howfar eqtl` of the study."""
        study = ["--study", str(self.folder / "study.yaml")]
        return [["eqtl", *study, "--permutations", "100", *more]]

    def baseline(self) -> list[list[str]]:
        """`howfar baseline` of the study, with one model."""
        study = ["--study", str(self.folder / "study.yaml")]
        return [["baseline", *study, "--models", "top1", "--folds", "2"]]

    def evaluate(self) -> list[list[str]]:
        """`howfar predict`, then `howfar evaluate`."""
        return [*self.predict(), ["evaluate", "--study", str(self.folder / "study.yaml")]]


def expression_values() -> pd.DataFrame:
    """Gene x sample expression, made up."""
    draw = random.Random(2)
    rows = {g[0]: [round(draw.gauss(5, 1), 3) for _ in Files.PEOPLE] for g in Files.GENES}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(Files.PEOPLE))


def vcf_text(sequence: str) -> str:
    """A phased VCF: an SNV every 50 bp; every tenth site an insertion of two bases."""
    draw, rows = random.Random(3), []
    for number, start in enumerate(range(49, len(sequence), 50)):
        ref = sequence[start]
        alt = ref + "GT" if number % 10 == 9 else "CGTA"["ACGT".index(ref)]
        calls = [f"{draw.randint(0, 1)}|{draw.randint(0, 1)}" for _ in Files.PEOPLE]
        rows.append(["20", str(start + 1), ".", ref, alt, ".", "PASS", ".", "GT", *calls])
    head = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID=20,length={len(sequence)}>",
        '##FILTER=<ID=PASS,Description="All filters passed">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join([*_FIXED, *Files.PEOPLE]),
    ]
    return "\n".join([*head, *("\t".join(row) for row in rows)]) + "\n"


def bed_text(values: pd.DataFrame, genes: Sequence[tuple] = Files.GENES) -> str:
    """Expression as a BED file of FastQTL."""
    lines = ["\t".join(["#chr", "start", "end", "gene_id", *values.columns])]
    for gene, _, tss, _ in genes:
        cells = map(str, values.loc[gene])
        lines.append("\t".join(["20", str(tss - 1), str(tss), gene, *cells]))
    return "\n".join(lines) + "\n"


@functools.cache
def _sequence() -> str:
    """The contig's bases, made up."""
    draw = random.Random(1)
    return "".join(draw.choice("ACGT") for _ in range(_LENGTH))


def write_base(folder: Path) -> None:
    """Write the cohort and its study file into the empty `folder`."""
    files, sequence = Files(folder), _sequence()
    lines = (sequence[i : i + _LINE] for i in range(0, _LENGTH, _LINE))
    files.put("reference.fa", ">20\n" + "\n".join(lines) + "\n")
    files.vcf()
    rows = [f"{i},{name},20,{tss},{strand}" for i, name, tss, strand in Files.GENES]
    files.put("genes.csv", "\n".join(["gene_id,name,chrom,tss,strand", *rows]) + "\n")
    files.put("expression.bed.gz", bed_text(expression_values()))
    people = [f"{p},{'X' if i < 3 else 'Y'}" for i, p in enumerate(Files.PEOPLE)]
    files.put("samples.csv", "\n".join(["sample,population", *people]) + "\n")
    files.put("study.yaml", yaml.safe_dump(_study(folder), sort_keys=False))


def _study(folder: Path) -> dict:
    names = {
        "reference": "reference.fa",
        "variants": "variants.vcf.gz",
        "genes": "genes.csv",
        "expression": "expression.bed.gz",
        "samples": "samples.csv",
    }
    run = {"id": "letters", "label": "Letters", "model": f"{__name__}:letter_counts"}
    run["device"] = "cpu"  # or PyTorch is imported to look for a GPU
    return {
        "name": "tiny",
        "title": "A small made-up cohort",
        "min_people": 1,
        "reality": dict.fromkeys(("genotypes", "expression", "weights"), "made up"),
        "cohort": {role: str(folder / name) for role, name in names.items()} | {"log_base": None},
        "runs": [run | {"tracks": [{"index": 0, "description": "letters G"}]}],
        "evaluation": {"null_draws": 100, "bootstrap": 100, "folds": 2, "min_maf": 0.1},
    }
