"""A policy out of a checkpoint, on the CPU and without Ray running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule

from training.errors import SavannaError, UsageError

MODULES = "learner_group/learner/rl_module"
MODULE = f"{MODULES}/default_policy"
"""Where an RLlib checkpoint keeps the networks, and the one of a single agent."""


@dataclass(frozen=True)
class Policy:
    """Acts on batches of observations; discrete actions, unless it is an agent of a `Team`."""

    module: Any  # a TorchRLModule

    @property
    def continuous(self) -> bool:
        """Whether what `logits` gives are the actions themselves."""
        return bool(getattr(self.module, "continuous", False))

    def logits(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Observations `[B, ...]` -> unnormalised log-probabilities `[B, actions]`."""
        with torch.inference_mode():
            output = self.module.forward_inference({Columns.OBS: torch.from_numpy(observations)})
        logits: NDArray[np.float32] = output[Columns.ACTION_DIST_INPUTS].float().numpy()
        return logits

    def act(
        self, observations: NDArray[Any], rng: np.random.Generator | None = None
    ) -> NDArray[np.int64]:
        """Observations `[B, ...]` -> actions `[B]`: the most probable, or drawn with `rng`."""
        logits = self.logits(observations)
        if rng is not None:
            return np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
        return np.argmax(logits, axis=1)


def load_policy(checkpoint: Path, module_id: str = "default_policy") -> Policy:
    """The policy of a checkpoint folder, or one of several.

    RLlib stores weights as NumPy arrays, so where they were trained does not matter.

    Raises:
        UsageError: there is no such folder.
        SavannaError: the folder is damaged.
    """
    if not checkpoint.is_dir():
        raise UsageError(f"no checkpoint at {checkpoint}")
    try:
        module = RLModule.from_checkpoint(str((checkpoint / MODULES / module_id).resolve()))
    except Exception as error:  # unpickling a damaged file may raise anything
        raise SavannaError(
            f"checkpoint {checkpoint} is damaged or incomplete ({type(error).__name__}: {error})"
        ) from error
    module.to("cpu")
    module.eval()
    return Policy(module)
