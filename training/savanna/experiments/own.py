"""The user's own experiments: `my_file.py`, `my_file.py:NAME` or `module:NAME`.

Every process imports the module by its name, as it does environments (`savanna.envs.custom`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from savanna.envs.custom import hint, import_module
from savanna.errors import UsageError
from savanna.experiments.base import Experiment

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_own(reference: str | None) -> bool:
    """Whether `reference` names an experiment of the user's own, and not one of ours."""
    return reference is not None and (":" in reference or reference.endswith(".py"))


def module_of(reference: str) -> str:
    """The name of the module that `reference` is in; `UsageError` if it cannot be one."""
    where = _parts(reference)[0]
    if not where.endswith(".py"):
        if not _MODULE.fullmatch(where):
            raise UsageError(f"the experiment {reference}: {where!r} is not the name of a module.")
        return where
    path = Path(os.path.relpath(Path(where).expanduser()))
    if ".." in path.parts:
        raise UsageError(
            f"the experiment {reference} is outside this folder, so other processes cannot import "
            f"it. Run savanna in the folder of {path.name}."
        )
    module = ".".join(path.with_suffix("").parts)
    if not path.is_file():
        raise UsageError(
            f"no file {path} in {Path.cwd()}.{hint(path.name, _files_in(path.parent))}"
        )
    if not _MODULE.fullmatch(module):
        raise UsageError(
            f"{path} cannot be imported: name it and its folders with letters, digits and _ only."
        )
    return module


def find_own(reference: str, ours: Mapping[str, Experiment]) -> Experiment:
    """The experiment that `reference` names; it cannot have the name of one of `ours`.

    Raises `UsageError`: no such file or module, the import fails, there is no experiment or more
    than one, or it cannot be used.
    """
    name, module = module_of(reference), _imported(reference)
    attribute = _parts(reference)[1]
    there = {k: v for k, v in vars(module).items() if isinstance(v, Experiment) and not v.source}
    here = {k: v for k, v in there.items() if ours.get(v.name) is not v}  # those are imported
    if not attribute:
        if not here:
            raise UsageError(
                f"{reference} has no Experiment: make one with "
                "`NAME = savanna.experiments.Experiment(...)`, as docs/own-experiments.md shows."
            )
        if len({id(v) for v in here.values()}) > 1:
            one = " or ".join(f"{name}:{k}" for k in here)
            raise UsageError(f"{reference} has several experiments. Name one of them: {one}.")
        attribute = next(iter(here))
    if attribute not in vars(module):
        raise UsageError(f"{name!r} has no {attribute!r}.{hint(attribute, list(here))}")
    found = vars(module)[attribute]
    if not isinstance(found, Experiment):
        raise UsageError(
            f"{name}:{attribute} is not an Experiment (its type is {type(found).__name__})."
            f"{hint(attribute, list(here))}"
        )
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", found.name):
        raise UsageError(
            f"{name}:{attribute}: its name {found.name!r} cannot be a folder's: use letters, "
            "digits, _ and -."
        )
    if found.name in ours:
        raise UsageError(
            f"{name}:{attribute}: Savanna has an experiment {found.name!r}. Rename it."
        )
    return replace(found, source=f"{name}:{attribute}")


def _parts(reference: str) -> tuple[str, str]:
    where, _, attribute = reference.partition(":")
    return where, attribute


def _imported(reference: str) -> ModuleType:
    name, where = module_of(reference), _parts(reference)[0]
    module = import_module(name, f"the experiment {reference}")
    file = getattr(module, "__file__", None) or ""
    if where.endswith(".py") and not (file and Path(file).samefile(Path(where).expanduser())):
        raise UsageError(f"{where}: the module {name!r} is {file or 'built in'}. Rename the file.")
    return module


def _files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.py")] if folder.is_dir() else []
