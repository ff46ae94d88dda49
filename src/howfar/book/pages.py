"""The pages of the book that are made from results, tables and commands, not written by hand.

`prepare` is called after the notebooks have run and before the book is built. It fills
``book/_generated/``: executed notebooks with their study in the title, and Markdown pages.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import yaml

from howfar.book import speed_page, stated_page
from howfar.book.models_page import markdown_table, models_page
from howfar.core.errors import HowfarError
from howfar.core.project import project_root
from howfar.figures.view import Box, View, from_project, view
from howfar.results import tables
from howfar.study.reading import load_study

#: Studies in the order of the start page.
STUDIES = ["geuvadis_public", "sasse2023", "demo"]
#: The published studies whose own numbers stand beside what their papers state.
PUBLISHED = ["sasse2023", "huang2023", "rastogi2024", "capstone2025", "sagenet2024"]
_FIRST_PICTURES = ["geuvadis_public", "demo"]
#: How sentences name a study's people.
_AMONG = {"geuvadis_public": "among GEUVADIS people", "sasse2023": "in the brain cortex (ROSMAP)"}
_TYPES = {"string": "text", "float64": "number", "Int64": "whole number", "boolean": "yes or no"}
#: Share of genes with negative r from which the direction is said not to be seen.
_OFTEN_WRONG = 0.25
_PARAMETERS = {"parameters", "injected-parameters"}


def prepare(
    results: str | Path = "results",
    book: str | Path | None = None,
    executed: str | Path | None = None,
    figures: str | Path | None = None,
) -> Path:
    """Write ``<book>/_generated``; returns it.

    `executed` holds ``<notebook>.<study>.ipynb`` of every page (default ``<book>/_executed``),
    `figures` the SVG files (default ``<book>/_figures``). Raises HowfarError if an executed
    notebook is not there.
    """
    book = Path(book) if book else project_root() / "book"
    executed = Path(executed) if executed else book / "_executed"
    figures = Path(figures) if figures else book / "_figures"
    results = from_project(results)
    folder = book / "_generated"
    part = book / f".generated.{os.getpid()}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, study in executed_pages(book):
        file = f"{name}.{study}.ipynb"
        (part / file).write_text(page(executed / file, study))
    for name in ("synthesis", "ledger"):
        (part / f"{name}.ipynb").write_text(page(executed / f"{name}.ipynb"))
    (part / "inputs.md").write_text(_executed(executed / "inputs.md").read_text())
    views = {s: view(s, results=results) for s in STUDIES}
    published = {s: view(s, results=results) for s in PUBLISHED}
    pages = {
        "answer": answer(views),
        "central": central_pictures(figures, part),
        "commands": commands(),
        "tables": table_reference(),
        "numbers": numbers(views),
        "models": models_page(results),
        "stated": stated_page.page(published.values()),
        "seeds": seeds(),
        "speed": speed_page.speed(),
    }
    for name, text in pages.items():
        (part / f"{name}.md").write_text(text.rstrip() + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    return folder


def executed_pages(book: Path) -> list[tuple[str, str]]:
    """(notebook, study) of every page of the table of contents that is an executed notebook."""
    toc = yaml.safe_load((book / "_toc.yml").read_text())
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    names = [Path(f).name for f in files if f.startswith("_generated/") and "." in Path(f).name]
    return [tuple(name.split(".", 1)) for name in names]


# --- notebooks -------------------------------------------------------------------------------


def _executed(path: Path) -> Path:
    """`path`, where the workflow has made it."""
    if path.is_file():
        return path
    raise HowfarError(
        str(path),
        found="no such file",
        expected="the executed notebook, or the text, of this page",
        do="Run `make book`, which makes these first.",
    )


def page(path: Path, study: str | None = None) -> str:
    """An executed notebook as a page: its study in the title, nothing of this machine in it.

    The cells with parameters and papermill's metadata hold paths; they are left out.
    """
    notebook = json.loads(_executed(path).read_text())
    notebook["metadata"].pop("papermill", None)
    cells = [cell for cell in notebook["cells"] if not _PARAMETERS & set(_tags(cell))]
    for cell in cells:
        if "outputs" in cell:  # warnings name files of this machine
            cell["outputs"] = [o for o in cell["outputs"] if o.get("name") != "stderr"]
        cell["metadata"] = {k: v for k, v in cell["metadata"].items() if k in ("tags", "mystnb")}
    if study:
        title, rest = "".join(cells[0]["source"]).split("\n", 1)
        cells[0]["source"] = f"{title}: {load_study(study).title}\n{rest}"
    notebook["cells"] = cells
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False)


def _tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


# --- start page ------------------------------------------------------------------------------


def answer(views: dict[str, View]) -> str:
    """The answer in five sentences, every number from the table `numbers`."""
    real, demo = views["geuvadis_public"], views["demo"]
    shown = real if real.tables is not None else demo  # without network, the demo cohort's
    sentences = [
        _across_genes(shown),
        _across_people(real, views["sasse2023"]),
        _signs(shown),
        _rival(views["geuvadis_public"]),
        _known_truth(views["demo"]),
    ]
    return "\n".join(f"{i}. {text}" for i, text in enumerate(sentences, 1))


def _value(number, digits: int = 3) -> str:
    """'0.044 (95 % interval 0.020 to 0.068)' of a row of `numbers`."""
    text = f"{number.value:.{digits}f}"
    if pd.notna(number.ci_low):
        text += f" (95 % interval {number.ci_low:.{digits}f} to {number.ci_high:.{digits}f})"
    return text.replace("-", "−")


def _absent(view: View) -> str:
    if view.study.published:
        return f"({view.study.title}: not fetched yet; run `howfar fetch {view.study.name}`)"
    return f"({view.study.title}: not run yet; run `howfar run --study {view.study.name}`)"


def _where(view: View) -> str:
    return " of the simulated demo cohort" if view.study.simulate else ""


def _run_of(view: View, kind: str, figure: str) -> str | None:
    """The first run of that kind with numbers for that figure."""
    what = {"reference": "reference.spearman", "across": "across.pooled.mean_r"}[figure]
    for run in view.colours:
        of_kind = view.runs.set_index("run_id").loc[run, "kind"] == kind
        if of_kind and view.number(f"{run}.{what}") is not None:
            return run
    return None


def _across_genes(view: View) -> str:
    if view.tables is None or (run := _run_of(view, "network", "reference")) is None:
        return _absent(view)
    found = view.number(f"{run}.reference.spearman")
    return (
        f"**Across genes, well:** from the reference sequence alone {view.labels[run]} ranks the "
        f"mean expression of {found.n:,} genes{_where(view)} with Spearman's ρ = {_value(found)}."
    )


def _across_people(*views: View) -> str:
    parts = []
    for one in views:
        if one.tables is None or (run := _run_of(one, "network", "across")) is None:
            parts.append(_absent(one))
            continue
        key = f"{run}.across.pooled"
        mean, low, high = (one.number(f"{key}.{w}") for w in ("mean_r", "min_r", "max_r"))
        parts.append(
            f"{_AMONG[one.study.name]} the mean r of {one.labels[run]} over {mean.n:,} genes is "
            f"{_value(mean)}, from {low.value:.2f} to {high.value:.2f}".replace("-", "−")
        )
    return "**Across people, hardly:** " + "; ".join(parts) + "."


def _signs(view: View) -> str:
    if view.tables is None or (run := _run_of(view, "network", "across")) is None:
        return _absent(view)
    key = f"{run}.across.pooled"
    spread, chance, below = (
        view.number(f"{key}.{w}") for w in ("observed_sd", "sampling_sd", "share_negative")
    )
    verdict = (
        "The effect is seen, its direction is not"
        if below.value >= _OFTEN_WRONG
        else "The effect is seen, mostly with its direction"
    )
    return (
        f"**{verdict}:** r{_where(view)} spreads over genes with a "
        f"standard deviation of {spread.value:.3f} where sampling alone gives "
        f"{chance.value:.3f}, and {100 * below.value:.0f} % of the genes have a negative r."
    )


def _rival(view: View) -> str:
    if view.tables is None or (run := _run_of(view, "linear", "across")) is None:
        return _absent(view)
    mean = view.number(f"{run}.across.pooled.mean_r")
    return (
        f"**A linear model does better:** {view.labels[run]}, trained on people's genotypes, has a "
        f"mean r of {_value(mean)} over {mean.n:,} genes, but says nothing about a gene or a "
        "variant it was not trained on."
    )


def _known_truth(view: View) -> str:
    if view.tables is None:
        return _absent(view)
    words = {
        "network": "the network",
        "lead_snp": "the lead SNP alone",
        "truth": "the truth itself",
    }
    means = {}
    for kind in words:
        if (run := _run_of(view, kind, "across")) is not None:
            means[kind] = view.number(f"{run}.across.pooled.mean_r")
    parts = [f"{words[kind]} {_value(mean)}" for kind, mean in means.items()]
    text = "in the simulated demo cohort the mean r across people is, for " + ", ".join(parts)
    if {"network", "truth"} <= means.keys():
        share = means["network"].value / means["truth"].value
        text += f"; the network reaches {100 * share:.0f} % of what a genome can tell there"
    return f"**Where the truth is known, the gap can be measured:** {text}."


def central_pictures(figures: Path, folder: Path) -> str:
    """The central picture of each study that has one, copied beside the page that shows it."""
    blocks = []
    for study in _FIRST_PICTURES:
        found = next(iter(sorted(figures.rglob(f"central.{study}.svg"))), None)
        if found is None:
            continue
        shutil.copyfile(found, folder / found.name)
        real = load_study(study).reality
        blocks.append(
            f"```{{figure}} /_generated/{found.name}\n"
            ":alt: Correlation across genes above, across people below\n"
            ":figclass: central\n\n"
            f"{load_study(study).title}. Genotypes: {real.genotypes}. Expression: "
            f"{real.expression}. Model weights: {real.weights}.\n```\n"
        )
    return "\n".join(blocks) or "The central picture appears here when a study has been run.\n"


# --- reference pages -------------------------------------------------------------------------


def commands() -> str:
    """Every command of `howfar` with its options, from the command line's own help."""
    import typer

    from howfar.cli.app import app

    root = typer.main.get_command(app)
    lines = ["# Commands", "", _plain(root.help), ""]

    def add(command, path: str) -> None:
        """The lines of a command, or of all commands of a group."""
        if hasattr(command, "commands"):  # a group; Typer's are not always click's own class
            for name in sorted(command.commands):
                add(command.commands[name], f"{path} {name}")
            return
        lines.extend([f"## `{path}`", "", _plain(command.help), ""])
        rows = [_option(p) for p in command.params if p.name != "help"]
        if rows:
            lines.extend(["| option | meaning |", "|---|---|", *rows, ""])

    add(root, "howfar")
    return "\n".join(lines)


def _plain(text: str | None) -> str:
    """Help text as Markdown: indented lines are commands."""
    lines = []
    for line in (text or "").strip().splitlines():
        lines.append(f"    {line.strip()}" if line.startswith("    ") else line)
    return "\n".join(lines)


def _option(parameter) -> str:
    names = ", ".join(f"`{o}`" for o in parameter.opts)
    names = names if names.startswith("`-") else f"`{parameter.name.upper()}`"
    default = parameter.default
    shown = "" if default in (None, "", False) or callable(default) else f" Default: `{default}`."
    meaning = (getattr(parameter, "help", "") or "").replace("|", "\\|").replace("\n", " ")
    return f"| {names} | {meaning}{shown} |"


def table_reference() -> str:
    """The columns of every result table, from the schemas."""
    lines = [
        "# Result tables",
        "",
        "One schema for what is computed here and for what others published. Each table is a "
        "Parquet file, `results/<study>/tables/<table>.parquet`, checked when written and when "
        "read, with its provenance in the file's metadata. `individuals` lies in a folder of its "
        "own, because its rows are single people.",
        "",
    ]
    for name, schema in tables.SCHEMAS.items():
        key = ", ".join(f"`{c}`" for c in schema.unique)
        lines += [
            f"## `{name}`",
            "",
            f"One row for each {key}.",
            "",
            "| column | type |",
            "|---|---|",
        ]
        for column, spec in schema.columns.items():
            kind = _TYPES.get(str(spec.dtype).split("[")[0], str(spec.dtype))
            lines.append(f"| `{column}` | {kind}{'' if spec.nullable else ', required'} |")
        lines.append("")
    lines += ["## Features", "", "| feature | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in tables.FEATURES.items()]
    return "\n".join(lines)


def numbers(views: dict[str, View]) -> str:
    """Every number that the figures and sentences show, with its definition."""
    lines = [
        "# Numbers",
        "",
        "Every number that a shared figure or a sentence of this book shows; those that belong to "
        "one paper are on the page [What agrees](stated.md). The same list as CSV: `howfar "
        "numbers STUDY --csv numbers.csv`.",
        "",
    ]
    for study, one in views.items():
        lines += [f"## {one.study.title}", ""]
        if one.tables is None:
            lines += [_absent(one), ""]
            continue
        lines += ["| id | value | interval | n |", "|---|---|---|---|"]
        shown = [row for row in one.all_numbers() if row.id.startswith(f"{study}.")]
        for row in sorted(shown, key=lambda r: r.id):
            ends = "" if pd.isna(row.ci_low) else f"{row.ci_low:.4g} to {row.ci_high:.4g}"
            count = "" if pd.isna(row.n) else f"{row.n:,}"
            short = row.id.removeprefix(f"{study}.")
            lines.append(f"| `{short}` | {row.value:.5g} | {ends} | {count} |")
        lines.append("")
    return "\n".join(lines)


def seeds() -> str:
    """The demo world made five times: r across genes and across people, by seed."""
    found = speed_page.measured("demo_seeds")
    with_ci = {
        "network, held-out genes": "network",
        "ridge on GC": "ridge_gc",
        "ridge on k-mers": "ridge_kmers",
    }
    table = pd.DataFrame({"seed": found["seed"]})
    for title, key in with_ci.items():
        value = found[f"{key}_held_out"].map("{:.2f}".format)
        table[title] = value + found[[f"{key}_low", f"{key}_high"]].apply(
            lambda ends: f" ({ends.iloc[0]:.2f} to {ends.iloc[1]:.2f})", axis=1
        )
    for title, key in (("model", "model"), ("lead SNP", "lead_snp"), ("truth", "truth")):
        table[f"people: {title}"] = found[f"people_{key}"].map("{:.2f}".format)
    first = found.iloc[0]
    return (
        f"{markdown_table(table)}\n\n"
        f"Measured on {found['date'].max()} with {first['people']} people and {first['genes']} "
        f"genes, {first['genes_held_out']} of them held out. Left: Pearson r "
        "across held-out genes, with its 95 % interval (Fisher's); the ridge on k-mers reads every "
        "promoter that the network is trained on. Right: mean r across people, over all genes."
    )


def ledger(results: str | Path = "results") -> pd.DataFrame | Box:
    """Seconds of each step and notebook of the last run, with their sum; a Box before any run.

    From ``<results>/ledger.csv`` (columns step, seconds) or else from the workflow's own clock,
    ``<results>/timings/<step>.tsv``, whose column `s` is in seconds.
    """
    results = from_project(results)
    if (results / "ledger.csv").is_file():
        steps = pd.read_csv(results / "ledger.csv")[["step", "seconds"]]
    else:
        clocks = sorted((results / "timings").glob("*.tsv"))
        rows = [(clock.stem, float(pd.read_csv(clock, sep="\t")["s"].iloc[0])) for clock in clocks]
        steps = pd.DataFrame(rows, columns=["step", "seconds"])
    if steps.empty:
        return Box("No run has been recorded yet", ("Run: make book",))
    steps = steps.sort_values("seconds", ascending=False)
    total = pd.DataFrame([("sum of all steps", steps["seconds"].sum())], columns=steps.columns)
    return pd.concat([steps, total]).round(1).set_index("step")
