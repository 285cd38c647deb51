"""What every algorithm's results say about the whole run, counted in one place.

Algorithms report each episode that ends (`report`). The trainable passes every result to a `Tally`
and saves its state in checkpoints, so that a resumed run continues the count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from savanna.algorithms.episode import Episode
from savanna.metrics import EPISODE_WINDOW, TALLY, lifetime_steps

if TYPE_CHECKING:
    from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

_ENDED = "episodes_ended"


def report(metrics: MetricsLogger, episode: Episode) -> None:
    """Add `episode`, which has just ended, to the result; `metrics` is an env runner's logger."""
    metrics.log_value(_ENDED, episode, reduce="item_series")


def put_into(result: dict[str, Any], episodes: Sequence[Episode]) -> None:
    """Add the `episodes` that ended in its iteration to `result`, if env runners do not report."""
    result.setdefault("env_runners", {})[_ENDED] = list(episodes)


class Tally:
    """The last 100 episodes in the order in which they ended, the total number of episodes, and the
    step counters after the last iteration."""

    def __init__(self) -> None:
        self._episodes: deque[Episode] = deque(maxlen=EPISODE_WINDOW)
        self._total = 0
        self._steps: tuple[int, int] | None = (0, 0)

    def update(self, result: dict[str, Any]) -> None:
        """Replace the episodes in an iteration's result with the statistics so far."""
        ended = result.get("env_runners", {}).pop(_ENDED, ())
        if isinstance(ended, Episode):
            ended = [ended]  # RLlib unwraps a list of one item
        self._episodes.extend(ended)
        self._total += len(ended)
        before, self._steps = self._steps, lifetime_steps(result)
        result[TALLY] = {"episodes": self._total}
        # A checkpoint of an older version may lack episodes: then there is no mean of the last 100.
        if self._total and len(self._episodes) == min(self._total, EPISODE_WINDOW):
            result[TALLY] |= _statistics(self._episodes)
        if before is not None:
            sampled, trained = self._steps
            result[TALLY] |= {"sampled": sampled - before[0], "trained": trained - before[1]}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        episodes = [tuple(episode) for episode in self._episodes]
        return {"episodes": episodes, "total": self._total, "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`. It replaces the current one: a retried trial is restored twice."""
        self._episodes.clear()
        self._episodes.extend(Episode(*episode) for episode in state["episodes"])
        self._total, self._steps = state["total"], state["steps"]


def _statistics(episodes: deque[Episode]) -> dict[str, Any]:
    returns = [episode.episode_return for episode in episodes]
    measured = [episode.metrics for episode in episodes]
    return {
        "return_mean": sum(returns) / len(returns),
        "return_min": min(returns),
        "return_max": max(returns),
        "length_mean": sum(episode.length for episode in episodes) / len(episodes),
        "measured": {
            name: sum(metrics[name] for metrics in measured) / len(measured) for name in measured[0]
        },
    }
