"""What the driver lets an env runner do, and how an error there reaches it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import ray.util
from numpy.typing import NDArray

from savanna.errors import GaveUp, MayPass, SavannaError

SAMPLE = "sample"
"""The tag of requests for samples."""


class Failure(NamedTuple):
    """In place of samples: what an environment did wrong. It would do so again: an env runner that
    raises would only be started anew."""

    text: str
    may_pass: bool = True
    """Whether it may not come again, as a NaN would."""

    @property
    def error(self) -> GaveUp:
        return MayPass(self.text) if self.may_pass else GaveUp(self.text)


class NotFinite(SavannaError):
    """The environment number `index` of this env runner gave a NaN or an infinity."""

    def __init__(self, env: str, what: str, value: object, index: int, when: str) -> None:
        node = ray.util.get_node_ip_address()
        super().__init__(
            f"The environment {env} gave {what} of {value} in {when} (environment {index} of the "
            f"env runner with process {os.getpid()} on node {node})."
        )


def sample_fragment(env_runner: Any) -> Any:
    """Its next fragment, or a `Failure`."""
    return guarded(env_runner, env_runner.sample_fragment)


def guarded(env_runner: Any, sample: Callable[[], Any]) -> Any:
    """What `sample` of an env runner returns, or a `Failure` where it raises."""
    try:
        return sample()
    except NotFinite as error:
        return Failure(str(error), may_pass=False)
    except (Exception, SystemExit) as error:
        traceback.print_exc()  # the log is to have all of it
        cause: BaseException = error
        while not str(cause) and cause.__cause__ is not None:  # RLlib wraps in empty ones
            cause = cause.__cause__
        where = f"(process {os.getpid()}) on node {ray.util.get_node_ip_address()}"
        played = f"while it played {env_runner.config.env}"
        text = f"An env runner {where} failed {played}: {type(cause).__name__}: {cause}"
        return Failure(" ".join(text.split())[:2000])


def first_not_finite(values: NDArray[Any]) -> tuple[int, ...] | None:
    """Where the first NaN or infinity is."""
    if values.dtype.kind != "f":
        return None
    finite = np.isfinite(values)
    return None if finite.all() else tuple(int(i) for i in np.argwhere(~finite)[0])


def refuse_not_finite(env: str, what: str, values: NDArray[Any]) -> None:
    """`NotFinite` where one is in the `values` of a fragment, `[T, N, ...]`."""
    where = first_not_finite(values)
    if where is not None:
        step, index = where[:2]
        raise NotFinite(env, what, values[where], index, f"step {step + 1} of a fragment")
