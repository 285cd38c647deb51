"""Resolving a request: experiment and machine give a config, checked, and what will be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from training.envs.atari import is_atari, parse_atari_id
from training.envs.custom import is_custom
from training.envs.multi_agent import check_world, is_particle
from training.errors import UsageError
from training.experiments import Experiment, Machine, get_experiment
from training.metrics import STOP_RULES
from training.orchestration.cluster import check_fits
from training.orchestration.overrides import apply_overrides
from training.orchestration.request import TrainRequest
from training.orchestration.resume import Resumption
from training.orchestration.search_space import parse_search_space
from training.orchestration.storage import chosen_storage

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


@dataclass(frozen=True)
class Plan:
    """Everything decided before training starts."""

    experiment: Experiment
    env: str
    seed: int
    stop: Mapping[str, float]
    checkpoint_freq: int
    config: AlgorithmConfig
    content: dict[str, Any]  # of config.json
    film_every: int = 0  # episodes of a world between two films, 0: none


def with_saved_settings(request: TrainRequest, resumption: Resumption | None) -> TrainRequest:
    """A resumed run keeps its own settings where the command gives none."""
    if resumption is None or resumption.run is None:
        return replace(request, storage=chosen_storage(request.storage))
    saved = resumption.run.config
    options = saved.get("options", {})
    stop = {**saved.get("stop", {}), **request.stop} if request.keep_default_stop else request.stop
    frequency = request.checkpoint_freq
    return replace(
        request,
        experiment=saved["experiment"],
        env=saved["env"],
        seed=saved["seed"],
        overrides={**saved.get("overrides", {}), **request.overrides},
        stop=stop,
        keep_default_stop=False,
        checkpoint_freq=options.get("checkpoint_freq") if frequency is None else frequency,
        storage=chosen_storage(request.storage, options.get("storage")),
    )


def check_early(request: TrainRequest) -> None:
    """What can be known to be wrong before Ray starts."""
    experiment = get_experiment(request.experiment)
    env = request.env or experiment.env
    problems = []
    for rule, limit in request.stop.items():
        if rule not in STOP_RULES:
            problems.append(f"--stop {rule}: unknown rule. Known: {', '.join(STOP_RULES)}.")
        elif rule != "return" and limit <= 0:
            problems.append(f"--stop {rule}={limit:g}: must be above 0.")
    for option, value, least in (
        ("--keep", request.keep, 1),
        ("--num-samples", request.num_samples, 1),
        ("--max-failures", request.max_failures, 0),
        ("--checkpoint-freq", request.checkpoint_freq, 0),
        ("--evaluate-episodes", request.evaluate_episodes, 0),
        ("--film-every", request.film_every, 0),
        ("--num-env-runners", request.num_env_runners, 0),
        ("--num-gpus", request.num_gpus, 0),
        ("--seed", request.seed, 0),
        ("--workers", request.workers, 0),
        ("--min-workers", request.min_workers, 0),
    ):
        if value is not None and value < least:
            problems.append(f"{option} {value}: must be at least {least}.")
    if request.film_every and not experiment.particle:
        problems.append("--film-every: only particle worlds are filmed while they train.")
    if request.max_duration is not None and request.max_duration <= 0:
        problems.append(f"--max-duration {request.max_duration:g}: must be above 0 seconds.")
    if request.workers is None and (request.min_workers, request.start_timeout) != (None, None):
        problems.append("--min-workers and --start-timeout need --workers: how many are to join.")
    elif (request.min_workers or 0) > (request.workers or 0):
        problems.append(f"--min-workers {request.min_workers}: more than --workers.")
    try:
        _check_env(experiment, env, request.overrides)
    except UsageError as error:
        problems.append(str(error))
    if problems:
        raise UsageError("\n".join(problems))


def make_plan(request: TrainRequest, machine: Machine) -> Plan:
    """Build and check the config; `UsageError` lists what is wrong with it."""
    experiment = get_experiment(request.experiment)
    env = request.env or experiment.env
    seed = experiment.default_seed if request.seed is None else request.seed
    default_stop = experiment.stop if env == experiment.env else without_return(experiment.stop)
    stop = {**default_stop, **request.stop} if request.keep_default_stop else dict(request.stop)
    frequency = request.checkpoint_freq
    checkpoint_freq = experiment.checkpoint_frequency if frequency is None else frequency

    if request.num_gpus is not None:
        check_fits(machine, 0, request.num_gpus, 1)
        machine = replace(machine, gpus=request.num_gpus)
    config = experiment.build_config(env, machine)
    plain = type(config)()
    preset = _differences(config, plain)
    if request.num_env_runners is not None:
        config.num_env_runners = request.num_env_runners
    apply_overrides(config, request.overrides)
    for key, text in request.search.items():
        parse_search_space(key, text)
        apply_overrides(config.copy(copy_frozen=False), {key: None})  # is there such a setting?
    config.debugging(seed=seed)
    # The learner stays on the head: the machine with the GPU, and the one that is not a spot one.
    config.resources(custom_resources_for_main_process={"node:__internal_head__": 0.001})
    gpus = float(config.num_gpus_per_learner or 0)
    check_fits(machine, config.num_env_runners, gpus, float(config.num_cpus_per_env_runner))
    try:
        config.validate()
    except (ValueError, NotImplementedError) as error:
        raise UsageError(
            f"the configuration is not valid: {' '.join(str(error).split())}"
        ) from error

    content = {
        "experiment": experiment.name,
        "algorithm": experiment.algorithm,
        "env": env,
        "env_config": json_safe(dict(config.env_config)),
        "seed": seed,
        "stop": stop,
        "options": {
            "checkpoint_freq": checkpoint_freq,
            "checkpoint_at_end": request.checkpoint_at_end,
            "keep": request.keep,
            "max_duration": request.max_duration,
            "storage": request.storage,
            "max_failures": request.max_failures,
            "num_samples": request.num_samples,
        },
        "overrides": json_safe({**request.overrides, **request.search}),
        "resources": {
            "cpus": machine.cpus,
            "gpus": machine.gpus,
            "env_runners": config.num_env_runners,
            "learner_device": "cuda" if gpus else "cpu",
        },
        "preset": preset,
        "rllib": json_safe(config.to_dict()),
    }
    film_every = experiment.film_every if request.film_every is None else request.film_every
    if not request.video:
        film_every = 0
    return Plan(experiment, env, seed, stop, checkpoint_freq, config, content, film_every)


def without_return(stop: Mapping[str, float]) -> dict[str, float]:
    """A target return belongs to one game; another game keeps the other rules."""
    return {rule: limit for rule, limit in stop.items() if rule != "return"}


def json_safe(value: Any) -> Any:
    """`value` with everything that JSON lacks as text."""
    if isinstance(value, Mapping):
        return {str(k): json_safe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(v) for v in value]
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return type(value).__name__ if "object at 0x" in repr(value) else str(value)


def _check_env(experiment: Experiment, env: str, overrides: Mapping[str, Any]) -> None:
    if not env:
        raise UsageError(
            f"the experiment {experiment.name!r} needs an environment: --env with a Gymnasium id "
            "such as Acrobot-v1, or your own as module:Class."
        )
    prefix = "env_config."
    given = {k.removeprefix(prefix): v for k, v in overrides.items() if k.startswith(prefix)}
    if experiment.particle:
        check_world(env, given)
        return
    if is_particle(env):
        raise UsageError(
            f"{env} is a particle world: train it with `savanna train particle --scenario {env}`."
        )
    from training.envs.single import check_single_env, is_registered

    impala = experiment.algorithm == "IMPALA"
    if impala and (is_custom(env) or is_registered(env)):
        raise UsageError(f"{env} is no Atari game: train it with `savanna train gym --env {env}`.")
    if is_atari(env) or impala:
        parse_atari_id(env)
        if not impala:
            raise UsageError(
                f"{env} is an Atari game: train it with `savanna train atari --env {env}`."
            )
        return
    check_single_env(env, given)


def _differences(config: AlgorithmConfig, plain: AlgorithmConfig) -> dict[str, Any]:
    mine, theirs = json_safe(config.to_dict()), json_safe(plain.to_dict())
    return {
        key: value
        for key, value in mine.items()
        if value != theirs.get(key) and key not in ("env", "env_config") and not key.startswith("_")
    } | {f"model.{k}": v for k, v in json_safe(dict(config.model_config)).items()}
