"""The catalogue's PLINK 2 files: good ones of the common kinds, and what goes wrong with them."""

from __future__ import annotations

import gzip
from importlib.util import find_spec

import numpy as np

from howfar.inputs.catalogue import Commands, bad, good
from howfar.inputs.cohort import Files


def _pgen(f: Files, phased: bool = True, wrong: bool = False, psam: str = "#IID") -> Commands:
    """The cohort's variants as PLINK 2 files; `wrong`: REF isn't the reference's base."""
    import pgenlib

    text = gzip.decompress((f.folder / "variants.vcf.gz").read_bytes()).decode()
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    path = str(f.folder / "p.pgen").encode()
    with pgenlib.PgenWriter(path, len(Files.PEOPLE), variant_ct=len(rows), nonref_flags=False,
                            hardcall_phase_present=phased) as writer:  # fmt: skip
        for row in rows:
            alleles = [int(allele) for call in row[9:] for allele in call.split("|")]
            writer.append_alleles(np.array(alleles, np.int32), all_phased=phased)
    pvar = ["\t".join([*r[:2], r[2], _other(r[3]) if wrong else r[3], r[4]]) for r in rows]
    f.put("p.pvar", "\n".join(["#CHROM\tPOS\tID\tREF\tALT", *pvar]) + "\n")
    f.put("p.psam", "\n".join([psam, *Files.PEOPLE]) + "\n")
    return f.sequences(variants="p.pgen")


def _other(ref: str) -> str:
    return {"A": "C", "C": "G", "G": "T", "T": "A"}[ref[0]]


def _add() -> None:
    @good("genotypes", "PLINK 2, phased", "36 haplotype")
    def _(f: Files) -> Commands:
        return _pgen(f)

    @good("genotypes", "PLINK 2, by the files' common prefix, the variants compressed",
          "36 haplotype")  # fmt: skip
    def _(f: Files) -> Commands:
        import pyarrow

        _pgen(f)
        with pyarrow.output_stream(str(f.folder / "p.pvar.zst"), compression="zstd") as packed:
            packed.write((f.folder / "p.pvar").read_bytes())
        (f.folder / "p.pvar").unlink()
        return f.sequences(variants="p")

    @good("genotypes", "PLINK 2, `.bim` and `.fam` beside the `.pgen`", "36 haplotype")
    def _(f: Files) -> Commands:
        _pgen(f)
        rows = [line.split("\t") for line in (f.folder / "p.pvar").read_text().splitlines()[1:]]
        bim = [f"{chrom}\t.\t0\t{pos}\t{alt}\t{ref}" for chrom, pos, _, ref, alt in rows]
        f.put("p.bim", "\n".join(bim) + "\n")
        f.put("p.fam", "".join(f"0\t{name}\t0\t0\t0\t-9\n" for name in Files.PEOPLE))
        for end in ("pvar", "psam"):
            (f.folder / f"p.{end}").unlink()
        return f.sequences(variants="p.pgen")

    @good("genotypes", "PLINK 2 without phase, `unphased: dosage`", "unphased calls: ")
    def _(f: Files) -> Commands:
        return [[*_pgen(f, phased=False)[0], "--unphased", "dosage"]]

    @bad("genotypes", "PLINK 2 without phase", "without phase")
    def _(f: Files) -> Commands:
        return _pgen(f, phased=False)

    @bad("genotypes", "PLINK 2 whose REF is not the FASTA's", "records whose REF differs")
    def _(f: Files) -> Commands:
        return _pgen(f, wrong=True)

    @bad("genotypes", "PLINK 2 without its .pvar", "p.pvar: found no such file")
    def _(f: Files) -> Commands:
        commands = _pgen(f)
        (f.folder / "p.pvar").unlink()
        return commands

    @bad("genotypes", "PLINK 2 with a person too few in the .psam", "and 5 people of the .psam")
    def _(f: Files) -> Commands:
        commands = _pgen(f)
        f.change("p.psam", "P6\n", "")
        return commands

    @bad("genotypes", "PLINK 2 with a person twice in the .psam", "p.psam")
    def _(f: Files) -> Commands:
        commands = _pgen(f)
        f.change("p.psam", "P6", "P1")
        return commands

    @bad("genotypes", "PLINK 2 without the header of its .psam", "p.psam, line 1")
    def _(f: Files) -> Commands:
        return _pgen(f, psam="P0")

    @bad("genotypes", "PLINK 2, the calls cut short", "p.pgen: found calls that are damaged")
    def _(f: Files) -> Commands:
        commands = _pgen(f)
        f.cut("p.pgen", 0.5)
        return commands

    @bad("genotypes", "PLINK 1 calls under PLINK 2's name", "third byte of at least 02")
    def _(f: Files) -> Commands:
        commands = _pgen(f)
        f.put("p.pgen", b"\x6c\x1b\x01\x00\x00")
        return commands


if find_spec("pgenlib"):  # an extra of the package
    _add()
