"""A tiny world of the hard setting, simulated once."""

import pytest

from howfar.simulate.hard import world
from howfar.simulate.hard.setting import Setting


@pytest.fixture(scope="package")
def simulate():
    """Write the tiny world into a folder."""

    def write(path):
        setting = Setting(extra=2, free=10)
        world.simulate(path, seed=5, people=40, genes=8, setting=setting)
        return path

    return write


@pytest.fixture(scope="package")
def folder(simulate, tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("hard"))
