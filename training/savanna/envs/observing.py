"""Any observation as a few arrays, which is what networks take.

A space becomes one `Box`: a vector of float32, or a picture with its channels first. A space with
pictures among other parts becomes a `Dict`: "vector" (all that is not a picture, joined), each
picture under its own name, and "action_mask" where the environment says which actions are legal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from savanna.envs.pictures import AS_THEY_ARE, Picture, PictureSettings

VECTOR, MASK = "vector", "action_mask"

Seen = NDArray[Any] | dict[str, NDArray[Any]]


class Part(NamedTuple):
    """A part of the vector."""

    path: tuple[Any, ...]  # keys that lead to it
    space: spaces.Space[Any]
    start: int
    size: int


class Observing:
    """Turns observations of `space` into those of `self.space`. `choices`: how many numbers an
    action mask has, 0 if actions cannot be masked."""

    def __init__(
        self, space: spaces.Space[Any], choices: int = 0, settings: PictureSettings = AS_THEY_ARE
    ) -> None:
        self._stack = settings.frame_stack
        self._history: dict[str, NDArray[Any]] = {}
        self.parts: list[Part] = []
        self.pictures: dict[str, tuple[tuple[Any, ...], Picture]] = {}
        self.mask = has_mask(space) and choices > 0
        size = 0
        for path, leaf in leaves(space):
            if self.mask and path == (MASK,):
                continue
            if (picture := Picture.of(leaf, settings)) is not None:
                self.pictures[self._name(path)] = path, picture
                continue
            part = Part(path, leaf, size, spaces.flatdim(leaf))
            self.parts.append(part)
            size += part.size
        seen: dict[str, spaces.Box] = {name: p.space for name, (_, p) in self.pictures.items()}
        if size:
            seen[VECTOR] = self._vector_space(size)
        if self.mask:
            seen[MASK] = spaces.Box(0, 1, (choices,), np.uint8)
        self.alone = next(iter(seen)) if len(seen) == 1 else None
        self.space: spaces.Space[Any] = seen[self.alone] if self.alone else spaces.Dict(seen)  # type: ignore[arg-type]
        self._size = size

    @property
    def changes(self) -> bool:
        """Whether observations are not taken as they are."""
        [*first] = self.parts
        plain = len(first) == 1 and not self.pictures and not self.mask and not first[0].path
        if not plain:
            return True
        space = first[0].space
        return not (
            isinstance(space, spaces.Box) and space.dtype == np.float32 and len(space.shape) == 1
        )

    def __call__(self, observation: Any, *, first: bool = False) -> Seen:
        """`first`: of an episode."""
        seen: dict[str, NDArray[Any]] = {
            name: picture(_at(observation, path)) for name, (path, picture) in self.pictures.items()
        }
        if self._stack > 1:
            seen = {name: self._stacked(name, now, first) for name, now in seen.items()}
        if self._size:
            seen[VECTOR] = vector = np.empty(self._size, np.float32)
            with np.errstate(over="ignore"):  # what is infinite then is reported as such
                for part in self.parts:
                    vector[part.start : part.start + part.size] = _numbers(
                        part.space, _at(observation, part.path)
                    )
        if self.mask:
            seen[MASK] = np.asarray(observation[MASK]).reshape(-1).astype(np.uint8)
        return seen[self.alone] if self.alone else seen

    @property
    def steps(self) -> list[str]:
        """What it does, for whoever uses the network elsewhere."""
        found = [
            f"{name}: {step}" if self.alone is None else step
            for name, (_, picture) in self.pictures.items()
            for step in picture.steps
        ]
        kinds = {type(part.space) for part in self.parts}
        if len(self.parts) > 1 or kinds - {spaces.Box}:
            found.append(
                "one-hot and concatenated, as gymnasium.spaces.flatten does"
                + (f", to {VECTOR!r}" if self.alone is None else "")
            )
        elif any(len(part.space.shape or ()) != 1 for part in self.parts):
            found.append("flattened, last axis fastest")
        boxes = [part.space for part in self.parts if isinstance(part.space, spaces.Box)]
        if any(box.dtype == np.uint8 for box in boxes):
            found.append("bytes scaled from the space's bounds to 0..1")
        if kinds - {spaces.Box} or any(box.dtype != np.float32 for box in boxes):
            found.append("as float32")
        if self.mask:
            found.append(f"{MASK!r} as bytes")
        return found

    def _stacked(self, name: str, now: NDArray[Any], first: bool) -> NDArray[Any]:
        if first or name not in self._history:
            self._history[name] = np.zeros((self._stack * len(now), *now.shape[1:]), now.dtype)
        self._history[name] = np.concatenate([self._history[name][len(now) :], now])
        return self._history[name]

    def _name(self, path: tuple[Any, ...]) -> str:
        name = ".".join(map(str, path)) or "picture"
        return f"{name}_picture" if name in (VECTOR, MASK) else name

    def _vector_space(self, size: int) -> spaces.Box:
        low, high = np.zeros(size, np.float32), np.ones(size, np.float32)
        for part in self.parts:
            if isinstance(part.space, spaces.Box) and part.space.dtype != np.uint8:
                where = slice(part.start, part.start + part.size)
                with np.errstate(over="ignore"):  # beyond float32 is unbounded
                    low[where] = part.space.low.reshape(-1)
                    high[where] = part.space.high.reshape(-1)
        return spaces.Box(low, high, dtype=np.float32)


def has_mask(space: spaces.Space[Any]) -> bool:
    """Whether observations say which actions are legal."""
    return isinstance(space, spaces.Dict) and MASK in space.spaces


def leaves(
    space: spaces.Space[Any], path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], spaces.Space[Any]]]:
    """The parts of a space, and the keys that lead to each."""
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for index, inner in enumerate(space.spaces):
            yield from leaves(inner, (*path, index))
    else:
        yield path, space


def _at(observation: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        observation = observation[key]
    return observation


def _numbers(space: spaces.Space[Any], value: Any) -> Any:
    if not isinstance(space, spaces.Box):
        return spaces.flatten(space, value)
    flat = np.asarray(value).reshape(-1)
    if space.dtype != np.uint8:
        return flat
    low, high = space.low.reshape(-1), space.high.reshape(-1)
    span = np.maximum(high.astype(np.float32) - low, 1)  # a constant byte is 0
    return (flat.astype(np.float32) - low) / span
