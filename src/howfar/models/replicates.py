"""The mean over replicates of a network: the same architecture trained several times."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from howfar.core.errors import HowfarError
from howfar.core.project import results_root
from howfar.models.base import SequenceModel
from howfar.models.weights.locating import check_fetched

PATTERN = "replicate-*"


class Replicates(SequenceModel):
    """Networks whose values are averaged, each as the model itself gives them."""

    def __init__(self, models: Sequence[SequenceModel]) -> None:
        """models: one at least, alike in layout, tracks and units, which is checked."""
        self.models = list(models)
        first = self.models[0]
        for other in self.models[1:]:
            same = (first.layout, first.units) == (other.layout, other.units)
            if not same or not first.tracks.equals(other.tracks):
                raise HowfarError(
                    f"model {first.name}, replicates",
                    found="networks of other layouts or tracks",
                    expected="replicates of one network",
                    do="Keep other networks in another folder.",
                )
        for name in ("name", "layout", "tracks", "units", "oriented", "precision", "device"):
            setattr(self, name, getattr(first, name))
        for name in ("windows_at_once", "version", "usual_bins"):
            setattr(self, name, getattr(first, name))
        sums = "\n".join(model.weights_sha256 for model in self.models)
        self.weights_sha256 = hashlib.sha256(sums.encode()).hexdigest()

    @property
    def engine(self) -> str:
        """'shared' where every replicate shares."""
        ways = {model.engine for model in self.models}
        return ways.pop() if len(ways) == 1 else "plain"

    @property
    def notes(self) -> tuple[str, ...]:
        """That a mean is taken, and what the replicates note, each sentence once."""
        every = (note for model in self.models for note in getattr(model, "notes", ()))
        return (f"Mean over {len(self.models)} replicates.", *dict.fromkeys(every))

    def tss_index(self, strand: str) -> int:
        """Return the index of the TSS base, as of each replicate."""
        return self.models[0].tss_index(strand)

    def region_of(self, gene_id: str) -> str | None:
        """Return the gene's part in the first replicate's training."""
        return self.models[0].region_of(gene_id)

    def predict(
        self, windows: NDArray[np.uint8], bins: Sequence[int], tracks: Sequence[int]
    ) -> NDArray[np.float32]:
        """Predict the mean: float32 (n, bins, tracks)."""
        every = [model.predict(windows, bins, tracks) for model in self.models]
        return np.mean(every, axis=0, dtype=np.float64).astype(np.float32)

    def predict_substitutions(
        self,
        window: NDArray[np.uint8],
        positions: NDArray[np.int64],
        letters: NDArray[np.int64],
        bins: Sequence[int],
        tracks: Sequence[int],
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the means of substitutions; see `SequenceModel`."""
        rest = (window, positions, letters, bins, tracks)
        every = [
            np.concatenate(list(model.predict_substitutions(*rest)) or [np.empty((0, 0, 0))])
            for model in self.models
        ]
        yield np.mean(every, axis=0)


def load_replicates(
    network: Any, weights: Path | None, device: str, options: Mapping[str, Any]
) -> SequenceModel | None:
    """Load a network's replicates; None where there is one network.

    They are the folders ``replicate-*`` of `weights`, of the fetched files where no weights are
    given, or the names in a list as option `pretrained`.
    """
    named = options.get("pretrained")
    if isinstance(named, list):
        others = {key: value for key, value in options.items() if key != "pretrained"}
        return _averaged(lambda name: network(None, device, **others, pretrained=name), named)
    folders: list[Path] = []
    if weights is None and named is None:
        parents = [Path(source).parent for source in network.card.sources]
        fetched = sorted({p for p in parents if p.match(PATTERN)})
        folders = [results_root() / "sources" / parent for parent in fetched]
        if folders:
            check_fetched(network.name, network.card.sources)
    elif weights is not None and weights.is_dir():
        folders = sorted(weights.glob(PATTERN))
    return _averaged(lambda folder: network(folder, device, **options), folders)


def _averaged(load: Callable[[Any], SequenceModel], each: Sequence[Any]) -> SequenceModel | None:
    models = [load(one) for one in each]
    return Replicates(models) if len(models) > 1 else models[0] if models else None
