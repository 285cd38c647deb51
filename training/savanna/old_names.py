"""Checkpoints from when this package was called `training`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

_OLD, _NEW = "training", "savanna"


@contextlib.contextmanager
def old_names() -> Iterator[None]:
    """Within the block, pickles find `training.x` in `savanna.x`, despite any other `training`."""
    theirs = _taken_out()
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _taken_out()
        sys.modules.update(theirs)


def _taken_out() -> dict[str, ModuleType]:
    """Remove the imported modules of that name from `sys.modules` and return them."""
    names = [name for name in list(sys.modules) if name == _OLD or name.startswith(f"{_OLD}.")]
    return {name: sys.modules.pop(name) for name in names}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _OLD and not fullname.startswith(f"{_OLD}."):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(_NEW + spec.name.removeprefix(_OLD))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: Any) -> None:
        """Already imported; only restores the module's own spec."""
        module.__spec__ = module.__spec__.loader_state
