"""Checks of a request that need no Ray."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from savanna.envs.environment import Environment
from savanna.envs.families import family_of
from savanna.errors import UsageError
from savanna.experiments import Experiment, Machine, get_experiment
from savanna.planning.request import TrainRequest
from savanna.planning.search_space import refused, values_of
from savanna.planning.target_return import RULES, env_settings, old_return_problem
from savanna.runs.group import SEED

MAX_SEED = 2**31 - 1
"""Env runners add their index to the seed, and NumPy accepts only seeds below 2**32."""


def check_early(request: TrainRequest) -> list[str]:
    """What to warn of; `UsageError` with one line per problem. If the run is not read yet, checks
    only numbers."""
    warnings: list[str] = []
    problems = [*_stop_rules(request), *_numbers(request), *_seeds(request), *_workers(request)]
    if request.max_duration is not None and request.max_duration <= 0:
        problems.append(f"--max-duration {request.max_duration:g}: must be above 0 seconds.")
    if not request.unresolved:
        problems += _world(request, warnings)
    if problems:
        raise UsageError("\n".join(problems))
    return warnings


def check_fits(machine: Machine, env_runners: int, gpus: float, cpus_per_runner: float) -> None:
    """`UsageError` if Tune would wait forever for resources that do not exist."""
    if gpus > machine.gpus:
        raise UsageError(
            f"GPUs requested: {gpus:g}, available: {machine.gpus}. "
            "Train on the CPU with --num-gpus 0."
        )
    needed = 1 + env_runners * cpus_per_runner
    if needed > machine.cpus and not (machine.cpus == 1 and env_runners <= 1):
        most = int((machine.cpus - 1) / cpus_per_runner) if cpus_per_runner else env_runners
        raise UsageError(
            f"{env_runners} env runners need {needed:g} CPUs, one of them for the learner; only "
            f"{machine.cpus} are available. Use at most --num-env-runners {max(0, most)}."
        )


def _stop_rules(request: TrainRequest) -> list[str]:
    problems = []
    for rule, limit in request.stop.items():
        if rule not in RULES:
            problems.append(f"--stop {rule}: unknown rule. Known: {', '.join(RULES)}.")
        elif not math.isfinite(limit):
            problems.append(f"--stop {rule}={limit:g}: must be finite; --stop none drops rules.")
        elif limit <= 0 and not rule.endswith("return"):
            problems.append(f"--stop {rule}={limit:g}: must be above 0.")
    return problems


def _numbers(request: TrainRequest) -> list[str]:
    return [
        f"{option} {value}: must be at least {least}."
        for option, value, least in (
            ("--keep", request.keep, 1),
            ("--num-samples", request.num_samples, 1),
            ("--max-failures", request.max_failures, 0),
            ("--checkpoint-freq", request.checkpoint_freq, 0),
            ("--evaluate-episodes", request.evaluate_episodes, 0),
            ("--film-every", request.film_every, 0),
            ("--num-env-runners", request.num_env_runners, 0),
            ("--num-gpus", request.num_gpus, 0),
            ("--workers", request.workers, 0),
            ("--min-workers", request.min_workers, 0),
        )
        if value is not None and value < least
    ]


def _seeds(request: TrainRequest) -> list[str]:
    several, problems = request.seeds, []
    which = () if isinstance(several, int) else several
    if request.resume_group and request.resume:
        problems.append("--resume-group continues several runs and --resume one: give only one.")
    elif request.resume_group and not request.several:
        problems.append(
            f"--resume-group {request.resume_group}: give the options of the command that made the "
            "group too, above all its --seeds or search. A single run goes on with --resume."
        )
    given = f"--seeds {','.join(map(str, which)) or several}"
    if SEED in request.search:
        problems.append(f"--set seed={request.search[SEED]}: give seeds as --seeds 1,2,3.")
    if several != 1 and request.num_samples > 1 and not request.search:
        problems.append(
            f"{given} and --num-samples {request.num_samples}: without a search space, both "
            "set the number of seeds. Give only one."
        )
    if which and request.seed is not None:
        problems.append(f"--seed {request.seed} and {given}: both choose the seeds. Give only one.")
    if len(set(which)) < len(which):
        problems.append(f"{given}: a seed is given twice.")
    if several in (0, ()) or (isinstance(several, int) and several < 0):
        problems.append(f"{given}: must be at least 1.")
    if problems:
        return problems
    return [
        f"seed {seed}: must be from 0 to {MAX_SEED}."
        for seed in request.seeds_from(default=0)
        if not 0 <= seed <= MAX_SEED
    ][:1]


def _workers(request: TrainRequest) -> list[str]:
    if request.workers is None and (request.min_workers, request.start_timeout) != (None, None):
        return ["--min-workers and --start-timeout need --workers, the number to wait for."]
    if (request.min_workers or 0) > (request.workers or 0):
        return [f"--min-workers {request.min_workers}: must not be above --workers."]
    return []


def _world(request: TrainRequest, warnings: list[str]) -> list[str]:
    """Problems with the environment and with options that depend on it."""
    experiment = get_experiment(request.experiment, request.algorithm)
    env = request.env or experiment.env
    problems = []
    if request.film_every and not experiment.family.filmed_in_training:
        problems.append("--film-every: only particle worlds can be filmed during training.")
    given = dict(request.settings.get("env_config", {})) | env_settings(request.overrides)
    try:
        warnings += _check_env(experiment, env, given)
        problems += _searched_worlds(request, experiment, env, given)
    except UsageError as error:
        problems.append(str(error))
    environment = experiment.family(env, given | env_settings(request.search))
    problem = old_return_problem(request.stop, environment)
    return problems + ([problem] if problem and not problems else [])


def _searched_worlds(
    request: TrainRequest, experiment: Experiment, env: str, given: Mapping[str, Any]
) -> list[str]:
    """One line per search space with an invalid value; where a value would mean to create an
    environment, with an unknown name."""
    problems: dict[str, str] = {}
    searched = env_settings(request.search)
    if experiment.family.own_keywords:
        hints = {name: experiment.family(env, given).takes(name) for name in searched}
        return [
            f"--set env_config.{name}: unknown setting of {env}.{hint}"
            for name, hint in hints.items()
            if hint is not None
        ]
    for name, text in searched.items():
        key = f"env_config.{name}"
        for value in values_of(key, text):
            try:
                _check_env(experiment, env, {**given, name: value})
            except UsageError as error:
                problems.setdefault(key, refused(key, text, value, error))
    return list(problems.values())


def _check_env(experiment: Experiment, env: str, given: Mapping[str, Any]) -> list[str]:
    if not env:
        raise UsageError(
            f"the experiment {experiment.name!r} needs an environment: --env with a Gymnasium id "
            "such as Acrobot-v1, or your own as module:Class."
        )
    family = family_of(env)
    if family is not experiment.family and family.recognises(env):
        command = family(env, given).command
        raise UsageError(f"{env} is {family.what}: train it with `{command}`.")
    environment = experiment.family(env, given)
    warnings = environment.check()
    if experiment.actions:
        _check_spaces(experiment, environment)
    return warnings


def _check_spaces(experiment: Experiment, environment: Environment) -> None:
    """Whether an algorithm of RLlib's, with RLlib's networks, can train on it."""
    [(observations, actions)] = environment.spaces()
    kind, what, other = type(actions).__name__, experiment.algorithm, "Choose another --algorithm."
    if kind not in experiment.actions:
        taken = " or ".join(experiment.actions)
        raise UsageError(
            f"{environment.name} has actions of the kind {kind}, and {what} takes only {taken}. "
            f"{other}"
        )
    if kind == "Box" and not actions.is_bounded():  # type: ignore[attr-defined]
        raise UsageError(
            f"{environment.name} has actions without bounds, and {what} needs some. {other}"
        )
    if type(observations).__name__ != "Box" or len(observations.shape or ()) != 1:
        raise UsageError(
            f"{environment.name} has pictures or several parts in its observations, and {what} "
            f"takes only a vector. {other}"
        )
