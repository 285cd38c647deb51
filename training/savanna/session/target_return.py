"""The return that a run stops at: whose it is, and on which scale it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from savanna.envs.multi_agent import is_particle, old_scale_of, task_of
from savanna.errors import UsageError
from savanna.experiments import Experiment
from savanna.metrics import STOP_RULES

if TYPE_CHECKING:
    from savanna.envs.particle.world import OldScale

OLD_RETURN = "old_return"
"""A stop rule as users give it: a return on the retired service's scale."""

RULES = (*STOP_RULES, OLD_RETURN)


def env_settings(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the environment, without their prefix."""
    prefix = "env_config."
    return {k.removeprefix(prefix): v for k, v in overrides.items() if k.startswith(prefix)}


def same_task(env: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether returns in one environment mean the same with both settings."""
    if not is_particle(env):
        return True
    return task_of(env, one) == task_of(env, other)


def without_return(stop: Mapping[str, float]) -> dict[str, float]:
    """A target return belongs to one game; another game keeps the other rules."""
    return {rule: limit for rule, limit in stop.items() if rule != "return"}


def default_stop(
    experiment: Experiment, env: str, env_config: Mapping[str, Any]
) -> tuple[dict[str, float], list[str]]:
    """The experiment's stop rules in this environment, and a line where its target is not one."""
    stop = dict(experiment.stop)
    if "return" not in stop or (env == experiment.env and same_task(env, {}, env_config)):
        return stop, []
    what = f"the {stop['return']:.4g} of {experiment.name} is for {_described(experiment.env)}"
    return without_return(stop), [f"no target return: {what}"]


def old_return_problem(stop: Mapping[str, float], env: str, world: Mapping[str, Any]) -> str | None:
    """Why a return on the old scale cannot be converted; `None` if it can or none is given."""
    if OLD_RETURN not in stop or _scale(env, world) is not None:
        return None
    return (
        f"--final-reward (--stop {OLD_RETURN}) {stop[OLD_RETURN]:g}: how the old service's returns "
        f"of {env} read today is not known with these settings. Give today's mean return with "
        "--stop return=NUMBER."
    )


def converted(stop: Mapping[str, float], env: str, world: Mapping[str, Any]) -> dict[str, float]:
    """`stop` with its return on today's scale."""
    if OLD_RETURN not in stop:
        return dict(stop)
    scale = _scale(env, world)
    if scale is None:
        raise UsageError(old_return_problem(stop, env, world))
    limit = (stop[OLD_RETURN] - scale.constant) / scale.factor
    return {rule: v for rule, v in stop.items() if rule != OLD_RETURN} | {"return": limit}


def on_both_scales(
    stop: Mapping[str, float], env: str, world: Mapping[str, Any]
) -> dict[str, float | None] | None:
    """The target return on today's scale and on the old one; `None` where there is none."""
    if "return" not in stop:
        return None
    scale = _scale(env, world)
    return {"return": stop["return"], OLD_RETURN: scale(stop["return"]) if scale else None}


def _scale(env: str, world: Mapping[str, Any]) -> OldScale | None:
    searched = any(isinstance(value, str) for name, value in world.items() if name != "backend")
    return None if searched else old_scale_of({"env": env, "env_config": world})


def _described(env: str) -> str:
    if not is_particle(env):
        return env
    task = task_of(env, {})
    ratio = f"local ratio {task.local_ratio:g}"
    return f"{env} with {task.agents} agents, {task.max_cycles} steps, {ratio}"
