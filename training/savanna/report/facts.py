"""The report's text and tables, read only from the run directory."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from savanna.envs.families import environment_of
from savanna.errors import UsageError
from savanna.experiments import EXPERIMENTS, get_experiment
from savanna.metrics import EPISODE_WINDOW
from savanna.recording.text import clock, compact
from savanna.report.evaluated import episodes_of, evaluated, interval_of
from savanna.report.scales import number
from savanna.runs.directory import REFERENCES, RunDirectory, is_usual

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Tile:
    """One number of the headline."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class CheckpointRow:
    """One row of the table of checkpoints; unknown values are a dash."""

    number: int
    iteration: str
    agent_steps: str
    time: str
    training_return: str
    evaluated: tuple[tuple[str, str], ...]  # mean, and its interval and number of episodes
    best: bool
    kept: bool


def references(run: RunDirectory) -> dict[str, float]:
    """Mean returns of random and scripted play, if known for the run's environment."""
    measured: dict[str, float] = run.read_json(REFERENCES, {})
    if measured:
        return measured
    config = run.config
    try:
        experiment = get_experiment(str(config.get("experiment")))
    except UsageError:
        return {}
    if experiment.random_return is None or experiment.env != config.get("env"):
        return {}
    return {"random play": experiment.random_return}


def best_checkpoint(run: RunDirectory) -> int | None:
    try:
        return run.checkpoint("best").number
    except UsageError:
        return None


def tiles(run: RunDirectory, rows: Rows, evaluations: Sequence[Mapping[str, Any]]) -> list[Tile]:
    """The numbers of the headline, in the order in which people look for them."""
    returns = [(r["episode_return_mean"], r) for r in rows if _known(r, "episode_return_mean")]
    found = []
    if returns:
        final, last = returns[-1]
        best, at = max(returns, key=lambda pair: pair[0])
        episodes = min(EPISODE_WINDOW, int(last["episodes_total"]))
        found.append(
            Tile("Final return", number(final, even=True), f"mean of the last {episodes} episodes")
        )
        found.append(
            Tile(
                "Best return",
                number(best, even=True),
                f"at {compact(at['agent_steps'])} agent steps",
            )
        )
    best_number = best_checkpoint(run)
    for entry in evaluations:
        if entry["checkpoint"] == best_number and is_usual(entry):
            note = ", ".join([*interval_of(entry), f"checkpoint {best_number}", episodes_of(entry)])
            found.append(Tile("Evaluated", number(entry["mean"], even=True), note))
    if rows:
        last = rows[-1]
        if _known(last, "old_return_mean"):
            note = "the final return on the retired service's scale"
            found.append(Tile("Old scale", number(last["old_return_mean"]), note))
        found.append(
            Tile(
                "Agent steps",
                compact(last["agent_steps"]),
                f"{last['episodes_total']:,.0f} episodes, {last['iteration']:,.0f} iterations",
            )
        )
        rate = last["agent_steps"] / last["seconds"] if last["seconds"] > 0 else math.nan
        found.append(
            Tile("Training time", clock(last["seconds"]), f"{compact(rate)} agent steps per second")
        )
    return found


def sentence(run: RunDirectory, rows: Rows, known_play: Mapping[str, float]) -> str:
    """The result as text."""
    config = run.config
    returns = [r for r in rows if _known(r, "episode_return_mean")]
    if not rows:
        return "No iteration has been recorded."
    if not returns:
        return f"No episode has finished in {rows[-1]['agent_steps']:,.0f} agent steps."
    last = returns[-1]
    reached = number(last["episode_return_mean"], even=True)
    text = (
        f"{config.get('algorithm', 'The agent')} reached a mean return of {reached} after "
        f"{last['agent_steps']:,.0f} agent steps and {clock(last['seconds'])} of training."
    )
    scale = environment_of(config).old_scale
    if scale is not None:
        old = scale(last["episode_return_mean"])
        text = f"{text[:-1]}, {number(old)} on the retired service's scale."

    def shown(value: float) -> str:
        return number(value) + (f" ({number(scale(value))})" if scale else "")

    known = [f"{name} scores {shown(value)}" for name, value in known_play.items()]
    target = dict(config.get("stop") or {}).get("return")
    if target is not None:
        known.append(f"the target is {shown(float(target))}")
    if known:
        clause = " and ".join(filter(None, (", ".join(known[:-1]), known[-1])))
        text += f" {clause[0].upper()}{clause[1:]}."
    return text


def node_shares(run: RunDirectory) -> dict[str, str]:
    """Where the samples came from, if from several machines."""
    shares = run.node_shares()
    if len(shares) < 2:
        return {}
    return {f"sampled on {node}": f"{share:.0%}" for node, share in shares.items()}


def checkpoint_rows(
    run: RunDirectory, evaluations: Sequence[Mapping[str, Any]]
) -> list[CheckpointRow]:
    """Every checkpoint that was kept or evaluated, oldest first."""
    best = best_checkpoint(run)
    kept = {c.number: c for c in run.checkpoints()}
    found = []
    for key in sorted({*kept, *(int(e["checkpoint"]) for e in evaluations)}):
        info = kept.get(key)
        found.append(
            CheckpointRow(
                number=key,
                iteration=f"{info.iteration:,}" if info else number(math.nan),
                agent_steps=f"{info.agent_steps:,}" if info else number(math.nan),
                time=clock(info.seconds if info else math.nan),
                training_return=number(info.episode_return_mean if info else math.nan, even=True),
                evaluated=tuple(evaluated(e) for e in evaluations if e["checkpoint"] == key),
                best=key == best,
                kept=info is not None,
            )
        )
    return found


def commands(run: RunDirectory) -> list[tuple[str, str]]:
    """The next commands, as (purpose, command)."""
    config, metadata = run.config, run.metadata
    root = run.path.parent.parent.name
    name = [f"{run.experiment}/{run.id}", *([] if root == "runs" else ["--runs-root", root])]
    git = metadata.get("git") or {}
    typed = [str(part) for part in metadata.get("command") or ()]
    found = []
    if git.get("sha"):
        found.append(("Get the same code", f"git checkout {shlex.quote(str(git['sha']))}"))
    found.append(("Reproduce this run", shlex.join(_reproduce(config))))
    if typed:
        typed[0] = typed[0].rsplit("/", 1)[-1]
        found.append(("The original command", shlex.join(typed)))
    found += [
        (what, shlex.join(["savanna", *rest]))
        for what, rest in (
            ("Resume it", ["train", _experiment(config), "--resume", *name]),
            ("Evaluate its best checkpoint", ["evaluate", *name]),
            ("Make a film", ["video", *name]),
            ("Export the policy to ONNX", ["export", *name]),
        )
    ]
    return found


def _reproduce(config: Mapping[str, Any]) -> list[str]:
    words = ["savanna", "train", name := _experiment(config)]
    algorithm = config.get("algorithm")
    if algorithm and name in EXPERIMENTS and EXPERIMENTS[name].algorithm != algorithm:
        words += ["--algorithm", algorithm.lower()]
    words += ["--env", str(config["env"])] if config.get("env") else []
    words += ["--seed", str(config.get("seed", 0))]
    for key, value in dict(config.get("overrides") or {}).items():
        words += ["--set", f"{key}={_compact_json(value)}"]
    for key, value in dict(config.get("stop") or {}).items():
        words += ["--stop", f"{key}={value:g}"]
    return words


def _experiment(config: Mapping[str, Any]) -> str:
    return str(config.get("source") or config.get("experiment", ""))


def pairs(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A mapping as (name, text) rows."""
    return [(str(key), _compact_json(value)) for key, value in content.items()]


def machine(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The hardware as text; versions and commit are elsewhere."""
    hardware = dict(metadata.get("hardware") or {})
    gpus = hardware.pop("gpus", None)
    memory = hardware.pop("memory_gib", None)
    found = pairs(hardware)
    if memory is not None:
        found.append(("memory", f"{number(float(memory))} GiB"))
    if gpus is not None:
        found.append(("gpus", ", ".join(map(str, gpus)) or "none"))
    return found


def moment(text: Any) -> str:
    """An ISO time as `2026-03-01 08:00 UTC`; other text unchanged."""
    try:
        return datetime.fromisoformat(str(text)).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return str(text or "")


def _compact_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _known(row: Mapping[str, float], name: str) -> bool:
    return math.isfinite(row.get(name, math.nan))
