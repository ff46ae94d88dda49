"""The project's promises about itself: packages, environment files, commands."""

import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import requires

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from howfar.core.project import project_root

ROOT = project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
GIVEN = ["jupyter-book", "papermill", "torch", "enformer-pytorch", "pyfaidx", "cyvcf2", "pandas",
         "seaborn", "statsmodels"]  # fmt: skip
# Modules of the extras, which the package must be imported without.
OPTIONAL = ["torch", "enformer_pytorch", "h5py", "huggingface_hub", "safetensors", "xxhash",
            "borzoi_pytorch", "msprime", "jupyter_book", "papermill", "ipykernel", "snakemake",
            "pgenlib", "xgboost"]  # fmt: skip
DEVICE = re.compile(r"(cuda|nvidia)-|triton$")  # what torch needs for a GPU


def expanded(requirements: list[str]) -> list[Requirement]:
    """The requirements, with those of an extra of the project itself in its place."""
    found = []
    for requirement in map(Requirement, requirements):
        if requirement.name == PROJECT["name"]:
            inner = [r for extra in sorted(requirement.extras) for r in EXTRAS[extra]]
            found += expanded(inner)
        else:
            found.append(requirement)
    return found


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(r.name) for r in requirements}


def pins(file: str) -> dict[str, Requirement]:
    """Requirements of a file by name, without hashes; each pins one version."""
    lines = [line.removesuffix("\\") for line in (ROOT / file).read_text().splitlines()]
    found = [Requirement(line) for line in lines if re.match(r"[A-Za-z0-9]", line)]
    assert all(re.fullmatch(r"==[A-Za-z0-9.]+", str(r.specifier)) for r in found)
    assert len(names(found)) == len(found)
    return {canonicalize_name(r.name): r for r in found}


def version(pin: Requirement) -> str:
    return str(pin.specifier).removeprefix("==")


@cache
def source_text() -> str:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    return "\n".join(f.read_text() for f in files)


@pytest.mark.parametrize("package", GIVEN)
def test_each_given_package_is_a_dependency_that_is_used(package):
    assert package in names(expanded([*PROJECT["dependencies"], "howfar[all]"]))
    if package == "jupyter-book":  # a program, not a module
        assert '.with_name("jupyter-book")' in source_text()
        return
    module = package.replace("-", "_")
    used = re.compile(rf"^\s*(import {module}|from {module}[. ])", re.MULTILINE)
    assert used.search(source_text()), f"{package} is never imported"


def test_the_core_needs_no_extra():
    """Every name of `howfar` and the command line are there without the extras' packages."""
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import howfar, howfar.cli
for name in howfar.__all__:
    getattr(howfar, name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_requirement_fits_its_pin(extra):
    pinned = pins("constraints.txt")
    for requirement in expanded([f"howfar[{extra}]"] if extra else PROJECT["dependencies"]):
        assert version(pinned[canonicalize_name(requirement.name)]) in requirement.specifier


def test_all_and_test_hold_every_other_extra():
    others = [f"howfar[{extra}]" for extra in EXTRAS if extra not in ("all", "test")]
    assert names(expanded(["howfar[all]"])) == names(expanded(others))
    assert names(expanded(["howfar[all]"])) < names(expanded(["howfar[test]"]))


def test_every_pin_of_the_lock_has_hashes():
    text = (ROOT / "requirements.lock").read_text()
    sections = re.findall(r"^[a-z0-9].*\n(?:[ #].*\n)*", text, re.MULTILINE)
    assert len(sections) == len(pins("requirements.lock"))
    for section in sections:
        first, *rest = section.replace("\\\n", "\n").splitlines()
        hashes = [line.strip() for line in rest if not line.lstrip().startswith("#")]
        assert hashes, first
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), first


def test_torch_is_pinned_apart_without_a_build_of_one_machine():
    lock, constraints = pins("requirements.lock"), pins("constraints.txt")
    assert "torch" not in lock and "+" not in str(constraints["torch"])
    assert {name: str(pin) for name, pin in constraints.items() if name != "torch"} == {
        name: str(pin) for name, pin in lock.items()
    }
    assert not [name for name in lock if DEVICE.match(name)]
    assert "--hash" not in (ROOT / "constraints.txt").read_text()


def test_the_lock_is_whole_and_holds_nothing_else():
    """It is installed without resolving: what the installed packages need must be pinned."""
    pinned = pins("constraints.txt")
    seen: set[tuple[str, str]] = set()
    waiting = [(r, "") for r in expanded([*PROJECT["dependencies"], "howfar[test]"])]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if DEVICE.match(name):
            continue
        assert name in pinned, requirement
        assert version(pinned[name]) in requirement.specifier, requirement
        for inner in {"", *requirement.extras} - {e for n, e in seen if n == name}:
            seen.add((name, inner))
            waiting += [(Requirement(r), inner) for r in requires(name) or []]
    rest = [pin for name, pin in pinned.items() if (name, "") not in seen]
    elsewhere = [pin for pin in rest if pin.marker and not pin.marker.evaluate()]
    assert rest == elsewhere  # other systems and other versions of Python


def test_no_file_names_where_packages_come_from():
    for file in ["requirements.lock", "constraints.txt", "environment.yml", "Makefile"]:
        assert not re.search(r"https?:|file:|index-url|find-links", (ROOT / file).read_text())


def test_make_setup_installs_by_hash_then_torch_then_the_project():
    recipe = re.search(r"^\$\(STAMP\):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[1]
    steps = [line.split("$(INSTALL) ")[1] for line in recipe.splitlines() if "$(INSTALL)" in line]
    assert steps == [
        "--require-hashes --no-deps --requirement requirements.lock",
        "--constraint constraints.txt torch",
        "--no-deps --no-build-isolation --editable .",
    ]


def test_the_conda_environment_installs_what_pyproject_says():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert "python=3.11" in conda and PROJECT["requires-python"] == ">=3.11"
    # the project itself, so that its dependencies are pyproject's, at the locked versions
    assert "--editable .[test]" in pip and "--constraint constraints.txt" in pip


def test_the_wheel_holds_the_package_and_the_projects_files(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = [
        f
        for f in (ROOT / "src/howfar").rglob("*")
        if f.is_file() and f.parent.name != "__pycache__"
    ]
    package = {str(f.relative_to(ROOT / "src")) for f in files}
    copied = {
        f"howfar/_project/{f.relative_to(ROOT)}"
        for pattern in ("data/studies/*.yaml", "data/*.csv", "notebooks/*.ipynb")
        for f in ROOT.glob(pattern)
    }
    assert package and copied and package | copied <= held


def test_the_command_is_installed():
    assert PROJECT["scripts"] == {"howfar": "howfar.cli:main"}
