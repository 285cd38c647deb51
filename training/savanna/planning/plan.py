"""Resolving a request into a checked config and the content of `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from savanna.envs.families import environment_of
from savanna.errors import UsageError
from savanna.experiments import Experiment, Machine, get_experiment
from savanna.planning.checks import check_fits
from savanna.planning.overrides import apply_overrides
from savanna.planning.request import Kept, TrainRequest
from savanna.planning.resumed_settings import restore, snapshot
from savanna.planning.search_space import apply_drawn, check_values, count_runs, with_seeds
from savanna.planning.target_return import converted, default_stop, env_settings, on_both_scales
from savanna.runs.group import SEED

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


@dataclass(frozen=True)
class Plan:
    """Everything decided before training starts."""

    experiment: Experiment
    env: str
    seed: int  # of the first run, if there are several
    search: Mapping[str, str]  # key -> search space, seeds included
    samples: int  # draws from it
    stop: Mapping[str, float]
    kept: Kept
    config: AlgorithmConfig
    content: dict[str, Any]  # of config.json
    notes: list[str] = field(default_factory=list)  # what the user may not expect

    @property
    def film_every(self) -> int:
        """Episodes per world between two films during training; 0: none."""
        return self.kept.film_every if self.kept.video else 0

    def content_with(self, drawn: Mapping[str, Any], group: str = "") -> dict[str, Any]:
        """`content` of the run in `group` that drew these settings."""
        if not drawn:
            return self.content
        config = self.config.copy(copy_frozen=False)
        apply_drawn(config, drawn)
        settings = {key: value for key, value in drawn.items() if key != SEED}
        made = {"name": group, "drawn": json_safe(drawn)}
        return {
            **self.content,
            "seed": drawn.get(SEED, self.seed),
            "options": {**self.content["options"], "group": made},
            "overrides": json_safe({**self.content["overrides"], **settings}),
            **_resolved(config),
        }

    def shown(self) -> dict[str, Any]:
        """What a dry run shows: `content`, and what follows from it."""
        environment = environment_of(self.content)
        runs = {"count": self.content["options"]["runs"], "drawn": dict(self.search)}
        target = on_both_scales(self.stop, environment)
        more: dict[str, Any] = {"runs": runs, "target": target}
        if environment.filmed_in_training:
            more["film_every"] = self.film_every
        return {**self.content, **more, **environment.shown, "notes": self.notes}


def make_plan(request: TrainRequest, machine: Machine) -> Plan:
    """Build and check the config; `UsageError` lists what is wrong with it."""
    experiment = get_experiment(request.experiment, request.algorithm)
    env = request.env or experiment.env
    seeds = request.seeds_from(experiment.default_seed)
    seed, search = seeds[0], with_seeds(request.search, seeds)
    samples = request.num_samples if request.search else 1
    kept = Kept.of(request, experiment)
    notes: list[str] = []

    if request.num_gpus is not None:
        check_fits(machine, 0, request.num_gpus, 1)
        machine = replace(machine, gpus=request.num_gpus)
    config = experiment.config(env, machine)
    if request.settings:
        notes += restore(config, request.settings, experiment, env)
    settings = snapshot(config, experiment, env)
    preset = _differences(config, type(config)())
    if request.num_env_runners is not None:
        config.num_env_runners = request.num_env_runners
    apply_overrides(config, request.overrides)
    check_values(config, request.search)
    config.debugging(seed=seed)
    # The learner stays on the head, which has the GPU and is not a spot machine.
    config.resources(custom_resources_for_main_process={"node:__internal_head__": 0.001})
    gpus = float(config.num_gpus_per_learner or 0)
    check_fits(machine, config.num_env_runners, gpus, float(config.num_cpus_per_env_runner))
    try:
        config.validate()
    except (ValueError, NotImplementedError) as error:
        raise UsageError(
            f"the configuration is not valid: {' '.join(str(error).split())}"
        ) from error

    environment = experiment.family(env, {**config.env_config, **env_settings(request.search)})
    stop = dict(request.stop)
    if request.keep_default_stop:
        default, lines = default_stop(experiment, environment)
        stop = {**default, **stop}
        notes += [] if any(rule.endswith("return") for rule in stop) else lines
    stop = converted(stop, environment)
    content = {
        "experiment": experiment.name,
        **({"source": experiment.source} if experiment.source else {}),
        "algorithm": experiment.algorithm,
        "env": env,
        "seed": seed,
        "stop": stop,
        "options": {
            **asdict(kept),
            "max_duration": request.max_duration,
            "storage": request.storage,
            "runs": count_runs(search, samples),
            "group": request.group,
        },
        "overrides": json_safe({**request.overrides, **request.search}),
        "resources": {
            "cpus": machine.cpus,
            "gpus": machine.gpus,
            "env_runners": config.num_env_runners,
            "learner_device": "cuda" if gpus else "cpu",
        },
        "preset": preset,
        "settings": json_safe(settings),
        **_resolved(config),
    }
    return Plan(experiment, env, seed, search, samples, stop, kept, config, content, notes)


def _resolved(config: AlgorithmConfig) -> dict[str, Any]:
    return {"env_config": json_safe(dict(config.env_config)), "rllib": json_safe(config.to_dict())}


def json_safe(value: Any) -> Any:
    """`value`, with everything that JSON cannot hold as text."""
    if isinstance(value, Mapping):
        return {str(k): json_safe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(v) for v in value]
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return json_safe(asdict(value))
    if hasattr(value, "__qualname__"):  # a class or a function
        return f"{value.__module__}.{value.__qualname__}"
    return type(value).__name__ if "object at 0x" in repr(value) else str(value)


def _differences(config: AlgorithmConfig, plain: AlgorithmConfig) -> dict[str, Any]:
    mine, theirs = json_safe(config.to_dict()), json_safe(plain.to_dict())
    return {
        key: value
        for key, value in mine.items()
        if value != theirs.get(key) and key not in ("env", "env_config") and not key.startswith("_")
    } | {f"model.{k}": v for k, v in json_safe(dict(config.model_config)).items()}
