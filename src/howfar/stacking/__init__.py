"""Regressors stacked on a network's outputs and a polygenic score."""
