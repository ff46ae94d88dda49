"""The cis-eQTL map of a study: what is written, taken up again, refused, and left to be redone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from typer.testing import CliRunner

from howfar import eqtl
from howfar.cli.app import app
from howfar.cohort.opened import OpenCohort
from howfar.cohort.panel import Panel
from howfar.cohort.people import read_covariates
from howfar.core import provenance
from howfar.core.errors import HowfarError
from howfar.eqtl import study_map
from howfar.eqtl import study_map as eqtl_map
from howfar.eqtl.covariates import _apart, covariate_table, genotype_components
from howfar.eqtl.gene import storey_q
from howfar.eqtl.study_map import (
    NAMES,
    NOMINAL,
    STATUSES,
    map_gene,
    path_of,
)
from howfar.evaluation.inputs import eqtl_map_of
from howfar.genome.intervals import Variant
from howfar.results import tables
from howfar.results.cache import Units
from howfar.study.schema import Eqtl, Study

PEOPLE = 80
OPTIONS = Eqtl(permutations=100)
STATUS = {"g8": "constant_expression", "g9": "no_variants", "g10": "too_few_people"}


def panel(seed: int = 1, populations: bool = False) -> Panel:
    """11 genes: two with an eQTL, one of each other status; a hidden factor of expression."""
    rng = np.random.default_rng(seed)
    names = [f"g{i}" for i in range(11)]
    samples = [f"s{i}" for i in range(PEOPLE)]
    group = np.repeat(["A", "B"], PEOPLE // 2)
    dosages, expression = {}, []
    factor = rng.normal(size=PEOPLE)
    for i, name in enumerate(names):
        freq = np.where(group == "B", 0.7, 0.25)[:, None] if populations else 0.35
        x = rng.binomial(2, freq, (PEOPLE, 6)).astype(np.float32)
        x[:, 5] = 0
        x[3, 2] = np.nan
        sites = [Variant("1", 20_000 * (i + 1) + 2100 * j, "A", "G") for j in range(6)]
        dosages[name] = (x[:, 5:], sites[5:]) if name == "g9" else (x, sites)
        y = rng.normal(size=PEOPLE) + factor
        if i in (0, 1):
            y += 1.6 * np.nan_to_num(x[:, 2 + i], nan=0.5)
        expression.append(y if name != "g8" else np.ones(PEOPLE))
    expression = pd.DataFrame(expression, index=names, columns=samples)
    expression.iloc[10, 5:] = np.nan
    expression.iloc[1, :7] = np.nan
    place = {"gene_id": names, "name": names, "chrom": "1", "strand": "+"}
    genes = pd.DataFrame(place | {"tss": [20_000 * (i + 1) + 4000 for i in range(11)]})
    groups = pd.Series(group, index=samples) if populations else None
    return Panel(expression, genes, groups, lambda gene: dosages[gene])


@pytest.fixture
def study(tmp_path) -> Study:
    """A study whose files exist; the panel of a test stands for what they hold."""
    files = {role: tmp_path / f"{role}.txt" for role in ("reference", "variants", "genes")}
    for role, path in files.items():
        path.write_text(role)
    reality = dict.fromkeys(["genotypes", "expression", "weights"], "made up")
    return Study(name="small", title="Small", reality=reality, cohort=files,
                 evaluation={"min_maf": 0.05})  # fmt: skip


def mapped(study: Study, folder: Path, options: Eqtl = OPTIONS, given: Panel | None = None):
    return study_map.compute(study, OpenCohort(study), given or panel(), folder, options)


def test_every_gene_has_a_status_and_every_pair_a_row(study, tmp_path):
    found = mapped(study, tmp_path)
    lead = found.lead.set_index("gene_id")
    assert len(lead) == 11 and set(lead["status"]) <= set(STATUSES)
    assert {g: lead["status"][g] for g in STATUS} == STATUS
    pairs = found.pairs(lead.index)
    assert pairs.groupby("gene_id").size().tolist() == [5] * 8
    assert lead.loc["g0", ["tried", "rare", "n", "df"]].tolist() == [5, 1, 80, 78]
    assert lead.loc["g1", "n"] == 73
    strict = mapped(study, tmp_path / "strict", OPTIONS.model_copy(update={"max_missing": 0.01}))
    assert strict.lead.set_index("gene_id").loc["g0", ["tried", "missing"]].tolist() == [4, 1]
    best = pairs.sort_values("p").groupby("gene_id").first()
    assert (best["variant"] == lead["variant"].reindex(best.index)).all()
    assert (found.conditional["gene_id"].value_counts() == 1).all()
    assert {"g0", "g1"} <= set(found.conditional["gene_id"]) and (lead["q"] <= lead["q_bh"]).any()


def test_slopes_distances_and_frequencies_are_those_of_the_data(study, tmp_path):
    given = panel()
    found = mapped(study, tmp_path, given=given)
    row = found.pairs(["g1"]).set_index("variant").loc["1:46300:A:G"]
    x, _ = given.dosages("g1")
    kept = given.expression.loc["g1"].notna().to_numpy()
    fit = sm.OLS(given.expression.loc["g1"][kept], sm.add_constant(x[kept, 3].astype(float))).fit()
    assert row["slope"] == pytest.approx(fit.params.iloc[1], rel=1e-10)
    assert row["slope_se"] == pytest.approx(fit.bse.iloc[1], rel=1e-10)
    assert row["p"] == pytest.approx(fit.pvalues.iloc[1], rel=1e-8)
    assert row["distance"] == 46_300 - 44_000
    share = x[kept, 3].mean() / 2
    assert row["maf"] == pytest.approx(min(share, 1 - share))


def test_the_threshold_is_the_nominal_p_of_a_gene_at_the_limit(study, tmp_path):
    lead = mapped(study, tmp_path).lead
    rows = lead[lead["status"] == "mapped"]
    hits, others = (rows.loc[m, "p_beta"] for m in (rows["q"] <= 0.05, rows["q"] > 0.05))
    limit = (hits.max() + others.min()) / 2
    for row in rows.itertuples():
        assert (row.p <= row.threshold) == (row.p_beta <= limit)
    np.testing.assert_allclose(lead["q"], storey_q(lead["p_beta"]))


def test_a_killed_map_goes_on_and_ends_the_same(study, tmp_path, monkeypatch):
    whole = mapped(study, tmp_path / "whole")
    real, seen = map_gene, []

    def dies(panel, gene, *rest):
        seen.append(gene.gene_id)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return real(panel, gene, *rest)

    monkeypatch.setattr(eqtl_map, "map_gene", dies)
    with pytest.raises(KeyboardInterrupt):
        mapped(study, tmp_path / "cut")
    assert study_map.load(study, tmp_path / "cut", OPTIONS) is None
    again = mapped(study, tmp_path / "cut")
    assert len(seen) == 12 and seen.count("g4") == 2 and seen.count("g3") == 1
    pd.testing.assert_frame_equal(again.lead, whole.lead)
    pd.testing.assert_frame_equal(again.conditional, whole.conditional)
    key = ["gene_id", "variant"]
    a, b = (m.pairs(whole.lead["gene_id"]).sort_values(key) for m in (again, whole))
    pd.testing.assert_frame_equal(a.reset_index(drop=True), b.reset_index(drop=True))
    folder = tmp_path / "cut" / "small" / "eqtl"
    kept = sorted(path.name for path in folder.glob("[!.]*"))
    assert kept == sorted(f"{name}.parquet" for name in NAMES)
    mapped(study, tmp_path / "cut")
    assert len(seen) == 12  # a finished map is not made again


def test_units_of_another_key_are_not_taken_up(study, tmp_path):
    other = study_map.key_of(study, OPTIONS.model_copy(update={"seed": 2}))
    units = Units.open(tmp_path / "small" / "eqtl", "genes", other)
    units.write("g0", {}, lead={"gene_id": "g0", "status": "no_variants", "n": 0})
    assert (mapped(study, tmp_path).lead["n"] > 0).all()


def test_each_gene_of_a_map_keeps_the_commit_that_made_it(study, tmp_path, monkeypatch):
    real = map_gene

    def dies(panel, gene, *rest):
        if gene.gene_id == "g4":
            raise KeyboardInterrupt
        return real(panel, gene, *rest)

    monkeypatch.setattr(eqtl_map, "map_gene", dies)
    monkeypatch.setattr(provenance, "commit", lambda: "old")
    with pytest.raises(KeyboardInterrupt):
        mapped(study, tmp_path)
    monkeypatch.setattr(eqtl_map, "map_gene", real)
    monkeypatch.setattr(provenance, "commit", lambda: "new")
    block = tables.read_provenance(mapped(study, tmp_path).nominal)
    assert block["commits"] == {"old": 4, "new": 7} and block["commit"] == "new"


def test_a_raised_version_makes_a_map_stale(study, tmp_path, monkeypatch):
    mapped(study, tmp_path)
    monkeypatch.setattr(eqtl, "VERSION", eqtl.VERSION + 1)
    assert study_map.load(study, tmp_path) is None


def test_a_map_of_other_files_or_options_is_out_of_date(study, tmp_path):
    mapped(study, tmp_path)
    assert study_map.load(study, tmp_path) is not None
    assert study_map.load(study, tmp_path, Eqtl(permutations=101)) is None
    study.cohort.variants.write_text("changed")
    assert study_map.load(study, tmp_path) is None


def test_provenance_says_how_it_was_made(study, tmp_path):
    found = mapped(study, tmp_path)
    for name in NAMES:
        block = tables.read_provenance(path_of(tmp_path, "small", name))
        assert block["parameters"]["options"]["permutations"] == 100
        digest = provenance.sha256_of(study.cohort.variants)
        assert block["inputs"]["variants"]["sha256"] == digest
    assert found.key["settings"]["min_maf"] == 0.05


# --- covariates ------------------------------------------------------------------------------


def covariate_file(folder: Path, table: pd.DataFrame) -> Path:
    path = folder / "covariates.txt"
    table.rename_axis("id").to_csv(path, sep="\t")
    return path


def test_covariates_of_a_file_enter_the_model(study, tmp_path):
    given, rng = panel(), np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(size=(2, PEOPLE)), ["age", "batch"], given.expression.columns)
    shuffled = table[table.columns[rng.permutation(PEOPLE)]]  # the file's own order of people
    options = OPTIONS.model_copy(update={"covariates": covariate_file(tmp_path, shuffled)})
    lead = mapped(study, tmp_path, options, given).lead.set_index("gene_id").loc["g0"]
    assert lead["df"] == 76
    j = (int(lead["variant"].split(":")[1]) - 20_000) // 2100
    x = pd.DataFrame(given.dosages("g0")[0].astype(float), given.expression.columns)
    x = x.fillna(x.mean())
    design = sm.add_constant(pd.concat([x[j], table.T], axis=1))
    fit = sm.OLS(given.expression.loc["g0"], design).fit()
    assert lead["slope"] == pytest.approx(fit.params.iloc[1], rel=1e-9)


def test_covariates_in_words_enter_the_model_as_factors(study, tmp_path):
    given, rng = panel(), np.random.default_rng(4)
    table = pd.DataFrame(
        {"batch": rng.choice(["one", "two", "three"], PEOPLE), "age": rng.normal(size=PEOPLE)},
        given.expression.columns,
    )
    options = OPTIONS.model_copy(update={"covariates": covariate_file(tmp_path, table)})
    lead = mapped(study, tmp_path, options, given).lead.set_index("gene_id").loc["g0"]
    assert lead["df"] == PEOPLE - 2 - 3
    x = pd.DataFrame(given.dosages("g0")[0].astype(float), given.expression.columns)
    x = x.fillna(x.mean())[(int(lead["variant"].split(":")[1]) - 20_000) // 2100]
    data = table.assign(x=x, y=given.expression.loc["g0"])
    fit = smf.ols("y ~ x + C(batch) + age", data).fit()
    assert lead["slope"] == pytest.approx(fit.params["x"], rel=1e-9)
    assert lead["slope_se"] == pytest.approx(fit.bse["x"], rel=1e-9)


def test_people_without_covariates_and_missing_values_are_refused(tmp_path):
    table = pd.DataFrame([[1, 2, 3.0], [4, 4, 4.0]], ["a", "b"], ["s0", "s1", "s2"])
    path = covariate_file(tmp_path, table)
    with pytest.raises(HowfarError, match="2 of 3 people in the header"):
        read_covariates(path, ["s0", "s1", "s9"])
    with pytest.raises(HowfarError, match="1 covariates with missing values or one value"):
        read_covariates(path, ["s0", "s1", "s2"])


def test_a_map_whose_covariates_are_gone_says_so(study, tmp_path):
    options = OPTIONS.model_copy(update={"covariates": tmp_path / "gone.txt"})
    with pytest.raises(HowfarError, match=r"gone\.txt: found no such file"):
        mapped(study, tmp_path, options)


def test_a_map_by_hand_is_never_remade_in_silence(study, tmp_path):
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(size=(1, PEOPLE)), ["age"], panel().expression.columns)
    path = covariate_file(tmp_path, table)
    mapped(study, tmp_path, OPTIONS.model_copy(update={"covariates": path}))
    assert tables.read_provenance(path_of(tmp_path, "small", "lead"))["covariates"] == path.name
    path.unlink()
    found = study_map.load(study, tmp_path)
    assert found.options.covariates == Path(path.name)
    named = study.model_copy(update={"eqtl": OPTIONS})
    with pytest.raises(HowfarError, match=r"made in another way: inputs\.covariates"):
        eqtl_map_of(SimpleNamespace(study=named), None, tmp_path)


def test_components_of_expression_take_a_hidden_factor_out(study, tmp_path):
    plain = mapped(study, tmp_path / "a").lead.set_index("gene_id")
    held = mapped(study, tmp_path / "b", OPTIONS.model_copy(update={"expression_pcs": 1}))
    held = held.lead.set_index("gene_id")
    assert held.loc["g0", "slope_se"] < 0.85 * plain.loc["g0", "slope_se"]
    assert held.loc["g0", "log10p"] > plain.loc["g0", "log10p"]


def test_components_of_genotypes_tell_populations_apart():
    given = panel(populations=True)
    first = genotype_components(given, 2)
    assert abs(np.corrcoef(first[0], given.populations == "B")[0, 1]) > 0.9
    x = np.hstack([given.dosages(g)[0][:, :5] for g in given.expression.index if g != "g9"])
    x = np.where(np.isnan(x), np.nanmean(x, axis=0), x).astype(float)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    u, size, _ = np.linalg.svd(x)
    same = np.abs((u[:, :2] * size[:2] * first).sum(axis=0)) / size[:2] ** 2
    np.testing.assert_allclose(same, 1, atol=1e-6)


def test_variants_nearer_than_two_kb_are_taken_once():
    last: dict[str, int] = {}
    sites = [("1", 100), ("1", 2099), ("1", 2100), ("1", 4100), ("2", 150)]
    taken = [_apart(last, Variant(c, p, "A", "G")) for c, p in sites]
    assert taken == [True, False, True, True, True]


def test_populations_are_covariates_unless_left_out():
    given = panel(populations=True)
    table = covariate_table(given, OPTIONS)
    assert list(table.columns) == ["population_B"]
    assert (table["population_B"] == (given.populations == "B")).all()
    assert covariate_table(given, Eqtl(populations=False)).shape == (PEOPLE, 0)


# --- the command -----------------------------------------------------------------------------


def test_command_of_a_study_without_genotypes_and_of_a_wrong_option():
    ran = CliRunner().invoke(app, ["eqtl", "--study", "sasse2023"])
    assert isinstance(ran.exception, HowfarError) and "published tables" in str(ran.exception)
    ran = CliRunner().invoke(app, ["eqtl", "--study", "demo", "--permutations", "5"])
    assert isinstance(ran.exception, HowfarError) and "--permutations" in str(ran.exception)


def test_no_gene_has_no_pair(study, tmp_path):
    """As where a study's variant effects have not been predicted."""
    found = mapped(study, tmp_path)
    assert found.pairs([]).empty and list(found.pairs([]).columns) == list(NOMINAL)
