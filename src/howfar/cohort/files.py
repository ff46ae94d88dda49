"""A study's input files."""

from __future__ import annotations

from pathlib import Path

from howfar.core.errors import HowfarError, no_such_file
from howfar.core.project import resolve, results_root
from howfar.genome.genotypes.open import default_unphased, variant_files
from howfar.genome.genotypes.vcf_zarr import is_zarr
from howfar.study.schema import FILES, Cohort, Study


def input_files(study: Study) -> dict[str, Path]:
    """The cohort's input files by role; empty for a study of published tables.

    Genotypes in several files have roles that begin with 'variants ' (see `variant_files`),
    expression of further tissues such with 'expression '.
    """
    given = {role: getattr(study.cohort, role) for role in FILES} if study.cohort else {}
    files = {role: resolve(path) for role, path in given.items() if path is not None}
    more = list(study.cohort.tissues.items())[1:] if study.cohort else []
    files |= {f"expression {tissue}": resolve(path) for tissue, path in more}
    return files | (variant_files(files["variants"]) if files else {})


def is_here(path: Path) -> bool:
    """Whether an input is there: a file, or a folder of VCF Zarr."""
    return path.is_file() or is_zarr(path)


def own_files(study: Study) -> list[Path]:
    """Return the files that the user brings to a study: what it doesn't simulate or train.

    Folders of weights stand for what is in them.
    """
    files = list(input_files(study).values())
    if study.simulate:  # which writes into the results folder alone
        files = [path for path in files if results_root() not in path.resolve().parents]
    more = study.eqtl_files
    more += [path for run in study.runs for path in run.weight_files]
    own = {resolve(path) for path in more} - set(study.trained_weights)
    return [*files, *sorted(own), *(path for run in study.runs for path in run.option_files)]


def cohort_of(study: Study) -> Cohort:
    """The `cohort` block of a study file; HowfarError for a study of published tables."""
    if study.cohort is None:
        raise HowfarError(
            study.place,
            found="published tables, without a cohort",
            expected="a study with a `cohort`",
            do="Name a study that is computed, such as demo.",
        )
    return study.cohort


def unphased_rule(study: Study) -> str:
    """What is done with unphased calls: as the study says, else as befits its files."""
    cohort = cohort_of(study)
    return cohort.unphased or default_unphased(resolve(cohort.variants))


def require_inputs(study: Study) -> None:
    """Raise HowfarError for a study without a cohort, and the first file that isn't there."""
    cohort_of(study)
    for role, path in input_files(study).items():
        if not is_here(path):
            make = f"Run `howfar simulate --study {study.handle}`." if study.simulate else ""
            key = f"cohort.{role.split()[0]}"
            correct = f"Correct {key} in the study file, or put the file there."
            raise no_such_file(path, f"the {role} file of study {study.name}", make or correct)
