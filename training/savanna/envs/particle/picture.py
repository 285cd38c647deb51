"""Pictures of particle worlds, drawn with Pillow, without a screen.

They are drawn larger and scaled down, for smooth edges.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

FINER = 3
PAPER, ARENA, INK, GREY = (255, 255, 255), (244, 245, 247), (45, 50, 60), (150, 156, 166)
GOOD, ADVERSARY, DARK_ADVERSARY = (58, 110, 190), (212, 72, 62), (140, 32, 36)
GREEN, AMBER, FOREST = (46, 160, 90), (235, 160, 30), (186, 222, 186)
SMALL = 9
"""Discs with a smaller radius (pixels) have their label beside them."""
VIEW = 1.2
"""Half the visible width; bodies start within 1. Wider if one went further."""


@dataclass(frozen=True)
class Disc:
    """A body as drawn."""

    x: float
    y: float
    radius: float
    colour: Colour
    label: str = ""
    shape: str = "disc"  # "square": a place; "ring": a mark around something


def draw(discs: list[Disc], captions: list[str], size: int) -> NDArray[np.uint8]:
    """Discs in their order, captions as lines at the lower left; [size, size, 3]."""
    from PIL import Image, ImageDraw  # not needed just to look up a scenario's name

    full = size * FINER
    half = max([VIEW] + [max(abs(d.x), abs(d.y)) + d.radius + 0.05 for d in discs])
    scale = full / (2 * half)
    image = Image.new("RGB", (full, full), PAPER)
    pen = ImageDraw.Draw(image)
    edge, middle = scale, full / 2
    line, text = round(0.0035 * full), 0.042 * full
    pen.rounded_rectangle(
        (middle - edge, middle - edge, middle + edge, middle + edge), 0.05 * scale, ARENA
    )
    for disc in discs:
        x, y, r = _place(disc, scale, middle)
        box = (x - r, y - r, x + r, y + r)
        darker = (disc.colour[0] * 3 // 4, disc.colour[1] * 3 // 4, disc.colour[2] * 3 // 4)
        if disc.shape == "ring":
            pen.ellipse(box, outline=disc.colour, width=round(0.03 * scale))
        elif disc.shape == "square":
            pen.rounded_rectangle(box, 0.2 * r, disc.colour, darker, line)
        else:
            pen.ellipse(box, disc.colour, darker, line)
    for disc in discs:  # labels on top of all discs
        x, y, r = _place(disc, scale, middle)
        if disc.label and r > SMALL * FINER:
            pen.text((x, y), disc.label, PAPER, _font(r), anchor="mm")
        elif disc.label:
            pen.text((x + r, y - r), disc.label, INK, _font(text * 0.8), anchor="lb")
    for i, caption in enumerate(reversed(captions)):
        at = (0.03 * full, full - 0.025 * full - i * text * 1.25)
        pen.text(at, caption, INK, _font(text), "ls", stroke_width=2 * FINER, stroke_fill=PAPER)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX), np.uint8)


def _place(disc: Disc, scale: float, middle: float) -> tuple[float, float, float]:
    """Centre and radius in pixels, always large enough to be visible."""
    radius = max(disc.radius * scale, 3 * FINER)
    return middle + disc.x * scale, middle - disc.y * scale, radius


@functools.cache
def _font(height: float) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(height)


def shade(colour: NDArray[np.float64]) -> Colour:
    """A colour [3] of mpe2, in 0..1, slightly lighter."""
    red, green, blue = (int(255 * (0.2 + 0.75 * part)) for part in colour)
    return red, green, blue
