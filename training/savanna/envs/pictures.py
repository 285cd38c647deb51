"""Which parts of an observation are pictures, and how they become `[channels, height, width]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from savanna.errors import UsageError

SMALLEST = 16
"""Pixels of the shorter side; anything smaller is a part of the vector."""
MOST_CHANNELS = 16
"""Of one picture or of a stack of grey ones; stacks of coloured ones have up to four each."""
COLOURS = 4
GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class PictureSettings:
    """What is done to pictures, if asked for (`env_config`)."""

    frame_size: int | None = None  # pixels of both sides
    grey: bool = False
    frame_stack: int = 1  # the last so many pictures are seen as one; before the first is black

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """`UsageError` for values that cannot be."""
        size, grey, stack = (settings.get(f.name, f.default) for f in fields(cls))
        problems = []
        if size is not None and not (_is_whole(size) and size >= SMALLEST):
            problems.append(f"env_config.frame_size must be a whole number from {SMALLEST}.")
        if not isinstance(grey, bool):
            problems.append("env_config.grey must be true or false.")
        if not (_is_whole(stack) and 1 <= stack <= MOST_CHANNELS):
            problems.append(f"env_config.frame_stack must be a whole number to {MOST_CHANNELS}.")
        if problems:
            raise UsageError("\n".join(problems))
        return cls(size, grey, stack)


AS_THEY_ARE = PictureSettings()
SETTINGS = frozenset(field.name for field in fields(PictureSettings))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class Picture:
    """A picture as networks see it: bytes stay bytes, other numbers are scaled to 0..1."""

    source: spaces.Box
    order: tuple[int, ...]  # of its axes: (frames and) channels, height, width
    as_bytes: bool
    settings: PictureSettings = AS_THEY_ARE

    @classmethod
    def of(
        cls, space: spaces.Space[Any], settings: PictureSettings = AS_THEY_ARE
    ) -> Picture | None:
        """The picture that `space` has; `None` if its numbers are no picture."""
        if not isinstance(space, spaces.Box):
            return None
        order = _order(space.shape, grey=space.dtype == np.uint8)
        if order is None:
            return None
        low, high = float(space.low.min()), float(space.high.max())
        if space.dtype == np.uint8:
            return cls(space, order, True, settings)
        if low < 0 or high > 255 or low >= high:
            return None
        whole = np.issubdtype(space.dtype, np.integer)
        return cls(space, order, bool(whole), settings)

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Of one picture, without those before it."""
        *frames, channels, height, width = self._source_shape
        size = self.settings.frame_size
        channels = 1 if self._turns_grey else channels
        count = int(np.prod(frames)) * channels
        return (count, height, width) if size is None else (count, size, size)

    @cached_property
    def _source_shape(self) -> tuple[int, ...]:
        shape = tuple(self.source.shape[axis] for axis in self.order)
        return shape if len(shape) > 2 else (1, *shape)

    @property
    def _turns_grey(self) -> bool:
        return self.settings.grey and self._source_shape[-3] in (3, 4)

    @property
    def space(self) -> spaces.Box:
        channels, *sides = self.shape
        shape = (channels * self.settings.frame_stack, *sides)
        if not self.as_bytes:
            return spaces.Box(0, 1, shape, np.float32)
        low, high = int(self.source.low.min()), int(self.source.high.max())
        low = 0 if self.settings.frame_stack > 1 else low
        return spaces.Box(low, max(high, low + 1), shape, np.uint8)

    def __call__(self, value: Any) -> NDArray[Any]:
        picture = np.asarray(value).transpose(self.order).reshape(self._source_shape)
        if not self.as_bytes:
            low, high = float(self.source.low.min()), float(self.source.high.max())
            picture = ((picture - low) / (high - low)).astype(np.float32)
        if self._turns_grey:
            picture = np.tensordot(GREY, picture[..., :3, :, :], (0, -3))[..., None, :, :]
        picture = picture.astype(np.uint8 if self.as_bytes else np.float32, copy=False)
        picture = picture.reshape(-1, *picture.shape[-2:])
        if picture.shape != self.shape:
            picture = _resized(picture, self.shape[1])
        return np.ascontiguousarray(picture)

    @property
    def steps(self) -> list[str]:
        found = []
        if self.order != tuple(range(3)):
            found.append("channels first")
        if not self.as_bytes:
            found.append("scaled from the space's bounds to 0..1, as float32")
        elif self.source.dtype != np.uint8:
            found.append("as bytes")
        if self._turns_grey:
            found.append("grey: 0.299 red + 0.587 green + 0.114 blue")
        if (size := self.settings.frame_size) is not None:
            found.append(f"resized to {size} x {size} by area averaging (Pillow's BOX)")
        if (stack := self.settings.frame_stack) > 1:
            found.append(f"the last {stack} stacked, oldest first, zeros before the first")
        return found


def _resized(picture: NDArray[Any], size: int) -> NDArray[Any]:
    from PIL import Image

    def resized(part: NDArray[Any]) -> NDArray[Any]:
        image = Image.fromarray(np.ascontiguousarray(part))
        return np.asarray(image.resize((size, size), Image.Resampling.BOX))

    if len(picture) == 3 and picture.dtype == np.uint8:  # in half the time, with the same result
        return resized(picture.transpose(1, 2, 0)).transpose(2, 0, 1)
    return np.stack([resized(channel) for channel in picture])


def _order(shape: tuple[int, ...], *, grey: bool) -> tuple[int, ...] | None:
    if len(shape) == 2 and grey and min(shape) >= SMALLEST:
        return (0, 1)
    most = MOST_CHANNELS if len(shape) == 3 else COLOURS
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[0] > MOST_CHANNELS):
        return None
    first = len(shape) - 3  # of the three axes of one picture
    if shape[first + 2] <= most and min(shape[first : first + 2]) >= SMALLEST:
        return (*range(first), first + 2, first, first + 1)
    if shape[first] <= most and min(shape[first + 1 :]) >= SMALLEST:
        return tuple(range(len(shape)))
    return None
