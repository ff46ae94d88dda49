"""IUPAC letters as each rule reads them."""

import numpy as np
import pytest

from howfar.core.errors import HowfarError
from howfar.models.base import encoding_table
from howfar.models.engine.iupac import letters_table


def test_only_iupac_letters_differ_between_the_rules():
    tables = {rule: letters_table("m", rule, 0.25) for rule in ("mixture", "zero", "n")}
    assert (tables["mixture"] == encoding_table(0.25)).all()
    assert (tables["mixture"][ord("R")] == [0.5, 0, 0.5, 0]).all()
    beyond = list(b"RYSWKMBDHVryswkmbdhv")
    assert (tables["zero"][beyond] == 0).all() and (tables["n"][beyond] == 0.25).all()
    rest = np.setdiff1d(np.arange(256), beyond)
    for table in tables.values():
        assert (table[rest] == tables["mixture"][rest]).all()
        assert (table[list(b"ACGTacgt")] == np.tile(np.eye(4), (2, 1))).all()


def test_another_rule_is_refused():
    with pytest.raises(HowfarError, match="model m, option iupac: found 'random'"):
        letters_table("m", "random", 0.0)
