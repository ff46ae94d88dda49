"""Training data in files: people's HDF5, Basenji2's records, the portal's tables."""

from __future__ import annotations

import shutil
import struct
import zlib

import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.linear_cohort import NAMES, small_study
from howfar.cli import app
from howfar.cohort.opened import OpenCohort
from howfar.core.errors import HowfarError
from howfar.genome.reference import Reference
from howfar.training import mpra, samplers, targets, tracks, training_set
from howfar.training.records import masked_crc, read_records

SIZE = 100


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    study, _, _ = small_study(tmp_path_factory.mktemp("set"))
    return OpenCohort(study)


# --- people --------------------------------------------------------------------------------------


def test_people_are_written_in_the_published_layout_and_read(cohort, tmp_path):
    genes = [cohort.gene(name) for name in ("alone", "near")]
    rows = training_set.write_people(cohort, tmp_path / "a.h5", genes, NAMES[:3], SIZE)
    values = cohort.expression.values.loc[["alone", "near"]]
    with h5py.File(tmp_path / "a.h5") as file:
        kinds = {name: (file[name].dtype, file[name].shape) for name in file}
        assert kinds["seqs"] == (np.float16, (6, 2, SIZE, 4)) and kinds["P"] == (np.float64, (6,))
        assert kinds["Y"][0] == kinds["Z"][0] == np.float32
        assert file["genes"].asstr()[:].tolist() == ["alone"] * 3 + ["near"] * 3
        assert file["samples"].asstr()[:].tolist() == NAMES[:3] * 2
        assert file["ancestries"].asstr()[:].tolist() == ["X", "Y", "X"] * 2
        np.testing.assert_allclose(file["Y"][:], values[NAMES[:3]].to_numpy().ravel(), rtol=1e-6)
        z = targets.z_scores(values.to_numpy())[:, :3]  # over everybody, whoever is written
        np.testing.assert_allclose(file["Z"][:], z.ravel(), rtol=1e-6)
        assert set(np.unique(file["seqs"][:])) == {0, 1}
    found = training_set.read_people(tmp_path / "a.h5")
    built = cohort.windows("near", SIZE)
    seen = list(found.windows())
    assert rows == len(seen) == 6 and found.length == SIZE
    assert np.array_equal(seen[4], built.sequences[built.index[1]])
    middle = list(found.windows(60))
    assert np.array_equal(middle[4], seen[4][:, 20:80])
    assert samplers.rows_of_genes(found.table["gene"])["near"].tolist() == [3, 4, 5]


def test_the_published_files_own_content_is_read(shared, tmp_path):
    data = np.load(shared / "oracles" / "finetuning" / "r_data_seed1.npz")
    with h5py.File(tmp_path / "p.h5", "w") as file:
        for name in ("genes", "samples"):
            file[name] = data[f"in_{name}"].astype("S")
        file["ancestries"] = data["in_samples"].astype("S")
        file["seqs"] = np.eye(5, 4, dtype=np.float16)[data["in_seqs"]]
        for name in "YZP":
            file[name] = data[f"in_{name}"]
    found = training_set.read_people(tmp_path / "p.h5")
    np.testing.assert_array_equal(found.table["Z"], data["in_Z"])
    letters = np.frombuffer(b"ACGTN", np.uint8)[data["in_seqs"]]
    assert np.array_equal(list(found.windows(256)), letters[:, :, 32:288])


def test_another_layout_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["seqs"] = np.zeros((2, 4))
    (tmp_path / "t.h5").write_text("no HDF5")
    for name in ("x.h5", "t.h5"):
        with pytest.raises(HowfarError, match="seqs"):
            training_set.read_people(tmp_path / name)


def test_people_who_are_not_there_are_refused(cohort, tmp_path):
    with pytest.raises(HowfarError, match="1 names that the cohort lacks"):
        training_set.write_people(cohort, tmp_path / "a.h5", [], ["P1", "nobody"], SIZE)
    assert not (tmp_path / "a.h5").exists()


# --- records -------------------------------------------------------------------------------------


def field(number: int, value: bytes) -> bytes:
    size, n = b"", len(value)
    while True:
        size += bytes([n & 0x7F | (0x80 if n > 0x7F else 0)])
        n >>= 7
        if not n:
            return bytes([number << 3 | 2]) + size + value


def record(**values: bytes) -> bytes:
    """A record of a tf.train.Example of lists of bytes, as the format's description has it."""
    entries = b"".join(
        field(1, field(1, name.encode()) + field(2, field(1, field(1, value))))
        for name, value in values.items()
    )
    data = field(1, entries)
    length = struct.pack("<Q", len(data))
    sums = [struct.pack("<I", masked_crc(part)) for part in (length, data)]
    return length + sums[0] + data + sums[1]


def test_checksums_are_those_of_the_format():
    crc = 0xE3069283  # CRC-32C of "123456789", RFC 3720's check value
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("pack", [bytes, zlib.compress])
def test_records_are_read(tmp_path, pack):
    values = [{"sequence": bytes(300), "target": b"ab"}, {"sequence": b"", "target": b"\x08\x01"}]
    (tmp_path / "r.tfr").write_bytes(pack(b"".join(record(**v) for v in values)))
    assert list(read_records(tmp_path / "r.tfr")) == values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b[:-6], "the end of the file"),
        (lambda b: b[:4] + b"\x01" + b[5:], "a length whose checksum"),
        (lambda b: zlib.compress(b)[:30] + b"\x00" * 30, "damaged zlib data"),
        (lambda b: b[:5], "a length whose checksum"),
    ],
)
def test_damaged_records_are_refused(tmp_path, change, words):
    (tmp_path / "r.tfr").write_bytes(change(record(sequence=bytes(range(256)) * 4)))
    with pytest.raises(HowfarError, match=words):
        list(read_records(tmp_path / "r.tfr"))


@pytest.fixture
def data_set(shared, tmp_path):
    """The oracle's genome, and its windows as records in two files, each of 32 bins' targets."""
    oracles = shared / "oracles" / "finetuning"
    data = np.load(oracles / "r_windows_seed1.npz")
    shutil.copy(oracles / "r_windows_genome_seed1.fa", tmp_path / "genome.fa")
    one_hot = np.eye(5, 4, dtype=np.uint8)[data["expanded_index"][:, 16:-16]]
    values = [np.full((tracks.BINS, 2), k, "<f2") for k in range(len(one_hot))]
    made = [
        record(sequence=s.tobytes(), target=t.tobytes())
        for s, t in zip(one_hot, values, strict=True)
    ]
    (tmp_path / "train-0-2.tfr").write_bytes(zlib.compress(b"".join(made[:2])))
    (tmp_path / "train-0-10.tfr").write_bytes(zlib.compress(b"".join(made[2:])))
    places = zip(data["chrom"], data["start"], data["end"], strict=True)
    lines = [f"{c}\t{s}\t{e}\ttrain\n" for c, s, e in places]
    (tmp_path / "sequences.bed").write_text("chr1\t0\t64\tvalid\n" + "".join(lines))
    return tmp_path, np.frombuffer(b"ACGTN", np.uint8)[data["expanded_index"]]


def test_expanded_records_are_the_authors(data_set):
    folder, expected = data_set
    places = tracks.read_places(folder / "sequences.bed", "train")
    files = tracks.in_order(folder, "train")
    assert [f.name for f in files] == ["train-0-2.tfr", "train-0-10.tfr"]
    with Reference(folder / "genome.fa") as reference:
        counts = tracks.write_tracks(
            folder / "t.h5", {"human": (files, places, reference)}, extra=16
        )
        with pytest.raises(HowfarError, match="as many as the split has lines"):
            list(tracks.expanded_records(files, places[:-1], reference, 16))
        with pytest.raises(HowfarError, match="as many as the split has lines"):
            list(tracks.expanded_records(files[:1], places, reference, 16))
    assert counts == {"human": len(expected)}
    with h5py.File(folder / "t.h5") as file:
        assert np.array_equal(file["human/sequences"][:], expected)
        assert file["human/targets"][:, 0, 1].tolist() == list(range(len(expected)))


def test_a_broken_bed_is_named(tmp_path):
    (tmp_path / "s.bed").write_text("chr1\t0\t64\ttrain\nchr1 5 6 train\n")
    with pytest.raises(HowfarError, match="line 2"):
        tracks.read_places(tmp_path / "s.bed", "train")


# --- reporters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_the_portals_files_give_the_authors_table(shared, tmp_path, seed):
    folder = shared / "oracles" / "finetuning" / f"r_mpra_table_seed{seed}"
    done = CliRunner().invoke(
        app.app, ["training-mpra", str(folder), "--out", str(tmp_path / "t.csv")]
    )
    assert done.exit_code == 0
    expected = pd.read_csv(folder / "expected.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), expected, rtol=1e-8)


def test_a_missing_file_of_the_portal_is_named(shared, tmp_path):
    folder = tmp_path / "mpra"
    shutil.copytree(shared / "oracles" / "finetuning" / "r_mpra_table_seed1", folder)
    (folder / "V10.tsv").unlink()
    with pytest.raises(HowfarError, match="V10"):
        mpra.from_portal(folder)
    cells = pd.read_csv(folder / "files.csv").query("cell != 'A549'")
    cells.to_csv(folder / "files.csv", index=False)
    with pytest.raises(HowfarError, match="no experiment of A549|V10"):
        mpra.from_portal(folder)


def test_the_commands_say_how_large_it_is_and_write(data_set, tmp_path, monkeypatch):
    from helpers.linear_cohort import small_study

    folder = tmp_path / "cohort"
    folder.mkdir()
    study, _, _ = small_study(folder)
    (folder / "s.yaml").write_text(study.model_dump_json(exclude_defaults=True, by_alias=True))
    words = ["training-set", "--study", str(folder / "s.yaml"), "--out", str(tmp_path / "p.h5")]
    words += ["--context", "100", "--gene", "near"]
    done = CliRunner().invoke(app.app, [*words, "--dry-run"])
    assert done.exit_code == 0 and "1 genes x 40 people" in done.output.replace("gene x", "genes x")
    assert not (tmp_path / "p.h5").exists()
    assert CliRunner().invoke(app.app, words).exit_code == 0
    assert len(training_set.read_people(tmp_path / "p.h5").table) == 40
    monkeypatch.setattr(tracks.expanded, "__defaults__", (16,))
    monkeypatch.setattr(tracks.expanded_records, "__defaults__", (16,))
    monkeypatch.setattr(tracks.write_tracks, "__defaults__", (16,))
    words = ["training-tracks", "--records", str(tmp_path), "--out", str(tmp_path / "t.h5")]
    words += ["--bed", str(tmp_path / "sequences.bed"), "--reference", str(tmp_path / "genome.fa")]
    done = CliRunner().invoke(app.app, words)
    assert done.exit_code == 0 and (tmp_path / "t.h5").is_file()
