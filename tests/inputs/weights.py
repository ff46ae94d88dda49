"""Weights of linear models."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from collections.abc import Callable

import numpy as np
import pandas as pd

from inputs.case import Commands, Prepare, makers
from inputs.cohort import Files

good, bad = makers("weights")
_GENE = Files.GENES[0][0]
Edit = Callable[[pd.DataFrame], pd.DataFrame]


def _weights(files: Files) -> pd.DataFrame:
    """Five weights of the first gene, of SNVs that the cohort has."""
    rows = [row for row in files.vcf_rows() if len(row[4]) == 1 and 500 < int(row[1]) < 1_500][:5]
    sites = [(_GENE, "20", int(row[1]), row[3], row[4], 0.5) for row in rows]
    return pd.DataFrame(sites, columns=["gene_id", "chrom", "pos", "ref", "alt", "weight"])


def _apply(files: Files, name: str) -> Commands:
    options = ["--weights", str(files.folder / name), "--csv", str(files.folder / "values.csv")]
    return [["apply-weights", "--study", str(files.folder / "study.yaml"), *options]]


def predictdb(edit: Edit) -> Prepare:
    """A PredictDB file whose table of weights `edit` changes."""

    def prepare(files: Files) -> Commands:
        weights = _weights(files)
        ids = [f"chr20_{r.pos}_{r.ref}_{r.alt}_b38" for r in weights.itertuples()]
        names = {"gene_id": "gene", "ref": "ref_allele", "alt": "eff_allele"}
        rows = weights.rename(columns=names).drop(columns=["chrom", "pos"]).assign(varID=ids)
        genes = pd.DataFrame([{"gene": _GENE, "n.snps.in.model": len(rows)}])
        base = sqlite3.connect(files.folder / "w.db")
        edit(rows).to_sql("weights", base, index=False)
        genes.to_sql("extra", base, index=False)
        base.close()
        return _apply(files, "w.db")

    return prepare


def _by_rsid(rows: pd.DataFrame) -> pd.DataFrame:
    """Weights whose variants have an rsid alone, made of their position."""
    ids = "rs" + rows["varID"].str.split("_").str[1]
    return rows.rename(columns={"varID": "rsid"}).assign(rsid=ids)


def rsids_alone(files: Files) -> Commands:
    files.records(lambda rows: [[*row[:2], f"rs{row[1]}", *row[3:]] for row in rows])
    return predictdb(_by_rsid)(files)


def weights_of_r(files: Files) -> Commands:
    files.put(f"{_GENE}.wgt.RDat", b"RDX3")
    return _apply(files, f"{_GENE}.wgt.RDat")


def score_of_the_pgs_catalog(files: Files) -> Commands:
    files.put("PGS1.txt", b"###PGS CATALOG SCORING FILE\n")
    return _apply(files, "PGS1.txt")


def predictdb_cut_short(files: Files) -> Commands:
    commands = predictdb(pd.DataFrame)(files)
    files.cut("w.db", 0.5)
    return commands


def predictdb_without_tables(files: Files) -> Commands:
    files.put("w.db", b"")
    return _apply(files, "w.db")


def fusion(edit: Callable[[str], str | bytes]) -> Prepare:
    """FUSION's text of the weights, changed by `edit`."""

    def prepare(files: Files) -> Commands:
        rows = _weights(files).itertuples()
        lines = [f"v_{r.chrom}_{r.pos}\t{r.alt}\t{r.ref}\t{r.weight}" for r in rows]
        files.put(f"{_GENE}.enet.weights.txt", edit("\n".join(lines) + "\n"))
        return _apply(files, f"{_GENE}.enet.weights.txt")

    return prepare


def _archive(files: Files, member: tarfile.TarInfo, share: float = 1) -> Commands:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member.size = 2_000 if member.isfile() else 0
        archive.addfile(member, io.BytesIO(np.random.default_rng(1).bytes(2_000)))
    files.put("w.tar.bin", packed.getvalue()[: int(share * len(packed.getvalue()))])
    return _apply(files, "w.tar.bin")


def archive_of_links(files: Files) -> Commands:
    member = tarfile.TarInfo(f"{_GENE}.enet.weights.txt")
    member.type, member.linkname = tarfile.SYMTYPE, "elsewhere"
    return _archive(files, member)


def archive_cut_short(files: Files) -> Commands:
    return _archive(files, tarfile.TarInfo(f"{_GENE}.enet.weights.txt"), share=0.5)


def our_weights(edit: Edit, intercepts: tuple[float, ...] = (1.0,)) -> Prepare:
    """Weights as `howfar baseline` writes them, changed by `edit`."""

    def prepare(files: Files) -> Commands:
        edit(_weights(files)).to_parquet(files.folder / "m.weights.parquet")
        genes = pd.DataFrame({"gene_id": _GENE, "intercept": list(intercepts)})
        genes.to_parquet(files.folder / "m.genes.parquet")
        return _apply(files, "m.weights.parquet")

    return prepare


def weights_for_a_published_study(files: Files) -> Commands:
    text = (files.folder / "study.yaml").read_text()
    head = text.split("cohort:")[0]
    files.put("study.yaml", head + "published: {loader: sasse2023, needs: []}\n")
    files.put("w.db", b"")
    return _apply(files, "w.db")


CASES = [
    good("a PredictDB file", predictdb(pd.DataFrame), "alleles same: 5"),
    bad(
        "PredictDB with a weight in words",
        predictdb(lambda r: r.assign(weight="high")),
        "5 of 5 weights",
    ),
    bad(
        "PredictDB with a weight that is missing",
        predictdb(lambda r: r.assign(weight=None)),
        "5 of 5 weights",
    ),
    bad(
        "PredictDB without a gene in a row",
        predictdb(lambda r: r.assign(gene=[None, *[_GENE] * 4])),
        "number of weights than stated",
    ),
    bad(
        "PredictDB with a position beyond any contig",
        predictdb(lambda r: r.assign(varID="chr20_99999999999999999999_A_C_b38")),
        "a position and a number",
    ),
    bad(
        "PredictDB without ids of variants",
        predictdb(lambda r: r.drop(columns="varID")),
        "no column varID",
    ),
    good("PredictDB of rsids alone, that the cohort's file has", rsids_alone, "alleles same: 5"),
    bad(
        "PredictDB of rsids alone, that the cohort's file lacks",
        predictdb(_by_rsid),
        "0 used, 5 not found; .* by rsid alone",
    ),
    bad(
        "PredictDB of other ids than rsids",
        predictdb(lambda r: _by_rsid(r).replace({"rsid": {"rs": "AX-"}}, regex=True)),
        "without a position",
    ),
    bad("FUSION's .wgt.RDat", weights_of_r, "write.table"),
    bad("a scoring file of the PGS Catalog", score_of_the_pgs_catalog, "names no gene"),
    bad(
        "PredictDB of another genome build",
        predictdb(
            lambda r: r.assign(
                varID=r["varID"].str.replace("_b38", "7_b37").str.replace("20_", "20_1")
            )
        ),
        "position|used",
    ),
    bad("PredictDB cut short", predictdb_cut_short, "malformed"),
    bad("PredictDB without tables", predictdb_without_tables, "no such table"),
    good("FUSION's text", fusion(str), "alleles same: 5"),
    bad("FUSION's text, empty", fusion(lambda text: ""), "an empty file"),
    bad(
        "FUSION's text with blanks for tabs",
        fusion(lambda text: text.replace("\t", " ")),
        "line 1: found",
    ),
    bad(
        "FUSION's text with a header",
        fusion(lambda text: "SNP\tA1\tA2\tW\n" + text),
        "line 1: found",
    ),
    bad(
        "FUSION's text with an infinite weight",
        fusion(lambda text: text.replace("0.5", "inf", 1)),
        "1 of 5",
    ),
    bad("FUSION's text in Latin-1", fusion(lambda text: text.encode() + b"\xe9"), "no UTF-8"),
    bad("an archive of links", archive_of_links, "0 files \\*.weights.txt"),
    bad("an archive cut short", archive_cut_short, "no readable archive"),
    good("weights of `howfar baseline`", our_weights(pd.DataFrame), "alleles same: 5"),
    good(
        "weights with their alleles exchanged",
        our_weights(lambda r: r.rename(columns={"ref": "alt", "alt": "ref"})),
        "alleles swapped: 5",
    ),
    bad(
        "weights without intercept",
        our_weights(pd.DataFrame, (float("nan"),)),
        "intercept is no number",
    ),
    bad(
        "weights of a gene that is listed twice",
        our_weights(pd.DataFrame, (1.0, 1.0)),
        "a gene twice",
    ),
    bad(
        "weights of a gene that isn't listed",
        our_weights(lambda r: r.assign(gene_id="OTHER")),
        "OTHER",
    ),
    bad(
        "weights at positions in words",
        our_weights(lambda r: r.assign(pos="here")),
        "5 of 5 weights",
    ),
    bad(
        "weights with a variant twice", our_weights(lambda r: pd.concat([r, r])), "5 variants twice"
    ),
    bad(
        "weights for a study of published tables", weights_for_a_published_study, "without a cohort"
    ),
]
