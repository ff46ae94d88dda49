"""Genotypes: PLINK 1 and PLINK 2."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from inputs.case import Commands, makers
from inputs.cohort import Files

good, bad = makers("genotypes")
_OTHER_BASE = {"A": "C", "C": "G", "G": "T", "T": "A"}


def plink1_files(files: Files, turned: bool = False, wrong: bool = False) -> Commands:
    """Write the SNVs as PLINK 1 files; `turned`: A1 is REF at every second; `wrong`: neither is."""
    codes, body, bim = {2: 0, 1: 2, 0: 3}, b"\x6c\x1b\x01", []
    for number, row in enumerate(r for r in files.vcf_rows() if len(r[3]) == len(r[4]) == 1):
        swap = turned and number % 2
        copies = [call.count("0" if swap else "1") for call in row[9:]]
        packed = sum(codes[n] << 2 * i for i, n in enumerate(copies))
        body += packed.to_bytes(-(-len(copies) // 4), "little")
        first, second = (row[3], row[4]) if swap else (row[4], row[3])
        if wrong:
            second = next(b for b in "ACGT" if b not in row[3:5])
        bim.append(f"20\tv{number}\t0\t{row[1]}\t{first}\t{second}\n")
    files.put("p.bed", body)
    files.put("p.bim", "".join(bim))
    files.put("p.fam", "".join(f"f {p} 0 0 0 -9\n" for p in Files.PEOPLE))
    return files.sequences(variants="p.bed")


def plink1_with_a1_either_allele(files: Files) -> Commands:
    return plink1_files(files, turned=True)


def plink1_with_x_as_23_and_25(files: Files) -> Commands:
    files.change("reference.fa", ">20", ">chrX")
    files.change("genes.csv", ",20,", ",chrX,", count=0)
    commands = plink1_files(files)
    files.change("p.bim", r"^20(?=\tv\d+\t0\t(\d{2,3}|1[0-4]\d\d)\t)", "25", count=0)
    files.change("p.bim", "^20", "23", count=0)
    return commands


def plink1_with_neither_allele_the_reference(files: Files) -> Commands:
    return plink1_files(files, wrong=True)


def plink1_with_fewer_people_than_its_fam(files: Files) -> Commands:
    commands = plink1_files(files)
    files.put("p.fam", "".join(f"f {i} 0 0 0 -9\n" for i in range(20)))
    return commands


def plink1_without_bim(files: Files) -> Commands:
    commands = plink1_files(files)
    (files.folder / "p.bim").unlink()
    return commands


def plink2_files(
    files: Files, phased: bool = True, wrong: bool = False, psam: str = "#IID"
) -> Commands:
    """Write the cohort's variants as PLINK 2 files; `wrong`: REF isn't the reference's base."""
    import pgenlib

    rows = files.vcf_rows()
    path = str(files.folder / "p.pgen").encode()
    with pgenlib.PgenWriter(
        path,
        len(Files.PEOPLE),
        variant_ct=len(rows),
        nonref_flags=False,
        hardcall_phase_present=phased,
    ) as writer:
        for row in rows:
            alleles = [int(allele) for call in row[9:] for allele in call.split("|")]
            writer.append_alleles(np.array(alleles, np.int32), all_phased=phased)
    pvar = ["\t".join([*r[:2], r[2], _OTHER_BASE[r[3][0]] if wrong else r[3], r[4]]) for r in rows]
    files.put("p.pvar", "\n".join(["#CHROM\tPOS\tID\tREF\tALT", *pvar]) + "\n")
    files.put("p.psam", "\n".join([psam, *Files.PEOPLE]) + "\n")
    return files.sequences(variants="p.pgen")


def plink2_by_prefix_with_compressed_variants(files: Files) -> Commands:
    import pyarrow

    plink2_files(files)
    with pyarrow.output_stream(str(files.folder / "p.pvar.zst"), compression="zstd") as packed:
        packed.write((files.folder / "p.pvar").read_bytes())
    (files.folder / "p.pvar").unlink()
    return files.sequences(variants="p")


def plink2_with_bim_and_fam(files: Files) -> Commands:
    plink2_files(files)
    rows = [line.split("\t") for line in (files.folder / "p.pvar").read_text().splitlines()[1:]]
    bim = [f"{chrom}\t.\t0\t{pos}\t{alt}\t{ref}" for chrom, pos, _, ref, alt in rows]
    files.put("p.bim", "\n".join(bim) + "\n")
    files.put("p.fam", "".join(f"0\t{name}\t0\t0\t0\t-9\n" for name in Files.PEOPLE))
    for end in ("pvar", "psam"):
        (files.folder / f"p.{end}").unlink()
    return files.sequences(variants="p.pgen")


def plink2_without_phase_as_dosage(files: Files) -> Commands:
    return [[*plink2_files(files, phased=False)[0], "--unphased", "dosage"]]


def plink2_without_phase(files: Files) -> Commands:
    return plink2_files(files, phased=False)


def plink2_with_wrong_ref(files: Files) -> Commands:
    return plink2_files(files, wrong=True)


def plink2_without_pvar(files: Files) -> Commands:
    commands = plink2_files(files)
    (files.folder / "p.pvar").unlink()
    return commands


def plink2_with_a_person_too_few(files: Files) -> Commands:
    commands = plink2_files(files)
    files.change("p.psam", "P6\n", "")
    return commands


def plink2_with_a_person_twice(files: Files) -> Commands:
    commands = plink2_files(files)
    files.change("p.psam", "P6", "P1")
    return commands


def plink2_without_psam_header(files: Files) -> Commands:
    return plink2_files(files, psam="P0")


def plink2_with_calls_cut_short(files: Files) -> Commands:
    commands = plink2_files(files)
    files.cut("p.pgen", 0.5)
    return commands


def plink1_calls_under_plink2_name(files: Files) -> Commands:
    commands = plink2_files(files)
    files.put("p.pgen", b"\x6c\x1b\x01\x00\x00")
    return commands


CASES = [
    good(
        "PLINK 1, A1 the alternative or the reference allele",
        plink1_with_a1_either_allele,
        "36 haplotype",
    ),
    good(
        "PLINK 1, X as 23 and its regions shared with Y as 25",
        plink1_with_x_as_23_and_25,
        "calls: 366",
    ),
    bad(
        "PLINK 1 with neither allele the reference's",
        plink1_with_neither_allele_the_reference,
        "p.b",
    ),
    bad(
        "PLINK 1 with fewer people than its .fam lists", plink1_with_fewer_people_than_its_fam, "p."
    ),
    bad("PLINK 1 without its .bim", plink1_without_bim, "p.bim"),
]
PLINK2_CASES = [
    good("PLINK 2, phased", plink2_files, "36 haplotype"),
    good(
        "PLINK 2, by the files' common prefix, the variants compressed",
        plink2_by_prefix_with_compressed_variants,
        "36 haplotype",
    ),
    good("PLINK 2, `.bim` and `.fam` beside the `.pgen`", plink2_with_bim_and_fam, "36 haplotype"),
    good(
        "PLINK 2 without phase, `unphased: dosage`",
        plink2_without_phase_as_dosage,
        "unphased calls: ",
    ),
    bad("PLINK 2 without phase", plink2_without_phase, "without phase"),
    bad("PLINK 2 whose REF is not the FASTA's", plink2_with_wrong_ref, "records whose REF differs"),
    bad("PLINK 2 without its .pvar", plink2_without_pvar, "p.pvar: found no such file"),
    bad(
        "PLINK 2 with a person too few in the .psam",
        plink2_with_a_person_too_few,
        "and 5 people of the .psam",
    ),
    bad("PLINK 2 with a person twice in the .psam", plink2_with_a_person_twice, "p.psam"),
    bad("PLINK 2 without the header of its .psam", plink2_without_psam_header, "p.psam, line 1"),
    bad(
        "PLINK 2, the calls cut short",
        plink2_with_calls_cut_short,
        "p.pgen: found calls that are damaged",
    ),
    bad(
        "PLINK 1 calls under PLINK 2's name",
        plink1_calls_under_plink2_name,
        "p.bim: found no such file.*as p.pgen is a .bed file by its content",
    ),
]
if find_spec("pgenlib"):  # an extra of the package
    CASES += PLINK2_CASES
