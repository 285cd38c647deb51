"""A policy from a checkpoint, on the CPU and without Ray running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from ray import cloudpickle
from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import QNetAPI
from ray.rllib.core.rl_module.rl_module import RLModule

from savanna.envs.custom import working_folder_importable
from savanna.errors import SavannaError, UsageError
from savanna.old_names import old_names

MODULES = "learner_group/learner/rl_module"
MODULE = f"{MODULES}/default_policy"
"""Where an RLlib checkpoint keeps the networks, and that of a single agent."""


@dataclass(frozen=True)
class Policy:
    """Acts on batches of observations. Continuous actions are in 0..1, as particle worlds need."""

    module: Any  # a TorchRLModule
    noise: float = 0.0
    """Standard deviation of exploration if actors give actions, as a fraction of their range."""

    @property
    def continuous(self) -> bool:
        return isinstance(self.module.action_space, gym.spaces.Box)

    def logits(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Observations `[B, ...]` -> unnormalised log-probabilities `[B, actions]`."""
        logits: NDArray[np.float32] = self._output(observations).numpy()
        return logits

    def act(
        self, observations: NDArray[Any], rng: np.random.Generator | None = None
    ) -> NDArray[Any]:
        """Observations `[B, ...]` -> the best actions, or sampled ones with `rng`.

        Discrete: whole numbers `[B]`; continuous: floats `[B, size]`.
        """
        if self.continuous:
            mean, deviation = mean_and_deviation(self.module, self._output(observations))
            action: NDArray[np.float32] = mean.numpy()
            if rng is not None:
                width = self.noise if deviation is None else deviation.numpy()
                noise = rng.normal(size=action.shape) * width
                action = (action + noise).astype(np.float32)
            return action.clip(0.0, 1.0)
        logits = self.logits(observations)
        if rng is not None and (epsilon := self.module.model_config.get("epsilon")) is not None:
            last = epsilon[-1][1] if isinstance(epsilon, (list, tuple)) else epsilon
            random = rng.integers(0, logits.shape[1], len(logits))  # as DQN explores
            return np.where(rng.random(len(logits)) < last, random, np.argmax(logits, axis=1))
        if rng is not None:
            return np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
        return np.argmax(logits, axis=1)

    def _output(self, observations: NDArray[Any]) -> torch.Tensor:
        with torch.inference_mode():
            return outputs_of(self.module, torch.from_numpy(observations)).float()


def outputs_of(module: Any, observations: Any) -> torch.Tensor:
    """What a network says of its actions: of their distribution, or as DQN's do their values."""
    batch = {Columns.OBS: observations}
    said = module._forward_inference(batch)
    if Columns.ACTION_DIST_INPUTS not in said and isinstance(module, QNetAPI):
        said = {Columns.ACTION_DIST_INPUTS: module.compute_q_values(batch)[QF_PREDS]}
    if Columns.ACTION_DIST_INPUTS not in said:
        raise SavannaError(
            f"the network {type(module).__name__} cannot be played: its _forward_inference has to "
            f"return {Columns.ACTION_DIST_INPUTS!r}"
        )
    outputs: torch.Tensor = said[Columns.ACTION_DIST_INPUTS]
    return outputs


def mean_and_deviation(
    module: Any, output: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Of continuous actions in 0..1, before clipping; `[B, size]` each.

    MADDPG's actors give actions without a deviation. RLlib's networks give means and log standard
    deviations of a Gaussian over -1..1, which RLlib stretches to the range of the actions.
    """
    if output.shape[1] == module.action_space.shape[0]:
        return output, None
    mean, log_deviation = output.chunk(2, dim=1)
    return (mean + 1) / 2, log_deviation.exp() / 2


def load_policy(checkpoint: Path, module_id: str = "default_policy") -> Policy:
    """The policy in a checkpoint folder, or one of several.

    RLlib stores weights as NumPy arrays, so it does not matter where they were trained.

    Raises:
        UsageError: there is no such folder.
        SavannaError: the folder is damaged.
    """
    if not checkpoint.is_dir():
        raise UsageError(f"no checkpoint at {checkpoint}")
    try:
        with old_names(), working_folder_importable():
            folder = (checkpoint / MODULES / module_id).resolve()
            cloudpickle.loads((folder / RLModule.CLASS_AND_CTOR_ARGS_FILE_NAME).read_bytes())
            module = RLModule.from_checkpoint(str(folder))
    except ModuleNotFoundError as error:  # RLlib would take another class
        raise SavannaError(
            f"checkpoint {checkpoint} needs the module {error.name!r}, which is not in "
            f"{Path.cwd()} or on PYTHONPATH. Run savanna in its folder."
        ) from error
    except Exception as error:  # unpickling a damaged file may raise anything
        raise SavannaError(
            f"checkpoint {checkpoint} is damaged or incomplete ({type(error).__name__}: {error})"
        ) from error
    module.to("cpu")
    module.eval()
    return Policy(module)
