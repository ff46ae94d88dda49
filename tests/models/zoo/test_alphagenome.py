"""AlphaGenome's forward pass against both PyTorch ports, with random weights.

The ports' values were written by ``tests/oracles/alphagenome.py``. With HOWFAR_LONG=1 the network
has its published width.
"""

import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.reduced_networks import ALPHAGENOME, alphagenome
from howfar.bench.alphagenome import PUBLISHED, QUICK, random_weights
from howfar.core.errors import HowfarError
from howfar.models.engine.alphagenome_network import halo, rotations
from howfar.models.registry import load_model
from howfar.models.weights.alphagenome import METADATA, RENAMES, random_tensor

ORACLES = Path(__file__).parents[2] / "oracles"
LETTERS = np.frombuffer(b"ACGT", np.uint8)
BINS = [0, 7, 8, 15]
needs_long = pytest.mark.skipif(not os.environ.get("HOWFAR_LONG"), reason="1 GB of weights")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return alphagenome(tmp_path_factory.mktemp("alphagenome"))


def _model(weights, **options):
    return load_model("alphagenome", weights, "cpu", **{"context": 2048} | options)


@pytest.mark.parametrize(
    ("oracle", "sizes"),
    [
        ("alphagenome_pt_reduced", QUICK | {"blocks": 3}),
        pytest.param("alphagenome_pt", PUBLISHED, marks=needs_long),
        pytest.param("alphagenome_pytorch", PUBLISHED, marks=needs_long),
    ],
)
def test_values_are_those_of_the_ports(oracle, sizes, tmp_path):
    expected = np.load(ORACLES / f"{oracle}.npz")
    weights = random_weights(tmp_path, sizes)
    window = LETTERS[np.random.Generator(np.random.PCG64(17)).integers(0, 4, 4096)]
    options = {"context": 4096, "positions": "float32", "batch_size": 1}
    bins, tracks = list(range(32)), list(range(0, 768, 16))
    model = _model(weights, **options)
    # In float64, so that what differs is the ports' rounding, 7e-6 at most, on every machine the
    # same. In float32 ours came on top, by the CPU's kernels.
    network = copy.deepcopy(model.network).double()
    with torch.inference_mode():
        features = network.tower(model._one_hot(torch.from_numpy(window)[None]).double())
        embeddings = network.embeddings(features, bins, 0)
        scaled = network.head(embeddings, 0, torch.tensor(tracks))
        coverage = model._unscale(scaled, tracks)
    values = {"scaled": scaled[0], "embeddings": embeddings[0, :, ::8], "coverage": coverage[0]}
    for name, found in values.items():
        largest = np.abs(expected[name]).max()
        assert np.abs(found.numpy() - expected[name]).max() / largest < 8e-6, name
    served = model.predict(window[None], bins, tracks)[0]
    assert np.abs(served - coverage[0].numpy()).max() / coverage.max() < 1e-5


def _haplotypes(context, number=12, seed=1):
    """Windows of one gene: SNPs at some places, and an insertion."""
    draw = np.random.default_rng(seed)
    rows = np.tile(draw.choice(LETTERS, context), (number, 1))
    for k, row in enumerate(rows[1:]):
        row[draw.integers(0, context, 3)] = draw.choice(LETTERS, 3)
        if k % 3 == 0:
            row[context // 3 + 2 :] = row[context // 3 : -2].copy()
    return rows


@pytest.mark.parametrize("context", [2048, 8192])
def test_shared_is_plain_up_to_the_order_of_sums(weights, context):
    rows = _haplotypes(context)
    bins = [0, context // 256, context // 128 - 1]
    plain = _model(weights, context=context, engine="plain").predict(rows, bins, [0, 3])
    model = _model(weights, context=context, batch_size=2)
    shared = model.predict(rows, bins, [0, 3])
    spread = plain.std(axis=0)
    assert (spread > 1e-4 * plain.mean(axis=0)).all()
    assert (np.abs(shared - plain) / spread).max() < 1e-3


def test_shared_is_plain_to_the_bit_in_one_fixed_shape(weights):
    """Each window's stretches computed alone, in the shape that the shared engine has."""
    rows, context = _haplotypes(8192), 8192
    bins, tracks = [0, 32, 63], torch.tensor([0, 3])
    model = _model(weights, context=context, batch_size=2)
    shared = model.predict(rows, bins, tracks.tolist())
    stretches, kept = model._tower._stretches, []
    with torch.inference_mode():
        for row in rows:
            parts = []
            for cut in model._tower._cuts:
                bases = row[cut.left * 128 : cut.right * 128]
                alone = np.full((stretches, len(bases)), ord("N"), np.uint8)
                alone[0] = bases
                features = model.network.tower(model._one_hot(torch.from_numpy(alone)))
                parts.append(features[0, cut.inner])
            kept.append(torch.cat(parts))
        pairs = torch.stack(kept).split(2)
        plain = torch.cat([model._after(pair, bins, tracks) for pair in pairs]).float().numpy()
    assert len(model._tower._slots) < len(rows) * len(model._tower._cuts)  # others' work
    assert np.array_equal(shared, plain)


def test_the_halo_covers_what_the_encoder_sees(weights):
    network = _model(weights).network.double()
    row = torch.from_numpy(_haplotypes(8192, 1)).long()
    table = torch.eye(4, dtype=torch.float64)[torch.bucketize(torch.arange(256), torch.tensor(
        [ord(c) for c in "ACGT"]), right=False).clamp(max=3)]  # fmt: skip
    with torch.inference_mode():
        whole = network.tower(table[row])[0]
        middle = slice(24 * 128, 40 * 128)
        for beyond, same in ((halo(), True), (halo() - 2, False)):
            reach = beyond * 128
            part = table[row[:, middle.start - reach : middle.stop + reach]]
            found = network.tower(part)[0, beyond : beyond + 16]
            close = torch.allclose(found, whole[24:40], rtol=1e-12, atol=1e-14)
            assert close == same


def test_only_the_bins_asked_for_pass_the_last_block(weights):
    model, row = _model(weights), _haplotypes(2048, 1)
    every = model.predict(row, range(16), range(5))
    few = model.predict(row, [9, 2], [4, 0])
    assert np.allclose(few, every[:, [9, 2]][:, :, [4, 0]], rtol=1e-5)


def test_attention_in_groups_of_rows_is_the_same(weights, monkeypatch):
    from howfar.models.engine import alphagenome_network

    model = _model(weights, context=4096)
    row = torch.from_numpy(_haplotypes(4096, 1))

    def predict() -> torch.Tensor:
        """Run the network in float64: another order of sums leaves its mark in float32."""
        network = copy.deepcopy(model.network).double()
        with torch.inference_mode():
            x = network.embeddings(network.tower(model._one_hot(row).double()), BINS, 0)
            return network.head(x, 0, torch.tensor([0, 1]))

    whole = predict()
    monkeypatch.setattr(alphagenome_network, "AT_ONCE", 2 * 32 * 5)
    assert whole.dtype == torch.float64
    assert torch.allclose(predict(), whole, rtol=1e-9)


def test_coverage_undoes_the_soft_clip_the_power_and_the_mean(weights):
    row = _haplotypes(2048, 1)
    model = _model(weights, unscale=False)
    model._network._heads["rna_seq"].multiorg_linear["128"].bias.data += 12  # beyond the clip
    own = model.predict(row, BINS, range(5)).astype(float)
    model._means = torch.tensor([1.0, 2, 3, 4, 5]).double()
    coverage = model.predict(row, BINS, range(5))
    assert (own > 10).any()
    opened = np.where(own > 10, (own + 10) ** 2 / 40, own) ** (4 / 3)
    assert np.allclose(coverage, opened * np.arange(1, 6) * 128, rtol=1e-5)


def test_positions_are_rounded_as_in_training():
    cosine, _ = rotations(1024, 128, "cpu", torch.bfloat16)
    assert len(torch.arange(1024).to(torch.bfloat16).unique()) == 513
    assert torch.equal(cosine[1000], cosine[1001])  # both are position 1,000
    exact, _ = rotations(1024, 128, "cpu", torch.float32)
    assert not torch.equal(exact[1000], exact[1001])


def test_bfloat16_is_the_same_model_rounded(weights):
    row = _haplotypes(2048, 2)
    fine = _model(weights).predict(row, BINS, [0, 1])
    coarse = _model(weights, precision="bfloat16").predict(row, BINS, [0, 1])
    assert not np.array_equal(coarse, fine)
    assert np.corrcoef(np.log(coarse).ravel(), np.log(fine).ravel())[0, 1] > 0.999


def test_the_other_ports_file_gives_the_same(weights, tmp_path):
    ours, theirs = load_file(weights), {}
    back = {"sequence_encoder.downres_blocks.bin_size_1.conv1_d": "encoder.dna_embedder.conv1",
            "sequence_encoder.downres_blocks.bin_size_1.conv_block": "encoder.dna_embedder.block",
            "transformer_tower": "tower", "org_embedder": "organism_embed",
            "output_t.fc1": "embedder_128bp.project_in", "output_t.org":
            "embedder_128bp.organism_embed", "output_t.norm": "embedder_128bp.norm",
            "sequence_to_pair_block.norm": "seq2pair.norm_seq2pair",
            "sequence_to_pair_block": "seq2pair", "row_attention_block": "row_attn",
            "attn_bias.bn": "attn_bias.norm", "attn_bias.fc": "attn_bias.proj",
            "mha.bn1": "mha.norm", "mlp.bn1": "mlp.norm", "bn2": "final_norm",
            "_heads": "heads", "multiorg_linear": "convs", "var_EMA": "running_var"}  # fmt: skip
    for name, tensor in ours.items():
        if name.startswith("_heads") and name.endswith("weight"):
            tensor = tensor.transpose(1, 2).contiguous()
        tensor = tensor[..., None] if name == "output_t.fc1.weight" else tensor
        for k in range(6):
            old = f"sequence_encoder.downres_blocks.bin_size_{2 ** (k + 1)}.conv_block"
            name = name.replace(old, f"encoder.down_blocks.{k}.block")
        normalised = name.rsplit(".", 2)[-2].startswith(("norm", "bn"))
        for mine, other in back.items():
            name = name.replace(mine, other)
        for letter in "qkv":
            name = name.replace(f"mha.{letter}_layer", f"mha.{letter}_proj")
        if "pair_mlp_block" in name:
            name = name.replace("pair_mlp_block", "pair_mlp").replace(".fc", ".linear")
        if normalised:
            name = name.removesuffix("scale").removesuffix("offset") + (
                "weight" if name.endswith(".scale") else "bias" if name.endswith("offset") else ""
            )
        theirs[name] = tensor
    theirs |= {"heads.rna_seq.track_means": torch.from_numpy(
        random_tensor("_heads.rna_seq.track_means", (2, 5))), "decoder.up.weight": torch.ones(2),
        "heads.atac.convs.128.bias": torch.ones(2, 3)}  # fmt: skip
    save_file(theirs, tmp_path / "model.safetensors")
    row = _haplotypes(2048, 1)
    expected = _model(weights).predict(row, BINS, [0, 4])
    assert np.array_equal(_model(tmp_path).predict(row, BINS, [0, 4]), expected)
    assert len(RENAMES) > 20


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"context": 3000}, "multiple of 2048"),
        ({"context": 2**21}, "1,048,576"),
        ({"head": "contact_maps"}, "'rna_seq'"),
        ({"head": "cage"}, "no head cage among rna_seq"),
        ({"positions": "float64"}, "'bfloat16' or 'float32'"),
        ({"species": "rat"}, "mouse"),
        ({"rc": True}, "rc"),
    ],
)
def test_what_doesnt_fit_is_refused(weights, options, words):
    with pytest.raises(HowfarError, match=words):
        _model(weights, **options)


def test_weights_without_means_give_the_heads_own_scale_only(weights, tmp_path):
    save_file(load_file(weights), tmp_path / "model.safetensors")
    with pytest.raises(HowfarError, match="no mean of each track"):
        _model(tmp_path)
    assert "own scale" in _model(tmp_path, unscale=False).units
    (tmp_path / METADATA).write_text(json.dumps({"heads": {}}))
    with pytest.raises(HowfarError, match="no means of the tracks of head rna_seq"):
        _model(tmp_path)


def test_tracks_are_the_heads_own_without_filling(weights, tmp_path):
    assert _model(weights).usual_bins == "exons"
    save_file(load_file(weights), tmp_path / "model.safetensors")
    described = json.loads((weights.parent / METADATA).read_text())
    described["heads"]["rna_seq"]["num_tracks"] = [3, 2]
    (tmp_path / METADATA).write_text(json.dumps(described))
    table = tmp_path / "tracks.txt"
    table.write_text("index\tdescription\n0\tLCL\n1\tblood\n2\tliver\n")
    assert _model(tmp_path, targets=str(table)).tracks["description"][0] == "LCL"
    assert len(_model(tmp_path, species="mouse").tracks) == 2
    assert ALPHAGENOME["tracks"] == 5
