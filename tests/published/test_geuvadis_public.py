"""Real Geuvadis people: made-up files everywhere, the published ones where mirrored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from helpers.geuvadis_files import GENES, joined, make_geuvadis, read
from helpers.published_studies import SHARED, fetch_mirrored, load, needs_mirror
from howfar import published
from howfar.board import submit
from howfar.board.tasks import answers_of, task_of
from howfar.core.errors import HowfarError
from howfar.fetch import catalogue
from howfar.published import geuvadis_public, huang2023
from howfar.results import tables
from howfar.study.reading import load_study

needs_numbers = pytest.mark.skipif(
    not (SHARED / "expected_numbers.csv").is_file(), reason="no ../shared/expected_numbers.csv"
)
STUDIES = ("sagenet2024", "geuvadis_public")  # with private and with public individuals


@pytest.fixture
def geuvadis_files(tmp_path):
    make_geuvadis(tmp_path, np.random.default_rng(7))
    return tmp_path


@pytest.fixture(scope="module")
def geuvadis(tmp_path_factory):
    """Made-up files, not to be changed, and their tables."""
    folder = tmp_path_factory.mktemp("geuvadis")
    make_geuvadis(folder, np.random.default_rng(7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geuvadis_public, "FEWEST", 1)  # there are 15 Yoruba
        return folder, load("geuvadis_public", folder)


def test_few_people_of_a_population_have_no_row_of_their_own(geuvadis, geuvadis_files):
    kept = load("geuvadis_public", geuvadis_files)["across"]
    assert set(kept["population"]) == {"pooled", "centred", "permuted"}
    every = geuvadis[1]["across"]
    few = every[every["population"].isin(["EUR", "YRI"])]
    assert len(few) and (few["n"] < geuvadis_public.FEWEST).all()
    assert len(kept) == len(every) - len(few)


@pytest.mark.parametrize("run", ["enformer", "elastic_net", "top_snp"])
def test_correlations_are_those_of_scipy_person_by_person(geuvadis, run):
    folder, frames = geuvadis
    source = {"enformer": geuvadis_public.ENFORMER}.get(run) or geuvadis_public.LINEAR[run][0]
    predicted, observed = joined(folder, source)
    yoruba = np.array([int(p[2:]) < 15 for p in predicted.columns])
    table = frames["across"].set_index(["run_id", "gene_id", "population"]).loc[run]
    ids = {f"sym{i}": f"ENSG{i:011d}" for i in range(GENES)}
    checked = 0
    for key in predicted.index:
        for population, chosen in (("pooled", yoruba | True), ("YRI", yoruba), ("EUR", ~yoruba)):
            both = predicted.loc[key].notna() & observed.loc[key].notna() & chosen
            x, y = predicted.loc[key, both], observed.loc[key, both]
            if (ids[key], population) not in table.index:
                assert not both.any()
                continue
            row = table.loc[(ids[key], population)].astype(object)
            assert row["n"] == both.sum()
            if x.nunique() < 2:
                assert pd.isna(row["pearson"])
                continue
            r = reference.pearsonr(x, y)
            assert row["pearson"] == pytest.approx(r.statistic, abs=1e-12)
            assert row["p"] == pytest.approx(r.pvalue, rel=1e-9)
            assert row["spearman"] == pytest.approx(reference.spearmanr(x, y)[0], abs=1e-12)
            interval = r.confidence_interval()
            assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(interval), abs=1e-9)
            checked += 1
    assert checked >= 12


def test_centring_removes_what_populations_differ_by(geuvadis):
    folder, frames = geuvadis
    predicted, observed = joined(folder, geuvadis_public.ENFORMER)
    yoruba = np.array([int(p[2:]) < 15 for p in predicted.columns], float)
    both = observed.loc["sym1"].notna().to_numpy()
    design = np.column_stack([np.ones(both.sum()), yoruba[both]])
    sides = [m.loc["sym1"].to_numpy()[both] for m in (predicted, observed)]
    left, right = (v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in sides)
    rows = frames["across"].set_index(["run_id", "gene_id", "population"])
    row = rows.loc[("enformer", "ENSG00000000001", "centred")]
    r = np.corrcoef(left, right)[0, 1]
    assert row["pearson"] == pytest.approx(r, abs=1e-12)
    df = both.sum() - 3
    assert row["p"] == pytest.approx(2 * reference.t.sf(abs(r) * np.sqrt(df / (1 - r * r)), df))


def test_a_constant_prediction_has_no_correlation_in_any_view(geuvadis):
    rows = geuvadis[1]["across"]
    constant = rows[(rows["run_id"] == "enformer") & (rows["gene_id"] == "ENSG00000000003")]
    assert len(constant) == 5 and constant["pearson"].isna().all() and constant["q"].isna().all()


def test_enformer_split_has_the_genes_and_people_of_the_linear_models(geuvadis):
    people_of = {
        run: set(zip(part["gene_id"], part["sample"], strict=True))
        for run, part in geuvadis[1]["individuals"].groupby("run_id")
    }
    assert people_of["enformer_split"] == people_of["elastic_net"] == people_of["blup"]
    assert people_of["enformer_split"] < people_of["enformer"]


def test_reference_compares_with_the_median_over_the_people_there(geuvadis):
    folder, frames = geuvadis
    both = [read(folder / c) for c in huang2023.COUNTS]
    values = {key: {} for key in both[0].index}
    for frame in both:
        for key, row in frame.iterrows():
            values[key] |= row.dropna().to_dict()
    rows = frames["reference"].set_index(["run_id", "gene_id"])
    for key, given in values.items():
        gene = key.upper() if key.startswith("ensg") else f"ENSG{int(key[3:]):011d}"
        assert rows.loc[("expecto", gene), "observed_mean"] == pytest.approx(
            np.median(list(given.values()))
        )


def test_splits_that_disagree_about_a_person_are_refused(geuvadis_files):
    folder = geuvadis_files
    file = folder / huang2023.COUNTS[1]
    frame = read(file)
    first = read(folder / huang2023.COUNTS[0]).loc[frame.index, frame.columns]
    row, column = np.argwhere((frame.notna() & first.notna()).to_numpy())[0]
    frame.iloc[row, column] += 0.5
    frame.to_csv(file)
    with pytest.raises(HowfarError, match="1 value that differ"):
        load("geuvadis_public", folder)


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        (huang2023.GENES, lambda t: t.replace("SYM1,", "SYM0,", 1), "repeated"),
        (huang2023.GENES, lambda t: t.replace(",10000,", ",ten,"), "whole number"),
        (huang2023.EQTLS, lambda t: t.replace("ENSG00000000001.3", "ENSG00000000009.3"), "agree"),
        (huang2023.EQTLS, lambda t: t.replace("rvalue", "r_value"), "rvalue"),
        (huang2023.PREDICTIONS, lambda t: t.replace("sym1,", "symx,"), "unknown genes"),
        (geuvadis_public.SAMPLES, lambda t: t.replace("Non-YRI", "GBR"), "populations"),
        (geuvadis_public.HERITABILITY, lambda t: t.replace("sym1 ", "sym0 "), "repeated"),
        (geuvadis_public.HERITABILITY, lambda t: t.replace(" 0.05 ", " x "), "column se"),
        (geuvadis_public.LINEAR["blup"][0], lambda t: t.replace("sym2,", "sym1,"), "repeated"),
    ],
)
def test_a_changed_file_is_refused(geuvadis_files, name, change, found):
    folder = geuvadis_files
    before = (folder / name).read_text()
    (folder / name).write_text(change(before))
    assert (folder / name).read_text() != before
    with pytest.raises(HowfarError, match=found):
        load("geuvadis_public", folder)


def test_heritability_keeps_its_sign_and_standard_error(geuvadis):
    rows = geuvadis[1]["features"].set_index(["feature", "gene_id"])
    assert rows.loc[("h2", "ENSG00000000000"), "value"] == pytest.approx(-0.1)
    assert rows.loc[("h2", "ENSG00000000000"), "se"] == 0.05


def test_genes_and_features_keep_what_the_files_say(geuvadis):
    folder, frames = geuvadis
    genes = frames["genes"].set_index("gene_id")
    assert genes.loc["ENSG00000000006", ["name", "chrom", "tss", "strand"]].tolist() == [
        "SYM6",
        "2",
        70_000,
        "+",
    ]
    assert pd.isna(genes.loc["ENSG00000000011", "name"])
    values = frames["features"].set_index(["gene_id", "feature"])["value"]
    names = ["distance", "maf", "r", "log10p"]
    lead = {name: values["ENSG00000000006", f"lead_eqtl_{name}"] for name in names}
    assert lead == {"distance": 600, "maf": 0.2, "r": -0.3, "log10p": 6.5}
    assert ("ENSG00000000004", "lead_eqtl_distance") not in values.index  # no lead eQTL
    observed = joined(folder, geuvadis_public.ENFORMER)[1].loc["sym6"].dropna()
    assert values["ENSG00000000006", "median_expression"] == pytest.approx(observed.median())
    tpm = np.exp(observed)
    assert values["ENSG00000000006", "cv_expression"] == pytest.approx(tpm.std() / tpm.mean())


# --- the real tables -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Tables of a public and a private study from the mirrored files, written and read again."""
    results = tmp_path_factory.mktemp("results")
    fetch_mirrored([*STUDIES, geuvadis_public.CLASSES], results)
    for name in STUDIES:
        published.write_tables(load_study(name), results)
    own = ("individuals", "numbers")
    return results, {name: tables.load_but(own, name, results) for name in STUDIES}


@needs_mirror
def test_provenance_names_every_input_with_its_checksum(real):
    results, _ = real
    found = tables.read_provenance(tables.path_of(results, "geuvadis_public", "across"))["inputs"]
    known = catalogue.sources()
    assert {n: v["sha256"] for n, v in found.items()} == {
        n: known[n].sha256 for n in load_study("geuvadis_public").published.needs
    }


@needs_mirror
def test_real_individuals_lie_apart_and_only_where_public(real):
    results, _ = real
    assert {p.parent.parent.name for p in results.glob("*/individuals/*.parquet")} == {
        "geuvadis_public"
    }
    frame = tables.read(tables.path_of(results, "geuvadis_public", "individuals"), "individuals")
    assert frame.notna()[["predicted", "observed"]].all(axis=None)
    shareable = results / "geuvadis_public" / "tables"
    for file in shareable.glob("*.parquet"):
        text = pd.read_parquet(file).select_dtypes(exclude="number").to_csv()
        assert not any(s in text for s in frame["sample"].unique()), file.name


@needs_mirror
def test_the_boards_rows_are_the_tables_correlations(real):
    """Of the task's people; a constant prediction counts as r = 0."""
    results, found = real
    answers = answers_of(task_of("geuvadis"), results)
    assert (answers.asked.sum(axis=1) == 77).all() and len(answers.genes) == 400
    assert not (answers.asked & answers.known).any()
    across = found["geuvadis_public"]["across"].query("population == 'pooled'")
    rows = {each.submission.label: each.submission for each in submit.published(answers)}
    for run, label in (("enformer_split", "Enformer (test people)"), ("blup", "BLUP")):
        r = across.loc[across["run_id"] == run, "pearson"].fillna(0)
        assert rows[label].mean_r == pytest.approx(r.mean(), abs=1e-4) and len(r) == 400


def geuvadis_numbers(found: tables.Tables, classes: pd.Series) -> dict[str, float]:
    across = found["across"]
    pooled = across[across["population"] == "pooled"].set_index(["run_id", "gene_id"])["pearson"]
    numbers = {}
    names = {
        "top1": "top_snp",
        "lasso": "lasso",
        "enet": "elastic_net",
        "bslmm": "bslmm",
        "baseline": "enformer_split",
    }
    for word, run in names.items():
        for split, label in (("random_split", "random"), ("yri_split", "pop")):
            r = pooled[run].reindex(classes[classes == split].index).fillna(0)
            assert len(r) == 200
            numbers[f"R.ind.{word}.{label}"] = r.mean()
            numbers[f"R.ind.{word}.{label}.neg"] = (r < 0).sum()
    features = found["features"].set_index(["feature", "gene_id"])["value"]
    for split in ("random_split", "yri_split"):
        h2 = features["h2"].reindex(classes[classes == split].index)
        numbers[f"R.h2.all_samples.{split}"] = np.sqrt(h2.clip(lower=0)).mean()
    counts = found["within"]["population"].value_counts()
    return numbers | {"R.split.yri": counts["YRI"], "R.split.nonyri": counts["EUR"]}


@needs_mirror
@needs_numbers
def test_published_numbers_are_reproduced(real):
    results, found = real
    genes = huang2023.gene_list(published.Files([huang2023.GENES], "", results / "sources"))
    classes = pd.read_csv(results / "sources" / geuvadis_public.CLASSES, index_col=0)["class"]
    classes = classes.rename(index=huang2023.ids_of(genes))
    ours = geuvadis_numbers(found["geuvadis_public"], classes)
    given = pd.read_csv(SHARED / "expected_numbers.csv").set_index("id").dropna(subset=["value"])
    common = given[given.index.isin(ours)]
    assert len(common) >= 12
    wrong = {
        i: (ours[i], row["value"])
        for i, row in common.iterrows()
        if abs(ours[i] - row["value"]) > row["tolerance"] + 1e-8
    }
    assert not wrong


@needs_mirror
def test_geuvadis_as_the_readers_are_told(real):
    """Means, ranges and spreads that the book states in words."""
    across = real[1]["geuvadis_public"]["across"]
    pooled = across[(across["run_id"] == "enformer") & (across["population"] == "pooled")]
    r = pooled["pearson"].dropna()
    assert (len(r), round(r.mean(), 4)) == (499, 0.0438)
    assert (pooled["n"].min(), pooled["n"].max()) == (132, 148)
    assert (round(r.min(), 2), round(r.max(), 2), round(r.std(), 3)) == (-0.80, 0.75, 0.179)
    permuted = across[(across["run_id"] == "enformer") & (across["population"] == "permuted")]
    assert permuted["pearson"].std() == pytest.approx(0.085, abs=0.01)
    assert not (permuted["q"] < 0.05).any()
