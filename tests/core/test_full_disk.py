"""A disk that fills up: a small tmpfs in a mount namespace of its own, made larger afterwards."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from inputs.cohort import Files, write_base
from inputs.running import PARTS, command_line

SIZE = 1 << 20  # bytes of the disk
_SCRIPT = """
set -u
mount -t tmpfs -o size={size} tmpfs {disk} || exit 70
head -c {filled} /dev/zero > {disk}/filler || exit 71
{command} > {base}/first.out 2> {base}/first.err; echo $? > {base}/first.status
find {disk} -not -name filler -type f -printf '%P %T@\\n' > {base}/first.left
mount -o remount,size=64m {disk} || exit 72
{command} > {base}/second.out 2> {base}/second.err; echo $? > {base}/second.status
find {disk} -not -name filler -type f -printf '%P %T@\\n' > {base}/second.left
rm {disk}/filler; cp -r {disk} {base}/after
"""


@pytest.fixture(scope="module")
def namespace():
    """Skips where the kernel gives no mount namespace to this user."""
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no program `unshare`")
    if done.returncode:
        pytest.skip(f"no tmpfs of one's own: {done.stderr.strip()}")


def _sequences(files: Files) -> list[list[str]]:
    words = files.sequences("--context", "3000")[0]
    return [[w.replace("--checksums", "--out").replace("windows.csv", "disk/windows.fa.gz")
             for w in words]]  # fmt: skip


def _checksums(files: Files) -> list[list[str]]:
    return [[w.replace("windows.csv", "disk/windows.csv") for w in files.sequences()[0]]]


def _predict(files: Files) -> list[list[str]]:
    return [[w.replace("predictions.csv", "disk/p.csv") for w in files.predict()[0]]]


def _baseline(files: Files) -> list[list[str]]:
    study = ["--study", str(files.folder / "study.yaml")]
    return [["baseline", *study, "--models", "top1", "--folds", "2"]]


#: Commands, bytes left on the disk, the file that is written when it is full, and the results.
CASES = {
    "windows as FASTA": (_sequences, 4 << 10, "windows.fa.gz", ["windows.fa.gz"]),
    "windows as checksums": (_checksums, 0, "windows.csv", ["windows.csv"]),
    "predictions": (_predict, 12 << 10, "ENSG00000000002.1", ["p.csv"]),
    "linear models": (_baseline, 12 << 10, "ENSG00000000002.1",
                      ["r/tiny/baseline/top1.parquet", "r/tiny/baseline/top1.weights.parquet"]),
}  # fmt: skip


def _run(folder: Path, words: list[str], left: int) -> None:
    """Run the words twice, with `left` bytes on the disk and with much more."""
    command = [sys.executable, "-m", "howfar", "--results", str(folder / "disk" / "r"), *words]
    places = {"disk": shlex.quote(str(folder / "disk")), "base": shlex.quote(str(folder))}
    script = _SCRIPT.format(size=SIZE, filled=SIZE - left, command=shlex.join(command), **places)
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr)


def _lines(path: Path) -> set[str]:
    return set(path.read_text().splitlines())


def _same(one: Path, other: Path) -> bool:
    """Whether two results are equal, but for the time at which a table was made."""
    if one.suffix == ".parquet":
        return pd.read_parquet(one).equals(pd.read_parquet(other))
    return one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_a_full_disk_ends_in_one_message_and_the_work_goes_on(case, namespace, tmp_path):
    commands, left, written, results = CASES[case]
    write_base(tmp_path)
    (tmp_path / "disk").mkdir()
    (words,) = commands(Files(tmp_path))
    _run(tmp_path, words, left)
    assert (tmp_path / "first.status").read_text() == "2\n"
    text = (tmp_path / "first.err").read_text()
    parts = PARTS.fullmatch(text[text.index("howfar: ") :].strip())
    assert parts["where"].startswith(str(tmp_path / "disk")) and written in parts["where"]
    assert "no space" in parts["found"] and "Make room" in parts["do"]
    kept = _lines(tmp_path / "first.left")
    assert any("ENSG00000000001.4" in line for line in kept) == written.startswith("ENSG")
    assert not [line for line in kept if re.search(rf"\.part[/ ]|{re.escape(written)}", line)]

    assert (tmp_path / "second.status").read_text() == "0\n", (tmp_path / "second.err").read_text()
    assert kept <= _lines(tmp_path / "second.left")  # finished parts were not made again
    status, _, said = command_line(["--results", str(tmp_path / "disk" / "r"), *words])
    assert status == 0, said  # the same on the disk below, which has room
    assert all(_same(tmp_path / "after" / name, tmp_path / "disk" / name) for name in results)
