"""The public names: all there, whatever was imported before, and loaded only when used."""

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

import surrogate_opt as so


@pytest.mark.parametrize("name", so.__all__)
def test_every_name_is_there_and_no_room_can_take_its_place(name):
    """Importing a room sets it as an attribute of the package, so no room may have a public name."""
    assert callable(getattr(so, name))
    assert name not in {module.name for module in iter_modules(so.__path__)}


def test_names_survive_the_import_of_every_room():
    for module in iter_modules(so.__path__):
        import_module(f"surrogate_opt.{module.name}")
    assert all(not isinstance(getattr(so, name), type(so)) for name in so.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="optimise"):
        so.optimise  # noqa: B018


def test_importing_the_package_does_not_load_torch():
    code = "import surrogate_opt, sys; assert 'torch' not in sys.modules; dir(surrogate_opt)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_penalties_are_a_room_that_is_public_as_a_whole():
    code = "import surrogate_opt as so; so.penalties.DREG; assert 'penalties' in dir(so)"
    subprocess.run([sys.executable, "-c", code], check=True)
