"""What we keep carries its checksum: a flipped bit is found, or changes nothing that is read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import howfar
from howfar.core import sealed
from howfar.core.errors import HowfarError
from howfar.results import tables
from howfar.results.cache import Key, Units

FRAME = pd.DataFrame({"gene_id": [f"g{i}" for i in range(40)], "value": np.arange(40) / 7})
KEY = Key("predict", {"reference": "0" * 64}, {"study": "tiny"}, {"bins": "centre3"}, {"genome": 1})


def parquet(folder):
    import pyarrow as arrow

    path = folder / "a.parquet"
    block = tables.provenance_metadata({"seed": 3})
    sealed.write_parquet(path, arrow.Table.from_pandas(FRAME, preserve_index=False), block)
    return path, lambda: (sealed.read_own_parquet(path).to_dict(), tables.read_provenance(path))


def result_table(folder):
    rows = FRAME.assign(feature="h2", source="x", se=None)
    path = tables.write(folder / "f.parquet", "features", rows, {"seed": 3})
    return path, lambda: tables.read(path, "features").to_json()


def unit(folder):
    units = Units.open(folder, "run", KEY)
    units.write("g", {"values": FRAME["value"].to_numpy()}, {"n": 2}, region="test")
    path = units.folder / "g.npz"

    def read():
        found = units.read("g")
        return found.arrays["values"].tolist(), found.counts, found.notes

    return path, read


def key(folder):
    units = Units.open(folder, "run", KEY)
    return units.folder / "key.json", lambda: units.key


def weights(folder):
    import torch
    from safetensors.torch import save_file

    from howfar.models.weights.checkpoint import read_tensors

    path = folder / "w.safetensors"
    save_file({"a": torch.arange(30.0)}, path, {sealed.KEY: sealed.BLANK})
    sealed.seal(path)
    return path, lambda: {name: t.tolist() for name, t in read_tensors(path).items()}


def checkpoint(folder):
    import torch

    path = folder / "c.pt"
    torch.save({"a": torch.arange(30.0)}, path)
    sealed.seal_archive(path)

    def read():
        sealed.require(path)
        return torch.load(path, weights_only=True)["a"].tolist()

    return path, read


@pytest.mark.parametrize("make", [parquet, result_table, unit, key, weights, checkpoint])
def test_each_of_sixty_flipped_bits_is_found_or_harmless(tmp_path, make):
    path, read = make(tmp_path)
    whole, right = path.read_bytes(), read()
    rng = np.random.default_rng(1)
    found = 0
    mark = whole.rindex(sealed._MARK.encode())  # each of its bits, as without it a file is older
    bits = [*rng.choice(8 * len(whole), 60, replace=False), *range(8 * mark, 8 * (mark + 14), 3)]
    for bit in bits:
        data = bytearray(whole)
        data[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(data)
        sealed._check.cache_clear()  # a clock of few ticks can't tell these writes apart
        try:
            assert read() == right, f"bit {bit}"
        except HowfarError as error:
            assert path.name in error.where
            found += 1
    assert found > len(bits) - 10  # the rest lie where an archive holds what nobody reads


def test_a_file_without_a_seal_is_read_as_it_is(tmp_path):
    FRAME.to_parquet(tmp_path / "theirs.parquet")
    assert sealed.read_parquet(tmp_path / "theirs.parquet").equals(FRAME)
    (tmp_path / "empty").touch()
    sealed.check(tmp_path / "empty")
    with pytest.raises(HowfarError, match="no such file"):
        sealed.read_parquet(tmp_path / "gone.parquet")


@pytest.mark.parametrize("make", [parquet, result_table, unit, key, checkpoint])
def test_a_file_from_before_seals_is_named_as_older(tmp_path, make):
    path, _ = make(tmp_path)
    path.write_bytes(path.read_bytes().replace(sealed._MARK.encode(), b"no-mark-at-all"))
    with pytest.raises(sealed.Older, match="of an older version of howfar"):
        sealed.require(path)
    sealed.check(path)  # as it may be the user's
    assert not sealed.is_sealed(path)


def test_the_pages_of_others_are_compared_with_their_own_checksums(tmp_path):
    path = tmp_path / "theirs.parquet"
    plain = {"compression": None, "use_dictionary": False, "write_page_checksum": True}
    FRAME.to_parquet(path, **plain)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"g17", b"g71", 1))
    with pytest.raises(HowfarError, match="a damaged file"):
        sealed.read_parquet(path)


def test_no_module_writes_such_files_by_another_way():
    other = re.compile(
        r"\b(to_parquet|read_parquet|write_table|np\.savez?|torch\.save)\(|json\.dump\("
    )
    root = Path(howfar.__file__).parent
    #: Writers whose file is sealed in the next line, oracles of the bench, and the user's own.
    known = {"core/sealed.py", "results/cache.py", "simulate/training.py", "bench/oracles.py"}
    known |= {"training/loop.py", "board/archive.py"}  # the latter: bytes inside a sealed bundle
    found = {
        f"{path.relative_to(root)}: {line.strip()}"
        for path in root.rglob("*.py")
        if str(path.relative_to(root)) not in known
        for line in path.read_text().splitlines()
        if other.search(line) and "sealed." not in line and "writer.write_table" not in line
    }
    assert not found
