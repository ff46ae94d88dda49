"""Converted weights of AlphaGenome, as either of its PyTorch ports writes them.

``alphagenome-pt`` names tensors as our network does and keeps the tracks' means in
``alphagenome_metadata.json`` beside them; ``alphagenome-pytorch`` 0.3 has other names, weights of
width one in the place of matrices, and the means among the tensors. What serves outputs that
aren't computed (single bases, contact maps, splice sites, other heads) is left out.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from howfar.core.errors import HowfarError
from howfar.models.weights.checkpoint import read_tensors

METADATA = "alphagenome_metadata.json"
HEADS = ("atac", "dnase", "procap", "cage", "rna_seq", "chip_tf", "chip_histone")
ORGANISMS = ("human", "mouse")
#: Names of ``alphagenome-pytorch`` 0.3 and ours, in the order in which they are replaced.
RENAMES = (
    (r"^encoder\.dna_embedder\.conv1\.", "sequence_encoder.downres_blocks.bin_size_1.conv1_d."),
    (r"^encoder\.dna_embedder\.block\.", "sequence_encoder.downres_blocks.bin_size_1.conv_block."),
    (r"^encoder\.down_blocks\.(\d)\.block", r"sequence_encoder.downres_blocks.stage_\1.conv_block"),
    *((f"stage_{k}\\.", f"bin_size_{2 ** (k + 1)}.") for k in range(6)),
    (r"^organism_embed\.", "org_embedder."),
    (r"^embedder_128bp\.project_in\.", "output_t.fc1."),
    (r"^embedder_128bp\.organism_embed\.", "output_t.org."),
    (r"^embedder_128bp\.norm\.", "output_t.norm."),
    (r"^tower\.", "transformer_tower."),
    (r"\.seq2pair\.norm_seq2pair\.", ".seq2pair.norm."),
    (r"\.seq2pair\.", ".sequence_to_pair_block."),
    (r"\.row_attn\.", ".row_attention_block."),
    (r"\.pair_mlp\.", ".pair_mlp_block."),
    (r"\.linear([12])\.", r".fc\1."),
    (r"\.attn_bias\.norm\.", ".attn_bias.bn."),
    (r"\.attn_bias\.proj\.", ".attn_bias.fc."),
    (r"\.(mha|mlp)\.norm\.", r".\1.bn1."),
    (r"\.(mha|mlp)\.final_norm\.", r".\1.bn2."),
    (r"\.([qkv])_proj\.", r".\1_layer."),
    (r"\.(norm|norm_[qkv]|bn[12]?)\.weight$", r".\1.scale"),
    (r"\.(norm|norm_[qkv]|bn[12]?)\.bias$", r".\1.offset"),
    (r"\.running_var$", ".var_EMA"),
    (r"^heads\.(\w+)\.convs\.", r"_heads.\1.multiorg_linear."),
    (r"^heads\.", "_heads."),
)
#: What serves other outputs, in the names of either port.
_OTHERS = re.compile(
    r"(sequence_decoder|decoder|output_x|embedder_1bp|output_pair|embedder_pair|contact_maps_head"
    r"|splice_sites_\w+_head)\.|_heads\.\w+\.(multiorg_linear|residual_scales)\.1(\.|$)"
)


@dataclass(frozen=True)
class Weights:
    """Tensors of the network with one head, by name; means of its tracks, (organisms, tracks).

    means: None where neither the file nor a file beside it has them. real: tracks of each
    organism that are no filling, None where it isn't said.
    """

    tensors: dict[str, Any]
    means: Any
    real: tuple[int, ...] | None


def read(file: Path, head: str) -> Weights:
    """Read the weights of `file` for one head; HowfarError where they are no AlphaGenome's."""
    tensors = renamed(read_tensors(file))
    means = tensors.pop(f"_heads.{head}.track_means", None)
    kept = {
        name: tensor
        for name, tensor in tensors.items()
        if not _OTHERS.match(name)
        and (not name.startswith("_heads.") or name.startswith(f"_heads.{head}."))
    }
    if f"_heads.{head}.residual_scales.128" not in kept:
        has = {name.split(".")[1] for name in tensors if name.startswith("_heads.")}
        raise HowfarError(
            str(file),
            found=f"no head {head} among {', '.join(sorted(has)) or 'none at all'}",
            expected="weights of AlphaGenome as alphagenome-pt or alphagenome-pytorch 0.3 has them",
            do="Correct the option `head`, or give the converted file; the original checkpoint "
            "is converted by either package.",
        )
    described, real = _metadata(file.parent / METADATA, head)
    return Weights(kept, described if means is None else means, real)


def renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return the tensors of either port with the names and shapes that our network has."""
    if not any(name.startswith("encoder.") for name in tensors):
        return dict(tensors)
    made = {}
    for old, tensor in tensors.items():
        name = old
        for pattern, new in RENAMES:
            name = re.sub(pattern, new, name)
        if old == "embedder_128bp.project_in.weight":
            tensor = tensor.squeeze(2)
        elif re.match(r"heads\.\w+\.convs\.\d+\.weight", old):
            tensor = tensor.transpose(1, 2).contiguous()
        made[name] = tensor
    return made


def _metadata(path: Path, head: str) -> tuple[Any, tuple[int, ...] | None]:
    """Read means of tracks, and how many are no filling, of alphagenome-pt's description."""
    import torch

    if not path.is_file():
        return None, None
    try:
        entry = json.loads(path.read_text())["heads"][head]
        means = torch.tensor(entry["means"], dtype=torch.float32)
        return means, tuple(int(n) for n in entry["num_tracks"])
    except (ValueError, KeyError, TypeError) as error:
        raise HowfarError(
            str(path),
            found=f"no means of the tracks of head {head} ({type(error).__name__}: {error})",
            expected="the description that alphagenome-pt keeps beside its weights",
            do="Fetch it again, or remove it and set the option `unscale` to false.",
        ) from error


def sizes(tensors: dict[str, Any], head: str, file: Path) -> dict[str, int]:
    """Read the network's widths off its tensors; HowfarError where one is absent."""
    pairs = "transformer_tower.blocks.0.pair_update."
    encoder = "sequence_encoder.downres_blocks."
    try:
        shape = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        channels = shape[f"{encoder}bin_size_1.conv1_d.weight"][0]
        blocks = {re.match(r"transformer_tower\.blocks\.(\d+)\.", name) for name in tensors}
        attention = "transformer_tower.blocks.0.mha."
        key, value = (shape[f"{attention}norm_{x}.scale"][0] for x in "kv")
        scales = shape[f"_heads.{head}.residual_scales.128"]
        return {
            "channels": channels,
            "step": shape[f"{encoder}bin_size_2.conv_block1.conv.weight"][0] - channels,
            "blocks": len({found[1] for found in blocks if found}),
            "heads": shape[f"{attention}q_layer.weight"][0] // key,
            "key": key,
            "value": value,
            "pair": shape["transformer_tower.blocks.0.attn_bias.bn.scale"][0],
            "pair_heads": shape[f"{pairs}sequence_to_pair_block.q_r_bias"][2],
            "positions": shape[f"{pairs}sequence_to_pair_block.linear_pos_features.weight"][1],
            "hidden": shape["transformer_tower.blocks.0.mlp.fc1.weight"][0],
            "pair_hidden": shape[f"{pairs}pair_mlp_block.fc1.weight"][0],
            "embedding": shape["output_t.fc1.weight"][0],
            "organisms": scales[0],
            "tracks": scales[1],
        }
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise HowfarError(
            str(file),
            found=f"no tensor {error} of the shape that the network has",
            expected="weights of AlphaGenome",
            do="Give the whole converted file.",
        ) from error


def random_tensor(name: str, shape: Sequence[int]) -> np.ndarray:
    """Draw a tensor of a network without published weights: float32, the same everywhere.

    name: ours; it alone seeds the draw, so that any part of the network can be drawn by itself.
    Gains are such that values differ between sequences.
    """
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    u = 2 * draw.random(tuple(shape), dtype=np.float32) - 1
    if name.endswith("var_EMA"):
        return 1 + u / 2
    if re.search(r"(\.scale|residual_scales\.\d+|track_means)$", name):
        return 1 + u / 10
    if len(shape) < 2 or re.search(r"(\.bias|_r_bias|\.offset)$", name):
        return u / 10
    fan_in = shape[1] if name.startswith("_heads.") else math.prod(shape[1:])
    return u * np.float32(math.sqrt(3 / fan_in))
