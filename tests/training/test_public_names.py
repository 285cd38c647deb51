"""Public names exist whatever was imported before."""

import importlib
import pkgutil
from types import ModuleType


def test_no_module_takes_the_name_of_a_function():
    name = "savanna.evaluation"
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{name}.{module.name}")
    taken = [n for n in package.__all__ if isinstance(getattr(package, n), ModuleType)]
    assert package.__all__ and not taken
