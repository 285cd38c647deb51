"""The policy as ONNX, to act anywhere, with a description of what it wants to see."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns

from savanna import __version__
from savanna.envs.atari import FRAME_SKIP, is_atari, parse_atari_id
from savanna.envs.multi_agent import is_particle
from savanna.envs.single import flattening, make_raw_env
from savanna.errors import SavannaError, UsageError
from savanna.evaluation.environments import make_vector_env
from savanna.evaluation.policy import Policy, load_policy, mean_and_deviation
from savanna.runs.directory import RunDirectory

TOLERANCE = 1e-3
CHECKED = 256  # observations


class _Graph(torch.nn.Module):
    """Observations -> logits and the most probable action, as one graph."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits = self.module._forward({Columns.OBS: observations})[Columns.ACTION_DIST_INPUTS]
        return logits, logits.argmax(dim=-1)


class _Actor(_Graph):
    """Observations -> continuous actions."""

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = self.module._forward({Columns.OBS: observations})[Columns.ACTION_DIST_INPUTS]
        return (mean_and_deviation(self.module, output)[0].clamp(0.0, 1.0),)


def export(run: RunDirectory, which: str = "best", *, output: Path | None = None) -> Path:
    """Write `model.onnx` and `model.json` to the folder `output` (the run's own by default).

    The graph takes raw observations `[batch, ...]` (bytes for Atari; standardizing is inside) and
    gives `logits` `[batch, actions]` and `action` `[batch]`. A particle world has a file for every
    network instead (`export_team`). It is checked on observations of real
    play: `SavannaError`, and no file, unless it acts as the checkpoint does.
    """
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")):
        raise UsageError(
            "ONNX is not installed here (the images leave it out): bring the run to your own "
            "machine with `savanna fetch` and export it there."
        )
    info = run.checkpoint(which)
    if is_particle(run.config["env"]):
        from savanna.evaluation.team_export import export_team

        return export_team(run, info.number, output or run.path)
    policy = load_policy(run.checkpoint_path(info.number))
    if hasattr(policy.module, "_bfloat16"):
        policy.module._bfloat16 = False  # not every ONNX runtime has bfloat16
    observations = _real_play(policy, run.config)
    folder = output or run.path
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.onnx"
    write_graph(policy, observations, model)
    try:
        difference = check(model, policy, observations)
    except SavannaError:
        model.unlink()
        raise
    description = _describe(run, info.number, policy, observations) | {
        "check": {"observations": len(observations), "largest_logit_difference": difference}
    }
    (folder / "model.json").write_text(json.dumps(description, indent=2) + "\n")
    return model


def check(model: Path, policy: Policy, observations: NDArray[Any]) -> float:
    """The largest difference of a logit; `SavannaError` if it is large or an action differs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    found = session.run(None, {"observations": observations})
    expected = policy.act(observations) if policy.continuous else policy.logits(observations)
    difference = float(np.abs(found[0] - expected).max())
    if policy.continuous:
        if difference > TOLERANCE:
            raise SavannaError(
                f"the exported model does not act as the checkpoint: off by {difference:.2g}"
            )
        return difference
    actions = found[1]
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 2 * TOLERANCE  # else either action is the checkpoint's
    same = (actions == expected.argmax(axis=1)) | ~clear
    if difference > TOLERANCE or not same.all():
        raise SavannaError(
            f"the exported model does not act as the checkpoint: logits off by {difference:.2g}, "
            f"{int((~same).sum())} of {len(same)} actions differ"
        )
    return difference


def write_graph(policy: Policy, observations: NDArray[Any], model: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            (_Actor if policy.continuous else _Graph)(policy.module).eval(),
            (torch.from_numpy(observations[:2]),),
            str(model),
            input_names=["observations"],
            output_names=["action"] if policy.continuous else ["logits", "action"],
            dynamic_shapes=({0: batch},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _real_play(policy: Policy, config: dict[str, Any]) -> NDArray[Any]:
    """`CHECKED` observations from playing, some random actions among the policy's."""
    envs = make_vector_env(config, 4)
    rng = np.random.default_rng(0)
    observations, _ = envs.reset(seed=0)
    seen: list[NDArray[Any]] = []
    choices = int(envs.action_space.nvec[0])  # type: ignore[attr-defined]
    while len(seen) * 4 < CHECKED:
        seen.append(observations)
        for _ in range(8):
            random = rng.integers(0, choices, 4)
            actions = np.where(rng.random(4) < 0.2, random, policy.act(observations))
            observations, *_ = envs.step(actions)
    envs.close()
    return np.concatenate(seen)


def _describe(
    run: RunDirectory, number: int, policy: Policy, observations: NDArray[Any]
) -> dict[str, Any]:
    config = run.config
    description: dict[str, Any] = {
        "env": config["env"],
        "run": f"{run.experiment}/{run.id}",
        "checkpoint": number,
        "savanna": __version__,
        "torch": version("torch"),
        "input": {
            "name": "observations",
            "dtype": str(observations.dtype),
            "shape": ["batch", *observations.shape[1:]],
        },
        "outputs": {
            "logits": ["batch", int(policy.logits(observations[:1]).shape[1])],
            "action": ["batch"],
        },
    }
    if is_atari(config["env"]):
        description["preprocessing"] = atari_preprocessing(config)
    else:
        raw = make_raw_env(config["env"], config.get("env_config", {}))
        description["preprocessing"] = {"steps": list(flattening(raw.observation_space))}
        raw.close()
    return description


def atari_preprocessing(config: dict[str, Any]) -> dict[str, Any]:
    """How an emulator's screens become observations, enough to do it without this package."""
    from ale_py import ALEInterface, roms

    game = parse_atari_id(config["env"])
    ale = ALEInterface()
    ale.loadROM(roms.get_rom_path(game.rom))
    size = config["env_config"]["frame_size"]
    return {
        "actions": [action.name for action in ale.getMinimalActionSet()],
        "repeat_action_probability": game.repeat_action_probability,
        "steps": [
            "start: FIRE once where the game has that action, then up to 30 no-ops in all",
            f"repeat every action for {FRAME_SKIP} emulator frames, summing the rewards",
            "take the pixel-wise maximum of the last two frames",
            "convert to greyscale (the emulator's own luminance, ALE getScreenGrayscale)",
            f"resize to {size} x {size} by area averaging (OpenCV INTER_AREA)",
            f"stack the last {config['env_config']['frame_stack']} frames, oldest first, zeros "
            "before the episode's first frame",
            "no scaling: the model takes bytes",
        ],
    }
