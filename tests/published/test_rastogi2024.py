"""Rastogi et al. 2024: made-up files everywhere, the published ones where mirrored."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from helpers.geuvadis_files import joined, read
from helpers.published_studies import evaluate, expected, fetch_mirrored, given, load, needs_mirror
from helpers.rastogi_files import TESTED, make_rastogi, positions, variant
from howfar.core.errors import HowfarError
from howfar.published import huang2023
from howfar.published import rastogi2024_causal as causal
from howfar.published import rastogi2024_individuals as individuals
from howfar.published import rastogi2024_performance as performance
from howfar.published import rastogi2024_variants as variants
from howfar.published.files import Files
from howfar.published.rastogi2024_methods import BY_RUN, METHODS
from howfar.results import number_rows, tables
from howfar.study.reading import load_study
from howfar.study.schema import Evaluation

STUDY = "rastogi2024"
WEIGHTED = {m.weights: m for m in METHODS if m.weights}


# --- made-up files ---------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    patch = pytest.MonkeyPatch()
    patch.setattr(number_rows, "_DRAWS", 100)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> tuple[Path, dict[str, pd.DataFrame]]:
    folder = tmp_path_factory.mktemp("made")
    make_rastogi(folder, np.random.default_rng(3))
    return folder, load(STUDY, folder)


@pytest.fixture
def made(first, tmp_path) -> Path:
    return Path(shutil.copytree(first[0], tmp_path, dirs_exist_ok=True))


def files(folder: Path) -> Files:
    return Files([], STUDY, folder, verify=False)


def value_of(frames: dict[str, pd.DataFrame]) -> pd.Series:
    return frames["numbers"].set_index("id")["value"]


def edit(folder: Path, name: str, row: int, column: str, new, **kw) -> None:
    table = pd.read_csv(folder / name, **kw)
    table.loc[row, column] = new
    table.to_csv(folder / name, index=False)


def rewrite(folder: Path, member: str, change) -> None:
    """The archive of weights with the text of one member changed."""
    with tarfile.open(folder / causal.WEIGHTS) as archive:
        texts = {m.name: archive.extractfile(m).read().decode() for m in archive}
    texts[member] = change(texts[member])
    with tarfile.open(folder / causal.WEIGHTS, "w:gz") as archive:
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))


def test_every_table_keeps_its_schema_and_refers_to_known_runs_and_genes(first):
    _, frames = first
    runs, genes = set(frames["runs"]["run_id"]), set(frames["genes"]["gene_id"])
    labels = set(frames["runs"]["label"])
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(tables.validate(name, frame, "test"), frame)
        assert "run_id" not in frame or set(frame["run_id"]) <= runs
        assert "gene_id" not in frame or set(frame["gene_id"]) <= genes
    methods = set(frames["summary"]["method"])
    assert methods <= labels | {"test alleles", "test people"}
    assert len(runs) == len(labels) == len(METHODS)


def test_every_number_has_a_definition_and_a_source(first):
    numbers = first[1]["numbers"]
    assert len(numbers) == 174 and numbers["id"].str.startswith("R.").all()
    assert numbers[["value", "n", "definition", "source"]].notna().all(axis=None)
    inside = numbers.dropna(subset=["ci_low"])
    assert (inside["ci_low"] <= inside["value"] + 1e-9).all()
    assert (inside["value"] <= inside["ci_high"] + 1e-9).all()


def test_one_changed_cell_a_file_moves_its_own_numbers_and_no_others(first, made):
    name = performance.SUMMARIES[""]
    table = pd.read_csv(made / name)
    tuned = table["Model"].str.startswith("regression_data_seed_7_") & table["Model"].str.endswith(
        "3"
    )
    row = int(np.flatnonzero(tuned)[0])
    column = performance.column("random_split")
    edit(made, name, row, column, table.loc[row, column] + 0.3)
    edit(made, performance.SUMMARIES["_2024"], row, column, 0.9)
    scaling = pd.read_csv(made / performance.SCALING)
    chosen = int(np.flatnonzero(scaling["Subsample Ratio"] == 40)[1])
    edit(made, performance.SCALING, chosen, performance.column("yri_split", "_abs"), 0.9)
    edit(made, performance.SCALING, chosen, performance.column("yri_split"), 0.9)
    people = read(made / individuals.PREDICTIONS["bslmm"])
    people.loc["sym1", people.loc["sym1"].first_valid_index()] += 100
    people.to_csv(made / individuals.PREDICTIONS["bslmm"])
    file = made / "rastogi2024/heritability.test_samples.tsv"
    file.write_text(file.read_text().replace("./tmp/sym5 ", "./tmp/sym5 9"))
    drivers = pd.read_csv(made / variants.DRIVERS)
    lasso = drivers["model"] == "LASSO"
    drivers.loc[lasso, "TSS_dist"] += 7
    drivers.to_csv(made / variants.DRIVERS, index=False)
    draws = pd.read_csv(made / variants.DNASE)
    edit(made, variants.DNASE, int(np.flatnonzero(draws["model"] == "BLUP")[5]), "enrichment", 99)
    before, after = value_of(first[1]), value_of(load(STUDY, made))
    changed = set(before.index[~np.isclose(before, after, rtol=1e-12, atol=1e-12)])
    assert changed == {
        *("R.Pairwise_Regression.random", "R.rare.af0.0.random", "R.6.blup40.pop"),
        *("R.ind.bslmm.random", "R.h2.test_samples.yri_split", "R.drv.LASSO.tss", "R.dnase.BLUP"),
    }
    key = "R.Pairwise_Regression.random"
    assert after[key] - before[key] == pytest.approx(0.1)
    assert after["R.drv.LASSO.tss"] - before["R.drv.LASSO.tss"] == pytest.approx(7)


def test_a_heavier_causal_variant_moves_its_method_alone(first, made):
    def heavy(text: str) -> str:
        lines = text.splitlines()
        lines[3] = lines[3].rsplit("\t", 1)[0] + "\t-99"
        return "\n".join(lines)

    rewrite(made, "WEIGHTS/sym2.bslmm.weights.txt", heavy)
    before, after = value_of(first[1]), value_of(load(STUDY, made))
    changed = set(before.index[~np.isclose(before, after, rtol=1e-12, atol=1e-12)])
    assert changed == {"R.mage.top10.bslmm", "R.mpra.top10.bslmm", "R.mage.auroc.bslmm"}
    key = "R.mage.top10.bslmm"
    assert after[key] - before[key] == pytest.approx(1 / len(TESTED))


def test_the_older_summary_has_a_set_of_its_own(made):
    table = pd.read_csv(made / performance.SUMMARIES["_2024"])
    row = int(np.flatnonzero(table["Model"] == "BSLMM")[0])
    edit(made, performance.SUMMARIES["_2024"], row, performance.column("yri_split"), 0.77)
    both = {v: performance.read_summary(files(made), v) for v in performance.SUMMARIES}
    summary = performance.summaries(both, performance.read_scaling(files(made)))
    mine = summary[(summary["method"] == "BSLMM") & (summary["group"] == "yri_split")]
    assert mine.set_index("set").loc["performance_2024", "value"] == pytest.approx(0.77)
    assert mine.set_index("set").loc["performance", "value"] < 0.3


def test_a_linear_model_has_no_row_for_unseen_genes_and_copies_count_once(first):
    summary = first[1]["summary"]
    linear = summary[summary["method"].isin(["BLUP", "Lasso", "Lead SNP"])]
    assert "unseen" not in set(linear.loc[linear["set"].str.startswith("perf"), "group"])
    whole = summary[(summary["set"] == "training_size") & (summary["x"] == 1.0)]
    assert (whole["method"] == "BLUP").sum() == 2  # one row a class, though the file has three
    assert (whole["method"] == "Pairwise regression").sum() == 9


def test_a_constant_prediction_is_missing_per_gene_and_0_in_the_mean(first):
    across = first[1]["across"]
    part = across[(across["run_id"] == "enformer") & (across["population"] == "random_split")]
    assert part["pearson"].isna().sum() == 1
    mean = value_of(first[1])["R.ind.baseline.random"]
    assert mean == pytest.approx(part["pearson"].fillna(0).mean())
    assert set(part["n"]) == {15}


def test_effects_are_those_of_the_files_zero_where_a_method_has_no_weight(first):
    effects = first[1]["effects"].set_index(["run_id", "variant"])
    ism = read(first[0] / causal.ISM.format("sym2"))["ISM"]
    name = variant("sym2", 3)
    fine = effects.loc[[("enformer", name)]]
    fine = fine[fine["source"].str.startswith("MAGE")].iloc[0]
    assert fine["effect"] == pytest.approx(ism[name]) and fine["pip"] == 0.95
    nothing = effects.loc[[("top_snp", variant("sym2", 8))]].iloc[0]
    assert nothing["effect"] == 0 and nothing["distance"] == positions("sym2")[8] - 30_000


def test_allele_order_alternative_then_reference(made):
    found = causal.read_weights(files(made))
    assert variant("sym0", 0) in found["blup"].by_gene["sym0"].index
    swap = lambda text: text.replace("\tG\tA\t", "\tA\tG\t")  # noqa: E731
    for name in ("blup", "bslmm", "enet", "lasso", "top1"):
        rewrite(made, f"WEIGHTS/sym0.{name}.weights.txt", swap)
    found = causal.read_weights(files(made))
    with pytest.raises(HowfarError, match="pairs that BLUP's weights lack"):
        causal.check_known(files(made), causal.MAGE, causal.read_mage(files(made)), found["blup"])


def test_lines_of_na_are_weights_of_0(made):
    lasso = causal.read_weights(files(made))["lasso"].by_gene["sym3"]
    assert len(lasso) == 20 and (lasso == 0).sum() == 15


def test_ties_share_a_rank_and_the_edge_of_the_top_counts():
    shares = causal.rank_shares(pd.Series([0.0, 0, 0, 0, -3, 1, 2, 0, 0, 0]))
    assert shares.tolist() == [0.4, 0.4, 0.4, 0.4, 1.0, 0.8, 0.9, 0.4, 0.4, 0.4]
    assert causal.in_top(shares.to_numpy(), np.array([0.1]))[:, 0].sum() == 2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.replace("\t", " ", 1), "line 1"),
        (lambda t: t.replace("snp_", "snp", 1), "line 1"),
        (lambda t: t + "snp_1_77\tG\tA\t0.5\n", "that BLUP lacks"),
    ],
)
def test_a_broken_weight_file_is_refused_with_its_line(made, change, match):
    rewrite(made, "WEIGHTS/sym4.enet.weights.txt", change)
    with pytest.raises(HowfarError, match=match):
        causal.read_weights(files(made))


def test_an_archive_cut_off_is_refused(made):
    content = (made / causal.WEIGHTS).read_bytes()
    (made / causal.WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(HowfarError, match=r"WEIGHTS\.tar\.gz"):
        causal.read_weights(files(made))


@pytest.mark.parametrize("new", ["regresion_data_seed_7_lr_1", "BSLMM"])
def test_an_unknown_or_repeated_model_is_refused(made, new):
    edit(made, performance.SUMMARIES[""], 3, "Model", new)
    with pytest.raises(HowfarError, match="perf_summary"):
        performance.read_summary(files(made))


def test_other_test_people_in_one_file_are_refused_without_naming_one(made):
    people = read(made / individuals.PREDICTIONS["lasso"])
    row = people.loc["sym6"]
    people.loc["sym6", row.first_valid_index()] = np.nan
    people.to_csv(made / individuals.PREDICTIONS["lasso"])
    with pytest.raises(HowfarError, match="other test people") as error:
        load(STUDY, made)
    assert "NA0" not in str(error.value)


def _genes(f: Files) -> pd.DataFrame:
    return huang2023.gene_list(f)


def _classes(f: Files) -> pd.Series:
    return individuals.gene_classes(f, _genes(f))


READERS = {
    performance.SUMMARIES["_2024"]: lambda f: performance.read_summary(f, "_2024"),
    performance.SCALING: performance.read_scaling,
    individuals.CLASS_FILE: _classes,
    individuals.SAMPLES: individuals.split_sizes,
    "rastogi2024/heritability.test_samples.tsv": lambda f: individuals.heritability(
        f, _genes(f), _classes(f)
    ),
    variants.DRIVERS: lambda f: variants.read_drivers(f, _genes(f)),
    variants.DNASE: variants.dnase,
    variants.UNSEEN: lambda f: variants.read_unseen(f, _genes(f), _classes(f)),
    variants.COUNTS: lambda f: variants.unseen_shares(f, _genes(f)),
    causal.MAGE: causal.read_mage,
    causal.MPRA: causal.read_mpra,
    causal.WEIGHTS: causal.read_weights,
    causal.ISM.format("sym3"): lambda f: causal.read_ism(
        f, ["sym3"], causal.read_weights(f)["blup"]
    ),
}


@pytest.mark.parametrize(
    "name", [variants.DRIVERS, variants.DNASE, variants.UNSEEN, causal.MAGE, performance.SCALING]
)
def test_a_file_with_fewer_columns_is_refused(made, name):
    sep = "\t" if name == causal.MAGE else ","
    pd.read_csv(made / name, sep=sep).iloc[:, :2].to_csv(made / name, sep=sep, index=False)
    with pytest.raises(HowfarError, match=name.split("/")[-1].split(".")[0]):
        READERS[name](files(made))


@pytest.mark.parametrize("name", READERS)
def test_a_file_lost_cut_off_or_replaced_by_an_error_page_is_refused(made, name):
    READERS[name](files(made))
    content = (made / name).read_bytes()
    for bad in (b"", b"<html>not found</html>\n", content[: len(content) // 2], None):
        (made / name).unlink()
        if bad is not None:
            (made / name).write_bytes(bad)
        with pytest.raises(HowfarError) as error:
            READERS[name](files(made))
            pytest.fail(f"accepted {bad!r:.60}")
        assert name in str(error.value)
        (made / name).write_bytes(content)


# --- the real tables -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> tuple[Path, pd.Series]:
    """The folder of the fetched files and the numbers, as `howfar evaluate` writes them."""
    results = tmp_path_factory.mktemp("results")
    study = load_study(STUDY)
    folder = fetch_mirrored(study.fetch_names, results)
    evaluate(study.model_copy(update={"evaluation": Evaluation(bootstrap=100)}), results)
    numbers = tables.load(STUDY, results)["numbers"].set_index("id")["value"]
    return folder, numbers


@needs_mirror
@pytest.mark.parametrize(("key", "value", "tolerance"), given(STUDY))
def test_given_numbers_are_reproduced(real, key, value, tolerance):
    assert real[1][key] == pytest.approx(value, abs=tolerance + 1e-8)


@needs_mirror
def test_every_listed_number_is_there(real):
    assert set(expected(STUDY)["id"]) <= set(real[1].index)


@needs_mirror
def test_second_way_averages_of_the_summary_by_a_plain_pattern(real):
    folder, ours = real
    table = pd.read_csv(folder / performance.SUMMARIES[""])
    for method in (m for m in METHODS if m.number):
        names = table["Model"].str.replace(r"_data_seed_(42|7|97)_lr_[\d.]+_wd_[\d.]+_rcprob_0.5_"
                                           "rsmax_3$", "", regex=True)  # fmt: skip
        part = table[names == method.summary]
        assert len(part) == (3 if names.ne(table["Model"])[part.index].all() else 1)
        for kind, prefix in (("PearsonR", "R."), ("|PearsonR|", "R.abs.")):
            for gene_class, short in (("random_split", "random"), ("yri_split", "pop")):
                mean = part[f"{gene_class} Genes Avg {kind}"].mean()
                assert ours[f"{prefix}{method.number}.{short}"] == pytest.approx(mean, abs=1e-12)


def mean_r(folder: Path, source: str, mask: pd.DataFrame | None = None) -> dict[str, float]:
    """Mean r per class of the predictions in a file, joined and correlated without the package."""
    predicted, observed = joined(folder, source)
    if mask is not None:
        kept = predicted.index.intersection(mask.index)
        predicted = predicted.loc[kept].where(mask.loc[kept, predicted.columns].notna())
        observed = observed.loc[kept, predicted.columns]
    flat = predicted.nunique(axis=1) < 2
    r = predicted.corrwith(observed, axis=1).where(~flat, 0.0)
    classes = pd.read_csv(folder / individuals.CLASS_FILE, index_col=0)["class"]
    return r.groupby(classes).mean().to_dict()


@needs_mirror
def test_second_way_people_one_by_one(real):
    folder, ours = real
    mask = read(folder / individuals.PREDICTIONS["elastic_net"])
    for run in ("lasso", "enformer"):
        found = mean_r(folder, individuals.PREDICTIONS[run], mask)
        for gene_class, short in (("random_split", "random"), ("yri_split", "pop")):
            key = f"R.ind.{BY_RUN[run].weights}.{short}"
            assert ours[key] == pytest.approx(found[gene_class], abs=1e-9)


@needs_mirror
def test_second_way_blup_from_individual_predictions(real):
    """The summary was made before expression was rounded to float16: agreement to 1e-4."""
    folder, ours = real
    for percent in (20, 100):
        names = [individuals.BLUP.format(percent, i) for i in (1, 2, 3)][: 1 if percent > 99 else 3]
        found = pd.DataFrame([mean_r(folder, name) for name in names]).mean()
        assert ours[f"R.6.blup{percent}.random"] == pytest.approx(found["random_split"], abs=1e-4)
        assert ours[f"R.6.blup{percent}.pop"] == pytest.approx(found["yri_split"], abs=1e-4)


@pytest.fixture(scope="module")
def raw_weights(real) -> dict[str, dict[str, float]]:
    """|weight| by variant of each text in the archive, read without the package."""
    found = {}
    with tarfile.open(real[0] / causal.WEIGHTS) as archive:
        for member in archive:
            if not member.name.endswith(".weights.txt"):
                continue
            text = archive.extractfile(member).read().decode()
            lines = [line.split("\t") for line in text.splitlines() if line[:2] != "NA"]
            found[member.name.split("/")[1].removesuffix(".weights.txt")] = {
                "chr{} {}/{}".format(i.removeprefix("snp_").replace("_", ":"), ref, alt): abs(
                    float(w)
                )
                for i, alt, ref, w in lines
            }
    return found


def raw_scores(folder: Path, weights: dict, gene: str, name: str) -> pd.Series:
    """Percentile of |effect| among the variants in BLUP's file."""
    given = weights.get(f"{gene}.{name}")
    if name == "baseline":
        given = read(folder / causal.ISM.format(gene))["ISM"].abs().to_dict()
    return pd.Series({v: given.get(v, 0.0) for v in weights[f"{gene}.blup"]}).rank(pct=True)


@needs_mirror
@pytest.mark.parametrize("name", ["baseline", "top1", "lasso", "enet", "blup", "bslmm"])
def test_second_way_prioritisation_by_drawing(real, raw_weights, name):
    """400 draws of one other variant per pair, the area by the Mann-Whitney statistic."""
    folder, ours = real
    fine = pd.read_csv(folder / causal.MAGE, sep="\t")
    pairs = fine[fine["variantPIP"] > 0.9]
    genes = set(pairs["our_gene_name"])
    scores = {gene: raw_scores(folder, raw_weights, gene, name) for gene in genes}
    keyed = list(zip(pairs["our_gene_name"], pairs["hg19_variant"], strict=True))
    mine = np.array([scores[gene][v] for gene, v in keyed])
    assert ours[f"R.mage.top10.{name}"] == pytest.approx((mine >= 0.9).mean())
    listed = fine[fine["variantPIP"] >= 0.01].groupby("our_gene_name")["hg19_variant"].agg(set)
    free = [scores[g][[v not in listed[g] for v in scores[g].index]].to_numpy() for g, _ in keyed]
    rng = np.random.default_rng(8)
    drawn = np.array([rng.choice(values, 400) for values in free])
    u = reference.mannwhitneyu(mine[:, None], drawn, method="asymptotic").statistic
    areas = u / len(mine) ** 2
    error = np.std(areas) / np.sqrt(len(areas))
    assert ours[f"R.mage.auroc.{name}"] == pytest.approx(np.mean(areas), abs=5 * error)


@needs_mirror
def test_second_way_drivers_footprints_unseen_alleles_and_heritability(real):
    folder, ours = real
    drivers = pd.read_csv(folder / variants.DRIVERS)
    for model, part in drivers.groupby("model"):
        key = f"R.drv.{'_'.join(model.split())}"
        assert ours[f"{key}.n"] == len(part)
        assert ours[f"{key}.tss"] == np.median(part["TSS_dist"])
        assert ours[f"{key}.maf"] == pytest.approx(np.median(part["train_MAF"]))
    for model, part in pd.read_csv(folder / variants.DNASE).groupby("model"):
        mean = sum(part["enrichment"]) / 1000
        assert ours[f"R.dnase.{'_'.join(model.split())}"] == pytest.approx(mean)
    unseen = pd.read_csv(folder / variants.UNSEEN)
    classes = pd.read_csv(folder / individuals.CLASS_FILE, index_col=0)["class"]
    for gene_class, part in unseen.groupby(unseen["gene"].map(classes)):
        assert ours[f"R.unseen.{gene_class}.n"] == len(part)
        assert ours[f"R.unseen.{gene_class}.medAF"] == np.median(part["test_af"])
    for key in individuals.HERITABILITY:
        lines = (folder / f"rastogi2024/heritability.{key}.tsv").read_text().splitlines()
        roots = {g.split("/")[2]: max(float(h), 0) ** 0.5 for g, h, *_ in map(str.split, lines)}
        for gene_class in ("random_split", "yri_split"):
            mine = [root for gene, root in roots.items() if classes[gene] == gene_class]
            assert ours[f"R.h2.{key}.{gene_class}"] == pytest.approx(np.mean(mine))


def test_names_of_weights_are_one_a_method():
    assert set(WEIGHTED) == {"baseline", "top1", "lasso", "enet", "blup", "bslmm"}
