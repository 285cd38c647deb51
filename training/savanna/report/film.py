"""The newest film of a run, embedded if it is small enough."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from savanna.runs.directory import RunDirectory

EMBED_BYTES = 8 * 1024 * 1024
_POSTERS = {".jpg": "image/jpeg", ".png": "image/png"}


@dataclass(frozen=True)
class Film:
    """`source` and `poster` are data URLs, or a path relative to the report for a large film."""

    name: str
    source: str
    poster: str | None
    embedded: bool
    size: str


def newest_film(run: RunDirectory) -> Film | None:
    """The newest `videos/*.mp4`; its poster is the image with the same name beside it."""
    films = [f for f in run.videos.glob("*.mp4") if f.is_file()]
    if not films:
        return None
    film = max(films, key=lambda f: (f.stat().st_mtime_ns, f.name))
    size = film.stat().st_size
    embedded = size < EMBED_BYTES
    source = _data_url(film, "video/mp4") if embedded else f"videos/{quote(film.name)}"
    posters = (film.with_suffix(suffix) for suffix in _POSTERS)
    poster = next((p for p in posters if p.is_file()), None)
    return Film(
        name=film.name,
        source=source,
        poster=_data_url(poster, _POSTERS[poster.suffix]) if poster else None,
        embedded=embedded,
        size=f"{size / 1024**2:.1f} MiB" if size >= 1024**2 else f"{size / 1024:.0f} KiB",
    )


def _data_url(file: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
