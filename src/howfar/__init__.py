"""How far are we from predicting a person's gene expression from their genome?

The commands are in ``howfar --help``; in Python the package offers the same steps, of which these
names are the ones most used.
"""

from importlib import import_module

_WHERE = {
    "Gene": "genome.intervals",
    "Interval": "genome.intervals",
    "Variant": "genome.intervals",
    "Reference": "genome.reference",
    "VariantFile": "genome.genotypes.vcf",
    "open_variants": "genome.genotypes.open",
    "build_windows": "genome.windows",
    "personalize": "genome.windows",
    "load_study": "study.reading",
    "HowfarError": "core.errors",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str):
    """Import on first use, so that the command line starts at once."""
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
