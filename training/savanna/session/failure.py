"""Why a run failed, in one readable paragraph: what happened, to whom, what is kept, what next."""

from __future__ import annotations

import re
import time
from pathlib import Path

import ray
import ray.util

from savanna.algorithms.supply import without_guesses
from savanna.next_command import next_command
from savanna.runs.directory import RunDirectory

_ADDRESS = re.compile(r"(?:ip|node_ip|ip_address)[=:]\s*([0-9a-fA-F.:]+[0-9a-fA-F])")
_PID = re.compile(r"pid[=:]\s*(\d+)")
_OWN = re.compile(r"^savanna\.errors\.(?:GaveUp|MayPass): (.+)$", re.MULTILINE)
_RUNNER = re.compile(r"ray::(\w*EnvRunner)[.\w]*\(\)|class_name: (\w*EnvRunner)")
_OURS = re.compile(r"^savanna\.errors\.\w+: (.*)$", re.MULTILINE)
_OUT_OF_MEMORY = ("OutOfMemoryError", "out of memory", "OOM", "MemoryError", "oom-kill")
_NOISE = ("The above exception", "During handling", "Traceback", "See more", "[repeated")

_NUMBERED = "Failure # "
"""How Tune begins each failure of a trial in the file on them."""
DIED = re.compile(r"ActorDiedError|ActorUnavailable|NodeDiedError|SIGKILL|worker died")
"""What a traceback has where a process was lost."""
_KILLED = "it raised no error, so it was killed, or its node was lost"

LATE_SECONDS = 5.0
"""How long the last output of a process on another machine may take to reach our log."""


def last_failure(text: str) -> str:
    """The part of Ray Tune's file on a trial's failures that is about the last one."""
    return text.rpartition(_NUMBERED)[2]


def cause_of(text: str, log: str) -> str:
    """What happened to which process, where, with what last error; and what helps, if it is known.

    `text` is the traceback that Ray Tune kept, `log` the path of the run's log. Waits up to
    `LATE_SECONDS` for the last output of a dead process.
    """
    text = without_guesses(text)
    if own := _OWN.findall(text):
        return _sentence(own[-1])
    runner = _RUNNER.search(text)
    ours = _OURS.findall(text)
    if ours and not runner:
        return _sentence(ours[-1])
    # Ray names a dead process after those that waited for it, and a failed one before them.
    which = -1 if "class_name:" in text else 0
    pid, address = (
        found[which] if (found := pattern.findall(text)) else None for pattern in (_PID, _ADDRESS)
    )
    what = "An env runner" if runner else "The training process"
    process = f" (process {pid})" if pid else ""
    where = f" on node {address}" if address else ""
    died = DIED.search(text) is not None
    logged = last_words(log, pid, address) if died and pid else None
    if any(sign in text for sign in _OUT_OF_MEMORY):
        end = (
            "It ran out of memory: lower num_envs_per_env_runner or train_batch_size_per_learner, "
            "or use fewer env runners."
        )
    elif died and not logged:
        return f"{what}{process}{where} died: {_KILLED}."
    else:
        end = ""
    said = _sentence(logged or last_error(text))
    return f"{what}{process}{where} {'died' if died else 'failed'}: {said} {end}".rstrip()


def in_short(error: BaseException) -> str:
    """The message of an error of ours that Tune has wrapped in tracebacks, or the last error."""
    text = str(error) or type(error).__name__
    ours = _OURS.findall(text)
    return str(ours[-1]) if ours else last_error(text)


def what_is_kept(run: RunDirectory) -> str:
    """A sentence: how many checkpoints there are, and how to go on from the newest."""
    kept = run.checkpoints()
    if not kept:
        return "There is no checkpoint yet: start it again when the cause is gone."
    count = f"{len(kept)} checkpoint{'s are' if len(kept) > 1 else ' is'} kept"
    how = next_command("train", "--resume", run=run)
    return f"{count}, the newest of iteration {kept[-1].iteration}. Resume with: {how}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def last_words(log: str, pid: str, address: str | None) -> str | None:
    """The last error that process `pid` on node `address` printed before it died.

    Ray sends its output to our log line by line, after the news of its death. For a process on
    this machine, Ray's own file has the output immediately.
    """
    # A process on another machine may have the same PID as one here.
    here = address == ray.util.get_node_ip_address()
    mark = f"pid={pid})" if here else f"pid={pid}, ip={address})"
    end = time.monotonic() + LATE_SECONDS
    while True:
        ours = [line.partition(mark)[2] for line in _lines(Path(log)) if mark in line]
        for lines in (ours, _rays_own(pid) if here else []):
            lines = [re.sub(r"\x1b\[\d+m", "", line).strip() for line in lines]
            errors = [x for x in lines if re.match(r"^[\w.]*(Error|Exception)\b: ", x)]
            if errors:
                return errors[-1][:500]
        if time.monotonic() > end:
            return None
        time.sleep(0.2)


def _rays_own(pid: str) -> list[str]:
    """What a process on this machine printed, from Ray's log file."""
    if not ray.is_initialized():
        return []
    context = ray.get_runtime_context()
    logs = Path(context.get_temp_dir(), context.get_session_name(), "logs")
    return [line for file in logs.glob(f"worker-*-{pid}.err") for line in _lines(file)]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []


def last_error(text: str) -> str:
    """The last line that looks like `SomeError: message`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_NOISE)]
    errors = [x for x in lines if re.match(r"^[\w.]*(Error|Exception|Interrupt)\b(: |$)", x)]
    return (errors or lines or ["no error was reported"])[-1][:500]
