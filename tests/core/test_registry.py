"""Every name of a registry leads to an object, has a line of help, and stands once."""

import pytest

from howfar.core import registry
from howfar.core.errors import HowfarError
from howfar.core.registry import Registry

REGISTRIES = [value for value in vars(registry).values() if isinstance(value, Registry)]


@pytest.mark.parametrize("each", REGISTRIES, ids=lambda each: each.kind)
def test_each_entry_loads_and_has_one_line_of_help(each):
    assert len(each) > 0
    for entry in each.values():
        assert callable(entry.load())
        assert entry.help and "\n" not in entry.help


def test_an_unknown_name_is_an_error_that_lists_the_others():
    with pytest.raises(HowfarError, match=r"name of a recipe: found 'tmp'; expected one of gtex"):
        registry.RECIPES.load("tmp")


def test_a_name_stands_once():
    with pytest.raises(ValueError, match="registered twice"):
        Registry("dog", ("a", "x", "core.errors:no_room"), ("a", "y", "core.errors:no_room"))
