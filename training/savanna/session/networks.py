"""Checking that a checkpoint's networks fit a run, and loading them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from savanna.envs.families import environment_of
from savanna.errors import UsageError
from savanna.planning.resumed_settings import settings_of_networks
from savanna.runs.resumption import Resumption

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm

    from savanna.planning.plan import Plan

_COMPONENT = "learner_group/learner/rl_module"


def check_networks(resumption: Resumption, plan: Plan) -> None:
    """`UsageError` unless the checkpoint's networks are those that `plan` trains.

    RLlib would load parts with equal names and leave the rest random, or fail halfway.
    """
    found = misfit(resumption.checkpoint, _networks_of(plan))
    if found is None:
        return
    hint = _hint(resumption.origin.config, plan) if resumption.origin else ""
    if resumption.origin and resumption.run is None:
        hint += " Leave out the experiment's name to use all settings of the checkpoint's run."
    raise UsageError(f"--resume: checkpoint {resumption.checkpoint} does not fit: {found}.{hint}")


def _hint(before: Mapping[str, Any], plan: Plan) -> str:
    """How the checkpoint's run differs from `plan`."""
    of = [(config["algorithm"], config["env"]) for config in (before, plan.content)]
    if of[0] != of[1]:
        return f" It was trained with {of[0][0]} on {of[0][1]}."
    now = settings_of_networks(plan.content)
    others = [
        f"{key}={value}"
        for key, value in settings_of_networks(before).items()
        if now.get(key, value) != value
    ]
    return f" Its run has {', '.join(others)}: give these with --set." if others else ""


def load_networks(algorithm: Algorithm, checkpoint: Path) -> None:
    """Load the checkpoint's networks, and nothing else, into `algorithm` and its env runners."""
    module = algorithm.learner_group._learner.module
    found = misfit(checkpoint, {name: module[name].unwrapped() for name in module.keys()})  # noqa: SIM118 (not a dictionary)
    if found is not None:  # a search's draws are not known earlier
        raise UsageError(f"checkpoint {checkpoint} does not fit: {found}.")
    algorithm.restore_from_path(str(checkpoint / _COMPONENT), component=_COMPONENT)


def hand_out_networks(algorithm: Algorithm) -> None:
    """Send the learner's networks to all env runners, and wait until they have them.

    RLlib does not wait when it restores. If an env runner is still busy with its first request,
    RLlib drops this one, and the env runner would sample with a new network.
    """
    import ray
    from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE

    state = algorithm.learner_group.get_state(
        components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
    )
    networks = {COMPONENT_RL_MODULE: state[COMPONENT_LEARNER][COMPONENT_RL_MODULE]}
    algorithm.env_runner_group.foreach_env_runner(
        "set_state",
        kwargs={"state": ray.put(networks)},
        local_env_runner=False,
        timeout_seconds=None,
    )


def misfit(checkpoint: Path, networks: Mapping[str, Any]) -> str | None:
    """How the checkpoint's networks differ from `networks` (module ID -> RLModule), if they do."""
    from savanna.evaluation.policy import MODULES, load_policy

    there = sorted(p.name for p in (checkpoint / MODULES).iterdir() if p.is_dir())
    if there != sorted(networks):
        return f"it has networks for {', '.join(there)}, the run for {', '.join(sorted(networks))}"
    for name, network in networks.items():
        old = load_policy(checkpoint, name).module
        kinds = [_kind(module.action_space) for module in (old, network)]
        if kinds[0] != kinds[1]:
            return f"the actions of {name} are {kinds[0]} there, {kinds[1]} in the run"
        before, after = _shapes(old), _shapes(network)
        for part in dict.fromkeys((*after, *before)):
            if before.get(part) != after.get(part):
                return (
                    f"{part} of {name} is {_text(before.get(part))} there, "
                    f"{_text(after.get(part))} in the run"
                )
    return None


def _networks_of(plan: Plan) -> dict[str, Any]:
    environment = environment_of(plan.content)
    names = environment.networks(shared=getattr(plan.config, "share_parameters", False))
    spaces = dict(zip(names, environment.spaces(), strict=True))
    config = plan.config.copy(copy_frozen=False)
    module = config.get_multi_rl_module_spec(spaces=spaces).build()
    return {name: module[name] for name in module.keys()}  # noqa: SIM118 (not a dictionary)


def _shapes(network: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _kind(space: Any) -> str:
    return "continuous" if isinstance(space, gym.spaces.Box) else "discrete"


def _text(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape)) or "a number"
