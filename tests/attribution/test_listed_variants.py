"""Variants of a table: alleles laid on the reference, percentiles, slopes and agreement by hand."""

import numpy as np
import pandas as pd
import pytest

import howfar as hf
from helpers.commands import invoke
from helpers.tiny import CountLetters, make_study
from howfar.attribution import listed_variants as lv
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.prediction.run import run_in_memory
from howfar.prediction.store import outputs_of

STEPS = ("sum_bins", "mean_tracks", "mean_haplotypes")


def scored(cohort, run, model, path):
    listed, counts = lv.read_listed(path, cohort)
    return lv.score(cohort, run, model, outputs_of(run, model), listed), counts


def test_alleles_are_laid_on_the_reference_and_effects_are_of_the_effect_allele(tmp_path):
    study = make_study(tmp_path)
    path = tmp_path / "gwas.tsv"
    rows = [
        ("rs1", "1", 95, "G", "A", "x"),  # the effect allele is the ALT
        ("rs2", "chr1", 98, "A", "G", "x"),  # .. is the reference's; nobody carries the other
        ("rs3", "1", 99, "C", "T", "y"),  # neither is the reference's
        ("rs4", "1", 390, "G", "A", "y"),  # in no gene's window
        ("rs5", "7", 95, "G", "A", "y"),
        ("rs6", "1", 95, "<DEL>", "A", "y"),
    ]
    columns = ["SNP", "chromosome", "base_pair_location", "effect_allele", "other_allele", "trait"]
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)
    found, counts = scored(OpenCohort(study), study.runs[0], CountLetters(), path)
    kept = found[found["gene_id"] == "g1"].set_index("rsid")
    assert kept["effect"].to_dict() == {"rs1": 1.0, "rs2": -1.0}
    assert kept["alternate"].to_dict() == {"rs1": 1.0, "rs2": 1.0}
    assert (kept["reference"] == 0).all() and kept["distance"].to_dict() == {"rs1": -6, "rs2": -3}
    assert kept["percentile"].isna().all() and kept["slope"].isna().all()  # four people
    text = "\n".join(counts)
    for words in ("neither allele is the reference's", "contig is not in", "two of letters"):
        assert words in text
    assert sum(counts.values()) == 3
    path.write_text("rsid\ttrait\nrs1\tx\n")
    with pytest.raises(HowfarError, match="found the columns rsid, trait"):
        lv.read_listed(path, OpenCohort(study))


def test_slopes_are_those_of_least_squares_by_effect_allele(tmp_path):
    cohort, model = hf.example_cohort(), hf.load_model("gc-content")
    gene = next(g for g in cohort.genes if cohort.dosages(g, 2_048)[1])
    copies, variants = cohort.dosages(gene, 2_048)
    chosen = int(np.argmax(np.nan_to_num(copies).var(axis=0)))
    v = variants[chosen]
    path = tmp_path / "t.csv"
    path.write_text(f"chrom,pos,a1,a2\n{v.chrom},{v.pos},{v.ref},{v.alt}\n")  # the effect of REF
    run = run_in_memory(model, None, "centre1", STEPS)
    found, _ = scored(cohort, run, model, path)
    row = found[found["gene_id"] == gene.gene_id].iloc[0]
    y = cohort.expression.values.loc[gene.gene_id, cohort.samples].to_numpy()
    basis = cohort.panel().covariates()
    parts = [np.ones(len(y)), copies[:, chosen]] + ([] if basis is None else list(basis.T))
    b = np.linalg.lstsq(np.column_stack(parts), y, rcond=None)[0][1]
    assert row["slope"] == pytest.approx(-b, rel=1e-4)
    share = copies[:, chosen].mean() / 2
    assert row["maf"] == pytest.approx(min(share, 1 - share), abs=1e-6)


def background_of(rng, rows):
    """Effects that shrink with distance: unmatched, a near variant would seem exceptional."""
    distance = rng.choice([-1, 1], rows) * 10 ** rng.uniform(1, 4.5, rows)
    effect = rng.normal(size=rows) * 1e3 / (100 + np.abs(distance))
    names = [f"v{i}" for i in range(rows)]
    return pd.DataFrame(
        {
            "gene_id": "g",
            "variant": names,
            "maf": rng.uniform(0.01, 0.5, rows),
            "distance": distance,
            "effect": effect,
        }
    )


def test_percentiles_are_flat_among_matched_variants():
    rng = np.random.default_rng(1)
    background = background_of(rng, 6_000)
    mine = background[background["distance"].abs() < 300].iloc[:300]
    found = lv.percentiles(mine, background)
    assert abs(found.mean() - 50) < 5 and abs((found < 25).mean() - 0.25) < 0.08
    every = [100 * (background["effect"].abs() < abs(e)).mean() for e in mine["effect"]]
    assert np.mean(every) > 75  # what no matching would say
    doubled = mine.assign(effect=10 * background["effect"].abs().max())
    assert (lv.percentiles(doubled, background) == 100).all()
    assert np.isnan(lv.percentiles(mine, background.iloc[:40])).all()
    assert np.isnan(lv.percentiles(mine, None)).all()


def test_agreement_is_permuted_gene_by_gene():
    """Ten variants of one gene in linkage are one observation: p stays near one half."""
    linked = pd.DataFrame({"gene_id": "g", "effect": 1.0, "slope": 2.0, "p": 0.001}, range(10))
    agreeing, pairs, genes, p = lv.agreement(linked)
    assert (agreeing, pairs, genes) == (10, 10, 1) and 0.45 < p < 0.55
    apart = linked.assign(gene_id=[f"g{i}" for i in range(10)])
    assert lv.agreement(apart)[3] < 0.005
    assert lv.agreement(linked.assign(p=0.5))[1] == 0


def test_the_command_scores_a_table_and_one_genes_variants(tmp_path):
    (tmp_path / "t.csv").write_text("chrom,pos,alt,ref\n1,95,G,A\n")
    common = (make_study(tmp_path), tmp_path / "r", "effects")
    done = invoke(*common, "--variants", tmp_path / "t.csv", "--out", tmp_path / "a.csv")
    assert done.exit_code == 0 and "pairs of variant and gene" in done.output, done.output
    done = invoke(*common, "--gene", "g1", "--on", "people", "--out", tmp_path / "b.csv")
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "b.csv").set_index("variant")
    row = table.loc["1:95:A:G", ["reference", "alternate", "effect", "own"]]
    assert row.tolist() == [0, 1, 1, 1]
    with pytest.raises(HowfarError, match="found no --gene"):
        invoke(*common, "--on", "people", "--out", tmp_path / "c.csv")
