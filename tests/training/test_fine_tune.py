"""Training on people: what is read, resumed training, and the trained network as a run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pyarrow
import pytest
import torch
import yaml

import howfar as hf
from helpers import golden, reduced_networks
from helpers.places import TESTS
from howfar import stats, training
from howfar.core.errors import HowfarError
from howfar.core.registry import STRATEGIES
from howfar.evaluation import trainings
from howfar.models.weights.checkpoint import read_tensors
from howfar.prediction.run import predict_cohort
from howfar.simulate.example import FOLDER as EXAMPLE
from howfar.study.schema import Run
from howfar.training import data as training_data
from howfar.training import fine_tune as ft
from howfar.training import loop as loops
from howfar.training import network as networks
from howfar.training import rare
from howfar.training.mpra import CELLS

pytestmark = pytest.mark.usefixtures("one_thread")
SPLITS = {"population": "none", "validation": 0.3}
SMALL = {"people": 4, "genes": 2, "pairs": 6}
OPTIONS = {"epochs": 2, "people": 6, "pairs": 6, "rate": 1e-3}


@pytest.fixture(scope="module")
def cohort():
    return hf.example_cohort()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = reduced_networks.demo_enformer(tmp_path_factory.mktemp("network"))
    return Run(id="toy", label="toy", model="demo-enformer", weights=folder, tracks=["a"])


def train(
    cohort, strategy, run, results, name=None, splits=SPLITS, as_published=False, **options
) -> ft.FineTuned:
    return ft.fine_tune(
        cohort,
        strategy,
        run,
        results=results,
        name=name,
        options=OPTIONS | options,
        splits=splits,
        as_published=as_published,
        device="cpu",
        say=lambda text: None,
    )


def weights(done: ft.FineTuned) -> dict[str, torch.Tensor]:
    return read_tensors(done.folder / ft.TENSORS)


def equal(first, second) -> bool:
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


@pytest.fixture(scope="module")
def paired(cohort, run, tmp_path_factory) -> ft.FineTuned:
    return train(cohort, "pair_regression", run, tmp_path_factory.mktemp("results"))


def test_a_trained_network_is_a_run_like_any_other(cohort, paired):
    model = hf.load_model("fine-tuned", paired.folder)
    found = predict_cohort(cohort, model)
    prepared = ft.prepare(cohort, "sagenet", options=OPTIONS, splits=SPLITS)
    scores = ft.score(prepared, found.people)
    both = paired.scores.merge(scores, on=["gene_id", "group"], validate="one_to_one")
    assert len(both) == len(paired.scores) == 9
    np.testing.assert_allclose(both["r_x"], both["r_y"], atol=1e-4)
    assert model.region_of("GENE0001") == "train"
    assert model.region_of("GENE0004") == "test"


def test_intervals_of_the_summary_are_the_block_bootstrap(paired):
    rows = paired.scores[paired.scores["group"] == "unseen people"]
    found = paired.summary.set_index("group").loc["unseen people"]
    low, high = stats.block_bootstrap(rows["r"].to_numpy(), rows["gene_id"].to_numpy())
    assert found[["ci_low", "ci_high"]].tolist() == [low, high]


def test_only_people_who_were_held_out_count(cohort, paired):
    found = predict_cohort(cohort, hf.load_model("fine-tuned", paired.folder))
    tables = hf.evaluate(cohort, [found], draws=100)
    across = tables["across"].query("population == 'pooled' and run_id == 'fine-tuned'")
    unseen = paired.scores.query("group in ('unseen people', 'unseen genes')")
    both = across.merge(unseen, on="gene_id", validate="one_to_one")
    assert len(both) == 6 and list(both["n_x"]) == list(both["n_y"]) == [4, 4, 4, 20, 20, 20]
    np.testing.assert_allclose(both["pearson"].fillna(0).astype(float), both["r"], atol=1e-4)
    row = tables["runs"].set_index("run_id").loc["fine-tuned"]
    assert row["split"] == paired.config["splits"]["definition"]


def test_values_of_people_who_are_tested_are_never_read(run, paired, tmp_path):
    cohort = hf.example_cohort()
    splits = paired.config["splits"]
    values = cohort.expression.values
    for gene, kind in splits["genes"].items():
        people = splits["people"][kind]
        kept = [*people.get("train", []), *people.get("validation", [])]
        values.loc[gene, [p for p in values if p not in kept]] = 1e30
    poisoned = train(cohort, "pair_regression", run, tmp_path)
    assert equal(weights(poisoned), weights(paired))
    assert not paired.scores.equals(poisoned.scores)


@pytest.fixture(scope="module")
def uncut(cohort, run, tmp_path_factory) -> ft.FineTuned:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loops, "LEG", 2)  # batches between checkpoints, of 4 an epoch
        return train(cohort, "pair_regression", run, tmp_path_factory.mktemp("uncut"), **SMALL)


@pytest.mark.parametrize("after", [1, 6])
def test_a_killed_training_goes_on_to_the_same_bits(
    cohort, run, tmp_path, monkeypatch, uncut, after
):
    monkeypatch.setattr(loops, "LEG", 2)
    steps = []

    def killed(self, item, number):
        steps.append(number)
        if len(steps) > after:
            raise KeyboardInterrupt
        return original(self, item, number)

    original = loops.Loop.training_step
    monkeypatch.setattr(loops.Loop, "training_step", killed)
    with pytest.raises(BaseException):  # noqa: B017
        train(cohort, "pair_regression", run, tmp_path, **SMALL)
    monkeypatch.setattr(loops.Loop, "training_step", original)
    cut = train(cohort, "pair_regression", run, tmp_path, **SMALL)
    assert uncut.config["steps"] == cut.config["steps"] == 8
    assert equal(weights(uncut), weights(cut))
    curves = [trainings._curve(each.folder, "loss") for each in (uncut, cut)]
    assert list(curves[0]["x"]) == [0, 1, 2]  # before training, too
    pd.testing.assert_frame_equal(*(each.reset_index(drop=True) for each in curves))


@pytest.mark.parametrize(
    ("dropout", "batch_norm"), [("none", "frozen"), ("window", "frozen"), ("person", "training")]
)
def test_parts_are_in_the_mode_that_the_recipe_says(cohort, run, dropout, batch_norm):
    options = OPTIONS | {"dropout": dropout, "batch_norm": batch_norm}
    prepared = ft.prepare(cohort, "pair_regression", run, options=options, splits=SPLITS)
    _, loop = ft._loop(prepared, "cpu")
    loop.eval()
    loop.on_train_epoch_start()
    kinds = {"Dropout": dropout != "none", "BatchNorm1d": batch_norm == "training"}
    for kind, trains in kinds.items():
        found = [m.training for m in loop.network.modules() if type(m).__name__ == kind]
        assert len(found) > 4 and set(found) == {trains}, kind


def plainly(loop):
    """A loop whose tower runs for each window of each person, whatever is asked."""
    people = loop.network.people
    loop.network.people = lambda windows, rows, table, *_: people(windows, rows, table, False)
    return loop


def test_the_same_with_a_tower_shared_or_not(cohort, run):
    found = []
    for change in (lambda loop: loop, plainly):
        prepared = ft.prepare(cohort, "variformer", run, options=OPTIONS, splits=SPLITS)
        _, loop = ft._loop(prepared, "cpu")
        loop = change(loop.eval())
        loss, _ = loop.loss_of(next(iter(loop.train_dataloader())))
        loss.backward()
        found.append({n: p.grad for n, p in loop.network.named_parameters() if p.grad is not None})
    assert len(found[0]) > 40
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-3, atol=1e-5)


def test_a_tower_is_shared_after_batch_norm_trained(cohort, run, monkeypatch):
    """Of evaluation the statistics are the training's, so that people can share a tower."""
    laid = []
    original = networks.lay_stretches
    monkeypatch.setattr(
        networks, "lay_stretches", lambda *given: laid.append(1) or original(*given)
    )
    options = OPTIONS | {"batch_norm": "training", "mixing": "published"}
    prepared = ft.prepare(cohort, "pair_regression", run, options=options, splits=SPLITS)
    _, loop = ft._loop(prepared, "cpu")
    batch = next(iter(loop.train_dataloader()))
    with torch.no_grad():
        loop.train().loss_of(batch)  # the batch's own statistics: plain
    assert not laid
    shared = ft.predict(loop)
    assert len(laid) >= len(shared) > 0
    np.testing.assert_allclose(shared, ft.predict(plainly(loop)), rtol=1e-4, atol=1e-5)


def other_data(folder, kind):
    draw = np.random.default_rng(1)
    path = folder / f"{kind}.{'h5' if kind == 'tracks' else 'csv'}"
    if kind == "tracks":
        with h5py.File(path, "w") as file:
            group = file.create_group("human")
            group["sequences"] = draw.choice(np.frombuffer(b"ACGT", np.uint8), (6, 1024))
            group["targets"] = draw.gamma(1, 1, (6, 32, 3)).astype(np.float16)
    else:
        sequence = ["".join(draw.choice(list("ACGT"), 200)) for _ in range(24)]
        frame = pd.DataFrame({"ref_sequence": sequence[:12], "alt_sequence": sequence[12:]})
        for cell in CELLS:
            frame[f"{cell}_normalized_variant_effect"] = draw.normal(size=12)
        frame.assign(split="train").to_csv(path, index=False)
    return str(path)


def study_file(folder, run) -> str:
    """The example cohort as a study file, its network without dropout."""
    config = json.loads((run.weights / "config.json").read_text())
    config["hparams"] |= dict.fromkeys(("dropout_rate", "attn_dropout", "pos_dropout"), 0.0)
    network = folder / "network"
    shutil.copytree(run.weights, network)
    (network / "config.json").write_text(json.dumps(config))
    files = {"reference": "reference.fa", "variants": "variants.vcf.gz", "genes": "genes.csv",
             "expression": "expression.csv", "samples": "samples.csv"}  # fmt: skip
    study = {
        "name": "example",
        "title": "Example",
        "reality": dict.fromkeys(("genotypes", "expression", "weights"), "simulated"),
        "cohort": {role: str(EXAMPLE / name) for role, name in files.items()},
        "runs": [run.model_dump(mode="json") | {"weights": str(network)}],
    }
    (folder / "example.yaml").write_text(yaml.safe_dump(study))
    return str(folder / "example.yaml")


def test_two_processes_train_as_one(run, tmp_path):
    file, results = study_file(tmp_path, run), tmp_path / "r"
    options = {"people": 5, "epochs": 2, "rate": 0.001, "accumulate": 1}
    splits = {"population": "none", "test": 0.3, "validation": 0.3}
    words = ["finetune", "--study", file, "--strategy", "variformer", "--name", "of2"]
    words += [w for k, v in options.items() for w in ("--set", f"{k}={v}")]
    words += [w for k, v in splits.items() for w in ("--split", f"{k}={v}")]
    command = [sys.executable, "-m", "howfar", "--results", str(results), *words]
    done = subprocess.run(
        [*command, "--devices", "2", "--device", "cpu"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    cohort = hf.open_cohort(hf.load_study(file))
    one = train(cohort, "variformer", None, results, "of1", splits, **options)
    found = [one, ft.load(results / "example" / "finetune" / "of2")]
    first, second = map(weights, found)
    assert found[0].config["steps"] == found[1].config["steps"] > 4
    for name, tensor in first.items():
        assert (tensor - second[name]).norm() <= 1e-4 * tensor.norm(), name


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_trains_and_is_served(cohort, run, tmp_path, strategy, paired):
    more = {"epochs": 1, "context": 1000} if strategy == "sagenet" else {"epochs": 1}
    if strategy in ("joint_tracks", "heads_realigned", "joint_mpra"):
        more["data"] = other_data(tmp_path, "mpra" if "mpra" in strategy else "tracks")
    if strategy == "heads_realigned":
        run = Run(id="t", label="t", model="fine-tuned", weights=paired.folder)
    known = strategy == "pair_regression"
    done = paired if known else train(cohort, strategy, run, tmp_path, **more)
    assert done.config["steps"] > 0
    model = hf.load_model("fine-tuned", done.folder)
    people = predict_cohort(cohort, model, ["demo0002"]).people
    assert people.notna().all(axis=None) and people.nunique(axis=1).min() > 1
    assert set(done.scores["group"]) == {"seen people", "unseen people", "unseen genes"}
    if strategy == "heads_realigned":
        assert all("heads.human" in name for name in weights(done))
        tracks = hf.load_model("fine-tuned", done.folder, output="network")
        assert list(tracks.tracks["description"]) == ["a", "b", "c"]


def test_sagenet_starts_from_the_trunk_of_a_reference_model(cohort, run, tmp_path, paired):
    small = {"context": 1000, "epochs": 1}
    first = train(cohort, "sagenet", run, tmp_path, "r", input="reference", **small)
    assert first.scores.empty and first.config["steps"] > 0
    people = predict_cohort(cohort, hf.load_model("fine-tuned", first.folder)).people
    assert (people.nunique(axis=1) == 1).all() and len(set(people.iloc[:, 0])) > 1
    small["start"] = str(first.folder)
    prepared = ft.prepare(cohort, "sagenet", None, None, OPTIONS | small, SPLITS)
    (built, _), kept = ft._loop(prepared, "cpu"), weights(first)
    trunk = [n for n in kept if n.startswith(("net.conv0.", "net.convlayers."))]
    now = built.network.state_dict()
    assert len(trunk) > 10 and all(torch.equal(now[n], kept[n]) for n in trunk)
    assert not torch.equal(now["net.fc0.0.weight"], kept["net.fc0.0.weight"])
    done = train(cohort, "sagenet", run, tmp_path, "p", **small)
    shutil.rmtree(first.folder)
    served = predict_cohort(cohort, hf.load_model("fine-tuned", done.folder), ["demo0002"]).people
    assert served.nunique(axis=1).min() > 1


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"seed": 2}, "who is tested here"),
        ({"unseen": "chr1"}, "which is unseen here"),
        ({}, "context 1000"),
    ],
)
def test_a_start_that_knows_what_is_held_out_is_refused(tmp_path, cohort, splits, words):
    made = ft.prepare(cohort, "sagenet", None, None, {"input": "reference"}, SPLITS)
    recipe = vars(made.recipe) | {"context": 1000}
    config = {
        "recipe": recipe,
        "splits": {"people": made.splits.people, "genes": made.splits.genes},
    }
    ft.sealed.write_json(tmp_path / ft.CONFIG, config)
    none = pyarrow.table({"gene_id": pyarrow.array([], "string")})
    ft.tables.write_arrow(tmp_path / ft.SCORES, none, {})
    context = 2000 if words.startswith("context") else 1000
    options = {"start": str(tmp_path), "context": context}
    with pytest.raises(HowfarError, match=words):
        ft.prepare(cohort, "sagenet", None, None, options, SPLITS | splits)


def test_a_network_whose_own_heads_alone_trained_gives_its_tracks(cohort, run, tmp_path):
    data = other_data(tmp_path, "tracks")
    done = train(cohort, "heads_realigned", run, tmp_path, epochs=1, data=data)
    assert done.scores.empty and done.summary.empty
    model = hf.load_model("fine-tuned", done.folder)
    assert list(model.tracks["description"]) == ["a", "b", "c"]
    before = hf.load_model("demo-enformer", run.weights)
    found = [predict_cohort(cohort, m, ["demo0002"], tracks=["a"]).people for m in (before, model)]
    assert not np.allclose(*found)


@pytest.mark.parametrize(
    ("part", "changes", "size"),
    [
        ("head", lambda n: n.startswith("head."), 4),
        ("tower", lambda n: "transformer" not in n, None),
        ("lora(2)", lambda n: "lora_" in n or n.startswith("head."), 20),
    ],
)
def test_only_what_trains_changes_and_is_kept(cohort, run, tmp_path, part, changes, size):
    done = train(cohort, "pair_regression", run, tmp_path, train=part, epochs=1)
    kept = weights(done)
    assert all(map(changes, kept)) and (size is None or len(kept) == size)
    checkpoint = torch.load(done.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert {n.removeprefix("network.") for n in checkpoint["state_dict"]} == set(kept)
    model = hf.load_model("fine-tuned", done.folder)
    found = predict_cohort(cohort, model).people
    unseen = done.scores[done.scores["group"] == "unseen genes"].set_index("gene_id")
    y = cohort.expression.values.loc[unseen.index, cohort.samples]
    r = found.loc[unseen.index].corrwith(y, axis=1).fillna(0.0)
    np.testing.assert_allclose(r, unseen["r"], atol=1e-3)


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("no_such", {}, "no_such"),
        ("single", {"rates": 1.0}, "rates"),
        ("single", {"rate": "fast"}, "fast"),
        ("single", {"train": "lora"}, "lora"),
        ("sagenet", {"train": "transformer"}, "without a part 'transformer'"),
        ("sagenet", {"start": "nowhere"}, "no finished training of sagenet"),
        ("single", {"input": "reference"}, "strategy sagenet"),
        ("joint_mpra", {}, "no file of mpra"),
        ("pair_regression", {"maf": 0.1}, "alleles: all"),
    ],
)
def test_what_means_nothing_is_refused(cohort, run, tmp_path, strategy, options, words):
    with pytest.raises(HowfarError, match=words):
        train(cohort, strategy, run, tmp_path, **options)


def test_the_published_recipe_trains_batch_norm_and_accumulates_64_pairs(cohort, run, tmp_path):
    done = train(
        cohort, "pair_regression", run, tmp_path, as_published=True, pairs=22, people=2, epochs=1
    )
    recipe = done.config["recipe"]
    assert (recipe["batch_norm"], recipe["mixing"], recipe["accumulate"]) == (
        "training",
        "published",
        64,
    )
    assert done.config["steps"] == 2  # of 66 pairs: 64 and the rest
    moved = [t for n, t in weights(done).items() if n.endswith("num_batches_tracked")]
    assert moved and all(t == 66 for t in moved)


@pytest.mark.parametrize("model", ["helpers.own_network:load", "borzoi"])
def test_other_networks_train_too(cohort, tmp_path, model):
    given = {"id": "x", "label": "x", "model": model, "tracks": [0]}
    if model == "borzoi":
        pytest.importorskip("borzoi_pytorch")
        folder = tmp_path / "borzoi"
        folder.mkdir()
        given |= {"weights": reduced_networks.borzoi(folder), "options": {"context": 1024}}
    run = Run.model_validate(given)
    prepared = ft.prepare(cohort, "pair_classification", run, options=SMALL, splits=SPLITS)
    _, loop = ft._loop(prepared, "cpu")
    loss, _ = loop.loss_of(next(iter(loop.train_dataloader())))
    loss.backward()
    changed = {n for n, p in loop.network.named_parameters() if p.grad is not None}
    assert changed == set(loop.changed) and len(changed) > 3
    if model != "borzoi":
        done = train(cohort, "pair_regression", run, tmp_path, epochs=1, pairs=3)
        served = predict_cohort(cohort, hf.load_model("fine-tuned", done.folder))
        assert served.people.nunique(axis=1).max() > 1


def test_a_network_without_embeddings_is_refused(cohort, tmp_path):
    control = Run(id="gc", label="gc", model="gc-content")
    with pytest.raises(HowfarError, match="without embeddings"):
        train(cohort, "single", control, tmp_path)


def test_another_training_of_the_same_name_is_refused(cohort, run, paired):
    with pytest.raises(HowfarError, match="other options"):
        train(cohort, "pair_regression", run, paired.folder.parents[2], epochs=3)


def test_rare_bases_are_replaced_in_windows_as_in_one_hots():
    draw, letters = np.random.default_rng(1), np.frombuffer(b"ACGTN", np.uint8)
    windows = letters[draw.choice(5, (8, 60), p=[0.5, 0.2, 0.1, 0.1, 0.1])]
    index = draw.integers(0, 8, (9, 2))
    made = object.__new__(training_data.TrainingData)
    made.recipe = type("Recipe", (), {"maf": 0.2})
    made._rows = {("g", "train"): np.arange(6)}
    found = made._without_rare("g", windows, index)
    one_hot = (windows[..., None] == letters[:4]).astype(np.float32)
    expected = rare.without_rare(
        one_hot[index], ["g"] * 9, one_hot[index[:6]], ["g"] * 6, threshold=0.2
    )
    seen = (found[..., None] == letters[:4]).astype(np.float32)
    assert np.array_equal(seen[index], expected)
    assert not np.array_equal(found, windows)


def test_mixed_windows_are_the_mean_of_both_one_hots():
    from howfar.models.base import encoding_table

    table, letters = encoding_table(), np.frombuffer(b"ACGT", np.uint8)
    first, second = (each.ravel()[None] for each in np.meshgrid(letters, letters))
    mean = (table[first] + table[second]) / 2
    assert np.array_equal(table[training_data.mixed(first, second)], mean)


def test_values_do_not_change_without_a_new_version(paired):
    found = {n: t.double().numpy().ravel()[:3] for n, t in sorted(weights(paired).items())[::9]}
    found = {n: v.round(4) for n, v in found.items()} | {"r": paired.scores["r"].round(3)}
    golden.check(TESTS / "training" / "golden.csv", training.VERSION, found)
