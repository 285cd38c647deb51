"""How a command ends early: signals and its time limit.

There are three steps, each more drastic than the one before:

1. ask: training ends its iteration and writes a checkpoint;
2. interrupt: `KeyboardInterrupt` in the main thread; everything is closed, without a checkpoint;
3. exit: the process ends immediately, with every process that it has started.

During training, the first signal asks; before and after, it interrupts. Each further signal, and
each time limit that passes, takes the next step.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from savanna.errors import Interrupted, SavannaError
from savanna.files import delete_temporary
from savanna.jobs import phases
from savanna.metrics import EPISODE_WINDOW, STOP_RULES, IterationResult
from savanna.ray_cluster.processes import kill_children
from savanna.session.unheard import Unheard
from savanna.shield import SIGNALS, shielded
from savanna.streams import say

ASK, INTERRUPT, EXIT = 1, 2, 3

STOP_SECONDS = 60.0
"""How long training may take to write its checkpoint and end, once asked."""
CLOSE_SECONDS = 20.0
"""How long closing everything may take after an interrupt."""
TWICE_SECONDS = 1.0
"""A signal repeated this soon is the same signal, passed on by the program that started us."""
_TICK = 0.2  # seconds


def reached(result: IterationResult, stop: Mapping[str, float]) -> str | None:
    """The stop rule that `result` meets, as text; `None` if none."""
    for rule, limit in stop.items():
        value = getattr(result, STOP_RULES[rule])
        if rule == "return" and result.episodes_total < EPISODE_WINDOW:
            continue  # a few lucky episodes at the start prove nothing
        if value >= limit:
            return f"{STOP_RULES[rule]} {value:.6g} reached {limit:g}"
    return None


def margin(max_duration: float) -> float:
    """Seconds between asking training to end and the limit itself."""
    return min(max(10.0, 0.05 * max_duration), 0.3 * max_duration)


class Stop:
    """Whether a command should end early, why, and how urgently.

    `last_words` is called before step 3, from any thread, and returns the exit code. Without
    `exits` the process belongs to the caller: in place of step 3, further signals interrupt again.
    """

    def __init__(self, began: float, max_duration: float | None, *, exits: bool = True) -> None:
        self.signal: int | None = None
        self.failure: str | None = None  # why training cannot go on
        self.step = 0
        self.last_words: Callable[[], int] = lambda: 1
        self._exits = exits
        self._max_duration = max_duration
        self._limits: dict[int, float] = {}  # step -> when it is due at the latest
        if max_duration is not None:
            end, before = began + max_duration, margin(max_duration)
            self._limits = {ASK: end - before, INTERRUPT: end - 0.5 * before, EXIT: end}
        self._training = False
        self._at = 0.0  # when the last step was taken
        self._over = threading.Event()
        self._unheard = Unheard()
        self._watcher: threading.Thread | None = None

    @property
    def reason(self) -> str | None:
        """Why everything should stop now; `None` if it should not."""
        if self.signal is not None:
            return f"{signal.Signals(self.signal).name} received"
        if self.failure is not None:
            return self.failure
        if self._limits and time.monotonic() >= self._limits[ASK]:
            return f"the time limit of {self._max_duration:g} s was nearly reached"
        return None

    def error(self, what: str) -> SavannaError | Interrupted:
        """The error that an interrupted command ends with: the reason, followed by `what`."""
        text = f"Stopped: {self.reason or 'interrupted'}{what}"
        number = self.signal
        if number is None and not self._limits and self.failure is None:
            number = signal.SIGINT  # a KeyboardInterrupt that we did not raise
        return SavannaError(text) if number is None else Interrupted(text, number)

    def fail(self, cause: str) -> None:
        """Interrupt what the main thread does, because of `cause`. Called by other threads.

        Where that does not listen, `reason` still says it.
        """
        if self.failure is None:
            self.failure = cause
            if signal.getsignal(signal.SIGALRM) == self._kicked:
                self._kick()

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Handle signals and limits within the block. Only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # Ignored signals stay ignored: nohup and background jobs of a shell rely on it.
        heard = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        before = {n: signal.signal(n, self._received) for n in heard}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._kicked)
        if self._limits or self._exits:
            self._watch()
        try:
            # Notebooks and other programs have their own use for what this sets.
            with self._unheard.noting() if self._exits else contextlib.nullcontext():
                yield
        finally:
            self._over.set()
            for number, handler in before.items():
                # None: C code had set it, and Python cannot restore it.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    @contextlib.contextmanager
    def while_training(self) -> Iterator[None]:
        """Within the block, the first signal only asks: there is something to save."""
        self._training = True
        try:
            yield
        finally:
            self._training = False

    def _received(self, number: int, frame: FrameType | None) -> None:
        self._unheard.handled()
        now = time.monotonic()
        if self.signal is not None and now - self._at < TWICE_SECONDS:
            return
        self._at = now
        if self.signal is None:
            self.signal = number
        if number == signal.SIGHUP:
            _leave_terminal()
        if self.step < ASK and self._training:
            self.step = ASK
            self._watch()
            phases.report("stopping")
            say(
                "Stopping after this iteration, with a checkpoint. "
                "Press Ctrl-C again to quit immediately."
            )
        elif self.step < INTERRUPT:
            self._interrupt()
        elif self._exits:
            self._exit()
        else:  # whatever it waits for now
            raise KeyboardInterrupt

    def _interrupt(self) -> None:
        self.step, self._at = INTERRUPT, time.monotonic()
        self._watch()
        raise KeyboardInterrupt

    def _kicked(self, number: int, frame: FrameType | None) -> None:
        self._unheard.handled()
        if self.step < INTERRUPT:
            self._interrupt()

    def _exit(self) -> None:
        self.step = EXIT
        if not self._exits:
            return
        code = 1
        with contextlib.suppress(Exception):
            code = self.last_words()
        kill_children()
        delete_temporary()
        os._exit(code if self.signal is None else 128 + self.signal)

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._look, name="stop", daemon=True)
            with shielded():
                self._watcher.start()

    def _look(self) -> None:
        while self.step < EXIT and not self._over.wait(_TICK):
            due = self._due(time.monotonic())
            if due == EXIT or self._is_deaf(time.monotonic()):
                self._exit()
            elif due == INTERRUPT and self.step < INTERRUPT:
                self._kick()

    def _is_deaf(self, now: float) -> bool:
        """Whether the main thread has ignored a second signal, or one for too long."""
        ours = (*SIGNALS, signal.SIGALRM)  # environments and libraries have handlers of their own
        arrived = [(at, number) for at, number in self._unheard.arrived() if number in ours]
        if not arrived:
            return False
        sent = [(at, number) for at, number in arrived if number in SIGNALS]
        twice = len(sent) > 1 and sent[-1][0] - sent[0][0] >= TWICE_SECONDS
        patience = STOP_SECONDS if self._training else CLOSE_SECONDS
        if not twice and now - arrived[0][0] < patience:
            return False
        if sent and self.signal is None:
            self.signal = sent[0][1]
        return True

    def _kick(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGALRM)

    def _due(self, now: float) -> int:
        """The step that is due by now."""
        due = max((step for step, at in self._limits.items() if now >= at), default=0)
        if self.step == ASK and now - self._at >= STOP_SECONDS:
            due = max(due, INTERRUPT)
        if self.step == INTERRUPT and now - self._at >= CLOSE_SECONDS:
            due = EXIT
        return due


def _leave_terminal() -> None:
    """Discard all output to the terminal from now on: it is gone, and every line would fail."""
    null = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (numbers)
        with contextlib.suppress(OSError):
            if str(Path(f"/proc/self/fd/{name}").readlink()).startswith(("/dev/pts/", "/dev/tty")):
                os.dup2(null, int(name))
