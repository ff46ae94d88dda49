"""Study files."""

from __future__ import annotations

from inputs.case import Commands, Prepare, makers, written
from inputs.cohort import Files

good, bad = makers("study")


def study_with(old: str, new: str) -> Prepare:
    """The study file, the first match of the regular expression `old` replaced."""

    def prepare(files: Files) -> Commands:
        files.change("study.yaml", old, new)
        return files.predict()

    return prepare


def no_such_study(files: Files) -> Commands:
    return [["predict", "--study", "nowhere"]]


def gene_that_the_gene_table_lacks(files: Files) -> Commands:
    return files.predict("--gene", "FOUR")


def run_that_the_study_lacks(files: Files) -> Commands:
    return files.predict("--run", "other")


def evaluation_without_predictions(files: Files) -> Commands:
    return files.evaluate()[1:]


def no_output_named(files: Files) -> Commands:
    return [[w for w in files.sequences()[0] if w != "--checksums" and "windows.csv" not in w]]


CASES = [
    bad(
        "a key misspelt",
        study_with("variants:", "varients:"),
        "key cohort.varients: found a key that doesn't exist",
    ),
    bad(
        "a value of another type",
        study_with("null_draws: 100", "null_draws: many"),
        "evaluation.null_draws",
    ),
    bad(
        "two keys misspelt and one of another type",
        study_with("variants:", "varients: x\n  refrence: y\n  max_n: z\n  variants:"),
        "key cohort.varients: .* Wrong too: key cohort.refrence .found a key that doesn't exist.*"
        "key cohort.max_n .found 'z'; expected a number",
    ),
    bad("a share above its limit", study_with("min_maf: 0.1", "min_maf: 1.5"), "min_maf"),
    bad("a key twice", study_with("folds: 2", "folds: 2\n  folds: 3"), "key 'folds' twice"),
    bad("text that is not YAML", study_with("^name: tiny", "name: [tiny"), "not YAML"),
    bad(
        "an unknown rule for unphased calls",
        study_with("log_base: null", "unphased: guess"),
        "unphased",
    ),
    bad("a run id with a slash", study_with("id: letters", "id: a/b"), "runs.0.id"),
    bad(
        "a transform that leaves bins",
        study_with("  label: Letters", "  label: Letters\n  transform: [log]"),
        "transform",
    ),
    bad(
        "a reference that isn't there",
        study_with("reference.fa", "absent.fa"),
        "the reference file of study",
    ),
    bad("no such study", no_such_study, "no such file"),
    bad("an empty study file", written("study.yaml", "", Files.predict), "study.yaml"),
    bad(
        "a gene that the gene table lacks", gene_that_the_gene_table_lacks, "no gene 'FOUR' among 3"
    ),
    bad("a run that the study lacks", run_that_the_study_lacks, "no run 'other' among letters"),
    bad(
        "an evaluation without predictions",
        evaluation_without_predictions,
        "predictions of 0 genes",
    ),
    bad("no output named", no_output_named, "found neither"),
    good(
        "a study file with `<<`", study_with("  folds: 2", "  <<: {folds: 2}"), "letters: 3 genes"
    ),
    bad(
        "a date that doesn't exist",
        study_with("^title: .*", "title: 2020-13-45"),
        "month must be in 1..12",
    ),
    bad("a number of 5,000 digits", study_with("folds: 2", "folds: " + "9" * 5_000), "not YAML"),
    bad(
        "a study named as a folder of the results",
        study_with("name: tiny", "name: sources"),
        "key name",
    ),
    bad("a run id of dots", study_with("id: letters", "id: .."), "runs.0.id"),
    bad(
        "a run id that YAML reads as no",
        study_with("id: letters", "id: no"),
        "runs.0.id: found False",
    ),
    bad(
        "a negative seed", study_with("null_draws: 100", "seed: -100"), "greater than or equal to 0"
    ),
    bad(
        "a window beyond any contig",
        study_with("null_draws: 100", "cis_window: 99999999999"),
        "cis_window",
    ),
    bad(
        "a logarithm to an infinite base",
        study_with("log_base: null", "log_base: .inf"),
        "finite number",
    ),
    bad(
        "a list where a block belongs",
        study_with("evaluation:\n(  .*\n)+", "evaluation: [a, b]\n"),
        "key evaluation: found a list: a, b",
    ),
    bad(
        "a linear model of less than no genes",
        study_with(r"\Z", "baselines: {models: [top1], genes: {top1: -100}}\n"),
        "baselines.genes.top1",
    ),
    bad(
        "an option that the run has as a key",
        study_with("  label: Letters", "  label: Letters\n  options: {batch_size: 2}"),
        "keys of the run",
    ),
    bad(
        "a bin twice",
        study_with("  label: Letters", "  label: Letters\n  bins: [1, 1]"),
        "more than once",
    ),
    bad(
        "more bins than there are",
        study_with("  label: Letters", "  label: Letters\n  bins: centre999999999"),
        "bins from 0 to 7",
    ),
    bad("a track twice", study_with(r"  tracks:\n.*\n.*\n", "  tracks: [0, 0]\n"), "each once"),
    bad("no track", study_with(r"  tracks:\n.*\n.*\n", "  tracks: []\n"), "no track"),
    bad(
        "a track by its description alone",
        study_with(r"  - index: 0\n    desc", "  - desc"),
        "the keys description",
    ),
    bad(
        "a model by a path within a package",
        study_with("inputs.cohort:letter_counts", '".x:y"'),
        "relative import",
    ),
    bad(
        "a study file in Latin-1",
        written("study.yaml", "title: caf\xe9\n".encode("latin-1"), Files.predict),
        "no UTF-8",
    ),
    bad(
        "a study file of 10,000 brackets",
        written("study.yaml", "[" * 10_000, Files.predict),
        "brackets without end",
    ),
    bad(
        "a study file with tabs",
        written("study.yaml", "cohort:\n\treference: x\n", Files.predict),
        "line 2: found text that is not YAML",
    ),
]
