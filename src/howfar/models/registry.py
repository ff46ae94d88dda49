"""Sequence-to-expression models behind one interface (`base.SequenceModel`)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from howfar.core.errors import HowfarError, refused_option
from howfar.models.base import Layout, SequenceModel

__all__ = ["MODELS", "Entry", "Layout", "SequenceModel", "load_model"]


@dataclass(frozen=True)
class Entry:
    """One model of the registry. Its class is imported, and torch with it, only when loaded.

    `module`, `loader`: the loader is called as loader(weights, device, **options). `reads`,
    `gives`: input and output in words. `sources`: ids of ``data/sources.csv`` that `howfar fetch
    <name>` brings; the first is, or lies in the folder of, the weights. `extra`: the extra of the
    package that the model needs, if any. `checked`: what its numbers were held against.
    `licence`: of the weights. `published`: the model's column in the published reference
    predictions of Huang et al. 2023, which `howfar doctor --verify <name>` reproduces. `iupac`:
    the model's option of that name for IUPAC letters beyond ACGTN as its authors read them.
    """

    module: str
    loader: str
    title: str
    reads: str
    gives: str
    checked: str
    sources: tuple[str, ...] = ()
    extra: str = ""
    licence: str = ""
    published: str = ""
    iupac: str = ""

    def load(self, weights: Path | None, device: str, **options: Any) -> SequenceModel:
        """The model; HowfarError as `load_model` says."""
        loader = getattr(import_module(f"howfar.models.zoo.{self.module}"), self.loader)
        return loader(weights, device, **options)


#: Models by name.
MODELS: dict[str, Entry] = {
    "demo-enformer": Entry(
        "demo_enformer",
        "load_demo",
        "Small Enformer of the demo world",
        "8,192 bp of the simulated genome, forward strand",
        "256 bins of 32 bp, simulated CAGE",
        "trained here by `howfar train`; held against the world's known truth",
        licence="MIT",
    ),
    "enformer": Entry(
        "enformer",
        "load",
        "Enformer (Avsec et al. 2021)",
        "196,608 bp (or 49,152 and others), forward strand",
        "896 bins of 128 bp, 5,313 human or 1,643 mouse tracks, linear",
        "published weights are held against published predictions by `howfar doctor --verify "
        "enformer`",
        (
            "enformer/pytorch_model.bin",
            "enformer/config.json",
            "models/targets_human.txt",
            "enformer/targets_mouse.txt",
        ),
        licence="CC-BY-4.0",
        published="Enformer",
    ),
    "basenji2": Entry(
        "basenji2",
        "load",
        "Basenji2 (Kelley 2020)",
        "131,072 bp, forward strand",
        "896 bins of 128 bp, 5,313 human tracks, linear",
        "arithmetic held against the original code on a reduced model; published weights "
        "against published predictions by `howfar doctor --verify basenji2`",
        ("basenji2/model_human.h5", "models/params_human.json", "models/targets_human.txt"),
        licence="Apache-2.0",
        published="Basenji2",
        iupac="n",
    ),
    "expecto": Entry(
        "expecto",
        "load",
        "ExPecto (Zhou et al. 2018)",
        "41,800 bp (200 windows of 2,000 bp), the gene's strand",
        "1 number per tissue model, ln(RPKM + 0.0001)",
        "arithmetic held against the original code with seeded weights; published weights "
        "against published predictions by `howfar doctor --verify expecto`",
        ("expecto/deepsea.beluga.pth", "expecto/Cells_EBV-transformed_lymphocytes.save"),
        licence="Princeton Academic Use",
        published="ExPecto",
        iupac="error",
    ),
    "beluga": Entry(
        "beluga",
        "load",
        "Beluga, the chromatin network of ExPecto (Zhou et al. 2018)",
        "2,000 bp, either strand",
        "2,002 probabilities of chromatin features",
        "arithmetic held against the original code with seeded weights",
        ("expecto/deepsea.beluga.pth",),
        licence="Princeton Academic Use",
        iupac="error",
    ),
    "xpresso": Entry(
        "xpresso",
        "load",
        "Xpresso (Agarwal and Shendure 2020)",
        "10,500 bp, the gene's strand",
        "1 number, z-score of log10(RPKM + 0.1)",
        "published weights held against the original code; against published predictions by "
        "`howfar doctor --verify xpresso`",
        ("models/GM12878_trainepoch.06-0.5062.h5", "models/humanMedian_trainepoch.11-0.426.h5"),
        licence="MIT",
        published="Xpresso",
        iupac="zero",
    ),
    "borzoi": Entry(
        "borzoi",
        "load",
        "Borzoi (Linder et al. 2025)",
        "524,288 bp, forward strand",
        "6,144 bins of 32 bp, 7,611 human tracks",
        "the interface only, with random weights at a reduced size",
        extra="borzoi",
        licence="Apache-2.0",
    ),
}


def _check_batch_size(name: str, size: Any) -> None:
    """HowfarError unless `size` is a number of windows: others hang a network or skip windows."""
    if type(size) is int and size >= 1:
        return
    raise HowfarError(
        f"model {name}, batch_size",
        found=repr(size),
        expected="a whole number of windows, 1 or more",
        do="Correct `batch_size`.",
    )


def load_model(
    name: str, weights: str | Path | None = None, device: str = "auto", **options: Any
) -> SequenceModel:
    """The model of that name, ready to predict.

    name: of `MODELS`, or ``package.module:loader`` for a model of your own; the loader is called
    as loader(weights, device, **options) and returns a `SequenceModel`.
    weights: the model's file or folder of weights. device: 'cpu', 'cuda', 'cuda:1', or 'auto'
    (CUDA where there is one). options: passed to the model. Raises HowfarError for an unknown
    name or option, an absent device, missing or unsuitable weights, and a model of your own that
    doesn't keep to `SequenceModel`.
    """
    if "batch_size" in options:
        _check_batch_size(name, options["batch_size"])
    path = None if weights is None else Path(weights)
    if name in MODELS:
        return _built_in(name, path, device, options)
    if ":" in name:
        from howfar.models.zoo.user_model import load_own

        return load_own(name, path, device, options)
    raise HowfarError(
        f"model {name!r}",
        found="no model of that name",
        expected=f"one of {', '.join(sorted(MODELS))}, or package.module:loader of your own",
        do="Correct the run's `model` in the study file.",
    )


def _check_fetched(name: str) -> None:
    """HowfarError where a fetched file of the model, if it is there, isn't as it was published."""
    from howfar.core.project import results_root
    from howfar.core.provenance import sha256_of
    from howfar.fetch.catalogue import checksum

    folder = results_root() / "sources"
    for source in MODELS[name].sources:
        file, known = folder / source, checksum(source, folder)
        if known and file.is_file() and (found := sha256_of(file)) != known:
            raise HowfarError(
                str(file),
                found=f"another content than was fetched (SHA-256 {found})",
                expected=f"SHA-256 {known}",
                do=f"Run `howfar fetch {name}` again, or name a file of your own in `weights`.",
            )


def _built_in(
    name: str, weights: Path | None, device: str, options: dict[str, Any]
) -> SequenceModel:
    if weights is None and not options.get("pretrained"):
        _check_fetched(name)
    try:
        return MODELS[name].load(weights, device, **options)
    except TypeError as error:
        if not options:
            raise
        raise HowfarError(
            f"model {name}, options",
            found=refused_option(error),
            expected="options that this model takes",
            do="Correct the run's `options` in the study file.",
        ) from error


def version_of(name: str) -> dict[str, int | str]:
    """Return the versions of the code that decides a model's values, without its weights."""
    return {}
