"""The env runner: many worlds stepped at once, one forward pass for all agents and worlds."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import ray
import ray.util
import torch
from numpy.typing import NDArray
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO

from savanna.algorithms.episode import Episode
from savanna.algorithms.maddpg.fragment import Fragment, make_rows
from savanna.algorithms.maddpg.module import squash
from savanna.algorithms.maddpg.stack import Ensemble
from savanna.algorithms.quick_setup import quick_setup
from savanna.algorithms.sampling import refuse_not_finite
from savanna.envs.particle.make import make_worlds


class ParticleEnvRunner(EnvRunner, Checkpointable):
    """Samples `Fragment`s. Episodes continue from one fragment to the next."""

    config: Any
    num_env_steps_sampled_lifetime: int

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        quick_setup()
        super().__init__(config=config, **kwargs)
        torch.set_num_threads(max(1, int(self.config.num_cpus_per_env_runner)))
        self._weights_seq_no = 0
        self._node = ray.util.get_node_ip_address()
        sequence = np.random.SeedSequence(
            None if self.config.seed is None else [self.config.seed, self.worker_index or 0]
        )
        self._world_seed, noise_seed = (int(n) for n in sequence.generate_state(2))
        self._generator = torch.Generator().manual_seed(noise_seed)
        self.make_env()
        self.make_module()
        noise = noise_of_worlds(
            self.config.exploration_noise,
            self.config.num_envs_per_env_runner,
            max(1, self.config.num_env_runners),
            max(1, self.worker_index or 0),
        )
        self._noise = torch.from_numpy(noise).unsqueeze(1)

    def make_env(self) -> None:
        """Create `num_envs_per_env_runner` worlds; they are reset on the first `sample()`."""
        self.env = make_worlds(
            self.config.env, self.config.num_envs_per_env_runner, **self.config.env_config
        )
        self._observations: list[NDArray[np.float32]] | None = None

    def make_module(self) -> None:
        spec = self.config.get_multi_rl_module_spec(inference_only=True)
        self.module = spec.build()
        modules = [self.module[name] for name in self.config.module_of_agent()]
        self._modules = modules
        self._actors = Ensemble([module.actor for module in modules])
        self._layout = self.config.layout()

    def sample(self, **kwargs: Any) -> Fragment:
        """`rollout_fragment_length` steps of every world, with exploration."""
        steps = self.config.get_rollout_fragment_length()
        if self._observations is None:
            self._observations = self.env.reset(self._world_seed)
        layout, worlds = self._layout, self.env.num_worlds
        width = layout.observation_width
        observations = np.empty((steps, worlds, width), np.float32)
        following = np.empty((steps, worlds, width), np.float32)
        actions = np.empty((steps, worlds, layout.stored_action_width), np.float32)
        rewards = np.empty((steps, worlds, layout.agents), np.float32)
        truncated = np.empty((steps, worlds), bool)
        finished: list[Episode] = []
        for step in range(steps):
            np.concatenate(self._observations, axis=1, out=observations[step])
            chosen = self._act(self._observations)
            result = self.env.step(chosen)
            self._observations = result.observations
            final = result.final_observations or result.observations
            np.concatenate(final, axis=1, out=following[step])
            columns = [action.reshape(worlds, -1) for action in chosen]
            actions[step] = np.concatenate(columns, axis=1)
            rewards[step], truncated[step] = result.rewards, result.truncated
            finished += [
                Episode(float(sum(e.returns)), e.length, e.measured(self.env.agents))
                for e in result.episodes
            ]
        self.num_env_steps_sampled_lifetime += steps * worlds
        for what, values in (("an observation", following), ("a reward", rewards)):
            refuse_not_finite(self.config.env, what, values)
        rows = make_rows(
            observations,
            actions,
            rewards,
            truncated,
            following,
            gamma=self.config.gamma,
            n_step=self.config.n_step,
        )
        return Fragment(rows, finished, self._weights_seq_no, self._node)

    @torch.no_grad()
    def _act(self, observations: list[NDArray[np.float32]]) -> list[NDArray[Any]]:
        """Discrete: drawn from the softmax (the Gumbel-max trick). Continuous: with noise."""
        seen = [torch.from_numpy(o) for o in observations]
        actions = []
        for module, output in zip(self._modules, self._actors(seen), strict=True):
            if self._layout.discrete:
                noise = torch.empty_like(output).exponential_(generator=self._generator)
                actions.append((output - noise.log()).argmax(dim=1).numpy())
                continue
            low, high = module.low, module.high
            action = squash(output, low, high)
            noise = torch.empty_like(action).normal_(generator=self._generator)
            noise *= self._noise
            actions.append(torch.clamp(action + (high - low) * noise, low, high).numpy())
        return actions

    def sample_fragment(self) -> Fragment:
        """What the driver asks for; `sample()` is RLlib's name for it."""
        return self.sample()

    def get_spaces(self) -> dict[str, Any]:
        """None that RLlib needs: the config knows the agents."""
        return {}

    def get_metrics(self) -> dict[str, Any]:
        return {}  # the driver keeps exact statistics, from the fragments

    def assert_healthy(self) -> None:
        assert self.env and self.module

    def stop(self) -> None:
        self._observations = None

    def get_state(
        self, components: str | Collection[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        return {
            NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime,
            COMPONENT_RL_MODULE: self.module.get_state(),
            WEIGHTS_SEQ_NO: self._weights_seq_no,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Load weights, unless they are older than the current ones."""
        if COMPONENT_RL_MODULE in state:
            version = state.get(WEIGHTS_SEQ_NO, 0)
            if version == 0 or version > self._weights_seq_no:
                weights = state[COMPONENT_RL_MODULE]
                if isinstance(weights, ray.ObjectRef):
                    weights = ray.get(weights)
                self.module.set_state(weights)
            self._weights_seq_no = version or self._weights_seq_no
        self.num_env_steps_sampled_lifetime = state.get(
            NUM_ENV_STEPS_SAMPLED_LIFETIME, self.num_env_steps_sampled_lifetime
        )

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [(COMPONENT_RL_MODULE, self.module)]


def noise_of_worlds(
    mean: float, worlds: int, env_runners: int, env_runner: int
) -> NDArray[np.float32]:
    """Standard deviation of the noise in each world `[worlds]` of one env runner (1, 2, ...).

    Spread evenly from none to twice `mean` over all worlds of all env runners, so that critics
    see careful and careless play. Multiples of the golden ratio spread any stretch of neighbours
    evenly too. Otherwise, the mean return of the last episodes would be that of the quiet worlds
    in one iteration and of the noisy ones in the next.
    """
    index = np.arange(worlds) * env_runners + env_runner - 1
    share = (0.5 + index * (np.sqrt(5) - 1) / 2) % 1
    return (2 * mean * share).astype(np.float32)
