"""Linear models of expression on cis genotypes: one interface, one module per method.

`base` has the interface (`Fit`, `Fitter`); `howfar.core.registry.LINEAR_MODELS` their names;
`cis` the genotypes of a gene; `folds` who trains and who is predicted; `baseline` all genes of a
study; `weights` the exchange with other cohorts and with published weights.
"""

from howfar.linear.base import STATUSES, Fit, Fitter, fitter

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 2

__all__ = ["STATUSES", "VERSION", "Fit", "Fitter", "fitter"]
