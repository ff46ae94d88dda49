"""Steps of genotypes: check, liftover, normalise, filter, phase.

Each reads one VCF and writes one, by programs that do this for everybody; what they lose or change
without a word is counted here, and put back where it can be (see each step).
"""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from howfar.cohort.recipes import tables
from howfar.cohort.recipes.job import Job
from howfar.cohort.recipes.tools import pipe, require, run, tally
from howfar.core.errors import HowfarError
from howfar.core.text import is_gzip, lines_of
from howfar.genome.genotypes.bgzf import is_bgzf
from howfar.genome.genotypes.open import kind_of, variant_files
from howfar.genome.intervals import Interval
from howfar.genome.reference import NoSuchContig, Reference, match_contig

_LOOK = 2_000  # records of a file that are looked at for phase, ploidy and REF
_WRONG_BUILD = 0.01  # share of REF alleles that differ, from which on the build is another
_SYMBOLIC = 'ALT~"<"'
#: Ends of the files beside a step's genotypes: calls that a phaser filled in, records not lifted.
FILLED, REJECTED = ".filled.tsv.gz", ".rejected.vcf.gz"


# --- check -----------------------------------------------------------------------------------


def check(job: Job) -> dict[str, Path]:
    """Look at all files before anything long begins.

    Genotypes that are no VCF are written as one (`plink2`); a FASTA packed by plain gzip is
    unpacked. Writes who is in all files, in the genotypes' order.
    """
    require("bcftools")
    made: dict[str, Path] = {}
    if "reference" in job.files and is_gzip(job.files["reference"]):
        made |= _unpacked(job.files["reference"], job)
    reference = made.get("reference", job.files.get("reference"))
    given = job.files["genotypes"]
    if (kind := kind_of(given)) in ("plink1", "plink2"):
        made["genotypes"] = given = _from_plink(given, job)
    elif kind not in ("vcf", "template"):
        raise HowfarError(
            str(given),
            found=f"genotypes of the kind {kind}",
            expected="VCF, BCF or PLINK files, which bcftools or plink2 reads",
            do="Write them as VCF; a study file takes this kind as it is.",
        )
    files = list(variant_files(given).values())
    for file in files:
        look = _look(file, reference if "chain" not in job.files else None)
        job.counts += look.counts
        if look.wrong_refs > _WRONG_BUILD * max(look.records, 1):
            raise HowfarError(
                f"{file} against {reference}",
                found=f"{look.wrong_refs} of the first {look.records} REF alleles differ",
                expected=f"genotypes of the FASTA's build, {job.recipe.build}",
                do="Give the FASTA of the genotypes' build, or the chain to it, --have chain=FILE.",
            )
    made["keep"] = job.work / "people.txt"
    people = tables.people(job, _samples(files))
    made["keep"].write_text("".join(f"{name}\n" for name in people), "utf-8")
    job.notes.append(f"{len(people)} people in all files, {job.recipe.people} stated")
    return made


def _unpacked(path: Path, job: Job) -> dict[str, Path]:
    if is_bgzf(path) and "chain" not in job.files:
        return {}
    plain = job.work / path.name.removesuffix(".gz")
    with gzip.open(path) as packed, plain.open("wb") as out:
        shutil.copyfileobj(packed, out, 1 << 22)
    return {"reference": plain}


def _from_plink(path: Path, job: Job) -> Path:
    """Write PLINK's files as VCF, phase and REF kept."""
    first = next(iter(variant_files(path).values()))
    prefix = first.with_suffix("")
    words = ["--bfile" if first.suffix == ".bed" else "--pfile", prefix]
    words += ["vzs"] if Path(f"{prefix}.pvar.zst").is_file() else []
    target = job.work / "all"
    run(
        "plink2",
        *words,
        "--export",
        "vcf",
        "bgz",
        "id-paste=iid",
        "--allow-extra-chr",
        "--out",
        target,
    )
    index(Path(f"{target}.vcf.gz"))
    return Path(f"{target}.vcf.gz")


def _samples(files: list[Path]) -> list[str]:
    every = [run("bcftools", "query", "-l", file).split() for file in files]
    other = next((k for k, names in enumerate(every) if sorted(names) != sorted(every[0])), 0)
    if other:
        raise HowfarError(
            f"{files[other]} against {files[0]}",
            found=f"{len(every[other])} and {len(every[0])} people, not the same",
            expected="the same people in the file of each contig",
            do="Take the files of one release.",
        )
    return every[0]


@dataclass
class _Look:
    records: int
    wrong_refs: int
    unphased: int
    haploid: int
    counts: Counter[str]


def _look(path: Path, reference: Path | None = None) -> _Look:
    """Look at the first records of a VCF."""
    from cyvcf2 import VCF

    look = _Look(0, 0, 0, 0, Counter())
    fasta = Reference(reference) if reference else None
    handle = VCF(str(path))
    for record in handle:
        look.records += 1
        calls = record.genotype.array()
        alleles, phased = calls[:, :-1], calls[:, -1] == 1
        het = (alleles >= 0).all(1) & (alleles[:, :1] != alleles).any(1)
        look.unphased += int((het & ~phased).sum())
        look.haploid += int((alleles == -2).any(1).sum())
        if fasta is not None and not record.REF.startswith("<"):
            look.wrong_refs += _differs(fasta, record)
        if look.records == _LOOK:
            break
    handle.close()
    if fasta is not None:
        fasta.close()
    among = f"among the first {_LOOK:,} records of each file"
    look.counts = Counter(
        {
            f"unphased heterozygous calls {among}": look.unphased,
            f"haploid calls {among}": look.haploid,
            f"REF alleles that differ from the FASTA {among}": look.wrong_refs,
        }
    )
    return look


def _differs(fasta: Reference, record: object) -> bool:
    chrom, start, ref = record.CHROM, record.start, record.REF.upper()  # type: ignore[attr-defined]
    try:
        there = fasta.fetch(Interval(chrom, start, start + len(ref)))
        return bool(there.tobytes().decode() != ref)
    except NoSuchContig:
        return False  # counted when records are normalised


# --- what the steps share --------------------------------------------------------------------


def index(path: Path) -> None:
    """Index a VCF (.csi)."""
    run("bcftools", "index", "-f", path)


def count(path: Path) -> int:
    """Number of records of an indexed VCF that howfar made."""
    return int(run("bcftools", "index", "-n", path))


def _contigs(path: Path) -> Counter[str]:
    """Number of records of each contig that has some, in the file's order."""
    if any(Path(f"{path}{end}").is_file() for end in (".csi", ".tbi")):
        rows = [line.split("\t") for line in run("bcftools", "index", "-s", path).splitlines()]
        return Counter({contig: int(n) for contig, _, n in rows})
    return tally("bcftools", "query", "-f", r"%CHROM\n", path)


def _rename(contigs: Iterable[str], known: Collection[str], where: str) -> dict[str, str]:
    """Contigs that are named otherwise in `known`, and their name there."""
    found = {}
    for name in contigs:
        try:
            other = match_contig(name, known, where)
        except NoSuchContig:
            continue
        if other != name:
            found[name] = other
    return found


# --- liftover --------------------------------------------------------------------------------


def liftover(job: Job) -> dict[str, Path]:
    """Move records to another build by Picard LiftoverVcf, where a chain is given.

    REF and ALT that are swapped there are swapped back, with the calls. Picard sorts people by
    name (their order is restored), leaves frequencies of swapped sites as they were (AC, AN, AF
    are counted anew, other frequencies of these sites removed), moves symbolic alleles by END (left
    out), and ends well where no contig fits (an error here). Every loss is counted by reason.
    """
    if "chain" not in job.files:
        job.notes.append("no chain given: records stay on their build")
        return {"genotypes": job.source}
    fasta, chain = _dictionary(job), _chain(job)
    plain = job.work / "plain.vcf.gz"
    pipe(["bcftools", "view", "-e", _SYMBOLIC, "-Oz", "-o", plain, job.source])
    index(plain)
    before, given = _contigs(job.source).total(), count(plain)
    lifted, rejected = job.work / "lifted.vcf.gz", Path(f"{job.target}{REJECTED}")
    run(
        *("PicardCommandLine", "LiftoverVcf", f"I={plain}", f"O={lifted}", f"REJECT={rejected}"),
        *(f"CHAIN={chain}", f"R={fasta}", f"TMP_DIR={job.work}", "WARN_ON_MISSING_CONTIG=true"),
        *("RECOVER_SWAPPED_REF_ALT=true", "WRITE_ORIGINAL_POSITION=true"),
        *("WRITE_ORIGINAL_ALLELES=true", "VERBOSITY=ERROR", "QUIET=true"),
    )
    index(lifted)
    reasons: Counter[str] = Counter()
    for mark, n in tally("bcftools", "query", "-f", r"%FILTER\n", rejected).items():
        reasons[mark.rpartition(";")[2]] += n  # a record's own FILTER stands before
    swapped = tally("bcftools", "query", "-i", "SwappedAlleles=1", "-f", r".\n", lifted).total()
    job.counts["records"] = before
    job.counts["records with symbolic alleles, left out"] = before - given
    job.counts["records with REF and ALT swapped, with their calls"] = swapped
    job.counts |= {f"records lost: {reason}": n for reason, n in reasons.items()}
    if given != count(lifted) + sum(reasons.values()) or not count(lifted):
        raise HowfarError(
            f"{job.source}, lifted by {job.files['chain']}",
            found=f"{count(lifted)} of {given} records, {dict(reasons)} rejected",
            expected="most records lifted, and each lifted or rejected",
            do="Check that the chain leads from the genotypes' build to the FASTA's, and that "
            "contigs are named alike.",
        )
    _restore(lifted, job)
    return {"genotypes": job.target}


def _dictionary(job: Job) -> Path:
    """A link to the FASTA in the work folder, with its dictionary beside, as Picard wants it."""
    link = job.work / "reference.fa"
    link.symlink_to(job.files["reference"].resolve())
    run("samtools", "dict", "-o", job.work / "reference.dict", link)
    return link


def _chain(job: Job) -> Path:
    """The chain with contigs named as in the genotypes and the FASTA, else all is ``NoTarget``."""
    require("PicardCommandLine")
    with Reference(job.files["reference"]) as fasta:
        new = list(fasta.contigs)
    old, path = _contigs(job.source), job.work / "named.chain"
    where = str(job.files["chain"])
    with path.open("w", encoding="utf-8") as out:
        for line in lines_of(job.files["chain"], "a chain file"):
            words = line.split()
            if words[:1] == ["chain"]:
                words[2] = _rename([words[2]], old, where).get(words[2], words[2])
                words[7] = _rename([words[7]], new, where).get(words[7], words[7])
            out.write(" ".join(words) + "\n")
    return path


def _restore(lifted: Path, job: Job) -> None:
    """People in their order, frequencies right, and records of other contigs left out."""
    order = job.work / "order.txt"
    order.write_text(run("bcftools", "query", "-l", job.source), "utf-8")
    stale = [
        name
        for name, number in _info_fields(lifted)
        if number == "A" and "AF" in name.upper() and name != "AF"
    ]
    commands: list[list[str | Path]] = [["bcftools", "view", "-S", order, "-Ou", lifted]]
    if stale:
        gone = ",".join(f"INFO/{name}" for name in stale)
        commands.append(["bcftools", "annotate", "-Ou", "-k", "-i", "SwappedAlleles=1", "-x", gone])
        job.notes.append(f"swapped sites lose the frequencies {', '.join(stale)}")
    if job.unit != "all":
        own = _rename([job.unit], _contigs(lifted), "").get(job.unit, job.unit)
        commands.append(["bcftools", "view", "-t", own, "-Ou"])
    fill: list[str | Path] = [
        "bcftools",
        "+fill-tags",
        "-Oz",
        "-o",
        job.target,
        "--",
        "-t",
        "AC,AN,AF",
    ]
    pipe(*commands, fill)
    index(job.target)
    job.counts["records that moved to another contig, left out"] = count(lifted) - count(job.target)


def _info_fields(path: Path) -> Iterator[tuple[str, str]]:
    for line in run("bcftools", "view", "-h", path).splitlines():
        if line.startswith("##INFO=<"):
            words = dict(w.split("=", 1) for w in line[8:].split(",")[:2])
            yield words["ID"], words["Number"]


# --- normalise and filter --------------------------------------------------------------------


def normalise(job: Job) -> dict[str, Path]:
    """Left-align indels and name contigs as the FASTA does, by `bcftools norm`.

    Records whose REF differs from the FASTA, and records that repeat another, are left out and
    counted. Multiallelic sites are split: SHAPEIT4 drops them without a word, and joining them
    again unphases calls.
    """
    if "reference" not in job.files:
        job.notes.append("no FASTA: REF alleles are taken as they are, indels not left-aligned")
        return {"genotypes": job.source}
    require("bcftools")
    with Reference(job.files["reference"]) as fasta:
        known = list(fasta.contigs)
    contigs = _contigs(job.source)
    names = job.work / "names.txt"
    renamed = _rename(contigs, known, str(job.source))
    names.write_text("".join(f"{old} {new}\n" for old, new in renamed.items()), "utf-8")
    here = [c for c in contigs if renamed.get(c, c) in known]
    if not here:
        match_contig(next(iter(contigs), ""), known, str(job.source))
    regions = ",".join(renamed.get(c, c) for c in here)
    norm: list[str | Path] = [
        "bcftools",
        "norm",
        "-f",
        job.files["reference"],
        "-c",
        "x",
        "-m",
        "-any",
    ]
    said = pipe(
        ["bcftools", "annotate", "--rename-chrs", names, "-Ou", job.source],
        ["bcftools", "view", "-t", regions, "-Ou"],
        [*norm, "-Ou"],
        ["bcftools", "norm", "-d", "exact", "-Ou"],
        ["bcftools", "sort", "-T", job.work / "sort", "-Oz", "-o", job.target],
    )
    index(job.target)
    before, after = contigs.total(), count(job.target)
    lines = [line for line in said.splitlines() if line.startswith("Lines")]
    (total, split, moved, wrong), (apart, *_) = (
        [int(n) for n in line.rpartition("\t")[2].split("/")] for line in lines
    )
    job.counts |= {
        "records": before,
        "records on contigs that the FASTA lacks, left out": before - total,
        "multiallelic records, split": split,
        "indels, left-aligned": moved,
        "records whose REF differs from the FASTA, left out": wrong,
        "records that repeat another, left out": apart - after,
        "records after splitting": after,
    }
    return {"genotypes": job.target}


def select(job: Job) -> dict[str, Path]:
    """Keep the study's people, and the kinds of variants that the recipe names.

    options: alleles (snv, or all with symbolic ones left out), max_missing (share of calls), and
    filtered: false keeps records that FILTER marks. Sites that nobody of these people carries go.
    """
    reasons = {"records that FILTER marks": 'FILTER!="PASS" && FILTER!="."'}
    if not job.options.get("filtered", True):
        reasons = {}
    if job.options.get("alleles", "snv") == "snv":
        reasons["records that are no SNV"] = 'TYPE!="snp"'
    else:
        reasons["records with symbolic alleles"] = 'ALT~"<" || ALT="*"'
    reasons["sites that nobody kept carries"] = "MAX(AC)=0"
    if (most := job.options.get("max_missing")) is not None:
        reasons[f"sites where more than {most:g} of the calls are missing"] = f"F_MISSING>{most}"
    tagged, tags = job.work / "tagged.bcf", {f"h{k}": why for k, why in enumerate(reasons)}
    steps: list[list[str | Path]] = [
        ["bcftools", "view", "-S", job.files["keep"], "-Ou", job.source]
    ]
    for tag, why in tags.items():
        # FILTER of the file itself is read first, and each record is counted for one reason.
        steps.append(["bcftools", "filter", "-Ou", "-s", tag, "-m", "+", "-e", reasons[why]])
    steps[-1][2] = "-Ob"
    steps[-1] += ["-o", tagged]
    pipe(*steps)
    marked, first = tally("bcftools", "query", "-f", r"%FILTER\n", tagged), Counter[str]()
    job.counts["records"] = marked.total()
    for mark, n in marked.items():
        first[next((tag for tag in tags if tag in mark.split(";")), "")] += n
    job.counts |= {f"{why}, left out": first[tag] for tag, why in tags.items()}
    none = " && ".join(f'FILTER!~"{tag}"' for tag in tags)
    pipe(
        ["bcftools", "view", "-i", none, "-Ou", tagged],
        [
            "bcftools",
            "annotate",
            "-x",
            ",".join(f"FILTER/{t}" for t in tags),
            "-Oz",
            "-o",
            job.target,
        ],
    )
    index(job.target)
    job.counts["records kept"] = count(job.target)
    return {"genotypes": job.target}


# --- phase -----------------------------------------------------------------------------------


def phase(job: Job) -> dict[str, Path]:
    """Phase unphased calls; QUAL, INFO and headers stay those of the file before.

    options: phaser (shapeit4, beagle, eagle; none leaves the calls as they are), seed, missing:
    filled keeps what the phaser puts in the place of missing calls, and lists them (a mask, beside
    the file); kept makes them missing again. Haploid calls stay as they were.
    """
    look = _look(job.source)
    phaser = job.options.get("phaser", "shapeit4")
    if phaser == "none" or not look.unphased:
        job.notes.append(
            f"calls stay as they are ({look.unphased} unphased among the first {_LOOK:,} records)"
        )
        return {"genotypes": job.source}
    if phaser not in _PHASERS:
        raise HowfarError(
            "--phaser",
            found=repr(phaser),
            expected=f"one of {', '.join(_PHASERS)}, none",
            do="Correct the option.",
        )
    diploid = job.source
    if look.haploid:  # phasers refuse a person with both, so both copies are the one allele
        diploid = job.work / "diploid.vcf.gz"
        pipe(["bcftools", "+fixploidy", "-Oz", "-o", diploid, job.source, "--", "-f", "2"])
        index(diploid)
    parts = [_PHASERS[phaser](job, diploid, contig) for contig in _contigs(diploid)]
    phased = parts[0]
    if len(parts) > 1:
        phased = job.work / "phased.vcf.gz"
        pipe(["bcftools", "concat", "-Oz", "-o", phased, *parts])
        index(phased)
    restored = _put_back(job, phased)
    pipe(["bcftools", "+fill-tags", "-Oz", "-o", job.target, restored, "--", "-t", "AC,AN,AF"])
    index(job.target)
    job.notes.append(f"phased by {phaser}, seed {job.options.get('seed', 1)}")
    return {"genotypes": job.target}


def _shapeit4(job: Job, source: Path, contig: str) -> Path:
    out = job.work / f"{contig}.phased.vcf.gz"
    words: list[str | Path] = ["--map", job.files["map"]] if "map" in job.files else []
    seed = str(job.options.get("seed", 1))
    command = ("shapeit4", "--input", source, "--region", contig, "--output", out, "--seed", seed)
    run(*command, *words, "--log", job.work / "log")
    index(out)
    return out


def _beagle(job: Job, source: Path, contig: str) -> Path:
    out = job.work / f"{contig}.phased"
    words = [f"map={job.files['map']}"] if "map" in job.files else []
    seed = f"seed={job.options.get('seed', 1)}"
    run("beagle", f"gt={source}", f"chrom={contig}", f"out={out}", "nthreads=1", seed, *words)
    index(Path(f"{out}.vcf.gz"))
    return Path(f"{out}.vcf.gz")


def _eagle(job: Job, source: Path, contig: str) -> Path:
    out = job.work / f"{contig}.phased"
    table = job.files.get("map")
    if table is None:
        raise HowfarError(
            "--have map",
            found="no genetic map",
            expected="the map of the build, which Eagle needs",
            do="Give one of those that come with Eagle.",
        )
    names = [f"--vcf={source}", f"--geneticMapFile={table}", f"--chrom={contig}"]
    run("eagle", *names, f"--outPrefix={out}", "--vcfOutFormat=z")
    index(Path(f"{out}.vcf.gz"))
    return Path(f"{out}.vcf.gz")


_PHASERS = {"shapeit4": _shapeit4, "beagle": _beagle, "eagle": _eagle}


def _put_back(job: Job, phased: Path) -> Path:
    """Write the records as they were before, with the calls that were phased; return the file.

    Records that the phaser left out are left out here, and counted.
    """
    from cyvcf2 import VCF, Writer

    kept = job.options.get("missing", "filled") == "kept"
    before, after = VCF(str(job.source)), VCF(str(phased))
    if list(before.samples) != list(after.samples):
        raise HowfarError(
            str(phased),
            found="other people, or another order",
            expected="those of the file before",
            do="Use another phaser.",
        )
    restored = job.work / "restored.vcf.gz"
    writer = Writer(str(restored), before, mode="wz")
    mask = Path(f"{job.target}{FILLED}")
    calls = iter(after)
    record = next(calls, None)
    with gzip.open(mask, "wt", encoding="utf-8") as filled:
        filled.write("contig\tposition\tref\talt\tpeople\n")
        for old in before:
            if record is None or _site(record) != _site(old):
                job.counts["records that the phaser left out"] += 1
                continue
            was = old.genotype.array()
            new = record.genotype.array()
            missing, haploid = (was[:, :-1] == -1).any(1), (was[:, :-1] == -2).any(1)
            new[haploid] = was[haploid]
            if kept:
                new[missing] = was[missing]
            job.counts["missing calls, filled in" if not kept else "missing calls"] += int(
                (missing & ~haploid).sum()
            )
            if missing.any():
                names = ",".join(str(k + 1) for k in missing.nonzero()[0])
                filled.write("\t".join([*map(str, _site(old)), names]) + "\n")
            new[:, -1] = 1
            old.genotypes = [[*(int(a) for a in row[:-1] if a != -2), bool(row[-1])] for row in new]
            writer.write_record(old)
            job.counts["records"] += 1
            record = next(calls, None)
    writer.close()
    before.close()
    after.close()
    return restored


def _site(record: object) -> tuple[str, int, str, str]:
    alts = ",".join(record.ALT)  # type: ignore[attr-defined]
    return record.CHROM, record.POS, record.REF, alts  # type: ignore[attr-defined]
