"""What a run was built with: resuming builds the same, even if the preset has changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from savanna.envs.families import environment_of
from savanna.errors import UsageError
from savanna.experiments import Experiment, Machine, get_experiment, is_own
from savanna.planning.overrides import NESTED, nested
from savanna.planning.request import Kept, TrainRequest
from savanna.planning.target_return import env_settings, without_return
from savanna.runs.resumption import Resumption
from savanna.runs.storage import chosen_storage

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

_OF_NETWORKS = (
    "share_parameters",
    "num_critics",
    "good_policy",
    "adv_policy",
    "env_config.continuous",
    "env_config.frame_size",
    "env_config.frame_stack",
)
_COUNTS = ("env_config.num_agents", "env_config.num_adversaries")
_NOT_OURS = ("_is_frozen", "env", "seed")


def with_saved_settings(request: TrainRequest, resumption: Resumption | None) -> TrainRequest:
    """A resumed run keeps its own settings unless the command gives others.

    Raises `UsageError` if the command gives what cannot change in a run.
    """
    if resumption is None or resumption.run is None:
        request = replace(request, storage=chosen_storage(request.storage))
        return request if resumption is None else _begun_with(resumption, request)
    saved = resumption.run.config
    _check_same(request, resumption.run.id, saved)
    options = saved.get("options", {})
    overrides = {**saved.get("overrides", {}), **request.overrides}
    stop = dict(saved.get("stop", {})) if request.keep_default_stop else {}
    environment = environment_of(saved)
    if environment.task != environment.changed(env_settings(request.overrides)).task:
        stop = without_return(stop)
    kept = {f.name: options.get(f.name) for f in fields(Kept) if getattr(request, f.name) is None}
    return replace(
        request,
        experiment=experiment_of(saved),
        algorithm=saved.get("algorithm"),
        env=saved["env"],
        seed=saved["seed"],
        overrides=overrides,
        stop={**stop, **request.stop},
        keep_default_stop=False,
        storage=chosen_storage(request.storage, options.get("storage")),
        settings=saved.get("settings", {}),
        group=options.get("group"),
        **kept,
    )


def experiment_of(saved: Mapping[str, Any]) -> str:
    """What names the experiment of a `config.json`: for the user's own, where it is."""
    return str(saved.get("source") or saved["experiment"])


def _begun_with(resumption: Resumption, request: TrainRequest) -> TrainRequest:
    """A new run that starts from a checkpoint's networks is built like the checkpoint's run, unless
    it names an experiment."""
    if request.experiment is not None:
        return request
    folder, origin = resumption.checkpoint, resumption.origin
    if origin is None:
        raise UsageError(
            f"--resume {folder} starts a new run. Name its experiment, as in "
            f"`savanna train particle --resume {folder}`."
        )
    saved = origin.config
    if request.env not in (None, saved["env"]):
        raise UsageError(
            f"--env {request.env}: the checkpoint was trained on {saved['env']}. To use its "
            f"networks in another environment, name the experiment: {saved['experiment']}."
        )
    return replace(
        request,
        experiment=experiment_of(saved),
        algorithm=saved.get("algorithm"),
        env=saved["env"],
        overrides={**saved.get("overrides", {}), **request.overrides},
        settings=saved.get("settings", {}),
    )


def settings_of_networks(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a `config.json` that give networks their inputs, sizes and outputs."""
    rllib = config.get("rllib", {})
    found = {f"env_config.{name}": value for name, value in config.get("env_config", {}).items()}
    if isinstance(rllib.get("_model_config"), dict):
        found |= {f"model_config.{name}": v for name, v in rllib["_model_config"].items()}
    return {k: v for k, v in found.items() if _gives_size(k) or k in _COUNTS} | {
        name: rllib[name] for name in _OF_NETWORKS if name in rllib
    }


def _gives_size(key: str) -> bool:
    return key in _OF_NETWORKS or key.startswith("model_config.")


def _check_same(request: TrainRequest, run: str, saved: Mapping[str, Any]) -> None:
    problems = []
    named, algorithm = request.experiment, (request.algorithm or "").lower()
    if is_own(named) and saved.get("source"):
        named = get_experiment(named).source
    for option, given, had in (
        ("the experiment", named, experiment_of(saved)),
        ("--algorithm", algorithm or None, str(saved.get("algorithm", "")).lower()),
        ("--env", request.env, saved["env"]),
        ("--seed", request.seed, saved["seed"]),
    ):
        if given not in (None, had):
            problems.append(
                f"{option} {given}: --resume continues {run}, which has {had}. "
                "Leave it out, or start a new run."
            )
    problems += _other_networks(request, run, saved)
    if request.several:
        problems.append(
            f"--resume continues one run, {run}; --seeds, --num-samples and searches start "
            "new runs."
        )
    if problems:
        raise UsageError("\n".join(problems))


def _other_networks(request: TrainRequest, run: str, saved: Mapping[str, Any]) -> list[str]:
    """One line per setting that does not fit the checkpoint's networks."""
    before = settings_of_networks(saved)
    changed = {}
    for key, value in request.overrides.items():
        if _gives_size(key) and before.get(key, value) not in (value, _as_json(value)):
            changed[key] = value
    environment, given = environment_of(saved), env_settings(request.overrides)
    had, has = environment.task, environment.changed(given).task
    for key in _COUNTS:
        name = key.removeprefix("env_config.")
        if had.get(name) != has.get(name):
            changed[key], before[key] = given[name], had[name]
    return [
        f"--set {key}={value}: the networks of {run} were made with {before.get(key)}. "
        "Leave it out, or start a new run."
        for key, value in changed.items()
    ]


def _as_json(value: Any) -> Any:
    """`value` as read back from `config.json`, where a tuple is a list."""
    return json.loads(json.dumps(value, default=str))


def snapshot(config: AlgorithmConfig, experiment: Experiment, env: str) -> dict[str, Any]:
    """All of `config` that JSON can hold, except what depends on the machine."""
    ours = _plain(config)
    for name in _of_the_machine(experiment, env):
        ours.pop(name, None)
    return ours | {
        outer: {name: value for name, value in nested(config, outer).items() if _survives(value)}
        for outer, attribute in NESTED.items()
        if hasattr(config, attribute)
    }


def restore(
    config: AlgorithmConfig, saved: Mapping[str, Any], experiment: Experiment, env: str
) -> list[str]:
    """Turn `config`, today's preset, into what `snapshot` saw. Returns a line per lost setting.

    Settings that did not exist then get their defaults.
    """
    default = vars(type(config)())
    machine = _of_the_machine(experiment, env)
    for name, value in _plain(config).items():
        if name in saved:
            old = saved[name]
            setattr(config, name, tuple(old) if isinstance(value, tuple) else old)
        elif name not in machine:
            setattr(config, name, default[name])
    known = vars(config)
    for outer, attribute in NESTED.items():
        if outer in saved:
            setattr(config, attribute, dict(saved[outer]))
    return [
        f"the run's setting {name} = {value} no longer exists and is ignored"
        for name, value in saved.items()
        if name not in known and name not in NESTED
    ]


def _of_the_machine(experiment: Experiment, env: str) -> set[str]:
    """Names of settings that the preset adapts to the machine."""
    small = _plain(experiment.config(env, Machine(cpus=2, gpus=0)))
    large = _plain(experiment.config(env, Machine(cpus=64, gpus=1)))
    return {name for name in small if small[name] != large[name]} | {"num_env_runners"}


def _plain(config: AlgorithmConfig) -> dict[str, Any]:
    """Attributes that survive a round trip through JSON."""
    return {
        name: value
        for name, value in vars(config).items()
        if name not in _NOT_OURS and not isinstance(value, dict) and _survives(value)
    }


def _survives(value: Any) -> bool:
    plain = list(value) if isinstance(value, tuple) else value
    try:
        return bool(json.loads(json.dumps(plain)) == plain)
    except (TypeError, ValueError):
        return False
