"""Models of a user's own: what they say of themselves, and their values, are checked."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.tiny import BIN, CONTEXT, CountLetters
from howfar.core.errors import HowfarError
from howfar.core.provenance import sha256_of
from howfar.models.registry import Layout, load_model, version_of
from howfar.models.zoo.user_model import OwnModel, load_own
from howfar.prediction import run as run_

WINDOWS = np.random.default_rng(0).choice(np.frombuffer(b"ACGT", np.uint8), (5, CONTEXT))
BINS, TRACKS = [1, 2, 3], [0, 1]
OWN = """
from helpers.tiny import CountLetters
VALUE = 3
def load(weights, device, **options): return CountLetters()
def narrow(weights, device): return CountLetters()
def failing(weights, device, **options): return {}[weights]
def leaving(weights, device, **options): raise SystemExit(0)
def forgetful(weights, device, **options): CountLetters()
def another(weights, device, **options): return [CountLetters]
def careful(weights, device, **options): open("/nowhere/w.pt")
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text(OWN)
    (tmp_path / "broken_model.py").write_text("def load(:\n")
    (tmp_path / "ending_model.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_model_is_loaded_by_its_path(modules):
    model = load_model("own_model:load", None, "cpu", batch_size=4)
    own = CountLetters()
    assert (model.name, model.layout, model.tss_bin("-")) == (own.name, own.layout, 4)
    assert model.track_indices(["C"]) == [1]
    values = model.predict(WINDOWS, BINS, TRACKS)
    assert values.dtype == np.float32 and (values == own.predict(WINDOWS, BINS, TRACKS)).all()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("own_model:lod", "has no attribute 'lod'"),
        ("own_modl:load", "No module named 'own_modl'"),
        ("own_model:", "has no attribute ''"),
        ("own_model:VALUE", "VALUE, a int, which can't be called"),
        ("broken_model:load", "SyntaxError"),
        ("ending_model:load", r"SystemExit at .*ending_model.py, line 2"),
        ("own_model:narrow", "unexpected keyword argument 'batch_size'.*batch_size, "),
        ("own_model:failing", r"KeyError at .*own_model.py, line 6"),
        ("own_model:leaving", r"SystemExit at .*own_model.py, line 7"),
        ("own_model:forgetful", "a loader that returns nothing"),
        ("own_model:another", "a loader that returns list"),
    ],
)
def test_a_loader_that_gives_no_model_is_named(modules, path, found):
    with pytest.raises(HowfarError, match=found):
        load_model(path, None, "cpu", batch_size=4)


def test_a_file_that_the_loader_lacks_stays_its_own_error(modules):
    with pytest.raises(FileNotFoundError):
        load_model("own_model:careful", None, "cpu", batch_size=4)


def tracks(index=(0, 1), **columns) -> pd.DataFrame:
    return pd.DataFrame(columns or {"description": ["G", "C"]}, index=list(index))


@pytest.mark.parametrize(
    ("attribute", "value", "found"),
    [
        ("name", None, "`name`: nothing"),
        ("units", "", "`units`: nothing"),
        ("weights_sha256", None, "`weights_sha256`: nothing"),
        ("device", torch.device("cpu"), "`device`: a device"),
        ("layout", (64, 8, 8), "`layout`: a tuple"),
        ("windows_at_once", 0, "`windows_at_once`: 0"),
        ("layout", Layout(64, 8, 0), "n_bins=0"),
        ("layout", Layout(64.0, 8, 8), "context=64.0"),
        ("layout", Layout(65, 8, 8, 2), "whose last bin ends at base 66"),
        ("tracks", ["G", "C"], "`tracks`: a list"),
        ("tracks", tracks(name=["G", "C"]), "2 rows with the columns name"),
        ("tracks", tracks((0, 0)), "2 rows"),
        ("tracks", tracks("ab"), "2 rows"),
        ("tracks", tracks((), description=[]), "0 rows"),
        ("tss_index", lambda model, strand: CONTEXT, rf"tss_index\('\+'\) of {CONTEXT}"),
    ],
)
def test_what_a_model_does_not_say_is_named(modules, monkeypatch, attribute, value, found):
    monkeypatch.setattr(CountLetters, attribute, value)
    with pytest.raises(HowfarError, match=f"model 'own_model:load': found .*{found}"):
        load_model("own_model:load", None, "cpu")


def test_a_model_that_lacks_an_attribute_is_named(modules, monkeypatch):
    monkeypatch.delattr(CountLetters, "units")
    with pytest.raises(HowfarError, match="`units`: nothing; expected a str"):
        load_model("own_model:load", None, "cpu")


def own(change, model=None) -> OwnModel:
    """A model whose values `change` changes."""
    model = model or CountLetters()
    original = model.predict
    model.predict = lambda windows, bins, tracks: change(original(windows, bins, tracks))
    return OwnModel("m:load", model)


@pytest.mark.parametrize(
    "change",
    [
        np.ndarray.tolist,
        lambda v: v.astype(np.float64),
        lambda v: v.astype(int),
        torch.tensor,
        lambda v: torch.tensor(v, requires_grad=True),
        lambda v: torch.tensor(v).bfloat16(),
        lambda v: torch.tensor(v).int(),
    ],
)
def test_values_of_any_kind_become_float32(change):
    values = own(change).predict(WINDOWS, BINS, TRACKS)
    assert values.dtype == np.float32
    assert (values == CountLetters().predict(WINDOWS, BINS, TRACKS)).all()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda v: v.swapaxes(1, 2), r"shape \(5, 2, 3\)"),
        (lambda v: v[:, 0], r"shape \(5, 2\)"),
        (lambda v: v[:-1], r"shape \(4, 3, 2\)"),
        (lambda v: None, r"shape \(\), object"),
        (lambda v: v > 0, "bool"),
        (lambda v: v.astype(complex), "complex128"),
        (lambda v: v.astype(str), "<U"),
        (lambda v: [[1], [1, 2]], "ValueError at .*user_model.py"),
        (lambda v: v / np.zeros(7), "ValueError at .*test_user_model.py"),
        (lambda v: v + np.random.default_rng().random(v.shape), "values that change by up to"),
        (lambda v: v - v.mean(axis=0), "values that change by up to"),
    ],
)
def test_values_that_are_not_what_was_asked_for_are_refused(change, found):
    with pytest.raises(HowfarError, match=f"model 'm:load': found .*{found}"):
        own(change).predict(WINDOWS, BINS, TRACKS)


def test_values_of_all_bins_where_some_were_asked_for_are_refused():
    model = CountLetters()
    model.predict = lambda windows, bins, tracks: CountLetters().predict(
        windows, range(CONTEXT // BIN), tracks
    )
    with pytest.raises(HowfarError, match=r"shape \(5, 8, 2\).*expected shape \(5, 3, 2\)"):
        OwnModel("m:load", model).predict(WINDOWS, BINS, TRACKS)


class Dropout(CountLetters):
    """A network that was left as it was trained."""

    def __init__(self, training: bool) -> None:
        self._network = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.Dropout(0.1))
        self._network.train(training)

    def predict(self, windows, bins, tracks):
        x = torch.tensor(super().predict(windows, bins, TRACKS))
        return self._network(x)[..., list(tracks)]


def test_dropout_that_is_left_on_is_told():
    torch.manual_seed(1)
    with pytest.raises(HowfarError, match=r"values that change .*`\.eval\(\)`"):
        OwnModel("m:load", Dropout(True)).predict(WINDOWS, BINS, TRACKS)
    assert OwnModel("m:load", Dropout(False)).predict(WINDOWS, BINS, TRACKS).any()


def test_one_window_is_predicted_twice_and_only_the_first_time():
    model = CountLetters()
    held = OwnModel("m:load", model)
    for seen in (6, 11):
        held.predict(WINDOWS, BINS, TRACKS)
        assert model.seen == seen


def test_other_weights_are_another_checksum_whatever_the_model_says(modules, tmp_path):
    file = tmp_path / "w.pt"
    sums = [load_own("own_model:load", None, "cpu", {}).weights_sha256]
    for content in (b"one", b"two"):
        file.write_bytes(content)
        sums.append(load_own("own_model:load", file, "cpu", {}).weights_sha256)
        sums.append(load_own("own_model:load", file.parent, "cpu", {}).weights_sha256)
    assert len(set(sums)) == 5 and sums[0] == CountLetters.weights_sha256


def test_weights_that_change_between_resumes_begin_another_store(
    study, results_folder, modules, tmp_path
):
    file = tmp_path / "w.pt"
    run = study.runs[0].model_copy(update={"model": "own_model:load", "weights": file})
    paths = []
    for content in (b"one", b"one", b"two"):
        file.write_bytes(content)
        store = run_.predict(study, run, results_folder).store
        paths.append(store.path)
    assert paths[0] == paths[1] != paths[2]


NETWORK = """
from helpers.tiny import CountLetters
class Network(CountLetters): pass
"""


def test_an_edited_model_has_another_version(modules, monkeypatch):
    """Its loader's module, and the one that its class is from, decide it; no weights are read."""
    (modules / "own_network.py").write_text(NETWORK)
    lines = "from own_network import Network\ndef load(weights, device): return Network()\n"
    (modules / "own_loader.py").write_text(lines)
    version = version_of("own_loader:load")
    for name in ("own_loader", "own_network"):
        assert version[name] == sha256_of(modules / f"{name}.py")
    assert load_model("own_loader:load", None, "cpu").version == version
    (modules / "own_network.py").write_text(NETWORK + "    # edited\n")
    monkeypatch.delitem(sys.modules, "own_loader")
    monkeypatch.delitem(sys.modules, "own_network")
    edited = version_of("own_loader:load")
    assert {name for name in version if edited[name] != version[name]} == {"own_network"}


def test_looking_for_what_a_model_imports_imports_nothing(modules, monkeypatch):
    package = modules / "own_heavy"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    (package / "deep.py").write_text("SCALE = 2\n")
    late = "\n\ndef late():\n    from own_heavy.deep import SCALE\n"
    (modules / "own_lazy.py").write_text(OWN + late)
    assert {"own_lazy", "own_heavy.deep"} <= version_of("own_lazy:load").keys()


def test_what_a_model_imports_beside_it_decides_its_version(modules, monkeypatch):
    package = modules / "own_parts"
    package.mkdir()
    (package / "__init__.py").write_text("from own_parts.deep import SCALE\n")
    (package / "deep.py").write_text("SCALE = 2\n")
    text = OWN + "\n\ndef late():\n    import numpy, own_late\n\nimport own_parts\n"
    (modules / "own_whole.py").write_text(text)
    (modules / "own_late.py").write_text("")
    before = version_of("own_whole:load")
    parts = {"own_whole", "own_parts", "own_parts.deep", "own_late"}
    assert before.keys() == parts | {"helpers.tiny"}  # a class that it imports
    (package / "deep.py").write_text("SCALE = 3\n")
    after = version_of("own_whole:load")
    assert {name for name in before if before[name] != after[name]} == {"own_parts.deep"}


def test_a_model_on_our_engine_has_its_version_too(modules):
    (modules / "own_xpresso.py").write_text(
        "from howfar.models.zoo.xpresso import XpressoModel\n"
        "def load(weights, device, **options): return XpressoModel(weights, device)\n"
    )
    version = version_of("own_xpresso:load")
    assert version == version_of("xpresso") | {"own_xpresso": version["own_xpresso"]}
    assert len(version["own_xpresso"]) == 64
