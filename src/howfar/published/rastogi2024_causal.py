"""Rastogi et al. 2024: do a method's effects put causal variants first? (hg19)

Causal variants: pairs of variant and gene that MAGE fine-mapped with a posterior inclusion
probability (PIP) above 0.9, and pairs whose two alleles differ in a reporter assay (MPRA) in
GM12878. Each is ranked by |weight| or |effect| among the gene's common training variants, which
are those of BLUP's weight file. A variant without a weight has weight 0; ties share a rank.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from howfar import stats
from howfar.published.files import Files
from howfar.published.rastogi2024_methods import METHODS, WEIGHTED, Method
from howfar.results.number_rows import Rows
from howfar.stats.blocks import blocks_of

WEIGHTS = "rastogi2024/WEIGHTS.tar.gz"
MAGE = "rastogi2024/eQTL_finemapping.significantAssociations.trainingVariants.MAGE.v1.0.hg19.txt"
MPRA = "rastogi2024/GM12878_effect_sizes.trainingVariants.csv"
ISM = "rastogi2024/ISM/{}.csv"
#: PIP above which a pair counts as causal, and from which on a variant is no negative.
CAUSAL_PIP, LISTED_PIP = 0.9, 0.01
#: False discovery rate below which a reporter construct counts as having two unlike alleles.
MPRA_FDR = 0.25
TOP = np.array([0.01, 0.02, 0.05, *np.round(np.arange(0.1, 1.01, 0.05), 2)])
PIP_BINS = {
    "PIP below 0.1": (0, 0.1),
    "PIP 0.1 to 0.5": (0.1, 0.5),
    "PIP 0.5 to 0.9": (0.5, 0.9),
    "PIP from 0.9": (0.9, 1.01),
}
_MAGE_SOURCE = "MAGE fine mapping"
_MPRA_SOURCE = "MPRA in GM12878"
_ANY, _ACTIVE = f"{_MPRA_SOURCE}, FDR from 0.25", f"{_MPRA_SOURCE}, FDR below 0.25"
_VARIANT = r"chr[\dX]+:\d+ [ACGT]+/[ACGT]+"


@dataclass(frozen=True)
class Effects:
    """Effects of one method on a gene's common variants, by gene key: Series by variant."""

    method: Method
    by_gene: dict[str, pd.Series]

    def of(self, pairs: pd.DataFrame) -> np.ndarray:
        """Effect at each pair (columns key, variant); NaN for a gene without any effect."""
        return self._look_up(pairs, self.by_gene)

    def percentiles(self, pairs: pd.DataFrame) -> np.ndarray:
        """Rank of |effect| at each pair over the number of the gene's variants: 1 is the first."""
        wanted = {key: rank_shares(self.by_gene[key]) for key in pairs["key"].unique()}
        return self._look_up(pairs, wanted)

    @staticmethod
    def _look_up(pairs: pd.DataFrame, values: dict[str, pd.Series]) -> np.ndarray:
        nothing = pd.Series(dtype=float)
        keyed = zip(pairs["key"], pairs["variant"], strict=True)
        return np.array([values.get(k, nothing).get(v, np.nan) for k, v in keyed], float)


def rank_shares(effects: pd.Series) -> pd.Series:
    """Ascending ranks of |effect| over their number; ties share their mean rank."""
    return pd.Series(rankdata(effects.abs()) / len(effects), effects.index)


# --- reading ---------------------------------------------------------------------------------


def read_weights(files: Files) -> dict[str, Effects]:
    """Weights of the linear models on each gene's common variants, by run id.

    The archive's text files give variant, alternative allele, reference allele and weight per
    alternative allele. Lines of lasso that are wholly 'NA' are left out: their weight is 0.
    """
    given: dict[str, dict[str, pd.Series]] = {name: {} for name in WEIGHTED if name != "baseline"}
    try:
        with tarfile.open(files.path(WEIGHTS)) as archive:
            for member in archive:
                if member.name.endswith(".weights.txt"):
                    key, name = member.name.split("/")[-1].split(".weights.txt")[0].rsplit(".", 1)
                    text = archive.extractfile(member).read().decode()
                    given.setdefault(name, {})[key] = _weights_of(files, member.name, text)
    except (tarfile.TarError, OSError, EOFError, UnicodeDecodeError) as error:
        raise files.bad(WEIGHTS, f"no readable archive ({error})", "a tar.gz archive") from error
    return _aligned(files, given)


def _weights_of(files: Files, name: str, text: str) -> pd.Series:
    rows = {}
    for number, line in enumerate(text.splitlines(), start=1):
        fields = [field.strip() for field in line.split("\t")]
        if set(fields) == {"NA"}:
            continue
        try:
            snp, alternative, reference, weight = fields
            _, chrom, position = snp.split("_")
            rows[f"chr{chrom}:{int(position)} {reference}/{alternative}"] = float(weight)
        except ValueError as error:
            where = f"{name}, line {number}: {error}"
            raise files.bad(WEIGHTS, where, "snp_chrom_pos, alleles, weight") from error
    return pd.Series(rows, dtype=float)


def _aligned(files: Files, given: dict[str, dict[str, pd.Series]]) -> dict[str, Effects]:
    """Every method's weights on BLUP's variants, 0 where it has none."""
    common = given["blup"]
    if set(given) != set(WEIGHTED) - {"baseline"} or any(
        set(g) != set(common) for g in given.values()
    ):
        raise files.bad(WEIGHTS, f"methods {sorted(given)}", "five methods, the same genes each")
    found = {}
    for name, genes in given.items():
        lost = sum(len(w.index.difference(common[key].index)) for key, w in genes.items())
        if lost:
            raise files.bad(WEIGHTS, f"{lost} variants of {name} that BLUP lacks", "none")
        filled = {key: w.reindex(common[key].index, fill_value=0.0) for key, w in genes.items()}
        found[WEIGHTED[name].run_id] = Effects(WEIGHTED[name], filled)
    return found


def read_ism(files: Files, keys: list[str], common: Effects) -> Effects:
    """Enformer's effect (alternative less reference prediction) on the common variants of genes."""
    found = {}
    for key in keys:
        name = ISM.format(key)
        table = files.table(name, ["Unnamed: 0"], ["ISM"]).set_index("Unnamed: 0")["ISM"]
        variants = common.by_gene[key].index
        if table.index.duplicated().any() or table.reindex(variants).isna().any():
            raise files.bad(name, f"{table.index.nunique()} variants", "each common variant once")
        found[key] = table.reindex(variants)
    return Effects(WEIGHTED["baseline"], found)


def read_mage(files: Files) -> pd.DataFrame:
    """Fine-mapped pairs: key, variant, pip, maf, distance (unsigned, bp). No slope is given."""
    names = {
        "our_gene_name": "key",
        "hg19_variant": "variant",
        "variantPIP": "pip",
        "MAF": "maf",
        "TSS_dist": "distance",
    }
    table = files.table(MAGE, list(names)[:2], list(names)[2:], sep="\t").rename(columns=names)
    return _pairs(files, MAGE, table)


def read_mpra(files: Files) -> pd.DataFrame:
    """Pairs tested by MPRA: key, variant, slope (skew, alternative against reference), p, fdr."""
    names = {
        "our_gene_name": "key",
        "hg19_variant": "variant",
        "GM12878_normalized_variant_effect": "slope",
        "GM12878_Skew_P": "p",
        "GM12878_Skew_FDR": "fdr",
    }
    table = files.table(MPRA, list(names)[:2], list(names)[2:]).rename(columns=names)
    return _pairs(files, MPRA, table)


def _pairs(files: Files, name: str, table: pd.DataFrame) -> pd.DataFrame:
    repeated = table.duplicated(["key", "variant"]).sum()
    if (
        repeated
        or table.isna().any(axis=None)
        or not table["variant"].str.fullmatch(_VARIANT).all()
    ):
        raise files.bad(name, f"{repeated} repeated pairs or empty cells", "each pair once")
    return table


def check_known(files: Files, name: str, pairs: pd.DataFrame, common: Effects) -> None:
    """HowfarError unless every pair is among the common variants of its gene."""
    absent = int(np.isnan(common.of(pairs)).sum())
    if absent:
        raise files.bad(name, f"{absent} pairs that BLUP's weights lack", "common variants")


# --- tables ----------------------------------------------------------------------------------


def causal(mage: pd.DataFrame) -> pd.DataFrame:
    """The fine-mapped pairs that count as causal."""
    return mage[mage["pip"] > CAUSAL_PIP].reset_index(drop=True)


def active(mpra: pd.DataFrame) -> pd.DataFrame:
    """The reporter-assay pairs whose alleles differ."""
    return mpra[mpra["fdr"] < MPRA_FDR].reset_index(drop=True)


def effects_table(
    effects: dict[str, Effects], mage: pd.DataFrame, mpra: pd.DataFrame, genes: pd.DataFrame
) -> pd.DataFrame:
    """Table `effects`: each method's effect at every pair whose gene it has effects for.

    effect: FUSION weight or alternative less reference prediction, per alternative allele.
    """
    named = genes.set_index("key")
    place = mpra["variant"].str.extract(r":(\d+) ")[0].astype(float).to_numpy()
    away = np.abs(place - named.loc[mpra["key"], "tss"].to_numpy(float))
    fine = mage.assign(source=_MAGE_SOURCE)
    assay = mpra.assign(distance=away, source=np.where(mpra["fdr"] < MPRA_FDR, _ACTIVE, _ANY))
    pairs = pd.concat([fine, assay.drop(columns="fdr")], ignore_index=True)
    pairs["gene_id"] = named.loc[pairs["key"], "gene_id"].to_numpy()
    parts = [pairs.assign(run_id=run, effect=found.of(pairs)) for run, found in effects.items()]
    table = pd.concat(parts, ignore_index=True).drop(columns="key")
    return table[table["effect"].notna()]


def curves(
    effects: dict[str, Effects], what: str, pairs: pd.DataFrame, genes: pd.DataFrame
) -> pd.DataFrame:
    """Rows of table `summary`: share of causal pairs in the top `x` of their gene's variants.

    Intervals by block bootstrap over the pairs' genes.
    """
    blocks = _blocks(pairs, genes)
    parts = []
    for run in _ordered(effects):
        within = in_top(effects[run].percentiles(pairs), TOP)
        low, high = stats.block_bootstrap(within, blocks, stats.weighted_mean, weighted=True)
        part = pd.DataFrame({"x": TOP, "value": within.mean(axis=0), "ci_low": low})
        parts.append(part.assign(ci_high=high, method=effects[run].method.label))
    words = {"mage_curve": "PIP above 0.9", "mpra_curve": "FDR below 0.25"}
    found = pd.concat(parts, ignore_index=True)
    return found.assign(set=what, group=words[what], n=len(pairs), units="share of causal pairs")


def in_top(shares: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Whether each rank share (pairs,) is among the first `top` (k,): (pairs, k) of 0 and 1."""
    # 1 - x of a binary fraction isn't exact: without the margin a rank on the edge could go astray.
    return (shares[:, None] >= 1 - np.asarray(top)[None, :] - 1e-9).astype(float)


def _blocks(pairs: pd.DataFrame, genes: pd.DataFrame) -> np.ndarray:
    return blocks_of(genes, _ids(pairs, genes))[0]


def _ids(pairs: pd.DataFrame, genes: pd.DataFrame) -> pd.Series:
    return pairs["key"].map(genes.set_index("key")["gene_id"])


def _ordered(effects: dict[str, Effects]) -> list[str]:
    return [method.run_id for method in METHODS if method.run_id in effects]


def chances(effects: Effects, pairs: pd.DataFrame, listed: pd.DataFrame) -> np.ndarray:
    """P(score of pair i above that of a random negative of pair j), ties one half: (n, n).

    A negative of a pair is any common training variant of its gene that fine mapping doesn't list
    with a PIP of 0.01 or more; the score is the rank share. The mean over all i and j is the
    expected area under the ROC curve of the pairs against one random negative each.
    """
    scores = effects.percentiles(pairs)
    taken = listed[listed["pip"] >= LISTED_PIP].groupby("key")["variant"].agg(set)
    found = np.empty((len(pairs), len(pairs)))
    for key in pairs["key"].unique():
        shares = rank_shares(effects.by_gene[key])
        free = np.sort(shares[~shares.index.isin(taken[key])].to_numpy())
        below = np.searchsorted(free, scores, "left") + np.searchsorted(free, scores, "right")
        found[:, (pairs["key"] == key).to_numpy()] = (below / 2 / len(free))[:, None]
    return found


def auroc(chance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected area (draws,) from `chances`, each pair counted as often as `weights` say."""
    total = weights.sum(axis=1)
    return ((weights @ chance) * weights).sum(axis=1) / total**2


def concordance(
    effects: dict[str, Effects], mage: pd.DataFrame, mpra: pd.DataFrame
) -> pd.DataFrame:
    """Rows of table `summary`, set sign_concordance: share of pairs with equal signs.

    The public table of fine-mapped pairs has no slopes. Enformer's effects are therefore compared
    with BLUP's weights, which people gave, in bins of PIP (`x`: lower end); all methods with the
    sign of the reporter assay. Pairs with an effect of 0 are left out. Wilson intervals: few pairs
    share a gene.
    """
    parts = []
    for name, (low, high) in PIP_BINS.items():
        pairs = mage[(mage["pip"] >= low) & (mage["pip"] < high)]
        parts.append(_agreement(effects["enformer"], pairs, effects["blup"].of(pairs)))
        parts[-1] |= {"group": f"BLUP weight, {name}", "x": low}
    for run in _ordered(effects):
        for name, pairs in ((_ACTIVE, active(mpra)), (_ANY, mpra[mpra["fdr"] >= MPRA_FDR])):
            parts.append(_agreement(effects[run], pairs, pairs["slope"].to_numpy()))
            parts[-1]["group"] = name
    units = "share of pairs with equal signs"
    return pd.DataFrame(parts).assign(set="sign_concordance", units=units)


def _agreement(effects: Effects, pairs: pd.DataFrame, other: np.ndarray) -> dict:
    from statsmodels.stats.proportion import proportion_confint  # slow to import

    signs = np.sign(effects.of(pairs)) * np.sign(other)
    signs = signs[~np.isnan(signs) & (signs != 0)]
    equal, n = int((signs > 0).sum()), len(signs)
    low, high = proportion_confint(equal, n, method="wilson") if n else (np.nan, np.nan)
    value = equal / n if n else np.nan
    found = {"method": effects.method.label, "value": value, "n": n}
    return found | {"ci_low": low, "ci_high": high}


# --- numbers ---------------------------------------------------------------------------------


def add_numbers(
    rows: Rows,
    effects: dict[str, Effects],
    mage: pd.DataFrame,
    mpra: pd.DataFrame,
    genes: pd.DataFrame,
) -> None:
    """Counts, shares in the top 10 % and expected areas under the ROC curve."""
    fine, assay = causal(mage), active(mpra)
    known = pd.MultiIndex.from_frame(fine[["key", "variant"]])
    new = ~pd.MultiIndex.from_frame(assay[["key", "variant"]]).isin(known)
    rows.add("R.mage.n", len(fine), len(mage), "Fine-mapped pairs with PIP above 0.9.", MAGE)
    rows.add("R.mpra.n", len(assay), len(mpra), "MPRA pairs with FDR below 0.25.", MPRA)
    rows.add(
        "R.mpra.unique",
        new.sum(),
        len(assay),
        "MPRA pairs with FDR below 0.25 that aren't fine-mapped pairs with PIP above 0.9.",
        f"{MPRA}, {MAGE}",
    )
    for run in _ordered(effects):
        found = effects[run]
        for what, pairs, source in (("mage", fine, MAGE), ("mpra", assay, MPRA)):
            rows.over_genes(
                f"R.{what}.top10.{found.method.weights}",
                in_top(found.percentiles(pairs), np.array([0.1]))[:, 0],
                _ids(pairs, genes),
                stats.weighted_mean,
                f"Share of the {len(pairs)} causal pairs in the top 10 % of |effect| of "
                f"{found.method.label} among the common training variants of the gene (ties share "
                "a rank, a missing weight is 0)",
                f"{source}, {_effect_files(run)}",
            )
        _auroc_number(rows, found, fine, mage, genes)


def _auroc_number(rows: Rows, found: Effects, fine, mage, genes: pd.DataFrame) -> None:
    rows.over_genes(
        f"R.mage.auroc.{found.method.weights}",
        chances(found, fine, mage),
        _ids(fine, genes),
        auroc,
        f"Expected area under the ROC curve of the rank share of |effect| of {found.method.label}: "
        f"{len(fine)} pairs with PIP above 0.9 against one random common training variant of the "
        "same gene that fine mapping doesn't list with PIP from 0.01 on (exact expectation; the "
        "authors' negatives aren't public)",
        f"{MAGE}, {_effect_files(found.method.run_id)}",
    )


def _effect_files(run: str) -> str:
    return ISM.format("*") if run == "enformer" else WEIGHTS
