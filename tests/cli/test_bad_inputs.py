"""Bad input given to the program as a user starts it, on real files where they are here.

`test_inputs` runs the whole catalogue through the command line in this process; here a few go
through a process of their own.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.places import REGION
from inputs.cohort import Files, write_base
from inputs.page import catalogue
from inputs.running import PARTS, command_line

FEW = ["a key misspelt", "a disk that fills up, writing predictions"]


def howfar(*words, room: int | None = None) -> subprocess.CompletedProcess:
    """The real program; room: bytes that a file may have, as on a full disk."""

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    command = [sys.executable, "-m", "howfar", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=limited if room else None
    )


def here(*words) -> subprocess.CompletedProcess:
    """The same in this process, without warnings."""
    return subprocess.CompletedProcess(words, *command_line([str(word) for word in words]))


def judge(done: subprocess.CompletedProcess) -> dict[str, str]:
    """The message's four parts; exit status 2, and nothing else on standard error."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    match = PARTS.fullmatch(done.stderr.strip())
    assert match, done.stderr
    return match.groupdict()


@pytest.mark.parametrize("title", FEW)
def test_a_process_of_its_own_ends_in_one_message(title, tmp_path):
    given = next(g for g in catalogue() if g.title == title)
    write_base(tmp_path)
    files = Files(tmp_path)
    commands = given.prepare(files)
    done = howfar("--results", tmp_path / "results", *commands[-1], room=files.room)
    assert all(judge(done).values())
    assert not list(tmp_path.rglob("*.part*")) and not (tmp_path / "predictions.csv").exists()


def test_a_warning_is_one_line(tmp_path):
    write_base(tmp_path)
    (tmp_path / "variants.vcf.gz.tbi").unlink()
    done = howfar("--results", tmp_path / "results", *Files(tmp_path).sequences()[0])
    (line,) = done.stderr.splitlines()
    index = "variants.vcf.gz: the index is not there; one was made at"
    assert line.startswith(f"howfar: warning: {tmp_path}/{index}") and done.returncode == 0


@pytest.fixture
def region(tmp_path) -> dict[str, Path]:
    """A copy of the real megabase, to be damaged."""
    if not REGION.is_dir():
        pytest.skip("the real megabase is not beside this checkout")
    names = {
        "--reference": "chr20_1Mb.fa",
        "--variants": "chr20_1Mb.vcf.gz",
        "--genes": "genes.csv",
    }
    for name in [*names.values(), "chr20_1Mb.vcf.gz.csi"]:
        shutil.copyfile(REGION / name, tmp_path / name)
    return {flag: tmp_path / name for flag, name in names.items()}


def sequences(files: dict[str, Path], *more) -> subprocess.CompletedProcess:
    folder = files["--genes"].parent
    words = [word for pair in files.items() for word in pair]
    done = here(
        "--results",
        folder / "results",
        "sequences",
        *words,
        "--context",
        501,
        "--checksums",
        folder / "windows.csv",
        *more,
    )
    assert not (folder / "windows.csv").exists() or done.returncode == 0
    return done


def test_the_real_files_work_as_they_are(region):
    done = sequences(region, "--samples", "EUR000")
    assert done.returncode == 0 and "22 haplotype windows" in done.stdout


def test_real_variants_with_a_damaged_block(region):
    data = bytearray(region["--variants"].read_bytes())
    data[len(data) // 2] ^= 0xFF
    region["--variants"].write_bytes(bytes(data))
    parts = judge(sequences(region))
    assert "chr20_1Mb.vcf.gz" in parts["where"] and "broken block" in parts["found"]


def test_real_variants_on_a_reference_moved_by_one_base(region):
    lines = region["--reference"].read_text().splitlines()
    bases = "".join(lines[1:])
    moved = bases[1:] + "N"
    width = len(lines[1])
    rows = [moved[i : i + width] for i in range(0, len(moved), width)]
    region["--reference"].write_text("\n".join([lines[0], *rows]) + "\n")
    parts = judge(sequences(region))
    assert "REF differs" in parts["found"] and "max_ref_mismatch" in parts["expected"]


def test_real_genes_of_the_whole_chromosome(region):
    text = region["--genes"].read_text()
    region["--genes"].write_text(text.replace(",93906,", ",1093906,"))
    parts = judge(sequences(region))
    assert "1,093,906" in parts["found"] and "genome build" in parts["do"]


def test_a_real_person_that_is_not_in_the_file(region):
    parts = judge(sequences(region, "--samples", "EUR000,SOMEBODY"))
    assert "1 are not in the file" in parts["found"] and "SOMEBODY" not in str(parts)
