"""The agents of a particle world as ONNX, a file for each network."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from savanna import __version__
from savanna.envs.multi_agent import module_names, worlds_of
from savanna.errors import SavannaError
from savanna.evaluation.onnx_export import CHECKED, check, write_graph
from savanna.evaluation.policy import Policy
from savanna.evaluation.team import Team, load_team
from savanna.runs.directory import RunDirectory

MOVES = "stay, left, right, down, up; one that also speaks: 5 x word + move"
STRENGTHS = "strengths of stay (no effect), left, right, down, up, then of words, each in 0..1"


def export_team(run: RunDirectory, number: int, folder: Path) -> Path:
    """Write `<network>.onnx` for every network of checkpoint `number`, and `model.json`.

    Returns the path of `model.json`, which says which agent uses which file. Each graph takes
    `observations` `[batch, size]` and gives `logits` and `action`; it is checked on observations
    of real play: `SavannaError`, and no file, unless it acts as the checkpoint does.
    """
    config = run.config
    team = load_team(run.checkpoint_path(number), config)
    agents = worlds_of(config, 1).agents
    names = module_names(agents, shared=bool(config["rllib"].get("share_parameters")))
    seen = _real_play(team, config)
    folder.mkdir(parents=True, exist_ok=True)
    described: dict[str, Any] = {}
    written: list[Path] = []
    try:
        for agent, name, policy, observations in zip(
            agents, names, team.policies, seen, strict=True
        ):
            model = folder / f"{name}.onnx"
            if model not in written:
                written.append(model)
                write_graph(policy, observations, model)
            described[agent.name] = {
                "file": model.name,
                "input": {
                    "name": "observations",
                    "dtype": "float32",
                    "shape": ["batch", agent.observation_size],
                },
                "outputs": _outputs(policy, agent.num_actions, agent.action_size),
                "check": {
                    "observations": len(observations),
                    "largest_difference": check(model, policy, observations),
                },
            }
    except SavannaError:
        for model in written:
            model.unlink()
        raise
    description = {
        "env": config["env"],
        "env_config": config.get("env_config", {}),
        "run": f"{run.experiment}/{run.id}",
        "checkpoint": number,
        "savanna": __version__,
        "torch": version("torch"),
        "agents": described,
        "actions": MOVES if agents[0].num_actions else STRENGTHS,
        "preprocessing": {"steps": ["none: observations as mpe2 gives them"]},
    }
    target = folder / "model.json"
    target.write_text(json.dumps(description, indent=2) + "\n")
    return target


def _outputs(policy: Policy, choices: int, size: int) -> dict[str, Any]:
    if policy.continuous:
        return {"action": ["batch", size]}
    return {"logits": ["batch", choices], "action": ["batch"]}


def _real_play(team: Team, config: dict[str, Any]) -> list[NDArray[np.float32]]:
    """Per agent at least `CHECKED` observations from playing."""
    worlds = worlds_of(config, 8)
    observations = worlds.reset(0)
    seen = []
    for _ in range(-(-CHECKED // 8)):
        seen.append(observations)
        observations = worlds.step(team.act(observations, np.random.default_rng(0))).observations
    return [np.concatenate(parts) for parts in zip(*seen, strict=True)]
