"""A study's cohort, opened: reference, variants, genes, expression, and the people in common."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.cohort.expression import Expression, read_expression
from howfar.cohort.files import cohort_of, input_files, require_inputs, unphased_rule
from howfar.cohort.gene_check import compare_genes
from howfar.cohort.panel import FEWEST, Panel, cached_dosages
from howfar.cohort.people import common_samples, read_sample_map, read_samples, rename_samples
from howfar.core.errors import HowfarError, about
from howfar.core.project import resolve
from howfar.genome.genes import COLUMNS, genes_of_places, on_contigs, read_genes
from howfar.genome.genotypes.base import VariantSource
from howfar.genome.genotypes.open import open_variants
from howfar.genome.intervals import Gene, Interval, Variant
from howfar.genome.reference import Reference, match_contig
from howfar.genome.windows import Windows, build_windows
from howfar.study.reading import parse_study
from howfar.study.schema import Cohort, Study


def _contig_of(genes: Sequence[Gene], chrom: str, where: str) -> str:
    """Return the genes' own name of a contig ('20' and 'chr20' are one); else HowfarError."""
    return match_contig(chrom, dict.fromkeys(gene.chrom for gene in genes), where)


def _drop_repeats(dosages: np.ndarray, variants: list[Variant]) -> tuple[np.ndarray, list[Variant]]:
    """Keep the first of variants that occur twice, and its column of dosages."""
    first = {variant: i for i, variant in reversed(list(enumerate(variants)))}
    if len(first) == len(variants):
        return dosages, variants
    kept = sorted(first.values())
    return dosages[:, kept], [variants[i] for i in kept]


#: What builds a gene's windows: of a gene, length, index of the TSS base, and alleles.
WindowBuilder = Callable[[Gene, int, int, str], Windows]


@dataclass
class OpenCohort:
    """Files of a cohort, opened once; `warnings` counts what was left out or assumed."""

    study: Study
    warnings: Counter[str] = field(default_factory=Counter)
    builder: WindowBuilder | None = field(default=None, repr=False)  # None: `build_windows`
    _counted: dict[tuple[str, int], Counter[str]] = field(default_factory=dict, repr=False)
    _opening: Counter[str] = field(default_factory=Counter, repr=False)
    _genes_compared: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        require_inputs(self.study)

    @property
    def settings(self) -> Cohort:
        """The `cohort` block of the study file."""
        return cohort_of(self.study)

    @cached_property
    def unphased(self) -> str:
        """What is done with unphased calls (see `unphased_rule`)."""
        return unphased_rule(self.study)

    @property
    def reference(self) -> Reference:
        """The reference genome; HowfarError for a study without one."""
        if self._reference is None:
            raise HowfarError(
                f"{self.study.place}, key cohort.reference",
                found="nothing",
                expected="a FASTA, as sequence is read",
                do="Name one in the study file; linear models, eQTL maps and heritability run "
                "without.",
            )
        return self._reference

    @cached_property
    def _reference(self) -> Reference | None:
        if self.settings.reference is None:
            self.warnings["cohorts without a FASTA, whose REF alleles are taken as they are"] += 1
            return None
        opened = Reference(resolve(self.settings.reference))
        self.warnings.update(opened.counts)
        return opened

    @cached_property
    def variants(self) -> VariantSource:
        """The people's genotypes."""
        return open_variants(resolve(self.settings.variants))

    @cached_property
    def genes(self) -> list[Gene]:
        """The genes of the gene table, in its order, as far as the study asks for them.

        Those under the key `cohort.only` where it is there; genes on contigs that the reference or
        the variants lack are left out and counted, HowfarError where none is left.
        """
        chosen = self._only(self._table)
        files = (self.variants,) if self._reference is None else (self._reference, self.variants)
        kept, left = on_contigs(chosen, *files)
        self.warnings.update(left)
        without = "genes without a strand, whose place may not be their TSS"
        self.warnings[without] += sum(gene.strand == "." for gene in kept)
        return kept

    @property
    def listed_genes(self) -> list[Gene]:
        """All genes of the gene table, those on contigs that another file lacks too."""
        return self._table

    @cached_property
    def _table(self) -> list[Gene]:
        settings = self.settings
        if settings.genes is not None:
            return read_genes(resolve(settings.genes), settings.tss, settings.gene_versions)
        expression = self.require_expression("for the genes' places")
        if expression.positions is None:
            raise HowfarError(
                str(self.genes_path),
                found="expression without places of genes, and no cohort.genes",
                expected="a gene table, or expression in a BED file",
                do="Name a gene table in cohort.genes.",
            )
        return genes_of_places(expression.positions, str(self.genes_path), settings.tss)

    @property
    def genes_path(self) -> Path:
        """The file that says where genes lie: the gene table, or the expression BED."""
        path = self.settings.genes or self.settings.expression
        return resolve(path) if path is not None else Path(self.study.place)

    def _only(self, table: list[Gene]) -> list[Gene]:
        """The genes that the study's key `cohort.only` names; all where it isn't there."""
        only, place = self.settings.only, f"{self.study.place}, key cohort.only"
        if only is None:
            return table
        known = {gene.gene_id for gene in table} | {gene.name for gene in table}
        if unknown := [name for name in only.genes if name not in known]:
            raise HowfarError(
                f"{place}.genes",
                found=f"{len(unknown)} that are no gene of {self.genes_path}: "
                f"{', '.join(unknown[:5])}",
                expected="ids or names of the gene table",
                do="Correct the key.",
            )
        contigs = [_contig_of(table, chrom, f"{place}.contigs") for chrom in only.contigs]
        wanted = set(only.genes)
        return [
            gene
            for gene in table
            if (not wanted or {gene.gene_id, gene.name} & wanted)
            and (not contigs or gene.chrom in contigs)
        ]

    @cached_property
    def expression(self) -> Expression | None:
        """The expression matrix, its samples named as in the genotypes; None without one."""
        path = self.settings.expression
        return None if path is None else self._read_expression(path)

    def tissue(self, name: str) -> pd.DataFrame:
        """Expression of a tissue, gene x sample, for the study's own genes and people.

        NaN where the tissue's file lacks one; HowfarError where it shares none.
        """
        path = self.settings.tissues[name]
        values = self._read_expression(path).values
        wanted = [gene.gene_id for gene in self.measured(self.genes, "of the first tissue")]
        kept = values.reindex(index=wanted, columns=self.samples)
        for axis, what in ((0, "people"), (1, "genes")):
            lacking = int(kept.isna().all(axis=axis).sum())
            self.warnings[f"{what} without expression in {name}"] = lacking  # however often read
        if kept.isna().all(axis=None):
            raise HowfarError(
                str(resolve(path)),
                found=f"{len(values):,} genes of {values.shape[1]:,} samples, none of them shared",
                expected=f"genes and people of the study's first tissue ({resolve(path).name})",
                do="Name samples as there, or in cohort.sample_map.",
            )
        return kept

    def _read_expression(self, path: Path) -> Expression:
        pairs = self.settings.sample_map
        expression = read_expression(resolve(path), self.settings.gene_versions)
        if pairs is not None:
            where = str(resolve(pairs))
            expression, counts = rename_samples(expression, read_sample_map(where), where)
            self.warnings.update(counts)
        self.warnings["missing values of expression"] += expression.missing
        return expression

    @cached_property
    def populations(self) -> pd.Series | None:
        """Population by sample, or None where the study has no sample table."""
        table = self._sample_table
        return None if table is None or table.isna().all() else table

    @cached_property
    def _sample_table(self) -> pd.Series | None:
        path = self.settings.samples
        return None if path is None else read_samples(resolve(path), self.variants.samples)

    @cached_property
    def samples(self) -> list[str]:
        """The people in every input, in the order of the variant file."""
        everybody = self.variants.samples
        measured = everybody if self.expression is None else list(self.expression.values.columns)
        listed = None if self._sample_table is None else list(self._sample_table.index)
        with about(self._files_of_people()):
            kept, report = common_samples(everybody, measured, listed)
        if report["only_first_missing"]:
            raise HowfarError(
                self._files_of_people(),
                found="one person too few: the first of a list is the only one missing elsewhere",
                expected="the same people in all of these files",
                do="Look for a file without its header, whose first person was taken for one.",
            )
        self._count_opening()
        left_out = ("without_expression", "without_genotypes", "wanted_but_absent")
        self.warnings.update({f"people {k.replace('_', ' ')}": report.get(k, 0) for k in left_out})
        return kept

    def _files_of_people(self) -> str:
        """The files whose people are compared, for messages."""
        roles = ("variants", "expression", "samples", "sample_map")
        paths = [getattr(self.settings, role) for role in roles]
        return " against ".join(str(resolve(path)) for path in paths if path is not None)

    def genes_to_run(self, gene: str | None = None, chrom: str | None = None) -> list[Gene]:
        """All genes with expression, or the one named (id or name), or those of one contig.

        Where the study has no expression, all; the one that is named may lack it.
        """
        if chrom is not None:
            chrom = _contig_of(self.genes, chrom, str(self.genes_path))
        chosen = [
            g
            for g in self.genes
            if (gene is None or gene in (g.gene_id, g.name)) and (chrom is None or g.chrom == chrom)
        ]
        if not chosen:
            named = "" if gene is None else f" {gene!r}"
            there = "" if chrom is None else f" on contig {chrom!r}"
            raise HowfarError(
                str(self.genes_path),
                found=f"no gene{named}{there} among {len(self.genes)}",
                expected="a gene id, gene name or contig of the gene table",
                do="Correct --gene or --chrom.",
            )
        self._check_on_contigs(chosen)
        self._compare_genes()
        if gene is None and self.expression is not None:
            return self.measured(chosen, "to compare predictions with")
        return chosen

    def _compare_genes(self) -> None:
        """Before any gene is predicted: expression is of the gene table's genes; once."""
        if self.expression is not None and not self._genes_compared:
            files = input_files(self.study)
            where = f"{self.genes_path} against {files['expression']}"
            self.warnings.update(compare_genes(self.genes, self.expression, where))
            self._genes_compared = True

    def require_expression(self, purpose: str) -> Expression:
        """The expression matrix; HowfarError, saying what it is for, for a study without one."""
        if self.expression is None:
            raise HowfarError(
                f"{self.study.place}, key cohort.expression",
                found="nothing",
                expected=f"an expression file, {purpose}",
                do="Name one in the study file; `howfar predict` works without.",
            )
        return self.expression

    def measured(self, genes: Sequence[Gene], purpose: str) -> list[Gene]:
        """Those of `genes` that have expression; the others are counted.

        purpose: what expression is for, for the message where the study has none; HowfarError too
        where it has none of the genes'.
        """
        rows = self.require_expression(purpose).values.index
        self._compare_genes()
        measured = [gene for gene in genes if gene.gene_id in rows]
        self.warnings["genes without expression"] = max(
            self.warnings["genes without expression"], len(genes) - len(measured)
        )
        if not measured:
            files = input_files(self.study)
            raise HowfarError(
                f"{self.genes_path} against {files['expression']}",
                found=f"none of the {len(genes)} genes asked for among {len(rows)} rows of "
                "expression",
                expected="expression of the genes",
                do="Name genes that the expression file has.",
            )
        return measured

    def _check_on_contigs(self, genes: list[Gene]) -> None:
        """Before any is predicted: every TSS lies on a contig of the reference."""
        if self._reference is None:
            return
        off = [g for g in genes if g.tss > self.reference.length(g.chrom)]
        if off:
            raise HowfarError(
                f"{self.genes_path}, gene {off[0].gene_id}",
                found=f"a TSS at {off[0].chrom}:{off[0].tss:,}, beyond the contig's end "
                f"({len(off)} such gene(s))",
                expected=f"at most {self.reference.length(off[0].chrom):,}, the contig's length in "
                f"{self.reference.path.name}",
                do="Use the gene table of the reference's genome build.",
            )

    def gene(self, name: str | Gene) -> Gene:
        """Return the gene of that id or name; HowfarError where there is none."""
        return name if isinstance(name, Gene) else self.genes_to_run(name)[0]

    def windows(
        self,
        gene: Gene | str,
        length: int,
        tss_offset: int | None = None,
        alleles: str | None = None,
    ) -> Windows:
        """Build both haplotypes of everyone around a gene's TSS (see `build_windows`).

        gene: a gene, its id or name. length: bp. tss_offset: 0-based index of the TSS base in the
        forward-strand window, its middle where left out. alleles: 'snv' or 'all', as the cohort's
        settings say where left out.
        """
        gene = self.gene(gene)
        tss_offset = length // 2 if tss_offset is None else tss_offset
        build = self.builder or self.build_windows
        with about(self.genes_path):
            built = build(gene, length, tss_offset, alleles or self.settings.alleles)
        mixed = int(self.unphased == "dosage" and built.counts["unphased calls"] > 0)
        built.counts["genes with unphased dosage, not the mean of two haplotypes"] = mixed
        ambiguous = self.reference.ambiguous(gene.window(length, tss_offset))
        built.counts["ambiguous bases of the reference read as N"] = ambiguous
        self.warnings.update(built.counts)
        self._count_opening()
        self._check_n(gene, built)
        return built

    def build_windows(self, gene: Gene, length: int, tss_offset: int, alleles: str) -> Windows:
        """Build a gene's windows from the files, uncounted and unchecked (see `windows`)."""
        return build_windows(
            self.reference,
            self.variants,
            gene,
            length,
            tss_offset=tss_offset,
            samples=self.samples,
            alleles=alleles,
            unphased=self.unphased,
            max_ref_mismatch=self.settings.max_ref_mismatch,
        )

    def _count_opening(self) -> None:
        """Count what was met in opening variant files, as one per contig may come late."""
        self.warnings.update(self.variants.counts - self._opening)
        self._opening = Counter(self.variants.counts)

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """What is counted inside, by itself; it is added to `warnings` at the end."""
        outer, self.warnings = self.warnings, Counter()
        try:
            yield self.warnings
        finally:
            outer.update(self.warnings)
            self.warnings = outer

    def _check_n(self, gene: Gene, built: Windows) -> None:
        share = float((built.reference == ord("N")).mean())
        if share > self.settings.max_n:
            raise HowfarError(
                f"{self.reference.path}, window of gene {gene.gene_id}",
                found=f"a share of {share:.2f} of N among its {len(built.reference):,} bases",
                expected=f"at most {self.settings.max_n:g} (max_n)",
                do="Leave the gene out, use a reference without the gap, or raise cohort.max_n.",
            )

    def dosages(self, gene: Gene | str, window: int) -> tuple[np.ndarray, list[Variant]]:
        """Dosages of the alternative alleles in `window` bp centred on the TSS.

        Returns float32 (people, variants), NaN where missing, and the list of Variants, of records
        that stand in the file twice the first. What was met is counted once, however often the
        gene is read.
        """
        gene = self.gene(gene)
        counts: Counter[str] = Counter()
        dosages, variants = self.variants.dosages(
            self.inside(gene, window),
            self._reference,
            samples=self.samples,
            max_ref_mismatch=self.settings.max_ref_mismatch,
            counts=counts,
        )
        self._count_opening()
        self.count_gene(gene.gene_id, window, counts)
        return _drop_repeats(dosages, variants)

    def inside(self, gene: Gene, window: int) -> Interval:
        """`window` bp centred on the TSS, as far as the contig, if its length is known, reaches."""
        around = gene.window(window)
        known = self._reference is not None
        end = min(self.reference.length(gene.chrom), around.end) if known else around.end
        return Interval(gene.chrom, max(0, around.start), end)

    def panel(self) -> Panel:
        """Return expression, genes, populations and dosages of the people and genes in all inputs.

        Dosages are of the window `evaluation.cis_window` of the study. HowfarError for fewer than
        three people, as correlations are taken across people.
        """
        purpose = "to evaluate predictions against"
        genes = self.measured(self.genes, purpose)
        ids = [gene.gene_id for gene in genes]
        every = self.require_expression(purpose).values
        unlisted = "genes of the expression file that the gene table lacks"
        self.warnings[unlisted] += len(every) - len(genes)
        values = every.loc[ids, self.samples]
        self._check_values(values)
        table = pd.DataFrame([{c: getattr(g, c) for c in COLUMNS} for g in genes])
        populations = self.populations
        by_id, window = dict(zip(ids, genes, strict=True)), self.study.evaluation.cis_window
        with about(input_files(self.study).get("samples", self.study.place)):
            return Panel(
                expression=values,
                genes=table,
                populations=None if populations is None else populations.loc[self.samples],
                dosages=cached_dosages(lambda gene_id: self.dosages(by_id[gene_id], window)),
                units=self.settings.expression_units,
                log_scale=self.settings.log_base is not None,
                log_base=self.settings.log_base or math.e,
            )

    def _check_values(self, values: pd.DataFrame) -> None:
        """Too few people stop the evaluation; genes without variation are counted."""
        if values.shape[1] < FEWEST:
            files = input_files(self.study)
            raise HowfarError(
                f"{files['variants']} against {files['expression']}",
                found=f"{values.shape[1]} person(s) with genotypes and expression",
                expected=f"at least {FEWEST}, as correlations are taken across people",
                do="Add people; `howfar predict` works with one.",
            )
        seen, ranged = values.notna().any(axis=1), values.max(axis=1) > values.min(axis=1)
        constant, absent = int((seen & ~ranged).sum()), int((~seen).sum())
        self.warnings["genes with one expression value for everybody"] += constant
        self.warnings["genes whose expression is missing for everybody"] += absent

    def count_gene(self, gene_id: str, window: int, counts: Mapping[str, int]) -> None:
        """Add what a gene's dosages were read with, once however often they are read."""
        if (gene_id, window) not in self._counted:
            self._counted[gene_id, window] = Counter(counts)
            self.warnings.update(counts)

    def counts_of(self, gene_id: str, window: int) -> Counter[str]:
        """What a gene's dosages were read with; empty where they were not read."""
        return self._counted.get((gene_id, window), Counter())


def open_cohort(
    study: Study | None = None,
    *,
    reference: str | Path | None = None,
    variants: str | Path | None = None,
    genes: str | Path | None = None,
    expression: str | Path | None = None,
    samples: str | Path | None = None,
    name: str = "cohort",
    individuals: str = "private",
    min_people: int | None = None,
    **settings: Any,
) -> OpenCohort:
    """Open a cohort: of a study, or from files.

    Parameters
    ----------
    study
        A study with a cohort (see `howfar.load_study`); files are then left out.
    reference, variants, genes
        FASTA, which networks need; VCF, BCF, PLINK 1 or 2, a table of dosages (``{chrom}`` for
        one file per contig); gene table (CSV, GTF, GFF3, BED), or none where expression is a BED
        file with each gene's TSS. Relative paths count from the current folder.
    expression, samples
        Expression matrix (BED, GCT, CSV, Parquet) and sample table (sample, population), if any.
    name
        Of the study that is made of the files.
    individuals, min_people
        Whether points of single people may be drawn ("public"), and how many people stand behind
        every other value at least: as in a study file.
    settings
        Other keys of a study file's `cohort`, such as ``alleles="all"``.

    Raises
    ------
    HowfarError
        For a file that isn't there or can't be read, and a setting that doesn't exist.

    Examples
    --------
    >>> import howfar as hf
    >>> from howfar.simulate.example import FOLDER
    >>> cohort = hf.open_cohort(
    ...     reference=FOLDER / "reference.fa",
    ...     variants=FOLDER / "variants.vcf.gz",
    ...     genes=FOLDER / "genes.csv",
    ... )
    >>> cohort.genes[0].name
    'demo0001'
    """
    if study is not None:
        return OpenCohort(study)
    files = {
        "reference": reference,
        "variants": variants,
        "genes": genes,
        "expression": expression,
        "samples": samples,
    }
    given = {role: Path(path).absolute() for role, path in files.items() if path is not None}
    unknown = dict.fromkeys(("genotypes", "expression", "weights"), "as given")
    return OpenCohort(
        parse_study(
            {
                "name": name,
                "title": name,
                "reality": unknown,
                "individuals": individuals,
                "min_people": min_people,
                "cohort": given | settings,
            },
            f"cohort {name}",
        )
    )
