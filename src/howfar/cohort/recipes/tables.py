"""Steps of tables: people, expression, genes, covariates, and the study file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from howfar.cohort.expression import Expression, read_expression
from howfar.cohort.people import (
    common_samples,
    read_covariates,
    read_rows,
    read_sample_map,
    read_samples,
    rename_samples,
)
from howfar.cohort.preprocess.files import write_expression
from howfar.cohort.recipes.job import Job
from howfar.core.errors import HowfarError
from howfar.core.registry import RECIPES
from howfar.genome.genes import read_genes
from howfar.study.schema import Study


def _options(job: Job) -> dict[str, Any]:
    """Options of the expression, which decide who is in the study."""
    return {**job.recipe.steps.get("expression", {}), **job.options}


def _matrix(job: Job, key: str) -> Expression:
    """Expression with its samples named as the genotypes', and swapped samples dealt with.

    The recipe's option swapped names two people whose samples are known to be exchanged; swap says
    whether they are exchanged back, or dropped.
    """
    options = _options(job)
    read = read_expression(job.files[key], options.get("gene_versions", "keep"))
    if "sample_map" in job.files:
        where = f"{job.files['sample_map']} against {job.files[key]}"
        read, counts = rename_samples(read, read_sample_map(job.files["sample_map"]), where)
        job.counts += counts
    elif "ids" in options and "populations" in job.files:
        columns = _columns(job.files["populations"], options["ids"])
        names = dict(zip(*(columns[c] for c in options["ids"]), strict=True))
        read = Expression(read.values.rename(columns=names), read.positions, read.missing)
    pair = [name for name in options.get("swapped", []) if name in read.values.columns]
    if len(pair) < 2:
        return read
    if options.get("swap", "back") == "drop":
        job.notes.append(f"samples known to be swapped, left out: {' and '.join(pair)}")
        return Expression(read.values.drop(columns=pair), read.positions, read.missing)
    job.notes.append(f"samples known to be swapped, exchanged back: {' and '.join(pair)}")
    exchanged = read.values.rename(columns={pair[0]: pair[1], pair[1]: pair[0]})
    return Expression(exchanged[list(read.values.columns)], read.positions, read.missing)


def _columns(path: Path, names: list[str]) -> pd.DataFrame:
    """The columns `names` of a table with a header, as text."""
    rows, first = read_rows(path)
    if len(rows[0]) == 1:  # separated by blanks
        rows = [row[0].split() for row in rows]
    head = [cell.lstrip("#") for cell in rows[0]]
    if absent := [name for name in names if name not in head]:
        raise HowfarError(
            f"{path}, line {first}",
            found=f"no column {absent[0]!r}",
            expected=f"the columns {', '.join(names)}",
            do="Take the file that the recipe names.",
        )
    return pd.DataFrame([r[: len(head)] for r in rows[1:]], columns=head)[names].astype(str)


def people(job: Job, genotyped: list[str]) -> list[str]:
    """Who is in all files, in the genotypes' order; who lacks where is counted."""
    key = "counts" if "counts" in job.files else "expression"
    expressed = list(_matrix(job, key).values.columns) if key in job.files else genotyped
    wanted = None
    if "people" in job.files:
        wanted = list(read_samples(job.files["people"], genotyped).index)
    parents = job.recipe.steps.get("covariates", {}).get("parents")
    if parents and "populations" in job.files:
        sample = job.recipe.steps["covariates"]["columns"][0]
        tree = _columns(job.files["populations"], [sample, *parents])
        born = tree[parents].isin(set(genotyped)).any(axis=1)
        children = set(tree.loc[born, sample])
        wanted = [s for s in (genotyped if wanted is None else wanted) if s not in children]
        job.counts["people left out whose parents are in the genotypes"] = len(children)
    common, report = common_samples(genotyped, expressed, wanted)
    job.counts["people with genotypes, without expression"] = report["without_expression"]
    job.counts["people with expression, without genotypes"] = report["without_genotypes"]
    job.counts["people of the list who are not in all files"] = report.get("wanted_but_absent", 0)
    return common


def _kept(job: Job) -> list[str]:
    return job.files["keep"].read_text("utf-8").split("\n")[:-1]


def expression(job: Job) -> dict[str, Path]:
    """Write the expression of the study's people: as it is, or prepared from counts.

    options: recipe, of `howfar.core.registry.RECIPES`, or null for a matrix that is prepared;
    counts_recipe: the one for `counts`, where they are given; swapped, swap, ids (see `_matrix`).
    """
    key = "counts" if "counts" in job.files else "expression"
    if key not in job.files:
        job.notes.append("no expression given: the study predicts only")
        return {}
    read, everybody = _matrix(job, key), _kept(job)
    values, place = read.values[everybody], read.positions
    recipe = job.options.get("counts_recipe" if key == "counts" else "recipe")
    if recipe:
        more = {"tpm": _matrix(job, "tpm").values[everybody]} if "tpm" in job.files else {}
        known = job.files.get("expression_covariates")
        pairs = read_sample_map(job.files["sample_map"]) if "sample_map" in job.files else None
        table = None if known is None else read_covariates(known, everybody, pairs)
        prepared = RECIPES.load(recipe)(values, table, **more)
        job.counts += prepared.counts
        job.notes.append(f"prepared by the recipe {recipe}: {prepared.units}")
        values, place = prepared.values, None
    job.counts["genes"] = len(values)
    strip = _options(job).get("gene_versions") == "strip"
    bed = place is not None and not strip
    target = job.work / ("expression.bed.gz" if bed else "expression.csv.gz")
    write_expression(values, target, job.files[key] if bed else None)
    return {"expression_table": target}


def genes(job: Job) -> dict[str, Path]:
    """Write the gene table: those with expression, with TSS and strand.

    From `gene_list`, whose places are of the build of the genotypes given, or an annotation
    (`genes`); with both, the list's genes at the annotation's places. Without either the study
    takes the TSS that an expression BED states.
    """
    rows = _gene_rows(job)
    if rows is None:
        job.notes.append("no gene table given: the TSS is the one of the expression BED")
        return {}
    if "expression_table" in job.files:
        known = set(read_expression(job.files["expression_table"]).values.index)
        job.counts["genes of the table without expression, left out"] = int(
            (~rows["gene_id"].isin(known)).sum()
        )
        rows = rows[rows["gene_id"].isin(known)]
    if rows.empty:
        raise HowfarError(
            "genes",
            found="no gene id in common with the expression",
            expected="the same ids",
            do="Give the annotation that the expression was counted on.",
        )
    job.counts["genes"] = len(rows)
    target = job.work / "genes.csv"
    rows.to_csv(target, index=False)
    return {"gene_table": target}


def _gene_rows(job: Job) -> pd.DataFrame | None:
    columns = ["gene_id", "name", "chrom", "tss", "strand"]
    listed = placed = None
    if "gene_list" in job.files:
        names = job.options["columns"]
        listed = pd.read_csv(job.files["gene_list"], header=None, names=names, dtype=str)[columns]
    if "genes" in job.files:
        versions = _options(job).get("gene_versions", "keep")
        every = read_genes(job.files["genes"], gene_versions=versions)
        placed = pd.DataFrame([(g.gene_id, g.name, g.chrom, g.tss, g.strand) for g in every])
        placed.columns = pd.Index(columns)
    if listed is None or placed is None:
        if listed is not None and "chain" in job.files:
            raise HowfarError(
                "genes",
                found="genotypes that were lifted, and a gene list of the build before",
                expected="an annotation of the new build",
                do="Give it: --have genes=FILE.gtf.gz.",
            )
        return placed if listed is None else listed
    both = placed[placed["gene_id"].isin(listed["gene_id"])]
    job.counts["genes of the list that the annotation lacks, left out"] = len(listed) - len(both)
    return both


def covariates(job: Job) -> dict[str, Path]:
    """Write the sample table, and the covariates of eQTLs where the recipe has them.

    options: columns, the table's names of person and population.
    """
    made, everybody = {}, _kept(job)
    if "populations" in job.files:
        path = job.files["populations"]
        if names := job.options.get("columns"):
            table = _columns(path, names).drop_duplicates(names[0])
            known = pd.Series(table[names[1]].to_numpy(), index=table[names[0]])
        else:
            known = read_samples(path)
        groups = known.reindex(everybody)
        job.counts["people without a population"] = int(groups.isna().sum())
        made["sample_table"] = job.work / "samples.csv"
        frame = pd.DataFrame({"sample": everybody, "population": groups.to_numpy()})
        frame.to_csv(made["sample_table"], index=False)
        job.counts["populations"] = frame["population"].nunique()
    if "covariates" in job.files:
        table = read_covariates(job.files["covariates"], everybody)
        made["covariate_table"] = job.work / "covariates.csv"
        table.to_csv(made["covariate_table"])
        job.counts["covariates of eQTLs"] = table.shape[1]
    return made


def study(job: Job) -> dict[str, Path]:
    """Write the study file, with paths that count from it."""
    target = job.work / f"{job.recipe.name}.yaml"
    home = job.work.parents[1] / "study"
    roles = {
        "reference": "reference",
        "variants": "genotypes",
        "genes": "gene_table",
        "expression": "expression_table",
        "samples": "sample_table",
    }
    files = {
        key: os.path.relpath(job.files[role], home)
        for key, role in roles.items()
        if role in job.files
    }
    keys = {k: v for k, v in job.recipe.study.items() if k not in ("individuals", "reality")}
    of = job.recipe.steps.get("expression", {})
    alleles = job.recipe.steps.get("filter", {}).get("alleles", "snv")
    about = {"expression_units": of.get("units", "expression"), "log_base": of.get("log_base")}
    if "covariate_table" in job.files:
        table = os.path.relpath(job.files["covariate_table"], home)
        keys["eqtl"] = {**keys.get("eqtl", {}), "covariates": table}
    if "expression_table" not in job.files:
        keys = {k: v for k, v in keys.items() if k not in ("baselines", "eqtl")}
    text = {
        "name": job.recipe.name,
        "title": job.recipe.title,
        "summary": job.recipe.summary.strip(),
        "individuals": job.recipe.study["individuals"],
        "reality": job.recipe.study["reality"],
        "cohort": {**files, "alleles": alleles, **about},
        **keys,
    }
    Study.model_validate(text)
    head = (
        f"# Written by `howfar cohort {job.recipe.name}`. Next:\n"
        f"#     howfar run --study {target.name} --dry-run\n"
    )
    body = yaml.safe_dump(text, sort_keys=False, width=100, allow_unicode=True)
    target.write_text(head + body, "utf-8")
    return {"study": target}
