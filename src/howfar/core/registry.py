"""Registries: each name of a model, figure, table or study stands once, here.

An entry is a name, one line of help and the place of an object ("package.module:object"), which
is imported on first use. So a low layer (`study`, say) can take its choices from here without
importing upwards, and the command line can show them without importing torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from howfar.core.errors import HowfarError


@dataclass(frozen=True)
class Entry:
    """One name of a registry. `target`: "module:object" below the package howfar."""

    name: str
    summary: str
    target: str

    @property
    def help(self) -> str:
        """One line on the entry: its own, else the first of the object's docstring."""
        return self.summary or str(self.load().__doc__).split("\n")[0].rstrip(".")

    def load(self) -> Any:
        """Import and return the object."""
        module, _, attribute = self.target.partition(":")
        return getattr(import_module(f"howfar.{module}"), attribute)


class Registry(Mapping[str, Entry]):
    """Entries of one kind by name, in the order in which they are shown."""

    def __init__(self, kind: str, *entries: tuple[str, str, str]) -> None:
        """Make a registry of rows (name, help, target); `kind` names them in messages."""
        self.kind = kind
        self._entries = {name: Entry(name, text, target) for name, text, target in entries}
        if len(self._entries) < len(entries):
            raise ValueError(f"a {kind} is registered twice")

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: str, do: str = "Correct the name.") -> Entry:
        """Return the entry of that name; HowfarError, ending in `do`, where there is none."""
        if name not in self._entries:
            raise HowfarError(
                f"name of a {self.kind}",
                found=repr(name),
                expected=f"one of {', '.join(self)}",
                do=do,
            )
        return self._entries[name]

    def load(self, name: str, do: str = "Correct the name.") -> Any:
        """Return the object of that name, or raise as `find` does."""
        return self.find(name, do).load()


MODELS = Registry(
    "network",
    (
        "demo-enformer",
        "Small Enformer of the demo world",
        "models.zoo.demo_enformer:DemoEnformerModel",
    ),
    ("enformer", "Enformer (Avsec et al. 2021)", "models.zoo.enformer:EnformerModel"),
    ("basenji2", "Basenji2 (Kelley 2020)", "models.zoo.basenji2:Basenji2Model"),
    ("expecto", "ExPecto (Zhou et al. 2018)", "models.zoo.expecto:ExpectoModel"),
    (
        "beluga",
        "Beluga, the chromatin network of ExPecto (Zhou et al. 2018)",
        "models.zoo.beluga:BelugaModel",
    ),
    ("xpresso", "Xpresso (Agarwal and Shendure 2020)", "models.zoo.xpresso:XpressoModel"),
    ("gc-content", "GC content, a control without weights", "models.zoo.gc_content:GcContent"),
    ("table", "Predictions made elsewhere, in a table", "prediction.given:GivenPredictions"),
    ("borzoi", "Borzoi (Linder et al. 2025)", "models.zoo.borzoi:BorzoiModel"),
    ("flashzoi", "Flashzoi (Hingerl et al. 2025)", "models.zoo.borzoi:FlashzoiModel"),
    (
        "alphagenome",
        "AlphaGenome (Avsec et al. 2026)",
        "models.zoo.alphagenome:AlphaGenomeModel",
    ),
    (
        "fine-tuned",
        "A network trained on people by `howfar finetune`",
        "training.fine_tuned:FineTunedModel",
    ),
)

#: Strategies of training on people; their defaults stand in training/strategies.yaml.
STRATEGIES = Registry(
    "training strategy",
    *(
        (name, "", f"training.strategies:{name}")
        for name in (
            "single",
            "pair_regression",
            "pair_classification",
            "pair_counts",
            "joint_tracks",
            "joint_mpra",
            "variformer",
            "sagenet",
            "heads_realigned",
        )
    ),
)

#: In the order in which figures and tables show them; the help is their label there.
LINEAR_MODELS = Registry(
    "linear model",
    ("top1", "Top SNP", "linear.top:fit_top1"),
    ("lasso", "Lasso", "linear.elastic_net:fit_lasso"),
    ("enet", "Elastic net (PrediXcan)", "linear.elastic_net:fit_enet"),
    ("blup", "BLUP", "linear.blup:fit_blup"),
    ("bslmm", "BSLMM", "linear.bslmm:fit_bslmm"),
    ("prs", "PRS", "linear.prs:fit_prs"),
    ("prs_pt", "PRS, pruned and thresholded", "linear.prs:fit_prs_pt"),
)

#: In the order in which figures and tables show them; the help is their label there.
STACKED = Registry(
    "stacked model",
    ("ridge", "Ridge", "stacking.regressors:ridge"),
    ("ridge_quantile", "Ridge on quantiles", "stacking.regressors:ridge_quantile"),
    ("polynomial", "Polynomial (degree 2)", "stacking.regressors:polynomial"),
    ("elastic_net", "Elastic net", "stacking.regressors:elastic_net"),
    ("forest", "Random forest", "stacking.regressors:forest"),
    ("boosting", "Gradient boosting", "stacking.regressors:boosting"),
    ("xgboost", "XGBoost", "stacking.regressors:xgboost"),
    ("stack", "Stack of ridge, polynomial and boosting", "stacking.regressors:stack"),
)

DRIVER_RULES = Registry(
    "driver rule",
    ("sasse-forward", "Sasse et al. 2023", "attribution.drivers:sasse_forward"),
    ("sasse-backward", "Sasse et al. 2023, backward", "attribution.drivers:sasse_backward"),
    ("rastogi", "Rastogi, Reddy et al. 2024", "attribution.drivers:rastogi"),
)

RECIPES = Registry(
    "recipe",
    ("gtex", "Counts: TMM, filters, normal scores", "cohort.preprocess.gtex:prepare"),
    ("rastogi2024", "RPKM or TPM: log, standardised", "cohort.preprocess.rastogi2024:prepare"),
    (
        "sagenet2024",
        "TPM: covariates and components removed",
        "cohort.preprocess.sagenet2024:prepare",
    ),
    ("sasse2023", "Counts: TMM, voom, covariates removed", "cohort.preprocess.sasse2023:prepare"),
)

PUBLISHED = Registry(
    "published study",
    ("capstone2025", "UCSD capstone on APOE", "published.capstone2025:load"),
    ("geuvadis_public", "Geuvadis people, from public tables", "published.geuvadis_public:load"),
    ("huang2023", "Huang et al. 2023", "published.huang2023:load"),
    ("rastogi2024", "Rastogi, Reddy et al. 2024", "published.rastogi2024:load"),
    ("sagenet2024", "SAGE-net 2024", "published.sagenet2024:load"),
    ("sasse2023", "Sasse et al. 2023", "published.sasse2023:load"),
    ("variantformer", "VariantFormer, one person", "published.variantformer:load"),
)

#: Makers of a computed study's tables, all but `numbers`: ``make(inputs)`` gives a Table.
TABLES = Registry(
    "result table",
    *(
        (name, "", f"evaluation.{module}:make")
        for name, module in {
            "genes": "genes",
            "runs": "runs",
            "reference": "reference",
            "across": "across",
            "within": "within",
            "features": "features",
            "individuals": "individuals",
            "agreement": "model_agreement",
            "effects": "effects",
            "drivers": "drivers",
            "summary": "summary",
        }.items()
    ),
)

#: Functions of the figures' modules; the first line of a function's docstring is its help.
_FIGURES = {
    "across": "central controls distribution ranked",
    "agreement": (
        "agreement_failures agreement_genes agreement_matrix agreement_reference variant_effects"
    ),
    "attribution": "attribution_profile driver_motifs driver_sequences",
    "attribution_truth": "truth_bases truth_ranks truth_signs",
    "baselines": (
        "bslmm calibration linear_distribution linear_wins polygenic_scores "
        "population_transfer sweeps training_people"
    ),
    "cures": "cure_seeds cured track_sets",
    "causal": "auroc dnase drivers_per_method prioritisation sign_concordance unseen_alleles",
    "gene_detail": (
        "contributions gradient_along gradient_clusters gradient_variants people_map "
        "slope_against_effect variants_along"
    ),
    "heritability": "heritability_attained heritability_classes heritability_scatter",
    "distance": "trends",
    "drivers": (
        "driver_counts driver_distance driver_halves driver_slopes driver_support fine_mapped "
        "linear_approximation"
    ),
    "eqtl": "carried eqtl_genes eqtl_lead_only eqtl_overlap eqtl_signs",
    "features": "lead_eqtls",
    "locus": "locus_agreement locus_facts locus_overlap_curves locus_overlaps locus_plot",
    "modality": "modalities",
    "between_tissues": "tissues",
    "one_gene": "scatter_people",
    "paired": "paired_density paired_networks paired_scatter",
    "people": "scatters",
    "performance": (
        "linear_against_network method_performance method_performance_abs "
        "performance_again performance_variants performance_versions rare_variants "
        "training_size"
    ),
    "populations": "by_population centred_scatter flips",
    "fine_tuning": "learning_curves strategies_tried trained_beside_linear trained_effects "
    "training_choices",
    "reference": "bars scatter",
    "significance": "rule_counts rule_error volcano",
    "stacking": "stacking_people stacking_splits",
    "all_studies": "synthesis",
    "world": "ceiling false_positives recovered signs world_network",
}

FIGURES = Registry(
    "figure",
    *(
        (name, "", f"figures.{module}:{name}")
        for module, names in _FIGURES.items()
        for name in names.split()
    ),
)
