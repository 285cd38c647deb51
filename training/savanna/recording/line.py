"""The text of the progress line, and what to drop first when space is short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from savanna.metrics import IterationResult
from savanna.recording.progress import Progress
from savanna.recording.text import MISSING, clock, compact, decimal, sparkline

_STYLES = {"bold": "1", "dim": "2", "cyan": "36", "green": "32"}

Part = tuple[str, str]
"""Text and the name of its style ("" for none)."""


@dataclass(frozen=True)
class Line:
    """Everything that the progress line shows."""

    progress: Progress
    history: Sequence[IterationResult]  # at least one, oldest first
    target: float | None  # mean return the run stops at
    elapsed: float  # seconds since the command began


@dataclass(frozen=True)
class _Layout:
    sparkline: int  # columns
    rates: str  # "long", "short" or ""
    steps: bool = True
    times: bool = True
    eta: bool = True


_LAYOUTS = (
    _Layout(16, "long"),
    _Layout(16, "short"),
    _Layout(8, "short"),
    _Layout(0, "short"),
    _Layout(0, "short", eta=False),
    _Layout(0, "", eta=False),
    _Layout(0, "", eta=False, times=False),
    _Layout(0, "", eta=False, times=False, steps=False),
)
"""From the longest to the shortest; the first that fits is used."""


def live_line(line: Line, width: int, *, unicode: bool = True) -> list[Part]:
    """The parts of the live line, as many as fit into `width` columns."""
    for layout in _LAYOUTS:
        parts = _parts(line, layout, unicode)
        if sum(len(text) for text, _ in parts) + 2 * (len(parts) - 1) <= width:
            break
    return parts


def plain_line(line: Line) -> str:
    """The whole line in ASCII, without sparkline or colours, for logs."""
    return "  ".join(text for text, _ in _parts(line, _Layout(0, "long"), unicode=False))


def paint(parts: Sequence[Part], width: int, *, colour: bool) -> str:
    """Join `parts` with two spaces, cut to `width` columns, with colours if `colour`."""
    painted: list[str] = []
    left = width
    for text, style in parts:
        gap = "  " if painted else ""
        shown = (gap + text)[:left]
        left -= len(shown)
        code = _STYLES.get(style)
        painted.append(f"\x1b[{code}m{shown}\x1b[0m" if colour and code else shown)
        if left <= 0:
            break
    return "".join(painted)


def _parts(line: Line, layout: _Layout, unicode: bool) -> list[Part]:
    now, progress = line.history[-1], line.progress
    about = "" if not progress.estimated else "≈" if unicode else "~"
    found = [(f"{about}{progress.share * 100:.0f}%", "bold")]
    if layout.steps:
        found.append((f"{compact(now.agent_steps)} steps", ""))
    found.append((_return_text(now, line.target, unicode), "cyan"))
    if layout.sparkline and unicode:
        bars = sparkline([r.episode_return_mean for r in line.history], layout.sparkline)
        found += [(bars, "green")] if bars else []
    if layout.rates == "long" and math.isfinite(now.landmarks_covered):
        found.append((f"{now.landmarks_covered:.1f} covered, {now.collisions:.1f} hits", ""))
    if layout.rates:
        found.append((_rates_text(now, layout.rates), ""))
    if layout.times:
        found.append((clock(line.elapsed), ""))
    if layout.eta and math.isfinite(progress.remaining):
        found.append((f"ETA {about}{clock(progress.remaining)}", "dim"))
    return found if unicode else [(text.replace(MISSING, "-"), style) for text, style in found]


def _return_text(now: IterationResult, target: float | None, unicode: bool) -> str:
    if not math.isfinite(now.episode_return_mean):
        return "no episode ended yet"
    text = f"return {decimal(now.episode_return_mean)}"
    if target is not None:
        text = f"{text} {'→' if unicode else '->'} {target:.4g}"
    if math.isfinite(now.old_return_mean):
        text = f"{text} (old scale {now.old_return_mean:.0f})"
    return text


def _rates_text(now: IterationResult, form: str) -> str:
    sampled, trained = compact(now.sampled_per_second), compact(now.trained_per_second)
    if form == "short":
        return f"{sampled}/{trained} steps/s"
    return f"{sampled}/s sampled {trained}/s trained"
