"""Writing and reading films."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from savanna.errors import SavannaError
from savanna.files import replacing

Picture = NDArray[np.uint8]  # [height, width, 3]

CAPTION = 24  # pixels
H264 = ("-crf", "23", "-preset", "fast", "-pix_fmt", "yuv420p", "-movflags", "+faststart")


def with_caption(picture: Picture, text: str) -> Picture:
    """The picture with a line of text above it, even sides as H.264 wants them."""
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
    """Write the film in one go, and a poster beside it: the picture in its middle.

    Raises `SavannaError` where it cannot be written.
    """
    first = next(frames)
    poster, count = first, 1
    with replacing(path) as temporary:
        with _encoder(temporary, first.shape, fps) as write:
            write(np.ascontiguousarray(first))
            for frame in frames:
                write(np.ascontiguousarray(frame))
                count += 1
                if count & (count - 1) == 0:  # the last power of two lies in the second half
                    poster = frame
    with replacing(path.with_suffix(".jpg")) as temporary:
        Image.fromarray(poster).save(temporary, "JPEG", quality=85)


@contextlib.contextmanager
def _encoder(path: Path, shape: tuple[int, ...], fps: int) -> Iterator[Callable[[Any], object]]:
    """What takes the pictures. imageio's own writer does not say whether ffmpeg failed."""
    height, width = shape[:2]
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *raw, "-i", "-"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, "-an", "-c:v", "libx264", *H264, "-f", "mp4", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            process_group=0,  # Ctrl-C in the terminal is for us
        )
        assert process.stdin is not None
        try:
            yield process.stdin.write
        except BrokenPipeError:
            pass  # ffmpeg has ended, and says why
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        if process.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            cause = next((line for line in lines if line.strip()), f"code {process.returncode}")
            raise SavannaError(f"ffmpeg could not write the film: {cause.rpartition(': ')[2]}")
