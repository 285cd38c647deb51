"""Whether a failed trial is tried again (`--max-failures`): where that may help, not for ever."""

from __future__ import annotations

import errno
import re

from savanna.session.failure import DIED

_OURS = re.compile(r"^savanna\.errors\.(\w+): ", re.MULTILINE)
_MAY_PASS = "MayPass"
_DISK = re.compile(
    rf"\[Errno ({errno.ENOSPC}|{errno.EDQUOT}|{errno.EROFS}|{errno.EACCES}|{errno.EPERM})\]"
)
_CHANGES = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)*")
"""Processes, addresses, steps."""


class Retries:
    """Of one trial: at most `most`."""

    def __init__(self, most: int) -> None:
        self.most, self.made = most, 0
        self._before: str | None = None  # the failure before, if nothing was learned since
        self._steps = 0
        self.for_good = False  # the last failure would come again

    def progressed(self, agent_steps: int) -> None:
        """An iteration has ended with so many steps: the next failure is a new one."""
        if agent_steps > self._steps:
            self._steps, self._before = agent_steps, None

    def refused(self, cause: str, traceback: str) -> str | None:
        """Why the trial is not tried again after this failure; `None` if it is."""
        kind = kind_of(cause)
        before, self._before = self._before, kind
        self.for_good = _is_for_good(traceback)
        if self.most == 0:
            return ""
        if self.for_good:
            return "It is not tried again: it would fail the same way."
        if self.made >= self.most:
            return f"Retries are used up: {self.most}."
        if before == kind and not DIED.search(traceback):
            return "It is not tried again: it failed the same way twice, with no iteration between."
        return None

    def begin(self, agent_steps: int) -> str:
        """The next try begins with so many steps; which one it is, as text."""
        self.made, self._steps = self.made + 1, agent_steps
        return f"{self.made} of {self.most}"


def kind_of(cause: str) -> str:
    """`cause` without what differs between failures of the same kind."""
    return _CHANGES.sub("", cause)


def _is_for_good(traceback: str) -> bool:
    ours = _OURS.findall(traceback)
    return ours[-1] != _MAY_PASS if ours else bool(_DISK.search(traceback))
