"""Files of weights: found, read safely, and put into a network or refused."""

import json

import pytest
import requests
import torch
from safetensors.torch import save_file

from howfar.core.errors import HowfarError
from howfar.models.weights.checkpoint import assemble, load_tensors, read_config, read_tensors
from howfar.models.weights.locating import TENSORS, locate


def _locate(model, weights, pretrained, source=""):
    return locate(model, weights, source, TENSORS, pretrained)


class Net(torch.nn.Module):
    """Two layers, of which the first has two names, as Enformer's stem has."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Linear(2, width), torch.nn.BatchNorm1d(width)
        self.both = torch.nn.Sequential(self.first, self.norm)


@pytest.fixture
def state():
    torch.manual_seed(1)
    made = Net().state_dict()
    return {n: torch.randn_like(t) if t.is_floating_point() else t for n, t in made.items()}


@pytest.fixture
def tensors(state):
    """The tensors under one name each; the counter of the normalisation left out."""
    return {n: t for n, t in state.items() if n.startswith("both") and "num_batches" not in n}


def test_every_name_of_a_tensor_will_do(tensors, tmp_path):
    renamed = {
        n.replace("both.0", "first").replace("both.1", "norm"): t for n, t in tensors.items()
    }
    for given in (tensors, renamed, tensors | {n: t.clone() for n, t in renamed.items()}):
        save_file(given, tmp_path / "weights.safetensors")
        network = assemble(Net, tmp_path / "weights.safetensors").eval()
        assert torch.equal(network.first.weight, tensors["both.0.weight"])
        assert torch.equal(network.norm.running_var, tensors["both.1.running_var"])
        assert network.both[0] is network.first


def test_tensors_of_lower_precision_are_widened(tensors, tmp_path):
    halves = {n: t.half() for n, t in tensors.items()}
    network = Net()
    load_tensors(network, halves, tmp_path / "x.bin")
    assert network.first.weight.dtype == torch.float32
    assert torch.equal(network.first.weight, halves["both.0.weight"].float())


def test_what_does_not_fit_is_named(tensors, tmp_path):
    file = tmp_path / "x.bin"
    two = tensors | {"first.bias": tensors["both.0.bias"] + 1}
    lacking = {n: t for n, t in tensors.items() if n != "both.0.weight"}
    for message, given, width in [
        (
            r"x\.bin: found 6 tensors that.*both\.0\.weight is of shape \(3, 2\); .*\(4, 2\)",
            tensors,
            4,
        ),
        (
            r"1 tensors.*first\.weight is absent; expected first\.weight of shape \(3, 2\)",
            lacking,
            3,
        ),
        (r"extra is of shape \(1,\); expected extra absent", tensors | {"extra": torch.ones(1)}, 3),
        (r"first\.bias is two different copies", two, 3),
        (r"both\.1\.bias is not finite", tensors | {"both.1.bias": torch.ones(3) / 0}, 3),
        (r"6 tensors.*of torch\.int32", {n: t.int() for n, t in tensors.items()}, 3),
        (r"of torch\.complex64", {n: t.to(torch.complex64) for n, t in tensors.items()}, 3),
        (r"torch\.sparse_coo", {n: t.to_sparse() for n, t in tensors.items()}, 3),
        (r"on meta", {n: t.to("meta") for n, t in tensors.items()}, 3),
    ]:
        with pytest.raises(HowfarError, match=message):
            load_tensors(Net(width), given, file)
    load_tensors(Net(), tensors | {"norm.num_batches_tracked": torch.tensor(7)}, file)


def test_the_content_tells_the_format_and_not_the_name(tensors, tmp_path):
    save_file(tensors, tmp_path / "a.pt")
    torch.save(tensors, tmp_path / "b.safetensors")
    for name in ("a.pt", "b.safetensors"):
        assert read_tensors(tmp_path / name).keys() == tensors.keys()
    (tmp_path / "c.pt").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 99)
    with pytest.raises(HowfarError, match=r"c\.pt: .*\(HDF5, as Keras writes it\)"):
        read_tensors(tmp_path / "c.pt")


def test_files_that_cannot_be_read_are_named(tensors, tmp_path):
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "b.bin")
    for name in ("a.safetensors", "b.bin"):
        whole = (tmp_path / name).read_bytes()
        assert read_tensors(tmp_path / name).keys() == tensors.keys()
        for length in (0, 5, len(whole) // 2, len(whole) - 1):
            (tmp_path / f"cut_{name}").write_bytes(whole[:length])
            with pytest.raises(HowfarError, match=f"cut_{name}: found a file that can't be read"):
                read_tensors(tmp_path / f"cut_{name}")
    changed = bytearray((tmp_path / "b.bin").read_bytes())
    changed[changed.index(tensors["both.0.bias"].numpy().tobytes())] ^= 1
    (tmp_path / "changed.bin").write_bytes(changed)
    torch.load(tmp_path / "changed.bin", weights_only=True)  # PyTorch sees nothing
    with pytest.raises(HowfarError, match="changed.bin: found other bytes than were written"):
        read_tensors(tmp_path / "changed.bin")
    torch.save([1], tmp_path / "list.bin")
    with pytest.raises(HowfarError, match="something else than named tensors"):
        read_tensors(tmp_path / "list.bin")


def test_weights_are_found_where_they_are(tmp_path, results_folder):
    fetched = results_folder / "sources" / "m"
    for folder, name in ((fetched, "pytorch_model.bin"), (tmp_path / "x", "model.safetensors")):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(b"")
    assert _locate("m", None, None, "m/config.json") == fetched / "pytorch_model.bin"
    file = tmp_path / "x" / "model.safetensors"
    assert _locate("m", tmp_path / "x", None) == _locate("m", file, None) == file
    for message, call in {
        "model m: found no weights.*Set `weights`": lambda: _locate("m", None, None),
        "sources/n: found no weights.*`howfar fetch n`": lambda: _locate(
            "n", None, None, "n/x.bin"
        ),
        "found both": lambda: _locate("m", file, "a/b"),
        "'no name/at all/'.*no weights": lambda: _locate("m", None, "no name/at all/"),
    }.items():
        with pytest.raises(HowfarError, match=message):
            call()


def test_the_users_cache_is_asked_before_the_network(tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    asked = []

    def download(repository, file, local_files_only):
        asked.append((file, local_files_only))
        if local_files_only and not cached:
            raise LocalEntryNotFoundError("not cached")
        if file == "model.safetensors":
            raise EntryNotFoundError("no such file", response=requests.Response())
        return tmp_path / repository / file

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    cached = True
    assert _locate("m", None, "a/b") == tmp_path / "a/b" / "pytorch_model.bin"
    assert all(local for _, local in asked)
    asked.clear()
    cached = False
    assert _locate("m", None, "a/b") == tmp_path / "a/b" / "pytorch_model.bin"
    assert [local for _, local in asked] == [True, False, False, False]


def test_the_config_beside_the_tensors_is_checked(tmp_path):
    file = tmp_path / "model.safetensors"
    assert read_config(file, "net") == {}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "net", "dim": 3}))
    assert read_config(file, "net")["dim"] == 3
    for text, message in {
        '{"model_type": "other"}': "the model type 'other'; expected 'net'",
        "[1]": "no readable JSON object",
        "{": "no readable JSON object",
    }.items():
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(HowfarError, match=message):
            read_config(file, "net")


def test_sizes_of_no_network_are_named(tmp_path):
    with pytest.raises(HowfarError, match=r"config\.json: found sizes of no network"):
        assemble(lambda: Net("wide"), tmp_path / "x.bin")
