"""The user's own environments: `module:Class`, or `module:Id-v0` that `module` registers.

Every process imports the module by its name, so none of it is pickled. Ray's workers find it
because Ray passes them the driver's working folder (or the job's working directory).
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from savanna.envs.host import hosting, told
from savanna.errors import UsageError

if TYPE_CHECKING:
    import gymnasium as gym

_NAME = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
_REGISTERED = re.compile(r"^([A-Za-z_][\w.]*):([\w./-]+-v\d+)$")
CONFIG = ("config", "env_config")
"""The only parameter of a constructor as RLlib wants it: it takes all settings as a dictionary."""


def is_custom(env: str) -> bool:
    """Whether `env` is written `module:Class`; `module:Id-v0` is Gymnasium's own notation."""
    return bool(_NAME.match(env))


def registering_module(env: str) -> tuple[str, str]:
    """`module:Id-v0` -> the module that registers the environment, and its id; `""` if none."""
    match = _REGISTERED.match(env)
    return (match[1], match[2]) if match else ("", env)


def import_module(module_name: str, what: str) -> ModuleType:
    """The module that `what` is in: the environment or the experiment as the user names it.

    Raises `UsageError`: no such module (names the folder searched), or the import fails.
    """
    with working_folder_importable():
        importlib.invalidate_caches()
        try:
            with hosting(f"import {module_name}"):
                return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise _import_failed(what, module_name, error) from error
            raise UsageError(
                f"no module {error.name!r} ({what}) in {Path.cwd()} or on "
                f"PYTHONPATH.{_module_hint(error.name)} Run savanna in its folder."
            ) from error
        except Exception as error:  # whatever the user's file raises
            raise _import_failed(what, module_name, error) from error


def find_constructor(env: str) -> Callable[..., Any]:
    """What `module:Class` names: a class, or a function that creates environments.

    Raises:
        UsageError: the module cannot be imported, has no such attribute, or it cannot be called.
    """
    module_name, _, attribute = env.partition(":")
    module = import_module(module_name, f"environment {env!r}")
    if not hasattr(module, attribute):
        public = [name for name, value in vars(module).items() if callable(value)]
        raise UsageError(f"{module_name!r} has no {attribute!r}.{hint(attribute, public)}")
    constructor: Any = getattr(module, attribute)
    if not callable(constructor):
        raise UsageError(
            f"{env} cannot be called (its type is {type(constructor).__name__}); name a class, "
            "or a function that returns an environment."
        )
    found: Callable[..., Any] = constructor
    return found


def construct(
    env: str, constructor: Callable[..., Any], keywords: Mapping[str, Any]
) -> gym.Env[Any, Any]:
    """Call `constructor(**keywords)`; `UsageError` in one line if it fails."""
    import gymnasium as gym

    for keyword in keywords:
        if problem := unknown_keyword(constructor, keyword):
            raise UsageError(f"env_config.{keyword}: {env} has no such keyword.{problem}")
    given = ", ".join(f"{k}={v!r}" for k, v in keywords.items())
    with working_folder_importable():
        try:
            with hosting("creating it"):
                made = constructor(**keywords)
        except Exception as error:  # whatever the user's constructor raises
            raise UsageError(f"creating {env} with ({given}) failed: {told(error)}") from error
    if not isinstance(made, gym.Env):
        raise UsageError(
            f"{env} returns a {type(made).__module__}.{type(made).__qualname__}, "
            "not a gymnasium.Env."
        )
    return made


class RLlibConfig(dict[str, Any]):
    """All settings, for constructors as RLlib wants them. Outside of env runners, the numbers by
    which they tell copies apart are 0."""

    worker_index = vector_index = num_workers = 0
    remote = recreated_worker = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        return settings if hasattr(settings, "worker_index") else cls(settings)


def rllib_config(constructor: Callable[..., Any]) -> str | None:
    """The name of the parameter that takes all settings, if it is written as for RLlib."""
    parameters = _parameters(constructor) or {}
    names = [name for name in parameters if name != "render_mode"]
    return names[0] if len(names) == 1 and names[0] in CONFIG else None


def unknown_keyword(constructor: Callable[..., Any], keyword: str) -> str | None:
    """A hint if `constructor` does not accept `keyword`; `None` if it does."""
    parameters = _parameters(constructor)
    if parameters is None or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [name for name, p in parameters.items() if p.kind in kinds]
    return None if keyword in known else hint(keyword, known) or " It has none."


def _parameters(constructor: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    try:
        return inspect.signature(constructor).parameters
    except (TypeError, ValueError):  # compiled code may not have one
        return None


@contextlib.contextmanager
def working_folder_importable() -> Iterator[None]:
    """Put the working folder first in `sys.path`, as `python file.py` does, within the block."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _import_failed(what: str, module: str, error: Exception) -> UsageError:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        where = ""  # its text has it
    return UsageError(f"importing {module!r} for {what} failed: {told(error)}{where}")


def _module_hint(name: str) -> str:
    here = [p.stem for p in Path.cwd().glob("*.py")]
    close = difflib.get_close_matches(name, here, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def hint(name: str, known: list[str]) -> str:
    """The nearest of `known`, or all of them, as the end of an error line."""
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Available: {', '.join(known)}." if known else ""
