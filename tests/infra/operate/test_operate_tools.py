"""Other commands: how they run, and how they end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import started
from waiting import PATIENCE, wait_until

from infra.facts import ROOT
from infra.operate.tools import CommandError, LoginError, OperateError, az, need, show

SLOW = """#!/bin/sh
trap 'echo once >> "$0.signals"; sleep 1; echo ended >> "$0.signals"; exit 1' INT
touch "$0.signals" "$0.started"
for _ in $(seq 3000); do sleep 0.1; done
"""
CALLER = """
import os, signal, subprocess, sys, time
from infra.operate.__main__ import _terminated
from infra.operate.tools import show

class LatePopen(subprocess.Popen):
    # As on a busy machine: the command runs for a while before its caller does again.
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        while not os.path.exists(sys.argv[1] + ".sent"):
            time.sleep(0.01)

signal.signal(signal.SIGTERM, _terminated)
if "late" in sys.argv:
    subprocess.Popen = LatePopen
try:
    show([sys.argv[1]])
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("when", ["late", "running"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_may_end_in_good_order(tmp_path, sent, when):
    # If Pulumi were killed immediately, its state would stay locked and nothing could be destroyed.
    slow = tmp_path / "slow"
    slow.write_text(SLOW)
    slow.chmod(0o755)
    with started(
        [sys.executable, "-c", CALLER, slow, when],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        # If the tests themselves run in the background, they and their children ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        wait_until(Path(f"{slow}.started").exists, process=process)
        # As a terminal does: to the whole group.
        os.killpg(process.pid, sent)
        Path(f"{slow}.sent").touch()
        assert process.wait(PATIENCE) == 130
    assert Path(f"{slow}.signals").read_text().split() == ["once", "ended"]


def test_a_command_that_fails_says_how_and_what(cloud, capfd):
    cloud.save(logged_in=False)
    with pytest.raises(LoginError, match="Please run 'az login'.*: run az login, then this again"):
        az("account", "show")
    cloud.save(logged_in=True, account={**cloud.state["account"], "id": "s"})
    with pytest.raises(CommandError, match="`az account show.*'elsewhere' doesn't exist"):
        az("account", "show", "--subscription", "elsewhere")
    cloud.save(logged_in=False)
    with pytest.raises(CommandError, match="exit code 1"):
        show(["az", "account", "show"])
    out, err = capfd.readouterr()
    assert out == "" and "+ az account show" in err


def test_a_command_that_is_not_there_is_named_with_where_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(OperateError, match="pulumi is not installed. Get .*pulumi.com"):
        need("pulumi")
