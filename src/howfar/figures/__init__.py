"""Figures of the book: one study's result tables in, SVG, PNG, PDF and CSV out.

A notebook opens a study with `view`, shows `about(view)` (what is real and what simulated) and
calls one function per figure. What a figure prints stands in the tables; nothing here computes an
estimate. The functions are listed in `howfar.core.registry` and imported on first use.
"""

from typing import Any

from howfar.core.registry import FIGURES
from howfar.figures.style import Shown
from howfar.figures.view import Box, View, about, view

__all__ = ["Box", "Shown", "View", "about", "view", *FIGURES]


def __getattr__(name: str) -> Any:
    """Return a figure's function by its name."""
    if name in FIGURES:
        return FIGURES.load(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
