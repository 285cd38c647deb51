"""The policy as ONNX, to run anywhere, with a description of its input."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from savanna import __version__
from savanna.envs.environment import each
from savanna.envs.families import environment_of
from savanna.errors import SavannaError, UsageError, explained
from savanna.evaluation.policy import STATE, Policy, mean_and_deviation, outputs_of, stretched
from savanna.evaluation.team import load_team
from savanna.files import make_writable, replacing
from savanna.runs.directory import RunDirectory

TOLERANCE = 1e-3
CHECKED = 256  # observations
NEXT_STATE = "next_state"
ALONE = "observations"
"""Name of the input where observations have one part."""


class _Graph(torch.nn.Module):
    """Observations -> logits and the most likely action, as one graph."""

    def __init__(self, policy: Policy, names: list[str]) -> None:
        super().__init__()
        self.module, self.actions, self.names = policy.module, policy.actions, names

    def forward(self, *observations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.outputs(observations)
        assert self.actions is not None
        action = self.actions.for_env(self.actions.best(outputs))
        return (action,) if self.actions.continuous else (outputs, action)

    def outputs(self, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return outputs_of(self.module, self.seen(parts))

    def seen(self, parts: tuple[torch.Tensor, ...]) -> Any:
        return parts[0] if self.names == [ALONE] else dict(zip(self.names, parts, strict=True))


class _Remembering(_Graph):
    """Observations and the memory's state -> the same, and its next state."""

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        *parts, state = given
        outputs, following = self.module.step(self.seen(tuple(parts)), state)
        assert self.actions is not None
        action = self.actions.for_env(self.actions.best(outputs))
        chosen = (action,) if self.actions.continuous else (outputs, action)
        return *chosen, following


class _Actor(_Graph):
    """Observations -> continuous actions in 0..1."""

    def forward(self, *observations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        best = mean_and_deviation(self.module, self.outputs(observations))[0].clamp(0.0, 1.0)
        return (stretched(self.module.action_space, best),)


def export(run: RunDirectory, which: str = "best", *, output: Path | None = None) -> Path:
    """Write `model.onnx` and `model.json` to the folder `output` (the run's own by default).

    With several agents, each network has a file with its name, and `model.json` says which agent
    uses which. Returns the path of the main file. Existing files are replaced, all of them or
    none.
    A graph takes raw observations `[batch, ...]` (bytes for Atari; it standardizes them), one input
    for each part of them, and returns `logits` `[batch, choices]` and `action` `[batch]` (`[batch,
    count]` where several are given at once), or a continuous `action` `[batch, size]`. It is
    checked on observations from real play: `SavannaError`, and no file, unless it acts like the
    checkpoint.
    """
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")):
        raise UsageError(
            "ONNX is not installed here (the images omit it). Download the run to your own "
            "machine with `savanna fetch` and export it there."
        )
    info = run.checkpoint(which)
    folder = output or run.path
    try:
        make_writable(folder)
    except OSError as error:
        raise SavannaError(
            f"cannot write {explained(error)}. Name another folder with --output."
        ) from error
    environment = environment_of(run.config)
    team = load_team(run.checkpoint_path(info.number), run.config)
    for policy in team.policies:
        if hasattr(policy.module, "_bfloat16"):
            policy.module._bfloat16 = False  # not every ONNX runtime has bfloat16
    seen = environment.observations(team.act, CHECKED)
    with contextlib.ExitStack() as stack:
        description = stack.enter_context(replacing(folder / "model.json"))
        written: dict[str, Path] = {}
        networks = []
        for name, policy, observations in zip(team.names, team.policies, seen, strict=True):
            file = environment.model_file(name)
            if file not in written:
                written[file] = stack.enter_context(replacing(folder / file))
                write_graph(policy, observations, written[file])
            difference = check(written[file], policy, observations)
            networks.append(_described(file, policy, observations, difference))
        content = {
            "env": environment.name,
            "run": f"{run.experiment}/{run.id}",
            "checkpoint": info.number,
            "savanna": __version__,
            "torch": version("torch"),
            **environment.export_description(networks),
        }
        description.write_text(json.dumps(content, indent=2) + "\n")
    return folder / environment.exported


def _parts(observations: Any) -> dict[str, NDArray[Any]]:
    """The inputs by name."""
    return dict(observations) if isinstance(observations, Mapping) else {ALONE: observations}


def _described(file: str, policy: Policy, observations: Any, difference: float) -> dict[str, Any]:
    parts = _parts(observations)
    few = each(lambda array: array[:1], observations)
    found, _ = policy.outputs(few, _any_state(policy, few))
    outputs = {"action": ["batch", *policy.decide(found).shape[1:]]}
    if not policy.continuous:
        outputs["logits"] = ["batch", found.shape[1]]
    inputs = [
        {"name": name, "dtype": str(array.dtype), "shape": ["batch", *array.shape[1:]]}
        for name, array in parts.items()
    ]
    if policy.remembers:
        size = policy.module.no_state(1).shape[1]
        inputs.append({"name": STATE, "dtype": "float32", "shape": ["batch", size]})
        outputs[NEXT_STATE] = ["batch", size]
    return {
        "file": file,
        "input": inputs[0] if len(inputs) == 1 else inputs,
        "outputs": outputs,
        "check": {
            "observations": len(next(iter(parts.values()))),
            "largest_difference": difference,
        },
    }


def check(model: Path, policy: Policy, observations: Any) -> float:
    """The largest difference between logits, or continuous actions (relative, above 1);
    `SavannaError` if too large or an action differs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    state = _any_state(policy, observations)
    outputs, following = policy.outputs(observations, state)
    expected = policy.decide(outputs) if policy.continuous else outputs.numpy()
    inputs = _parts(observations) | ({} if state is None else {STATE: state.numpy()})
    used = {given.name for given in session.get_inputs()}
    found = session.run(None, {name: array for name, array in inputs.items() if name in used})
    scale = np.maximum(1, np.abs(expected))
    difference = float((np.abs(found[0] - expected) / scale).max())
    if following is not None:
        difference = max(difference, float(np.abs(found[-1] - following.numpy()).max()))
    if policy.continuous:
        if difference > TOLERANCE:
            raise SavannaError(
                f"the exported model does not act like the checkpoint: off by {difference:.2g}"
            )
        return difference
    same = _same_choices(found[1], expected, policy.module.action_space)
    if difference > TOLERANCE or not same.all():
        raise SavannaError(
            f"the exported model does not act like the checkpoint: logits off by {difference:.2g}, "
            f"{int((~same).sum())} of {len(same)} actions differ"
        )
    return difference


def _any_state(policy: Policy, observations: Any) -> torch.Tensor | None:
    """Some state of the memory, if there is one."""
    if not policy.remembers:
        return None
    count = len(next(iter(_parts(observations).values())))
    return torch.randn(policy.module.no_state(count).shape, generator=torch.Generator()) / 2


def _same_choices(
    actions: NDArray[Any], expected: NDArray[Any], space: gym.Space[Any]
) -> NDArray[np.bool_]:
    """Whether each action is the best by the `expected` logits; where two are equally good, both
    count as right."""
    several = isinstance(space, gym.spaces.MultiDiscrete)
    borders: Any = np.cumsum(space.nvec)[:-1] if several else []  # type: ignore[attr-defined]
    same = np.ones(len(actions), bool)
    columns = actions.T if several else [actions]
    for chosen, logits in zip(columns, np.split(expected, borders, axis=1), strict=True):
        given = np.take_along_axis(logits, chosen[:, None], axis=1)[:, 0]
        same &= given >= logits.max(axis=1) - 2 * TOLERANCE
    return same


def write_graph(policy: Policy, observations: Any, model: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    parts = _parts(observations)
    state = _any_state(policy, observations)
    kind = _Actor if policy.actions is None else _Graph if state is None else _Remembering
    arrays = [torch.from_numpy(array) for array in parts.values()]
    arrays += [] if state is None else [state]
    outputs = ["action"] if policy.continuous else ["logits", "action"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            kind(policy, list(parts)).eval(),
            tuple(array[:2] for array in arrays),
            str(model),
            input_names=[*parts, *([] if state is None else [STATE])],
            output_names=[*outputs, *([] if state is None else [NEXT_STATE])],
            dynamic_shapes=(tuple({0: batch} for _ in arrays),),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
