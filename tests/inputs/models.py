"""Models, weights and devices."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

from howfar.models.engine.enformer_network import build_network
from inputs.case import Commands, Prepare, makers
from inputs.cohort import Files

good, bad = makers("model")


def run_with(**keys) -> Prepare:
    """The study's run with these keys."""

    def prepare(files: Files) -> Commands:
        files.settings(**{f"runs__{key}": value for key, value in keys.items()})
        return files.predict()

    return prepare


def write_weights(files: Files, fitting: bool = False, **changed) -> None:
    """Write a very small network's weights: its own tensors if `fitting`, else another's.

    changed: other values of its config.json.
    """
    hparams = {
        "dim": 24,
        "depth": 1,
        "heads": 2,
        "target_length": 2,
        "num_downsamples": 3,
        "dim_divisible_by": 2,
        "output_heads": {"human": 2},
    }
    config = {
        "hparams": hparams,
        "context": 256,
        "bin_size": 8,
        "units": "made up",
        "tracks": ["A", "B"],
        "regions": {},
    }
    files.put("weights/config.json", json.dumps(config | changed))
    tensors = {"another.weight": torch.zeros(2, 2)}
    if fitting:
        state = build_network(hparams).state_dict()
        tensors = {k: v.clone() for k, v in state.items() if not k.startswith("_trunk.")}
    save_file(tensors, files.folder / "weights" / "weights.safetensors")


def _run_demo_enformer(files: Files, **keys) -> Commands:
    return run_with(model="demo-enformer", weights=files.folder / "weights", **keys)(files)


def weights_of_another_architecture(files: Files) -> Commands:
    write_weights(files)
    return _run_demo_enformer(files, tracks=[0])


def weights_cut_short(files: Files) -> Commands:
    write_weights(files)
    files.cut("weights/weights.safetensors", 0.5)
    return _run_demo_enformer(files, tracks=[0])


def network_with(**config) -> Prepare:
    """The small Enformer with other values in its config.json; its tensors fit."""

    def prepare(files: Files) -> Commands:
        write_weights(files, fitting=True, **config)
        return _run_demo_enformer(files, tracks=[0])

    return prepare


def model_by_the_name_of_something_else(files: Files) -> Commands:
    files.change("study.yaml", "cohort:letter_counts", "cohort:_LENGTH")
    return files.predict()


def loader_that_takes_no_options(files: Files) -> Commands:
    files.change("study.yaml", "cohort:letter_counts", "cohort:LetterCounts")
    return files.predict()


CASES = [
    bad(
        "a track number with another description",
        run_with(tracks=[{"index": 1, "description": "letters G"}]),
        "the description 'letters C'",
    ),
    bad("a track number the model lacks", run_with(tracks=[5]), "none with that number"),
    bad(
        "a track description the model lacks",
        run_with(tracks=["CAGE"]),
        "0 tracks of that description",
    ),
    bad("bins outside the output", run_with(bins="centre99"), "bins from 0 to 7"),
    bad("a rule for bins that doesn't exist", run_with(bins="middle"), "centreK"),
    bad("a model that doesn't exist", run_with(model="enformr"), "no model of that name"),
    bad("an option the model doesn't take", run_with(options={"shift": 3}), "option 'shift'"),
    bad("values that are not finite", run_with(options={"broken": True}), "not finite"),
    bad("weights that aren't there", _run_demo_enformer, "no such file"),
    bad("weights of another architecture", weights_of_another_architecture, "another|weights"),
    bad("weights cut short", weights_cut_short, "weights"),
    bad(
        "weights with bins of another size",
        network_with(bin_size=16),
        "`bin_size` 16 for 3 halvings",
    ),
    bad("weights with a window of no whole bins", network_with(context=250), "`context` 250"),
    bad(
        "weights with the names of fewer tracks",
        network_with(tracks=["A"]),
        "the names of the network's",
    ),
    bad(
        "a model by the name of something else",
        model_by_the_name_of_something_else,
        "which can't be called",
    ),
    bad(
        "a loader that takes no options",
        loader_that_takes_no_options,
        "doesn't take what it is given",
    ),
]
