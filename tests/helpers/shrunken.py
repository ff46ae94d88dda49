"""A cohort's published files, shrunken: as the recipes of whole cohorts find them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from cyvcf2 import VCF

from helpers.second_build import PAD, Builds, make_builds, write_chains
from howfar.cohort.recipes import genotypes
from howfar.cohort.recipes.job import Job
from howfar.cohort.recipes.recipe import load_recipe

Record = tuple[int, str, str, np.ndarray]  # position, REF, ALTs, haplotypes (people, 2)
SIZE, PEOPLE, SITES = 20_000, 30, 120


@dataclass(frozen=True)
class Shrunken:
    """Files in a folder: truth.vcf.gz (phased), old.vcf.gz (unphased, with missing calls), old.fa,
    new.fa, chains, expression and counts, gene tables, people."""

    folder: Path
    people: list[str]
    records: list[Record]
    builds: Builds

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


def simulated(seed: int = 1) -> tuple[str, list[Record], list[str]]:
    """A small contig and people who are mosaics of eight haplotypes; all kinds of records."""
    draw = np.random.default_rng(seed)
    letters = "".join(draw.choice(list("ACGT"), SIZE))
    founders = draw.random((8, SITES)) < draw.beta(0.6, 1.2, SITES)
    haplotypes = np.empty((SITES, PEOPLE, 2), int)
    for person in range(PEOPLE):
        for copy in range(2):
            a, b = draw.choice(8, 2, replace=False)
            at = draw.integers(SITES)
            haplotypes[:, person, copy] = np.concatenate([founders[a, :at], founders[b, at:]])
    places = np.sort(draw.choice(np.arange(100, SIZE - 100, 20), SITES, replace=False)) + 1
    records: list[Record] = []
    for k, position in enumerate(int(p) for p in places):
        ref = letters[position - 1]
        alts = next(x for x in "ACGT" if x != ref)
        if k in (10, 75):
            alts = ref + "GATTACA"
        elif k in (20, 76):  # 75 and 76 lie in the stretch that the other build has turned
            ref, alts = letters[position - 1 : position + 4], ref
        elif k == 30:
            alts += "," + next(x for x in "ACGT" if x not in ref + alts)
            haplotypes[k, :5, 0] = 2
        elif k == 40:
            alts = "<DEL>"
        records.append((position, ref, alts, haplotypes[k]))
    return letters, records, [f"P{k:03d}" for k in draw.permutation(PEOPLE)]


def write_vcf(
    path: Path,
    contig: str,
    size: int,
    people: Sequence[str],
    rows: Sequence[tuple[Record, list[str]]],
) -> None:
    """Write a bgzipped, indexed VCF of records with their calls as text."""
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID={contig},length={size}>",
        '##FILTER=<ID=LOW,Description="low quality">',
        '##INFO=<ID=END,Number=1,Type=Integer,Description="End">',
        '##INFO=<ID=EUR_AF,Number=A,Type=Float,Description="frequency elsewhere">',
        '##ALT=<ID=DEL,Description="Deletion">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "\t".join(
            ["#CHROM", *["POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"], *people]
        ),
    ]
    for k, ((position, ref, alts, _), calls) in enumerate(rows):
        info = (
            f"END={position + 50}"
            if alts.startswith("<")
            else "EUR_AF=" + ",".join(["0.25"] * (alts.count(",") + 1))
        )
        head = [contig, str(position), f"s{k}", ref, alts, "50", "LOW" if k == 3 else "PASS", info]
        lines.append("\t".join([*head, "GT", *calls]))
    text = "\n".join(lines) + "\n"
    subprocess.run(["bcftools", "view", "-Oz", "-o", path, "-"], input=text.encode(), check=True)
    subprocess.run(["bcftools", "index", "-f", path], check=True)


def shrink(
    folder: Path, sequence: str, records: list[Record], people: list[str], contig: str = "20"
) -> Shrunken:
    """Write all files. The new build's contig is `chr20`; 1 % of the unphased calls are missing."""
    draw = np.random.default_rng(5)
    snvs = {p: (r, a) for p, r, a, _ in records if len(r) == 1 and a in ("A", "C", "G", "T")}
    builds = make_builds(sequence, snvs)
    write_chains(builds, len(sequence), f"chr{contig}", f"chr{contig}", folder)
    (folder / "old.fa").write_text(f">{contig}\n{sequence}\n")
    (folder / "new.fa").write_text(f">chr{contig}\n{builds.sequence}\n")
    phased = [(r, [f"{a}|{b}" for a, b in r[3]]) for r in records]
    unphased = []
    for record in records:
        calls = ["/".join(map(str, sorted(pair))) for pair in record[3].tolist()]
        gone = draw.random(len(calls)) < 0.01
        unphased.append((record, np.where(gone, "./.", calls).tolist()))
    size = len(sequence)
    write_vcf(folder / "truth.vcf.gz", contig, size, people, phased)
    write_vcf(folder / "old.vcf.gz", contig, size, people, unphased)
    _write_tables(folder, people, size, contig, draw)
    return Shrunken(folder, people, records, builds)


def _write_tables(
    folder: Path, people: list[str], size: int, contig: str, draw: np.random.Generator
) -> None:
    """Gene tables, expression as studies publish it, counts, samples, populations."""
    genes = [f"ENSG{k:011d}" for k in range(1, 41)]
    tss = np.linspace(size * 0.05, size * 0.25, len(genes)).astype(int)
    strands = ["+-"[k % 2] for k in range(len(genes))]
    names = [f"G{k}" for k in range(len(genes))]
    old = pd.DataFrame({"id": genes, "c": contig, "t": tss, "n": names, "s": strands})
    old.to_csv(folder / "gene_list.csv", header=False, index=False)
    new = pd.DataFrame({"gene_id": genes, "name": names, "chrom": f"chr{contig}"})
    new["tss"], new["strand"] = tss + PAD, strands
    new.to_csv(folder / "genes.csv", index=False)
    versioned = [f"{gene}.7" for gene in genes[:-1]]  # the last gene isn't expressed
    values = draw.normal(5, 1, (len(versioned), len(people))).round(4)
    frame = pd.DataFrame(values, columns=people)
    head = pd.DataFrame({"TargetID": versioned, "Gene_Symbol": versioned, "Chr": contig})
    head["Coord"] = tss[:-1]
    pd.concat([head, frame], axis=1).to_csv(folder / "resk10.txt.gz", sep="\t", index=False)
    bed = pd.DataFrame({"#chr": f"chr{contig}", "start": tss[:-1] - 1, "end": tss[:-1]})
    bed["gene_id"] = genes[:-1]
    pd.concat([bed, frame], axis=1).to_csv(folder / "expression.bed.gz", sep="\t", index=False)
    rna = [f"RNA-{name}" for name in people]
    counts = pd.DataFrame(draw.negative_binomial(5, 0.01, values.shape), versioned, rna)
    counts.rename_axis("gene_id").to_csv(folder / "counts.tsv", sep="\t")
    tpm = counts / counts.sum() * 1e6
    tpm.rename_axis("gene_id").to_csv(folder / "tpm.tsv", sep="\t")
    pairs = pd.DataFrame({"expression": rna, "genotype": people})
    pairs.to_csv(folder / "map.csv", index=False)
    known = pd.DataFrame({"batch": [f"b{k % 3}" for k in range(len(people))]}, rna)
    known["age"] = draw.normal(80, 5, len(people)).round(1)
    known.rename_axis("sample").to_csv(folder / "covariates.csv")
    factors = pd.DataFrame(draw.normal(size=(3, len(people))).round(3), ["a", "b", "c"], people)
    factors.rename_axis("id").to_csv(folder / "factors.txt", sep="\t")
    (folder / "people.txt").write_text("".join(f"{name}\n" for name in people[:-2]))
    groups = [["FIN", "YRI"][k % 2] for k in range(len(people))]
    table = pd.DataFrame({"sample": people, "population": groups})
    table.to_csv(folder / "populations.csv", index=False)
    libraries = pd.DataFrame({"sequencing_id": [f"L{p}" for p in people], "kgp_id": people})
    libraries.assign(subpop=groups).to_csv(folder / "libraries.tsv", sep="\t", index=False)
    family = pd.DataFrame({"FamilyID": 1, "SampleID": people, "FatherID": "0", "MotherID": "0"})
    family.loc[4, ["FatherID", "MotherID"]] = people[:2]
    family.assign(Population=groups).to_csv(folder / "family.txt", sep=" ", index=False)


def rosmap_files(files: Shrunken) -> dict[str, Path | str]:
    """What `howfar cohort rosmap` is given by --have."""
    return {
        "genotypes": files["old.vcf.gz"],
        "counts": files["counts.tsv"],
        "sample_map": files["map.csv"],
        "expression_covariates": files["covariates.csv"],
        "chain": files["there.chain"],
        "genes": files["genes.csv"],
        "reference": files["new.fa"],
    }


def calls(path: Path) -> dict[tuple, np.ndarray]:
    """Calls (people, 2 alleles and phase) by position, REF and ALTs."""
    return {(v.POS, v.REF, *v.ALT): v.genotype.array() for v in VCF(str(path))}


def lifted_back(files: Shrunken, done: Path, work: Path) -> tuple[int, int]:
    """Lift the lifted records of a chain in `done` back: (as they were, not so) records."""
    work.mkdir()
    roles = {"chain": files["back.chain"], "reference": files["old.fa"]}
    job = Job(load_recipe("rosmap"), {}, roles, work, "all", done / "liftover" / "all.vcf.gz")
    # Picard left-aligns what it turns, which the given records need not be.
    aligned = work / "aligned.vcf.gz"
    norm = ["bcftools", "norm", "-f", files["old.fa"], "-Oz", "-o", aligned, files["old.vcf.gz"]]
    subprocess.run(norm, check=True, stderr=subprocess.DEVNULL)
    after, before = calls(genotypes.liftover(job)["genotypes"]), calls(aligned)
    equal = [
        site in before and (np.sort(g[:, :2], 1) == np.sort(before[site][:, :2], 1)).all()
        for site, g in after.items()
    ]
    return int(sum(equal)), len(equal) - int(sum(equal))


def check_lifted(files: Shrunken, lifted: dict[tuple, np.ndarray]) -> int:
    """Compare all SNVs with where they must lie, and their calls; return how many there are."""
    compared = 0
    given = calls(files["old.vcf.gz"])
    for (position, ref, *alts), g in given.items():
        if len(ref) != 1 or len(alts) != 1 or alts[0] not in ("A", "C", "G", "T"):
            continue
        place = files.builds.moved(position, [ref, alts[0]])
        if place is None or position in files.builds.third:
            continue
        at, letters = place
        swapped = position in files.builds.swapped
        key = (at, *(letters[::-1] if swapped else letters))
        want = np.where(g[:, :2] < 0, -1, 1 - g[:, :2]) if swapped else g[:, :2]
        assert (np.sort(want, 1) == np.sort(lifted[key][:, :2], 1)).all()
        compared += 1
    return compared


def true_haplotypes(files: Shrunken, sites: list[tuple]) -> np.ndarray:
    """Phased calls (sites, people, 2) of the truth at sites of the new build; SNVs alone."""
    known = {}
    for position, ref, alts, haplotypes in files.records:
        if len(ref) == 1 and alts in ("A", "C", "G", "T"):
            place = files.builds.moved(position, [ref, alts])
            if place is not None:
                swapped = position in files.builds.swapped
                at, letters = place
                key = (at, *(letters[::-1] if swapped else letters))
                known[key] = 1 - haplotypes if swapped else haplotypes
    none = np.full_like(files.records[0][3], -1)
    return np.array([known.get(site, none) for site in sites])
