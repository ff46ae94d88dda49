"""Every name of a registry leads to an object, has a line of help, and stands once."""

import pkgutil

import pytest

import howfar
from howfar import figures
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


@pytest.mark.parametrize(
    ("package", "names"),
    [(howfar, howfar._PLACES), (figures, registry.FIGURES)],
    ids=["hf", "figures"],
)
def test_a_name_imported_on_first_use_is_no_module_of_its_package(package, names):
    # Importing the module would put it where the function is looked for.
    assert not {module.name for module in pkgutil.iter_modules(package.__path__)} & set(names)
