"""Expression: BED, GCT, tables and Parquet."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import pandas as pd
import pyarrow as arrow
from pyarrow.parquet import write_table

from inputs.case import Commands, Prepare, makers
from inputs.cohort import Files, bed_text

good, bad = makers("expression")


def expression_in(name: str, content: str | bytes | Callable[[pd.DataFrame], str]) -> Prepare:
    """An expression file of that name; its content, or what writes the cohort's values."""

    def prepare(files: Files) -> Commands:
        files.put(name, content(files.expression()) if callable(content) else content)
        return files.predict_with_expression(name)

    return prepare


def odd_pandas_metadata(values: pd.DataFrame) -> bytes:
    """Parquet that pandas wrote and another program's metadata spoilt."""
    table = arrow.Table.from_pandas(values.reset_index())
    table = table.replace_schema_metadata({b"pandas": b'{"index_columns": [7], "columns": 1}'})
    write_table(table, out := io.BytesIO())
    return out.getvalue()


def gct_text(values: pd.DataFrame) -> str:
    rows = [f"{g}\tx\t" + "\t".join(map(str, values.loc[g])) for g in values.index]
    head = "Name\tDescription\t" + "\t".join(values.columns)
    return "\n".join(["#1.2", f"{len(values)}\t{values.shape[1]}", head, *rows]) + "\n"


def _gct_13(values: pd.DataFrame) -> str:
    """GCT 1.3 with a column about genes and a row about samples."""
    rows = [f"{g}\tprotein_coding\t" + "\t".join(map(str, values.loc[g])) for g in values.index]
    head = "id\ttype\t" + "\t".join(values.columns)
    about = "sex\tna\t" + "\t".join("1" for _ in values.columns)
    size = f"{len(values)}\t{values.shape[1]}\t1\t1"
    return "\n".join(["#1.3", size, head, about, *rows]) + "\n"


def _with_columns(values: pd.DataFrame, columns: dict, genes: str = "Geneid") -> str:
    """A matrix with further columns between its gene ids and its samples."""
    return values.assign(**columns)[[*columns, *values]].rename_axis(genes).to_csv(sep="\t")


def parquet(files: Files) -> Commands:
    files.expression().rename_axis("gene_id").to_parquet(files.folder / "e.parquet")
    return files.predict_with_expression("e.parquet")


def people_named_by_numbers(files: Files) -> Commands:
    names = {p: f"{p[1:]}_{p[1:]}" for p in Files.PEOPLE}
    files.vcf(lambda text: text.replace("\t".join(names), "\t".join(names.values())))
    files.change("samples.csv", "^P(.)", r"\1_\1", count=0)
    files.put("e.bed", bed_text(files.expression().rename(columns=names)))
    return files.predict_with_expression("e.bed")


def missing_values(files: Files) -> Commands:
    values = files.expression()
    values.iloc[0, :2] = float("nan")
    files.put("e.csv", values.rename_axis("gene").to_csv(na_rep="NA"))
    return files.predict_with_expression("e.csv")


def gene_with_one_value_for_everybody(files: Files) -> Commands:
    values = files.expression()
    values.iloc[1] = 3.0
    files.put("e.csv", values.rename_axis("gene").to_csv())
    files.predict_with_expression("e.csv")
    return files.evaluate()


def gene_without_a_value_for_anybody(files: Files) -> Commands:
    values = files.expression()
    values.iloc[1] = float("nan")
    files.put("e.csv", values.rename_axis("gene").to_csv(na_rep="NA"))
    files.predict_with_expression("e.csv")
    return files.evaluate()


def gene_of_the_gene_table_that_it_lacks(files: Files) -> Commands:
    files.put("e.csv", files.expression().iloc[:2].rename_axis("gene").to_csv())
    files.predict_with_expression("e.csv")
    return files.evaluate()


_ROW = "gene,P1,P2,P3,P4,P5,P6\nENSG00000000001.4,1,2,3,4,5,6\n"


def no_such_file(files: Files) -> Commands:
    return files.predict_with_expression("absent.bed.gz")


def one_person_in_common_with_the_genotypes(files: Files) -> Commands:
    (files.folder / "samples.csv").unlink()
    files.settings(cohort__samples=None)
    files.put("e.csv", files.expression()[["P3"]].rename_axis("gene").to_csv())
    files.predict_with_expression("e.csv")
    return files.evaluate()


def nobody_in_common_with_the_genotypes(files: Files) -> Commands:
    files.put("e.csv", files.expression().add_prefix("donor-").rename_axis("gene").to_csv())
    return files.predict_with_expression("e.csv")


CASES = [
    good("FastQTL BED", expression_in("e.bed", bed_text), "letters: 3 genes x 6 people"),
    good(
        "FastQTL BED, compressed",
        expression_in("e.bed.gz", bed_text),
        "letters: 3 genes x 6 people",
    ),
    good("GCT 1.2", expression_in("e.gct", gct_text), "letters: 3 genes x 6 people"),
    good("GCT 1.3", expression_in("e.gct", _gct_13), "letters: 3 genes x 6 people"),
    good(
        "CSV",
        expression_in("e.csv", lambda v: v.rename_axis("gene").to_csv()),
        "letters: 3 genes x 6 people",
    ),
    good(
        "TSV, compressed",
        expression_in("e.tsv.gz", lambda v: v.rename_axis("gene").to_csv(sep="\t")),
        "letters: 3 genes x 6 people",
    ),
    good(
        "a table of R without a name above its genes",
        expression_in(
            "e.txt", lambda v: v.rename_axis("gene").to_csv(sep="\t").removeprefix("gene\t")
        ),
        "letters: 3 genes x 6 people",
    ),
    good(
        "semicolons and decimal commas, as R's write.csv2 writes them",
        expression_in(
            "e.csv", lambda v: v.round(2).rename_axis("gene").to_csv(sep=";", decimal=",")
        ),
        "letters: 3 genes x 6 people",
    ),
    good(
        "blanks between cells, names in quotation marks, as R's write.table writes them",
        expression_in("e.txt", lambda v: v.to_csv(sep=" ", quoting=2).removeprefix('"" ')),
        "letters: 3 genes x 6 people",
    ),
    good(
        "featureCounts",
        expression_in(
            "counts.txt",
            lambda v: _with_columns(
                v, {"Chr": "20", "Start": 5, "End": 7, "Strand": "+", "Length": 3}
            ),
        ),
        "letters: 3 genes x 6 people",
    ),
    good(
        "GEUVADIS, as published",
        expression_in(
            "e.txt",
            lambda v: _with_columns(
                v, {"Gene_Symbol": v.index, "Chr": "20", "Coord": 5}, "TargetID"
            ),
        ),
        "letters: 3 genes x 6 people",
    ),
    good(
        "a BED file named after something else, a note above it",
        expression_in("e.tsv", lambda v: "# TPM\n" + bed_text(v)),
        "letters: 3 genes x 6 people",
    ),
    good("Parquet", parquet, "letters: 3 genes x 6 people"),
    good(
        "people named `1_1`, `2_2` and so on",
        people_named_by_numbers,
        "letters: 3 genes x 6 people",
    ),
    good("missing values", missing_values, "missing values of expression: 2"),
    good(
        "a gene with one value for everybody",
        gene_with_one_value_for_everybody,
        "one expression value for everybody: 1",
    ),
    good(
        "a gene without a value for anybody",
        gene_without_a_value_for_anybody,
        "missing for everybody: 1",
    ),
    good(
        "a gene of the gene table that it lacks",
        gene_of_the_gene_table_that_it_lacks,
        "genes without expression: 1",
    ),
    bad("an empty file", expression_in("e.csv", ""), "an empty file"),
    bad(
        "a header alone",
        expression_in("e.csv", _ROW.splitlines()[0] + "\n"),
        "found a header alone",
    ),
    bad(
        "an infinite value",
        expression_in("e.csv", _ROW.replace(",2,", ",inf,")),
        "line 2, column 3: found an infinite",
    ),
    bad(
        "text in a cell",
        expression_in("e.csv", _ROW.replace(",2,", ",high,")),
        "line 2, column 3: found 'high'",
    ),
    bad("a row cut short", expression_in("e.csv", _ROW + "H,1,2\n"), "line 3: found 3 columns"),
    bad(
        "no header",
        expression_in("e.csv", "G,0.5,1.5,2,3,4,5\nH,1,2,3,4,5,6\n"),
        "header line is missing",
    ),
    bad("a person twice", expression_in("e.csv", _ROW.replace("P2", "P1")), "1 repeated"),
    bad("a gene twice", expression_in("e.csv", _ROW + _ROW.splitlines()[1] + "\n"), "1 repeated"),
    bad(
        "people in rows and genes in columns",
        expression_in("e.csv", "person,G\nP1,1\nP2,2\n"),
        "transposed",
    ),
    bad(
        "semicolons, and commas that may stand for thousands or for decimals",
        expression_in("e.csv", "gene;P1;P2\nG;1,250;2,500\n"),
        "'1,250', whose comma",
    ),
    bad(
        "transcripts of GENCODE's FASTA",
        expression_in("e.csv", "Name,P1\nENST1.2|ENSG1.5|AB|,1\n"),
        "R's tximport",
    ),
    bad(
        "tabs, and decimal commas",
        expression_in("e.csv", "gene\tP1\tP2\nG\t1,2\t2,5\n"),
        "found '1,2'",
    ),
    bad(
        "a quotation mark without its other half",
        expression_in("e.csv", _ROW.replace(",2,", ',"2,')),
        "e.csv",
    ),
    bad(
        "BED without its header", expression_in("e.bed", "20\t1000\t1001\tG\t1\t2\n"), "not '#chr'"
    ),
    bad(
        "BED with start after end",
        expression_in("e.bed", "#chr\tstart\tend\tid\tP1\tP2\n20\t9\t8\tG\t1\t2\n"),
        "line 2: found start '9'",
    ),
    bad(
        "GCT with fewer rows than it says",
        expression_in("e.gct", "#1.2\n2\t1\nName\tDescription\tP1\nG\tx\t1\n"),
        "1 row of genes",
    ),
    bad(
        "GCT 1.3 with a sample fewer than it says",
        expression_in("e.gct", "#1.3\n1\t2\t1\t0\nid\ttype\tP1\nG\tx\t1\n"),
        "1 row of genes and 1 sample",
    ),
    bad(
        "GCT without its version",
        expression_in("e.gct", "Name\tDescription\tP1\nG\tx\t1\n"),
        "#1.2",
    ),
    bad(
        "compressed, cut short",
        expression_in("e.tsv.gz", gzip.compress(_ROW.encode(), mtime=0)[:40]),
        "unreadable",
    ),
    bad("Parquet, cut short", expression_in("e.parquet", b"PAR1 and no more"), "a damaged file"),
    bad(
        "Parquet whose pandas metadata are odd",
        expression_in("e.parquet", odd_pandas_metadata),
        "a damaged file",
    ),
    bad("no such file", no_such_file, "no such file"),
    bad(
        "one person in common with the genotypes",
        one_person_in_common_with_the_genotypes,
        "1 person",
    ),
    bad("nobody in common with the genotypes", nobody_in_common_with_the_genotypes, "0 common"),
]
