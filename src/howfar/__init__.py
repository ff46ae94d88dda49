"""How far are we from predicting a person's gene expression from their genome?

In Python the package offers the steps of the command line, in memory::

    import howfar as hf

    cohort = hf.example_cohort()
    network = hf.predict(cohort, hf.load_model("gc-content"))
    linear = hf.fit_linear(cohort, "blup")
    tables = hf.evaluate(cohort, [network, linear])
"""

from importlib import import_module
from typing import Any

_PLACES = {
    "Gene": "genome.intervals:Gene",
    "HowfarError": "core.errors:HowfarError",
    "Interval": "genome.intervals:Interval",
    "Reference": "genome.reference:Reference",
    "Variant": "genome.intervals:Variant",
    "VariantFile": "genome.genotypes.vcf:VariantFile",
    "attribute": "attribution.attribute:attribute",
    "build_windows": "genome.windows:build_windows",
    "diff": "results.difference:diff",
    "evaluate": "evaluation.study_tables:evaluate_cohort",
    "example_cohort": "simulate.example:example_cohort",
    "fine_tune": "training.fine_tune:fine_tune",
    "fit_linear": "linear.baseline:fit_linear",
    "keep_windows": "results.kept_windows:keep_windows",
    "load_model": "models.registry:load_model",
    "load_prediction": "prediction.run:load_prediction",
    "load_study": "study.reading:load_study",
    "load_tables": "results.tables:load",
    "open_cohort": "cohort.opened:open_cohort",
    "open_variants": "genome.genotypes.open:open_variants",
    "personalize": "genome.windows:personalize",
    "predict": "prediction.run:predict_cohort",
    "predictions_from": "prediction.given:predictions_from",
    "score": "board.score:score",
    "submit": "board.submit:submit",
    "variant_effects": "attribution.variant_effects:predict_effects",
}

__all__ = ["figures", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line starts at once."""
    if name == "figures":
        return import_module("howfar.figures")
    if name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        return getattr(import_module(f"howfar.{module}"), attribute)
    raise AttributeError(f"module 'howfar' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
