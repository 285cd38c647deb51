"""What `render` returns, as a picture of a film."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from savanna.errors import SavannaError

CHANNELS = (1, 3, 4)
RATE = 30
"""Pictures a second where the environment says nothing usable."""
RATES = (1, 240)


class NoPicture(SavannaError):
    """It cannot be shown; the message begins with `render()`."""


def as_picture(rendered: Any) -> NDArray[np.uint8]:
    """`[height, width, 3]`, bytes, of what people return.

    Bytes, other whole numbers 0..255, floats 0..1 or 0..255; grey, with or without an axis for it,
    with transparency, channels first; the last one of a list of pictures.
    """
    if isinstance(rendered, (list, tuple)) and rendered and np.ndim(rendered[-1]) >= 2:
        rendered = rendered[-1]
    try:
        given = np.asarray(rendered)
    except ValueError as error:
        raise NoPicture(f"render() returns a {type(rendered).__name__}") from error
    if given.dtype.kind not in "biuf" or given.ndim not in (2, 3) or not given.size:
        what = f"{given.dtype} {list(given.shape)}" if given.ndim else type(rendered).__name__
        raise NoPicture(f"render() returns {what}")
    if given.ndim == 2:
        given = given[..., None]
    if given.shape[-1] not in CHANNELS and given.shape[0] in CHANNELS:
        given = given.transpose(1, 2, 0)
    if given.shape[-1] not in CHANNELS:
        raise NoPicture(f"render() returns {given.dtype} {list(given.shape)}")
    given = given[..., :3]
    if given.dtype != np.uint8:
        if given.dtype.kind == "b" or (given.dtype.kind == "f" and np.nanmax(given) <= 1.0):
            given = given.astype(np.float64) * 255
        given = np.nan_to_num(given).round().clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(given, (*given.shape[:2], 3)))


def as_rate(rate: Any) -> int:
    """Pictures a second, from `render_fps`."""
    usable = isinstance(rate, (int, float, np.number)) and math.isfinite(rate)
    return round(rate) if usable and RATES[0] <= rate <= RATES[1] else RATE


def fitted(picture: NDArray[np.uint8], like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`picture` in the size of `like`: a film has one size."""
    if picture.shape == like.shape:
        return picture
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((like.shape[1], like.shape[0])))
