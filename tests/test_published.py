"""Loaders of published tables: small made-up files everywhere, the real ones where mirrored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from howfar import published, sources, tables
from howfar.errors import HowfarError
from howfar.published import geuvadis_public, huang2023
from howfar.study import load_study
from sasse_files import make_sasse

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_mirror = pytest.mark.skipif(
    not (SHARED / "mirror" / "MANIFEST.csv").is_file(), reason="no ../shared/mirror here"
)
needs_numbers = pytest.mark.skipif(
    not (SHARED / "expected_numbers.csv").is_file(), reason="no ../shared/expected_numbers.csv"
)

GENES, PEOPLE = 12, 40


# --- made-up files ---------------------------------------------------------------------------


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def keys() -> list[str]:
    """Names in the tables: symbols in lower case; the last gene has none and uses its id."""
    return [*(f"sym{i}" for i in range(GENES - 1)), f"ensg{GENES - 1:011d}"]


def make_huang(folder: Path, rng: np.random.Generator) -> None:
    rows = [
        f"ENSG{i:011d},{1 + i % 5},{10_000 * (i + 1)},{f'SYM{i}' if i < GENES - 1 else ''},+"
        for i in range(GENES)
    ]
    write(folder, huang2023.GENES, "\n".join(rows) + "\n")
    header, lines = ",GENE_ID,name,distance,minor_allele_freq,rvalue,log10pvalue", []
    for i, key in enumerate(keys()):
        given = f"ENSG{i:011d}.3,{key},{100.0 * i},0.2,-0.3,6.5" if i % 4 else f",{key},,,,"
        lines.append(f"{i},{given}")
    write(folder, huang2023.EQTLS, "\n".join([header, *lines]) + "\n")
    models = ["Xpresso", "Enformer", "Basenji2", "ExPecto"]
    frame = pd.DataFrame(rng.normal(size=(GENES, 4)), index=keys(), columns=models)
    write(folder, huang2023.PREDICTIONS, frame.rename_axis("gene").to_csv())


def people() -> list[str]:
    return [f"NA{i:05d}" for i in range(PEOPLE)]


def make_geuvadis(folder: Path, rng: np.random.Generator) -> None:
    """People 0-14 are YRI; 15 random test people per gene; gene 3's Enformer is constant."""
    make_huang(folder, rng)
    level = rng.normal(size=(GENES, 1)) + rng.normal(size=(GENES, PEOPLE)).astype(np.float16)
    observed = pd.DataFrame(level, index=keys(), columns=people())
    random = np.zeros((GENES, PEOPLE), bool)
    for row in random:
        row[rng.choice(PEOPLE, 15, replace=False)] = True
    yoruba = np.tile(np.arange(PEOPLE) < 15, (GENES, 1))
    write(folder, huang2023.COUNTS[0], observed.where(random).to_csv())
    shuffled = observed.where(yoruba).iloc[::-1, ::-1]  # the order of rows and columns is free
    write(folder, huang2023.COUNTS[1], shuffled.to_csv())
    enformer = np.exp(observed * 0.5 + rng.normal(size=observed.shape))
    enformer.iloc[3] = 56.7
    write(folder, geuvadis_public.ENFORMER, enformer.iloc[:8, ::-1].to_csv())
    tested = np.where(np.arange(GENES)[:, None] < 4, random, yoruba)
    for source, *_ in geuvadis_public.LINEAR.values():
        linear = (observed + rng.normal(size=observed.shape)).where(tested).iloc[:8]
        write(folder, source, linear.to_csv())
    samples = pd.DataFrame({"sample": people(), "population": "Non-YRI"})
    samples.loc[:14, "population"] = "YRI"
    write(folder, geuvadis_public.SAMPLES, samples.sample(frac=1, random_state=1).to_csv(index=0))
    lines = [f"./tmp/{key} {0.1 * i - 0.1:.3f} 0.05 0.01 " for i, key in enumerate(keys()[:8])]
    write(folder, geuvadis_public.HERITABILITY, "\n".join(lines) + "\n")


MAKERS: dict[str, Callable] = {
    "huang2023": make_geuvadis,
    "geuvadis_public": make_geuvadis,
    "sasse2023": make_sasse,
}


def load(name: str, folder: Path) -> dict[str, pd.DataFrame]:
    return published.load_published(load_study(name), folder, verify=False)


@pytest.fixture(params=MAKERS)
def made(request, tmp_path) -> tuple[str, Path]:
    MAKERS[request.param](tmp_path, np.random.default_rng(5))
    return request.param, tmp_path


# --- every study -----------------------------------------------------------------------------


def test_frames_keep_their_schemas_and_refer_to_known_runs_and_genes(made):
    name, folder = made
    frames = load(name, folder)
    runs, genes = set(frames["runs"]["run_id"]), set(frames["genes"]["gene_id"])
    assert set(frames["runs"]["study"]) == {name}
    for table, frame in frames.items():
        pd.testing.assert_frame_equal(tables.validate(table, frame, "test"), frame)
        if "run_id" in frame:
            assert set(frame["run_id"]) <= runs, table
        if "gene_id" in frame:
            assert set(frame["gene_id"]) <= genes, table


def test_every_file_that_the_study_needs_is_missed(made):
    name, folder = made
    for need in load_study(name).published.needs:
        content = (folder / need).read_bytes()
        (folder / need).unlink()
        with pytest.raises(HowfarError, match=f"howfar fetch {name}") as error:
            load(name, folder)
        assert need in str(error.value)
        (folder / need).write_bytes(content)
    load(name, folder)


def test_a_file_cut_off_or_replaced_by_an_error_page_is_refused(made):
    name, folder = made
    for need in load_study(name).published.needs:
        content = (folder / need).read_bytes()
        for bad in (b"", b"<html>not found</html>\n", content.split(b"\n")[0][:40]):
            (folder / need).write_bytes(bad)
            with pytest.raises(HowfarError) as error:
                load(name, folder)
            # A shorter gene list is well-formed: other files then have genes it doesn't know.
            assert need in str(error.value) or "unknown genes" in str(error.value), bad
        (folder / need).write_bytes(content)


def test_messages_name_no_person(made):
    name, folder = made
    for need in load_study(name).published.needs:
        content = (folder / need).read_bytes()
        (folder / need).write_bytes(content.replace(b"NA00007", b"NA99999"))
        if (folder / need).read_bytes() != content:
            with pytest.raises(HowfarError) as error:
                load(name, folder)
            assert "NA0" not in str(error.value) and "NA9" not in str(error.value)
        (folder / need).write_bytes(content)


def test_content_other_than_the_catalogues_is_refused(made):
    name, folder = made
    with pytest.raises(HowfarError, match="SHA-256"):
        published.load_published(load_study(name), folder)


def test_an_unknown_loader_is_refused(tmp_path):
    study = load_study("sasse2023")
    other = study.model_copy(
        update={"published": study.published.model_copy(update={"loader": "x"})}
    )
    with pytest.raises(HowfarError, match=r"published\.loader"):
        published.load_published(other, tmp_path)


# --- Geuvadis --------------------------------------------------------------------------------


@pytest.fixture
def geuvadis_files(tmp_path):
    make_geuvadis(tmp_path, np.random.default_rng(7))
    return tmp_path


@pytest.fixture(scope="module")
def geuvadis(tmp_path_factory):
    """Made-up files, not to be changed, and their tables."""
    folder = tmp_path_factory.mktemp("geuvadis")
    make_geuvadis(folder, np.random.default_rng(7))
    return folder, load("geuvadis_public", folder)


def read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, index_col=0)


def joined(folder: Path, source: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and observations, genes by people, joined without the package."""
    first, second = (read(folder / c) for c in huang2023.COUNTS)
    observed = first.fillna(second.loc[first.index, first.columns])
    predicted = read(folder / source)
    return predicted, observed.loc[predicted.index, predicted.columns]


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
    with pytest.raises(HowfarError, match="1 values that differ"):
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
    """Tables of the three studies from the mirrored files, written and read again."""
    results = tmp_path_factory.mktemp("results")
    patch = pytest.MonkeyPatch()
    patch.setenv("HOWFAR_MIRROR", str(SHARED / "mirror"))
    words = [*MAKERS, geuvadis_public.CLASSES]
    assert sources.fetch(words, results / "sources", progress=False).ok
    patch.undo()
    for name in MAKERS:
        published.write_tables(name, results)
    return results, {name: tables.load(name, results) for name in MAKERS}


@needs_mirror
def test_provenance_names_every_input_with_its_checksum(real):
    results, _ = real
    found = tables.read_provenance(tables.path_of(results, "sasse2023", "across"))["inputs"]
    known = sources.sources()
    assert {n: v["sha256"] for n, v in found.items()} == {
        n: known[n].sha256 for n in load_study("sasse2023").published.needs
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


def geuvadis_numbers(found: tables.Tables, classes: pd.Series) -> dict[str, float]:
    across = found["across"]
    pooled = across[across["population"] == "pooled"].set_index(["run_id", "gene_id"])["pearson"]
    enformer = pooled["enformer"].dropna()
    numbers = {
        "H.1c.enformer500.mean": enformer.mean(),
        "H.1c.enformer500.min": enformer.min(),
        "H.1c.enformer500.max": enformer.max(),
        "H.1c.enformer500.neg": (enformer < 0).sum(),
    }
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


def huang_numbers(found: tables.Tables) -> dict[str, float]:
    rows = found["reference"]
    wide = rows.pivot(index="gene_id", columns="run_id", values="prediction")
    observed = rows.drop_duplicates("gene_id").set_index("gene_id")["observed_mean"]
    rho = wide.corr("spearman")
    names = {m.lower(): m for m in ("Enformer", "Basenji2", "ExPecto", "Xpresso")}
    numbers = {f"H.ref.{a}.{b}": rho.loc[i, j] for i, a in names.items() for j, b in names.items()}
    for run, name in names.items():
        numbers[f"H.1b.ref.{name}"] = wide[run].corr(observed, "spearman")
    numbers["H.1b.ref.Enformer.pearsonlog"] = np.log10(wide["enformer"] + 1).corr(observed)
    lead = found["features"].pivot_table(index="gene_id", columns="feature", values="value")
    r, distance = lead["lead_eqtl_r"].dropna(), lead["lead_eqtl_distance"].dropna()
    return numbers | {
        "H.ngenes": len(found["genes"]),
        "H.eqtl.n": len(r),
        "H.eqtl.neg": (r < 0).sum(),
        "H.eqtl.1kb": (distance < 1000).mean(),
        "H.eqtl.medianDist": distance.median(),
        "H.eqtl.medianAbsR": r.abs().median(),
    }


@needs_mirror
@needs_numbers
def test_published_numbers_are_reproduced(real):
    results, found = real
    genes = huang2023.gene_list(published.Files([huang2023.GENES], "", results / "sources"))
    classes = pd.read_csv(results / "sources" / geuvadis_public.CLASSES, index_col=0)["class"]
    classes = classes.rename(index=huang2023.ids_of(genes))
    ours = geuvadis_numbers(found["geuvadis_public"], classes) | huang_numbers(found["huang2023"])
    given = pd.read_csv(SHARED / "expected_numbers.csv").set_index("id").dropna(subset=["value"])
    common = given[given.index.isin(ours)]
    assert len(common) >= 30
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
