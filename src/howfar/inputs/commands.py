"""The catalogue's weights of linear models, oddities of study files, and damaged results."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
from collections.abc import Callable

import numpy as np
import pandas as pd

from howfar.inputs.catalogue import Commands, bad, good
from howfar.inputs.cohort import Files

_GENE = Files.GENES[0][0]


# --- weights ---------------------------------------------------------------------------------


def _table(f: Files) -> pd.DataFrame:
    """Five weights of the first gene, of SNVs that the cohort has."""
    text = gzip.decompress((f.folder / "variants.vcf.gz").read_bytes()).decode()
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    rows = [row for row in rows if len(row[4]) == 1 and 500 < int(row[1]) < 1_500][:5]
    sites = [(_GENE, "20", int(row[1]), row[3], row[4], 0.5) for row in rows]
    return pd.DataFrame(sites, columns=["gene_id", "chrom", "pos", "ref", "alt", "weight"])


def _apply(f: Files, name: str) -> Commands:
    files = ["--weights", str(f.folder / name), "--csv", str(f.folder / "values.csv")]
    return [["apply-weights", "--study", str(f.folder / "study.yaml"), *files]]


def _predictdb(f: Files, edit: Callable[[pd.DataFrame], pd.DataFrame], **extra) -> Commands:
    """A PredictDB file whose table of weights `edit` changes."""
    found = _table(f)
    ids = [f"chr20_{r.pos}_{r.ref}_{r.alt}_b38" for r in found.itertuples()]
    names = {"gene_id": "gene", "ref": "ref_allele", "alt": "eff_allele"}
    rows = found.rename(columns=names).drop(columns=["chrom", "pos"]).assign(varID=ids)
    about = pd.DataFrame([{"gene": _GENE, "n.snps.in.model": len(rows)} | extra])
    base = sqlite3.connect(f.folder / "w.db")
    edit(rows).to_sql("weights", base, index=False)
    about.to_sql("extra", base, index=False)
    base.close()
    return _apply(f, "w.db")


@good("weights", "a PredictDB file", "alleles same: 5")
def _(f: Files) -> Commands:
    return _predictdb(f, lambda rows: rows)


for _title, _edit, _says in [
    ("PredictDB with a weight in words", lambda r: r.assign(weight="high"), "5 of 5 weights"),
    ("PredictDB with a weight that is missing", lambda r: r.assign(weight=None), "5 of 5 weights"),
    ("PredictDB without a gene in a row", lambda r: r.assign(gene=[None, *[_GENE] * 4]),
     "number of weights than stated"),
    ("PredictDB with a position beyond any contig",
     lambda r: r.assign(varID="chr20_99999999999999999999_A_C_b38"), "a position and a number"),
    ("PredictDB without ids of variants", lambda r: r.drop(columns="varID"), "no column varID"),
    ("PredictDB of rsids alone", lambda r: r.rename(columns={"varID": "rsid"}).assign(rsid="rs1"),
     "without a position"),
    ("PredictDB of another genome build",
     lambda r: r.assign(varID=r["varID"].str.replace("_b38", "7_b37").str.replace("20_", "20_1")),
     "position|used"),
]:  # fmt: skip
    bad("weights", _title, _says)(lambda f, e=_edit: _predictdb(f, e))


@bad("weights", "PredictDB cut short", "malformed")
def _(f: Files) -> Commands:
    words = _predictdb(f, lambda rows: rows)
    f.cut("w.db", 0.5)
    return words


@bad("weights", "PredictDB without tables", "no such table")
def _(f: Files) -> Commands:
    f.put("w.db", b"")
    return _apply(f, "w.db")


def _fusion(f: Files, edit: Callable[[str], str | bytes]) -> Commands:
    rows = _table(f).itertuples()
    lines = [f"v_{r.chrom}_{r.pos}\t{r.alt}\t{r.ref}\t{r.weight}" for r in rows]
    f.put(f"{_GENE}.enet.weights.txt", edit("\n".join(lines) + "\n"))
    return _apply(f, f"{_GENE}.enet.weights.txt")


good("weights", "FUSION's text", "alleles same: 5")(lambda f: _fusion(f, str))
for _title, _edit, _says in [
    ("FUSION's text, empty", lambda text: "", "an empty file"),
    ("FUSION's text with blanks for tabs", lambda text: text.replace("\t", " "), "line 1: found"),
    ("FUSION's text with a header", lambda text: "SNP\tA1\tA2\tW\n" + text, "line 1: found"),
    ("FUSION's text with an infinite weight", lambda text: text.replace("0.5", "inf", 1), "1 of 5"),
    ("FUSION's text in Latin-1", lambda text: text.encode() + b"\xe9", "no UTF-8"),
]:
    bad("weights", _title, _says)(lambda f, e=_edit: _fusion(f, e))


def _archive(f: Files, member: tarfile.TarInfo, share: float = 1) -> Commands:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member.size = 2_000 if member.isfile() else 0
        archive.addfile(member, io.BytesIO(np.random.default_rng(1).bytes(2_000)))
    f.put("w.tar.bin", packed.getvalue()[: int(share * len(packed.getvalue()))])
    return _apply(f, "w.tar.bin")


@bad("weights", "an archive of links", r"0 files \*.weights.txt")
def _(f: Files) -> Commands:
    member = tarfile.TarInfo(f"{_GENE}.enet.weights.txt")
    member.type, member.linkname = tarfile.SYMTYPE, "elsewhere"
    return _archive(f, member)


@bad("weights", "an archive cut short", "no readable archive")
def _(f: Files) -> Commands:
    return _archive(f, tarfile.TarInfo(f"{_GENE}.enet.weights.txt"), share=0.5)


def _ours(
    f: Files, edit: Callable[[pd.DataFrame], pd.DataFrame], intercepts: tuple = (1.0,)
) -> Commands:
    edit(_table(f)).to_parquet(f.folder / "m.weights.parquet")
    genes = pd.DataFrame({"gene_id": _GENE, "intercept": list(intercepts)})
    genes.to_parquet(f.folder / "m.genes.parquet")
    return _apply(f, "m.weights.parquet")


good("weights", "weights of `howfar baseline`", "alleles same: 5")(lambda f: _ours(f, pd.DataFrame))
good("weights", "weights with their alleles exchanged", "alleles swapped: 5")(
    lambda f: _ours(f, lambda rows: rows.rename(columns={"ref": "alt", "alt": "ref"}))
)
for _title, _edit, _intercepts, _says in [
    ("weights without intercept", pd.DataFrame, (float("nan"),), "intercept is no number"),
    ("weights of a gene that is listed twice", pd.DataFrame, (1.0, 1.0), "a gene twice"),
    ("weights of a gene that isn't listed", lambda r: r.assign(gene_id="OTHER"), (1.0,), "OTHER"),
    ("weights at positions in words", lambda r: r.assign(pos="here"), (1.0,), "5 of 5 weights"),
    ("weights with a variant twice", lambda r: pd.concat([r, r]), (1.0,), "5 variants twice"),
]:
    bad("weights", _title, _says)(lambda f, e=_edit, i=_intercepts: _ours(f, e, i))


@bad("weights", "weights for a study of published tables", "without a cohort")
def _(f: Files) -> Commands:
    text = (f.folder / "study.yaml").read_text()
    head = text.split("cohort:")[0]
    f.put("study.yaml", head + "published: {loader: sasse2023, needs: []}\n")
    f.put("w.db", b"")
    return _apply(f, "w.db")


# --- study files -----------------------------------------------------------------------------

good("study", "a study file with `<<`", "letters: 3 genes")(
    lambda f: (f.change("study.yaml", "  folds: 2", "  <<: {folds: 2}"), f.predict())[1]
)
for _title, _old, _new, _says in [
    ("a date that doesn't exist", "^title: .*", "title: 2020-13-45", "month must be in 1..12"),
    ("a number of 5,000 digits", "folds: 2", "folds: " + "9" * 5_000, "not YAML"),
    ("a study named as a folder of the results", "name: tiny", "name: sources", "key name"),
    ("a run id of dots", "id: letters", "id: ..", "runs.0.id"),
    ("a run id that YAML reads as no", "id: letters", "id: no", "runs.0.id: found False"),
    ("a negative seed", "null_draws: 100", "seed: -100", "greater than or equal to 0"),
    ("a window beyond any contig", "null_draws: 100", "cis_window: 99999999999", "cis_window"),
    ("a logarithm to an infinite base", "log_base: null", "log_base: .inf", "finite number"),
    ("a list where a block belongs", "evaluation:\n(  .*\n)+", "evaluation: [a, b]\n",
     "key evaluation: found a list: a, b"),
    ("a linear model of less than no genes", r"\Z",
     "baselines: {models: [top1], genes: {top1: -100}}\n",
     "baselines.genes.top1"),
    ("an option that the run has as a key", "  label: Letters",
     "  label: Letters\n  options: {batch_size: 2}", "keys of the run"),
    ("a bin twice", "  label: Letters", "  label: Letters\n  bins: [1, 1]", "more than once"),
    ("more bins than there are", "  label: Letters",
     "  label: Letters\n  bins: centre999999999", "bins from 0 to 7"),
    ("a track twice", r"  tracks:\n.*\n.*\n", "  tracks: [0, 0]\n", "each once"),
    ("no track", r"  tracks:\n.*\n.*\n", "  tracks: []\n", "no track"),
    ("a track by its description alone", r"  - index: 0\n    desc", "  - desc",
     "the keys description"),
    ("a model by a path within a package", "howfar.inputs_cohort:letter_counts", '".x:y"',
     "relative import"),
]:  # fmt: skip
    bad("study", _title, _says)(
        lambda f, o=_old, n=_new: (f.change("study.yaml", o, n), f.predict())[1]
    )

for _title, _content, _says in [
    ("a study file in Latin-1", "title: caf\xe9\n".encode("latin-1"), "no UTF-8"),
    ("a study file of 10,000 brackets", "[" * 10_000, "brackets without end"),
    ("a study file with tabs", "cohort:\n\treference: x\n", "line 2: found text that is not YAML"),
]:
    bad("study", _title, _says)(lambda f, c=_content: (f.put("study.yaml", c), f.predict())[1])


# --- models ----------------------------------------------------------------------------------


def _demo(f: Files, edit: Callable[[dict], None]) -> Commands:
    """A run of the small Enformer whose config.json `edit` changes; its tensors fit."""
    from howfar.inputs.catalogue import _weights

    _weights(f, fitting=True)
    path = f.folder / "weights" / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))
    keys = {"model": "demo-enformer", "weights": f.folder / "weights", "tracks": [0]}
    f.settings(**{f"runs__{key}": value for key, value in keys.items()})
    return f.predict()


for _title, _edit, _says in [
    ("weights with bins of another size", {"bin_size": 16}, "`bin_size` 16 for 3 halvings"),
    ("weights with a window of no whole bins", {"context": 250}, "`context` 250"),
    ("weights with the names of fewer tracks", {"tracks": ["A"]}, "the names of the network's"),
]:
    bad("model", _title, _says)(lambda f, e=_edit: _demo(f, lambda config: config.update(e)))


@bad("model", "a model by the name of something else", "which can't be called")
def _(f: Files) -> Commands:
    f.change("study.yaml", "inputs_cohort:letter_counts", "inputs_cohort:_LENGTH")
    return f.predict()


@bad("model", "a loader that takes no options", "doesn't take what it is given")
def _(f: Files) -> Commands:
    f.change("study.yaml", "inputs_cohort:letter_counts", "inputs_cohort:LetterCounts")
    return f.predict()


# --- sequences and results -------------------------------------------------------------------


@bad("sequences", "a compressed file cut short", "gzip-compressed data")
def _(f: Files) -> Commands:
    records = "".join(f">{i}\n{'ACGT' * 64}\n" for i in range(4))
    f.put("s.fa.gz", gzip.compress(records.encode(), mtime=0)[:-8])
    model = ["--model", f"{Files.__module__}:letter_counts"]
    files = ["--fasta", str(f.folder / "s.fa.gz"), "--csv", str(f.folder / "values.csv")]
    return [["predict-sequences", *model, *files]]


@good("results", "variant effects of a gene named twice", "in the windows of 1 genes")
def _(f: Files) -> Commands:
    f.settings(effects=["ONE", _GENE])
    return [["effects", "--study", str(f.folder / "study.yaml")]]


@bad("results", "a fitted gene's file cut short", "a damaged file")
def _(f: Files) -> Commands:
    from howfar.inputs.page import RESULTS, command_line

    words = f.baseline()
    command_line(["--results", str(f.folder / RESULTS), *words[0]])
    part = next((f.folder / RESULTS).glob("*/baseline/*.parts/*.npz"))
    f.cut(str(part.relative_to(f.folder)), 0.5)
    return words


@bad("results", "a cis-eQTL map cut short", "no readable Parquet")
def _(f: Files) -> Commands:
    from howfar.inputs.page import RESULTS, command_line

    words = f.eqtl()
    command_line(["--results", str(f.folder / RESULTS), *words[0]])
    f.cut(f"{RESULTS}/tiny/eqtl/conditional.parquet", 0.5)
    return words
