"""The gene explorer: the rows of each gene in all result tables, for a page without a server.

A page that is opened as a file may not fetch another, so the data are scripts that call a
function: `names.js` (names and ids of all genes), ``<number>.js`` (shards of genes with their
rows) and ``list-<study>.js`` (r of all genes of a study). Rows stand by column, numbers with six
digits. What may be shown, `howfar.results.policy` decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.atomic import whole
from howfar.core.errors import HowfarError
from howfar.figures import style
from howfar.results import policy, tables
from howfar.results.export import no_tables
from howfar.study.schema import Study

#: Tables whose rows of a gene the page shows.
SHOWN = ("genes", "across", "features", "reference", "drivers", "effects", "points")
#: Bytes that a reader's first view takes (page, script, style, names), and one gene, at most.
FIRST_VIEW, PER_GENE = 300_000, 150_000
#: Genes are put together in a shard up to this size.
_SHARD = 100_000
#: Scripts and style of the page, beside this module.
_ASSETS = Path(__file__).with_name("explorer")
#: Genes of these ids are the same gene in every study; others where id and name agree.
_ENSEMBL = re.compile(r"ENSG(\d{11})")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Source:
    """A study with the tables of it that the page may show, `points` only of public people."""

    study: Study
    tables: tables.Tables


def source(study: Study, results: str | Path) -> Source | None:
    """Read what the page shows of a study; None where it has no tables yet.

    Raises HowfarError for tables that were made under a laxer policy than the study's file has.
    """
    policy.require_current(study, results)
    loaded = tables.load(study.name, results)
    if loaded is None:
        return None
    shown = policy.shows_people(study)
    points = policy.read_points(study, results) if shown else tables.empty("points")
    return Source(study, tables.Tables(study.name, loaded.frames | {"points": points}))


def need_source(study: Study, results: str | Path) -> Source:
    """Read what the page shows of a study as `source`; HowfarError where it has no tables."""
    found = source(study, results)
    if found is None:
        raise no_tables(study, results)
    return found


def write(sources: Sequence[Source], folder: Path) -> Path:
    """Write scripts, style and data of the explorer into `folder`, which is made; return it."""
    folder.mkdir(parents=True)
    for name, text in [*_assets().items(), *scripts(sources)]:
        (folder / name).write_text(text, "utf-8")
    return folder


def _assets() -> dict[str, str]:
    """Return the page's script and style, without indentation and lines of comment."""
    texts = {name: (_ASSETS / name).read_text("utf-8") for name in ("genes.css", "genes.js")}
    return {
        n: re.sub(r"^\s*(//.*\n\s*)*", "", text, flags=re.MULTILINE) for n, text in texts.items()
    }


def write_page(source: Source, folder: Path) -> list[Path]:
    """Write a study's explorer and its report, each to be opened in a browser, into a folder.

    folder: a new or empty one. Returns ``genes.html`` and ``report.html``; the second is one file
    with everything in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HowfarError(
            str(folder),
            found="a file, or a folder that isn't empty",
            expected="a new folder, or an empty one",
            do="Delete it, or name another.",
        )
    with whole(folder) as part:
        write([source], part / "genes")
        (part / "genes.html").write_text(_page(source, None), "utf-8")
        (part / "report.html").write_text(_page(source, dict(scripts([source]))), "utf-8")
    return [folder / "genes.html", folder / "report.html"]


def _page(source: Source, inline: Mapping[str, str] | None) -> str:
    """Write the page around the explorer; inline: the data, to stand in the page itself."""
    files = _assets()
    if inline is None:
        style_tag = '<link rel="stylesheet" href="genes/genes.css">'
        script_tags = '<script src="genes/genes.js"></script>'
    else:
        style_tag = f"<style>\n{files['genes.css']}</style>"
        # "</" would end the script.
        texts = [files["genes.js"], *(text.replace("</", "<\\/") for text in inline.values())]
        script_tags = "\n".join(f"<script>{text}</script>" for text in texts)
    genes, frames = len(source.tables["genes"]), source.tables
    words = {
        "title": escape(source.study.title),
        "facts": escape(
            f"{genes:,} genes, {_people(frames['across'])}; {len(frames['runs'])} models."
        ),
        "style": style_tag,
        "scripts": script_tags,
    }
    text = (_ASSETS / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: words[found[1]], text)


def _people(across: pd.DataFrame) -> str:
    pooled = across[across["population"] == "pooled"]
    counts = (across if pooled.empty else pooled)["n"].dropna()
    return f"{style.span(counts)} people" if len(counts) else "number of people not given"


# --- data ------------------------------------------------------------------------------------


def scripts(sources: Sequence[Source]) -> Iterator[tuple[str, str]]:
    """Yield (file name, text) of every script with data."""
    found = [_named(each) for each in sources]
    genes = _all_genes(found)
    place = {key: i for i, key in enumerate(genes)}
    texts: list[list[str]] = [[] for _ in genes]
    for each, named in zip(sources, found, strict=True):
        for key, rows in _rows(each, named):
            texts[place[key]].append(f"{_text(each.study.name)}:{rows}")
        if len(each.tables["across"]):
            where = {gene: place[key] for gene, key in named.items()}
            listed = _list(each, where)
            yield f"list-{each.study.name}.js", _call("list", each.study.name, listed)
    firsts: list[int] = []
    shard: list[str] = []
    size = 0
    for i, parts in enumerate(texts):
        text = "{" + ",".join(parts) + "}"
        if shard and size + len(text) > _SHARD:
            yield f"{len(firsts) - 1}.js", _shard(len(firsts) - 1, shard)
            shard, size = [], 0
        if not shard:
            firsts.append(i)
        shard.append(text)
        size += len(text)
    if shard:
        yield f"{len(firsts) - 1}.js", _shard(len(firsts) - 1, shard)
    yield "names.js", _call("names", _names(genes, firsts, sources))


def _call(name: str, *values: Any) -> str:
    words = [json.dumps(v, separators=(",", ":"), ensure_ascii=False) for v in values]
    return f"howfarGenes.{name}({','.join(words)});\n"


def _shard(number: int, genes: Iterable[str]) -> str:
    rows = ",\n".join(genes)
    return f"howfarGenes.shard({number},[{rows}]);\n"


#: How a gene is told from others: its Ensembl id, or id and name.
_Key = tuple[str, str]


def _named(source: Source) -> dict[str, _Key]:
    """Return the key of each gene_id of a study: of table `genes` and of all others."""
    names = dict(source.tables["genes"][["gene_id", "name"]].itertuples(index=False, name=None))
    ids = {gene for name in SHOWN for gene in source.tables[name]["gene_id"].unique()}
    return {g: (g, "") if _ENSEMBL.fullmatch(g) else (g, str(names.get(g, g))) for g in ids}


def _all_genes(found: Iterable[Mapping[str, _Key]]) -> list[_Key]:
    """Return all genes once: Ensembl's in the order of their numbers, then the others."""
    keys = {key for named in found for key in named.values()}
    return sorted(keys, key=lambda key: (not _ENSEMBL.fullmatch(key[0]), key))


def _names(genes: Sequence[_Key], firsts: list[int], sources: Sequence[Source]) -> dict[str, Any]:
    """Return names and ids, as short as can be: Ensembl's numbers as differences in base 36."""
    place = {key: i for i, key in enumerate(genes)}
    called: list[list[str]] = [[] for _ in genes]
    for source in sources:
        keys = _named(source)
        for gene, name in source.tables["genes"][["gene_id", "name"]].itertuples(index=False):
            known = called[place[keys[gene]]]
            if pd.notna(name) and name != gene and name not in known:
                known.append(str(name))
    ids, last = [], 0
    for gene, _ in genes:
        if number := _ENSEMBL.fullmatch(gene):
            ids.append(_base36(int(number[1]) - last))
            last = int(number[1])
        else:
            ids.append(f"={gene}")
    first = [names[0] if names else "" for names in called]
    between = next(c for c in "|;~^\t\n" if not any(c in text for text in [*ids, *first]))
    return {
        "between": between,
        "ids": between.join(ids),
        "names": between.join(first),
        "aliases": {i: names[1:] for i, names in enumerate(called) if names[1:]},
        "shards": firsts,
        "studies": [_study(each) for each in sources],
    }


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def _reality(source: Source) -> str:
    real, notice = source.study.reality, policy.licence_notice(source.tables["runs"])
    words = f"Genotypes: {real.genotypes}. Expression: {real.expression}. Weights: {real.weights}."
    return f"{words} {notice}".strip()


def _study(source: Source) -> dict[str, Any]:
    """Return what the page says of a study and its runs, in drawing order."""
    runs = source.tables["runs"].set_index("run_id")
    return {
        "name": source.study.name,
        "title": source.study.title,
        "reality": _reality(source),
        "units": source.study.expression_units,
        "public": policy.shows_people(source.study),
        "listed": bool(len(source.tables["across"])),
        "runs": [
            [
                run,
                runs.at[run, "label"],
                runs.at[run, "kind"],
                _known(runs.at[run, "units"]),
                colour,
            ]
            for run, colour in style.colours(source.tables["runs"]).items()
        ],
    }


def _known(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _list(source: Source, place: Mapping[str, int]) -> dict[str, Any]:
    """Return r of all genes of a study, per run and population: pooled, or else all."""
    across = source.tables["across"]
    if (across["population"] == "pooled").any():
        across = across[across["population"] == "pooled"]
    wide = across.pivot(index="gene_id", columns=["run_id", "population"], values="pearson")
    wide = wide.loc[sorted(wide.index, key=place.__getitem__)]
    order = list(style.colours(source.tables["runs"]))
    columns = sorted(wide.columns, key=lambda column: (order.index(column[0]), column[1]))
    numbers = source.tables["numbers"].set_index("id")
    means = [f"{source.study.name}.{run}.across.{group}.mean_r" for run, group in columns]
    shown = numbers.reindex(means)[["value", "ci_low", "ci_high", "n"]].astype(float)
    return {
        "columns": [list(column) for column in columns],
        "means": [_rounded(row, 3) for row in shown.to_numpy()],
        "genes": [place[gene] for gene in wide.index],
        "r": [_rounded(wide[column].to_numpy(float, na_value=np.nan), 3) for column in columns],
    }


def _rounded(values: Iterable[float], digits: int) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), digits) for v in values]


# --- rows ------------------------------------------------------------------------------------


def _rows(source: Source, named: Mapping[str, _Key]) -> Iterator[tuple[_Key, str]]:
    """Yield each gene's rows of all tables, as text: {table: [rows, {column: packed}]}."""
    parts: dict[str, list[str]] = {gene: [] for gene in named}
    for name in SHOWN:
        frame = source.tables[name]
        if len(frame):
            for gene, text in packed_rows(frame, _ORDER.get(name, [])):
                parts[gene].append(f'"{name}":{text}')
    for gene, texts in parts.items():
        yield named[gene], "{" + ",".join(texts) + "}"


#: How rows of a gene are ordered, so that columns repeat in blocks.
_ORDER = {"effects": ["variant", "source", "run_id"], "points": ["run_id", "observed"]}


def packed_rows(frame: pd.DataFrame, order: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (gene_id, its rows) of a table: [number of rows, {column: packed values}].

    Columns without a value are left out. order: columns to sort a gene's rows by.
    """
    frame = frame.sort_values(["gene_id", *order], kind="stable")
    genes = frame["gene_id"].to_numpy()
    starts = np.flatnonzero(np.r_[True, genes[1:] != genes[:-1]])
    columns = {c: _tokens(frame[c]) for c in frame.columns if c != "gene_id"}
    for start, end in zip(starts, [*starts[1:], len(genes)], strict=True):
        block = _block(columns["run_id"][start:end]) if "run_id" in columns else 0
        texts = [
            f'"{column}":{packed}'
            for column, tokens in columns.items()
            if (packed := _packed(tokens[start:end], block)) != "null"
        ]
        yield str(genes[start]), f"[{end - start},{{{','.join(texts)}}}]"


def _tokens(column: pd.Series) -> list[str]:
    """Return values as JSON, numbers with six digits, infinity as 1e999, missing ones as null."""
    missing = column.isna().to_numpy()
    if pd.api.types.is_float_dtype(column):
        text = [f"{value:.6g}".replace("inf", "1e999") for value in column.to_numpy(float)]
    elif pd.api.types.is_bool_dtype(column):
        text = [str(value).lower() for value in column]
    elif pd.api.types.is_integer_dtype(column):
        text = [str(value) for value in column]
    else:
        codes, words = pd.factorize(column)
        written = [*(_text(str(word)) for word in words), "null"]  # the last is of code -1
        text = [written[code] for code in codes]
    return ["null" if gone else word for gone, word in zip(missing, text, strict=True)]


def _text(word: str) -> str:
    return json.dumps(word, ensure_ascii=False)


def _block(runs: Sequence[str]) -> int:
    """Return after how many rows the next run begins, or the runs begin anew."""
    same = len(runs) > 1 and runs[1] == runs[0]
    ends = (i for i in range(1, len(runs)) if (runs[i] == runs[0]) != same)
    return next(ends, len(runs))


def _packed(values: list[str], block: int) -> str:
    """Write a column: one value for all rows; a block that is repeated; a value a block; a list."""
    if values.count(values[0]) == len(values):
        return values[0]
    if 1 < block < len(values) and len(values) % block == 0:
        if values == values[:block] * (len(values) // block):
            return f'{{"tile":[{",".join(values[:block])}]}}'
        if values == [value for value in values[::block] for _ in range(block)]:
            return f'{{"each":[{",".join(values[::block])}]}}'
    return f"[{','.join(values)}]"
