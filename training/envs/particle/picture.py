"""Pictures of particle worlds, drawn with Pillow: no screen is needed.

Drawn larger and scaled down, so that edges are smooth.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

FINER = 3
PAPER, ARENA, INK, GREY = (255, 255, 255), (244, 245, 247), (45, 50, 60), (150, 156, 166)
GOOD, ADVERSARY = (58, 110, 190), (212, 72, 62)
VIEW = 1.2
"""Half the width seen; bodies start within 1. Wider where one went further."""


@dataclass(frozen=True)
class Disc:
    """A body as it is drawn: filled, or a ring if `hollow`."""

    x: float
    y: float
    radius: float
    colour: Colour
    label: str = ""
    hollow: bool = False


def draw(discs: list[Disc], captions: list[str], size: int) -> NDArray[np.uint8]:
    """Discs in their order, captions as lines at the lower left; [size, size, 3]."""
    full = size * FINER
    half = max([VIEW] + [max(abs(d.x), abs(d.y)) + d.radius + 0.05 for d in discs])
    scale = full / (2 * half)
    image = Image.new("RGB", (full, full), PAPER)
    pen = ImageDraw.Draw(image)
    edge = scale
    middle = full / 2
    pen.rounded_rectangle(
        (middle - edge, middle - edge, middle + edge, middle + edge), 0.05 * scale, ARENA
    )
    for disc in discs:
        x, y, r = middle + disc.x * scale, middle - disc.y * scale, disc.radius * scale
        box = (x - r, y - r, x + r, y + r)
        if disc.hollow:
            pen.ellipse(box, outline=disc.colour, width=round(0.015 * scale))
            continue
        darker = (disc.colour[0] * 3 // 4, disc.colour[1] * 3 // 4, disc.colour[2] * 3 // 4)
        pen.ellipse(box, disc.colour, darker, max(1, round(0.008 * scale)))
        if disc.label:
            pen.text((x, y), disc.label, PAPER, _font(max(r, 0.05 * scale)), anchor="mm")
    line = full * 0.042
    for i, caption in enumerate(reversed(captions)):
        at = (0.03 * full, full - 0.025 * full - i * line * 1.25)
        pen.text(at, caption, INK, _font(line), anchor="ls")
    return np.asarray(image.resize((size, size), Image.Resampling.BOX), np.uint8)


@functools.cache
def _font(height: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(height)
