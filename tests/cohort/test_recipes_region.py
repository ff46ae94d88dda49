"""The chain of ROSMAP on the whole real megabase: liftover exact, phases and windows measured.

HOWFAR_LONG=1; a quarter of an hour. HOWFAR_WRITE_MEASURED=1 writes data/measured/recipe_chain.csv.
"""

import gzip
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cyvcf2 import VCF

import howfar as hf
from helpers.places import REGION, ROOT
from helpers.second_build import switch_errors
from helpers.shrunken import (
    Record,
    Shrunken,
    calls,
    check_lifted,
    lifted_back,
    rosmap_files,
    shrink,
    true_haplotypes,
)
from howfar.cohort.recipes import chain
from howfar.cohort.recipes.recipe import load_recipe

TABLE = ROOT / "data" / "measured" / "recipe_chain.csv"
SIZE = int(os.environ.get("HOWFAR_REGION_BP", "1000000"))


def region() -> tuple[str, list[Record], list[str]]:
    lines = (REGION / "chr20_1Mb.fa").read_text().split("\n")[1:]
    handle = VCF(str(REGION / "chr20_1Mb.vcf.gz"))
    order = np.random.default_rng(2).permutation(len(handle.samples))  # not that of the names
    records = [
        (v.POS, v.REF, ",".join(v.ALT), v.genotype.array()[order, :2].astype(int))
        for v in handle
        if v.POS <= SIZE - 200
    ]
    return "".join(lines).upper()[:SIZE], records, [handle.samples[k] for k in order]


@pytest.mark.skipif(os.getenv("HOWFAR_LONG") != "1", reason="a quarter of an hour")
@pytest.mark.skipif(not REGION.is_dir(), reason="no ../shared")
def test_the_real_megabase(tmp_path):
    for program in ("PicardCommandLine", "shapeit4", "beagle"):
        if not shutil.which(program):
            pytest.skip(f"no {program} here")
    files = shrink(tmp_path, *region())
    have, out = rosmap_files(files), tmp_path / "out"
    rows = []
    for phaser in ("shapeit4", "beagle"):
        start = time.monotonic()
        work = chain.Chain(load_recipe("rosmap"), out, have, {"phase": {"phaser": phaser}})
        done = {each.name: each for each in work.run()}
        if not rows:
            what = lifted(files, out, done["liftover"].counts, tmp_path / "back")
        row = {"date": datetime.now(UTC).date().isoformat(), "people": len(files.people)}
        rows.append(row | {"bp": SIZE} | what)
        rows[-1] |= (
            {"phaser": phaser} | phases(files, out) | windows(files, out, tmp_path / "truth")
        )
        print(rows[-1], time.monotonic() - start)
    table = pd.DataFrame(rows)
    assert (table["back"] == table["lifted"]).all()
    assert (table["swapped"] == 20).all()
    assert (table["switches"] / table["pairs"] < 0.05).all()
    assert (table["equal_windows"] / table["windows"] > 0.6).all()
    if os.environ.get("HOWFAR_WRITE_MEASURED"):
        table.to_csv(TABLE, index=False)


def lifted(files: Shrunken, out: Path, counts: dict[str, int], work: Path) -> dict[str, int]:
    """What became of the records: lifted, lost, right, and right again when lifted back."""
    after = calls(out / "liftover" / "all.vcf.gz")
    back, other = lifted_back(files, out, work)
    lost = sum(n for what, n in counts.items() if what.startswith("records lost"))
    swapped = counts["records with REF and ALT swapped, with their calls"]
    return {
        "records": len(files.records),
        "lifted": len(after),
        "lost": lost + counts["records with symbolic alleles, left out"],
        "swapped": swapped,
        "checked": check_lifted(files, after),
        "back": back,
        "back_otherwise": other,
    }


def phases(files: Shrunken, out: Path) -> dict[str, int]:
    """Switch errors against the original, over all SNVs and the common ones; calls filled in."""
    after = calls(out / "phase" / "all.vcf.gz")
    truth = true_haplotypes(files, list(after))
    ours = np.array([g[:, :2] for g in after.values()])
    maf = np.minimum(truth.mean((1, 2)), 1 - truth.mean((1, 2)))
    switches, pairs = switch_errors(truth, ours)
    common, of = switch_errors(truth[maf >= 0.05], ours[maf >= 0.05])
    with gzip.open(out / "phase" / "all.vcf.gz.filled.tsv.gz", "rt") as mask:
        rows = [line.rstrip("\n").split("\t") for line in mask][1:]
    places = {site[:2]: k for k, site in enumerate(after)}
    filled = wrong = 0
    for _, position, ref, _, people in rows:
        k, columns = places[int(position), ref], np.array(people.split(","), int) - 1
        equal = (np.sort(truth[k][columns], 1) == np.sort(ours[k][columns], 1)).all(1)
        filled, wrong = filled + len(columns), wrong + int((~equal).sum())
    return {
        "sites": len(after),
        "switches": switches,
        "pairs": pairs,
        "common_switches": common,
        "common_pairs": of,
        "filled": filled,
        "wrong_filled": wrong,
    }


def windows(files: Shrunken, out: Path, folder: Path) -> dict[str, int]:
    """People's two windows at each gene, in either order, against the phased original's."""
    have = rosmap_files(files) | {"genotypes": files["truth.vcf.gz"]}
    chain.Chain(load_recipe("rosmap"), folder, have).run("filter")
    paths = [out / "phase" / "all.vcf.gz", folder / "filter" / "all.vcf.gz"]
    genes = out / "genes" / "genes.csv"
    ours, theirs = (
        hf.open_cohort(reference=files["new.fa"], variants=path, genes=genes) for path in paths
    )
    equal = total = 0
    for gene in ours.genes:
        pairs = []
        for cohort in (ours, theirs):
            made = cohort.windows(gene, 10_500, 5_250, "snv")
            rows = [row.tobytes() for row in made.sequences]
            pairs.append([{rows[a], rows[b]} for a, b in made.index])
        equal += sum(a == b for a, b in zip(*pairs, strict=True))
        total += len(pairs[0])
    return {"equal_windows": equal, "windows": total}
