"""Heads: from an Enformer's embeddings of a window to one number per person.

Embeddings are (haplotypes, bins, 2 dim), the output of the final pointwise block for the window's
bins without a crop. Haplotypes of one person stand side by side: rows 2i and 2i + 1.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

#: Bins around the centre that the study's heads read.
CENTRE_BINS = 10


def centre(n_bins: int, wanted: int = CENTRE_BINS) -> slice:
    """Return the central bins, (n - wanted) // 2 and those after it: 187..196 of 384."""
    first = (n_bins - wanted) // 2
    return slice(first, first + wanted)


def people_of(haplotypes: Tensor) -> Tensor:
    """Average the two haplotypes of each person: (2 people, ...) to (people, ...)."""
    return haplotypes.unflatten(0, (-1, 2)).mean(dim=1)


class AttentionHead(nn.Module):
    """A number from the central bins, pooled by attention (Rastogi, Reddy et al. 2024)."""

    def __init__(self, channels: int) -> None:
        """Make two linear layers in PyTorch's default start; channels: 2 dim."""
        super().__init__()
        self.attention = nn.Linear(channels, 1)
        self.prediction = nn.Linear(channels, 1)

    def pooled(self, embeddings: Tensor) -> Tensor:
        """Pool the central bins: (n, bins, channels) to (n, channels)."""
        seen = embeddings[:, centre(embeddings.shape[1])]
        return (functional.softmax(self.attention(seen), dim=1) * seen).sum(dim=1)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Predict each sequence: (n, bins, channels) to (n,)."""
        return self.prediction(self.pooled(embeddings)).squeeze(-1)


class TrackHead(nn.Module):
    """One track of the network's own head, summed over the central bins; not below 0."""

    def __init__(self, head: nn.Module, track: int) -> None:
        """Read `track` of `head`, (n, bins, channels) to (n, bins, tracks), which trains too."""
        super().__init__()
        self.head, self.track = head, track

    def forward(self, embeddings: Tensor) -> Tensor:
        """Predict each sequence: (n, bins, channels) to (n,)."""
        seen = embeddings[:, centre(embeddings.shape[1])]
        return self.head(seen)[..., self.track].sum(dim=1)


class CentreHead(nn.Module):
    """A linear function of the central bin, bin n // 2 (Variformer)."""

    def __init__(self, channels: int) -> None:
        """Make one linear layer; channels: 2 dim."""
        super().__init__()
        self.prediction = nn.Linear(channels, 1)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Predict each sequence: (n, bins, channels) to (n,)."""
        return self.prediction(embeddings[:, embeddings.shape[1] // 2]).squeeze(-1)


class ReporterHead(nn.Module):
    """Activity of a 200-bp element in each of several cell types (MPRA).

    The difference of reference and alternative is compared with the measured skew, whose sign the
    head takes in.
    """

    def __init__(self, channels: int, cells: int = 5, bins: int = 2) -> None:
        """Make one linear layer over the embeddings of all bins."""
        super().__init__()
        self.prediction = nn.Linear(bins * channels, cells)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Predict each element: (n, bins, channels) to (n, cells)."""
        return self.prediction(embeddings.flatten(1))
