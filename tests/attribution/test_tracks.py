"""Tracks to expression: planted weights come back, the penalty is the validation genes' best."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import ElasticNet

from howfar.attribution import tracks
from howfar.core.errors import HowfarError
from howfar.genome.intervals import Gene

GENES = 240


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(3)
    x = rng.gamma(2, 1, (GENES, 12))
    y = 1.5 + x @ np.array([1.0, -0.7, *[0.0] * 10]) + rng.normal(0, 0.5, GENES)
    genes = [
        Gene(f"g{i}", f"g{i}", f"chr{1 + i // 20}", 1 + 9_000 * (i % 20), "+") for i in range(GENES)
    ]
    return tracks.Reference(genes, x, y, np.resize(["train", "train", "valid", "test"], GENES))


def test_planted_weights_come_back_and_test_genes_show_it(reference):
    fitted = tracks.fit(reference, "sagenet2024")
    np.testing.assert_allclose(fitted.readout.weights[:2], [1, -0.7], atol=0.1)
    assert np.abs(fitted.readout.weights[2:]).max() < 0.1 and fitted.converged
    r = fitted.r.set_index("split")
    assert r.loc["test", "r"] > 0.9 and r.loc["test", "n"] == GENES // 4
    assert (r["ci_low"] < r["r"]).all() and (r["r"] < r["ci_high"]).all()
    rng = np.random.default_rng(4)
    tossed = tracks.Reference(
        reference.genes, reference.x, rng.permutation(reference.y), reference.split
    )
    assert abs(tracks.fit(tossed, "sagenet2024").r.set_index("split").loc["test", "r"]) < 0.3


def test_the_penalty_is_the_best_of_validation_genes(reference):
    """Tried one by one: fitted on training genes alone, judged on validation genes alone."""
    fitted = tracks.fit(reference, "sagenet2024")
    train, valid = (reference.split == name for name in ("train", "valid"))

    def error(penalty):
        net = ElasticNet(alpha=penalty, l1_ratio=0.5, tol=1e-6).fit(
            reference.x[train], reference.y[train]
        )
        return ((net.predict(reference.x[valid]) - reference.y[valid]) ** 2).mean(), net

    best, net = error(fitted.penalty)
    for factor in (0.5, 0.8, 1.25, 2):
        assert best <= error(factor * fitted.penalty)[0] + 1e-6
    np.testing.assert_allclose(fitted.readout.weights, net.coef_, atol=1e-3)


def test_some_tracks_alone_have_weights(reference):
    fitted = tracks.fit(reference, "sagenet2024", tracks=[1, 4])
    assert set(np.flatnonzero(fitted.readout.weights)) <= {1, 4}
    assert fitted.r["r"].iloc[2] < tracks.fit(reference, "sagenet2024").r["r"].iloc[2]


def test_too_few_genes_of_a_split_are_refused(reference):
    few = tracks.Reference(
        reference.genes,
        reference.x,
        reference.y,
        np.where(reference.split == "test", None, "train"),
    )
    with pytest.raises(HowfarError, match="0 of split valid, 0 of split test"):
        tracks.fit(few, "sagenet2024")


def test_a_gene_has_the_split_of_the_one_record_around_it(tmp_path):
    bed = tmp_path / "sequences.bed"
    rows = [("chr1", 0, 100_000, "train"), ("chr1", 80_000, 200_000, "train")]
    rows += [("chr1", 150_000, 300_000, "test"), ("2", 0, 50_000, "valid")]
    pd.DataFrame(rows).to_csv(bed, sep="\t", header=False, index=False)
    places = {"in": ("1", 50_001), "both": ("1", 90_001), "edge": ("1", 300_001)}
    places |= {"clash": ("1", 172_001), "test": ("chr1", 250_001), "two": ("chr2", 20_001)}
    genes = [Gene(name, name, chrom, tss, "+") for name, (chrom, tss) in places.items()]
    assert tracks.regions_of(bed, genes) == {"in": "train", "test": "test", "two": "valid"}
    bed.write_text("chr1\t0\t9\tfold3\n")
    with pytest.raises(HowfarError, match="line 1: found 'chr1"):
        tracks.regions_of(bed, genes)
