"""What a notebook holds: one study's tables, the runs asked for, and where figures go."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import ValidationError

from howfar.core.errors import HowfarError
from howfar.core.project import figures_folder, results_folder
from howfar.evaluation.run_comparison import comparable, with_judged
from howfar.figures import row_zero, style
from howfar.results import policy, tables
from howfar.study.reading import load_study, parse_study, wrong_key
from howfar.study.schema import Study, Style

#: Title of the box instead of a figure that a study cannot have; the book leaves these out.
NO_FIGURE = "No such figure for this study"
#: What a drawing function returns: figure, plotted data and caption; or why there is no figure.
Drawn = tuple[Figure, pd.DataFrame, str] | str


class Number(NamedTuple):
    """A row of table `numbers`."""

    id: str
    value: float
    n: int
    ci_low: float
    ci_high: float
    definition: str
    source: str

    @property
    def unit(self) -> str:
        """What the bootstrap of the interval resampled, in words."""
        return self.definition.partition("bootstrap over ")[2].rstrip(".")

    @property
    def hits(self) -> int:
        """The count behind a share."""
        return round(self.value * self.n)


class NotInTables(Exception):
    """A row that a figure shows is in no table: they were made by an older version."""


@dataclass(frozen=True)
class Box:
    """One plain box instead of a figure, saying why there is none and what to run."""

    title: str
    lines: tuple[str, ...]

    def _repr_mimebundle_(self, **_kw) -> dict[str, str]:
        """What Jupyter displays."""
        body = "".join(f"<p style='margin:.3em 0'>{html.escape(line)}</p>" for line in self.lines)
        block = (
            "<div role='note' class='howfar-missing' style='border:2px solid #D55E00;"
            "border-radius:6px;padding:.6em 1em;margin:1em 0'>"
            f"<strong>{html.escape(self.title)}</strong>{body}</div>"
        )
        return {"text/html": block, "text/plain": "\n".join([self.title, *self.lines])}


@dataclass(frozen=True)
class Provenance:
    """What of a study is real and what simulated: badges for the top of its page."""

    parts: dict[str, str]
    notice: str  # under which terms values are; or ''

    def __str__(self) -> str:
        said = [f"{what}: {words}." for what, words in self.parts.items()]
        return " ".join([*said, self.notice]).strip()

    def _repr_mimebundle_(self, **_kw) -> dict[str, str]:
        """What Jupyter displays."""
        badges = [
            f"<span class='{_reality(words)}'><b>{what}</b> {html.escape(words)}</span>"
            for what, words in self.parts.items()
        ]
        line = " ".join([*badges, html.escape(self.notice)]).strip()
        return {"text/html": f"<p class='howfar-badges'>{line}</p>", "text/plain": str(self)}


def _reality(words: str) -> str:
    """Class of a badge, for its colour; its words say the same."""
    if "simulated" in words:
        return "simulated"
    return "real" if words.startswith(("real", "published")) else "neither"


@dataclass(frozen=True)
class View:  # frozen, but not slotted: `numbers` is read once and kept
    """One study's result tables as figures need them.

    `tables` is None where the study has not been run; every figure is then None and the
    notebook shows `about(view)` alone.
    """

    study: Study
    tables: tables.Tables | None
    results: Path
    output: Path
    runs: pd.DataFrame
    colours: dict[str, str]

    def __getitem__(self, table: str) -> pd.DataFrame:
        """Table `table`, of the runs asked for."""
        frame = self.tables[table]
        if "run_id" in frame.columns:
            frame = frame[frame["run_id"].isin(self.runs["run_id"])]
        return frame.reset_index(drop=True)

    @functools.cached_property
    def comparable(self) -> list[str]:
        """Runs whose means over genes stand beside each other, in drawing order."""
        return self.runs_in(comparable(self.tables["across"], self.kinds))

    @functools.cached_property
    def left_out(self) -> str:
        """The runs with r that do not, as a sentence of a caption; or ''."""
        rows = self["across"].query("population == 'pooled'").dropna(subset=["pearson"])
        counts = rows.groupby("run_id").size().drop(self.comparable)
        names = [f"{self.labels[r]} ({counts[r]} genes)" for r in self.runs_in(counts.index)]
        few = " Not drawn, for fewer than half of the genes: "
        return f"{few}{', '.join(names)}." if names else ""

    @functools.cached_property
    def _numbers(self) -> dict[str, Number]:
        rows = self.tables["numbers"].itertuples(index=False, name=None)
        return {row[0]: Number(*row) for row in rows}

    def all_numbers(self) -> list[Number]:
        """All rows of `numbers`."""
        return list(self._numbers.values())

    def number(self, what: str) -> Number | None:
        """Row of `numbers` of id ``<study>.<what>``, or None."""
        return self._numbers.get(f"{self.study.name}.{what}")

    def need(self, what: str) -> Number:
        """Row of `numbers` of id ``<study>.<what>``; without it there is no figure."""
        found = self.number(what)
        if found is None:
            raise NotInTables(what)
        return found

    def summary(self, what: str) -> pd.DataFrame:
        """Rows of table `summary` of one set."""
        table = self.tables["summary"]
        return table[table["set"] == what].reset_index(drop=True)

    def of_run(self, table: str, run: str) -> pd.DataFrame:
        """Rows of a table of one run."""
        rows = self[table]
        return rows[rows["run_id"] == run].reset_index(drop=True)

    @functools.cached_property
    def gene_names(self) -> dict[str, str]:
        """Symbol of each gene by its id; the id where it has none."""
        genes = self.tables["genes"]
        names = genes["name"].fillna(genes["gene_id"])
        return dict(zip(genes["gene_id"], names, strict=True))

    @property
    def labels(self) -> dict[str, str]:
        """run_id to label, in drawing order."""
        names = dict(zip(self.runs["run_id"], self.runs["label"], strict=True))
        return {run: names[run] for run in self.colours}

    @property
    def marks(self) -> dict[str, str]:
        """run_id to mark, in drawing order."""
        return style.marks(self.colours)

    @property
    def kinds(self) -> dict[str, str]:
        """run_id to kind: 'network', 'linear', 'lead_snp' or 'truth'."""
        return dict(zip(self.runs["run_id"], self.runs["kind"], strict=True))

    def runs_in(self, run_ids: Iterable[str]) -> list[str]:
        """The runs shown that are among `run_ids`, in drawing order."""
        given = set(run_ids)
        return [run for run in self.labels if run in given]

    def reality(self) -> Provenance:
        """What is real and what simulated, and the terms of the values."""
        real = self.study.reality
        parts = {"Genotypes": real.genotypes, "Expression": real.expression, "Models": real.weights}
        return Provenance(parts, policy.licence_notice(self.runs))


def view(
    study: str,
    runs: list[str] | None = None,
    results: str | Path = "results",
    output: str | Path = "",
) -> View:
    """Open a study for figures; `runs` limits them (empty: all).

    output: where figures go; empty: the folder `figures` of the study's results. Paths count from
    the current folder, ``results`` being the results folder in use.

    Raises HowfarError if the study has no file, a run asked for is not in its tables, and for
    parameters of another type.
    """
    found = load_study(study)
    results = results_folder(results)
    _check_runs(runs)
    policy.require_current(found, results)
    loaded = tables.load(found.name, results)
    loaded = None if loaded is None else with_judged(loaded)
    table = tables.empty("runs") if loaded is None else loaded["runs"]
    asked = list(runs or [])
    unknown = sorted(set(asked) - set(table["run_id"]))
    if unknown and loaded is not None:
        raise HowfarError(
            f"study {found.name}, parameter runs",
            found=f"{unknown}",
            expected=f"some of {sorted(table['run_id'])}",
            do="Correct the parameter, or leave it empty for all runs.",
        )
    chosen = table[table["run_id"].isin(asked)] if asked else _without_twins(table, loaded)
    with style.look(found.style):
        palette = style.colours(table)
    kept = {run: palette[run] for run in palette if run in set(chosen["run_id"])}
    output = results_folder(output) if str(output) else figures_folder(results, found.name)
    return View(found, loaded, results, output.absolute(), chosen, kept)


def _check_runs(runs: object) -> None:
    """HowfarError for what isn't a list of run ids, such as papermill's ``-p runs top1``."""
    if runs is None or (isinstance(runs, list) and all(isinstance(run, str) for run in runs)):
        return
    raise HowfarError(
        "parameter runs",
        found=repr(runs),
        expected="a list of run ids",
        do="In a notebook `runs = ['enformer']`; by papermill `-y 'runs: [enformer]'`.",
    )


def _without_twins(runs: pd.DataFrame, given: tables.Tables | None) -> pd.DataFrame:
    """Rows of `runs` without the lead SNP where a linear model is the same one (`top1`)."""
    if given is None or not {"lead_snp", "top1"} <= set(runs["run_id"]):
        return runs
    rows = given["across"].query("population == 'pooled'")
    wide = rows.pivot(index="gene_id", columns="run_id", values="pearson").astype(float)
    wide = wide[["lead_snp", "top1"]].fillna(0)  # without a variant one is constant, one missing
    same = np.allclose(wide["lead_snp"], wide["top1"], atol=1e-6)
    return runs[runs["run_id"] != "lead_snp"] if same else runs


def view_in_memory(given: tables.Tables) -> View:
    """Return tables that lie in no results folder as figures need them."""
    unknown = dict.fromkeys(("genotypes", "expression", "weights"), "as given")
    study = parse_study(
        {
            "name": given.study,
            "title": given.study,
            "reality": unknown,
            "published": {"loader": "memory", "needs": []},
        },
        f"tables of {given.study}",
    )
    nowhere, given = Path(), with_judged(given)
    return View(study, given, nowhere, nowhere, given["runs"], style.colours(given["runs"]))


def about(view: View) -> Provenance | Box:
    """What of a study is real and what simulated; a box where its tables are not there."""
    if view.tables is not None:
        return view.reality()
    name = view.study.name
    if view.study.published:
        how = (
            f"The published tables of {name} are not on this machine. With a network connection:",
            f"howfar fetch {name} && make book",
            "Without one, set HOWFAR_MIRROR to a folder that holds copies of the files first.",
        )
    else:
        how = (f"The study {name} has not been run yet. Run:", f"howfar run --study {name}")
    return Box(f"No figures yet: {view.study.title}", how)


def figure(
    name: str, zero: str = ""
) -> Callable[[Callable[..., Drawn]], Callable[..., style.Shown | Box | None]]:
    """Make a drawing function show its figure, or a box, or nothing.

    zero: what the figure shows of 'genes', 'people' (correlations across them) and 'signs' (shares
    of right ones), with spaces; its caption then names what needs no model (`row_zero.words`).

    The function takes a View (and options) and returns (figure, data, caption), or a text that
    says why this study has no such figure. Nothing is shown where the tables are missing: the
    notebook's first cell has said so.
    """

    def decorate(draw: Callable[..., Drawn]) -> Callable[..., style.Shown | Box | None]:
        """`draw`, its figure saved as ``<name>.<study>``."""

        @functools.wraps(draw)
        def show(view: View | tables.Tables, *args, **kw) -> style.Shown | Box | Figure | None:
            """Draw and save; nothing where the study has no tables.

            Of tables in memory (see `howfar.evaluate`) the figure is returned and nothing saved.
            `width`, `font`, `size` and `palette` change its look, as a study's key `style` does.
            """
            restyled = {key: kw.pop(key) for key in _STYLE & set(kw)}
            if isinstance(view, tables.Tables):
                with style.look(_styled(Style(), restyled)):
                    drawn = draw(view_in_memory(view), *args, **kw)
                    return (
                        Box(NO_FIGURE, (drawn,))
                        if isinstance(drawn, str)
                        else style.finish(drawn[0])
                    )
            if view.tables is None:
                return None
            try:
                with style.look(_styled(view.study.style, restyled)):
                    if "palette" in restyled:
                        view = replace(view, colours=style.colours(view.runs))
                    return _shown(name, view, draw(view, *args, **kw), zero)
            except NotInTables as lacking:
                again = f"Table `numbers` has no row {lacking}: an older version made it. Run:"
                command = f"howfar evaluate --study {view.study.handle}"
                return Box("This figure needs newer tables", (again, command))

        show.file = name
        show.zero = zero
        return show

    return decorate


_STYLE = set(Style.model_fields)


def _styled(given: Style, changes: dict[str, Any]) -> Style:
    """Return the style of a study with options changed; HowfarError for one that is none."""
    try:
        return Style.model_validate(given.model_dump() | changes)
    except ValidationError as error:
        raise wrong_key("figures, style", error) from error


def _shown(name: str, view: View, drawn: Drawn, zero: str) -> style.Shown | Box:
    """What a drawing function made, on disk; or the box that says why there is none."""
    file = f"{name}.{view.study.name}"
    if isinstance(drawn, str):
        style.remove(file, view.output)
        return Box(NO_FIGURE, (drawn,))
    drawing, data, caption = drawn
    data = named_in_order(view, data)
    caption += "".join(row_zero.words(view, what) for what in zero.split())
    caption = f"{caption} {view.reality().notice}".strip()
    return style.save(drawing, data, file, view.output, caption)


def named_in_order(view: View, data: pd.DataFrame) -> pd.DataFrame:
    """Plotted data with genes' names beside their ids, runs in drawing order."""
    if "run_id" in data:
        places = {run: place for place, run in enumerate(view.labels)}
        data = data.sort_values(
            "run_id", key=lambda runs: runs.map(places), kind="stable", ignore_index=True
        )
    if "gene_id" in data and "gene" not in data:
        data.insert(list(data).index("gene_id") + 1, "gene", data["gene_id"].map(view.gene_names))
    return data
