"""What a program needs to know of howfar on one page, and llms.txt, both from the registries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import metadata

import typer

import howfar
from howfar.book.markdown import fill
from howfar.core.registry import LINEAR_MODELS, MODELS
from howfar.results import tables
from howfar.study.schema import study_names

#: Pages of the book that a program may want, from the first page's folder, and what they hold.
PAGES = {
    "_generated/programs": "commands, exit status, tables, columns, units, Python names",
    "_generated/commands": "every option of every command",
    "_generated/tables": "every column of every result table",
    "_generated/troubleshooting": "every message that ends a command, and what to do",
    "_generated/api": "the Python functions, with examples",
    "cohort": "a cohort of one's own, from files to figures",
    "conventions": "coordinates, windows, alleles, units, statistics",
    "again": "containers, archives, comparing two runs",
}


def programs(app: typer.Typer) -> str:
    """Write the page for programs: what can be called, what comes out, in which units."""
    return fill(
        "programs",
        commands="\n".join(f"- `{usage}`: {text}" for usage, text in _commands(app)),
        tables="\n\n".join(_table(name) for name in tables.SCHEMAS),
        names="\n".join(f"- `hf.{name}`: {_first_line(name)}" for name in howfar.__all__),
        models=_listed(MODELS),
        linear=_listed(LINEAR_MODELS),
        studies=", ".join(f"`{name}`" for name in study_names()),
    )


def llms_txt(app: typer.Typer) -> str:
    """Write llms.txt: what the project is, and where a language model finds the rest."""
    lines = [
        "# howfar",
        "",
        f"> {metadata('howfar')['Summary']}",
        "",
        "Everything is a command, `howfar COMMAND`, or a function of `import howfar as hf`.",
        "A study is one YAML file; results are Parquet tables of one schema. An error is one",
        "message with what was found, what was expected and what to do, and exit status 2.",
        "Private people stay private: tables hold nobody, and `howfar export` decides what leaves.",
        "",
        "## Pages",
        "",
        *(f"- [{page.split('/')[-1]}]({page}.html): {text}" for page, text in PAGES.items()),
        "",
        "## Commands",
        "",
        *(f"- `{re.split(r' .?-', usage)[0]}`: {text}" for usage, text in _commands(app)),
    ]
    return "\n".join(lines) + "\n"


def _commands(app: typer.Typer) -> Iterator[tuple[str, str]]:
    """Yield each command with its arguments and options, and the first line of its help."""
    yield from _of(typer.main.get_command(app), "howfar")


def _of(command, path: str) -> Iterator[tuple[str, str]]:
    if hasattr(command, "commands"):
        for name in sorted(command.commands):
            yield from _of(command.commands[name], f"{path} {name}")
        return
    words = [_word(p) for p in command.params if p.name != "help"]
    yield " ".join([path, *words]), (command.help or "").strip().split("\n\n")[0].replace("\n", " ")


def _word(parameter) -> str:
    name = parameter.opts[0]
    if not name.startswith("-"):
        return name.upper() if parameter.required else f"[{name.upper()}]"
    value = "" if getattr(parameter, "is_flag", False) else f" {name.strip('-').upper()}"
    return f"{name}{value}" if parameter.required else f"[{name}{value}]"


def _table(name: str) -> str:
    schema = tables.SCHEMAS[name]
    folder = "individuals" if name in tables.PERSON_LEVEL else "tables"
    key = ", ".join(f"`{c}`" for c in schema.unique or []) or "none"
    lines = [f"### `{name}`", "", f"`results/STUDY/{folder}/{name}.parquet`, key {key}.", ""]
    for column, spec in schema.columns.items():
        lines.append(f"- `{column}` ({spec.dtype}): {tables.COLUMNS[column]}")
    return "\n".join(lines)


def _first_line(name: str) -> str:
    return str(getattr(howfar, name).__doc__).split("\n\n")[0].replace("\n", " ").strip()


def _listed(registry) -> str:
    return ", ".join(f"`{name}` ({entry.help})" for name, entry in registry.items())
