"""Predictions that were made elsewhere go the way of a network's own."""

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse

import howfar as hf
from helpers import strong_eqtls
from helpers.commands import invoke
from helpers.tiny import SAMPLES, make_study
from howfar.prediction.run import load_prediction, predict
from howfar.study.reading import load_study


@pytest.fixture(scope="module")
def network():
    cohort = hf.example_cohort()
    return hf.predict(cohort, hf.load_model("gc-content", context=8_192), bins="centre3")


def test_a_networks_predictions_written_and_read_give_its_tables(network):
    table = network.people.assign(reference=network.reference)
    given = hf.predict(network.cohort, hf.predictions_from(table, "share"), name="given")
    assert given.people.equals(network.people)
    tables = hf.evaluate(network.cohort, [network, given])
    for name in ("across", "reference", "within"):
        mine, own = (tables[name].query("run_id == @run") for run in ("given", "gc-content"))
        columns = [c for c in mine.columns if c != "run_id"]
        assert len(mine) and mine[columns].reset_index(drop=True).equals(
            own[columns].reset_index(drop=True)
        )
    assert tables["runs"].set_index("run_id").loc["given", "units"] == "share"


def write_h5ad(path, frame, kind, layers=()):
    """As anndata's write_h5ad: people are obs, genes var."""
    with h5py.File(path, "w") as file:
        for axis, names in (("obs", frame.columns), ("var", frame.index)):
            group = file.create_group(axis)
            group.attrs["_index"] = "names"
            group["names"] = [str(name) for name in names]
        for name, values in [("X", frame), *layers]:
            values = values.T.to_numpy(float)
            if kind == "dense":
                file[name] = values
                continue
            matrix = (
                sparse.csr_matrix(values) if kind == "csr_matrix" else sparse.csc_matrix(values)
            )
            group = file.create_group(name)
            group.attrs["encoding-type"], group.attrs["shape"] = kind, values.shape
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(matrix, part)


def write_zarr(path, frame, kind):
    """As anndata's write_zarr."""
    zarr = pytest.importorskip("zarr")
    root = zarr.open_group(str(path), mode="w")
    for axis, names in (("obs", frame.columns), ("var", frame.index)):
        group = root.create_group(axis)
        group.attrs["_index"] = "names"
        values = np.array(list(map(str, names)), dtype=np.dtypes.StringDType())
        group.create_array("names", shape=values.shape, dtype=str)[:] = values
    values = frame.T.to_numpy(float)
    if kind == "zarr":
        root.create_array("X", data=values)
        return
    matrix, group = sparse.csr_matrix(values), root.create_group("X")
    group.attrs.update({"encoding-type": "csr_matrix", "shape": list(values.shape)})
    for part in ("data", "indices", "indptr"):
        group.create_array(part, data=getattr(matrix, part))


@pytest.fixture
def frame():
    values = [[1.0, 2.0, 0.0, 4.0, 9.0], [0.5, 0.25, 2.0, 1.0, 9.0]]
    return pd.DataFrame(values, ["g1", "g2"], [*SAMPLES, "stranger"])


def study_of(tmp_path, name, **keys):
    """The tiny study without a FASTA, its run a table."""
    text = make_study(tmp_path).model_dump(mode="json", exclude_unset=True)
    text["runs"] = [{"id": "given", "label": "Given", "predictions": name, **keys}]
    del text["cohort"]["reference"]
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(text))
    return load_study(str(tmp_path / "given.yaml"))


@pytest.mark.parametrize(
    "kind", ["csv", "tsv.gz", "parquet", "dense", "csr_matrix", "csc_matrix", "zarr", "zarr csr"]
)
def test_a_run_may_name_a_table_and_needs_no_sequence(tmp_path, frame, results_folder, kind):
    name = f"p.{kind}" if "." in kind or kind in ("csv", "parquet") else "p.h5ad"
    if kind.startswith("zarr"):
        name = "p.zarr"
        write_zarr(tmp_path / name, frame, kind)
    elif kind == "parquet":
        frame.to_parquet(tmp_path / name)
    elif name.endswith("h5ad"):
        write_h5ad(tmp_path / name, frame, kind)
    else:
        frame.to_csv(tmp_path / name, sep="\t" if "tsv" in name else ",", index_label="gene_id")
    study = study_of(tmp_path, name, units="log TPM", made="by hand")
    done = predict(study, study.runs[0], results_folder)
    made = load_prediction(done.cohort, "given", results_folder)
    people, row = made.people, made.run_row
    assert people.loc["g1"].tolist() == [1, 2, 0, 4] and people.columns.tolist() == SAMPLES
    assert (row["units"], row["tracks"], row["context"]) == ("log TPM", "given: by hand", None)
    across = hf.evaluate(done.cohort, [made])["across"]
    assert len(across.query("run_id == 'given' and population == 'pooled'")) == 2


@pytest.mark.parametrize("kind", ["csv", "h5ad"])
def test_haplotypes_are_averaged_as_the_run_says(tmp_path, frame, results_folder, kind):
    halves = [frame.add_suffix(".hap1", axis=1), (3 * frame).add_suffix(".hap2", axis=1)]
    if kind == "csv":
        pd.concat(halves, axis=1).to_csv(tmp_path / "p.csv", index_label="gene")
    else:
        layers = [("layers/hap1", frame), ("layers/hap2", 3 * frame)]
        write_h5ad(tmp_path / "p.h5ad", frame, "dense", layers)
    means = {"plain": ["mean_haplotypes"], "log": ["log1p", "mean_haplotypes"]}
    for name, steps in means.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"p.{kind}").write_bytes((tmp_path / f"p.{kind}").read_bytes())
        steps = ["mean_bins", "mean_tracks", *steps]
        study = study_of(folder, f"p.{kind}", transform=steps)
        done = predict(study, study.runs[0], results_folder / name)
        people = load_prediction(done.cohort, "given", results_folder / name).people
        each = np.log1p([1, 3]) if name == "log" else np.array([1.0, 3.0])
        assert people.loc["g1", "P1"] == pytest.approx(each.mean())


def test_the_command_writes_raw_values_beside_the_reference(tmp_path, frame, results_folder):
    frame.assign(reference=0.75).to_csv(tmp_path / "p.csv", index_label="gene_id")
    study, out = study_of(tmp_path, "p.csv"), tmp_path / "raw.parquet"
    done = invoke(study, results_folder, "predict", "--raw", out)
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(out).set_index(["gene_id", "sample", "haplotype"])
    assert table.loc[("g1", "P4", 2), "alternative"] == 4 and len(table) == 2 * 4 * 2
    assert (table["reference"] == 0.75).all() and (
        table["description"] == "given: not stated"
    ).all()


def test_who_and_what_is_not_given_is_missing_and_counted(tmp_path, frame, results_folder):
    frame.loc["g1", "P2"] = np.nan
    frame.drop(index="g2").drop(columns="P4").to_csv(tmp_path / "p.csv", index_label="gene")
    study = study_of(tmp_path, "p.csv")
    done = predict(study, study.runs[0], results_folder)
    made = load_prediction(done.cohort, "given", results_folder)
    assert [gene.gene_id for gene in made.genes] == ["g1"]
    assert made.people.loc["g1"].isna().tolist() == [False, True, False, True]
    assert done.cohort.warnings["haplotypes or people without a given prediction"] == 2
    assert made.reference["g1"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.rename(columns={"P2": "P1"}), "'P1' twice"),
        (lambda f: f.rename(index={"g2": "g1"}), "'g1' twice"),
        (lambda f: f.replace(9.0, np.inf), "inf"),
        (
            lambda f: f.rename(columns={"P1": "P1.hap1"}),
            "for .hap1, 0 for .hap2",
        ),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(frame, change, says):
    with pytest.raises(hf.HowfarError, match=says):
        hf.predictions_from(change(frame))


def test_strangers_alone_a_lost_file_and_other_sequences_are_refused(tmp_path, frame):
    study = study_of(tmp_path, "p.csv")
    with pytest.raises(hf.HowfarError, match=r"p\.csv"):
        predict(study, study.runs[0], tmp_path / "r")
    frame[["stranger"]].to_csv(tmp_path / "p.csv", index_label="gene")
    with pytest.raises(hf.HowfarError, match="none of the cohort's 4 people"):
        predict(study, study.runs[0], tmp_path / "r")
    with pytest.raises(hf.HowfarError, match="without the network"):
        hf.predictions_from(frame).predict(np.zeros((1, 1), np.uint8), [0], [0])


def test_a_run_is_a_table_or_a_model(tmp_path):
    with pytest.raises(hf.HowfarError, match="either `predictions`, or a model"):
        study_of(tmp_path, "p.csv", model="gc-content")
    (tmp_path / "damaged.h5ad").write_bytes(b"\x89HDF\r\n\x1a\nno more")
    study = study_of(tmp_path, "damaged.h5ad")
    with pytest.raises(hf.HowfarError, match="AnnData"):
        predict(study, study.runs[0], tmp_path / "r")


def drawn(figure):
    """What a figure shows as points, lines and bars."""
    assert not isinstance(figure, hf.figures.Box), figure
    shown = [c.get_offsets() for axes in figure.axes for c in axes.collections]
    shown += [line.get_xydata() for axes in figure.axes for line in axes.lines]
    shown += [bar.get_path().vertices for axes in figure.axes for bar in axes.patches]
    assert sum(map(len, shown)) > 5
    return np.concatenate([np.asarray(part, float) for part in shown])


@pytest.fixture(scope="module")
def tables(network):
    """Of the network's own predictions, and of the same from a table, beside a linear model."""
    given = hf.predictions_from(network.people.assign(reference=network.reference))
    made = hf.predict(network.cohort, given, name=network.run.id)
    linear = hf.fit_linear(network.cohort, "top1")
    return [hf.evaluate(network.cohort, [run, linear]) for run in (network, made)]


@pytest.mark.parametrize("figure", ["central", "scatter", "distribution"])
def test_predictions_from_a_table_give_the_central_figures(tables, figure):
    """Across genes, across people, and both beside a linear model: as the network's own do."""
    own, same = tables
    show = getattr(hf.figures, figure)
    np.testing.assert_allclose(drawn(show(own)), drawn(show(same)), equal_nan=True)


def test_predictions_from_a_table_give_the_distance_figure(tmp_path, monkeypatch):
    """Of 36 genes whose one eQTL lies at various distances from the TSS."""
    monkeypatch.setattr(strong_eqtls, "GENES", 36)
    study = strong_eqtls.write_study(tmp_path)
    sites = pd.read_csv(tmp_path / "d.tsv", sep="\t")
    genes = pd.read_csv(tmp_path / "genes.csv")
    genes["tss"] += 20 * np.arange(1, len(genes) + 1)
    genes.to_csv(tmp_path / "genes.csv", index=False)
    draw = np.random.default_rng(2)
    causal = sites.iloc[3::8, 4:].set_axis(genes["gene_id"])
    noise = np.linspace(0.2, 3, len(genes))[:, None] * draw.normal(size=causal.shape)
    cohort = hf.open_cohort(study)
    given = hf.predict(cohort, hf.predictions_from(causal + noise, units="toys"), name="given")
    tables = hf.evaluate(cohort, [given], draws=100)
    figure = hf.figures.trends(tables)
    drawn(figure)
    axis = next(axis for axis in figure.axes if "distance" in axis.get_xlabel())
    shown = np.concatenate([np.asarray(c.get_offsets(), float) for c in axis.collections])
    found = (
        tables["features"].query("feature == 'lead_eqtl_distance'").set_index("gene_id")["value"]
    )
    assert sum(found.get(g) == 20 * k - 1 for k, g in enumerate(genes["gene_id"], 1)) >= 34
    observed, people = cohort.expression.values, cohort.samples
    for gene, distance in found.items():
        r = np.corrcoef(observed.loc[gene, people], (causal + noise).loc[gene, people])[0, 1]
        assert np.isclose(shown, [max(distance, 10), r], rtol=1e-5).all(axis=1).any(), gene
