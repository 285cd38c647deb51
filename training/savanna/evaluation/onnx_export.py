"""The policy as ONNX, to run anywhere, with a description of its input."""

from __future__ import annotations

import contextlib
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

from savanna import __version__
from savanna.envs.families import environment_of
from savanna.errors import SavannaError, UsageError, explained
from savanna.evaluation.policy import Policy, mean_and_deviation, outputs_of
from savanna.evaluation.team import load_team
from savanna.files import make_writable, replacing
from savanna.runs.directory import RunDirectory

TOLERANCE = 1e-3
CHECKED = 256  # observations


class _Graph(torch.nn.Module):
    """Observations -> logits and the most likely action, as one graph."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits = outputs_of(self.module, observations)
        return logits, logits.argmax(dim=-1)


class _Actor(_Graph):
    """Observations -> continuous actions."""

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = outputs_of(self.module, observations)
        return (mean_and_deviation(self.module, output)[0].clamp(0.0, 1.0),)


def export(run: RunDirectory, which: str = "best", *, output: Path | None = None) -> Path:
    """Write `model.onnx` and `model.json` to the folder `output` (the run's own by default).

    With several agents, each network has a file with its name, and `model.json` says which agent
    uses which. Returns the path of the main file. Existing files are replaced, all of them or
    none.
    A graph takes raw observations `[batch, ...]` (bytes for Atari; it standardizes them) and
    returns `logits` `[batch, actions]` and `action` `[batch]`, or a continuous `action` `[batch,
    size]`. It is checked on observations from real play: `SavannaError`, and no file, unless it
    acts like the checkpoint.
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


def _described(
    file: str, policy: Policy, observations: NDArray[Any], difference: float
) -> dict[str, Any]:
    size = policy.act(observations[:1]).shape[1:] if policy.continuous else ()
    outputs = {"action": ["batch", *size]}
    if not policy.continuous:
        outputs["logits"] = ["batch", policy.logits(observations[:1]).shape[1]]
    return {
        "file": file,
        "input": {
            "name": "observations",
            "dtype": str(observations.dtype),
            "shape": ["batch", *observations.shape[1:]],
        },
        "outputs": outputs,
        "check": {"observations": len(observations), "largest_difference": difference},
    }


def check(model: Path, policy: Policy, observations: NDArray[Any]) -> float:
    """The largest difference between logits; `SavannaError` if too large or an action differs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    found = session.run(None, {"observations": observations})
    expected = policy.act(observations) if policy.continuous else policy.logits(observations)
    difference = float(np.abs(found[0] - expected).max())
    if policy.continuous:
        if difference > TOLERANCE:
            raise SavannaError(
                f"the exported model does not act like the checkpoint: off by {difference:.2g}"
            )
        return difference
    actions = found[1]
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 2 * TOLERANCE  # else both actions count as right
    same = (actions == expected.argmax(axis=1)) | ~clear
    if difference > TOLERANCE or not same.all():
        raise SavannaError(
            f"the exported model does not act like the checkpoint: logits off by {difference:.2g}, "
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
