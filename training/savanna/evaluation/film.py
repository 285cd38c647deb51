"""Writing and reading films."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]  # [height, width, 3]

CAPTION = 24  # pixels
H264 = ("-crf", "23", "-preset", "fast", "-pix_fmt", "yuv420p", "-movflags", "+faststart")


def with_caption(picture: Picture, text: str) -> Picture:
    """The picture with a line of text above it, and even sides, which H.264 requires."""
    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width + width % 2, height + height % 2 + CAPTION), "black")
    canvas.paste(Image.fromarray(picture), (0, CAPTION))
    ImageDraw.Draw(canvas).text((8, 4), text, fill="white", font=ImageFont.load_default(size=15))
    return np.asarray(canvas)


def read_film(path: Path) -> list[Picture]:
    """All frames of a film."""
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def write_film(path: Path, frames: Iterator[Picture], fps: int) -> None:
    """Write the film in one step, and a poster beside it: a picture from its second half."""
    first = next(frames)
    temporary = path.with_name(f".{path.name}")
    writer = imageio_ffmpeg.write_frames(
        str(temporary),
        (first.shape[1], first.shape[0]),
        fps=fps,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=[*H264, "-f", "mp4"],
    )
    writer.send(None)
    writer.send(np.ascontiguousarray(first))
    poster, count = first, 1
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
        count += 1
        if count & (count - 1) == 0:  # the last power of two is in the second half
            poster = frame
    writer.close()
    temporary.replace(path)
    Image.fromarray(poster).save(path.with_suffix(".jpg"), quality=85)
