"""Evaluating checkpoints, with fixed seeds and an interval for every mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from savanna.envs.environment import Act, Played
from savanna.envs.families import environment_of
from savanna.envs.particle.world import OldScale
from savanna.errors import UsageError
from savanna.evaluation.pace import SECONDS, Pace
from savanna.evaluation.team import load_team
from savanna.evaluation.threads import one_thread
from savanna.interval import half_width
from savanna.runs.directory import RunDirectory
from savanna.streams import say

PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Evaluation:
    """Returns of `episodes` episodes, episode i played with `seed + i`."""

    checkpoint: int
    episodes: int
    seed: int
    mean: float
    ci95: tuple[float, float] | None  # of the mean, Student's t; one episode has none
    std: float
    min: float
    max: float
    percentiles: dict[str, float]
    length_mean: float  # agent steps
    explore: bool  # whether actions were drawn
    usual: bool  # as this environment is evaluated unless asked otherwise
    cut: int  # episodes that ran out of time; they count with the return they had
    returns: list[float]
    at: str
    metrics: dict[str, float] = field(default_factory=dict)  # means of other measurements


def evaluate(
    run: RunDirectory,
    which: str = "best",
    *,
    episodes: int = 10,
    seed: int = 10_000,
    explore: bool | None = None,
    seconds: float = SECONDS,
) -> list[Evaluation]:
    """Evaluate one checkpoint, or with `which="all"` every kept one on the same seeds.

    Adds each to the run's `evaluations.json` as soon as it is there. See `measure`.
    """
    found = []
    for result in measure(
        run, which, episodes=episodes, seed=seed, explore=explore, seconds=seconds
    ):
        store(run, result)
        say(headline(result))
        found.append(result)
    return found


def measure(
    run: RunDirectory,
    which: str = "best",
    *,
    episodes: int = 10,
    seed: int = 10_000,
    explore: bool | None = None,
    seconds: float = SECONDS,
) -> Iterator[Evaluation]:
    """The evaluations, each as soon as it is there; nothing is written.

    `explore` draws actions: from the policy, or with the training's mean noise where actors give
    continuous actions. Otherwise they are the most probable ones, which is the policy that people
    export and deploy. By default the environment decides (`evaluated_with_draws`). Both repeat to
    the last digit, unless a checkpoint's episodes take more than `seconds` and are cut.
    """
    chosen = run.checkpoints() if which == "all" else [run.checkpoint(which)]
    if not chosen:
        raise UsageError(f"run {run.id} has no checkpoint yet: {run.path}")
    config = run.config
    environment = environment_of(config)
    usual = environment.evaluated_with_draws
    explore = usual if explore is None else explore
    pace = Pace(episodes, seconds)

    def players() -> Iterator[Act]:
        for info in chosen:
            team = load_team(run.checkpoint_path(info.number), config)
            pace.begin(info.number)
            yield team.act

    everything = environment.play(players(), episodes, seed, explore, pace)
    with one_thread():
        for info, played in zip(chosen, everything, strict=True):
            result = summarize(info.number, played, seed, explore, environment.old_scale)
            yield replace(result, usual=explore == usual)


def headline(result: Evaluation) -> str:
    """What came out, in a line."""
    plural = "" if result.episodes == 1 else "s"
    cut = f", of which {result.cut} ran out of time" if result.cut else ""
    return (
        f"checkpoint {result.checkpoint}: mean {result.mean:.2f} of {result.episodes} "
        f"episode{plural}{cut}"
    )


def summarize(
    checkpoint: int,
    played: Sequence[Played],
    seed: int,
    explore: bool,
    scale: OldScale | None = None,
) -> Evaluation:
    """The statistics of one evaluation; `scale` adds the return on the retired service's scale."""
    values = np.asarray([episode.total for episode in played], float)
    names = played[0].metrics
    metrics = {name: float(np.mean([e.metrics[name] for e in played])) for name in names}
    mean, count = float(values.mean()), len(values)
    std = float(values.std(ddof=1)) if count > 1 else 0.0
    if scale is not None:
        metrics["old_return"] = scale(mean)
    half = half_width(values.tolist())
    return Evaluation(
        checkpoint=checkpoint,
        episodes=count,
        seed=seed,
        mean=mean,
        ci95=(mean - half, mean + half) if count > 1 else None,
        std=std,
        min=float(values.min()),
        max=float(values.max()),
        percentiles={str(p): float(np.percentile(values, p)) for p in PERCENTILES},
        length_mean=float(np.mean([episode.length for episode in played])),
        explore=explore,
        usual=True,
        cut=sum(episode.cut for episode in played),
        returns=values.tolist(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics=metrics,
    )


def store(run: RunDirectory, result: Evaluation) -> None:
    """Add to the run's `evaluations.json`, in place of an earlier one of that kind.

    Those of earlier versions do not say what is usual: it is what this one says. One with
    episodes that were cut does not replace one without.
    """
    usual = result.explore == result.usual
    old = [{"usual": e["explore"] == usual} | e for e in run.read_json("evaluations.json", [])]
    replaced = (result.checkpoint, result.explore)
    whole = [(e["checkpoint"], e["explore"]) for e in old if not e.get("cut")]
    if result.cut and replaced in whole:
        return
    kept = [e for e in old if (e["checkpoint"], e["explore"]) != replaced]
    run.write_json("evaluations.json", [*kept, asdict(result)])
