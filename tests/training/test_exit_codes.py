"""The table of exit codes in the manual, held against what commands end with."""

import re
import signal

import pytest
from command import ROOT

from savanna.cli import main, results
from savanna.errors import Interrupted, SavannaError, UsageError
from savanna.streams import ReaderGone


def raising(error: BaseException):
    def run(options) -> int:
        raise error

    return run


ENDS = {
    "success": (0, lambda options: 0),
    "the reader has gone": (0, raising(ReaderGone())),
    "failure": (1, raising(SavannaError("it failed"))),
    "the system refuses": (1, raising(OSError(28, "no room", "file"))),
    "a bug": (1, raising(ZeroDivisionError("division by zero"))),
    "wrong usage": (2, raising(UsageError("no such thing"))),
    "SIGHUP": (129, raising(Interrupted("stopped", signal.SIGHUP))),
    "Ctrl-C": (130, raising(Interrupted("stopped", signal.SIGINT))),
    "Ctrl-C where nothing is to be saved": (130, raising(KeyboardInterrupt())),
    "SIGTERM": (143, raising(Interrupted("stopped", signal.SIGTERM))),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_command_ends_with_the_code_of_the_manual(how, monkeypatch, capsys, tmp_path):
    code, run = ENDS[how]
    monkeypatch.setattr(results, "run_runs", run)
    assert main(["runs", "--runs-root", str(tmp_path)]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 1 and not any(word in str(lines) for word in ("Traceback", "Errno"))


def test_the_manual_has_all_codes_and_no_others():
    manual = (ROOT / "docs/using.md").read_text()
    table = manual.partition("| exit code |")[2].partition("\n\n")[0]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert codes == {code for code, _ in ENDS.values()}
