"""Stops this machine: drain, save the logs, deallocate.

A machine that is only powered off is still billed, so powering off comes last.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from . import cloud

KEPT = {".log", ".out", ".err", ".txt", ".json"}
DEALLOCATE_TRIES, DEALLOCATE_PAUSE = 6, 20.0  # seconds
POWER_OFF_AFTER = 900.0  # seconds that Azure has to deallocate


def say(message: str) -> None:
    """To the journal and the serial console, through the unit."""
    print(f"savanna: {message}", file=sys.stderr, flush=True)


def warn_users(message: str) -> None:
    """To the journal and to all logged-in users."""
    say(message)
    run("wall", f"savanna: {message}")


def run(*command: str, timeout: float = 60) -> bool:
    """Whether a command succeeded."""
    try:
        return subprocess.run(command, timeout=timeout, capture_output=True).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def drain(seconds: int) -> bool:
    """Let the container stop cleanly: runs write checkpoints, work moves to other nodes."""
    return run("docker", "stop", "-t", str(seconds), "savanna", timeout=seconds + 30)


def stop_machine(reason: str) -> int:
    """Do all of it; each part is tried even if the one before failed. Returns an exit code."""
    (Path(cloud.setting("RUNTIME_DIRECTORY")) / "stopping").touch()  # from now on nothing starts
    warn_users(f"this machine stops: {reason}")
    drain(int(cloud.setting("STOP_TIMEOUT")))
    upload_logs()
    for left in reversed(range(DEALLOCATE_TRIES)):
        try:
            cloud.deallocate()
        except cloud.CloudError as error:
            say(f"could not deallocate, {left} attempts left: {error}")
            time.sleep(DEALLOCATE_PAUSE if left else 0)
        else:
            say("Azure is deallocating this machine")
            time.sleep(POWER_OFF_AFTER)
            break
    say("powering off. A machine that is not deallocated is still billed: see `make status`")
    return 0 if run("systemctl", "poweroff") else 1


def upload_logs() -> None:
    """Upload the node's report, if there is one, and all logs to storage: best effort."""
    logs = Path(cloud.setting("LOGS_DIRECTORY"))
    try:
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        where = f"node-logs/{cloud.instance().name}/{now}"
        report = logs / "report.txt"
        if report.exists():
            say(f"report: {cloud.put_blob(f'{where}/report.txt', report)}")
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "logs.tar.gz"
            pack(logs, archive)
            say(f"logs: {cloud.put_blob(f'{where}/logs.tar.gz', archive)}")
    except (cloud.CloudError, OSError) as error:
        say(f"the logs stay on this machine's disk: {error}")


def pack(logs: Path, archive: Path) -> None:
    """A tar of the text files in `logs`; Ray also puts sockets and spilled objects there."""
    with tarfile.open(archive, "w:gz", compresslevel=3) as tar:
        for file in sorted(logs.rglob("*")):
            if file.is_file() and not file.is_symlink() and file.suffix in KEPT:
                try:
                    tar.add(file, str(file.relative_to(logs)), recursive=False)
                except OSError as error:
                    say(f"{file} is left out: {error}")
