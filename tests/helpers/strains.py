"""Small cohorts that are haploid, or inbred with haploid calls on X in males."""

import numpy as np
import pandas as pd
import pysam

PEOPLE, LENGTH = 40, 6_000
TENS = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
ROMAN = [*TENS[1:], *(f"X{i}" for i in TENS[:7])]
RAT = [*map(str, range(1, 21)), "X"]


def write(folder, contigs, called, seed=8):
    """Files of one gene a contig, whose third variant moves expression.

    called: contig, alleles (people, 2) to the calls of a record. Returns alleles by contig, the
    first of two in haploid ones.
    """
    rng = np.random.default_rng(seed)
    names = [f"S{i}" for i in range(PEOPLE)]
    sequence = {c: "".join(rng.choice(list("ACGT"), LENGTH)) for c in contigs}
    (folder / "ref.fa").write_text("".join(f">{c}\n{s}\n" for c, s in sequence.items()))
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names]
    lines = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="GT">']
    lines += [f"##contig=<ID={c},length={LENGTH}>" for c in contigs] + ["\t".join(fixed)]
    alleles, values = {}, []
    for c in contigs:
        drawn = (rng.random((6, PEOPLE, 2)) < 0.4).astype(int)
        alleles[c] = np.array([called(c, record)[1] for record in drawn])
        for k, record in enumerate(drawn):
            at = 2_800 + 60 * k
            ref = sequence[c][at]
            site = [c, str(at + 1), ".", ref, {"A": "G", "G": "A", "C": "T", "T": "C"}[ref]]
            lines.append("\t".join([*site, ".", ".", ".", "GT", *called(c, record)[0]]))
        values.append(alleles[c][2].mean(axis=-1) + 0.2 * rng.standard_normal(PEOPLE))
    (folder / "v.vcf").write_text("\n".join(lines) + "\n")
    pysam.tabix_index(str(folder / "v.vcf"), preset="vcf", force=True)
    rows = [[f"G_{c}", f"g{c}", c, 3_000, "+-"[i % 2]] for i, c in enumerate(contigs)]
    pd.DataFrame(rows, columns=["gene_id", "name", "chrom", "tss", "strand"]).to_csv(
        folder / "genes.csv", index=False
    )
    frame = pd.DataFrame(values, [row[0] for row in rows], names).rename_axis("gene_id")
    frame.to_csv(folder / "expression.csv")
    return alleles


def haploid(contig, record):
    """One allele a call."""
    first = record[:, 0]
    return [str(a) for a in first], np.stack([first, first], axis=1)


def inbred(contig, record):
    """Two equal alleles, but of three strains; on X males (even places) have one."""
    pair = np.stack([record[:, 0], record[:, 0]], axis=1)
    pair[[4, 5, 7]] = record[[4, 5, 7]]
    male = np.arange(PEOPLE) % 2 == 0
    if contig == "X":
        pair[male] = record[male][:, :1]
    text = [f"{a}/{b}" for a, b in pair]
    text = [t[0] if contig == "X" and m else t for t, m in zip(text, male, strict=True)]
    return text, pair
