"""Slopes that others published, matched by gene, place and alleles."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest

from helpers.commands import invoke
from helpers.strong_eqtls import write_study
from howfar.cohort.expression import read_expression
from howfar.core.errors import HowfarError
from howfar.core.project import resolve
from howfar.eqtl import study_map
from howfar.eqtl.external import read_external
from howfar.evaluation.inputs import read_inputs
from howfar.study.reading import load_study
from howfar.study.schema import Eqtl

LONG = pytest.mark.skipif(os.getenv("HOWFAR_LONG") != "1", reason="simulates the demo: a minute")

OURS = pd.DataFrame(
    [
        ("ENSG1", "chr1:100:A:G"),  # as it stands
        ("ENSG1", "chr1:200:A:G"),  # the other way round
        ("ENSG1", "chr1:300:A:G"),  # letters of the other strand
        ("ENSG1", "chr1:400:A:G"),  # both
        ("ENSG1", "chr1:500:A:T"),  # palindromic, as it stands
        ("ENSG1", "chr1:600:A:T"),  # palindromic, the other way round
        ("ENSG1", "chr1:700:A:G"),  # other alleles
        ("ENSG1", "chr1:800:AT:A"),  # an indel
        ("ENSG2", "chr1:100:A:G"),  # not there
    ],
    columns=["gene_id", "variant"],
)
THEIRS = ["100_A_G", "200_G_A", "300_T_C", "400_C_T", "500_A_T", "600_T_A", "700_A_C", "800_AT_A"]
EXPECTED = {100: 1.0, 200: -2.0, 300: 3.0, 400: -4.0, 500: 5.0, 800: 8.0}


def gtex():
    return pd.DataFrame(
        {
            "variant_id": [f"chr1_{site}_b38" for site in THEIRS],
            "gene_id": "ENSG1.12",
            "pval_nominal": 0.01,
            "slope": np.arange(1.0, 9),
            "slope_se": 0.1,
        }
    )


def catalogue():
    parts = pd.Series(THEIRS).str.split("_", expand=True)
    return pd.DataFrame(
        {
            "molecular_trait_id": "ENSG1",
            "chromosome": "1",
            "position": parts[0],
            "ref": parts[1],
            "alt": parts[2],
            "variant": "rs",
            "pvalue": 0.01,
            "beta": np.arange(1.0, 9),
            "se": 0.1,
        }
    )


def leads():
    return gtex().rename(
        columns={"variant_id": "variant", "slope": "beta", "pval_nominal": "pvalue"}
    )[["gene_id", "variant", "beta", "pvalue"]]


def written(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        text = frame.to_csv(index=False, sep="," if ".csv" in path.name else "\t")
        (gzip.open if path.suffix == ".gz" else open)(path, "wt").write(text)
    return path


@pytest.mark.parametrize(
    "frame", [gtex(), catalogue(), leads()], ids=["gtex", "catalogue", "leads"]
)
@pytest.mark.parametrize("name", ["e.tsv.gz", "e.csv", "e.parquet"])
def test_alleles_are_matched_in_every_format(tmp_path, frame, name):
    external = read_external(written(frame, tmp_path / name), ["ENSG1.3", "ENSG2"])
    found, counts = external.slopes(OURS)
    place = found["variant"].str.split(":").str[1].astype(int)
    assert dict(zip(place, found["slope"], strict=True)) == EXPECTED
    assert (found["p"] == 0.01).all()
    assert counts == {
        f"pairs of {name} with alleles the other way round, sign turned": 2,
        f"pairs of {name} with letters of the other strand": 2,
        f"pairs of {name} at A/T or C/G sites, taken as they stand": 1,
        f"pairs of {name} at A/T or C/G sites the other way round, left out": 1,
        f"pairs of {name} with other alleles, left out": 1,
        f"pairs with a slope of {name}": 6,
        f"pairs without a slope in {name}": 3,
    }


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (gtex().rename(columns={"slope": "x"}), "a gene, a slope"),
        (gtex().assign(gene_id="ENSG9"), "none of the cohort's 1 gene in 8 rows"),
    ],
)
def test_a_file_without_slopes_or_without_the_genes_is_refused(tmp_path, frame, says):
    with pytest.raises(HowfarError, match=says):
        read_external(written(frame, tmp_path / "e.tsv"), ["ENSG1"])


def demo(folder):
    """The demo's cohort, simulated, without its network."""
    study = load_study("demo")
    assert invoke(study, folder / "results", "simulate").exit_code == 0
    models = study.baselines.model_copy(update={"models": ["top1"]})
    without = {"runs": [], "effects": [], "gradients": 0, "cures": None, "finetune": []}
    return study.model_copy(update=without | {"simulate": None, "baselines": models})


def halves(study, folder):
    """Two studies of half of the people each."""
    values = read_expression(resolve(study.cohort.expression), "keep").values
    for k, name in enumerate(("first", "second")):
        file = folder / f"{name}.csv"
        values.iloc[:, k::2].to_csv(file)
        cohort = study.cohort.model_copy(update={"expression": file})
        yield study.model_copy(update={"name": name, "cohort": cohort})


@pytest.mark.parametrize(
    ("whole", "drivers_found", "same_sign"),
    [(write_study, 25, 1), pytest.param(demo, 200, 0.8, marks=LONG)],
    ids=["strong", "demo"],
)
def test_slopes_of_half_the_people_stand_beside_the_weights_of_the_other_half(
    tmp_path, results_folder, whole, drivers_found, same_sign
):
    study = whole(tmp_path).model_copy(update={"individuals": "public"})
    first, second = halves(study, tmp_path)
    mapped = study_map.map_study(first, results_folder, Eqtl(permutations=100))
    pairs = mapped.pairs(mapped.lead["gene_id"])
    gtex_names = "chr" + pairs["variant"].str.removeprefix("chr").str.replace(":", "_")
    theirs = pairs.assign(variant=gtex_names)[["gene_id", "variant", "slope", "slope_se", "p"]]
    file = written(theirs, tmp_path / "half.tsv")
    for external in (None, file):
        options = Eqtl(permutations=100, external=external)
        chosen = second.model_copy(update={"eqtl": options})
        invoke(chosen, results_folder, "baseline")
        inputs = read_inputs(chosen, results_folder)
        drivers = inputs.table("drivers").frame
        if external is None:
            own = drivers.set_index(["gene_id", "variant"])["eqtl_slope"]
    slopes = drivers.set_index(["gene_id", "variant"])["eqtl_slope"]
    given = pairs.set_index(["gene_id", "variant"])["slope"].reindex(slopes.index)
    assert slopes.notna().sum() >= drivers_found
    np.testing.assert_allclose(slopes, given)
    both = slopes.notna() & own.notna()
    print(slopes.notna().sum(), np.mean(np.sign(slopes[both]) == np.sign(own[both])))
    assert not np.allclose(slopes[both], own[both])
    assert np.mean(np.sign(slopes[both]) == np.sign(own[both])) >= same_sign
    assert inputs.cohort.warnings["pairs with a slope of half.tsv"] == slopes.notna().sum()
