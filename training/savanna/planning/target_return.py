"""The return that a run stops at: which environment it is for, and on which scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savanna.envs.environment import Environment
from savanna.errors import UsageError
from savanna.experiments import Experiment
from savanna.metrics import STOP_RULES

OLD_RETURN = "old_return"
"""A stop rule as users give it: a return on the retired service's scale."""

RULES = (*STOP_RULES, OLD_RETURN)


def env_settings(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The environment's settings among `overrides`, without their prefix."""
    prefix = "env_config."
    return {k.removeprefix(prefix): v for k, v in overrides.items() if k.startswith(prefix)}


def without_return(stop: Mapping[str, float]) -> dict[str, float]:
    """A target return belongs to one game; another game keeps the other rules."""
    return {rule: limit for rule, limit in stop.items() if rule != "return"}


def default_stop(
    experiment: Experiment, environment: Environment
) -> tuple[dict[str, float], list[str]]:
    """The experiment's stop rules for this environment, and a line if its target is left out."""
    stop, usual = dict(experiment.stop), experiment.family(experiment.env, {})
    if "return" not in stop or (environment.name == usual.name and environment.task == usual.task):
        return stop, []
    what = f"{experiment.name}'s {stop['return']:.4g} is for {usual.description}"
    return without_return(stop), [f"no target return: {what}"]


def old_return_problem(stop: Mapping[str, float], environment: Environment) -> str | None:
    """Why a return on the old scale cannot be converted; `None` if it can or none is given."""
    if OLD_RETURN not in stop or environment.old_scale is not None:
        return None
    return (
        f"--final-reward (--stop {OLD_RETURN}) {stop[OLD_RETURN]:g}: cannot convert the old "
        f"service's returns of {environment.name} with these settings. Give today's mean return "
        "with --stop return=NUMBER."
    )


def converted(stop: Mapping[str, float], environment: Environment) -> dict[str, float]:
    """`stop` with its return on today's scale."""
    if OLD_RETURN not in stop:
        return dict(stop)
    scale = environment.old_scale
    if scale is None:
        raise UsageError(old_return_problem(stop, environment))
    limit = (stop[OLD_RETURN] - scale.constant) / scale.factor
    return {rule: v for rule, v in stop.items() if rule != OLD_RETURN} | {"return": limit}


def on_both_scales(
    stop: Mapping[str, float], environment: Environment
) -> dict[str, float | None] | None:
    """The target return on today's scale and on the old one; `None` where there is none."""
    if "return" not in stop:
        return None
    scale = environment.old_scale
    return {"return": stop["return"], OLD_RETURN: scale(stop["return"]) if scale else None}
