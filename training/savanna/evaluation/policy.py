"""A policy from a checkpoint, on the CPU and without Ray running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from ray import cloudpickle
from ray.rllib.algorithms.dqn.default_dqn_rl_module import QF_PREDS
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchSquashedGaussian
from ray.rllib.core.rl_module.apis import QNetAPI
from ray.rllib.core.rl_module.rl_module import RLModule

from savanna.envs.custom import working_folder_importable
from savanna.envs.environment import each
from savanna.errors import SavannaError, UsageError
from savanna.modules.actions import Actions, actions_of
from savanna.old_names import old_names

MODULES = "learner_group/learner/rl_module"
MODULE = f"{MODULES}/default_policy"
"""Where an RLlib checkpoint keeps the networks, and that of a single agent."""


STATE = "state"


@dataclass(frozen=True)
class Policy:
    """Acts on batches of observations: arrays, or dictionaries of them where they have several
    parts. With memory, calls are the steps of episodes until `begin`, or until the size of the
    batch changes."""

    module: Any  # a TorchRLModule
    noise: float = 0.0
    """Standard deviation of exploration if actors give actions, as a fraction of their range."""
    _memory: dict[str, torch.Tensor] = field(default_factory=dict, compare=False)

    def begin(self) -> None:
        """New episodes begin: a network with memory forgets the old ones."""
        self._memory.clear()

    @property
    def remembers(self) -> bool:
        return getattr(self.module, "memory", None) is not None

    @property
    def continuous(self) -> bool:
        return isinstance(self.module.action_space, gym.spaces.Box)

    @cached_property
    def actions(self) -> Actions | None:
        """What the outputs mean; `None` for continuous actions of particle worlds, in 0..1."""
        own: Actions | None = getattr(self.module, "actions", None)
        if own is None and (not self.continuous or _squashes(self.module)):
            own = actions_of(self.module.action_space)
        return own

    def logits(self, observations: Any) -> NDArray[np.float32]:
        """Observations `[B, ...]` -> unnormalised log-probabilities `[B, actions]`."""
        logits: NDArray[np.float32] = self._next(observations).numpy()
        return logits

    def act(self, observations: Any, rng: np.random.Generator | None = None) -> NDArray[Any]:
        """Observations `[B, ...]` -> the best actions, or sampled ones with `rng`.

        Discrete: whole numbers `[B]`, or `[B, count]` where several are given at once; continuous:
        floats `[B, size]`.
        """
        return self.decide(self._next(observations), rng)

    def decide(self, outputs: torch.Tensor, rng: np.random.Generator | None = None) -> NDArray[Any]:
        """The network's outputs `[B, ...]` -> actions."""
        if self.actions is not None:
            if rng is None:
                chosen = self.actions.best(outputs)
            elif (epsilon := self.module.model_config.get("epsilon")) is not None:
                chosen = _as_dqn_explores(outputs, epsilon, rng)
            else:
                uniform = rng.random((*outputs.shape[:-1], self.actions.draws))
                chosen = self.actions.draw(outputs, torch.from_numpy(uniform))
            given: NDArray[Any] = self.actions.for_env(chosen).numpy()
            return given
        mean, deviation = mean_and_deviation(self.module, outputs)
        action: NDArray[np.float32] = mean.numpy()
        if rng is not None:
            width = self.noise if deviation is None else deviation.numpy()
            noise = rng.normal(size=action.shape) * width
            action = (action + noise).astype(np.float32)
        return stretched(self.module.action_space, action.clip(0.0, 1.0))

    def outputs(
        self, observations: Any, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The network's outputs, and with memory its state after these observations."""
        given = each(torch.from_numpy, observations)
        with torch.inference_mode():
            if state is not None:
                found: tuple[torch.Tensor, torch.Tensor] = self.module.step(given, state)
                return found
            return outputs_of(self.module, given).float(), None

    def _next(self, observations: Any) -> torch.Tensor:
        """The outputs in the next step of the episodes that the last call was about."""
        state = None
        if self.remembers:
            count = len(next(iter(_parts(observations))))
            state = self._memory.get(STATE)
            if state is None or len(state) != count:
                state = self.module.no_state(count)
        outputs, state = self.outputs(observations, state)
        if state is not None:
            self._memory[STATE] = state
        return outputs


def _parts(observations: Any) -> Iterable[NDArray[Any]]:
    return observations.values() if isinstance(observations, Mapping) else [observations]


def outputs_of(module: Any, observations: Any) -> torch.Tensor:
    """What a network says of its actions: of their distribution, or as DQN's do their values."""
    batch = {Columns.OBS: observations}
    said = module.forward_inference(batch)
    if Columns.ACTION_DIST_INPUTS not in said and isinstance(module, QNetAPI):
        said = {Columns.ACTION_DIST_INPUTS: module.compute_q_values(batch)[QF_PREDS]}
    if Columns.ACTION_DIST_INPUTS not in said:
        raise SavannaError(
            f"the network {type(module).__name__} cannot be played: its _forward_inference has to "
            f"return {Columns.ACTION_DIST_INPUTS!r}"
        )
    outputs: torch.Tensor = said[Columns.ACTION_DIST_INPUTS]
    return outputs


def _as_dqn_explores(values: torch.Tensor, epsilon: Any, rng: np.random.Generator) -> torch.Tensor:
    """The best actions, or random ones as often as at the end of the schedule."""
    last = epsilon[-1][1] if isinstance(epsilon, (list, tuple)) else epsilon
    random = torch.from_numpy(rng.integers(0, values.shape[1], len(values)))
    return torch.where(torch.from_numpy(rng.random(len(values)) < last), random, values.argmax(1))


def _squashes(module: Any) -> bool:
    """Whether a network of RLlib's draws from a squashed Gaussian, as SAC's does."""
    try:
        return issubclass(module.get_inference_action_dist_cls(), TorchSquashedGaussian)
    except (AttributeError, NotImplementedError, TypeError):
        return False


def stretched(space: gym.spaces.Box, actions: Any) -> Any:
    """From 0..1 to the bounds of the actions: in particle worlds, the same."""
    low: Any = space.low
    high: Any = space.high
    if torch.is_tensor(actions):
        low, high = torch.from_numpy(low), torch.from_numpy(high)
    return low + (high - low) * actions


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
