"""The hard setting: its truth agrees with its files and has the shares that it states."""

import numpy as np
import pandas as pd
import pytest

from howfar.cohort.expression import read_expression
from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.core.provenance import sha256_of
from howfar.genome.genes import read_genes
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows
from howfar.simulate.demo import grammar as g
from howfar.simulate.hard import genome, rules, world
from howfar.simulate.hard.setting import Setting
from howfar.simulate.peaks import accessibility
from howfar.simulate.worlds import setting_note, simulate_study, train_study
from howfar.study.reading import load_study


@pytest.fixture(scope="module")
def truth(folder):
    values = pd.read_parquet(folder / "truth_values.parquet")
    return {
        "genes": pd.read_csv(folder / "truth_genes.csv").set_index("gene_id"),
        "variants": pd.read_csv(folder / "truth_variants.csv"),
        "a": values.pivot(index="gene_id", columns="sample", values="value_a"),
    }


@pytest.fixture(scope="module")
def opened(folder):
    with (
        Reference(folder / "reference.fa") as fasta,
        VariantFile(folder / "variants.vcf.gz") as variants,
    ):
        yield fasta, variants, read_genes(folder / "genes.csv")


@pytest.fixture(scope="module")
def fixed(folder):
    return rules.load(folder / "grammar.json")


def test_the_same_seed_gives_the_same_bytes(folder, simulate, tmp_path):
    simulate(tmp_path)
    for path in folder.iterdir():
        assert sha256_of(path) == sha256_of(tmp_path / path.name), path.name


def test_expression_of_sequences_built_from_the_files_is_the_truth(folder, opened, truth, fixed):
    fasta, variants, genes = opened
    levels = pd.read_csv(folder / "promoters.csv", keep_default_na=False).set_index("gene_id")
    for gene in genes:
        built = build_windows(fasta, variants, gene, genome.SLOT, alleles="snv")
        parts = rules.components(built.sequences, fixed)
        reference = rules.components(built.reference[None], fixed)
        row = truth["genes"].loc[gene.gene_id]
        y = levels.loc[gene.gene_id, "log_a"]
        y = y + rules.change(parts - reference, row["switch"], fixed)
        value = np.log(np.exp(y)[built.index].mean(axis=1))
        expected = truth["a"].loc[gene.gene_id, list(built.samples)]
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-6)


def test_shares_of_peoples_variance_are_those_stated(truth):
    shares = truth["genes"][[f"share_{part}" for part in rules.PARTS]]
    np.testing.assert_allclose(shares.mean(), [0.12, 0.48, 0.40], atol=1e-3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("coin", [0.55, 0.6, 1.0])
@pytest.mark.parametrize("genes", [8, 40, 240])
def test_the_switch_is_plus_in_exactly_the_share(coin, genes):
    split = np.where(np.arange(genes) < genes * 5 / 8, "train", "test")
    drawn = world.switches(np.random.default_rng(1), split, coin)
    assert (drawn == 1).sum() == round(coin * genes)
    assert (drawn[split == "test"] == 1).sum() == round(coin * (split == "test").sum())


def test_the_switch_turns_effects_of_confounded_sites_and_no_others(truth):
    variants = truth["variants"].query("causal").set_index("gene_id")
    distance = variants["distance"].abs()
    assert (distance[variants["class"] == "promoter"] <= rules.PROXIMAL + g.WIDTH).all()
    enhancer = variants[variants["class"] == "enhancer"]
    assert enhancer["distance"].abs().between(390, 4_100).all()
    assert distance[variants["class"] == "distal"].between(4_190, 16_010).all()
    assert {"promoter", "enhancer", "distal"} <= set(variants["class"])


def test_effects_are_those_of_the_changed_sequence(opened, truth, fixed):
    fasta, _, genes = opened
    gene = genes[2]
    rows = truth["variants"].query("gene_id == @gene.gene_id")
    window = gene.window(genome.SLOT)
    reference = fasta.fetch(window)
    changed = np.repeat(reference[None], len(rows), axis=0)
    for row, name in zip(changed, rows["variant"], strict=True):
        _, pos, ref, alt = name.split(":")
        assert chr(row[int(pos) - 1 - window.start]) == ref
        row[int(pos) - 1 - window.start] = ord(alt)
    parts = rules.components(changed, fixed) - rules.components(reference[None], fixed)
    effect = rules.change(parts, truth["genes"].loc[gene.gene_id, "switch"], fixed)
    np.testing.assert_allclose(rows["effect_a"], effect, atol=1e-7)
    np.testing.assert_array_equal(rows["class"] == "none", (parts == 0).all(axis=1))


def test_common_variants_lie_in_strong_sites(opened, truth, fixed):
    """Of each part with sites some variants do, in the reference or by their other base."""
    fasta, _, genes = opened
    causal = truth["variants"].query("causal and alt_frequency.between(.01, .99)")
    counts = causal.groupby(["gene_id", "class"]).size().unstack(fill_value=0)
    assert counts["enhancer"].min() >= 1 and counts["distal"].min() >= 1
    stretches = []
    for name in causal["variant"]:
        chrom, pos, _, alt = name.split(":")
        bases = fasta._fasta.fetch(chrom, int(pos) - 10, int(pos) + 9)
        stretches += [bases, bases[:9] + alt + bases[10:]]
    both = np.frombuffer("".join(stretches).encode(), np.uint8).reshape(-1, 19)
    found = g.sites(both, fixed.grammar)
    strong = np.zeros(len(causal), bool)
    strong[found.window[found.occupancy >= g.UNIT // 2] // 2] = True
    assert strong.mean() > 0.8


def test_heritability_is_within_its_range_and_files_agree(folder, truth):
    table = truth["genes"]
    assert table["h2_broad"].between(0.002, 0.25).all()
    assert (table["h2_additive"] <= table["h2_broad"] + 1e-9).all()
    observed = read_expression(folder / "expression.bed.gz").values
    rest = observed.loc[table.index, truth["a"].columns] - truth["a"].loc[table.index]
    assert (rest.std(axis=1) / table["sd_noise"]).between(0.6, 1.5).all()


def test_peaks_have_their_truth(folder, opened, fixed):
    fasta, variants, genes = opened
    peaks = pd.read_csv(folder / "peaks.csv")
    values = pd.read_parquet(folder / "truth_peaks.parquet").set_index("gene_id")
    assert (peaks.groupby("gene").size() == 5).all()
    observed = read_expression(folder / "peaks.bed.gz").values
    assert set(observed.index) == set(peaks["gene_id"])
    gene = genes[1]
    built = build_windows(fasta, variants, gene, genome.SLOT, alleles="snv")
    found = g.sites(built.sequences, fixed.grammar)
    for peak in peaks[peaks["gene"] == gene.gene_id].itertuples():
        centre = peak.tss - 1 - (gene.start0 - genome.SLOT // 2)
        inside = (np.abs(found.start + g.MIDDLE - centre) <= peak.reach) & (found.motif < 12)
        total = np.bincount(
            found.window[inside], found.occupancy[inside] / g.UNIT, len(built.sequences)
        )
        value = np.log(accessibility(total)[built.index].mean(axis=1) + 0.1)
        np.testing.assert_allclose(value, values.loc[peak.gene_id, "value"], atol=1e-9)


@pytest.mark.parametrize(
    "knob", [{"coin": 1.2}, {"promoter": 0.7, "distal": 0.4}, {"most_h2": 0}, {"free": 0}]
)
def test_knobs_that_make_no_world(knob):
    with pytest.raises(HowfarError, match="knobs"):
        Setting(**knob)


def study_of(tmp_path, monkeypatch, **simulate):
    study = load_study("demo")
    cohort = study.cohort.model_copy(
        update={"reference": tmp_path / "results/demo/world/reference.fa"}
    )
    block = {"world": "demo"} | simulate
    return study.model_copy(update={"simulate": block, "cohort": cohort})


def test_a_study_chooses_its_setting(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(world, "simulate", lambda folder, **options: made.append(options))
    simulate_study(study_of(tmp_path, monkeypatch, setting="hard", seed=2, coin=0.7))
    assert made[0]["seed"] == 2 and made[0]["setting"].coin == 0.7
    assert load_study("demo").simulate["setting"] == "hard"
    assert load_study("demo_kind").simulate["setting"] == "kind"


def test_without_a_setting_it_is_the_hard_one_and_says_so(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(world, "simulate", lambda folder, **options: made.append(options))
    study = study_of(tmp_path, monkeypatch, seed=2)
    simulate_study(study)
    assert made[0]["seed"] == 2
    assert "`world: demo` without `setting` is the hard setting" in setting_note(study)
    for name in ("demo", "demo_kind", "region", "huang2023"):
        assert setting_note(load_study(name)) is None


@pytest.mark.parametrize(
    ("simulate", "words"),
    [
        ({"setting": "medium"}, r"simulate\.setting: found 'medium'"),
        ({"setting": "hard", "coins": 1}, "the option 'coins'"),
        ({"setting": "hard", "coin": 2}, "knobs"),
    ],
)
def test_settings_and_knobs_that_are_none(tmp_path, monkeypatch, simulate, words):
    with pytest.raises(HowfarError, match=words):
        simulate_study(study_of(tmp_path, monkeypatch, **simulate))


def test_an_option_that_the_training_has_not(tmp_path, monkeypatch):
    study = study_of(tmp_path, monkeypatch, setting="hard")
    with pytest.raises(HowfarError, match="the option 'speed'"):
        train_study(study.model_copy(update={"train": {"speed": 1}}))


def test_a_damaged_grammar(tmp_path):
    sealed.write_json(tmp_path / "grammar.json", {"motifs": []})
    with pytest.raises(HowfarError, match="no rules of the hard setting"):
        rules.load(tmp_path / "grammar.json")


def test_too_few_genes_for_the_shares(tmp_path):
    """One gene of eight varies at its promoter: a mean share of .12 would be all that there is."""
    with pytest.raises(HowfarError, match=r"0\.12 \(promoter\)"):
        world.simulate(tmp_path, seed=3, people=40, genes=8, setting=Setting(extra=2, free=10))
