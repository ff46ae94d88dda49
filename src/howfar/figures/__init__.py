"""Figures of the book: one study's result tables in, SVG, PNG, PDF and CSV out.

A notebook opens a study with `view`, shows `missing(view)` (a box, or nothing) and calls one
function per figure. Statistics come from the tables and from `howfar.stats`; nothing here
computes an estimate of its own.
"""

from howfar.figures.across import central, controls, distribution, ranked
from howfar.figures.agreement import (
    agreement_failures,
    agreement_genes,
    agreement_matrix,
    agreement_reference,
    variant_effects,
)
from howfar.figures.attribution import attribution_profile, driver_motifs, driver_sequences
from howfar.figures.baselines import (
    calibration,
    linear_distribution,
    linear_wins,
    polygenic_scores,
    population_transfer,
    training_people,
)
from howfar.figures.causal import (
    auroc,
    dnase,
    drivers_per_method,
    prioritisation,
    sign_concordance,
    unseen_alleles,
)
from howfar.figures.ceiling import heritability_attained, heritability_classes, heritability_scatter
from howfar.figures.distance import trends
from howfar.figures.drivers import driver_counts, driver_distance, driver_support, fine_mapped
from howfar.figures.eqtl import eqtl_genes, eqtl_lead_only, eqtl_overlap, eqtl_signs
from howfar.figures.features import lead_eqtls
from howfar.figures.locus import (
    locus_agreement,
    locus_facts,
    locus_overlap_curves,
    locus_overlaps,
    locus_plot,
)
from howfar.figures.paired import paired_density, paired_networks, paired_scatter
from howfar.figures.people import scatters
from howfar.figures.performance import (
    linear_against_network,
    method_performance,
    method_performance_abs,
    performance_again,
    performance_variants,
    performance_versions,
    rare_variants,
    training_size,
)
from howfar.figures.populations import by_population, centred_scatter, flips
from howfar.figures.reference import bars, scatter
from howfar.figures.significance import rule_counts, rule_error, volcano
from howfar.figures.stacking import stacking_people, stacking_splits
from howfar.figures.style import Shown
from howfar.figures.synthesis import synthesis
from howfar.figures.view import Box, View, missing, view
from howfar.figures.world import ceiling, false_positives, recovered, signs

__all__ = [
    "Box",
    "Shown",
    "View",
    "agreement_failures",
    "agreement_genes",
    "agreement_matrix",
    "agreement_reference",
    "attribution_profile",
    "auroc",
    "bars",
    "by_population",
    "calibration",
    "ceiling",
    "central",
    "centred_scatter",
    "controls",
    "distribution",
    "dnase",
    "driver_counts",
    "driver_distance",
    "driver_motifs",
    "driver_sequences",
    "driver_support",
    "drivers_per_method",
    "eqtl_genes",
    "eqtl_lead_only",
    "eqtl_overlap",
    "eqtl_signs",
    "false_positives",
    "fine_mapped",
    "flips",
    "heritability_attained",
    "heritability_classes",
    "heritability_scatter",
    "lead_eqtls",
    "linear_against_network",
    "linear_distribution",
    "linear_wins",
    "locus_agreement",
    "locus_facts",
    "locus_overlap_curves",
    "locus_overlaps",
    "locus_plot",
    "method_performance",
    "method_performance_abs",
    "missing",
    "paired_density",
    "paired_networks",
    "paired_scatter",
    "performance_again",
    "performance_variants",
    "performance_versions",
    "polygenic_scores",
    "population_transfer",
    "prioritisation",
    "ranked",
    "rare_variants",
    "recovered",
    "rule_counts",
    "rule_error",
    "scatter",
    "scatters",
    "sign_concordance",
    "signs",
    "stacking_people",
    "stacking_splits",
    "synthesis",
    "training_people",
    "training_size",
    "trends",
    "unseen_alleles",
    "variant_effects",
    "view",
    "volcano",
]
