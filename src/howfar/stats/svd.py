"""A singular value decomposition that ends for every finite matrix."""

from __future__ import annotations

import numpy as np


def thin_svd(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return u, s, vt of x = u diag(s) vt, sizes as of ``np.linalg.svd(x, full_matrices=False)``.

    The fast way (divide and conquer) can fail to converge on genotypes with many equal columns;
    then the slower one (QR iterations) is taken.
    """
    try:
        return np.linalg.svd(x, full_matrices=False)
    except np.linalg.LinAlgError:
        from scipy.linalg import svd

        return svd(x, full_matrices=False, lapack_driver="gesvd")
