"""A decomposition for genotypes on which the fast one doesn't converge."""

from pathlib import Path

import numpy as np
import pytest

from howfar.stats.svd import thin_svd


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_where_the_fast_way_fails_the_slow_one_is_taken(shape, monkeypatch):
    x = np.random.default_rng(1).normal(size=shape)
    x[:, 3] = x[:, 1]
    whole, first, last = np.linalg.svd(x, full_matrices=False)

    def fails(*_, **__):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", fails)
    u, s, vt = thin_svd(x)
    assert u.shape == whole.shape and vt.shape == last.shape
    np.testing.assert_allclose(s, first, atol=1e-12)
    np.testing.assert_allclose((u * s) @ vt, x, atol=1e-12)


def test_genotypes_on_which_the_fast_way_failed():
    """Of a simulated world (seed 2), with one build of OpenBLAS on one processor."""
    dosages = np.load(Path(__file__).with_name("no_convergence.npz"))["dosages"]
    x = dosages - dosages.mean(axis=0)
    u, s, vt = thin_svd(x)
    np.testing.assert_allclose((u * s) @ vt, x, atol=1e-10)
