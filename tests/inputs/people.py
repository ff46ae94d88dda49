"""Samples, sample maps and covariates."""

from __future__ import annotations

import re

from inputs.case import Commands, Prepare, makers
from inputs.cohort import Files

good, bad = makers("people")


def mapped(text: str) -> Prepare:
    """A sample map of that text, for an expression file of other names."""

    def prepare(files: Files) -> Commands:
        files.put("e.csv", files.expression().add_prefix("RNA-").rename_axis("gene").to_csv())
        files.put("map.csv", text)
        files.settings(cohort__sample_map=files.folder / "map.csv")
        return files.predict_with_expression("e.csv")

    return prepare


_PAIRS = "expression,genotype\n" + "".join(f"RNA-{p},{p}\n" for p in Files.PEOPLE)


def listed(name: str, content: str) -> Prepare:
    """A file of that name and content that says who takes part."""

    def prepare(files: Files) -> Commands:
        files.settings(cohort__samples=files.put(name, content))
        return files.predict()

    return prepare


def person_without_population(files: Files) -> Commands:
    files.change("samples.csv", "P4,Y", "P4,")
    return files.evaluate()


def samples_with_a_blank(files: Files) -> Commands:
    return files.sequences("--samples", "P3, P1")


def samples_with_a_person_too_many(files: Files) -> Commands:
    return files.sequences("--samples", "P1,NOBODY")


def samples_with_a_person_twice(files: Files) -> Commands:
    return files.sequences("--samples", "P1,P1")


def sample_without_expression(files: Files) -> Commands:
    return files.predict("--sample", "NOBODY")


def covariates(text: str) -> Prepare:
    """A file of covariates, for cis-eQTLs."""
    return lambda files: files.eqtl("--covariates", str(files.put("c.tsv", text)))


_AGES = "id\t" + "\t".join(Files.PEOPLE) + "\nage\t30\t40\t50\t35\t45\t55\n"


_TURNED = "\n".join("\t".join(c) for c in zip(*map(str.split, _AGES.splitlines()), strict=True))


def plink_list(files: Files) -> Commands:
    files.put("samples.csv", "F P1\nF P2\nG P5\nG P6\n")
    return files.predict()


_FAMILIES = "\n".join(f"F {row}" for row in _TURNED.replace("\t", " ").splitlines()[1:]) + "\n"


def covariates_by_expression_names(files: Files) -> Commands:
    mapped(_PAIRS)(files)
    return covariates(_AGES.replace("P", "RNA-P"))(files)


CASES = [
    good("a sample map", mapped(_PAIRS), "letters: 3 genes x 6 people"),
    good(
        "a sample map that lacks a person",
        mapped(_PAIRS.replace("RNA-P4,P4\n", "")),
        "sample map lacks: 1",
    ),
    good("a list of one person", listed("people.txt", "P3\n"), "letters: 3 genes x 1 person"),
    good(
        "a plain list of people",
        listed("people.txt", "P1\nP2\nP4\nP6\n"),
        "letters: 3 genes x 4 people",
    ),
    bad("a sample map without header", mapped(_PAIRS.split("\n", 1)[1]), "header with the columns"),
    bad(
        "a sample map with its columns swapped",
        mapped(_PAIRS.replace("expression,genotype", "genotype,expression")),
        "swapped",
    ),
    good("a person's other sample in the sample map", mapped(_PAIRS + "RNA-7,P1\n")),
    bad(
        "an expression sample twice in the sample map",
        mapped(_PAIRS + f"RNA-{Files.PEOPLE[0]},P7\n"),
        "line 8: found an expression sample that",
    ),
    bad(
        "a sample map with an empty cell",
        mapped(_PAIRS + "RNA-7,\n"),
        "line 8: found an empty cell",
    ),
    bad(
        "a list whose header would be a person",
        listed("people.txt", "donor\nP1\nP2\nP3\n"),
        "no genotyped sample",
    ),
    bad("a person twice in the list", listed("people.txt", "P1\nP2\nP2\n"), "1 repeated"),
    bad("a list of other people", listed("people.txt", "A\nB\n"), "0 common"),
    bad("an empty list", listed("people.txt", ""), "an empty file"),
    bad(
        "a sample table without header",
        listed("people.csv", "P1,X\nP2,Y\n"),
        "no column named 'sample'",
    ),
    bad(
        "a person twice in the sample table",
        listed("people.csv", "sample,population\nP1,X\nP1,Y\n"),
        "1 repeated",
    ),
    bad(
        "a list whose first person was taken for a header",
        listed("people.txt", "\n".join(Files.PEOPLE[1:]) + "\n"),
        "one person too few",
    ),
    bad(
        "a person without population", person_without_population, "1 person of 6 without population"
    ),
    good("`--samples` with a blank after a comma", samples_with_a_blank, "12 haplotype"),
    bad(
        "`--samples` with somebody the VCF lacks",
        samples_with_a_person_too_many,
        "1 are not in the file",
    ),
    bad("`--samples` with a person twice", samples_with_a_person_twice, "1 are asked for twice"),
    bad(
        "`--sample` of somebody without expression", sample_without_expression, "not in every input"
    ),
    good("covariates in rows", covariates(_AGES)),
    good("covariates in columns", covariates(_TURNED + "\n")),
    good(
        "a list of PLINK, family and person in each line", plink_list, "letters: 3 genes x 4 people"
    ),
    good(
        "covariates in words, as factors: sex M and F",
        covariates(_AGES + "sex\tF\tM\tF\tM\tM\tF\n"),
    ),
    good("components of PLINK 2, `#FID IID PC1`", covariates("#FID IID PC1\n" + _FAMILIES)),
    good("components of PLINK 1.9, without header", covariates(_FAMILIES)),
    good(
        "covariates by the names of the expression file, with a sample map",
        covariates_by_expression_names,
    ),
    bad(
        "covariates of other people",
        covariates(_AGES.replace("P", "Q")),
        "0 of 6 people in the header",
    ),
    bad(
        "covariates that lack a person",
        covariates(_TURNED.replace("P6\t55", "")),
        "5 in the first column",
    ),
    bad(
        "a covariate with one value for all",
        covariates(re.sub(r"\d\d(?=[\t\n])", "30", _AGES)),
        "one value",
    ),
    bad("a covariate in words", covariates(_AGES.replace("30", "old")), "found 'old'"),
]
