"""Programs that the chain calls: bcftools, PLINK 2, Picard, SHAPEIT4, Beagle, Eagle."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from howfar.core.errors import HowfarError

#: Program to Debian's package, or where else it comes from.
PACKAGES = {
    "bcftools": "bcftools",
    "plink2": "plink2",
    "samtools": "samtools",
    "PicardCommandLine": "picard-tools",
    "shapeit4": "shapeit4",
    "beagle": "beagle",
    "eagle": "",
}


def require(*programs: str) -> None:
    """Raise HowfarError, naming the package to install, for the first program that isn't here."""
    for program in programs:
        if shutil.which(program) is None:
            package = PACKAGES[program]
            raise HowfarError(
                f"the program {program}",
                found="none in PATH",
                expected=f"{program}, which this step runs",
                do=f"Install it (Debian and Ubuntu: `apt install {package}`; conda has it too)."
                if package
                else "Put Eagle 2 into PATH as `eagle`, or choose another phaser.",
            )


def run(*words: str | Path, before: str | None = None) -> str:
    """Run a program and return what it printed; HowfarError with its last lines where it fails.

    before: text for its standard input.
    """
    require(str(words[0]))
    done = subprocess.run(
        [str(word) for word in words], input=before, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise _failed([words], done.returncode, done.stderr or done.stdout)
    return done.stdout


def tally(*words: str | Path) -> Counter[str]:
    """Count the different lines that a program prints, however many there are."""
    require(str(words[0]))
    with tempfile.TemporaryFile("w+") as log:
        command = [str(word) for word in words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        counts = Counter(line.rstrip("\n") for line in process.stdout)
        if status := process.wait():
            log.seek(0)
            raise _failed([words], status, log.read())
    return counts


def pipe(*commands: Sequence[str | Path]) -> str:
    """Run programs, each reading what the one before writes; return all that they reported.

    Raises HowfarError where one of them fails: a shell would tell of the last alone.
    """
    require(*{str(command[0]) for command in commands})
    running: list[subprocess.Popen[bytes]] = []
    said: list[str] = []
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands]
        for command, log in zip(commands, logs, strict=True):
            source = running[-1].stdout if running else None
            out = subprocess.DEVNULL if len(running) == len(commands) - 1 else subprocess.PIPE
            words = [str(word) for word in command]
            running.append(subprocess.Popen(words, stdin=source, stdout=out, stderr=log))
            if source is not None:
                source.close()  # so that the one before ends when this one does
        for process, log in zip(running, logs, strict=True):
            process.wait()
            log.seek(0)
            said.append(log.read().decode(errors="replace"))
    for process, text in zip(reversed(running), reversed(said), strict=True):
        if process.returncode:
            raise _failed(commands, process.returncode, text)
    return "".join(said)


def _failed(commands: Sequence[Sequence[str | Path]], status: int, said: str) -> HowfarError:
    lines = [line.split("\r")[-1].strip() for line in said.strip().splitlines()]
    names = " | ".join(" ".join(map(str, command[:3])) for command in commands)
    return HowfarError(
        names,
        found=f"exit status {status}: {' / '.join(lines[-3:])[:400]}",
        expected="exit status 0",
        do="Correct what the program names; steps that are finished are kept.",
    )
