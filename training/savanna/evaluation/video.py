"""Films of policies, without a screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

from savanna.envs.atari import is_atari
from savanna.envs.multi_agent import is_particle
from savanna.envs.single import make_single_env
from savanna.errors import SavannaError
from savanna.evaluation.environments import make_vector_env
from savanna.evaluation.film import Picture, with_caption, write_film
from savanna.evaluation.policy import Policy, load_policy
from savanna.evaluation.team import load_team
from savanna.evaluation.team_film import FPS, play_filmed
from savanna.runs.checkpoints import CheckpointInfo
from savanna.runs.directory import RunDirectory

ATARI_FPS = 15
"""Real time: an agent step is four frames of a 60 Hz screen."""
LONGEST_SECONDS = 90
PANES = 4


@dataclass(frozen=True)
class Shot:
    """What the camera sees after `steps` agent steps."""

    picture: Picture
    steps: int
    score: float


def record_video(
    run: RunDirectory,
    which: str = "best",
    *,
    all_checkpoints: bool = False,
    seed: int = 10_000,
    max_steps: int | None = None,
) -> Path:
    """Film one episode, played greedily, to `videos/*.mp4` (H.264, plays in browsers).

    With `all_checkpoints` up to four checkpoints from first to last play the same seed side by
    side; those that finish early stand still. A film ends with the episode, after `max_steps`
    agent steps, or after 90 seconds.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame needs no screen then
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    chosen = _spread(run.checkpoints()) if all_checkpoints else [run.checkpoint(which)]
    if not chosen:
        run.checkpoint(which)  # says that there is none
    config = run.config
    fps = _fps(config)
    limit = min(max_steps or 10**9, LONGEST_SECONDS * fps)
    shots = [_play(run.checkpoint_path(c.number), config, seed) for c in chosen]
    run.videos.mkdir(exist_ok=True)
    name = "all-checkpoints" if all_checkpoints else f"checkpoint-{chosen[0].number:06d}"
    path = run.videos / f"{name}.mp4"
    first = write_film(path, _frames(shots, chosen, limit), fps)
    Image.fromarray(first).save(path.with_suffix(".jpg"), quality=85)  # the report's poster
    return path


def _spread(checkpoints: list[CheckpointInfo]) -> list[CheckpointInfo]:
    """At most `PANES` of them, first and last among them, evenly in between."""
    if len(checkpoints) <= PANES:
        return checkpoints
    picks = np.linspace(0, len(checkpoints) - 1, PANES).round().astype(int)
    return [checkpoints[i] for i in picks]


def _play(checkpoint: Path, config: dict[str, Any], seed: int) -> Iterator[Shot]:
    if is_particle(config["env"]):
        filmed = play_filmed(load_team(checkpoint, config), config, seed)
        return (Shot(*frame) for frame in filmed)
    policy = load_policy(checkpoint)
    return (_play_atari if is_atari(config["env"]) else _play_other)(policy, config, seed)


def _play_atari(policy: Policy, config: dict[str, Any], seed: int) -> Iterator[Shot]:
    """The same seed and actions in two environments, one seen by the policy, one by the camera."""
    seen = make_vector_env(config, 1)
    shown = make_vector_env(config, 1, colour=True, frame_stack=1)
    observation, _ = seen.reset(seed=seed)
    picture, _ = shown.reset(seed=seed)
    score, steps, over = 0.0, 0, False
    yield Shot(_enlarge(picture[0, 0]), steps, score)
    while not over:
        action = policy.act(observation)
        observation, reward, terminated, truncated, _ = seen.step(action)
        picture, same_reward, same_end, _, _ = shown.step(action)
        if reward[0] != same_reward[0] or terminated[0] != same_end[0]:
            raise SavannaError("the filmed game is not the one that the policy plays")
        steps, score = steps + 1, score + float(reward[0])
        over = bool(terminated[0] or truncated[0])
        yield Shot(_enlarge(picture[0, 0]), steps, score)


def _play_other(policy: Policy, config: dict[str, Any], seed: int) -> Iterator[Shot]:
    env = _make_filmed(config)
    observation, _ = env.reset(seed=seed)
    score, steps, over = 0.0, 0, False
    while not over:
        yield Shot(np.asarray(env.render(), np.uint8), steps, score)
        observation, reward, terminated, truncated, _ = env.step(policy.act(observation[None])[0])
        steps, score, over = steps + 1, score + float(reward), terminated or truncated
    yield Shot(np.asarray(env.render(), np.uint8), steps, score)
    env.close()


def _make_filmed(config: dict[str, Any]) -> gym.Env[Any, Any]:
    env = make_single_env(config["env"], config.get("env_config", {}), render_mode="rgb_array")
    if env.render_mode != "rgb_array":
        raise SavannaError(
            f"{config['env']} cannot be filmed: it needs a keyword render_mode that may be "
            "'rgb_array', and a render() that returns the picture then"
        )
    return env


def _fps(config: dict[str, Any]) -> int:
    if is_atari(config["env"]):
        return ATARI_FPS
    if is_particle(config["env"]):
        return FPS
    env = _make_filmed(config)
    env.close()
    return int(env.metadata.get("render_fps", 30))


def _enlarge(picture: Picture) -> Picture:
    """Twice the size, and wider: the console's pixels were not square."""
    return picture.repeat(2, axis=0).repeat(3, axis=1)


def _frames(
    shots: list[Iterator[Shot]], chosen: list[CheckpointInfo], limit: int
) -> Iterator[Picture]:
    current: list[Shot | None] = [None] * len(shots)
    for _ in range(limit + 1):
        moved = False
        for index, iterator in enumerate(shots):
            shot = next(iterator, None)
            if shot is not None:
                current[index], moved = shot, True
        if not moved:
            return
        panes = [_caption(s, c) for s, c in zip(current, chosen, strict=True) if s is not None]
        yield np.concatenate(panes, axis=1)


def _caption(shot: Shot, checkpoint: CheckpointInfo) -> Picture:
    """The picture with a line above it, even sides as H.264 wants them."""
    text = f"{checkpoint.agent_steps / 1000:,.0f}k steps trained   score {shot.score:+.0f}"
    return with_caption(shot.picture, text)
