"""The terminal: the live line on a pseudo-terminal, plain lines elsewhere."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest
from command import ours, run
from sample_run import CONFIG, make_run, result

from savanna.recording import Console
from savanna.recording.progress import measure
from savanna.recording.text import clock, compact, decimal, sparkline

STOP = {"return": 18.0, "seconds": 3600.0}


class Terminal:
    """A pseudo-terminal that collects what is written to it."""

    def __init__(self, columns: int) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self._received = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 4096)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            self._received += data

    def close(self) -> str:
        self.stream.close()
        self._reader.join(5)
        os.close(self._master)
        return self._received.decode()


def visible(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[mK]", "", text)


@pytest.fixture(autouse=True)
def colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def show(tmp_path: Path) -> Callable[[int], str]:
    """What a terminal of so many columns receives during a run of 40 iterations."""

    def play(columns: int) -> str:
        terminal = Terminal(columns)
        console = Console(terminal.stream, stop=STOP)
        console.stage("starting Ray")
        console.start(make_run(tmp_path / str(columns), 0), CONFIG, False)
        for number in range(1, 41):
            console.record(result(number))
        console.message("checkpoint 1 written")
        console.finish({"state": "succeeded"})
        return terminal.close()

    return play


def test_live_line_is_rewritten_in_place(show: Callable[[int], str]) -> None:
    text = show(120)
    lines = [visible(line).strip("\r") for line in text.rstrip("\r\n").split("\n")]
    # Two lines remain: the message, and the last state of the live line.
    assert len(lines) == 2
    assert lines[0].split("\r")[-1] == "checkpoint 1 written"
    last = lines[1].split("\r")[-1]
    assert re.fullmatch(
        r"≈\d+%  328k steps  return 9\.\d → 18  [▁▂▃▄▅▆▇█]{16}  4\.\d\dk/s sampled "
        r"[34]\.\d\dk/s trained  0:0\d  ETA ≈0:\d\d",
        last,
    )
    assert "starting Ray ... 0 s" in visible(text)


@pytest.mark.parametrize("columns", [12, 40, 70, 95])
def test_live_line_never_wraps(show: Callable[[int], str], columns: int) -> None:
    frames = re.split(r"[\r\n]+", visible(show(columns)))
    frames = [f for f in frames if f != "checkpoint 1 written"]
    assert len(frames) > 40
    assert max(map(len, frames)) < columns


def test_no_color_leaves_no_escape_code_at_all(
    show: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b[1m" in show(100)
    monkeypatch.setenv("NO_COLOR", "1")
    text = show(101)
    assert "\x1b" not in text and "checkpoint 1 written" in text
    frames = [frame for frame in text.split("\r") if frame.strip()]
    assert max(map(len, frames)) < 103, "what was longer is painted over within the line"


def test_dumb_terminal_gets_plain_lines(
    show: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    text = show(100)
    assert "\x1b" not in text
    assert text.splitlines()[0] == "starting Ray ..."


def test_plain_lines_are_few_ascii_and_whole() -> None:
    stream = io.StringIO()
    console = Console(stream, stop=STOP)
    console.stage("starting Ray")
    for number in range(1, 41):
        console.record(result(number))
    console.finish({"state": "succeeded"})
    lines = stream.getvalue().splitlines()
    # The first result, then nothing for ten seconds, then the last one.
    assert len(lines) == 3
    assert lines[0] == "starting Ray ..."
    assert lines[1].startswith("0%  8.19k steps  return -20.1 -> 18  3.63k/s sampled ")
    assert "328k steps" in lines[2] and lines[2].isascii()
    assert stream.getvalue().endswith("\n") and "\r" not in stream.getvalue()


def test_resumed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(stream, stop={"agent_steps": 100 * 8192})
    console.start(make_run(tmp_path, 60), CONFIG, resumed=True)
    console.record(result(50))
    assert stream.getvalue().startswith("50%  410k steps")


def test_the_sparkline_of_a_resumed_run_shows_all_of_it(tmp_path: Path) -> None:
    terminal = Terminal(160)
    console = Console(terminal.stream, stop=STOP)
    console.start(make_run(tmp_path, 60), CONFIG, resumed=True)
    console.record(result(50))
    console.finish({"state": "succeeded"})
    *_, last = re.findall("[▁▂▃▄▅▆▇█]+", visible(terminal.close()))
    assert len(last) == 16


def test_progress_is_the_nearest_rule_and_says_when_it_is_an_estimate() -> None:
    history = [result(n) for n in range(1, 31)]
    steps = measure(history, {"agent_steps": 60 * 8192, "seconds": 3600}, elapsed=60)
    assert steps.share == pytest.approx(0.5)
    assert steps.remaining == pytest.approx(60, rel=0.02)
    assert not steps.estimated
    both = measure(history, {"return": 18, "iterations": 1000}, elapsed=60)
    way = (history[-1].episode_return_mean - history[0].episode_return_mean) / (
        18 - history[0].episode_return_mean
    )
    assert both.share == pytest.approx(way) and both.estimated
    limit = measure(history, {"iterations": 1000}, elapsed=90, max_duration=100)
    assert (limit.share, limit.remaining) == (pytest.approx(0.9), pytest.approx(10))


def test_progress_without_results_or_with_a_falling_return_promises_nothing() -> None:
    assert measure([], STOP, elapsed=3).share == 0
    falling = [replace(result(n), episode_return_mean=-20.0 - n / 10) for n in range(1, 9)]
    found = measure(falling, {"return": 18}, elapsed=3)
    assert found.share == 0 and found.remaining != found.remaining


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.7, "1.00k"),
        (45_600, "45.6k"),
        (7.89e6, "7.89M"),
        (-1500, "-1.50k"),
    ],
)
def test_compact_numbers(value: float, text: str) -> None:
    assert compact(value) == text


def test_clock_and_sparkline() -> None:
    assert [clock(s) for s in (7, 754, 3723, float("nan"))] == ["0:07", "12:34", "1:02:03", "–"]
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([float("nan"), 1.0, 1.0], 8) == "▄▄"
    assert sparkline([], 8) == ""


def test_a_command_ends_without_an_escape_code() -> None:
    program = (
        "import sys; from savanna.cli import main, results\n"
        "def run(options):\n"
        "    import ray.autoscaler._private.cli_logger\n"
        "    results.show('said')\n"
        "    return 0\n"
        "results.run_runs = run\n"
        "sys.argv = ['savanna', 'runs']\n"
        "sys.exit(main())"
    )
    master, slave = pty.openpty()
    words = [sys.executable, "-c", program]
    run(words, env=ours(), stdout=slave, stderr=slave, check=True)
    os.close(slave)
    shown = os.read(master, 10_000).decode()
    os.close(master)
    assert shown.split() == ["said"]


def test_ray_leaves_no_escape_code_on_the_terminal_at_the_end(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from savanna.session.log_file import quiet; from savanna.streams import say\n"
        "with quiet(Path(sys.argv[1])):\n"
        "    import ray.autoscaler._private.cli_logger\n"
        "    say('said')\n"
        "print('done')"
    )
    master, slave = pty.openpty()
    words = [sys.executable, "-c", program, tmp_path / "log"]
    run(words, env=ours(), stdout=slave, stderr=slave, check=True)
    os.close(slave)
    shown = os.read(master, 10_000).decode()
    os.close(master)
    assert shown.split() == ["said", "done"]


def test_huge_numbers_are_short():
    assert [decimal(value, 2) for value in (1e30, -2.5e300, 1e11, -0.001)] == [
        "1e+30",
        "-2.5e+300",
        "100000000000.00",
        "0.00",
    ]
