"""Why a run failed, in one readable paragraph."""

from __future__ import annotations

import re
import time
from pathlib import Path

import ray
import ray.util

from savanna.next_command import next_command
from savanna.runs.directory import RunDirectory

_ADDRESS = re.compile(r"(?:ip|node_ip|ip_address)[=:]\s*([0-9a-fA-F.:]+[0-9a-fA-F])")
_PID = re.compile(r"pid[=:]\s*(\d+)")
_RUNNER = re.compile(r"ray::(\w*EnvRunner)[.\w]*\(\)|class_name: (\w*EnvRunner)")
_OURS = re.compile(r"^savanna\.errors\.\w+: (.*)$", re.MULTILINE)
_OUT_OF_MEMORY = ("OutOfMemoryError", "out of memory", "OOM", "MemoryError", "oom-kill")
_NOISE = ("The above exception", "During handling", "Traceback", "See more", "[repeated")

LATE_SECONDS = 5.0
"""How long the last output of a process on another machine may take to reach our log."""


def explain_failure(error: BaseException | None, text: str, log: str, kept: str = "") -> str:
    """Which process failed, where, with what last error, and whether memory ran out.

    `text` is the traceback that Ray Tune kept, `log` the path of the run's log, `kept` a sentence
    on what is left. Waits up to `LATE_SECONDS` for the last output of a dead process.
    """
    whole = f"{text}\n{error or ''}"
    ends = list(filter(None, [f"Details are in {log}.", kept]))
    runner = _RUNNER.search(whole)
    ours = _OURS.findall(whole)
    if ours and not runner:
        return " ".join([_sentence(ours[-1]), *ends])
    # Ray names a dead process after those that waited for it, and a failed one before them.
    which = -1 if "class_name:" in whole else 0
    pid, address = (
        found[which] if (found := pattern.findall(whole)) else None for pattern in (_PID, _ADDRESS)
    )
    what = "An env runner" if runner else "The training process"
    process = f" (PID {pid})" if pid else ""
    where = f" on node {address}" if address else ""
    died = (
        "died" if re.search(r"ActorDiedError|ActorUnavailable|SIGKILL|worker died", whole) else ""
    )
    logged = last_words(log, pid, address) if died and pid else None
    parts = [f"{what}{process}{where} {died or 'failed'}: {logged or last_error(whole)}"]
    if any(sign in whole for sign in _OUT_OF_MEMORY):
        parts.append(
            "It ran out of memory: lower num_envs_per_env_runner or train_batch_size_per_learner, "
            "or use fewer env runners."
        )
    elif died and not logged:
        parts.append("It raised no error: it was killed, or its node was lost.")
    return " ".join([_sentence(part) for part in parts] + ends)


def in_short(error: BaseException) -> str:
    """The message of an error of ours that Tune has wrapped in tracebacks, or the last error."""
    text = str(error) or type(error).__name__
    ours = _OURS.findall(text)
    return str(ours[-1]) if ours else last_error(text)


def what_is_kept(run: RunDirectory) -> str:
    """A sentence: how many checkpoints there are, and how to go on from the newest."""
    kept = run.checkpoints()
    if not kept:
        return "There is no checkpoint yet."
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
