"""Table `effects`: effects of single variants, beside the study's eQTL map, or published eQTLs."""

from __future__ import annotations

from collections import Counter

from howfar.attribution import variant_effects
from howfar.eqtl.network_agreement import with_slopes
from howfar.evaluation.inputs import Inputs, Table
from howfar.results import tables


def make(inputs: Inputs) -> Table:
    """Table `effects`: what `howfar effects` has made; stale effects are left out and counted."""
    parts, counts, cohort = [], Counter(), inputs.cohort
    for run in inputs.predicted:
        store = inputs.stores[run.id]
        units = variant_effects.find_units(cohort, run, store, inputs.results)
        if units is not None:
            parts.append(variant_effects.read_units(cohort, run, units))
        elif variant_effects.path_of(inputs.results, inputs.study.name, run.id).is_file():
            counts["runs whose variant effects are out of date"] += 1
    frame = tables.stack("effects", parts, "variant effects")
    if inputs.external_eqtls is not None or inputs.eqtl_map is not None:
        published = inputs.external_eqtls is not None
        own = None if published else inputs.eqtl_map.pairs(frame["gene_id"])
        found = with_slopes(frame, inputs.published_slopes(frame) if published else own)
        frame = tables.stack("effects", [found], "cis-eQTL map")
    return Table("effects", frame, counts)
