"""Regressors stacked on a network's outputs and a polygenic score."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 2
