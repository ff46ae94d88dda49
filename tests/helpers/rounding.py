"""Exactness on any processor: errors are measured against the same sums in float64."""

import torch

ULPS = 16  # of the largest value, for results that the plain way happens to hit exactly


def assert_as_exact_as(found: torch.Tensor, plain: torch.Tensor, exact: torch.Tensor) -> None:
    """`found` lies within rounding of `exact` (float64): within 4 times the plain way's error."""
    allowed = 4 * (plain.double() - exact).abs().max()
    allowed = max(allowed, ULPS * torch.finfo(torch.float32).eps * exact.abs().max())
    error = (found.double() - exact).abs().max()
    assert error <= allowed, f"largest error {error:.2e}, allowed {allowed:.2e}"
