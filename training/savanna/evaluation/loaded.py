"""A trained policy to play with: what `savanna.load` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from savanna.envs.environment import Environment, each
from savanna.envs.families import environment_of
from savanna.errors import UsageError
from savanna.evaluation.policy import Policy
from savanna.evaluation.team import Team, load_team
from savanna.runs.checkpoints import CheckpointInfo, number_of
from savanna.runs.directory import RunDirectory


@dataclass(frozen=True, repr=False)
class LoadedPolicy:
    """The policy of a checkpoint. Call it with an observation, or with a batch of them.

    It takes what the environment of `make_env` shows, which is what it saw in training: for an
    Atari game the last frames after preprocessing, bytes `[frame_stack, frame_size, frame_size]`
    (4 x 42 x 42 unless the run says otherwise), and not the emulator's screen; for other
    environments of one agent a flat vector of float32; for a particle world a dictionary with the
    observation of every agent.
    """

    run: RunDirectory
    checkpoint: CheckpointInfo
    environment: Environment
    team: Team

    def __call__(self, observations: Any, *, rng: np.random.Generator | None = None) -> Any:
        """The best actions, as `savanna evaluate --greedy` plays; with `rng` they are drawn.

        An array of the shape of `observation_space` is one observation: its action is a whole
        number, or where actions are continuous or several an array. With one axis more in front it
        is a batch, and so are the actions. Several agents: {agent: either of these} -> {agent: its
        actions}.

        Raises:
            UsageError: the shape or the type is another one, or a number is not finite.
        """
        agents = self.environment.agents
        if not agents:
            return self._act(self.team.policies[0], observations, "", rng)
        if not isinstance(observations, Mapping) or not observations.keys() <= {*agents}:
            raise UsageError(
                f"{self.environment.name} has several agents: give their observations as a "
                f"dictionary with the keys {', '.join(agents)}."
            )
        policies = dict(zip(agents, self.team.policies, strict=True))
        return {
            agent: self._act(policies[agent], seen, f" of {agent}", rng)
            for agent, seen in observations.items()
        }

    def begin(self) -> None:
        """A new episode begins: call it after every `reset` if the network has memory (it was
        trained with `model_config.use_lstm`). Without memory nothing changes."""
        for policy in self.team.policies:
            policy.begin()

    def make_env(self, render_mode: str | None = None) -> Any:
        """The environment as in training, preprocessing included: Gymnasium's `Env`, of particle
        worlds PettingZoo's `ParallelEnv`. Its episode with the seed 10,000 + i is the i-th of
        `savanna evaluate` (not of particle worlds)."""
        return self.environment.make_as_trained(render_mode)

    @cached_property
    def observation_space(self) -> gym.Space[Any]:
        """Of one observation; where there are several agents a `Dict` of theirs."""
        return self._space("observation_space")

    @cached_property
    def action_space(self) -> gym.Space[Any]:
        """Of one action; where there are several agents a `Dict` of theirs."""
        return self._space("action_space")

    def __repr__(self) -> str:
        number = self.checkpoint.number
        return f"<policy of {self.run.experiment}/{self.run.id}, checkpoint {number}>"

    def _space(self, kind: str) -> gym.Space[Any]:
        spaces = [getattr(policy.module, kind) for policy in self.team.policies]
        agents = self.environment.agents
        return gym.spaces.Dict(dict(zip(agents, spaces, strict=True))) if agents else spaces[0]

    def _act(
        self, policy: Policy, given: Any, of_whom: str, rng: np.random.Generator | None
    ) -> Any:
        space = policy.module.observation_space
        seen = _checked(given, space, of_whom)
        if _is_batch(seen, space):
            return policy.act(seen, rng)
        [action] = policy.act(each(lambda array: array[None], seen), rng)
        return (
            int(action) if isinstance(policy.module.action_space, gym.spaces.Discrete) else action
        )


def _is_batch(seen: Any, space: gym.Space[Any]) -> bool:
    if isinstance(space, gym.spaces.Dict):
        return any(_is_batch(seen[name], part) for name, part in space.items())
    return bool(seen.shape != space.shape)


def _checked(given: Any, space: gym.Space[Any], of_whom: str) -> Any:
    """`given` as an array of the space's type: one observation or a batch. Of several parts: as a
    dictionary of arrays, all of them batches of one size or none."""
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(given, Mapping) or given.keys() != space.keys():
            raise UsageError(
                f"the policy takes an observation{of_whom} as a dictionary with the keys "
                f"{', '.join(space)}."
            )
        seen = {name: _checked(given[name], part, f" ({name})") for name, part in space.items()}
        sizes = {
            array.shape[: array.ndim - len(space[name].shape or ())] for name, array in seen.items()
        }
        if len(sizes) > 1:
            raise UsageError("the parts of the observation are batches of different sizes.")
        return seen
    return _checked_array(given, space, of_whom)


def _checked_array(given: Any, space: gym.Space[Any], of_whom: str) -> NDArray[Any]:
    assert space.shape is not None and space.dtype is not None
    hint = "`make_env()` of the policy makes an environment that shows what it takes."
    wanted = f"the policy takes {space.dtype} {list(space.shape)}, or a batch of them"
    try:
        seen = np.asarray(given)
    except ValueError as error:
        raise UsageError(f"the observation{of_whom} is not an array; {wanted}. {hint}") from error
    got = f"the observation{of_whom} is {seen.dtype} {list(seen.shape)}"
    fits = seen.shape in (space.shape, (*seen.shape[:1], *space.shape))
    if not fits or not np.can_cast(seen.dtype, space.dtype, "same_kind"):
        raise UsageError(f"{got}; {wanted}. {hint}")
    seen = np.require(seen, space.dtype, ["C", "W"])
    if not np.isfinite(seen).all():
        raise UsageError(f"the observation{of_whom} has NaN or infinity in it.")
    return seen


def load(reference: str, runs_root: Path) -> LoadedPolicy:
    """What `reference` names: `RUN` (its best checkpoint), `RUN@CHECKPOINT`, or the folder of a
    checkpoint in its run. Raises as `load_team` does."""
    run, which = _found(reference, runs_root)
    info, config = run.checkpoint(which), run.config
    team = load_team(run.checkpoint_path(info.number), config)
    return LoadedPolicy(run, info, environment_of(config), team)


def _found(reference: str, runs_root: Path) -> tuple[RunDirectory, str]:
    """The run, and which of its checkpoints."""
    folder = Path(reference).expanduser().resolve()
    if (folder / "rllib_checkpoint.json").is_file():
        number, run = number_of(folder.name), RunDirectory(folder.parent)
        if number is None or not run.config:
            raise UsageError(
                f"{folder} is not in a run: what a checkpoint plays is in its run's config.json. "
                "Copy the whole run's folder, and load that."
            )
        return run, str(number)
    try:
        return RunDirectory.find(reference, runs_root), "best"
    except UsageError:
        name, at, which = reference.rpartition("@")
        if not at:
            raise
        return RunDirectory.find(name, runs_root), which
