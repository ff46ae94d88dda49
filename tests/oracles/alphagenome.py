"""Make ``alphagenome_*.npz``: values of AlphaGenome's two PyTorch ports with random weights.

    python tests/oracles/alphagenome.py alphagenome-pt            # 1.0.0, any Python from 3.10
    python tests/oracles/alphagenome.py alphagenome-pt --reduced
    python tests/oracles/alphagenome.py alphagenome-pytorch       # 0.3.1, Python 3.12

Each in an environment of its own with the port and NumPy, PyTorch, safetensors, pandas, pyarrow,
requests, xxhash beside it; howfar's `src` in PYTHONPATH. Weights are drawn by name
(`howfar.models.weights.alphagenome.random_tensor`), so every port gets the same; float32; a random
window of 4,096 bp. Kept are embeddings of all bins (each 8th channel) and the RNA-seq head's
values at 128 bp (each 16th track), coverage and the head's own scale.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from howfar.models.weights.alphagenome import random_tensor, renamed

LENGTH, MEANS = 4096, (2, 768)
REDUCED = {"num_channels": 96, "transformer_layers": 3}


def window() -> torch.Tensor:
    """One-hot (1, LENGTH, 4) of random bases."""
    letters = np.random.Generator(np.random.PCG64(17)).integers(0, 4, LENGTH)
    return torch.from_numpy(np.eye(4, dtype=np.float32)[letters])[None]


def draw(state: dict) -> dict:
    """Random tensors in the place of a port's: drawn by our names, in the port's shapes."""
    made = {}
    for old, tensor in state.items():
        # A tensor on its own is taken for alphagenome-pt's unless its name says otherwise.
        ((name, ours),) = (
            (n, t) for n, t in renamed({old: tensor, "encoder.": tensor}).items() if n != "encoder."
        )
        values = torch.from_numpy(random_tensor(name, ours.shape))
        back = values.transpose(1, 2) if ours.ndim == 3 and name.startswith("_heads.") else values
        made[old] = values if values.shape == tensor.shape else back.reshape(tensor.shape)
    return made


def by_pt(reduced: bool) -> dict[str, torch.Tensor]:
    """Values of alphagenome-pt."""
    from alphagenome_pt import AlphaGenome, AlphaGenomeConfig, Metadata
    from alphagenome_pt.precision import FLOAT32_DTYPE_POLICY, dtype_policy_context

    means = torch.from_numpy(random_tensor("_heads.rna_seq.track_means", MEANS))
    head = {"num_tracks": [768, 768], "means": means.tolist()}
    described = Metadata({"organisms": ["human", "mouse"], "heads": {"rna_seq": head}})
    sizes = REDUCED if reduced else {}
    config = AlphaGenomeConfig(
        max_seq_len=2**20, metadata=described, dtype_policy="float32", **sizes
    )
    network = AlphaGenome(config).eval()
    network.load_state_dict(draw(network.state_dict()))
    with torch.no_grad(), dtype_policy_context(FLOAT32_DTYPE_POLICY, "cpu"):
        values, embeddings = network.predict(window(), 0, return_embeddings=True)
    head = values["rna_seq"]
    return {
        "embeddings": embeddings.embeddings_128bp[0],
        "scaled": head["scaled_predictions_128bp"][0],
        "coverage": head["predictions_128bp"][0],
    }


def by_pytorch() -> dict[str, torch.Tensor]:
    """Values of alphagenome-pytorch."""
    from alphagenome_pytorch import AlphaGenome

    with torch.device("meta"):
        network = AlphaGenome().eval()
    network.load_state_dict(draw(network.state_dict()), assign=True)
    given = {"resolutions": (128,), "heads": ("rna_seq",), "return_embeddings": True}
    with torch.no_grad():
        human = torch.tensor([0])
        coverage = network(window(), human, **given)
        scaled = network(window(), human, return_scaled_predictions=True, **given)
    return {
        "embeddings": coverage["embeddings_128bp"][0],
        "scaled": scaled["rna_seq"][128][0],
        "coverage": coverage["rna_seq"][128][0],
    }


def main() -> None:
    """Write the file of the port that is asked for."""
    port, reduced = sys.argv[1], "--reduced" in sys.argv
    values = by_pt(reduced) if port == "alphagenome-pt" else by_pytorch()
    step = {"embeddings": 8, "scaled": 16, "coverage": 16}
    kept = {name: values[name][:, :: step[name]].float().numpy() for name in step}
    name = f"{port.replace('-', '_')}{'_reduced' if reduced else ''}.npz"
    np.savez_compressed(Path(__file__).with_name(name), **kept)
    print(name, {key: each.shape for key, each in kept.items()})


if __name__ == "__main__":
    main()
