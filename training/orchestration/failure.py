"""Why a run failed, in one paragraph for a person."""

from __future__ import annotations

import re
from pathlib import Path

_ADDRESS = re.compile(r"(?:ip|node_ip|ip_address)[=:]\s*([0-9a-fA-F.:]+[0-9a-fA-F])")
_PID = re.compile(r"pid[=:]\s*(\d+)")
_RUNNER = re.compile(r"ray::(\w*EnvRunner)[.\w]*\(\)|class_name: (\w*EnvRunner)")
_OUT_OF_MEMORY = ("OutOfMemoryError", "out of memory", "OOM", "MemoryError", "oom-kill")
_NOISE = ("The above exception", "During handling", "Traceback", "See more", "[repeated")


def explain_failure(error: BaseException | None, text: str, log: str) -> str:
    """Which process failed, where, with what last error, and whether memory ran out.

    `text` is the traceback that Ray Tune kept, `log` the path of the run's log.
    """
    whole = f"{text}\n{error or ''}"
    runner, address = _RUNNER.search(whole), _ADDRESS.search(whole)
    pids = list(_PID.finditer(whole))
    pid = (pids[-1] if "class_name:" in whole else pids[0]) if pids else None
    what = "An env runner" if runner else "The learner's process (the trial's)"
    where = f" on node {address[1]}" if address else ""
    which = f" (process {pid[1]})" if pid else ""
    died = (
        "died" if re.search(r"ActorDiedError|ActorUnavailable|SIGKILL|worker died", whole) else ""
    )
    logged = error_in_log(log, pid[1]) if died and pid else None
    parts = [f"{what}{which}{where} {died or 'failed'}: {logged or last_error(whole)}"]
    if any(sign in whole for sign in _OUT_OF_MEMORY):
        parts.append(
            "It ran out of memory: lower num_envs_per_env_runner or train_batch_size_per_learner, "
            "or use fewer env runners."
        )
    elif died and not logged:
        parts.append("Nothing in it raised an error: it was killed, or the node went away.")
    parts.append(f"Everything is kept; details are in {log}.")
    return " ".join(parts)


def error_in_log(log: str, pid: str) -> str | None:
    """The last error that process `pid` printed before it died, if the log has it."""
    mark = f"pid={pid})"
    said = [line.partition(mark)[2] for line in _lines(Path(log)) if mark in line]
    if not any(
        "Error" in line for line in said
    ):  # its last words may not have reached our log: ask Ray's own, on this machine
        for file in Path("/tmp/ray/session_latest/logs").glob(f"worker-*-{pid}.err"):
            said += _lines(file)
    said = [re.sub(r"\x1b\[\d+m", "", line).strip() for line in said]
    errors = [x for x in said if re.match(r"^[\w.]*(Error|Exception)\b: ", x)]
    return errors[-1][:500] if errors else None


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
