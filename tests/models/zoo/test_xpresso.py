"""Xpresso against an independent computation, the authors' own outputs and published numbers."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from helpers.keras_files import random_layers, write_keras
from howfar.core.errors import HowfarError
from howfar.fetch import catalogue as sources
from howfar.genome.genotypes.vcf import VariantFile
from howfar.genome.intervals import Gene
from howfar.genome.reference import Reference
from howfar.genome.windows import build_windows
from howfar.models.base import encoding_table, reverse_complement
from howfar.models.registry import load_model
from howfar.models.zoo import xpresso
from howfar.prediction.fasta import IUPAC, predict_fasta

pytestmark = pytest.mark.usefixtures("one_thread")
HALF_LIFE = (0.5, -1.25, 2.0, 0.75, -0.3, 1.1)
CELLS = {"GM12878": "GM12878", "humanMedian": "human_median"}
FEATURES = [f"hl{i}" for i in range(1, 7)]


@pytest.fixture(scope="module")
def layers():
    return random_layers(xpresso.architecture(), seed=5, gain=1.5)


@pytest.fixture(scope="module")
def weights(layers, tmp_path_factory):
    return write_keras(tmp_path_factory.mktemp("xpresso") / "made.h5", layers, optimizer=True)


@pytest.fixture(scope="module")
def windows():
    draw = np.random.default_rng(0)
    made = draw.choice(np.frombuffer(b"ACGTN", np.uint8), (5, xpresso.CONTEXT))
    made[1] |= 0x20  # lower case
    return made


def _same_convolution(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Keras' 'same' convolution, then ReLU: x (n, length, inputs), float64."""
    width = len(kernel)
    before = (width - 1) // 2
    padded = np.pad(x, ((0, 0), (before, width - 1 - before), (0, 0)))
    length = x.shape[1]
    total = sum(padded[:, k : k + length] @ kernel[k] for k in range(width))
    return np.maximum(total + bias, 0)


def _by_numpy(windows, layers, half_life) -> np.ndarray:
    """The published network step by step, as the oracle's table of layers says, in float64."""
    x = encoding_table(0.0)[windows].astype(np.float64)
    for layer, pool in zip(layers[:2], (30, 10), strict=True):
        x = _same_convolution(x, layer["kernel"].astype(float), layer["bias"])
        x = x.reshape(len(x), -1, pool, x.shape[2]).max(2)
    x = np.concatenate([x.reshape(len(x), -1), np.tile(half_life, (len(x), 1))], axis=1)
    for layer in layers[2:]:
        x = x @ layer["kernel"] + layer["bias"]
        x = np.maximum(x, 0) if layer is not layers[-1] else x
    return x[:, 0]


def _values(model, windows) -> np.ndarray:
    return model.predict(windows, [0], [0])[:, 0, 0]


@pytest.mark.parametrize("half_life", [(0.0,) * 6, HALF_LIFE])
def test_values_equal_an_independent_computation(weights, layers, windows, half_life):
    model = load_model("xpresso", weights, "cpu", half_life=list(half_life), batch_size=2)
    expected = _by_numpy(windows, layers, half_life)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(_values(model, windows), expected, atol=2e-5)
    assert (_values(model, windows[::-1])[::-1] == _values(model, windows)).all()
    other = _values(load_model("xpresso", weights, "cpu"), windows)
    assert (np.abs(other - expected).max() > 1e-3) == any(half_life)


def _channel_major(x):
    return x.flatten(1)


MISTAKES = {"_PADDING": ((3, 2), (4, 4)), "flatten": _channel_major}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_layout_would_be_seen(monkeypatch, weights, layers, windows, mistake):
    monkeypatch.setattr(xpresso, mistake, MISTAKES[mistake])
    found = _values(load_model("xpresso", weights, "cpu"), windows)
    assert np.abs(found - _by_numpy(windows, layers, np.zeros(6))).max() > 1e-3


def test_where_the_tss_lies(weights):
    model = load_model("xpresso", weights, "cpu")
    assert model.oriented and model.tss_bin("+") == model.tss_bin("-") == 0
    assert (model.tss_index("+"), model.tss_index("-")) == (6999, 6999)
    for strand, first, last in (("+", 13_001, 23_500), ("-", 16_500, 26_999)):
        around = Gene("g", "g", "1", 20_000, strand).window(10_500, model.tss_offset(strand))
        assert (around.start + 1, around.end) == (first, last)  # 1-based, inclusive


def test_iupac_letters_follow_the_option(weights, layers, windows):
    mixed = windows.copy()
    mixed[:, 100:9000:97] = ord("R")
    blank = mixed.copy()
    blank[mixed == ord("R")] = ord("N")
    zero = load_model("xpresso", weights, "cpu", iupac="zero")
    mixture = load_model("xpresso", weights, "cpu")
    np.testing.assert_allclose(_values(zero, mixed), _values(zero, blank), atol=1e-6)
    expected = _by_numpy(mixed, layers, np.zeros(6))
    np.testing.assert_allclose(_values(mixture, mixed), expected, atol=2e-5)
    assert np.abs(_values(zero, mixed) - expected).max() > 1e-4


def test_wrong_options_and_weights_are_named(weights, windows, tmp_path):
    cases = {
        "option half_life": {"half_life": [1, 2, 3]},
        "6 numbers": {"half_life": "average"},
        "expected GM12878 or human_median": {"cell": "K562"},
        "option iupac": {"iupac": "random"},
        "options that this model takes": {"celltype": "GM12878"},
    }
    for words, options in cases.items():
        with pytest.raises(HowfarError, match=words):
            load_model("xpresso", weights, "cpu", **options)
    with pytest.raises(HowfarError, match="howfar fetch xpresso"):
        load_model("xpresso", None, "cpu")
    with pytest.raises(HowfarError, match="uint8 of shape"):
        load_model("xpresso", weights, "cpu").predict(windows[:, 1:], [0], [0])
    short = random_layers(xpresso.architecture()[:4], seed=1)
    with pytest.raises(HowfarError, match="4 layers with weights; expected 5"):
        load_model("xpresso", write_keras(tmp_path / "short.h5", short), "cpu")


def test_fetched_weights_that_changed_are_refused(weights, results_folder):
    """Their shapes fit: what they predict would be taken for the published model's values."""
    fetched = results_folder / "sources" / xpresso.CELLS["GM12878"].source
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(weights.read_bytes())
    with pytest.raises(HowfarError, match="another content than was fetched.*howfar fetch xpresso"):
        load_model("xpresso", None, "cpu")


def test_the_track_says_whose_it_is(weights, results_folder, monkeypatch):
    monkeypatch.setattr(sources, "checksum", lambda *_: "")  # the files are made up

    def track(where, **options):
        return load_model("xpresso", where, "cpu", **options).tracks["description"].tolist()

    assert track(weights) == ["RNA-seq: made"]
    assert track(weights, cell="human_median") == ["RNA-seq: median of human cell types"]
    fetched = results_folder / "sources" / "models"
    fetched.mkdir(parents=True)
    for file in (Path(cell.source).name for cell in xpresso.CELLS.values()):
        (fetched / file).write_bytes(weights.read_bytes())
    assert track(None, cell="GM12878") == ["RNA-seq: GM12878"]


# Against the original code and the published predictions, where they lie beside the project.


@pytest.fixture(scope="module")
def oracle(shared):
    return shared / "oracles" / "xpresso"


@pytest.fixture(scope="module")
def synthetic(oracle):
    """Windows by name, and the expected values."""
    with pysam.FastxFile(str(oracle / "synthetic.fa")) as records:
        named = {r.name: np.frombuffer(r.sequence.encode(), np.uint8) for r in records}
    return named, pd.read_csv(oracle / "synthetic_expected.csv")


def _differences(oracle, synthetic, rows, **options) -> float:
    """The largest difference over `rows` of the expected values."""
    named, _ = synthetic
    worst = 0.0
    for (model, *features), group in rows.groupby(["model", *FEATURES]):
        loaded = load_model(
            "xpresso", oracle, "cpu", cell=CELLS[model], half_life=features, **options
        )
        found = _values(loaded, np.stack([named[name] for name in group["id"]]))
        worst = max(worst, float(np.abs(found - group["prediction"]).max()))
    return worst


def test_the_authors_values_of_synthetic_sequences(oracle, synthetic):
    assert len(synthetic[1]) == 56
    # the tolerance that the values were given with; processors differ in the last digits
    assert _differences(oracle, synthetic, synthetic[1], iupac="zero") < 1e-5


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_authors_values_refute_mistakes(monkeypatch, oracle, synthetic, mistake):
    monkeypatch.setattr(xpresso, mistake, MISTAKES[mistake])
    rows = synthetic[1].query("model == 'GM12878' and hl1 == 0")
    assert _differences(oracle, synthetic, rows.head(6)) > 1e-3


def test_the_authors_read_iupac_letters_as_nothing(oracle, synthetic):
    rows = synthetic[1][synthetic[1]["id"].str.contains("iupac")]
    assert len(rows) == 2
    assert _differences(oracle, synthetic, rows, iupac="mixture") > 1e-5


def test_plain_sequences_give_the_authors_values(oracle, synthetic, tmp_path):
    model = load_model("xpresso", oracle, "cpu", iupac="zero")
    predict_fasta(model, oracle / "synthetic.fa", tmp_path / "out.csv", letters=IUPAC)
    found = pd.read_csv(tmp_path / "out.csv", index_col="sequence")
    rows = synthetic[1][
        (synthetic[1]["model"] == "GM12878") & (synthetic[1][FEATURES] == 0).all(axis=1)
    ]
    assert list(found.columns) == ["RNA-seq: GM12878"] and len(found) == len(rows) == 24
    assert (
        np.abs(found["RNA-seq: GM12878"][rows["id"]].to_numpy() - rows["prediction"]).max() < 1e-6
    )


@pytest.fixture(scope="module")
def region(shared):
    folder = shared / "realregion"
    with Reference(folder / "chr20_1Mb.fa") as reference:
        yield reference, VariantFile(folder / "chr20_1Mb.vcf.gz")


def _haplotypes(region, model, rows: pd.DataFrame) -> np.ndarray:
    """The windows of the rows of one gene, in the model's orientation."""
    first = rows.iloc[0]
    gene = Gene(first.gene, first.gene, str(first.chrom), int(first.tss), first.strand)
    people = [s for s in rows["sample"].unique() if s != "reference"]
    built = build_windows(
        *region, gene, model.layout.context,
        tss_offset=model.tss_offset(gene.strand), samples=people, alleles="snv",
    )  # fmt: skip
    chosen = [
        built.reference if h == 0 else built.sequences[built.index[built.samples.index(s), h - 1]]
        for s, h in zip(rows["sample"], rows["haplotype"], strict=True)
    ]
    windows = np.stack(chosen)
    return reverse_complement(windows) if gene.strand == "-" else windows


def test_the_authors_values_of_haplotypes(oracle, region):
    expected = pd.read_csv(oracle / "region_haplotypes_expected.csv")
    models = {name: load_model("xpresso", oracle, "cpu", cell=c) for name, c in CELLS.items()}
    for _, rows in expected.groupby("gene"):
        windows = _haplotypes(region, models["GM12878"], rows)
        assert [hashlib.sha256(w.tobytes()).hexdigest() for w in windows] == list(rows["sha256"])
        for name, model in models.items():
            assert np.abs(_values(model, windows) - rows[name]).max() < 1e-6


def test_the_published_reference_predictions(oracle, region, shared):
    genes = pd.read_csv(shared / "realregion" / "genes.csv").dropna()
    model = load_model("xpresso", oracle, "cpu", batch_size=1)
    assert set(genes["name"]) == {"PSMF1", "SDCBP2-AS1", "SDCBP2", "FKBP1A"}
    for row in genes.itertuples():
        gene = Gene(row.gene_id, row.name, str(row.chrom), row.tss, row.strand)
        by_move = {}
        for move in (0, 1):
            offset = model.tss_offset(gene.strand) + move
            window = region[0].fetch(gene.window(model.layout.context, offset))[None]
            window = reverse_complement(window) if gene.strand == "-" else window
            by_move[move] = abs(_values(model, window)[0] - row.published_xpresso_reference)
        assert by_move[0] < 1e-6 and by_move[1] > 1e-3


def test_published_weights_are_recognised(oracle):
    median = oracle / Path(xpresso.CELLS["human_median"].source).name
    assert (
        load_model("xpresso", median, "cpu").tracks["description"][0].startswith("RNA-seq: median")
    )
    with pytest.raises(HowfarError, match="published weights of human_median"):
        load_model("xpresso", median, "cpu", cell="GM12878")
