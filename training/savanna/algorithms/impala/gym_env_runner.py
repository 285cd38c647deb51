"""The env runner for any environment with one agent: one tight loop over a vector environment."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from savanna.algorithms.impala.fragment import GymFragment
from savanna.algorithms.impala.fragment_env_runner import FragmentEnvRunner
from savanna.algorithms.sampling import refuse_not_finite
from savanna.envs.families import environment_of

LONGEST_SECONDS = 5.0
"""A fragment of a slow environment ends after this time, however few steps it has: they are counted
and learned from as they come."""


class GymEnvRunner(FragmentEnvRunner):
    """`sample()` returns one `GymFragment`."""

    def make_envs(self) -> Any:
        config = self.config
        environment = environment_of({"env": config.env, "env_config": config.env_config})
        envs = environment.vector(config.num_envs_per_env_runner)  # type: ignore[attr-defined]
        if hasattr(envs, "copy"):
            envs.copy = False  # we copy what it shows at once
        return envs

    def _start(self) -> None:
        steps = self.config.get_rollout_fragment_length()
        space = self.env.single_observation_space
        parts = dict(space.spaces) if isinstance(space, spaces.Dict) else {"": space}
        self._seen: dict[str, NDArray[Any]] = {
            name: np.zeros((steps + 1, self.num_envs, *part.shape), part.dtype)
            for name, part in parts.items()
        }
        seeds = self.env_seeds()
        observations, _ = self.env.reset(seed=None if seeds is None else seeds.tolist())
        self._keep(steps, observations)
        self._last = steps
        self._begin_counting()
        self._state = None if self.module.memory is None else self.module.no_state(self.num_envs)
        self._forget = np.zeros(self.num_envs, bool)  # whose episode starts in this row
        self._random = torch.Generator()
        if self.config.seed is None:
            self._random.seed()
        else:
            entropy = np.random.SeedSequence([self.config.seed, self.worker_index or 0, 1])
            self._random.manual_seed(int(entropy.generate_state(1)[0]))
        self._needs_initial_reset = False

    def _sample(self, *, num_timesteps: int | None = None, **kwargs: Any) -> list[GymFragment]:
        """One fragment of `rollout_fragment_length` steps of every environment, or of fewer where
        they take long.

        `num_timesteps` is RLlib's, and always the length of a fragment; other keyword arguments
        (sampling whole episodes, random actions) are for RLlib's evaluation, which we replace.
        """
        if self._needs_initial_reset:
            self._start()
        steps, envs = self.config.get_rollout_fragment_length(), self.num_envs
        for array in self._seen.values():
            array[0] = array[self._last]
        outputs: list[torch.Tensor] = []
        actions: list[torch.Tensor] = []
        rewards = np.empty((steps, envs), np.float32)
        terminated = np.empty((steps, envs), bool)
        truncated = np.empty((steps, envs), bool)
        valid = np.empty((steps, envs), bool)

        self._start_row()
        state = None if self._state is None else self._state.numpy().copy()
        end = time.monotonic() + LONGEST_SECONDS
        for step in range(steps):
            output, action, given = self._act(step)
            outputs.append(output)
            actions.append(action)
            observations, rewarded, terminated[step], truncated[step], _ = self.env.step(given)
            self._keep(step + 1, observations)
            rewards[step] = rewarded
            valid[step] = ~self._done
            self._forget = self._done
            self._done = terminated[step] | truncated[step]
            self._count(rewarded, valid[step])
            self._last = step + 1
            if time.monotonic() > end:
                break

        made = self._last
        seen = {name: array[: made + 1].copy() for name, array in self._seen.items()}
        refuse_not_finite(self.config.env, "a reward", rewards[:made])
        for array in seen.values():
            refuse_not_finite(self.config.env, "an observation", array)
        chosen = torch.stack(actions)
        with torch.inference_mode():
            log_probs = self.module.actions.log_prob(torch.stack(outputs), chosen)
        fragment = GymFragment(
            observations=seen,
            actions=chosen.numpy(),
            log_probs=log_probs.numpy(),
            rewards=rewards[:made],
            terminated=terminated[:made],
            truncated=truncated[:made],
            valid=valid[:made],
            weights_version=self._weights_seq_no,
            episodes=self.take_finished(),
            node=self._node,
            state=state,
        )
        self.num_env_steps_sampled_lifetime += len(fragment)
        return [fragment]

    def _act(self, step: int) -> tuple[torch.Tensor, torch.Tensor, NDArray[Any]]:
        """The network's outputs in this step, actions drawn by them, and what the environment is
        given."""
        module = self.module
        with torch.inference_mode():
            parts = {name: torch.from_numpy(array[step]) for name, array in self._seen.items()}
            seen = parts.get("", parts)
            if self._state is None:
                outputs = module.outputs(seen)
            else:
                self._start_row()
                outputs, self._state = module.step(seen, self._state)
            uniform = torch.rand((self.num_envs, module.actions.draws), generator=self._random)
            actions = module.actions.draw(outputs, uniform)
            return outputs, actions, module.actions.for_env(actions).numpy()

    def _start_row(self) -> None:
        """Let the memory forget the episodes that have ended."""
        if self._state is not None and self._forget.any():
            self._state = self._state * torch.from_numpy(~self._forget).float().unsqueeze(-1)

    def _keep(self, row: int, observations: Any) -> None:
        for name, array in self._seen.items():
            array[row] = observations[name] if name else observations
