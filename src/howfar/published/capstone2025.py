"""A student project of 2025 on the APOE locus: Enformer's score and an eQTL scan per SNP (hg38).

Repository Kevinxsn/deep_learning_and_gene_expression: 1,402 HapMap3 SNPs from 5 Mb upstream of
APOE's start to 10 kb beyond the gene, with the eQTL scan in whole blood of European donors of GTEx
v8. Each SNP's score is the difference of Enformer's output between its two alleles, in a window
centred on the SNP and averaged over the bins around it: it is not a prediction for APOE.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from howfar.published.files import Files
from howfar.results.number_rows import Rows
from howfar.stats import top_overlap
from howfar.stats.top_overlap import BLOCK, rank_agreement, shuffled_p
from howfar.study.schema import Study

EQTL = "capstone2025/eQTL_APOE_result.csv"
RESULTS = {
    "full": "capstone2025/chr19_numer_1402_result.csv",
    "tracks": "capstone2025/chr19_numer_1402_tracks_result.csv",
}
CIS_117 = "capstone2025/cis_117_eQTL_result.csv"
CIS_117_SNPS = "capstone2025/cis_117_snps.txt"
LABELS = {"full": "Enformer, all outputs", "tracks": "Enformer, selected outputs"}
#: First base of APOE (hg38, 1-based, forward strand).
APOE_START = 44_905_791
GENE = "ENSG00000130203"
SOURCE = "eQTL scan, GTEx v8 whole blood, European donors"
#: Size of the two lists that the study compares.
TOP = 50
_DRAWS = 2000
_REACH = 98_304  # half of the model's window of 196,608 bp


def load(study: Study, files: Files) -> dict[str, pd.DataFrame]:
    """Tables runs, genes, effects, summary and numbers.

    `effects`: the score (first allele less second) beside the slope and p of the eQTL scan; which
    allele the slope counts isn't stated. Five SNPs have no p.
    """
    snps = snp_table(files)
    effects = effects_table(snps)
    genes = pd.DataFrame(
        [{"gene_id": GENE, "name": "APOE", "chrom": "19", "tss": APOE_START, "strand": "+"}]
    )
    curves = top_overlap.curves(effects, seed=study.evaluation.seed)
    return {
        "runs": model_runs(study.name),
        "genes": genes,
        "effects": effects,
        "summary": curves,
        "numbers": numbers(snps, effects, curves, cis_117(files), study.evaluation.seed),
    }


def snp_table(files: Files) -> pd.DataFrame:
    """One row per SNP (index): position (hg38, 1-based), slope, p, and a column per run."""
    names = ["Beta", "P-value", "position"]
    frame = files.table(EQTL, ["SNP"], names, sep="\t").set_index("SNP")
    p = frame["P-value"]
    if frame.index.duplicated().any() or frame["position"].isna().any() or not _are_p(p):
        raise files.bad(EQTL, "repeated SNPs, or a p beyond 0 to 1", "one row per SNP, with p")
    found = pd.DataFrame({"position": frame["position"], "slope": frame["Beta"], "p": p})
    for run, name in RESULTS.items():
        rows = files.table(name, ["SNP"], ["Position", "Result"], sep="\t").set_index("SNP")
        same = rows.index.sort_values().equals(found.index.sort_values())
        if not same or rows.isna().any(axis=None):
            raise files.bad(name, f"{len(rows)} SNPs", f"the {len(found)} SNPs of {EQTL}, scored")
        moved = int((rows["Position"].reindex(found.index) != found["position"]).sum())
        if moved:
            raise files.bad(name, f"{moved} SNPs at another place", f"the positions of {EQTL}")
        found[run] = rows["Result"].reindex(found.index)
    return found.sort_values("position", kind="stable")


def _are_p(p: pd.Series) -> bool:
    given = p.dropna()
    return bool(len(given) and given.gt(0).all() and given.le(1).all())


def cis_117(files: Files) -> pd.DataFrame:
    """P-value per SNP of the second locus, and the offset of its two positions where both exist."""
    numbers = ["P-value", "position"]
    frame = files.table(CIS_117, ["SNP"], numbers).set_index("SNP")
    both = files.table(CIS_117_SNPS, ["SNP"], ["Position", "position"], sep="\t").set_index("SNP")
    if (
        frame.index.duplicated().any()
        or both.index.duplicated().any()
        or not _are_p(frame["P-value"])
    ):
        raise files.bad(CIS_117, "repeated SNPs, or a p beyond 0 to 1", "one row per SNP, with p")
    return frame.assign(offset=both["position"] - both["Position"])


def effects_table(snps: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table `effects`, `distance` = position less the start of APOE."""
    common = pd.DataFrame(
        {
            "gene_id": GENE,
            "variant": snps.index,
            "source": SOURCE,
            "slope": snps["slope"].to_numpy(),
            "p": snps["p"].to_numpy(),
            "distance": snps["position"].to_numpy() - APOE_START,
        }
    )
    parts = [common.assign(run_id=run, effect=snps[run].to_numpy()) for run in RESULTS]
    return pd.concat(parts, ignore_index=True)


def model_runs(study: str) -> pd.DataFrame:
    """The two scores: the sum over all outputs, and over a list of chosen ones."""
    tracks = {"full": "all 5,313", "tracks": "a list of chosen outputs"}
    return pd.DataFrame(
        [
            {
                "run_id": run,
                "study": study,
                "label": LABELS[run],
                "kind": "network",
                "model": "Enformer",
                "tracks": tracks[run],
                "bins": "128 central bins around the SNP",
                "transform": "mean_bins > sum_tracks > first allele less second",
                "units": "sum of outputs, linear",
                "context": 196_608,
                "alleles": "snv",
                "engine": "enformer-pytorch",
            }
            for run in RESULTS
        ]
    )


# --- the study's own numbers -----------------------------------------------------------------


def numbers(
    snps: pd.DataFrame,
    effects: pd.DataFrame,
    curves: pd.DataFrame,
    other: pd.DataFrame,
    seed: int,
) -> pd.DataFrame:
    """Table `numbers`: ids C.* as the study counts, and this book's controls of them.

    snps: of `snp_table`; effects, curves: the tables `effects` and `summary`; other: `cis_117`.
    """
    rows = Rows(seed=seed)
    _overlap_numbers(rows, snps)
    _control_numbers(rows, curves)
    _shuffled_numbers(rows, snps, seed)
    _rank_numbers(rows, effects, seed)
    _window_numbers(rows, snps)
    values = other["P-value"]
    rows.add("C.cis117.n", len(other), len(other), "SNPs of the second locus.", CIS_117)
    rows.add(
        "C.cis117.nom",
        (values < 0.05).sum(),
        len(other),
        "SNPs of the second locus with P < 0.05.",
        CIS_117,
    )
    offset = other["offset"].dropna()
    rows.add(
        "capstone2025.cis117.offset",
        offset.median(),
        len(offset),
        "Median of `position` less `Position`, bp: one counts in hg19, the other in hg38.",
        CIS_117_SNPS,
    )
    return rows.frame()


def _lists(snps: pd.DataFrame) -> dict[str, np.ndarray]:
    """Membership in the top 50 by p, by each run alone, and by each run's combined score."""
    log10p = -np.log10(snps["p"].to_numpy(float))
    found = {"eqtl": top_overlap.top(log10p, TOP)}
    for run in RESULTS:
        effect = snps[run].abs().to_numpy(float)
        found[run] = top_overlap.top(effect, TOP)
        found[f"{run}.score"] = top_overlap.top(top_overlap.combined(effect, log10p), TOP)
    return found


def _overlap_numbers(rows: Rows, snps: pd.DataFrame) -> None:
    lists = _lists(snps)
    score = "ranked by |score| and -log10 P, each brought to 0..1 and summed"
    alone = "ranked by |score| alone"
    by_p = "the top 50 by -log10 P"
    for key, names, words in (
        ("C.full_eqtl", ["full.score", "eqtl"], f"all outputs, {score}; {by_p}"),
        ("C.tracks_eqtl", ["tracks.score", "eqtl"], f"selected outputs, {score}; {by_p}"),
        ("C.full_tracks", ["full.score", "tracks.score"], f"all and selected outputs, {score}"),
        (
            "C.allthree",
            ["full.score", "tracks.score", "eqtl"],
            f"all outputs, selected outputs, {score}; {by_p}",
        ),
        ("C.modelonly.full", ["full", "eqtl"], f"all outputs, {alone}; {by_p}"),
        ("C.modelonly.tracks", ["tracks", "eqtl"], f"selected outputs, {alone}; {by_p}"),
        ("C.modelonly.full_tracks", ["full", "tracks"], f"all and selected outputs, {alone}"),
    ):
        both = np.logical_and.reduce([lists[name] for name in names])
        source = ", ".join([EQTL, *RESULTS.values()])
        rows.add(key, both.sum(), len(snps), f"SNPs in each of these lists of 50: {words}.", source)


def _control_numbers(rows: Rows, curves: pd.DataFrame) -> None:
    """What chance gives for lists of 50, with its 95 % range in the place of an interval."""
    at = curves[curves["x"] == TOP]
    words = {
        "overlap_random": "for two random lists of 50 (hypergeometric)",
        "overlap_rotated": "when the scores are turned along the region, neighbours kept together",
        "overlap_shuffled": "of the combined score when the scores are exchanged between SNPs at "
        "random: what the p-value in it brings about by itself",
    }
    for row in at[at["set"].isin(words)].itertuples():
        rows.add(
            f"capstone2025.{row.set}.{row.method}",
            row.value,
            row.n,
            f"Mean overlap with the top 50 by -log10 P {words[row.set]}; {LABELS[row.method]}; "
            "interval: its 95 % range.",
            ", ".join([EQTL, RESULTS[row.method]]),
            (row.ci_low, row.ci_high),
        )


def _shuffled_numbers(rows: Rows, snps: pd.DataFrame, seed: int) -> None:
    log10p = -np.log10(snps["p"].to_numpy(float))
    for run, name in RESULTS.items():
        p = shuffled_p(snps[run].to_numpy(float), log10p, TOP, _DRAWS, seed)
        rows.add(
            f"capstone2025.overlap_shuffled_p.{run}",
            p,
            len(snps),
            f"Share of {_DRAWS:,} random exchanges of scores between SNPs whose combined score "
            "overlaps with the top 50 by -log10 P at least as much as the true one; it ignores "
            f"linkage between SNPs, so that it is too small; {LABELS[run]}.",
            ", ".join([EQTL, name]),
        )


def _rank_numbers(rows: Rows, effects: pd.DataFrame, seed: int) -> None:
    for row in rank_agreement(effects, seed).itertuples():
        rows.add(
            f"C.rho.{row.run_id}",
            row.rho,
            row.n,
            f"Spearman rho of |score| and -log10 P over SNPs with P, {LABELS[row.run_id]}; "
            f"interval by bootstrap over blocks of {BLOCK:,} bp.",
            ", ".join([EQTL, RESULTS[row.run_id]]),
            (row.ci_low, row.ci_high),
        )


def _window_numbers(rows: Rows, snps: pd.DataFrame) -> None:
    p, distance = snps["p"].dropna(), snps["position"] - APOE_START
    for key, value, n, words in (
        ("C.nsnp", len(snps), len(snps), "SNPs of the APOE table."),
        (
            "C.window.left",
            distance.min(),
            len(snps),
            f"Lowest SNP position less {APOE_START:,}, the start of APOE (hg38), bp.",
        ),
        (
            "capstone2025.window.right",
            distance.max(),
            len(snps),
            f"Highest SNP position less {APOE_START:,}, bp.",
        ),
        (
            "capstone2025.window.reach",
            (distance.abs() <= _REACH).sum(),
            len(snps),
            f"SNPs within {_REACH:,} bp of the start of APOE, half of the model's window.",
        ),
        (
            "C.bonf",
            (p < 0.05 / len(p)).sum(),
            len(p),
            "SNPs with P below 0.05 over the number of SNPs with P (Bonferroni).",
        ),
        ("capstone2025.min_p", p.min(), len(p), "Lowest P of the eQTL scan."),
    ):
        rows.add(key, value, n, words, EQTL)
