"""Pages to look things up: commands, result tables, numbers, and the demo world by seed."""

from __future__ import annotations

import html
from collections.abc import Iterator

import click
import pandas as pd
import typer

from howfar.book.markdown import fill, interval, markdown_table, written
from howfar.book.speed_page import circumstances, measured
from howfar.book.start_page import absent
from howfar.core.text import as_code, as_markdown
from howfar.figures.view import Number, View
from howfar.prediction.raw import RAW
from howfar.results import tables

_TYPES = {"string": "text", "float64": "number", "Int64": "whole number", "boolean": "yes or no"}


def commands(app: typer.Typer) -> str:
    """List every command of the program with its options, from the command line's own help."""
    root = typer.main.get_command(app)
    head = ["---", "fold: 1", "---", "", "# Commands", "", _help_text(root), ""]
    return "\n".join([*head, *_command_lines(root, "howfar")])


def _command_lines(command: click.Command, path: str) -> Iterator[str]:
    """Yield the lines of a command, or of all commands of a group."""
    if hasattr(command, "commands"):  # a group; Typer's are not always click's own class
        for name in sorted(command.commands):
            yield from _command_lines(command.commands[name], f"{path} {name}")
        return
    yield from [f"## `{path}`", "", _help_text(command), ""]
    options = [_option(p) for p in command.params if p.name != "help"]
    if options:
        yield from [markdown_table(pd.DataFrame(options)), ""]


def _help_text(command: click.Command) -> str:
    """Return help text as Markdown, in which indented lines are code."""
    lines = (command.help or "").strip().splitlines()
    return "\n".join(f"    {x.strip()}" if x.startswith("    ") else x for x in lines)


def _option(parameter: click.Parameter) -> dict[str, str]:
    names = ", ".join(f"`{o}`" for o in parameter.opts)
    default = parameter.default
    shown = "" if default in (None, "", False) or callable(default) else f" Default: `{default}`."
    return {
        "option": names if names.startswith("`-") else f"`{parameter.name.upper()}`",
        "meaning": (getattr(parameter, "help", "") or "") + shown,
    }


def table_reference() -> str:
    """List the columns of every result table, from the schemas."""
    lines = []
    for name, schema in tables.SCHEMAS.items():
        key = ", ".join(f"`{c}`" for c in schema.unique or []) or "person, in the order of values"
        columns = [
            {"column": f"`{column}`", "type": _type(spec), "holds": tables.COLUMNS[column]}
            for column, spec in schema.columns.items()
        ]
        lines += [f"## `{name}`", "", f"One row for each {key}.", ""]
        lines += [markdown_table(pd.DataFrame(columns)), ""]
    features = [{"feature": f"`{name}`", "meaning": text} for name, text in tables.FEATURES.items()]
    return fill(
        "tables",
        tables="\n".join(lines).rstrip(),
        features=markdown_table(pd.DataFrame(features)),
        raw=markdown_table(
            pd.DataFrame({"column": f"`{name}`", "meaning": text} for name, text in RAW.items())
        ),
    )


def _type(column) -> str:
    kind = str(column.dtype)
    return _TYPES.get(kind.split("[")[0], kind) + ("" if column.nullable else ", required")


def numbers(views: dict[str, View]) -> dict[str, str]:
    """List every number that the figures and sentences show: a page for each study, by name."""
    pages, lines = {}, []
    for study, view in views.items():
        title, name = as_markdown(view.study.title), f"numbers_{study}"
        pages[name] = f"---\nfold: 1\n---\n\n# Numbers: {title}\n\n"
        if view.tables is None:
            pages[name] += absent(view)
            continue
        rows = [row for row in view.all_numbers() if row.id.startswith(f"{study}.")]
        groups: dict[str, list[Number]] = {}
        for row in sorted(rows, key=lambda row: row.id):
            groups.setdefault(row.id.split(".")[1], []).append(row)
        pages[name] += f"{len(rows):,} numbers, by run or subject; click to open.\n\n"
        pages[name] += "\n\n".join(_number_table(view, *group) for group in groups.items())
        lines.append(f"- [{title}]({name}.md): {len(rows):,} numbers")
    return pages | {"numbers": fill("numbers", numbers="\n".join(lines))}


def _number_table(view: View, group: str, rows: list[Number]) -> str:
    """Write the numbers of a run, or of a subject, as a folded section: plain HTML, being many."""
    label = view.labels.get(group)
    named = f": {as_markdown(label)}" if label else ""
    cells = "\n".join(
        f"<tr><td>{html.escape(row.id.split('.', 2)[-1])}<td>{row.value:.5g}"
        f"<td>{interval(row, '{:.4g}'.format)}<td>{written(row.n, '{:,}')}"
        for row in rows
    )
    return (
        f'## {as_code(group)}{named} ({len(rows)})\n\n<table class="table">'
        f"<tr><th>id<th>value<th>95 % interval<th>n\n{cells}\n</table>"
    )


def seeds() -> str:
    """Write what the demo world gives, made five times: r across genes and people, by seed."""
    table = measured("demo_seeds")
    shown = pd.DataFrame({"seed": table["seed"]})
    for title, key in (
        ("network, held-out genes", "network"),
        ("ridge on GC", "ridge_gc"),
        ("ridge on k-mers", "ridge_kmers"),
    ):
        columns = table[[f"{key}_held_out", f"{key}_low", f"{key}_high"]].to_numpy()
        shown[title] = [f"{r:.2f} ({low:.2f} to {high:.2f})" for r, low, high in columns]
    for title, key in (("model", "model"), ("lead SNP", "lead_snp"), ("truth", "truth")):
        shown[f"people: {title}"] = table[f"people_{key}"].map("{:.2f}".format)
    return fill("seeds", by_seed=markdown_table(shown), first=circumstances(table))


def hard_seeds() -> str:
    """Write what the demo world's hard setting gives, by seed: across genes and across people."""
    table = measured("demo_hard_seeds").query("design == 1")
    titles = {
        "network": "network",
        "told the sign": "told",
        "BLUP": "blup",
        "network's prior": "prior",
        "ceiling": "ceiling",
    }
    shown = pd.DataFrame({"seed": table["seed"]})
    shown["held-out genes: network"] = table["genes_held_out"].map("{:.2f}".format)
    shown["ridge on k-mers"] = table["ridge_kmers_held_out"].map("{:.2f}".format)
    for title, key in titles.items():
        errors = table.get(f"{key}_se", pd.Series(index=table.index, dtype=float))
        shown[f"people: {title}" if key == "network" else title] = [
            f"{r:.3f}" if pd.isna(error) else f"{r:.3f} ± {1.96 * error:.3f}"
            for r, error in zip(table[key], errors, strict=True)
        ]
    shown["network's signs wrong: promoter, enhancer"] = [
        f"{100 * near:.0f} %, {100 * far:.0f} %"
        for near, far in zip(table["wrong_promoter"], table["wrong_enhancer"], strict=True)
    ]
    return fill(
        "hard_seeds",
        by_seed=markdown_table(shown),
        date=table["date"].max(),
        genes=int(table["people_genes"].min()),
    )
