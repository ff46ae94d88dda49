"""The project's promises about itself: packages, environment files, commands."""

import re
import tomllib

import pytest
import yaml

from howfar.core.project import project_root

ROOT = project_root()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GIVEN = ["jupyter-book", "papermill", "torch", "enformer-pytorch", "pyfaidx", "cyvcf2", "pandas",
         "seaborn", "statsmodels"]  # fmt: skip


def names(requirements) -> set[str]:
    return {re.match(r"[A-Za-z0-9._-]+", r)[0].lower().replace("_", "-") for r in requirements}


def source_text() -> str:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    return "\n".join(f.read_text() for f in files)


@pytest.mark.parametrize("package", GIVEN)
def test_each_given_package_is_a_dependency_that_is_used(package):
    assert package in names(PROJECT["dependencies"])
    if package == "jupyter-book":  # a program, not a module
        assert '"jupyter-book"' in (ROOT / "src/howfar/pipeline.py").read_text()
        return
    module = package.replace("-", "_")
    used = re.compile(rf"^\s*(import {module}|from {module}[. ])", re.MULTILINE)
    assert used.search(source_text()), f"{package} is never imported"


def test_every_dependency_is_locked():
    locked = names((ROOT / "requirements.lock").read_text().split())
    extras = [r for group in PROJECT["optional-dependencies"].values() for r in group]
    # an extra may name the package itself, with other extras
    assert names(PROJECT["dependencies"] + extras) - {"howfar"} <= locked


def test_the_lock_has_exact_versions_and_no_build_of_one_machine():
    lines = (ROOT / "requirements.lock").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)


def test_the_conda_environment_installs_what_pyproject_says():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert "python=3.11" in conda and PROJECT["requires-python"] == ">=3.11"
    # the project itself, so that its dependencies are pyproject's, at the locked versions
    assert "--editable .[test]" in pip and "--constraint requirements.lock" in pip


def test_the_command_is_installed():
    assert PROJECT["scripts"] == {"howfar": "howfar.cli:main"}
