"""Commands in tests end, whatever they do, together with everything they have started."""

import subprocess
import sys
import time

import psutil
import pytest
from command import finish, run, started
from waiting import gone, wait_until

# A child in its own session that holds the pipes and renames itself, as Ray's processes do.
STUBBORN = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"],
                         start_new_session=True)
print(child.pid, flush=True)
print("waiting for nothing", file=sys.stderr, flush=True)
time.sleep(300 if sys.argv[1] == "stay" else 0)
"""


def test_what_does_not_end_in_time_fails_with_its_output_and_leaves_nothing(capfd):
    with pytest.raises(pytest.fail.Exception, match="not done after 3 s: .*python"):
        run([sys.executable, "-c", STUBBORN, "stay"], timeout=3)
    child, said = capfd.readouterr().err.split("\n", 1)
    assert "waiting for nothing" in said
    wait_until(lambda: gone(int(child)))


def test_a_failing_test_takes_its_commands_with_it(tmp_path):
    output = tmp_path / "output"
    with (
        pytest.raises(ZeroDivisionError),
        output.open("w") as file,
        started([sys.executable, "-c", STUBBORN, "stay"], stdout=file) as process,
    ):
        while not output.read_text():
            time.sleep(0.05)
        raise ZeroDivisionError
    assert process.returncode == -9
    wait_until(lambda: gone(int(output.read_text())))


def test_what_ends_by_itself_is_not_cleaned_up_after(tmp_path):
    with (tmp_path / "output").open("w+") as file:
        run([sys.executable, "-c", STUBBORN, "go"], stdout=file, stderr=file)
    child = int((tmp_path / "output").read_text().split()[0])
    assert psutil.pid_exists(child)
    psutil.Process(child).kill()


def test_an_exit_code_is_told_with_the_output():
    command = [sys.executable, "-c", "import sys; print('my last words'); sys.exit(7)"]
    assert run(command).returncode == 7
    with pytest.raises(pytest.fail.Exception, match="exit code 7: .*\nmy last words"):
        run(command, check=True)


def test_input_and_output_are_text():
    cat = [sys.executable, "-c", "import sys; print(sys.stdin.read().upper())"]
    assert run(cat, input="ä\n").stdout == "Ä\n\n"
    with started(cat, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert finish(process, 60, "b") == ("B\n", None)
