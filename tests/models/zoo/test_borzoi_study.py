"""Borzoi over real people, from windows to tables: the real megabase, a small network.

Weights are random, windows 1,024 bp instead of 524,288, exons and expression made up: this shows
that the parts fit together, and nothing about Borzoi.
"""

import numpy as np
import pandas as pd
import pytest

from helpers.reduced_networks import borzoi
from howfar.cohort.opened import OpenCohort
from howfar.evaluation.study_tables import write_tables
from howfar.models.registry import load_model
from howfar.prediction.raw import raw_table
from howfar.prediction.run import predict
from howfar.results import tables
from howfar.study.schema import Study

pytest.importorskip("borzoi_pytorch")
pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
CONTEXT = 1024
#: Made up, 0-based half-open: around the TSS of PSMF1 (+) and TMEM74B (-).
EXONS = {
    "ENSG00000125818": [(93_905, 94_020), (94_300, 94_400)],
    "ENSG00000125895": [(165_600, 165_700), (165_900, 166_059)],
}


@pytest.fixture(scope="module")
def study(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("borzoi")
    region = shared / "realregion"
    people = pd.read_csv(region / "samples.csv").iloc[::36]  # twelve
    people.to_csv(folder / "samples.csv", index=False)
    lines = [f'20\tx\texon\t{a + 1}\t{b}\t.\t+\t.\tgene_id "{g}"; transcript_id "t";'
             for g, exons in EXONS.items() for a, b in exons]  # fmt: skip
    (folder / "exons.gtf").write_text("\n".join(lines) + "\n")
    values = np.random.default_rng(1).normal(size=(2, len(people)))
    expression = pd.DataFrame(values, list(EXONS), people["sample"].tolist())
    expression.rename_axis("gene_id").to_csv(folder / "expression.csv")
    borzoi(folder)
    run = {"id": "borzoi", "label": "Borzoi, random weights", "model": "borzoi", "device": "cpu",
           "weights": str(folder), "options": {"context": CONTEXT, "unsquash": True},
           "tracks": {"match": "lcl rna", "strand": ".", "count": 6}, "bins": "exons",
           "annotation": str(folder / "exons.gtf"), "alleles": "all", "batch_size": 2,
           "transform": ["sum_bins", "mean_tracks", "mean_haplotypes", "log1p"]}  # fmt: skip
    cohort = {"reference": region / "chr20_1Mb.fa", "variants": region / "chr20_1Mb.vcf.gz",
              "genes": region / "genes.csv", "expression": folder / "expression.csv",
              "samples": folder / "samples.csv", "alleles": "all",
              "only": {"genes": list(EXONS)}}  # fmt: skip
    reality = {"genotypes": "real sites, simulated carriers", "expression": "made up"}
    return Study.model_validate(
        {"name": "borzoi", "title": "t", "individuals": "public", "cohort": cohort, "runs": [run],
         "reality": reality | {"weights": "random"}, "min_people": 1,
         "evaluation": {"null_draws": 100, "bootstrap": 100, "cis_window": CONTEXT}}
    )  # fmt: skip


def test_windows_gene_readout_and_tables(study, tmp_path):
    results = tmp_path / "results"
    run = study.runs[0]
    done = predict(study, run, results)
    write_tables(study, results)
    read = {
        n: tables.read(tables.path_of(results, "borzoi", n), n) for n in ("runs", "individuals")
    }
    row = read["runs"].set_index("run_id").loc["borzoi"]
    assert row["bins"].startswith("exons: sum of the bins over the gene's exons")
    cohort = OpenCohort(study)
    model = load_model("borzoi", run.weights, "cpu", batch_size=2, **run.options)
    numbers = model.tracks.find("lcl rna", strand=".").index.tolist()
    found = read["individuals"].query("run_id == 'borzoi'").set_index(["gene_id", "sample"])
    for gene in cohort.genes:
        built = cohort.windows(gene, CONTEXT, model.tss_offset(gene.strand), "all")
        every = model.predict(built.sequences, range(32), numbers).mean(axis=2)
        sums = []
        for k, values in enumerate(every):
            positions = built.position_map(k)  # no exon has an insertion among these people
            mine = [
                i for i, p in enumerate(positions) for a, b in EXONS[gene.gene_id] if a <= p < b
            ]
            sums.append(values[sorted({i // 32 for i in mine})].sum())
        expected = np.log1p(np.array(sums)[built.index].mean(axis=1))
        values = found.loc[gene.gene_id].loc[cohort.samples, "predicted"]
        np.testing.assert_allclose(values, expected, rtol=1e-5)
        assert len(built) > 2 and np.ptp(expected) > 0
    raw = raw_table(done.store, done.genes, cohort.samples, "borzoi")
    assert raw["bin"].isna().all() and set(raw["track"]) == set(numbers)
