"""A study file to fill in: the project's template, for chosen models and files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from howfar.core.project import project_root

#: Settings of studies of other organisms, by kind, in place of the template's. The ploidy is that
#: of the calls, and every contig's name as good as another. haploid: genes of yeast lie 2 kb apart.
#: inbred: linkage reaches far; most calls have two equal alleles, the phase of others is drawn.
KINDS = {
    "haploid": {
        "cis_window": "20000",
        "window": "20000",
        "variant_types": "all",
        "populations": "false",
    },
    "inbred": {
        "cis_window": "1000000",
        "window": "1000000",
        "populations": "false",
        "genotype_pcs": "5",
        "unphased": "random(1)",
    },
}
#: Keys of `cohort` that are files, and may be left out; without a network the FASTA too.
_OPTIONAL = ("samples",)


@dataclass(frozen=True)
class TemplateRun:
    """A run of a template: a model's name and label, and its other keys as lines of YAML."""

    model: str
    label: str
    keys: str


def fill_template(
    name: str,
    runs: Sequence[TemplateRun] = (),
    files: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    kind: str = "",
) -> str:
    """Return the text of a study file that is complete: every key, with its default.

    runs: of networks; without any, linear models are trained and nothing is fetched. files: paths
    by their key of `cohort`, or 'covariates' of `eqtl`; those that are left out stay as the
    template has them. keys: other keys of `cohort`, as YAML. kind: one of `KINDS`, or '' for
    people.
    """
    text = (project_root() / "data" / "studies" / "template.yaml").read_text("utf-8")
    text = re.sub(r"(?m)^name: \S+", lambda _: f"name: {name}", text)
    for key in (*_OPTIONAL, *(["reference"] if files and not runs else [])):
        text = _with_file(text, key, "null")
    written = {key: _quoted(path) for key, path in (files or {}).items()}
    covariates = written.pop("covariates", "")
    for key, value in (written | dict(keys or {})).items():
        text = _with_file(text, key, value)
    if covariates:
        before = "  # covariates: /data/covariates.txt #"
        text = text.replace(before, f"  covariates: {covariates} #")
    before, _, rest = text.partition("\nruns:\n")
    _, _, after = rest.partition("\n\n")
    text = f"{before}\nruns:{''.join(map(_lines, runs)) or ' [] # no network'}\n\n{after}"
    if not runs:
        pages = "across_individuals, linear_baselines, lead_eqtl, eqtl, tss_distance"
        text = re.sub(r"(?m)^notebooks: .*", f"notebooks: [{pages}]", text)
        text = re.sub(r"(?m)^  models: \[\]", "  models: [top1, enet, blup]", text)
    for key, value in KINDS[kind].items() if kind else ():
        text = re.sub(rf"(?m)^  {key}: \S+", f"  {key}: {value}", text, count=1)
    weights = f"real ({', '.join(run.label for run in runs)})" if runs else "none"
    return text.replace("weights: real (Enformer, Avsec et al. 2021)", f"weights: {weights}")


def _with_file(text: str, key: str, path: str) -> str:
    before, cohort, after = text.partition("\ncohort:\n")
    after = re.sub(rf"(?m)^  {key}: \S+", lambda _: f"  {key}: {path}", after, count=1)
    return before + cohort + after


def _quoted(path: str) -> str:
    return path if re.fullmatch(r"[\w./{}~+-]+", path) and "{" not in path else f'"{path}"'


def _lines(run: TemplateRun) -> str:
    keys = run.keys.strip("\n").splitlines()
    named = [
        f"id: {run.model} # the name of this run in tables and files",
        f"label: {run.label} # its name in figures",
        f"model: {run.model}",
        *([] if "weights:" in run.keys else [f"weights: null # `howfar fetch {run.model}`"]),
        *keys,
        "alleles: null # snv or all; null: as the cohort",
        "readout: null # instead of `tracks`, all of them weighted: `howfar tracks`",
        "strand: both # sense: each gene by its strand's tracks, where they come in pairs",
        "annotation: null # GTF or GFF3 of `bins: exons`; null: cohort.genes",
        "transcripts: merged # or canonical, or a list: whose exons",
        "tissue_tracks: {} # filled in where `tracks` are { LCL: [...], blood: [...] }",
        "licence: null # of the values, where howfar can't know it",
        "device: auto # auto, cpu, cuda, cuda:1",
    ]
    named += [] if "options:" in run.keys else ["options: {} # of the model"]
    return "\n  - " + "\n    ".join(named)
